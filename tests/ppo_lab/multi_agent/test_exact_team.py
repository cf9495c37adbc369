"""What a trained team earns, exactly; and which critic learns where luck is not one's own."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.evaluation import evaluate_policy

from benchmarks.teams import score
from envs.team_grid import TeamGrid
from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.multi_agent import exact_team_return, make_parallel_vec_env


@pytest.mark.parametrize("critic", ["own", "central"])
@pytest.mark.parametrize("agent_indicator", [False, True])
def test_the_exact_return_is_what_evaluation_approaches(critic: Any, agent_indicator: bool) -> None:
    game = partial(TeamGrid, noise=0.3, max_steps=12)
    how: dict[str, Any] = {"critic": critic, "agent_indicator": agent_indicator}
    env = make_parallel_vec_env(game, 16, seed=0, training=False, **how)
    kwargs = {"critic_only": ["state"]} if critic == "central" else None
    model = SpecPPO("MlpPolicy", env, n_steps=16, batch_size=512, policy_kwargs=kwargs, seed=1)
    exact = exact_team_return(model, game(), agent_indicator=agent_indicator)
    returns, _ = evaluate_policy(model, env, 320, return_episode_rewards=True)
    games = np.array(returns).reshape(-1, 2)[:, 0]  # both agents of a game are paid the same
    assert abs(games.mean() - exact) < 4 * games.std() / np.sqrt(len(games)) + 1e-6


def test_a_game_of_other_observations_is_refused() -> None:
    env = make_parallel_vec_env(partial(TeamGrid, observation="own"))
    model = SpecPPO("MlpPolicy", env, n_steps=16, batch_size=32)
    with pytest.raises(ArgumentError, match=r"cannot read .* the same observation"):
        exact_team_return(model, TeamGrid())


@pytest.mark.slow
@pytest.mark.parametrize("critic", ["own", "central"])
def test_both_critics_reach_the_optimum_of_the_reference_map(critic: Any) -> None:
    scores = [score("reference", critic, seed) for seed in range(10)]
    assert min(scores) >= 0.95


@pytest.mark.slow
def test_a_critic_of_its_own_view_falls_short_where_luck_is_anothers() -> None:
    own, central = (
        [score("luck", critic, seed) for seed in range(10)] for critic in ("own", "central")
    )
    # Every seed of the one is ahead of every seed of the other: by chance once in C(20, 10) times.
    assert min(central) > max(own) + 0.2
    assert np.mean(central) >= 0.95
