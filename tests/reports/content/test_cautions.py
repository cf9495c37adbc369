"""Reasons to doubt, the gravest first, and what to do about each."""

from itertools import product
from pathlib import Path

import pytest

from reports.report import write_report
from tests.reports.conftest import MakeRun

TUNING = "did not receive the same tuning"
REMEDIES = ("Add ", "Evaluate ", "Make ", "Look ", "Tune ", "Report ", "Give ", "Mend ", "Finish ")


def cautions(logs: Path, out: Path) -> tuple[str, ...]:
    return write_report(logs, out, formats=(), table_draws=50, curve_draws=20).document.cautions


def four_labels(make_run: MakeRun, best: str) -> None:
    """A study of ours: tuned rows beside their default rows."""
    for algo, settings in product(("spec_ppo", "ppo"), ("tuned", "default")):
        high = f"{algo} ({settings})" == best
        for seed in range(4):
            score = 0.2 + 0.01 * seed + 0.5 * high
            make_run(algo=algo, settings=settings, seed=seed, score=score)


@pytest.mark.parametrize(
    ("best", "said"),
    [
        ("spec_ppo (tuned)", False),
        ("ppo (tuned)", True),  # the others all score alike, and the first of them has defaults
        ("spec_ppo (default)", True),
    ],
)
def test_only_the_headlines_two_labels_have_to_be_tuned_alike(
    logs: Path, tmp_path: Path, make_run: MakeRun, best: str, said: bool
) -> None:
    four_labels(make_run, best)
    found = [line for line in cautions(logs, tmp_path / "out") if TUNING in line]
    assert bool(found) == said
    if best == "spec_ppo (default)":
        assert found[0].startswith(f"{best}, ppo (tuned) {TUNING}")


def test_what_was_not_measured_alike_comes_before_what_is_few_and_each_says_what_to_do(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    for seed in range(4):
        make_run(algo="ppo", seed=seed, score=0.2 * seed)
        make_run(algo="a", seed=seed, score=0.1, settings="default",
                 evaluation={"episodes": 20, "seed": 7, "deterministic": True})  # fmt: skip
    found = cautions(logs, tmp_path / "out")
    order = ["evaluation seeds", "share an evaluation", "4 runs of a task", "failed", TUNING]
    places = [next(i for i, line in enumerate(found) if part in line) for part in order]
    assert places == sorted(places)
    for line in found:
        assert any(remedy in line.split(". ", 1)[-1] for remedy in REMEDIES), line
