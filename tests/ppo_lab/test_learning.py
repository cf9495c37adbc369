"""What the benchmark of objectives claims, run as it runs: seeds and intervals."""

import sys

import pytest

from benchmarks import objectives


@pytest.mark.slow
def test_every_objective_and_estimator_beats_the_random_policy_on_the_noisy_grid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["objectives", "--only", "NoisyGridWorld"])
    assert objectives.main() == 0
