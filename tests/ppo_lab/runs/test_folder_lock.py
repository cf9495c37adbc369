"""Two commands in one folder: the second says who holds it, and nobody's work is swept."""

import errno
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ppo_lab.compare import main as compare
from ppo_lab.runs import folder_lock as module
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.folder_lock import FolderInUseError, folder_lock, holder_of
from ppo_lab.runs.leftovers import move_into_place, new_folder_beside, sweep, take_name
from ppo_lab.runs.resumable import UNFINISHED, find_folder
from ppo_lab.train import main as train
from ppo_lab.tune import main as tune

HOME = Path(__file__).resolve().parents[3]
HOLD = (
    "import sys, time; from pathlib import Path; from ppo_lab.runs.folder_lock import folder_lock\n"
    "with folder_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)
LIMITS = ["--timesteps", "64", "--eval-episodes", "1", "-P", "n_steps:32", "batch_size:32"]


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without ``flock``, as some network ones are."""

    def refuse(_handle: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(module.fcntl, "flock", refuse)


def holding(folder: Path) -> "subprocess.Popen[str]":
    """Another process that is at work in a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], cwd=HOME, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def ended() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_second_is_told_who_holds_the_folder_and_the_last_leaves_no_lock(tmp_path: Path) -> None:
    with folder_lock(tmp_path):
        holder = holder_of(tmp_path)
        assert holder is not None
        assert (holder.pid, holder.host) == (os.getpid(), socket.gethostname())
        message = rf"process {os.getpid()} on {socket.gethostname()} since \d{{4}}-\d\d-\d\d \d\d:"
        with pytest.raises(FolderInUseError, match=message), folder_lock(tmp_path):
            pass
    assert holder_of(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_lock_goes_with_a_killed_process_though_its_children_live(tmp_path: Path) -> None:
    script = HOLD.replace("print(", "os.fork() or time.sleep(60); print(").replace(
        "import sys", "import os, sys"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=HOME, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert holder_of(tmp_path) is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 10  # the child may have yet to begin, and to let its copy go
        while holder_of(tmp_path) is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert holder_of(tmp_path) is None
        with folder_lock(tmp_path):  # the file that it has left is taken over
            pass
        os.killpg(process.pid, signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def test_many_share_a_folder_and_nobody_has_it_for_himself_meanwhile(tmp_path: Path) -> None:
    shared = partial(folder_lock, tmp_path, shared=True)
    with shared(), shared(), pytest.raises(FolderInUseError), folder_lock(tmp_path):
        pass
    with folder_lock(tmp_path), pytest.raises(FolderInUseError), shared():
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_living_process_is_believed_and_a_dead_one_is_not(tmp_path: Path) -> None:
    with folder_lock(tmp_path), pytest.raises(FolderInUseError), folder_lock(tmp_path):
        pass
    left = '{"pid": %d, "host": "%s", "since": %f}'
    lock = tmp_path / module.LOCK
    lock.write_text(left % (ended(), socket.gethostname(), time.time()))
    with folder_lock(tmp_path):
        pass
    lock.write_text(left % (1, "elsewhere", time.time()))
    with pytest.raises(FolderInUseError, match="process 1 on elsewhere"), folder_lock(tmp_path):
        pass
    # This process began after 1970: its number was another's then.
    lock.write_text(left % (os.getpid(), socket.gethostname(), 1.0))
    with folder_lock(tmp_path):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"since": 1e99, "pid": 1}'])
def test_lock_file_of_anything_names_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / module.LOCK).write_text(content)
    with folder_lock(tmp_path):
        pass


def test_lock_of_a_file_that_its_holder_has_just_removed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_handle, removed = module.lock_handle, []

    def lock_too_late(handle: int, *, shared: bool = False) -> bool | None:
        if not removed:
            removed.append(handle)
            (tmp_path / module.LOCK).unlink()
        return lock_handle(handle, shared=shared)

    monkeypatch.setattr(module, "lock_handle", lock_too_late)
    with folder_lock(tmp_path):
        assert (tmp_path / module.LOCK).is_file()
        with pytest.raises(FolderInUseError), folder_lock(tmp_path):
            pass


# ------------------------------------------------------------------ leftovers


def test_what_the_dead_left_is_swept_and_what_the_living_write_is_not(tmp_path: Path) -> None:
    runs = tmp_path / "runs" / "ppo"
    dead, alive = ended(), os.getppid()
    host = socket.gethostname()
    gone = [runs / f".A_1.part-{dead}", runs / f".A_2.part-{dead}-0a1b2c3d",
            runs / f".A_3.old-{dead}", tmp_path / f".video-{dead}-x"]  # fmt: skip
    files = [tmp_path / f".report.md.part-{dead}@{host}", tmp_path / f".ppo.yml.part-{dead}",
             tmp_path / f".probe-{dead}"]  # fmt: skip
    kept = [runs / f".B_1.part-{alive}", runs / "A_3", runs / ".mine", runs / "A_4.part-1",
            # Another machine's, whose lock does not show here.
            runs / f".B_2.part-{dead}-0a1b2c3d@elsewhere"]  # fmt: skip
    kept_files = [tmp_path / f".report.md.part-{alive}", tmp_path / ".x.part-1@elsewhere",
                  tmp_path / f".probe-{dead}-0a1b@elsewhere"]  # fmt: skip
    for folder in (*gone, *kept):
        folder.mkdir(parents=True)
        (folder / "0.monitor.csv").touch()
    for file in (*files, *kept_files):
        file.touch()
    sweep(tmp_path)
    assert not [path for path in (*gone, *files) if path.exists()]
    assert not [path for path in (*kept, *kept_files) if not path.exists()]


def test_folder_of_a_living_process_of_another_machine_is_kept_by_its_lock(tmp_path: Path) -> None:
    folder = tmp_path / f".A_1.part-{ended()}-00"
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY)
    assert module.lock_handle(handle)
    sweep(tmp_path)
    assert folder.is_dir()
    module.let_go(handle)
    sweep(tmp_path)
    assert not folder.exists()


def test_run_killed_while_it_was_replaced_gets_its_name_back(tmp_path: Path) -> None:
    old = tmp_path / f".A_1.old-{ended()}"
    old.mkdir()
    (old / "run.json").write_text("failed")
    sweep(tmp_path)
    assert (tmp_path / "A_1" / "run.json").read_text() == "failed"
    assert not old.exists()


def test_folder_appears_whole_over_a_failed_one_and_nothing_is_left(tmp_path: Path) -> None:
    target = tmp_path / "[A]*_1"
    for content in ("failed", "completed"):
        begun = new_folder_beside(target)
        (begun / "run.json").write_text(content)
        move_into_place(begun, target)
    assert (target / "run.json").read_text() == "completed"
    abandoned = new_folder_beside(target)  # by an exception
    again = new_folder_beside(target)
    assert not abandoned.exists()
    (again / "run.json").touch()
    assert not take_name(again, target)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


# ------------------------------------------------------------------ the commands


@pytest.mark.parametrize(
    ("command", "flags", "name"),
    [
        (
            compare,
            ["--envs", "CartPole-v1", "--seeds", "1", "--algos", "ppo", "--settings", "default"],
            "compare-CartPole-v1",
        ),
        (tune, ["--env", "CartPole-v1"], "tune-CartPole-v1"),
    ],
)
def test_second_command_in_a_folder_says_who_holds_it(
    command, flags, name, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    with folder_lock(tmp_path / name):
        arguments = [*flags, "--timesteps", "2048", "--log-folder", str(tmp_path)]
        assert command(arguments) == 1
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert f"{tmp_path / name}/ is in use by process {os.getpid()} on " in errors
    assert not list(tmp_path.rglob("*.db"))


def test_train_of_a_living_run_says_who_trains_it_and_advises_nothing_dangerous(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*LIMITS, "--log-folder", str(tmp_path)]
    assert train([*flags, "--seed", "1"]) == 0
    run = tmp_path / "spec_ppo" / "CartPole-v1_1"
    aside = run.with_name(run.name + UNFINISHED)
    run.rename(aside)  # as it lies while it is being made, with a checkpoint
    record = (aside / "run.json").read_text().replace('"completed"', '"unfinished"')
    (aside / "run.json").write_text(record)
    (aside / "rl_model_32_steps.zip").touch()
    capsys.readouterr()
    with holding(aside) as other:
        for arguments in ([*flags, "--seed", "1"], ["--resume", str(aside), "--timesteps", "96"]):
            assert train(arguments) == 1
            errors = capsys.readouterr().err
            assert errors.count("\n") == 1
            assert f"is being trained by process {other.pid} on {socket.gethostname()}" in errors
            assert "remove" not in errors
        assert train([*flags, "--seed", "2"]) == 0  # another run, beside it
        other.kill()
    capsys.readouterr()
    assert train([*flags, "--seed", "1"]) == 1
    assert "this run was stopped before" in capsys.readouterr().err


def test_two_that_look_for_a_place_at_once_never_get_two_for_one_run_nor_one_for_two(
    tmp_path: Path,
) -> None:
    def config(seed: int) -> RunConfig:
        return RunConfig("ppo", "CartPole-v1", seed, 64, 1, "MlpPolicy", {}, Evaluation(1, 0))

    for repetition in range(10):
        places: dict[int, Path] = {}
        barrier = threading.Barrier(4)

        def look(index: int, logs: Path, meet: threading.Barrier, found: dict[int, Path]) -> None:
            meet.wait()
            found[index] = find_folder(config(index % 2), logs).folder

        logs = tmp_path / str(repetition)
        threads = [
            threading.Thread(target=look, args=(index, logs, barrier, places)) for index in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert places[0] == places[2] != places[1] == places[3]


def test_fork_in_a_child_leaves_the_parents_lock_alone(tmp_path: Path) -> None:
    with folder_lock(tmp_path):
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(0,))
        child.start()
        child.join()
        with pytest.raises(FolderInUseError), folder_lock(tmp_path):
            pass
