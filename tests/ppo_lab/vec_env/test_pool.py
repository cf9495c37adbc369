"""The pool of worker processes: DummyVecEnv's numbers in any space, and an end to every trouble."""

import os
import signal
import subprocess
import sys
import time
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import load_results
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab import SpecPPO
from ppo_lab.compiled.env_steps import PoolSteps, quickest_steps
from ppo_lab.errors import ArgumentError, WorkerError
from ppo_lab.vec_env import make_pool_vec_env
from ppo_lab.vec_env.pool import PoolVecEnv
from tests.ppo_lab.vec_env import makers  # noqa: F401 - processes start with torch imported
from tests.ppo_lab.vec_env.echo import Echo, Troubled

N = 5
HOME = Path(__file__).resolve().parents[3]
IMAGE = spaces.Box(0, 255, (7, 5, 3), np.uint8)
OBSERVATIONS = {
    "discrete": spaces.Discrete(5, start=2),
    "multi-discrete": spaces.MultiDiscrete([3, 4]),
    "multi-binary": spaces.MultiBinary(4),
    "float64": spaces.Box(-1.0, 1.0, (2, 3), np.float64),
    "int16": spaces.Box(-9, 9, (2,), np.int16),
    "scalar": spaces.Box(-1.0, 1.0, (), np.float32),
    "image": IMAGE,
    "dict": spaces.Dict({"b": IMAGE, "a": spaces.Discrete(3), "c": spaces.Box(0, 1, (2,))}),
    "tuple": spaces.Tuple([spaces.Discrete(3), spaces.Box(0, 1, (2,), np.float64)]),
}
ACTIONS = {
    "discrete": spaces.Discrete(3),
    "multi-discrete": spaces.MultiDiscrete([3, 4]),
    "multi-binary": spaces.MultiBinary(4),
    "float64": spaces.Box(-1.0, 1.0, (2, 3), np.float64),
    "float32": spaces.Box(-1.0, 1.0, (1,), np.float32),
}


def both(n_workers: int = 2, **arguments: Any) -> tuple[PoolVecEnv, VecEnv]:
    """The pool and the oracle, of the same environments and seeds."""
    make = partial(Echo, **arguments)
    return (
        make_pool_vec_env(make, N, n_workers, seed=4),
        make_vec_env(make, N, seed=4),  # type: ignore[arg-type]
    )


def assert_equal(ours: Any, theirs: Any) -> None:
    """The same numbers of the same types, in whatever holds them."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict)
        assert list(ours) == list(theirs)
        for key in theirs:
            if key != "t":  # Monitor's clock
                assert_equal(ours[key], theirs[key])
    elif isinstance(theirs, tuple | list):
        assert type(ours) is type(theirs)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_equal(one, other)
    else:
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype
        np.testing.assert_array_equal(ours, theirs)


def assert_alike(ours: VecEnv, theirs: VecEnv, actions: Any, steps: int = 17) -> None:
    """Both return the same from a reset on, infos and resets' infos included."""
    assert_equal(ours.reset(), theirs.reset())
    assert_equal(ours.reset_infos, theirs.reset_infos)
    for _ in range(steps):
        given = actions()
        assert_equal(ours.step(given), theirs.step(given))
        assert_equal(ours.reset_infos, theirs.reset_infos)


def drawn(space: spaces.Space[Any]) -> Any:
    space = deepcopy(space)
    space.seed(1)
    return lambda: np.stack([np.asarray(space.sample()) for _ in range(N)])


def pids(env: VecEnv) -> list[int]:
    return sorted(set(env.env_method("pid")))


def are_gone(processes: list[int], seconds: float = 0.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() for pid in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def shared_memory() -> set[str]:
    """What Python's own modules and ours might have left; other programs come and go."""
    ours = ("psm_", "pym-", "ppo-lab", "sem.mp-")
    return {file.name for file in Path("/dev/shm").iterdir() if file.name.startswith(ours)}


def troubled(trouble: str, at: int = 3, at_once: bool = False, **arguments: Any) -> PoolVecEnv:
    """Five environments in two processes, of which one has a trouble."""
    each = [partial(Troubled, trouble if i == at else "", at_once and i == at) for i in range(N)]
    return make_pool_vec_env(each, n_workers=2, seed=1, vec_env_kwargs=arguments)


# ---------------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_observations_of_every_space_are_dummy_vec_envs(name: str) -> None:
    ours, theirs = both(observations=OBSERVATIONS[name])
    assert_alike(ours, theirs, drawn(theirs.action_space))
    ours.close()


@pytest.mark.parametrize("name", ACTIONS)
def test_actions_of_every_space_reach_the_environments_as_they_are(name: str) -> None:
    ours, theirs = both(actions=ACTIONS[name], says=1)
    assert_alike(ours, theirs, drawn(theirs.action_space))
    # SB3's policies choose float32 for a MultiBinary, and users what they like.
    for kind in (np.float32, np.float64, np.int64, np.int8):
        actions = drawn(theirs.action_space)().astype(kind)
        assert_equal(ours.step(actions), theirs.step(actions))
    ours.close()


@pytest.mark.parametrize("n_workers", [1, 3, 8])
def test_the_number_of_workers_changes_no_number(n_workers: int) -> None:
    ours, theirs = both(n_workers)
    assert len(pids(ours)) == min(n_workers, N)
    assert_alike(ours, theirs, drawn(theirs.action_space))
    theirs.set_options([{"level": i} for i in range(N)])
    ours.set_options([{"level": i} for i in range(N)])
    assert_alike(ours, theirs, drawn(theirs.action_space))
    assert_equal(
        ours.env_method("render", indices=[4, -1, 0]),
        theirs.env_method("render", indices=[4, -1, 0]),
    )
    ours.close()


def test_what_was_returned_stays_as_it_was() -> None:
    ours, theirs = both(observations=OBSERVATIONS["dict"])
    kept = [(ours.reset(), theirs.reset())]
    actions = drawn(theirs.action_space)
    for _ in range(8):
        given = actions()
        kept.append((ours.step(given), theirs.step(given.copy())))
        given[...] = 7.0  # the caller's own array is his to change
    for one, other in kept:
        assert_equal(one, other)
    ours.close()


def test_a_noted_step_is_a_step_with_the_infos_of_ends_alone() -> None:
    ours, theirs = both()
    assert isinstance(quickest_steps(ours), PoolSteps)
    assert_equal(ours.reset(), theirs.reset())
    actions = drawn(theirs.action_space)
    for _ in range(11):
        given = actions()
        *arrays, noted = quickest_steps(ours).step(given)
        *expected, infos = theirs.step(given)
        for array, other in zip(arrays, expected, strict=True):
            assert_equal(array, other)
        assert_equal(noted, [(i, infos[i]) for i in np.flatnonzero(expected[2])])
    ours.close()


class _Own(PoolVecEnv):
    """A subclass, whose steps may be others."""


def test_a_subclass_is_stepped_by_its_own_step() -> None:
    env = _Own([Echo, Echo], 1)
    assert not isinstance(quickest_steps(env), PoolSteps)
    env.close()


@pytest.mark.parametrize("backend", ["sb3", "torch", "compiled"])
def test_learning_on_it_is_learning_on_dummy_vec_env_bit_by_bit(
    backend: Any, tmp_path: Path
) -> None:
    def trained(make: Any, name: str) -> Any:
        env = make("Pendulum-v1", 4, seed=3, monitor_dir=str(tmp_path / name))
        settings: dict[str, Any] = {"n_steps": 128, "batch_size": 64, "n_epochs": 2, "seed": 2}
        kind = PPO if backend == "sb3" else partial(SpecPPO, backend=backend)
        model = kind("MlpPolicy", env, device="cpu", **settings).learn(1024)
        env.close()
        results = load_results(str(tmp_path / name))
        return model.policy.state_dict(), sorted(results["r"]), sorted(results["l"])

    (ours, *our_episodes), (theirs, *episodes) = (
        trained(make_pool_vec_env, "pool"),
        trained(make_vec_env, "dummy"),
    )
    for name, tensor in theirs.items():
        assert tensor.equal(ours[name]), name
    assert our_episodes == episodes
    assert len(episodes[0]) == 4


def test_functions_one_an_environment_are_wrapped_as_make_vec_env_wraps(tmp_path: Path) -> None:
    ours = make_pool_vec_env(
        [partial(Echo, length=3), partial(Echo, length=4)],
        n_workers=2,
        seed=3,
        start_index=6,
        monitor_dir=str(tmp_path / "m"),
        wrapper_class=TimeLimit,
        wrapper_kwargs={"max_episode_steps": 2},
        monitor_kwargs={"info_keywords": ()},
        vec_env_kwargs={"timeout": 60.0},
    )
    assert ours.env_is_wrapped(TimeLimit) == [True, True]
    assert [space.sample().tolist() for space in ours.get_attr("action_space")] == [
        _sampled(seed) for seed in (9, 10)
    ]
    ours.reset()
    for _ in range(2):
        _, _, dones, _ = ours.step(np.zeros((2, 3), np.float32))
    assert dones.all()
    ours.close()
    assert {file.name for file in (tmp_path / "m").iterdir()} == {"6.monitor.csv", "7.monitor.csv"}
    with pytest.raises(ArgumentError, match="n_envs=3, but 2 functions"):
        make_pool_vec_env([Echo, Echo], 3)


def _sampled(seed: int) -> Any:
    space = Echo().action_space
    space.seed(seed)
    return space.sample().tolist()


# ---------------------------------------------------------------------- what is refused


def test_what_cannot_work_is_refused_in_one_sentence() -> None:
    nested = spaces.Dict({"a": spaces.Dict({"b": spaces.Discrete(2)})})
    for make, kwargs, message in (
        (Echo, {"n_workers": 0}, "n_workers=0: expected 1 or more"),
        (Echo, {"timeout": 0.0}, "timeout=0.0: expected seconds above 0"),
        (Echo, {"start_method": "loky"}, "start_method='loky': expected one of"),
        (lambda _lock=(i for i in "a"): Echo(), {}, "makes environment 0 cannot be sent"),
        (partial(Echo, nested), {}, "Nested observation spaces are not supported"),
        (partial(Echo, spaces.Text(4)), {}, "no arrays of one shape.*SubprocVecEnv"),
    ):
        with pytest.raises(ArgumentError, match=message):
            PoolVecEnv([make], **kwargs)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="no environments"):
        PoolVecEnv([])


def test_steps_are_begun_and_waited_for_by_turns() -> None:
    env, _ = both()
    env.reset()
    with pytest.raises(RuntimeError, match="step_async before step_wait"):
        env.step_wait()
    actions = np.zeros((N, 3), np.float32)
    env.step_async(actions)
    with pytest.raises(RuntimeError, match="under way already"):
        env.step_async(actions)
    assert env.get_attr("taken") == [1] * N  # asked in the midst of it
    env.step_wait()
    env.step_async(actions)
    env.reset()
    assert env.get_attr("taken") == [0] * N
    for wrong in (actions[:4], np.zeros((N, 4), np.float64), np.array([[None] * 3] * N), 3.0):
        with pytest.raises(ArgumentError, match=r"expected \(5, 3\) of float32"):
            env.step(wrong)  # type: ignore[arg-type]
    env.step(actions)
    env.close()


# ---------------------------------------------------------------------- troubles


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("raise", "environment 3 raised ZeroDivisionError: the world has ended"),
        ("interrupt", "environment 3 raised KeyboardInterrupt: raised without Ctrl-C"),
        ("unsendable", "environment 3 raised TypeError: what the environment gave cannot be sent"),
        ("kill", r"environment 3: its worker process \d+ was ended by SIGKILL while it was"),
        ("exit", r"environment 3: its worker process \d+ left with exit code 7 while it was"),
        ("hang", "environment 3 did not answer within timeout=1 seconds while it was stepped"),
    ],
)
def test_an_environment_in_trouble_is_named_and_nothing_is_left(trouble: str, said: str) -> None:
    memory = shared_memory()
    env = troubled(trouble, timeout=1.0 if trouble == "hang" else None)
    processes = pids(env)
    env.reset()
    for _ in range(2):
        env.step(np.zeros((N, 3), np.float32))
    with pytest.raises(WorkerError, match=said) as caught:
        env.step(np.zeros((N, 3), np.float32))
    assert caught.value.index == 3
    assert are_gone(processes)
    assert shared_memory() <= memory
    if trouble == "raise":
        assert 'raise ZeroDivisionError("the world has ended")' in str(caught.value.__cause__)
    for use in (env.reset, lambda: env.get_attr("taken"), lambda: env.step(np.zeros((N, 3)))):
        with pytest.raises(WorkerError, match=f"closed, because {said}"):
            use()
    env.close()
    env.close()


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("raise", "environment 4 raised ZeroDivisionError"),
        ("exit", r"environment 4: its worker process \d+ left with exit code 7 while it was made"),
        ("hang", "environment 4 did not answer within timeout=3 seconds while it was made"),
    ],
)
def test_an_environment_that_cannot_be_made_is_named(trouble: str, said: str) -> None:
    before = _workers_of_this_process()
    with pytest.raises(WorkerError, match=said):
        troubled(trouble, 4, at_once=True, timeout=3.0 if trouble == "hang" else None)
    assert are_gone([pid for pid in _workers_of_this_process() if pid not in before])


def _workers_of_this_process() -> list[int]:
    import multiprocessing

    return [child.pid or 0 for child in multiprocessing.active_children()]


def test_what_a_method_raises_is_raised_and_the_pool_goes_on() -> None:
    env, _ = both()
    with pytest.raises(KeyError, match="tea") as caught:
        env.env_method("refuse", "tea", indices=[1, 2])
    assert caught.value.__notes__ == ["raised in environment 1 of the pool"]
    assert "in refuse" in str(caught.value.__cause__)
    assert len(pids(env)) == 2
    with pytest.raises(WorkerError, match=r"environment 4: .* left with exit code 5 in env_method"):
        env.env_method("end", indices=4)


def test_a_worker_that_dies_idle_is_named_with_its_environments() -> None:
    env, _ = both()
    env.reset()
    first, *_, last = env.env_method("pid")
    os.kill(last, signal.SIGKILL)
    with pytest.raises(WorkerError, match=r"environments 2 to 4: .*SIGKILL, with no environment"):
        env.step(np.zeros((N, 3), np.float32))
    assert are_gone([first, last])


def test_it_may_be_closed_or_forgotten_in_the_midst_of_a_step() -> None:
    for forget in (False, True):
        env, _ = both(observations=IMAGE)
        processes = pids(env)
        env.reset()
        env.step_async(np.zeros((N, 3), np.float32))
        if not forget:
            env.close()
        del env
        assert are_gone(processes)


def test_the_same_environment_twice_is_refused() -> None:
    env = Echo()
    made = PoolVecEnv([lambda: env] * 2, 1)  # cloudpickle has made two of it
    made.close()
    with pytest.raises(WorkerError, match=r"environment 1 raised ValueError: .* same one twice"):
        PoolVecEnv([_shared] * 2, 1)


_one: list[Echo] = []


def _shared() -> Echo:
    _one.append(Echo())
    return _one[0]


SCRIPT = """
import sys, time
from functools import partial
import numpy as np
from ppo_lab.vec_env import make_pool_vec_env
from tests.ppo_lab.vec_env.echo import Troubled
if __name__ == "__main__":
    trouble, method = sys.argv[1:]
    how = {"start_method": method}
    env = make_pool_vec_env(partial(Troubled, trouble), 4, 2, vec_env_kwargs=how)
    print(*set(env.env_method("pid")), flush=True)
    env.reset()
    while True:
        env.step(np.zeros((4, 3), np.float32))
        print("step", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "number", "trouble"),
    [
        ("forkserver", signal.SIGINT, ""),
        ("forkserver", signal.SIGTERM, ""),
        ("forkserver", signal.SIGKILL, ""),
        ("forkserver", signal.SIGKILL, "hang"),
        ("spawn", signal.SIGKILL, "hang"),
        ("spawn", signal.SIGINT, ""),
        ("fork", signal.SIGTERM, ""),
        ("fork", signal.SIGKILL, "hang"),
    ],
)
def test_nothing_outlives_its_parent(
    method: str, number: signal.Signals, trouble: str, tmp_path: Path
) -> None:
    memory = shared_memory()
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(HOME), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, str(script), trouble, method],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        processes = [int(word) for word in parent.stdout.readline().split()]
        assert len(processes) == 2
        assert parent.stdout.readline() == "step\n"
        time.sleep(0.3)
        parent.send_signal(number)
        parent.wait(30.0)
    assert are_gone(processes, 30.0)
    assert shared_memory() <= memory
    assert [file.name for file in tmp_path.iterdir() if "pymp" not in file.name] == ["script.py"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_every_way_to_start_processes_gives_the_same_numbers(method: str) -> None:
    ours = make_pool_vec_env(Echo, N, 2, seed=4, vec_env_kwargs={"start_method": method})
    theirs = make_vec_env(Echo, N, seed=4)
    assert_alike(ours, theirs, drawn(theirs.action_space))
    ours.close()
