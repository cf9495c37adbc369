"""Every environment that is made is closed, however the command or the constructor ends."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from envs.gridworld import GridWorld
from ppo_lab import evaluate, train
from ppo_lab.errors import ArgumentError
from ppo_lab.runs import references
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.environments import inspect_environment, make_copies
from ppo_lab.runs.execution import check_run, execute_run
from ppo_lab.vec_env import make_native_vec_env
from ppo_lab.vec_env.compiled import CompiledVecEnv, has_world


class Count:
    """Environments made and not closed, by identity, and what they are to do."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.made = 0
        self.keep: list[Any] = []  # so that identities stay different
        self.last = 10**9
        self.fails = False


COUNT = Count()


def _born(env: Any) -> None:
    if COUNT.made >= COUNT.last:
        raise RuntimeError("no more licences")
    COUNT.made += 1
    COUNT.open.add(id(env))
    COUNT.keep.append(env)


class Counted(gym.Env[Any, Any]):
    """Episodes of five steps."""

    def __init__(self, space: Any = None, render_mode: str | None = None) -> None:
        self.observation_space = space or spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.render_mode = render_mode
        _born(self)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if COUNT.fails:
            raise RuntimeError("the simulator blew up")
        return self.observation_space.sample(), 1.0, bool(self.np_random.random() < 0.2), False, {}

    def close(self) -> None:
        COUNT.open.discard(id(self))


class CountedGrid(GridWorld):
    """A grid that has a compiled world."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _born(self)

    def close(self) -> None:
        super().close()
        COUNT.open.discard(id(self))


@pytest.fixture(autouse=True)
def _counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    COUNT.__init__()  # type: ignore[misc]
    gym.register("Counted-v0", entry_point=Counted, max_episode_steps=5)
    gym.register("Good-v0", entry_point=Counted, max_episode_steps=5, reward_threshold=5.0)
    gym.register("CountedGrid-v0", entry_point=CountedGrid, max_episode_steps=20)
    monkeypatch.setattr(references, "_played_apart", lambda spec, _: references._guarded(spec, 1.0))
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
    for name in ("Counted-v0", "Good-v0", "CountedGrid-v0"):
        del gym.registry[name]
    assert COUNT.open == set()
    assert COUNT.made > 0


def configuration(algo: str, env: str, **changes: Any) -> RunConfig:
    settings: dict[str, Any] = {"n_steps": 8, "batch_size": 8, "n_epochs": 1}
    return RunConfig(
        algo,
        env,
        0,
        32,
        2,
        "MlpPolicy",
        settings if algo in ("ppo", "spec_ppo") else {},
        Evaluation(3, 7000, 2),
        **changes,
    )


def test_train_and_evaluate_close_what_they_make(tmp_path: Path) -> None:
    small = ["--timesteps", "32", "-P", "n_steps:16", "batch_size:16", "n_epochs:1"]
    small += ["--log-folder", str(tmp_path), "--eval-episodes", "2", "--eval-freq", "0"]
    for env in ("Good-v0", "CountedGrid-v0"):
        assert train.main(["--env", env, *small]) == 0
        assert evaluate.main([str(tmp_path / "spec_ppo" / f"{env}_1"), "--episodes", "3"]) == 0
        assert COUNT.open == set()


@pytest.mark.parametrize("algo", ["spec_ppo", "q_learning", "optimal"])
def test_runs_and_their_check_close_what_they_make(tmp_path: Path, algo: str) -> None:
    check_run(configuration(algo, "CountedGrid-v0"))
    assert COUNT.open == set()
    assert execute_run(configuration(algo, "CountedGrid-v0"), tmp_path / "run").reason is None


@pytest.mark.parametrize("env", ["Counted-v0", "CountedGrid-v0"])
@pytest.mark.parametrize("algo", ["ppo", "q_learning"])
def test_wherever_making_fails_what_was_made_before_is_closed(
    tmp_path: Path, env: str, algo: str
) -> None:
    for last in range(1, 14):
        COUNT.made, COUNT.last = 0, last
        result = execute_run(configuration(algo, env), tmp_path / f"run_{last}")
        assert COUNT.open == set(), last
        if result.reason is not None and "licences" in result.reason:
            continue
        break
    else:
        pytest.fail("it never had enough")
    COUNT.made, COUNT.last = 1, 10**9


def test_a_failing_step_or_normalisation_or_algorithm_closes_them_too(tmp_path: Path) -> None:
    COUNT.fails = True
    result = execute_run(configuration("ppo", "Counted-v0"), tmp_path / "step")
    assert result.reason == "RuntimeError: the simulator blew up"
    assert COUNT.open == set()
    bad = configuration("ppo", "Counted-v0", normalize={"nonsense": 1})
    assert "nonsense" in str(execute_run(bad, tmp_path / "normalize").reason)
    assert COUNT.open == set()
    with pytest.raises(ArgumentError, match="nonsense"):
        check_run(bad)


def test_inspecting_probing_and_refused_worlds_close_theirs(tmp_path: Path) -> None:
    inspect_environment("Counted-v0", {})
    with pytest.raises(ArgumentError):
        inspect_environment("Counted-v0", {"space": spaces.Text(3)})
    has_world("Counted-v0")
    has_world("CountedGrid-v0")
    with pytest.raises(ArgumentError, match="no compiled world"):
        CompiledVecEnv("Counted-v0")
    with pytest.raises(ArgumentError):
        make_native_vec_env("Counted-v0", 2)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        CompiledVecEnv("CountedGrid-v0", 2, monitor_dir=str(tmp_path / "file" / "logs"))


def test_a_scale_is_found_or_not_without_leaving_one_open() -> None:
    assert references.known_scale("Good-v0", {}, lambda _: None) is not None
    assert references.known_scale("Counted-v0", {}, lambda _: None) is None


def test_copies_are_closed_where_a_later_one_cannot_be_made() -> None:
    COUNT.last = 2
    with pytest.raises(RuntimeError, match="licences"):
        make_copies(lambda: gym.make("Counted-v0"), 3)
