"""What the user's signals do while a command runs."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from ppo_lab.commands.shared import run_command
from ppo_lab.interruption import raise_if_stopped, stop_signals
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.execution import execute_run
from ppo_lab.runs.executor import as_completed
from ppo_lab.runs.worker_pool import WorkerPool


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_stops_the_command_and_its_handler_is_the_users_again_afterwards() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with pytest.raises(KeyboardInterrupt), stop_signals():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_a_shells_background_job_ignores_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stop_signals():
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def lose_ctrl_c() -> None:
    """Ctrl-C in a place whence no exception comes out, such as a finaliser."""
    with suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_that_got_lost_is_raised_by_the_loop_that_asks_next() -> None:
    raise_if_stopped()
    with stop_signals():
        raise_if_stopped()
        lose_ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            raise_if_stopped()
    raise_if_stopped()


def test_ctrl_c_that_got_lost_is_the_commands_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("ppo_lab.tune", lose_ctrl_c) == 130
    expected = "ppo_lab.tune: stopped; the same command goes on from here\n"
    assert capsys.readouterr().err == expected


def test_ctrl_c_that_got_lost_stops_waiting_for_workers() -> None:
    with closing(WorkerPool[None](1)) as pool, stop_signals():
        pool.submit("a minute", time.sleep, 60)
        lose_ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            next(as_completed(pool))


class Swallows(gym.Wrapper[Any, Any, Any, Any]):
    """Ctrl-C comes in its first step, and no exception gets out of it."""

    def step(self, action: Any) -> Any:
        lose_ctrl_c()
        return super().step(action)


@pytest.mark.parametrize("algo", ["spec_ppo", "ppo", "dqn", "q_learning"])
def test_ctrl_c_that_an_environment_swallows_stops_the_training(
    algo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``gymnasium.make`` wraps what Monitor, and therefore every algorithm, steps."""
    make = gym.make
    monkeypatch.setattr(
        gym, "make", lambda *names, **arguments: Swallows(make(*names, **arguments))
    )
    config = RunConfig(
        algo=algo,
        env="ppo_lab/GridWorld-v0",
        seed=0,
        timesteps=10**6,
        n_envs=1,
        policy="MlpPolicy",
        hyperparameters={"n_steps": 64} if algo.endswith("ppo") else {},
        evaluation=Evaluation(episodes=1, seed=1, points=1),
    )
    with stop_signals(), pytest.raises(KeyboardInterrupt):
        execute_run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
