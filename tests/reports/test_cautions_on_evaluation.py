"""What the report says of the seeds that scores were drawn from, and of scores without any."""

import json
import math
from pathlib import Path

import pytest

from reports.content.arrangement import arrange
from reports.content.document import Document
from reports.content.protocol import protocol_rows
from reports.logs.loading import load_runs
from reports.report import write_report
from tests.reports.conftest import write_run

ALIKE = "evaluation protocol"
OTHER = "do not all have the same evaluation seeds"
SHARED = "share an evaluation seed"


def cautions(logs: Path, tmp_path: Path) -> str:
    write_report(logs, tmp_path / "out", seed=0)
    return (tmp_path / "out" / "report.md").read_text()


def study(logs: Path, ours: list[int], theirs: list[int], **more: object) -> None:
    """Runs of two labels with training seeds 0, 1, … and these evaluation seeds."""
    for algo, seeds in (("spec_ppo", ours), ("ppo", theirs)):
        for seed, evaluation_seed in enumerate(seeds):
            evaluation = {"episodes": 20, "seed": evaluation_seed, "deterministic": True}
            score = 0.5 + 0.01 * seed + (0.1 if algo == "ppo" else 0.0)
            write_run(logs, algo=algo, seed=seed, score=score, evaluation=evaluation, **more)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        # A seed of its own for each run, the same in both rows.
        ([300, 400, 500], [300, 400, 500], set()),
        # A run of the one row has failed: the others still answer to each other.
        ([300, 400, 500], [300, 400], set()),
        ([300, 400, 500], [300, 400, 600], {OTHER}),
        ([300, 400, 500], [900, 1000, 1100], {OTHER}),
        # As folders were made before: one for all.
        ([300, 300, 300], [300, 300, 300], {SHARED}),
        ([300, 300, 300], [300, 400, 500], {SHARED, OTHER}),
    ],
)
def test_evaluation_seeds_differ_by_run_and_not_by_label(
    logs: Path, tmp_path: Path, ours: list[int], theirs: list[int], expected: set[str]
) -> None:
    study(logs, ours, theirs)
    text = cautions(logs, tmp_path)
    assert {what for what in (OTHER, SHARED) if what in text} == expected
    assert ALIKE not in text


def test_another_protocol_than_the_seeds_is_still_said(logs: Path, tmp_path: Path) -> None:
    write_run(logs, seed=1, evaluation={"episodes": 20, "seed": 1, "deterministic": True})
    write_run(logs, seed=2, evaluation={"episodes": 20, "seed": 2, "deterministic": False})
    assert "do not all have the same evaluation protocol" in cautions(logs, tmp_path)


def test_exact_scores_need_no_evaluation_seeds_and_no_episodes(logs: Path, tmp_path: Path) -> None:
    study(logs, [300, 300, 300], [400, 400, 400], score_source="exact")
    text = cautions(logs, tmp_path)
    assert OTHER not in text
    assert SHARED not in text
    assert "A score is the exact expected return of the final policy." in text
    assert {row.episodes for row in protocol_rows(arrange(load_runs(logs).runs))} == {
        "none (exact)"
    }


def test_exact_scores_beside_estimates_are_told_apart(logs: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(logs, algo="ppo", seed=seed, score_source="exact")
        write_run(logs, algo="ppo_lstm", seed=seed)
    assert "scores that are exact stand beside estimates of such" in cautions(logs, tmp_path)


def test_a_run_without_a_reference_takes_the_tables_or_the_reports(
    logs: Path, tmp_path: Path
) -> None:
    for seed in (1, 2):
        write_run(logs, env="CartPole-v1", seed=seed, reference=None, score=300.0)
        write_run(logs, env="Mine-v0", seed=seed, reference=None)
    assert all(math.isnan(run.low) and math.isnan(run.high) for run in load_runs(logs).runs)
    report = write_report(logs, tmp_path / "out", seed=0)
    document: Document = report.document
    lows = {row.task: row.normalised_score for row in document.runs}
    # (300 − 22.51)/(475 − 22.51), docs/references.md
    assert lows["CartPole-v1"] == pytest.approx(277.49 / 452.49)
    assert lows["Mine-v0"] == pytest.approx(1.0)  # the best label's own mean
    assert json.loads((tmp_path / "out" / "report.json").read_text())
