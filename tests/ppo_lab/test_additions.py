"""The benchmark of SpecPPO's additions: its rows can be built, it goes on, it says what it ran."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.additions import ADDITIONS, DEFAULT, TASKS, Experiment, Measured, Task, main, table
from ppo_lab.runs.execution import check_run
from ppo_lab.runs.references import ReferenceScores

UNIT = {task.env: ReferenceScores(0.0, 1.0, "") for task in TASKS}


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.env)
def test_every_row_of_every_environment_can_be_built(task: Task, tmp_path: Path) -> None:
    experiment = Experiment((task,), tuple(ADDITIONS), 1, 1.0, tmp_path)
    runs = experiment.runs(UNIT)
    assert len(runs) == len(ADDITIONS)
    for config in runs.values():
        check_run(config)
        assert config.timesteps == task.timesteps


def test_each_row_changes_one_thing_of_the_default(tmp_path: Path) -> None:
    experiment = Experiment(TASKS, tuple(ADDITIONS), 1, 1.0, tmp_path)
    for config in experiment.runs(UNIT).values():
        base = next(task.settings for task in TASKS if task.env == config.env)
        changed = {k: v for k, v in config.hyperparameters.items() if base.get(k, ...) != v}
        assert bool(changed) == (config.settings != DEFAULT)


def test_the_table_holds_means_and_probabilities_of_improvement() -> None:
    scores = {
        DEFAULT: {"a": {7: 0.0, 8: 1.0}, "b": {7: 0.5, 8: 0.5}},
        "better": {"a": {8: 2.0}, "b": {7: 0.5, 8: 1.0}},
    }
    measured = Measured(scores, [], 0.0)
    # Without a second run of a, one of b is left out: (2 + 0.5)/2 and (1 + ½)/2. Of the pairs, by
    # seed, the differences are 1 and 0, ½: (1 + ¼)/2, and of the two that differ both signs agree.
    rows = table(measured, ["a", "b"]).splitlines()
    assert rows[2].startswith("| default | 4 | 0.500 [")
    assert rows[2].endswith("| – | – | – | – | – |")
    assert rows[3] == (
        "| better | 2 | 1.250 | 0.750 | 0.625 | 0.500 | – | so few pairs never could |"
    )
    np.testing.assert_array_equal(measured.matrix("better", ["b"]), [[0.5], [1.0]])


def test_rows_are_told_from_the_default_by_their_pairs() -> None:
    noise = np.random.default_rng(0).normal(size=8)
    scores = {
        DEFAULT: {"a": dict(enumerate(noise))},
        "up": {"a": {seed: x + 0.01 * (seed + 1) for seed, x in enumerate(noise)}},
        "same": {"a": dict(enumerate(noise))},
        "down": {"a": {seed: x - 0.01 * (seed + 1) for seed, x in enumerate(noise)}},
    }
    rows = table(Measured(scores, [], 0.0), ["a"]).splitlines()
    # All eight signs agree: 2/2⁸ = 0.0078, three times that for the least of three p.
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows[3:]]
    assert [(row[0], row[5], row[7]) for row in cells] == [
        ("up", "0.023", "higher"),
        ("same", "1.000", "not told"),
        ("down", "0.023", "lower"),
    ]
    # The differences spread over 0.01 … 0.08: hardly any of the noise is left.
    assert float(cells[0][6]) < 0.01


@pytest.mark.slow
def test_a_smoke_test_is_run_written_and_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "additions.md"
    arguments = ["--seeds", "1", "--scale", "0.01", "--envs", "GridWorld", "--only", "KL stop"]
    arguments += ["--jobs", "2", "--log-folder", str(tmp_path), "--write", str(page)]
    assert main(arguments) == 0
    first = page.read_text()
    assert (
        re.findall(r"^\| (default|KL stop) \|", first, re.MULTILINE) == ["default", "KL stop"] * 2
    )
    assert "512 steps, 8 environments, n_steps 64" in first
    assert main(arguments) == 0
    assert "2 of them from an earlier call" in capsys.readouterr().out
    assert page.read_text() == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scale", "0"], "--scale 0.0: expected a number in (0, 1]"),
        (["--envs", "Hopper"], "--envs Hopper: none of ppo_lab/GridWorld-v0"),
        (["--seeds", "0"], "seeds=0: expected at least 1"),
    ],
)
def test_bad_usage_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--log-folder", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"benchmarks.additions: {message}")
    assert errors.count("\n") == 1
