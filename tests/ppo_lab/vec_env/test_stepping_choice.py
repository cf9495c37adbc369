"""``auto``: a pool where steps are long, and no number depends on it."""

import random
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from ppo_lab.vec_env.stepping_choice import Choice, StepTime, choose, chosen_for, measured_step
from tests.ppo_lab.vec_env.echo import Careless, Echo, Troubled, Waiting


@pytest.mark.parametrize(
    ("step", "n_envs", "cores", "n_workers"),
    [
        # 16 × 5 µs here; 8 × 5 µs and 140 µs of the pool's own there.
        (StepTime(5e-6, 0.0), 16, 2, 0),
        # 16 × 200 µs = 3.2 ms here; 1.6 ms + 0.14 ms there.
        (StepTime(200e-6, 0.0), 16, 2, 2),
        (StepTime(200e-6, 0.0), 3, 8, 3),
        # One core steps no faster for being shared.
        (StepTime(200e-6, 0.0), 16, 1, 0),
        # Two copies of 50 µs: 100 µs here, 190 µs there.
        (StepTime(50e-6, 0.0), 2, 2, 0),
        # Waiting needs no core: 16 ms here, 1 ms and 0.7 ms of the pool's own there.
        (StepTime(5e-6, 1e-3), 16, 1, 16),
        (StepTime(1e-3, 0.0, draws_globally=True), 16, 2, 0),
    ],
)
def test_the_pool_is_chosen_where_it_promises_more(
    step: StepTime, n_envs: int, cores: int, n_workers: int
) -> None:
    assert chosen_for(step, n_envs, cores).n_workers == n_workers


def test_a_step_is_measured_as_work_and_as_waiting() -> None:
    step = measured_step(Echo)
    assert 0.0 < step.cpu < 2e-3
    assert step.waiting == 0.0
    # It sleeps for 3 ms.
    assert measured_step(Waiting).waiting == pytest.approx(4e-3, abs=1.5e-3)


def test_measuring_moves_no_generator_of_the_process() -> None:
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    assert measured_step(Careless).draws_globally
    assert not measured_step(Echo).draws_globally
    drawn = np.random.random(), random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    assert drawn == (np.random.random(), random.random())  # noqa: NPY002


def test_what_cannot_be_measured_is_stepped_in_this_process() -> None:
    choice = choose(lambda: Troubled("raise"), 4, 2)
    assert choice.n_workers == 0
    assert "cannot be measured (ZeroDivisionError: the world has ended)" in choice.reason
    assert choose(lambda: gym.make("nonsense"), 1, 2) == Choice(0, "there is one environment")
    assert "random generator of the whole process" in choose(Careless, 4, 2).reason


class Guarded(gym.Env[Any, Any]):
    """Forbids its first action, and raises where it is done all the same."""

    observation_space, action_space = gym.spaces.Discrete(1), gym.spaces.Discrete(2)

    def action_masks(self) -> list[bool]:
        return [False, True]

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        return 0, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        assert action == 1, "a forbidden action"
        return 0, 0.0, False, False, {}


def test_no_forbidden_action_is_taken_to_measure_a_step() -> None:
    assert measured_step(Guarded).cpu > 0
