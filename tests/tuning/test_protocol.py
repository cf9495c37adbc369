"""Seeds that tune never judge; budgets divide into whole rollouts."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ppo_lab.errors import ArgumentError
from ppo_lab.runs.sb3_training import MAX_EVALUATION_ENVS
from ppo_lab.runs.seeds import BLOCK_SIZE, MAX_SEED, SEED_STRIDE, Block
from tuning.protocol import TuningProtocol


def protocol(**changes: int) -> TuningProtocol:
    return TuningProtocol("ppo_lab/GridWorld-v0", "MlpPolicy", **changes)


@given(st.integers(0, MAX_SEED), st.integers(1, 1000), st.integers(1, 900), st.integers(1, 100))
def test_no_tuning_seed_is_a_test_seed(
    seed: int, seeds: int, replicas: int, screen_seeds: int
) -> None:
    used = protocol(seed=seed, seeds=seeds, replicas=replicas, screen_seeds=screen_seeds)
    tuning = {*used.screening_seeds, *used.replica_seeds}
    evaluation = {
        *(used.evaluation(judging=False, index=i).seed for i in range(screen_seeds + replicas)),
        *(used.evaluation(judging=True, index=i).seed for i in range(seeds)),
    }
    assert len(tuning) == screen_seeds + replicas
    assert len(set(used.judge_seeds)) == seeds
    # Every run has an evaluation seed of its own, and none of them trains anything.
    assert len(tuning | set(used.judge_seeds) | evaluation) == 2 * (screen_seeds + replicas + seeds)


def test_parallel_environments_of_two_runs_share_no_seed() -> None:
    used = protocol(n_envs=8)
    runs = sorted([*used.screening_seeds, *used.replica_seeds, *used.judge_seeds])
    # A run's environments take seed, seed + 1, …, seed + n_envs − 1.
    assert min(b - a for a, b in pairwise(runs)) == SEED_STRIDE
    assert used.n_envs <= SEED_STRIDE


def test_evaluation_seeds_of_two_runs_share_no_environment() -> None:
    used = protocol(seeds=5)
    seeds = [used.evaluation(judging=True, index=i).seed for i in range(5)]
    assert seeds == used.judge_evaluation_seeds
    # At most 50 environments play an evaluation: seed, seed + 1, … seed + 49.
    assert {b - a for a, b in pairwise(seeds)} == {SEED_STRIDE}
    assert SEED_STRIDE >= MAX_EVALUATION_ENVS


@given(st.lists(st.integers(0, MAX_SEED), min_size=2, max_size=2, unique=True))
@example([0, 1])
@example([MAX_SEED - 1, MAX_SEED])
def test_no_block_of_a_study_overlaps_another_or_any_of_another_study(seeds: list[int]) -> None:
    # From the first seed of a block to the last environment of its last run.
    spans = sorted(
        (used.run_seed(block, 0), used.run_seed(block, BLOCK_SIZE - 1) + SEED_STRIDE - 1)
        for used in (protocol(seed=seed) for seed in seeds)
        for block in Block
    )
    assert len(spans) == 8
    assert all(last < following for (_, last), (following, _) in pairwise(spans))


def test_seeds_stay_what_they_were_when_a_study_was_begun() -> None:
    # (study seed · 4 blocks + block) · 1000 runs · 100 environments, and 100 for each run before.
    used = protocol(seed=2, seeds=2, screen_seeds=1, replicas=1)
    assert (used.screening_seeds, used.replica_seeds) == ([800_000], [800_100])
    assert (used.judge_seeds, used.judge_evaluation_seeds) == (
        *([900_000, 900_100], [1_100_000, 1_100_100]),
    )
    assert used.evaluation(judging=False, index=1).seed == 1_000_100


@given(st.integers(0, MAX_SEED))
def test_every_seed_is_drawn_from_the_block_that_is_named_for_it(seed: int) -> None:
    used = protocol(seed=seed, seeds=2, screen_seeds=1, replicas=1)
    assert [*used.screening_seeds, *used.replica_seeds] == [
        used.run_seed(Block.TUNING, i) for i in (0, 1)
    ]
    assert used.judge_seeds == [used.run_seed(Block.TEST, i) for i in (0, 1)]
    for judging, block in ((False, Block.TUNING_EVALUATION), (True, Block.TEST_EVALUATION)):
        evaluated = [used.evaluation(judging, i).seed for i in (0, 1)]
        assert evaluated == [used.run_seed(block, i) for i in (0, 1)]


def test_the_largest_seed_fits_sb3s_32_bits() -> None:
    assert protocol(seed=MAX_SEED).run_seed(Block.TEST_EVALUATION, 999) + SEED_STRIDE < 2**32


@given(st.integers(8, 200_000))
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


@pytest.mark.parametrize(
    "name", ["timesteps", "trials", "seeds", "window", "screen_seeds", "finalists", "n_envs"]
)
@pytest.mark.parametrize("value", [0, -3])
def test_counts_below_one_are_refused(name: str, value: int) -> None:
    with pytest.raises(ArgumentError, match=rf"^{name}={value}: expected at least 1$"):
        protocol(**{name: value})


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1])
def test_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ArgumentError, match=f"seed={seed}: expected 0 to {MAX_SEED}"):
        protocol(seed=seed)


def test_budget_without_a_step_of_every_environment_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"^timesteps=7 is too small for one update: 8 "):
        protocol(timesteps=7)


def test_unknown_sampler_and_pruner_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ArgumentError, match=r"sampler='tp': expected one of tpe, gp, cmaes"):
        TuningProtocol("e", "p", sampler="tp")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"pruner='median': expected one of none, halving"):
        TuningProtocol("e", "p", pruner="median")  # type: ignore[arg-type]


def test_wilcoxon_needs_seeds_enough_to_tell_anything() -> None:
    # One-sided signed-rank test of n pairs: the smallest p is 1/2ⁿ; 1/8 > 0.1 > 1/16.
    with pytest.raises(ArgumentError, match="expected at least 4"):
        TuningProtocol("e", "p", pruner="wilcoxon", screen_seeds=3)
    assert TuningProtocol("e", "p", pruner="wilcoxon", screen_seeds=4).screening_seeds == [
        0,
        100,
        200,
        300,
    ]


def test_a_study_may_go_on_with_more_trials_and_more_test_seeds_alone() -> None:
    assert protocol(trials=5, seeds=3).fixed() == protocol(trials=9, seeds=4).fixed()
    assert protocol(replicas=5).fixed() != protocol(replicas=6).fixed()


def test_a_study_that_shared_one_evaluation_seed_is_not_gone_on_with() -> None:
    assert protocol().fixed()["evaluation_seeds"] == "one for each seed"
