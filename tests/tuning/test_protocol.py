"""Seeds that tune never judge; budgets divide into whole rollouts."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_lab.errors import ArgumentError
from tuning.protocol import MAX_SEED, SEED_STRIDE, Block, Protocol


def protocol(**changes: int) -> Protocol:
    return Protocol("ppo_lab/GridWorld-v0", "MlpPolicy", **changes)


@given(st.integers(0, MAX_SEED), st.integers(1, 1000), st.integers(1, 998))
def test_no_tuning_seed_is_a_test_seed(seed: int, seeds: int, replicas: int) -> None:
    used = protocol(seed=seed, seeds=seeds, replicas=replicas)
    tuning = {used.screen_seed, *used.replica_seeds}
    evaluation = {used.evaluation(judging=False).seed, used.evaluation(judging=True).seed}
    assert len(tuning) == 1 + replicas
    assert len(set(used.judge_seeds)) == seeds
    assert len(tuning | set(used.judge_seeds) | evaluation) == 1 + replicas + seeds + 2


def test_parallel_environments_of_two_runs_share_no_seed() -> None:
    used = protocol(n_envs=8)
    runs = sorted([used.screen_seed, *used.replica_seeds, *used.judge_seeds])
    # A run's environments take seed, seed + 1, …, seed + n_envs − 1.
    assert min(b - a for a, b in pairwise(runs)) == SEED_STRIDE
    assert used.n_envs <= SEED_STRIDE


def test_two_studies_share_no_seed() -> None:
    first, second = protocol(seed=0), protocol(seed=1)
    assert not {*first.judge_seeds, *first.replica_seeds} & {
        *second.judge_seeds,
        *second.replica_seeds,
    }


def test_the_largest_seed_fits_sb3s_32_bits() -> None:
    assert protocol(seed=MAX_SEED).run_seed(Block.TEST_EVALUATION, 999) + SEED_STRIDE < 2**32


@given(st.integers(1, 200_000))
def test_rollouts_divide_the_budget(timesteps: int) -> None:
    used = protocol(timesteps=timesteps)
    shape = used.shape
    rollout = shape["n_steps"] * used.n_envs
    rollouts = -(-timesteps // rollout)
    # learn() takes whole rollouts: at most one step of every environment too many in each.
    assert rollouts * rollout - timesteps <= rollouts * used.n_envs
    assert rollout % 4 == 0
    assert shape["batch_size"] == max(2, rollout // 4)


def test_default_budget_is_six_rollouts_of_504_samples() -> None:
    # 3000 / 512 ≈ 6 rollouts; ⌈3000 / (6·8)⌉ = 63 steps of 8 environments; 504 / 4 = 126
    assert protocol().shape == {"n_steps": 63, "batch_size": 126, "n_epochs": 10}


@pytest.mark.parametrize("name", ["timesteps", "trials", "seeds"])
@pytest.mark.parametrize("value", [0, -3])
def test_counts_below_one_are_refused(name: str, value: int) -> None:
    with pytest.raises(ArgumentError, match=rf"^{name}={value}: expected at least 1$"):
        protocol(**{name: value})


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1])
def test_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ArgumentError, match=f"seed={seed}: expected 0 to {MAX_SEED}"):
        protocol(seed=seed)
