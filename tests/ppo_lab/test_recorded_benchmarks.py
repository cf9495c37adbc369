"""Benchmarks with records: what is run, what stays of it, what the tables make of it."""

import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import additions, atari, box2d, equivalence, mujoco
from benchmarks import recorded_tables as tables
from benchmarks.page_marks import write_between_marks
from benchmarks.recorded_command import PUBLISHED, Plan, run_benchmark
from benchmarks.recorded_page import sections
from benchmarks.recorded_runs import RECORD, Benchmark, Choice, Settings, runs_of
from benchmarks.recorded_tables import (
    Entries,
    Entry,
    circumstances,
    equivalence_table,
    improvement_table,
    number,
    published_table,
    reaching,
    read_entries,
    score_table,
    zoo_scores,
)
from docs.snippets import HOME
from ppo_lab.errors import CommandError
from reports.logs.loading import load_runs
from reports.logs.reading import read_yaml
from tuning.protocol import TuningProtocol

BENCHMARKS = (mujoco.MUJOCO, box2d.BOX2D, atari.ATARI)
CLASSIC = Benchmark(
    name="classic",
    title="Classic control",
    budgets={"CartPole-v1": 128, "Pendulum-v1": 128},
    settings={
        "default": Settings("default", given={"n_steps": 64}),
        "recommended": Settings("default", ("spec_ppo",), "recommended", {"n_steps": 64}),
    },
    backend="torch",
    seed=79,
    episodes=2,
)
PLAN = Plan(("CartPole-v1",), ("recommended",), seeds=1, other_seeds=1)


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


# ------------------------------------------------------------------------------ what is run


def test_a_seed_of_everything_comes_before_the_next_and_others_have_the_first_seeds() -> None:
    choice = Choice(("CartPole-v1", "Pendulum-v1"), ("default",), seeds=2, other_seeds=1)
    runs = runs_of(CLASSIC, choice)
    assert [place.as_posix() for place in runs] == [
        "spec_ppo-default/CartPole-v1_1",
        "ppo-default/CartPole-v1_1",
        "spec_ppo-default/Pendulum-v1_1",
        "ppo-default/Pendulum-v1_1",
        "spec_ppo-default/CartPole-v1_2",
        "spec_ppo-default/Pendulum-v1_2",
    ]
    first, others, *_, last = runs.values()
    assert (first.seed, first.evaluation.seed) == (others.seed, others.evaluation.seed)
    assert first.seed != last.seed
    assert first.evaluation.seed != last.evaluation.seed
    assert first.timesteps == 128


def test_spec_ppo_alone_has_backend_preset_and_further_arguments() -> None:
    runs = runs_of(CLASSIC, Choice(("CartPole-v1",), ("default", "recommended"), 1, 1, budget=64))
    ours, theirs, preset = runs.values()
    assert ours.hyperparameters == {"backend": "torch", "n_steps": 64}
    assert theirs.hyperparameters == {}
    assert preset.hyperparameters == {**ours.hyperparameters, "critic_max_grad_norm": 5.0}
    assert [run.settings for run in runs.values()] == ["default", "default", "recommended"]
    assert [run.origin for run in runs.values()] == [
        "SB3's defaults; on top, n_steps 64",
        "SB3's defaults",
        "SB3's defaults; on top, preset 'recommended'; on top, n_steps 64",
    ]
    assert {run.timesteps for run in runs.values()} == {64}


def test_no_benchmarks_seeds_meet_anothers_or_chose_settings() -> None:
    seeds = [benchmark.seed for benchmark in BENCHMARKS]
    # additions.SEED + 1 judges presets, and studies begin at 0.
    seeds += [additions.SEED, additions.SEED + 1, equivalence.SEED, 0]
    used = [
        seed
        for each in seeds
        for protocol in [TuningProtocol("", "", seeds=20, seed=each)]
        for seed in (*protocol.judge_seeds, *protocol.judge_evaluation_seeds)
    ]
    assert len(set(used)) == len(used)


# ------------------------------------------------------------------------------ what stays


def test_records_are_made_once_survive_a_kill_and_are_what_the_report_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records, logs = tmp_path / "records", tmp_path / "logs"

    def run(*flags: str) -> str:
        given = ["--records", str(records), "--log-folder", str(logs), *flags]
        assert run_benchmark(CLASSIC, PLAN, "One line.", given) == 0
        return capsys.readouterr().out

    assert "0 of 1 runs have a record" in run()
    first = records / "classic" / "spec_ppo-recommended" / "CartPole-v1_1" / RECORD
    written = first.read_bytes()
    first.unlink()  # as a kill between a run's end and its record leaves it
    assert "0 of 1 runs have a record" in run()
    assert first.read_bytes() == written
    (folder,), (kept,) = load_runs(logs).runs, load_runs(records).runs
    assert (folder.label, folder.task, folder.seed) == (kept.label, kept.task, kept.seed)
    np.testing.assert_array_equal(folder.evaluation_returns, kept.evaluation_returns)
    np.testing.assert_array_equal(folder.evaluation_steps, kept.evaluation_steps)
    assert folder.must_agree == kept.must_agree
    assert folder.hyperparameters == kept.hyperparameters
    shutil.rmtree(logs)
    assert run() == "1 of 1 runs have a record\n"
    assert not logs.exists()
    record = json.loads(written)
    assert record["cpu_seconds"] > 0
    assert {"numba", "python", "stable-baselines3"} <= set(record["versions"])
    assert record["cpu"]
    assert record["gpu"] is None
    table = run("--table")
    assert "| CartPole-v1 | spec_ppo (recommended) | 128 | 1 | " in table
    assert "| ppo (" not in table


def test_a_record_of_another_budget_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = runs_of(CLASSIC, Choice(("CartPole-v1",), ("recommended",), 1, 1)).values()
    place = tmp_path / "classic" / "spec_ppo-recommended" / "CartPole-v1_1"
    place.mkdir(parents=True)
    (place / RECORD).write_text(json.dumps(replace(run, timesteps=64, origin="x").as_dict()))
    given = ["--records", str(tmp_path), "--log-folder", str(tmp_path / "logs")]
    assert run_benchmark(CLASSIC, PLAN, "One line.", given) == 2
    said = capsys.readouterr().err
    assert "is the record of another run (it differs in timesteps): choose another" in said
    assert said.count("\n") == 1
    same = replace(run, origin="x", reference=None).as_dict()
    del same["vec_env"]  # as of a record that is older than the entry
    (place / RECORD).write_text(json.dumps(same))
    assert run_benchmark(CLASSIC, PLAN, "One line.", given) == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--seeds", "-1"], "--seeds -1: expected 0 or above"),
        (["--other-seeds", "-2"], "--other-seeds -2: expected 0 or above"),
        (["--budget", "0"], "--budget 0: expected at least 1"),
        (["--jobs", "0"], "--jobs 0: expected at least 1"),
    ],
)
def test_bad_numbers_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    assert run_benchmark(CLASSIC, PLAN, "One line.", [*flags, "--records", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"benchmarks.classic: {said}\n"


def test_tables_without_a_record_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_benchmark(CLASSIC, PLAN, "", ["--table", "--records", str(tmp_path)]) == 1
    assert "classic holds no record" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [("<<<<<<< ours", "is no record: "), ("{}", "is no record of a benchmark (KeyError")],
)
def test_a_damaged_record_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    place = tmp_path / "classic" / "spec_ppo-recommended" / "CartPole-v1_1"
    place.mkdir(parents=True)
    (place / RECORD).write_text(content)
    assert run_benchmark(CLASSIC, PLAN, "", ["--table", "--records", str(tmp_path)]) == 1
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1
    if content != "{}":  # nor is it taken for a run that was never made
        assert run_benchmark(CLASSIC, PLAN, "", ["--records", str(tmp_path)]) == 1
        assert said in capsys.readouterr().err


# ------------------------------------------------------------------------------ tables

TASK, OURS, THEIRS = "CartPole-v1", "spec_ppo (default)", "ppo (default)"


def entry(label: str, seed: int, score: float, **changed: object) -> Entry:
    cpu = 10.0 if label == THEIRS else 2.0
    plain = Entry(
        task=TASK,
        label=label,
        seed=seed,
        timesteps=1_000,
        score=score,
        low=1.0,
        steps=(0, 50, 100),
        returns=(0.0, score / 2, score),
        seconds=2 * cpu,
        cpu_seconds=cpu,
        protocol="a budget",
        agreed="the same",
        circumstances="a machine",
        origin="SB3's defaults",
    )
    return replace(plain, **changed)  # type: ignore[arg-type]


FOUR = [entry(OURS, 1, 100), entry(OURS, 2, 102), entry(THEIRS, 1, 101), entry(THEIRS, 2, 103)]


def test_a_row_without_records_is_absent_and_one_run_has_no_interval() -> None:
    rows = score_table(Entries(FOUR[:1]), [TASK, "Pendulum-v1"], [OURS, THEIRS], {}).splitlines()
    assert rows[0].startswith("| task | label | steps | seeds | IQM | mean | CPU s a run |")
    assert rows[2:] == [f"| {TASK} | {OURS} | 1,000 | 1 | 100.0 | 100.0 | 2 | 4 |"]
    assert score_table(Entries([]), [TASK], [OURS], {}) == ""


def test_equivalence_is_welchs_against_the_stated_part_of_the_way() -> None:
    test = tables.equivalence(Entries(FOUR), TASK, OURS, THEIRS)
    assert test is not None
    # 15 % of the way from 1 to (101 + 103)/2.
    assert test.margin == pytest.approx(0.15 * (102 - 1))
    assert test.difference == -1
    # Variances 2 of two runs each: error √(1 + 1), ν = 2, whose t has F(t) = ½ + t/(2√(2 + t²)).
    t = (15.15 - 1) / np.sqrt(2)
    assert test.tost_p == pytest.approx(0.5 - t / (2 * np.sqrt(2 + t**2)))
    # t(0.975, 2) = 4.302653, in every table: −1 ± 4.302653 √2. CPU time 10/2.
    (row,) = equivalence_table(Entries(FOUR), [TASK], OURS, THEIRS).splitlines()[2:]
    assert row == f"| {TASK} | -1.000 [-7.085, 5.085] | 15.15 | 0.0049 | yes | 5.0 |"


def test_nothing_is_tested_on_one_run_or_without_a_margin() -> None:
    assert tables.equivalence(Entries(FOUR[:3]), TASK, OURS, THEIRS) is None
    below = [replace(one, low=200.0) for one in FOUR]
    assert tables.equivalence(Entries(below), TASK, OURS, THEIRS) is None
    unknown = [replace(one, low=float("nan")) for one in FOUR]
    assert tables.equivalence(Entries(unknown), TASK, OURS, THEIRS) is None
    assert equivalence_table(Entries(FOUR[:3]), [TASK], OURS, THEIRS) == ""


def test_runs_that_went_the_same_way_are_said_to_be_the_same() -> None:
    both = [entry(OURS, 1, 100), entry(OURS, 2, 102), entry(THEIRS, 1, 100)]
    said = tables.same_runs(Entries(both), TASK, OURS, THEIRS)
    assert said == (
        f"On {TASK} {OURS} and {THEIRS} are the same run: with the same seed all 3 evaluations "
        "have the same mean returns (1 pair)."
    )
    for other in (entry(THEIRS, 2, 101), entry(THEIRS, 2, 102, steps=(0, 50, 99))):
        assert tables.same_runs(Entries([*both, other]), TASK, OURS, THEIRS) == ""
    assert tables.same_runs(Entries(both[:2]), TASK, OURS, THEIRS) == ""


def test_a_large_difference_is_not_shown_to_be_none() -> None:
    apart = [*FOUR[2:], entry(OURS, 1, 60), entry(OURS, 2, 62)]
    assert "| not shown |" in equivalence_table(Entries(apart), [TASK], OURS, THEIRS)


def test_thresholds_count_final_policies_and_the_first_evaluation_there() -> None:
    runs = [entry(OURS, 1, 100), entry(OURS, 2, 200), entry(OURS, 3, 90)]
    # At or above 100: two of three in the end; first at step 100 and, with half of 200, at 50.
    assert reaching(runs, 100) == ("2 of 3 (100)", "75 (2 of 3)")
    assert reaching(runs, 500) == ("0 of 3 (500)", "–")
    table = score_table(Entries(runs), [TASK], [OURS], {TASK: 100.0}, {TASK: 120.5}).splitlines()
    assert table[0].endswith("| reach the threshold | steps to it | reach RL Zoo's score |")
    assert table[2].endswith("| 2 of 3 (100) | 75 (2 of 3) | 1 of 3 (120.5) |")
    assert "| – |" in score_table(Entries(runs), [TASK], [OURS], {TASK: 100.0})


def test_what_the_zoo_prints_is_the_score_of_its_line_alone() -> None:
    # RL Zoo's benchmark.md: 242.119 on LunarLander-v2; it has no line of InvertedDoublePendulum.
    found = zoo_scores(PUBLISHED, ["LunarLander-v3", "InvertedDoublePendulum-v5"])
    assert found == {"LunarLander-v3": 242.119}


def test_a_preset_is_set_against_the_default_task_by_task_and_on_all() -> None:
    better = "spec_ppo (recommended)"
    runs = [*FOUR[:2], entry(better, 1, 101), entry(better, 2, 103)]
    runs += [replace(one, task="Pendulum-v1") for one in runs]
    # Of the four pairs 101 > 100, 103 > 100, 103 > 102 are won: ¾.
    rows = improvement_table(Entries(runs), [TASK, "Pendulum-v1"], [better], OURS).splitlines()
    assert rows[2].startswith(f"| {better} | {TASK} | 2, 2 | 1.000 [-5.085, 7.085] | 0.750 [")
    assert rows[4].startswith(f"| {better} | all 2 | 4, 4 | – | 0.750 [")
    assert improvement_table(Entries(FOUR), [TASK], [better], OURS) == ""


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (
            entry(OURS, 2, 1.0, agreed="others"),
            r"spec_ppo \(default\) on CartPole-v1 differ in sett",
        ),
        (
            entry(THEIRS, 2, 1.0, protocol="another"),
            "on CartPole-v1 differ in budget or evaluation",
        ),
        (entry(OURS, 1, 1.0), "hold seed 1 twice"),
    ],
)
def test_a_row_of_different_things_is_an_error(second: Entry, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        Entries([FOUR[0], second])


def test_machines_and_versions_are_counted() -> None:
    runs = [*FOUR[:3], entry(THEIRS, 2, 1.0, circumstances="another")]
    assert circumstances(Entries(runs)) == "- 3 runs: a machine.\n- 1 run: another."


@pytest.mark.parametrize("algo", ["spec_ppo", "ppo"])
def test_a_gpu_and_processes_beside_the_runs_are_named(algo: str) -> None:
    place = Path("benchmarks/records/atari") / f"{algo}-zoo" / "PongNoFrameskip-v4_1" / RECORD
    record = json.loads((HOME / place).read_text())
    where = tables.entry_of(record).circumstances
    assert f"16 cores, {record['gpu']}; environments in processes of their own, which" in where
    older = {key: value for key, value in record.items() if key not in ("gpu", "vec_env")}
    assert "16 cores; commit" in tables.entry_of(older).circumstances


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234.56, "1,235"),
        (123.456, "123.5"),
        (-12.3456, "-12.35"),
        (1.23456, "1.235"),
        (0, "0.000"),
    ],
)
def test_numbers_have_four_significant_digits(value: float, shown: str) -> None:
    assert number(value) == shown


# ------------------------------------------------------------------------------ the page


def test_others_figures_name_their_source_and_stand_for_tasks_that_are_run() -> None:
    published = read_yaml(PUBLISHED)
    assert set(published["scores"]) == {t for each in BENCHMARKS for t in each.budgets}  # type: ignore[call-overload]
    text = published_table(PUBLISHED, ["Hopper-v5"])
    assert "| Hopper-v5 | RL Zoo | Hopper-v3 | 1,000,000 | 2,410.435 ± 10.026 |" in text
    assert "| Hopper-v5 | OpenAI baselines, re-run | Hopper-v2 | not stated |" in text
    assert "- RL Zoo: benchmark.md at commit " in text
    assert "8 M" not in text  # of other tasks


def test_the_page_has_only_what_has_records() -> None:
    text = sections(CLASSIC, Entries(FOUR), PUBLISHED)
    assert text.startswith(
        "## Classic control\n\n### Settings `default`\n\nSB3's defaults (CartPole-v1).\n\n| task |"
    )
    assert "Presets" not in text
    assert "others print" not in text
    assert sections(CLASSIC, Entries([]), PUBLISHED) == ""


def test_text_goes_between_the_marks_of_its_name(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- one -->\nold\n<!-- /one -->\nb\n<!-- two -->\n<!-- /two -->\n")
    write_between_marks(page, "one", "new")
    write_between_marks(page, "two", "more")
    assert page.read_text() == (
        "a\n<!-- one -->\nnew\n<!-- /one -->\nb\n<!-- two -->\nmore\n<!-- /two -->\n"
    )
    with pytest.raises(CommandError, match="has no <!-- three -->"):
        write_between_marks(page, "three", "text")


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda each: each.name)
def test_the_committed_page_is_made_of_the_committed_records(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    text = sections(benchmark, read_entries(PUBLISHED.parent / benchmark.name), PUBLISHED)
    page = HOME / "docs" / "benchmarks.md"
    copy = tmp_path / page.name
    shutil.copyfile(page, copy)
    if text:
        write_between_marks(copy, benchmark.name, text)
    else:
        assert f"<!-- {benchmark.name} -->\n<!-- /{benchmark.name} -->" in page.read_text()
    assert copy.read_text() == page.read_text()
