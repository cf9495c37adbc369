"""``compare --until-clear``: looks, what is kept of them, going on, and what is refused."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ppo_lab.commands.comparison import ComparisonPlan, run_groups
from ppo_lab.commands.settings_source import SettingsSource
from ppo_lab.commands.until_clear import count_look, execute_until_clear, looks_before
from ppo_lab.compare import main
from ppo_lab.errors import ArgumentError, CommandError
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.execution import RunResult
from reports.logs.looks import Looks
from reports.logs.looks_file import LOOKS, read_looks
from reports.statistics.sequential import UntilClear

GRID, NOISY = "ppo_lab/GridWorld-v0", "ppo_lab/NoisyGridWorld-v0"
DESIGN = UntilClear(max_seeds=9, first=3, step=3)
REFERENCE = {"low": -0.25, "high": 1.0, "source": "stated"}
Score = Callable[[RunConfig], float | None]


def plan_of(
    folder: Path, *algos: str, seeds: int = 9, envs: tuple[str, ...] = (GRID,)
) -> ComparisonPlan:
    made = run_groups(algos, envs, SettingsSource(base="default"), 64, Evaluation(1, 0))
    groups = tuple(replace(each, run=replace(each.run, reference=REFERENCE)) for each in made)
    return ComparisonPlan(groups, tuple(range(seeds)), tuple(range(seeds)), folder / "runs")


def steady(run: RunConfig) -> float:
    """a2c far above the two others, which hardly differ."""
    noise = np.random.default_rng([run.seed, len(run.algo)]).normal()
    return float(100.0 * (run.algo == "a2c") + noise)


class Maker:
    """Makes runs at once, of made-up scores, and remembers what it was asked for."""

    def __init__(self, score: Score = steady, most: int = 1000) -> None:
        self.score, self.left = score, most
        self.asked: list[Path] = []

    def __call__(self, part: ComparisonPlan) -> list[tuple[RunConfig, RunResult]]:
        made = []
        for folder, run in part.runs.items():
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            self.asked.append(folder)
            score = self.score(run)
            made.append((run, RunResult(score, None if score is not None else "blew up", 1.0)))
        return made


def looked(plan: ComparisonPlan, maker: Maker, design: UntilClear = DESIGN) -> Looks:
    execute_until_clear(plan, design, 0, maker, lambda _: None)
    return read_looks(plan.folder / LOOKS)


def asked(maker: Maker) -> Mapping[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for folder in maker.asked:
        numbers.setdefault(folder.parent.name.partition("-")[0], []).append(
            int(folder.name.rpartition("_")[2])
        )
    return numbers


def test_labels_that_are_decided_get_no_more_runs_and_each_run_is_asked_for_once(
    tmp_path: Path,
) -> None:
    maker = Maker()
    looks = looked(plan_of(tmp_path, "ppo", "a2c", "trpo"), maker)
    numbers = asked(maker)
    assert numbers["a2c"] == [1, 2, 3]
    assert numbers["ppo"] == numbers["trpo"] == list(range(1, len(numbers["ppo"]) + 1))
    assert len(numbers["ppo"]) in (6, 9)
    assert looks.seeds == {f"{algo} (default)": len(of) for algo, of in numbers.items()}
    first, later = looks.looks[0].decided, looks.decided[2:]
    assert [(pair.x, pair.y, pair.verdict) for pair in first] == [
        ("ppo (default)", "a2c (default)", "lower"),
        ("a2c (default)", "trpo (default)", "higher"),
    ]
    assert [pair.told for pair in later] == [False]
    assert looks.scales == {GRID: 1.0 - -0.25}
    assert first[0].difference == pytest.approx(-100 / 1.25, rel=0.05)


def test_a_killed_comparison_goes_on_where_it_was_wherever_that_is(tmp_path: Path) -> None:
    names = ("ppo", "a2c", "trpo")
    whole = looked(plan_of(tmp_path / "whole", *names), Maker())
    for most in range(0, 14, 3):
        plan = plan_of(tmp_path / str(most), *names)
        with pytest.raises(KeyboardInterrupt):
            looked(plan, Maker(most=most))
        assert looked(plan, Maker()) == whole


def test_what_a_look_decided_stands_though_a_failed_run_succeeds_later(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "ppo", "a2c")
    failing = looked(
        plan, Maker(lambda run: None if (run.seed, run.algo) == (0, "ppo") else steady(run))
    )
    again = Maker(lambda run: 500.0 if (run.seed, run.algo) == (0, "ppo") else steady(run))
    assert looked(plan, again) == failing
    assert failing.looks[0].decided[0].verdict == "lower"


def test_every_task_counts_alike_whatever_its_scale(tmp_path: Path) -> None:
    envs = (GRID, "MountainCarContinuous-v0")

    def score(run: RunConfig) -> float:
        noise = float(np.random.default_rng([run.seed, len(run.algo)]).normal())
        gain = 2.0 * (run.algo == "a2c")
        return gain + 0.1 * noise if run.env == GRID else 1000 * noise

    plan = plan_of(tmp_path, "ppo", "a2c", envs=envs)
    unknown = tuple(replace(g, run=replace(g.run, reference=None)) for g in plan.groups)
    looks = looked(replace(plan, groups=unknown), Maker(score))
    # No reference is stated or in the table for the grid: its scale is the first look's spread.
    scores = [score(replace(g.run, seed=s)) for g in unknown if g.run.env == GRID for s in range(3)]
    assert looks.scales[GRID] == pytest.approx(np.std(scores))
    assert looks.scales["MountainCarContinuous-v0"] > 90


def test_another_plan_or_runs_without_one_are_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "ppo", "a2c")
    looked(plan, Maker())
    before = (plan.folder / LOOKS).read_bytes()
    with pytest.raises(
        ArgumentError, match=r"holds another plan .*\(it differs in error\): choose"
    ):
        looked(plan, Maker(), replace(DESIGN, error=0.01))
    with pytest.raises(ArgumentError, match=r"\(it differs in labels\)"):
        looked(plan_of(tmp_path, "ppo", "trpo"), Maker())
    with pytest.raises(ArgumentError, match=r"holds a comparison with --until-clear"):
        looks_before(plan)
    assert (plan.folder / LOOKS).read_bytes() == before
    plain = plan_of(tmp_path / "plain", "ppo", "a2c", seeds=5)
    (plain.folder / "ppo-default" / "E_1").mkdir(parents=True)
    (plain.folder / "ppo-default" / "E_1" / "run.json").write_text("{}")
    with pytest.raises(
        ArgumentError, match=r"made without --until-clear, whose plan must be fixed"
    ):
        looked(plain, Maker())
    (plain.folder / LOOKS).write_text("{")
    with pytest.raises(ArgumentError, match=r"looks\.json.*choose another folder"):
        looked(plain, Maker())


def test_nothing_but_failures_ends_at_the_first_look(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="all 6 runs failed, the first: blew up"):
        looked(plan_of(tmp_path, "ppo", "a2c"), Maker(lambda _: None))


def test_a_plain_comparison_notes_a_look_whenever_there_are_more_seeds(tmp_path: Path) -> None:
    for seeds in (5, 5, 10, 3, 12):
        plan = plan_of(tmp_path, "ppo", "a2c", seeds=seeds)
        count_look(plan, looks_before(plan))
    noted = looks_before(plan).looks
    assert [look.seeds["ppo (default)"] for look in noted] == [5, 10, 12]


def test_a_report_of_an_earlier_version_counts_as_a_look(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "ppo", seeds=4)
    for folder in plan.runs:
        folder.mkdir(parents=True)
    assert looks_before(plan).looks == ()
    (tmp_path / "report.json").write_text("{}")
    assert [look.seeds for look in looks_before(plan).looks] == [{"ppo (default)": 4}]


COMMAND = ["--envs", GRID, "--timesteps", "64", "--episodes", "5", "--points", "1", "--jobs", "2"]
COMMAND += ["--settings", "default"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--until-clear", "--algos", "ppo"],
            r"--until-clear with ppo \(default\) alone: expected",
        ),
        (["--until-clear", "--first", "2"], r"--first 2: expected at least 3 seeds"),
        (["--until-clear", "--max-seeds", "4"], r"--max-seeds 4 is below first=5"),
        (["--until-clear", "--step", "0"], r"--step 0: expected at least 1"),
        (
            ["--until-clear", "--error", "0.5"],
            r"--error 0\.5: expected a number between 0 and 0\.5",
        ),
        (["--until-clear", "--futility", "1"], r"--futility 1: expected at least 0"),
        (["--until-clear", "--seeds", "5"], r"--seeds 5 with --until-clear"),
        (["--until-clear", "--max-seeds", "1001"], r"--step 5 makes 201 looks: expected at most"),
        (["--until-clear", "--max-seeds", "1001", "--step", "9"], r"seeds=1001: expected at most"),
        (["--first", "5"], r"--first belongs to --until-clear: give both"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*COMMAND, *arguments, "--log-folder", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert re.fullmatch(rf"ppo_lab\.compare: .*{message}.*\n", errors)
    assert not list(tmp_path.glob("**/run.json"))


@pytest.mark.slow  # two commands with reports; the looks alone are tested above
def test_the_command_ends_where_it_is_clear_and_goes_on_after_a_kill_to_the_same_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = ["--until-clear", "--first", "3", "--step", "2", "--max-seeds", "7"]
    algos = ["--algos", "a2c", "q_learning", "optimal"]
    arguments = [*COMMAND, *algos, *plan, "--log-folder", str(tmp_path)]
    assert main(arguments) == 0
    folder = next(tmp_path.glob("compare-*"))
    output = capsys.readouterr().out
    assert "Look 1 of 3, 3 seeds: a2c (default), q_learning (default), optimal (exact)" in output
    report = json.loads((folder / "report.json").read_text())
    assert {row["verdict"] for row in report["looks"]} <= {"higher", "given up", "not told"}
    assert len(report["looks"]) == 3
    assert all(row["rank_p"] is None for row in (*report["aggregates"], *report["pairs"]))
    assert "These runs stopped where it was clear" in report["cautions"][0]
    assert "up to 7 test seeds" in report["notes"][0]
    before = {n: (folder / n).read_bytes() for n in ("report.json", "report.md", "runs/looks.json")}
    # As a kill leaves it after the first look: the later look unnoted, a run of it unmade.
    looks = json.loads((folder / "runs" / LOOKS).read_text())
    looks["looks"] = looks["looks"][:1]
    (folder / "runs" / LOOKS).write_text(json.dumps(looks))
    shutil.rmtree(next(folder.glob("runs/a2c-default/*_5")))
    assert main(arguments) == 0
    assert before == {name: (folder / name).read_bytes() for name in before}
    assert main([*arguments, "--error", "0.01"]) == 2
    assert main([*COMMAND, *algos, "--seeds", "7", "--log-folder", str(tmp_path)]) == 2
