"""A trained team's exact expected return in a game that is a finite MDP (Spec 9.3, 14.6)."""

from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from envs.planning import optimal_return, policy_return, random_return
from envs.team_grid import TeamGrid
from envs.team_mdp import team_table
from ppo_lab.errors import ArgumentError
from ppo_lab.multi_agent.game import Game
from ppo_lab.multi_agent.views import View, common_spaces

__all__ = ["exact_team_return", "normalized_team_return"]


def exact_team_return(
    model: BaseAlgorithm, game: TeamGrid, *, agent_indicator: bool = False
) -> float:
    """The expected team return of one model that acts for every agent, deterministically.

    Args:
        model: trained in ``make_parallel_vec_env`` of such a game, with either critic.
        game: a :class:`envs.team_grid.TeamGrid`; its ``max_steps`` are played.
        agent_indicator: as the model was trained.

    Raises:
        ArgumentError: the model cannot read what the game shows.
    """
    view = View(Game(game), common_spaces(Game(game))[0], "own", agent_indicator)
    shown = game.observations
    rows = view.blank(shown.shape[0] * shown.shape[1])
    for row, (state, agent) in enumerate(np.ndindex(shown.shape[:2])):
        view.put(rows, row, agent, shown[state, agent])
    try:
        moves, _ = model.predict(_as_trained(model, rows), deterministic=True)
    except ValueError as error:
        raise ArgumentError(
            f"the model was trained on {model.observation_space} and cannot read {view.space} of "
            "this game: make it with the same observation and agent_indicator"
        ) from error
    choices = np.eye(4)[moves].reshape(*shown.shape[:2], 4)
    return policy_return(game.mdp, team_table(choices), game.max_steps)


def normalized_team_return(
    model: BaseAlgorithm, game: TeamGrid, *, agent_indicator: bool = False
) -> float:
    """:func:`exact_team_return` on the scale of the random team, 0, and the team's optimum, 1."""
    low, high = (of(game.mdp, game.max_steps) for of in (random_return, optimal_return))
    reached = exact_team_return(model, game, agent_indicator=agent_indicator)
    return (reached - low) / (high - low)


def _as_trained(model: BaseAlgorithm, rows: Any) -> Any:
    trained_on = getattr(model.observation_space, "spaces", None)
    if trained_on is None or isinstance(rows, dict):
        return rows
    return {"observation": rows}
