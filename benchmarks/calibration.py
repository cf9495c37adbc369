"""How often intervals cover the truth, and how often the report's verdicts are right.

    python -m benchmarks.calibration                              # a few minutes on two cores
    python -m benchmarks.calibration --write docs/calibration.md  # keeps the tables as a page
    python -m benchmarks.calibration --part verdicts --write docs/calibration.md  # that part anew

Exits with 1 if the default interval of the IQM covers less than 0.93, by more than two standard
errors of the measurement, in a cell of normal or skewed scores, or if a table of verdicts
(``benchmarks/verdict_tables.py``, ``benchmarks/clear_tables.py``) misses a goal by as much.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain, product
from pathlib import Path
from zlib import crc32

import numpy as np
from loky import get_reusable_executor
from scipy import special

from benchmarks.clear_tables import clear_tables
from benchmarks.interval_candidates import CANDIDATES, of_iqm, of_mean
from benchmarks.verdict_tables import measured_tables, section
from reports.statistics.intervals import DEFAULT_METHOD
from reports.statistics.iqm import MiddleHalf, interquartile_mean
from reports.statistics.resampling import resampled_counts, task_means
from reports.statistics.samples import Floats

SEEDS = (3, 5, 10, 20)
TASKS = (1, 10)
STATISTICS = ("IQM", "mean")
BASELINE = "percentile"
GOAL = 0.93
VERDICTS = "<!-- verdicts -->"
"""Where the page's second part begins, which is measured and written by itself too."""
_GRID = 200_000


@dataclass(frozen=True)
class Distribution:
    """Scores of one task: standard deviation 1, mean 0.

    Attributes:
        name: for the table.
        quantile: maps probabilities (…) in (0, 1) to scores (…).
        words: what it is.
        asked: whether the goal is asked of it.
    """

    name: str
    quantile: Callable[[Floats], Floats]
    words: str
    asked: bool


def _lognormal(share: Floats) -> Floats:
    sigma = 0.75
    centre, spread = np.exp(sigma**2 / 2), np.sqrt(np.expm1(sigma**2) * np.exp(sigma**2))
    return np.asarray((np.exp(sigma * special.ndtri(share)) - centre) / spread)


def _bimodal(share: Floats) -> Floats:
    within = np.where(share < 0.5, 2 * share, 2 * share - 1)
    noise = 0.1 * special.ndtri(np.clip(within, 1e-12, 1 - 1e-12))
    return np.asarray((np.where(share < 0.5, -1.0, 1.0) + noise) / np.sqrt(1.01))


DISTRIBUTIONS = (
    Distribution("normal", special.ndtri, "the normal law", True),
    Distribution("exponential", lambda share: -np.log1p(-share) - 1, "skewness 2", True),
    Distribution(
        "lognormal", _lognormal, "logarithms of standard deviation 0.75, skewness 3.3", True
    ),
    Distribution("bimodal", _bimodal, "two equally likely peaks, 20 of their widths apart", False),
)


@dataclass(frozen=True)
class Cell:
    """One distribution, number of seeds and of tasks."""

    distribution: Distribution
    seeds: int
    tasks: int

    def offsets(self) -> Floats:
        """The tasks' means, (T,): 0 alone, else evenly from −1 to 1, as hard tasks and easy."""
        return np.linspace(-1, 1, self.tasks) if self.tasks > 1 else np.zeros(1)

    def truth(self) -> dict[str, float]:
        """What the statistics of ever more seeds tend to: mean and IQM of the mixture of tasks."""
        shares = (np.arange(_GRID) + 0.5) / _GRID
        mixture = self.distribution.quantile(shares) + self.offsets()[:, None]
        return {"mean": 0.0, "IQM": interquartile_mean([mixture.ravel()])}


@dataclass(frozen=True)
class Result:
    """Coverage and mean width of every method, keyed by (statistic, method)."""

    cell: Cell
    coverage: dict[tuple[str, str], float]
    width: dict[tuple[str, str], float]


def measure(cell_index: int, repetitions: int, draws: int) -> Result:
    """Draw scores again and again, and count how often each interval holds the truth."""
    cell = CELLS[cell_index]
    name = f"{cell.distribution.name} {cell.seeds} {cell.tasks}"
    rng = np.random.default_rng(crc32(name.encode()))
    truth = cell.truth()
    ends = np.array([_intervals(cell, draws, rng) for _ in range(repetitions)])
    keys = list(product(STATISTICS, CANDIDATES))
    coverage, width = {}, {}
    for (statistic, method), (low, high) in zip(keys, ends.transpose(1, 2, 0), strict=True):
        held = (low <= truth[statistic]) & (truth[statistic] <= high)
        coverage[statistic, method] = float(held.mean())
        width[statistic, method] = float((high - low).mean())
    return Result(cell, coverage, width)


def _intervals(cell: Cell, draws: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    scores = cell.distribution.quantile(rng.random((cell.tasks, cell.seeds)))
    tasks = tuple(scores + cell.offsets()[:, None])
    runs = [cell.seeds] * cell.tasks
    blocks = [counts.copy() for counts in resampled_counts(runs, draws, rng)]
    counts = np.concatenate(blocks, axis=1)
    samples = {
        "IQM": of_iqm(tasks, interquartile_mean(tasks), MiddleHalf(tasks)(counts), counts),
        "mean": of_mean(
            tasks, float(np.mean(tasks)), task_means(tasks, counts).mean(axis=0), counts
        ),
    }
    return [method(samples[name]) for name, method in product(STATISTICS, CANDIDATES.values())]


CELLS = tuple(
    Cell(distribution, seeds, tasks)
    for distribution, tasks, seeds in product(DISTRIBUTIONS, TASKS, SEEDS)
)


def table(results: Sequence[Result], statistic: str) -> str:
    """Coverage by cell and method, and how much wider than the percentile interval each is."""
    methods = list(CANDIDATES)
    lines = [
        f"| scores | tasks | seeds | {' | '.join(methods)} |",
        "|:--|--:|--:|" + "--:|" * len(methods),
    ]
    for result in results:
        base = result.width[statistic, BASELINE]
        widths = {method: result.width[statistic, method] / base for method in methods}
        cells = [
            f"{result.coverage[statistic, method]:.3f} (×{widths[method]:.2f})"
            for method in methods
        ]
        cell = result.cell
        lines.append(
            f"| {cell.distribution.name} | {cell.tasks} | {cell.seeds} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def missed(results: Sequence[Result], repetitions: int) -> list[str]:
    """Cells whose default interval of the IQM misses the goal by two standard errors, as texts."""
    return [
        f"{in_words(result.cell)} ({result.coverage['IQM', DEFAULT_METHOD]:.3f})"
        for result in results
        if result.cell.distribution.asked
        and result.coverage["IQM", DEFAULT_METHOD] + 2 * standard_error(repetitions) < GOAL
    ]


def standard_error(repetitions: int) -> float:
    """Of a coverage near 0.95."""
    return float(np.sqrt(0.95 * 0.05 / repetitions))


def in_words(cell: Cell) -> str:
    """For instance ``normal, 3 seeds, 1 task``."""
    return (
        f"{cell.distribution.name}, {cell.seeds} seeds, {cell.tasks} task{'s' * (cell.tasks > 1)}"
    )


def summary(results: Sequence[Result]) -> str:
    """Every method's least coverage over groups of cells, and its mean width."""
    groups: dict[str, list[tuple[Result, str]]] = {
        "IQM": [(result, "IQM") for result in results if result.cell.distribution.asked],
        "IQM, 3 seeds, 1 task": [
            (result, "IQM")
            for result in results
            if result.cell.distribution.asked and (result.cell.seeds, result.cell.tasks) == (3, 1)
        ],
        "mean": [(result, "mean") for result in results if result.cell.distribution.asked],
        "mean, 10 tasks": [
            (result, "mean")
            for result in results
            if result.cell.distribution.asked and result.cell.tasks > 1
        ],
    }
    lines = [
        f"| method | {' | '.join(groups)} | width, IQM | width, mean |",
        "|:--|" + "--:|" * (len(groups) + 2),
    ]
    for method in CANDIDATES:
        least = [
            min(result.coverage[statistic, method] for result, statistic in group)
            for group in groups.values()
        ]
        widths = [
            float(np.mean([r.width[name, method] / r.width[name, BASELINE] for r in results]))
            for name in STATISTICS
        ]
        cells = [*(f"{covered:.3f}" for covered in least), *(f"×{width:.2f}" for width in widths)]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def row_of(results: Sequence[Result], name: str, seeds: int, tasks: int) -> Result:
    """The result of one cell."""
    wanted = (name, seeds, tasks)
    return next(
        result
        for result in results
        if (result.cell.distribution.name, result.cell.seeds, result.cell.tasks) == wanted
    )


def main() -> int:
    """Measure, print, and write if asked; 0 if every goal is reached."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", type=Path, help="write the page to this file")
    parser.add_argument("--part", choices=("all", "intervals", "verdicts"), default="all")
    parser.add_argument("--repetitions", type=int, default=2_000, help="samples in each cell")
    parser.add_argument("--draws", type=int, default=600, help="bootstrap draws of each sample")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes")
    arguments = parser.parse_args()
    written: Path | None = arguments.write
    before = written.read_text(encoding="utf-8") if written and written.exists() else ""
    intervals, mark, verdicts = before.partition(VERDICTS)
    met = True
    if arguments.part != "verdicts":
        intervals, met = _measured_intervals(arguments)
        print(intervals)
    if arguments.part != "intervals":
        verdicts, reached = _measured_verdicts(arguments.repetitions)
        mark, met = VERDICTS, met and reached
    if written is not None:
        end = f"\n{mark}\n\n{verdicts.strip()}\n" if verdicts else "\n"
        written.write_text(intervals.rstrip() + "\n" + end, encoding="utf-8")
    return 0 if met else 1


def _measured_intervals(arguments: argparse.Namespace) -> tuple[str, bool]:
    """The page up to the verdicts, and whether the default interval reaches its goal."""
    started = time.perf_counter()
    with get_reusable_executor(max_workers=arguments.jobs) as executor:
        futures = [
            executor.submit(measure, index, arguments.repetitions, arguments.draws)
            for index in range(len(CELLS))
        ]
        results = [future.result() for future in futures]
    text = page(results, arguments, time.perf_counter() - started)
    return text, not missed(results, arguments.repetitions)


def _measured_verdicts(repetitions: int) -> tuple[str, bool]:
    """The section of verdicts, and whether every row reaches its goal."""
    started = time.perf_counter()
    tables = []
    for table in chain(measured_tables(repetitions), clear_tables(repetitions)):
        print(table.text(), flush=True)
        tables.append(table)
    met = all(row.met is not False for table in tables for row in table.rows)
    return section(tables, repetitions, time.perf_counter() - started), met


def page(results: Sequence[Result], arguments: argparse.Namespace, seconds: float) -> str:
    """The page's text."""
    few, two_peaks = row_of(results, "normal", 3, 1), row_of(results, "bimodal", 3, 1)
    rliable, ours = (few.coverage["IQM", method] for method in (BASELINE, DEFAULT_METHOD))
    price = few.width["IQM", DEFAULT_METHOD] / few.width["IQM", BASELINE]
    at_best = max(two_peaks.coverage["IQM", method] for method in CANDIDATES)
    skewed = row_of(results, "lognormal", 3, 1).coverage
    tail, tail_percentile, tail_student = (
        skewed["mean", method] for method in (DEFAULT_METHOD, BASELINE, "Student/Yuen t")
    )
    error = standard_error(arguments.repetitions)
    below = missed(results, arguments.repetitions)
    verdict = "none" if not below else "; ".join(below)
    kinds = "\n".join(f"- {kind.name}: {kind.words}." for kind in DISTRIBUTIONS)
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy"))
    return f"""# How often the intervals hold the truth

Written by `python -m benchmarks.calibration --write docs/calibration.md`.

A 95 % interval should hold the true value in 95 of 100 experiments. With 3 seeds and one task of
normal scores, rliable's default, the percentile interval, holds the true IQM in {rliable:.0%} of
them; the report's default, the stretched percentile interval, in {ours:.0%}, and it is {price:.1f}
times as wide. That is what three seeds are worth.

## What is measured

In every cell, {arguments.repetitions:,} samples are drawn, every method makes its interval from the
same {arguments.draws:,} bootstrap draws of the sample, and the share of intervals that hold the
truth is counted (standard error {error:.3f}). The truth is what the statistic tends to with ever
more seeds: the mean, or the middle half's mean, of the mixture of the tasks' distributions. What
few seeds shift the statistic by therefore counts against an interval. With several tasks, their
means lie evenly from −1 to 1. Scores have standard deviation 1:

{kinds}

The methods (formulas in `reports/statistics/intervals.py` and `benchmarks/interval_candidates.py`):

- percentile: rliable's default.
- stretched: the percentile interval's arms times sqrt(R/(R − 1)) · t/z: resampling R runs has only
  (R − 1)/R of their variance, and a variance estimated from few runs asks for Student's t. The
  shorter arm first gains 1/ν of the difference to the longer, ν being t's degrees of freedom (R − 1
  with one task): how skewed the scores are is also only guessed.
- expanded percentile (Hesterberg 2015): percentiles further out by the same factor. It cannot leave
  the range of the scores, so with three seeds it gains nothing.
- BCa (Efron 1987), the bootstrap-t, and Student's t with Winsorised variances (Tukey and
  McLaughlin 1963, Yuen 1974).

## The choice

Least coverage over the cells of normal and skewed scores, and the mean over all cells of the width
beside the percentile interval's:

{summary(results)}

The default is **{DEFAULT_METHOD}**. Cells of normal and skewed scores where its interval of the IQM
covers less than {GOAL}, by more than two standard errors: {verdict}.

What it does not do:

- **Two peaks, three seeds, one task.** All three seeds fall into the same peak in a quarter of the
  experiments, and nothing in them tells of the other. No method here covers more than
  {at_best:.3f}.
- **The mean of skewed scores on one task.** With few seeds the long tail is rarely in the sample.
  Of lognormal scores and 3 seeds: {tail:.3f} (percentile {tail_percentile:.3f}, Student's t
  {tail_student:.3f}). Of such scores, read the IQM, or run more seeds.
- Below 10 seeds, and with one task, the report therefore says that coverage is in doubt.

## IQM

Coverage, and in brackets the width beside the percentile interval's.

{table(results, "IQM")}

## Mean

{table(results, "mean")}

Python {platform.python_version()}, {versions}; {platform.system()} {platform.machine()},
{os.cpu_count()} cores, {arguments.jobs} processes, {seconds:.0f} s.
"""


if __name__ == "__main__":
    sys.exit(main())
