"""Which states can be visited, and which were."""

from typing import Any

import pytest
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from envs.coverage import reachable_states
from envs.gridworld import GridWorld
from ppo_lab import CoverageCallback, SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env import make_native_vec_env

SMALL: dict[str, Any] = {"n_steps": 32, "batch_size": 64, "n_epochs": 1, "seed": 0, "device": "cpu"}


def test_a_walled_off_room_is_not_reachable_and_a_distant_cell_not_in_few_steps() -> None:
    mdp = GridWorld("S..+\n####\n....").mdp
    assert reachable_states(mdp).tolist() == [True] * 4 + [False] * 4
    assert reachable_states(mdp, horizon=1).tolist() == [True, True] + [False] * 6
    with pytest.raises(ValueError, match="horizon is -1"):
        reachable_states(mdp, horizon=-1)


@pytest.mark.parametrize("make", [make_vec_env, make_native_vec_env])
def test_all_that_was_stood_in_counts_compiled_or_not(make: Any) -> None:
    env: VecEnv = make("ppo_lab/GridWorld-v0", 2)
    counting = CoverageCallback()
    SpecPPO("MlpPolicy", env, **SMALL).learn(2048, counting)
    assert counting.reachable.sum() == 11  # 4 × 3 less the wall
    assert counting.coverage == 1.0


def test_little_time_covers_little() -> None:
    env = make_vec_env("ppo_lab/FourRooms-v0", 1, env_kwargs={"size": 21})
    counting = CoverageCallback()
    SpecPPO("MlpPolicy", env, **{**SMALL, "n_steps": 5, "batch_size": 5}).learn(5, counting)
    assert 1 <= counting.visited.sum() <= 6
    # 21² cells less a cross of 2 · 21 − 1 with four doors in it.
    assert counting.coverage == counting.visited.sum() / (441 - 41 + 4)


def test_environments_without_states_to_count_are_refused() -> None:
    with pytest.raises(ArgumentError, match="the environments have no mdp"):
        SpecPPO("MlpPolicy", make_vec_env("CartPole-v1", 2), **SMALL).learn(64, CoverageCallback())
