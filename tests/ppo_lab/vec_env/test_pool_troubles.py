"""An end to every trouble of the pool: it is named, and no process and no memory is left."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppo_lab.errors import WorkerError
from ppo_lab.vec_env import make_pool_vec_env
from ppo_lab.vec_env.pool import PoolVecEnv
from tests.ppo_lab.vec_env.echo import Echo, Troubled
from tests.ppo_lab.vec_env.pooled import IMAGE, N, both, pids

HOME = Path(__file__).resolve().parents[3]


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
