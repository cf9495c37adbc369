"""The cache on disk: used, and rebuilt where it is broken, stale or cannot be written."""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL
from types import ModuleType

import numba
import pytest

from ppo_lab.kernels import compiling_apart, numba_internals
from ppo_lab.kernels.compiling import kernel
from ppo_lab.kernels.numba_internals import compiled_together

CALL = """
import sys; sys.path.insert(0, sys.argv[1])
import helpers, kernels
from ppo_lab.kernels.numba_internals import on_compiling
compiled = []
with on_compiling(lambda _folder: compiled.append(1)):
    print(kernels.twice(3), len(compiled))
"""


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Two files: a kernel, and the kernel that it calls."""
    write_helper(tmp_path, 1)
    (tmp_path / "kernels.py").write_text(
        "from helpers import helper\nfrom ppo_lab.kernels.compiling import entry_kernel\n\n"
        "@entry_kernel\ndef twice(x: int) -> int:\n    return 2 * helper(x)\n"
    )
    return tmp_path


def write_helper(room: Path, added: int) -> None:
    (room / "helpers.py").write_text(
        "from ppo_lab.kernels.compiling import kernel\n\n"
        f"@kernel\ndef helper(x: int) -> int:\n    return x + {added}\n"
    )


@pytest.fixture
def kernels(room: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Two kernels with one helper, and nothing compiled."""
    with (room / "kernels.py").open("a") as file:
        file.write("\n@entry_kernel\ndef thrice(x: int) -> int:\n    return 3 * helper(x)\n")
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.syspath_prepend(str(room))
    yield importlib.import_module("kernels")
    for name in ("kernels", "helpers"):
        del sys.modules[name]


def call(room: Path, **environment: str) -> str:
    """What ``twice(3)`` is and how many kernels were compiled, in a process of its own."""
    checkout = str(Path(__file__).parents[3])
    inherited = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", CALL, str(room)],
        env={**inherited, "PYTHONPATH": checkout, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def cached(room: Path) -> list[Path]:
    return sorted(p for p in (room / "__pycache__").iterdir() if p.suffix in (".nbi", ".nbc"))


def test_a_kernel_for_kernels_refuses_a_call_from_python() -> None:
    @kernel
    def inner(x: int) -> int:
        return x + 1

    with pytest.raises(TypeError, match=r"inner was called from Python.*entry_kernel"):
        inner(1)


def test_a_second_process_compiles_nothing(room: Path) -> None:
    assert call(room) == "8 1"
    assert call(room) == "8 0"


@pytest.mark.parametrize(("suffix", "kept"), [(".nbi", 0), (".nbc", 20)])
def test_a_truncated_cache_is_rebuilt(room: Path, suffix: str, kept: int) -> None:
    call(room)
    for path in cached(room):
        if path.suffix == suffix:
            path.write_bytes(path.read_bytes()[:kept])
    assert call(room).startswith("8 ")
    assert call(room) == "8 0"


@pytest.mark.slow
def test_rubbish_in_the_cache_is_rebuilt(room: Path) -> None:
    call(room)
    for path in cached(room):
        path.write_bytes(b"\x80\x05rubbish")
    assert call(room) == "8 1"
    assert call(room) == "8 0"


def test_a_changed_helper_in_another_file_reaches_its_callers(room: Path) -> None:
    assert call(room) == "8 1"
    write_helper(room, 2)
    assert call(room) == "10 1"


def test_where_nothing_can_be_written_the_code_lives_in_memory(room: Path) -> None:
    # Below a file there is no directory, not even for root; nobody is told of what is not kept.
    (room / "__pycache__").write_text("not a directory")
    nowhere = str(room / "__pycache__" / "below")
    where = ("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME")
    assert call(room, **dict.fromkeys(where, nowhere)) == "8 0"
    assert (room / "__pycache__").is_file()


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, ppo_lab.kernels as k, ppo_lab.kernels.layout, ppo_lab.kernels.settings; "
        "print({'numba', 'torch'} & set(sys.modules))"
    )
    checkout = str(Path(__file__).parents[3])
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": checkout},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "set()"


def test_the_process_that_is_first_to_use_a_kernel_loads_it_as_all_later_ones_do(
    room: Path,
) -> None:
    code = CALL + "print(sum(kernels.twice.stats.cache_hits.values()))"
    checkout = str(Path(__file__).parents[3])
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-B", "-c", code, str(room)],
            env={**os.environ, "PYTHONPATH": checkout},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split()[-1] == "1"  # by what the disk holds, in both


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the compiler that the whole session of tests shares."""
    monkeypatch.setattr(numba_internals, "_listeners", [])
    monkeypatch.setattr(compiling_apart, "_compilers", [])


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("n_cores", "n_processes"), [(2, 2), (1, 1)])
def test_kernels_needed_together_are_compiled_by_a_process_for_each_core(
    kernels: ModuleType, n_cores: int, n_processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling_apart, "_usable_cores", lambda: n_cores)
    with compiled_together([(kernels.twice, (3,))], [(kernels.thrice, (3,))]):
        assert kernels.twice(3) == 8
        processes = [compiler._process for compiler in compiling_apart._compilers]
        assert kernels.thrice(3) == 12
    assert len(processes) == n_processes
    # None is left behind; one whose kernel was found on disk before it answered is killed.
    assert all(process.returncode in (0, -SIGKILL) for process in processes)
    # By what the disk holds, as all later uses.
    assert [sum(each.stats.cache_hits.values()) for each in (kernels.twice, kernels.thrice)] == [
        1,
        1,
    ]


@pytest.mark.usefixtures("alone")
def test_where_a_compiler_dies_a_kernel_is_compiled_here(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling_apart, "START", "raise SystemExit")
    with compiled_together([(kernels.twice, (3,))], [(kernels.thrice, (3,))]):
        assert (kernels.twice(3), kernels.thrice(3)) == (8, 12)
    assert compiling_apart._compilers == []


@pytest.mark.usefixtures("alone")
def test_an_interrupted_wait_leaves_no_process_behind(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> bool:
        processes.extend(compiler._process for compiler in compiling_apart._compilers)
        raise KeyboardInterrupt

    processes: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(compiling_apart, "_usable_cores", lambda: 2)
    monkeypatch.setattr(compiling_apart.Compiler, "answer", interrupted)
    lanes = [(kernels.twice, (3,))], [(kernels.thrice, (3,))]
    with pytest.raises(KeyboardInterrupt), compiled_together(*lanes):
        kernels.twice(3)
    assert [process.poll() is None for process in processes] == [False, False]


@pytest.mark.slow  # compiles every kernel
def test_the_first_training_on_a_machine_gives_the_bits_of_the_next(tmp_path: Path) -> None:
    code = (
        "from ppo_lab import SpecPPO\n"
        "model = SpecPPO('MlpPolicy', 'Pendulum-v1', n_steps=256, seed=3).learn(700)\n"
        "print(*(p.detach().double().sum().item().hex() for p in model.policy.parameters()))\n"
    )
    lines = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[-1]
        for _ in range(2)
    ]
    assert lines[0] == lines[1]


def test_a_compiler_that_does_not_end_is_killed_and_stops_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiling_apart, "START", "import time; time.sleep(20)")
    monkeypatch.setattr(compiling_apart, "ENDING_SECONDS", 0.1)
    compiler = compiling_apart.Compiler()
    begun = time.monotonic()
    compiler.end()
    assert not compiler.is_alive
    assert time.monotonic() - begun < 10
