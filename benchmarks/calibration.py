"""How often nominal 95 % intervals cover the truth, by method, seeds, tasks and distribution.

    python -m benchmarks.calibration                              # a few minutes on two cores
    python -m benchmarks.calibration --write docs/calibration.md  # keeps the tables as a page

Exits with 1 if production's default covers less than 0.93 in a cell of normal or skewed scores.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from zlib import crc32

import numpy as np
from loky import get_reusable_executor
from scipy import special

from benchmarks.interval_candidates import CANDIDATES, of_iqm, of_mean
from reports.intervals import DEFAULT_METHOD
from reports.middle_half import MiddleHalf, interquartile_mean
from reports.resampling import resampled_counts, task_means
from reports.samples import Matrix

SEEDS = (3, 5, 10, 20)
TASKS = (1, 10)
STATISTICS = ("IQM", "mean")
BASELINE = "percentile"
GOAL = 0.93
_GRID = 200_000


@dataclass(frozen=True)
class Distribution:
    """Scores of one task: standard deviation 1, mean 0.

    Attributes:
        name: for the table.
        quantile: maps probabilities (…) in (0, 1) to scores (…).
        words: what it is.
        reachable: whether the goal is asked of it.
    """

    name: str
    quantile: Callable[[Matrix], Matrix]
    words: str
    reachable: bool


def _lognormal(share: Matrix) -> Matrix:
    sigma = 0.75
    centre, spread = np.exp(sigma**2 / 2), np.sqrt(np.expm1(sigma**2) * np.exp(sigma**2))
    return np.asarray((np.exp(sigma * special.ndtri(share)) - centre) / spread)


def _bimodal(share: Matrix) -> Matrix:
    within = np.where(share < 0.5, 2 * share, 2 * share - 1)
    noise = 0.1 * special.ndtri(np.clip(within, 1e-12, 1 - 1e-12))
    return np.asarray((np.where(share < 0.5, -1.0, 1.0) + noise) / np.sqrt(1.01))


DISTRIBUTIONS = (
    Distribution("normal", special.ndtri, "the normal law", True),
    Distribution("exponential", lambda share: -np.log1p(-share) - 1, "skewness 2", True),
    Distribution("lognormal", _lognormal, "σ = 0.75, skewness 3.3", True),
    Distribution("bimodal", _bimodal, "two equally likely peaks, 20 of their widths apart", False),
)


@dataclass(frozen=True)
class Cell:
    """One distribution, number of seeds and of tasks."""

    distribution: Distribution
    seeds: int
    tasks: int

    def offsets(self) -> Matrix:
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
        cells = [
            f"{result.coverage[statistic, method]:.3f} (×{result.width[statistic, method] / base:.2f})"
            for method in methods
        ]
        cell = result.cell
        lines.append(
            f"| {cell.distribution.name} | {cell.tasks} | {cell.seeds} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def missed(results: Sequence[Result]) -> list[str]:
    """The cells in which production's default covers less than the goal, as texts."""
    return [
        f"{result.cell.distribution.name}, {result.cell.seeds} seeds, {result.cell.tasks} "
        f"task{'s' * (result.cell.tasks > 1)}, {statistic}: {covered:.3f}"
        for result, statistic in product(results, STATISTICS)
        if (covered := result.coverage[statistic, DEFAULT_METHOD]) < GOAL
        and result.cell.distribution.reachable
    ]


def summary(results: Sequence[Result]) -> str:
    """Least coverage of every method over the cells, and mean width beside the percentile's."""
    lines = [
        "| method | least coverage, normal and skewed | least coverage, bimodal "
        "| cells of all below 0.93 | width, mean over cells |",
        "|:--|--:|--:|--:|--:|",
    ]
    for method in CANDIDATES:
        asked = [
            result.coverage[statistic, method]
            for result, statistic in product(results, STATISTICS)
            if result.cell.distribution.reachable
        ]
        others = [
            result.coverage[statistic, method]
            for result, statistic in product(results, STATISTICS)
            if not result.cell.distribution.reachable
        ]
        widths = [
            result.width[statistic, method] / result.width[statistic, BASELINE]
            for result, statistic in product(results, STATISTICS)
        ]
        below = sum(covered < GOAL for covered in [*asked, *others])
        lines.append(
            f"| {method} | {min(asked):.3f} | {min(others):.3f} | {below} of {len(widths)} "
            f"| ×{np.mean(widths):.2f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and write if asked; 0 if the default reaches its goal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", type=Path, help="write the page to this file")
    parser.add_argument("--repetitions", type=int, default=2_000, help="samples in each cell")
    parser.add_argument("--draws", type=int, default=1_000, help="bootstrap draws of each sample")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes")
    arguments = parser.parse_args()
    started = time.perf_counter()
    with get_reusable_executor(max_workers=arguments.jobs) as executor:
        futures = [
            executor.submit(measure, index, arguments.repetitions, arguments.draws)
            for index in range(len(CELLS))
        ]
        results = [future.result() for future in futures]
    text = page(results, arguments, time.perf_counter() - started)
    print(text)
    if arguments.write is not None:
        arguments.write.write_text(text, encoding="utf-8")
    return 1 if missed(results) else 0


def page(results: Sequence[Result], arguments: argparse.Namespace, seconds: float) -> str:
    """The page's text."""
    below = missed(results)
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "rliable"))
    return f"""# Calibration
{summary(results)}

{table(results, "IQM")}

{table(results, "mean")}

{below}
{seconds:.0f} s {versions} {platform.python_version()} {os.cpu_count()}
"""


if __name__ == "__main__":
    sys.exit(main())
