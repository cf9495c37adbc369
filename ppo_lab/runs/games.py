"""Games of several agents in the place of a run's environments (Spec 14)."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from stable_baselines3.common.vec_env import VecEnv

from envs.mdp import TabularMDP
from envs.team_grid import TeamGrid
from ppo_lab.environment_classes import is_game
from ppo_lab.errors import ArgumentError
from ppo_lab.multi_agent import make_parallel_vec_env
from ppo_lab.multi_agent.as_env import GameEnv
from ppo_lab.multi_agent.vec_env import TEAM, ParallelVecEnv

__all__ = [
    "TeamEpisodes",
    "check_critic",
    "columns_a_game",
    "finite_game",
    "is_game",
    "make_games",
]


def make_games(
    game_id: str,
    env_kwargs: Mapping[str, Any],
    count: int,
    seed: int | None,
    *,
    words: Mapping[str, Any],
    vec_env: str,
    monitor_dir: str | None = None,
    training: bool = True,
) -> ParallelVecEnv:
    """The vector environment of a run in a game.

    Args:
        game_id: ``pettingzoo:NAME``.
        env_kwargs: ``critic`` and ``agent_indicator`` of ``make_parallel_vec_env``; the others are
            for what makes the game.
        count: copies.
        seed: of the first one.
        words: settings that hold for single environments, by name: none may be set.
        vec_env: how a run's environments are stepped.
        monitor_dir: where SB3's monitor files go; None: nowhere.
        training: as for ``make_parallel_vec_env``.

    Raises:
        ArgumentError: a setting that a game has no use for.
    """
    for name, value in words.items():
        if value:
            raise ArgumentError(
                f"{name} is for single environments, and {game_id} is a game of several agents: "
                "leave it out"
            )
    if vec_env not in ("dummy", "auto"):
        raise ArgumentError(
            f"--vec-env {vec_env} steps single environments, and {game_id} is a game of several "
            "agents: leave it out"
        )
    made = {"monitor_dir": monitor_dir, "training": training, **env_kwargs}
    return make_parallel_vec_env(game_id, count, seed, **made)


def columns_a_game(env: VecEnv) -> int:
    """The rows of a step that one copy has: a game's agents, else one."""
    inner: Any = env.unwrapped
    return len(inner.agents) if isinstance(inner, ParallelVecEnv) else 1


def check_critic(env: VecEnv, policy_kwargs: Mapping[str, Any] | None) -> None:
    """Check that the state which only a critic should see is kept from the actor.

    Raises:
        ArgumentError: it is not.
    """
    inner: Any = env.unwrapped
    if not (isinstance(inner, ParallelVecEnv) and inner.view.has_state):
        return
    if "state" not in (policy_kwargs or {}).get("critic_only", ()):
        raise ArgumentError(
            "critic='central' in --env-kwargs shows the game's state, which the actor must not "
            "see: give spec_ppo -P \"policy_kwargs:dict(critic_only=['state'])\", tune the same "
            "in a file for --base, or leave out critic"
        )


def finite_game(env: gym.Env[Any, Any]) -> tuple[TabularMDP, int] | None:
    """The joint MDP of a game of ours and its steps; None for another environment."""
    base = env.unwrapped
    game = base.game.env if isinstance(base, GameEnv) else None
    return (game.mdp, game.max_steps) if type(game) is TeamGrid else None


class TeamEpisodes:
    """Notes whole games while SB3's ``evaluate_policy`` plays; for its ``callback``.

    Attributes:
        returns: the team's, a game each.
        lengths: in steps.
    """

    def __init__(self) -> None:
        self.returns: list[float] = []
        self.lengths: list[int] = []
        self._noted: Any = None

    def note(self, local: Mapping[str, Any]) -> None:
        """Take a game that has ended with this step, once for all its agents."""
        team = local["info"].get(TEAM)
        if team is None or team is self._noted:
            return
        self._noted = team
        self.returns.append(team["r"])
        self.lengths.append(team["l"])
