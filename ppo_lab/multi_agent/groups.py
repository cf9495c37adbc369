"""Groups of agents that differ, each with a policy of its own that learns in the same games."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.type_aliases import MaybeCallback

from ppo_lab.algorithm import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.multi_agent.game import Game
from ppo_lab.multi_agent.making import copies_of
from ppo_lab.multi_agent.shared_game import SharedGame
from ppo_lab.multi_agent.turns import Turns
from ppo_lab.multi_agent.vec_env import TEAM, ParallelVecEnv
from ppo_lab.multi_agent.views import STATE, Critic

__all__ = ["GroupsPPO"]

CONTENTS = "groups.json"


class GroupsPPO:
    """One :class:`SpecPPO` a group of agents, all of which collect from the same games (Spec 14).

    Agents of a group share its policy (14.2); a group's agents need the same spaces, those of
    different groups do not. Every model collects ``n_steps`` of its group's columns, then all
    update, one after the other.

    Args:
        game: as for :func:`~ppo_lab.multi_agent.make_parallel_vec_env`.
        n_envs: copies of the game.
        policies: group → SpecPPO's arguments for it, ``policy`` among them (``MlpPolicy``);
            ``n_steps`` is the same in all.
        groups: group → its agents; None: those whose name is the group's, or the group's with a
            number behind (``adversary_0`` is of ``adversary``).
        critic: ``own`` (IPPO) or ``central`` (MAPPO), whose critics see the game's ``state()``.
        agent_indicator: shows each agent which one of its group it is.
        seed: of games and policies.
        env_kwargs: for what makes the game.

    Attributes:
        models: group → its SpecPPO.
        groups: group → its agents.

    Raises:
        ArgumentError: an agent in no group or in two, an empty group, different ``n_steps``.
    """

    def __init__(
        self,
        game: Any,
        n_envs: int = 1,
        *,
        policies: Mapping[str, Mapping[str, Any]],
        groups: Mapping[str, Sequence[str]] | None = None,
        critic: Critic = "own",
        agent_indicator: bool = False,
        seed: int | None = None,
        env_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._make: Callable[[int], list[Any]] = partial(
            copies_of, game, env_kwargs=dict(env_kwargs or {})
        )
        self._how: dict[str, Any] = {"critic": critic, "agent_indicator": agent_indicator}
        made = self._make(n_envs)
        self.groups = _grouped(list(made[0].possible_agents), policies, groups)
        self._turns = Turns()
        self._shared = [
            SharedGame(env, list(self.groups.values()), self._turns, critic == "central")
            for env in made
        ]
        self.envs = {
            name: ParallelVecEnv([shared.games[number] for shared in self._shared], **self._how)
            for number, name in enumerate(self.groups)
        }
        self.models: dict[str, SpecPPO] = {}
        for number, (name, arguments) in enumerate(policies.items()):
            own: dict[str, Any] = {"policy": "MlpPolicy"}
            own |= {"seed": None if seed is None else seed + number, **arguments}
            if critic == "central":
                kwargs = {"critic_only": [STATE], **(own.get("policy_kwargs") or {})}
                own["policy_kwargs"] = kwargs
            self.models[name] = SpecPPO(env=self.envs[name], **own)
        self._check_steps()

    def _check_steps(self) -> None:
        steps = {name: model.n_steps for name, model in self.models.items()}
        if len(set(steps.values())) > 1:
            raise ArgumentError(
                f"the groups collect together and have n_steps {steps}: expected one number for all"
            )

    def learn(
        self,
        total_timesteps: int,
        callback: Mapping[str, MaybeCallback] | None = None,
        reset_num_timesteps: bool = True,
        **how: Any,
    ) -> "GroupsPPO":
        """Train all groups, in whole rollouts.

        Args:
            total_timesteps: steps of agents, all groups and copies together.
            callback: group → callbacks of its model; one that stops its model stops all.
            reset_num_timesteps: as for SB3.
            **how: further arguments of ``SpecPPO.learn``, for every model.
        """
        n_agents = sum(map(len, self.groups.values()))
        n_steps = next(iter(self.models.values())).n_steps
        rollouts = -(-total_timesteps // (n_steps * n_agents * len(self._shared)))
        tasks: list[Callable[[], None]] = []
        for name, model in self.models.items():
            steps = rollouts * n_steps * self.envs[name].num_envs
            own = (callback or {}).get(name)
            tasks.append(
                partial(
                    _learn, model, steps, own, {"reset_num_timesteps": reset_num_timesteps, **how}
                )
            )
        is_whole = False
        try:
            self._turns.run(tasks)
            is_whole = len({m.num_timesteps // self.envs[n].num_envs for n, m in self._named}) == 1
        finally:
            if not is_whole:  # the groups stand at different steps of the games
                for shared in self._shared:
                    shared.forget()
                for model in self.models.values():
                    model._last_obs = None
        return self

    @property
    def _named(self) -> list[tuple[str, SpecPPO]]:
        return list(self.models.items())

    def predict(
        self,
        observations: Mapping[str, Any],
        deterministic: bool = False,
        action_masks: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """What agents do, as ``game.step`` takes it.

        Args:
            observations: agent → what the game shows it, for the agents that are in the game.
            deterministic: as for SB3.
            action_masks: agent → which actions it may take, of groups with ``mask_actions``; what
                an observation says itself need not be here.
        """
        actions = {}
        for name, agents in self.groups.items():
            for index, agent in enumerate(agents):
                if agent in observations:
                    seen, mask = self.envs[name].split(index, observations[agent])
                    mask = (action_masks or {}).get(agent, mask)
                    actions[agent] = self._chosen(name, index, seen, mask, deterministic)
        return actions

    def _chosen(self, name: str, index: int, seen: Any, mask: Any, deterministic: bool) -> Any:
        """The action of one agent of a group, of what it sees without its mask."""
        model = self.models[name]
        how = {"action_masks": mask} if model.mask_actions else {}
        shown = self.envs[name].view.of_actor(index, seen)
        return model.predict(shown, deterministic=deterministic, **how)[0]

    def evaluate(
        self, n_episodes: int = 10, seed: int | None = None, deterministic: bool = True
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Play whole games in one of their own.

        Returns:
            Agent → its returns (n_episodes,), and ``team`` → the means over all agents.
        """
        (env,) = self._make(1)
        game = Game(env)
        returns = np.zeros((n_episodes, len(game.agents)))
        for episode in range(n_episodes):
            seen, _ = game.reset(seed if episode == 0 else None, None)
            is_over = False
            while not is_over:
                step = game.step(self._choices(game, seen, deterministic))
                returns[episode] += step.rewards
                seen, is_over = step.observations, step.is_over
        env.close()
        by_agent = dict(zip(map(str, game.agents), returns.T.copy(), strict=True))
        return {**by_agent, TEAM: returns.mean(axis=1)}

    def _choices(self, game: Game, seen: Sequence[Any], deterministic: bool) -> dict[int, Any]:
        """The actions of a game's live agents, by their numbers, of what each of all sees."""
        chosen: dict[int, Any] = {}
        for name, agents in self.groups.items():
            for index, agent in enumerate(agents):
                number = game.agents.index(agent)
                if game.live[number]:
                    mask = game.allowed(number) if self.models[name].mask_actions else None
                    chosen[number] = self._chosen(name, index, seen[number], mask, deterministic)
        return chosen

    def save(self, path: str | Path) -> None:
        """Write a folder: ``GROUP.zip`` of every group, and which agents are whose."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        for name, model in self.models.items():
            model.save(folder / f"{name}.zip")
        contents = {"groups": self.groups, **self._how}
        (folder / CONTENTS).write_text(json.dumps(contents, indent=1), encoding="utf-8")

    @classmethod
    def load(
        cls,
        path: str | Path,
        game: Any,
        n_envs: int = 1,
        *,
        env_kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> "GroupsPPO":
        """The models of a folder, in copies of a game; further arguments as for ``SpecPPO.load``.

        Raises:
            ArgumentError: no such folder.
        """
        folder = Path(path)
        if not (folder / CONTENTS).is_file():
            raise ArgumentError(
                f"{folder} holds no {CONTENTS}: expected a folder of GroupsPPO.save"
            )
        contents = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        groups = contents["groups"]
        new = cls(
            game, n_envs, policies={name: {} for name in groups}, env_kwargs=env_kwargs, **contents
        )
        for name in groups:
            new.models[name] = SpecPPO.load(folder / f"{name}.zip", new.envs[name], **arguments)
        return new


def _learn(model: SpecPPO, steps: int, callback: MaybeCallback, how: Mapping[str, Any]) -> None:
    model.learn(steps, callback, **how)


def _grouped(
    agents: Sequence[str],
    policies: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]] | None,
) -> dict[str, list[str]]:
    """The agents of each group, in the order of ``policies``."""
    if groups is None:
        groups = {
            name: [a for a in agents if re.fullmatch(rf"{re.escape(name)}(_?\d+)?", str(a))]
            for name in policies
        }
    if set(groups) != set(policies):
        raise ArgumentError(
            f"policies for {', '.join(policies)} and groups {', '.join(groups)}: expected a policy "
            "for each group"
        )
    found = [agent for name in policies for agent in groups[name]]
    for name in policies:
        if not groups[name] or not re.fullmatch(r"[\w.-]+", name):
            raise ArgumentError(
                f"group {name!r} has {len(groups[name])} agents: expected a plain name and "
                f"at least one of {', '.join(map(repr, agents))}; groups={{{name!r}: [...]}} names "
                "them"
            )
    for agent in {*agents, *found}:
        if found.count(agent) != 1 or agent not in agents:
            raise ArgumentError(
                f"agent {agent!r} is in {found.count(agent)} groups: expected each of "
                f"{', '.join(map(repr, agents))} in exactly one; groups={{...}} names them"
            )
    return {name: list(groups[name]) for name in policies}
