"""Reports on runs that stopped where it was clear, and on runs that were looked at again."""

import json
from pathlib import Path
from typing import Any

import pytest

from reports.content.document import Document
from reports.logs.loading import Source, load_runs
from reports.logs.looks import Looks, NotedLook, NotedPair, counted_looks
from reports.logs.looks_file import LOOKS, looks_text, read_looks
from reports.logs.records import UnusableError
from reports.report import write_report
from tests.reports.conftest import MakeRun

PLAN = {"max_seeds": 9, "first": 3, "step": 3, "error": 0.05, "futility": 0.1}
A, B, C = "a (tuned)", "b (tuned)", "c (tuned)"
FIRST = NotedPair(A, C, "lower", 3, 0.0001, 0.004, -0.5, -0.7, -0.3)
SECOND = NotedPair(B, C, "lower", 3, 0.0002, 0.004, -0.5, -0.7, -0.25)
THIRD = NotedPair(A, B, "given up", 6, 0.9, 0.02, 0.01, -0.2, 0.22)
SEEDS = {A: 6, B: 6, C: 3}


def until_clear(*decided: tuple[NotedPair, ...], **plan: Any) -> Looks:
    looks = tuple(
        NotedLook({label: min(seeds, 3 * (n + 1)) for label, seeds in SEEDS.items()}, pairs)
        for n, pairs in enumerate(decided)
    )
    return Looks({**PLAN, "labels": [A, B, C], "tasks": ["E"], **plan}, {"E": 1.0}, looks)


WHOLE = until_clear((FIRST, SECOND), (THIRD,))


def reported(logs: Path, make_run: MakeRun, looks: Looks | None = WHOLE, **how: Any) -> Document:
    for label, level in (("a", 0.3), ("b", 0.31), ("c", 0.8)):
        for seed in range(SEEDS[f"{label} (tuned)"]):
            make_run(algo=label, env="E", seed=seed, score=level + 0.01 * seed, low=0.0)
    if looks is not None:
        (logs / LOOKS).write_text(looks_text(looks))
    out, drawn = logs.parent / "out", {"table_draws": 50, "curve_draws": 50}
    return write_report(logs, out, formats=("md", "html", "csv"), **drawn, **how).document  # type: ignore[arg-type]


def test_the_headline_is_what_the_looks_decided_and_no_plain_p_stands_beside_it(
    logs: Path, make_run: MakeRun
) -> None:
    document = reported(logs, make_run, baseline=A)
    assert document.headline == f"{C} scores higher than {A}: clear after 3 seeds"
    assert f"Mean normalised score of {C} less that of {A}: 0.500 [0.300, 0.700]" in document.detail
    assert "Of 3 pairs 2 are told apart. 15 runs asked for, 12 spared." in document.detail
    assert document.cautions[0].startswith("These runs stopped where it was clear")
    assert not any("Unequal beside" in line for line in document.cautions)
    advice = " ".join(document.cautions).lower()
    assert "add seeds" not in advice  # the plan forbids it, on the page as on the terminal
    assert "add tasks" not in advice
    assert "more take a new plan: another --name and --seed, and --first 10 or more" in advice
    assert {row.rank_p for row in document.aggregates} == {None}
    assert {p for pair in document.pairs for p in (pair.rank_p, pair.rank_p_holm)} == {None}
    told = {(pair.label, pair.other) for pair in document.pairs if pair.told_apart}
    assert told == {(A, C), (C, A), (B, C), (C, B)}
    rows = [(row.label, row.other, row.verdict, row.seeds) for row in document.looks]
    assert rows == [(C, A, "higher", 3), (C, B, "higher", 3), (A, B, "given up", 6)]
    assert document.looks[0].difference.low == 0.3
    assert any("at most 0.05: Welch's test stratified by task" in line for line in document.footer)
    page = (logs.parent / "out" / "report.md").read_text()
    assert "## Until clear" in page
    assert "| p |" not in page.split("## Until clear")[0]
    assert "Until clear" in (logs.parent / "out" / "report.html").read_text()
    assert (logs.parent / "out" / "tables" / "looks.csv").read_text().count("\n") == 4


def test_a_pair_that_is_not_told_apart_or_not_decided_is_not_claimed(
    logs: Path, make_run: MakeRun
) -> None:
    lost = until_clear((FIRST,), (THIRD, NotedPair(B, C, "not told", 6, 0.3, 0.004, -0.1, -1, 1)))
    document = reported(logs, make_run, lost, baseline=B)
    assert document.headline == f"{C} and {B} are not told apart with 6 seeds"
    (logs / LOOKS).write_text(looks_text(until_clear((), ())))
    again = write_report(logs, logs.parent / "out", baseline=B, formats=()).document
    assert again.headline == f"{C} and {B} are not decided yet: the same command goes on"


@pytest.mark.parametrize("why", ["renamed", "best", "more runs", "another plan beside"])
def test_decisions_that_do_not_speak_of_the_reports_runs_are_a_caution(
    logs: Path, make_run: MakeRun, why: str
) -> None:
    reported(logs, make_run)
    if why == "more runs":
        make_run(algo="c", env="E", seed=77, score=0.0, low=0.0)  # a run that failed
    if why == "another plan beside":
        (logs / "other").mkdir()
        (logs / "other" / LOOKS).write_text(looks_text(WHOLE))
    source = load_runs(Source(logs, settings="mine" if why == "renamed" else None))
    out = logs.parent / "out"
    document = write_report(source, out, formats=(), best=why == "best").document
    assert document.looks == ()
    assert any("made by a comparison until clear" in line for line in document.cautions)
    assert any("failed:" in line for line in document.cautions) == (why == "more runs")
    assert not [line for line in document.cautions if "dd seeds" in line or "same seeds" in line]
    assert all(row.rank_p is not None for row in document.pairs)


def test_looking_again_is_counted_and_costs_what_it_costs(logs: Path, make_run: MakeRun) -> None:
    seeds = [{A: 5, B: 5}, {A: 10, B: 10}, {A: 10, B: 15}]
    looks = Looks(None, {}, tuple(map(NotedLook, seeds)))
    assert counted_looks(looks, [A]) == (5, 10)
    assert counted_looks(looks, [A, B]) == (5, 10, 15)
    document = reported(logs, make_run, looks)
    # Three equally spaced looks at 5 %: 0.107 (Armitage, McPherson and Rowe 1969).
    assert document.cautions[0] == (
        "These runs were looked at 3 times, with 5, 10 and 15 seeds: who adds seeds until a test "
        "claims a difference claims a wrong one of two labels in 11 % of comparisons, not in 5 %; "
        "compare --until-clear keeps to that."
    )
    (logs / LOOKS).write_text(looks_text(Looks(None, {}, (NotedLook({A: 5, B: 5, C: 5}),))))
    once = write_report(logs, logs.parent / "out", formats=()).document
    assert not any("looked at" in line for line in once.cautions)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / LOOKS
    file.write_text(looks_text(WHOLE))
    assert read_looks(file) == WHOLE


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"plan": 3},
        {"looks": 3},
        {"looks": [{"seeds": {"a": -1}, "decided": []}]},
        {"looks": [{"seeds": {}, "decided": [{"x": "a"}]}]},
        {"looks": [{"seeds": {}, "decided": [{**vars(FIRST), "verdict": "best"}]}]},
        {"looks": [{"seeds": {}, "decided": [{**vars(FIRST), "level": "small"}]}]},
        {"scales": {"E": 0}},
    ],
    ids=str,
)
def test_a_damaged_file_is_set_aside_with_its_reason(
    logs: Path, make_run: MakeRun, change: dict[str, Any]
) -> None:
    make_run()
    (logs / LOOKS).write_text(json.dumps({**json.loads(looks_text(WHOLE)), **change}))
    with pytest.raises(UnusableError, match=r"looks\.json is damaged"):
        read_looks(logs / LOOKS)
    loaded = load_runs(logs)
    assert loaded.looks == ()
    assert [aside.folder for aside in loaded.set_aside] == [LOOKS]


@pytest.mark.parametrize(
    ("runs", "spread", "said"),
    [
        ((10, 10), 1, ""),
        ((10, 5), 1, "5 runs beside 10"),
        ((10, 10), 4, "4 times the spread"),
        ((10, 5), 4, "5 runs beside 10 and 2 times the spread"),
        ((4, 4), 40, ""),
    ],
)
def test_unequal_seeds_and_spreads_are_cautioned_with_what_to_do(
    logs: Path, make_run: MakeRun, runs: tuple[int, int], spread: float, said: str
) -> None:
    for label, count, size in zip("ab", runs, (1.0, spread), strict=True):
        for seed in range(count):
            make_run(algo=label, env="E", seed=seed, score=0.5 + 0.01 * size * seed, low=0.0)
    document = write_report(logs, logs.parent / "out", formats=(), baseline=A).document
    found = [line for line in document.cautions if line.startswith("Unequal beside")]
    assert len(found) == bool(said)
    if said:
        spread_shown = said if "2 times" not in said else "5 runs beside 10"
        assert f"Unequal beside {A} are {B} on E: {spread_shown}" in found[0]
        assert "run the same seeds of every label" in found[0]
