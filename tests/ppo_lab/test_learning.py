"""What the benchmarks claim, run as they run it: seeds and intervals, minutes long."""

import sys

import pytest

from benchmarks import learning, objectives


@pytest.mark.slow
def test_every_objective_and_estimator_beats_the_random_policy_on_the_noisy_grid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["objectives", "--only", "NoisyGridWorld"])
    assert objectives.main() == 0


@pytest.mark.slow
def test_committed_settings_reach_the_optimum_of_the_noisy_grid() -> None:
    assert learning.main(["--envs", "ppo_lab/NoisyGridWorld-v0"]) == 0
