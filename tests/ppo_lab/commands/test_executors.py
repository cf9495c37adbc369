"""Flags of a cluster that cannot work: one line, before anything is run."""

import re
import sys
from pathlib import Path

import pytest

from ppo_lab.compare import main as compare
from ppo_lab.tune import main as tune

COMMANDS = {
    "compare": (compare, ["--algos", "optimal", "--envs", "ppo_lab/GridWorld-v0"]),
    "tune": (tune, ["--algo", "ppo", "--env", "ppo_lab/GridWorld-v0"]),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--cluster", "auto"], 1, r'--cluster needs ray, .*: pip install "ppo-lab\[ray\]"'),
        (["--cluster", "http://lab:hush@host"], 2, "expected auto, host:port or ray://host:10001"),
        (["--cluster", "127.0.0.1"], 2, "expected auto, host:port or ray://host:10001"),
        (["--cluster", "ray://host:99999"], 2, "expected auto, host:port or ray://host:10001"),
        (["--cluster", "ray://lab:hush@host:1"], 2, "without a user or a password"),
        (["--cluster", "auto", "--cpus-per-run", "0"], 2, "--cpus-per-run 0: expected more"),
        (["--cluster", "auto", "--gpus-per-run", "-1"], 2, "--gpus-per-run -1: expected at least"),
        (["--cpus-per-run", "2"], 2, "--cpus-per-run 2 without --cluster: on this machine"),
        (["--cluster", "auto", "--py-modules", "/none"], 2, "with an __init__.py in it"),
    ],
)
def test_what_cannot_work_is_one_line_and_leaves_nothing(
    name: str,
    words: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    command, more = COMMANDS[name]
    words = [*more, *words, "--timesteps", "64", "--log-folder", str(tmp_path)]
    assert command(words) == code
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert re.search(said, errors)
    assert "hush" not in errors
    assert list(tmp_path.iterdir()) == []
