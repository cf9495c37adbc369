"""Copies of a game of several agents as SB3's ``VecEnv``: a column an agent and copy (Spec 14)."""

import itertools
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from ppo_lab.errors import ArgumentError
from ppo_lab.multi_agent.game import Game, GameStep
from ppo_lab.multi_agent.views import Critic, View, common_spaces
from ppo_lab.vec_env.games import GamesVecEnv
from ppo_lab.vec_env.monitor_files import MonitorFiles
from ppo_lab.vec_env.shared import GOING_ON, STATISTICS_DIGITS, chosen_copies

__all__ = ["TEAM", "ParallelVecEnv"]

ACTION_MASKS = "action_masks"
TEAM = "team"
"""Where an info has the statistics of a whole game."""


class ParallelVecEnv(GamesVecEnv):
    """n copies of a game of A agents as N = n·A columns; agent a of copy k is column k·A + a.

    Every column is a stream of its own (Spec 14.2): what its agent sees, its reward, its end, with
    ``terminal_observation``, ``TimeLimit.truncated`` and ``episode`` (``r``, ``l``, ``t``) in its
    info as of an environment in SB3's ``Monitor``. A game that nobody is left in begins anew on the
    same step; the infos of its A columns then have ``team`` as well: ``r`` is the team's return,
    the sum over the game's steps of the *mean* over all A agents of their rewards, who is gone
    counting 0, ``l`` the game's steps. Where all agents are paid the same, the team reward of Spec
    14.1, that is its return.

    An agent that has left a game, or is not there yet, has no samples until the next one (Spec
    14.5): its row shows what it saw last, has reward 0 and goes on; :meth:`sampled_rows` says so,
    and SpecPPO leaves it out of rollouts' statistics, targets and losses. Whoever trains without
    asking is stopped at the step after.

    Copy k takes the seed of its first column, seed + k·A.

    Args:
        games: the copies, each an environment of its own, alike.
        critic: see :class:`~ppo_lab.multi_agent.views.View`.
        agent_indicator: likewise.
        monitor: False leaves ``episode`` and ``team`` out.
        monitor_dir: folder for SB3's ``0.monitor.csv``, one file a column; None: no files.
        training: False lets those go on who do not ask which rows are samples, for evaluation:
            such a row's reward is 0 and it ends no episode.

    Attributes:
        agents: the names of the A agents.
        view: how what a game shows becomes rows.
        reset_infos: the info of each column's latest reset.

    Raises:
        ArgumentError: the games or their agents do not fit together.
    """

    why_unsampled = "has agents that leave a game before it is over, whose rows are no samples"

    def __init__(
        self,
        games: Sequence[Any],
        *,
        critic: Critic = "own",
        agent_indicator: bool = False,
        monitor: bool = True,
        monitor_dir: str | None = None,
        training: bool = True,
    ) -> None:
        if not games:
            raise ArgumentError("no copy of a game was given: expected at least one")
        self._games = [Game(env) for env in games]
        first = self._games[0]
        if any(game.agents != first.agents for game in self._games):
            raise ArgumentError(f"the copies of {first} have different agents: expected the same")
        self.agents, self._envs = first.agents, [game.env for game in self._games]
        self.monitor, self.training = monitor, training
        n_agents = len(self.agents)
        self._columns = [slice(k * n_agents, (k + 1) * n_agents) for k in range(len(games))]
        observation, action = common_spaces(first)
        self.view = View(first, observation, critic, agent_indicator)
        super().__init__(len(games) * n_agents, self.view.space, action)
        self.metadata = {**getattr(first.env, "metadata", {}), **self.metadata}
        name = str(first.env)
        self._files = MonitorFiles(Path(monitor_dir), self.num_envs, name) if monitor_dir else None
        self._rows = self.view.blank(self.num_envs)
        self._actions: npt.NDArray[Any] | None = None
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, np.int64)
        self._team_returns, self._team_lengths = np.zeros(len(games)), np.zeros(len(games), int)
        self._sampled = np.ones(self.num_envs, np.bool_)
        self._was_asked, self._has_begun = True, False
        self._began = time.time()
        self.reset_infos = [{} for _ in range(self.num_envs)]

    # ------------------------------------------------------------------ who takes part

    @property
    def may_be_unsampled(self) -> bool:
        """Whether there can be rows without a sample: agents may leave."""
        return True

    @property
    def sampled(self) -> npt.NDArray[np.bool_]:
        """Which rows of the latest step are samples, (N,) bool: whose agents acted."""
        return self._sampled.copy()

    @property
    def shown(self) -> npt.NDArray[np.bool_]:
        """Which rows of the latest observations somebody acts on, (N,) bool: the live agents'."""
        return np.concatenate([game.live for game in self._games])

    def sampled_rows(self) -> npt.NDArray[np.bool_]:
        """``sampled``, for who leaves the other rows out of all that is learned."""
        self._was_asked = True
        return self.sampled

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Which actions each column may take next, (N, n), as its game says; all, where it is gone.

        ``env_method("action_masks")`` asks for it too, as sb3-contrib does.

        Raises:
            ArgumentError: a game gives an agent no mask, or none that can be.
        """
        pairs = itertools.product(self._games, range(len(self.agents)))
        return np.stack([game.allowed(agent) for game, agent in pairs])

    def split(self, agent: int, given: Any) -> tuple[Any, Any]:
        """What an agent sees of an observation that a game gave it, and its mask, or None."""
        return self._games[0].split(agent, given)

    # ------------------------------------------------------------------ stepping

    def reset(self) -> VecEnvObs:
        """Begin all games with the seeds and options of ``seed`` and ``set_options``, used once.

        Raises:
            ArgumentError: the agents of one game were given different options.
        """
        if not self._has_begun and all(seed is None for seed in self._seeds):
            # Copies of one environment would else play one and the same game.
            self.seed(int(np.random.SeedSequence().generate_state(1)[0] >> 1))
        rows = self.view.blank(self.num_envs)
        for copy, columns in enumerate(self._columns):
            options = self._options[columns.start]
            if any(other != options for other in self._options[columns]):
                raise ArgumentError(
                    "the agents of one game were given different options, and a game takes one "
                    "dict: pass set_options one for all"
                )
            self._begin(copy, rows, self._seeds[columns.start], options or None)
        self._rows, self._has_begun, self._was_asked = rows, True, True
        self._sampled = np.ones(self.num_envs, np.bool_)
        self._returns[:], self._lengths[:] = 0.0, 0
        self._team_returns[:], self._team_lengths[:] = 0.0, 0
        self._reset_seeds()
        self._reset_options()
        batch: VecEnvObs = _copied(rows)
        return batch

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Keep the actions, (N, …), for ``step_wait``."""
        if self.training and not self._was_asked:
            gone = np.flatnonzero(~self._sampled)[0] % len(self.agents)
            raise ArgumentError(
                f"{self.agents[gone]!r} takes no part in {self._games[0]} at present, its row is "
                "no sample, and whoever steps it here would take it for one: train with SpecPPO, "
                "and normalise with ppo_lab.vec_env.SampledVecNormalize; to evaluate, make "
                "the environment with training=False"
            )
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step all games with the actions kept.

        Returns:
            Observations (N, …), rewards (N,) float32, dones (N,) bool, N infos.
        """
        assert self._actions is not None
        rows, self._sampled = _copied(self._rows), self.shown
        rewards, dones = np.zeros(self.num_envs), np.zeros(self.num_envs, np.bool_)
        infos: list[dict[str, Any]] = [GOING_ON] * self.num_envs
        for copy, columns in enumerate(self._columns):
            step = self._games[copy].step(self._actions[columns])
            rewards[columns] = step.rewards
            dones[columns] = step.terminations | step.truncations
            self._put(rows, copy, step.observations)
            self._count(copy, columns, step)
            self._describe(infos, copy, columns, step, rows)
            if step.is_over:
                self._begin(copy, rows, None, None)
        self._rows, self._was_asked = rows, bool(self._sampled.all())
        return _copied(rows), rewards.astype(np.float32), dones, infos

    def _begin(
        self, copy: int, rows: Any, seed: int | None, options: dict[str, Any] | None
    ) -> None:
        seen, infos = self._games[copy].reset(seed, options)
        self._put(rows, copy, seen)
        columns = self._columns[copy]
        self.reset_infos[columns] = [dict(info) for info in infos]

    def _put(self, rows: Any, copy: int, seen: Sequence[Any]) -> None:
        """Write what the agents of one game see into its rows."""
        columns, took_part = self._columns[copy], np.zeros(len(self.agents), np.bool_)
        for agent, observation in enumerate(seen):
            if observation is not None:
                self.view.put(rows, columns.start + agent, agent, observation)
                took_part[agent] = True
        if self.view.has_state:
            self.view.put_state(rows, columns, self._games[copy], took_part)

    def _count(self, copy: int, columns: slice, step: GameStep) -> None:
        self._returns[columns] += step.rewards
        self._lengths[columns] += self._sampled[columns]
        self._team_returns[copy] += step.rewards.mean()
        self._team_lengths[copy] += 1

    def _describe(
        self, infos: list[dict[str, Any]], copy: int, columns: slice, step: GameStep, rows: Any
    ) -> None:
        """Put the infos of one game's agents in their places."""
        seconds = round(time.time() - self._began, STATISTICS_DIGITS)
        dones = step.terminations | step.truncations
        for agent, column in enumerate(range(columns.start, columns.stop)):
            own: Mapping[str, Any] = step.infos[agent]
            if dones[agent]:
                out_of_time = bool(step.truncations[agent] and not step.terminations[agent])
                info = {**own, "TimeLimit.truncated": out_of_time}
                info["terminal_observation"] = _row_of(rows, column)
                if self.monitor:
                    info["episode"] = self._statistics(
                        self._returns[column], self._lengths[column], seconds
                    )
                    if self._files:
                        self._files.write(column, info["episode"])
                self._returns[column], self._lengths[column] = 0.0, 0
                infos[column] = info
            elif own and self._sampled[column]:
                infos[column] = {**own, **GOING_ON}
        if step.is_over:
            if self.monitor:
                team = self._statistics(self._team_returns[copy], self._team_lengths[copy], seconds)
                for column in range(columns.start, columns.stop):
                    infos[column] = {**infos[column], TEAM: team}
            self._team_returns[copy], self._team_lengths[copy] = 0.0, 0

    @staticmethod
    def _statistics(total: float, length: int, seconds: float) -> dict[str, Any]:
        return {"r": round(float(total), STATISTICS_DIGITS), "l": int(length), "t": seconds}

    def close(self) -> None:
        """Close all games, and the monitor files."""
        for env in self._envs:
            env.close()
        if self._files:
            self._files.close()

    # ------------------------------------------------------------------ the copies

    @property
    def games(self) -> list[Any]:
        """The copies' environments."""
        return self._envs

    def get_images(self) -> Sequence[npt.NDArray[Any] | None]:
        """One picture (height, width, 3) uint8 a game; Nones unless made with ``rgb_array``."""
        if self.render_mode != "rgb_array":
            return [None] * len(self._envs)
        return [env.render() for env in self._envs]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The attribute of each chosen column's game; the two spaces are the column's.

        Raises:
            AttributeError: there is none of that name.
        """
        chosen = chosen_copies(self, indices)
        if attr_name in ("observation_space", "action_space"):
            return [getattr(self, attr_name)] * len(chosen)
        if attr_name == ACTION_MASKS and self._games[0].has_masks:
            pairs = (divmod(index, len(self.agents)) for index in chosen)
            return [partial(self._games[copy].allowed, agent) for copy, agent in pairs]
        return [getattr(_holder(self._game_of(index), attr_name), attr_name) for index in chosen]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set the attribute of each chosen column's game.

        Raises:
            ArgumentError: of some of a game's agents only, who share it.
        """
        for env in self._whole_games(indices, f"the attribute {attr_name!r}"):
            setattr(env, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of each chosen column's game, once a game.

        Returns:
            The result of its game for each column.
        """
        results: dict[int, Any] = {}
        chosen = chosen_copies(self, indices)
        if method_name == ACTION_MASKS and self._games[0].has_masks:
            return list(self.action_masks()[chosen])
        for index in chosen:
            copy = index // len(self.agents)
            if copy not in results:
                method = getattr(_holder(self.games[copy], method_name), method_name)
                results[copy] = method(*method_args, **kwargs)
        return [results[index // len(self.agents)] for index in chosen]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """Whether each chosen column's game is in such a wrapper; ``Monitor``: see ``monitor``."""
        monitored = self.monitor and issubclass(Monitor, wrapper_class)
        return [
            monitored
            or any(isinstance(layer, wrapper_class) for layer in _layers(self._game_of(i)))
            for i in chosen_copies(self, indices)
        ]

    def _game_of(self, column: int) -> Any:
        return self._envs[column // len(self.agents)]

    def _whole_games(self, indices: VecEnvIndices, what: str) -> list[Any]:
        chosen = set(chosen_copies(self, indices))
        for columns in self._columns:
            ours = chosen & set(range(columns.start, columns.stop))
            if ours and len(ours) < len(self.agents):
                raise ArgumentError(
                    f"{what} is one for all {len(self.agents)} agents of a game: give the indices "
                    f"of all of them, {columns.start} to {columns.stop - 1}"
                )
        copies = sorted({index // len(self.agents) for index in chosen})
        return [self.games[copy] for copy in copies]


def _copied(rows: Any) -> Any:
    if isinstance(rows, dict):
        return {key: part.copy() for key, part in rows.items()}
    return rows.copy()


def _row_of(rows: Any, row: int) -> Any:
    if isinstance(rows, dict):
        return {key: np.array(part[row]) for key, part in rows.items()}
    return rows[row].copy()


def _layers(env: Any) -> list[Any]:
    """An environment and what it is wrapped around, the outermost first."""
    found = [env]
    while (
        inner := getattr(found[-1], "env", None) or getattr(found[-1], "aec_env", None)
    ) is not None:
        found.append(inner)
    return found


def _holder(env: Any, name: str) -> Any:
    """The outermost layer that has an attribute of that name."""
    for layer in _layers(env):
        if hasattr(layer, name):
            return layer
    raise AttributeError(f"{env} has no attribute {name!r}")
