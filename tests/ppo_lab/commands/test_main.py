"""``ppo-lab`` and ``python -m ppo_lab``: every command under one name."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ppo_lab import __version__
from ppo_lab.__main__ import COMMANDS, main
from ppo_lab.commands.warming import warmed

HOME = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "completion"])
def test_a_command_is_its_module(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name.upper(), "--help"])
    assert stopped.value.code == 0
    module = importlib.import_module(f"ppo_lab.{name.replace('-', '_')}")
    assert capsys.readouterr().out == module._parser().format_help()


def test_without_a_command_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert (main([]), main(["--help"])) == (2, 0)
    assert all(f"\n  {name} " in capsys.readouterr().out for name in ("train",))
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__
    assert main(["trian"]) == 2
    assert capsys.readouterr().err == "ppo-lab: no command 'trian'; closest: train\n"


def test_the_script_that_pip_installs_is_this_one() -> None:
    project = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))["project"]
    module, name = project["scripts"]["ppo-lab"].split(":")
    assert getattr(importlib.import_module(module), name) is main


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_commands_and_flags(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    assert {"--timesteps", "--n-envs", "--screen-seeds"} <= set(script.replace("'", " ").replace(
        '"', " ").replace("[", " ").replace(")", " ").replace("}", " ").split())  # fmt: skip


def test_completion_for_no_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "fish"]) == 2
    assert "expected one shell: bash, zsh, tcsh" in capsys.readouterr().err


def test_a_reader_that_stops_reading_is_no_fault(tmp_path: Path) -> None:
    scores = "\n".join(f"{a},T-v0,{s},8,{s}" for a in ("a", "b") for s in range(3))
    (tmp_path / "s.csv").write_text(f"algo,env,seed,step,score\n{scores}\n")
    command = f"{sys.executable} -m ppo_lab report s.csv --format csv --explain"
    answer = subprocess.run(
        ["bash", "-c", f"{command} | head -c 1 > /dev/null; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path, env={"PYTHONPATH": str(HOME), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.stderr == ""


@pytest.mark.slow
def test_warming_up_runs_what_a_training_runs() -> None:
    ready = [what for what, _ in warmed(["discrete"])]
    assert len(ready) == 4
    assert all(what.startswith("discrete actions, ") for what in ready)
