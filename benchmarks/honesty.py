"""How true a study's pick is, and its own figure for it: the zoo's protocol and ours.

``python benchmarks/honesty.py`` repeats whole studies at equal budget in tuning runs. The zoo's:
every run a configuration of its own, the best single score wins and is the promise. Ours: screen
on one seed, replicate the default and the best on fresh seeds, report the winner on test seeds.
Objectives are synthetic (quality known exactly) and ``ppo_lab/NoisyGridWorld-v0`` (real training
runs; quality is the mean over 40 fresh seeds). Exits with 1 if a goal is missed; ``--write FILE``
keeps the tables.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy loads its BLAS
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import honesty_runs
import honesty_synthetic as synthetic
import numpy as np
from honesty_synthetic import Budget, Finding, exactly
from rich.console import Console
from scipy import stats

from ppo_lab.cores import usable_cores

BETTER_BY, OVERSTATED_BY = 0.25, 0.1
"""The goals, in standard deviations of the seed noise."""
OURS = Budget(trials=70, finalists=4, replicas=10, seeds=10)
PAID = Budget(trials=60, finalists=4, replicas=10, seeds=10)
"""The test seeds' runs taken out of the tuning budget."""
CASES = (
    ("independent", OURS),
    ("independent", PAID),
    ("smooth, random", OURS),
    ("smooth, TPE", OURS),
)
CHECK_STUDIES = 2000


@dataclass(frozen=True)
class Comparison:
    """Both protocols on the same objectives, study by study.

    Attributes:
        name: of the objective.
        budget: ours; the zoo had as many runs, one seed each.
        zoo: its findings.
        ours: ours.
    """

    name: str
    budget: Budget
    zoo: Sequence[Finding]
    ours: Sequence[Finding]

    @property
    def better(self) -> "Mean":
        """By how much our pick is truly better."""
        return Mean.of([b.quality - a.quality for a, b in zip(self.zoo, self.ours, strict=True)])

    @property
    def overstated(self) -> "Mean":
        """By how much the test seeds overstate it."""
        return Mean.of([each.tested - each.quality for each in self.ours])

    @property
    def met(self) -> bool:
        """Both goals."""
        return self.better.value >= BETTER_BY and self.overstated.value <= OVERSTATED_BY

    def rows(self) -> list[str]:
        """Two lines of the table."""
        budget = self.budget
        runs = budget.runs + (budget.seeds if budget is PAID else 0)
        shape = f"{budget.trials} × 1, default and top {budget.finalists} × {budget.replicas}"
        shape += f", {budget.seeds} of test" if budget is PAID else ""
        zoo = [
            Mean.of([f.quality for f in self.zoo]),
            Mean.of([f.promise - f.quality for f in self.zoo]),
        ]
        ours = [
            Mean.of([f.quality for f in self.ours]),
            Mean.of([f.promise - f.quality for f in self.ours]),
        ]
        verdict = "met" if self.met else "**missed**"
        return [
            f"| {self.name} | the zoo's: {runs} × 1 | {zoo[0]} | {zoo[1]} | – | | |",
            f"| | ours: {shape} | {ours[0]} | {ours[1]} | {self.overstated} | {self.better} "
            f"| {verdict} |",
        ]


@dataclass(frozen=True)
class Mean:
    """A mean with its 95 % t-interval."""

    value: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """Of independent values, two or more."""
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        return cls(float(np.mean(values)), float(stats.t.ppf(0.975, len(values) - 1) * error))

    def __str__(self) -> str:
        return f"{self.value:.2f} ± {self.half:.2f}"


HEAD = [
    "| objective | protocol | true quality of the pick | overstated by the score that chose it "
    "| overstated on test seeds | better by | goals |",
    "|:--|:--|--:|--:|--:|--:|:--|",
]


def check_table(studies: int) -> list[str]:
    """The design's table again, beside what it is exactly."""
    lines = ["| protocol | true quality | overstated by | exactly |", "|:--|--:|--:|--:|"]
    for trials, seeds in ((120, 1), (40, 3)):
        lines.append(
            _check_row(
                f"{trials} configurations × {seeds} seed{'s' if seeds > 1 else ''}",
                synthetic.best_of(trials, seeds, studies, seed=trials),
                "{:.2f}, {:.2f}".format(*exactly(trials, seeds)),
            )
        )
    _, ours = zip(
        *(synthetic.pair_of_studies("independent", OURS, 1, s) for s in range(studies)), strict=True
    )
    again = f"the default and the top {OURS.finalists} × {OURS.replicas} fresh seeds"
    name = f"{OURS.trials} × 1, then {again}"
    return [*lines, _check_row(name, ours, "–")]


def _check_row(name: str, findings: Sequence[Finding], exact: str) -> str:
    quality = Mean.of([f.quality for f in findings])
    overstated = Mean.of([f.promise - f.quality for f in findings])
    return f"| {name} | {quality} | {overstated} | {exact} |"


def synthetic_comparisons(studies: int, jobs: int, say: Console) -> list[Comparison]:
    """All synthetic cases."""
    found = []
    for kind, budget in CASES:
        with say.status(f"{kind} …") as status:
            zoo, ours = synthetic.repeat(kind, budget, OURS.runs, studies, jobs, status.update)
        found.append(Comparison(kind, budget, zoo, ours))
    return found


def page(lines: Sequence[str], command: str, former: str = "") -> str:
    """The tables as a page of the documentation; further sections of the former one stay."""
    intro = (
        "# How honest a study is, measured\n\n"
        f"Written by `{command}`. Everything is in standard deviations of the seed noise; ± is a "
        "95 % t-interval over studies.\n"
    )
    _, heading, others = former.partition("\n## ")
    return "\n".join([intro, *lines, ""]) + heading + others


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments choose; 0 if every goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--studies", type=int, default=500, help="synthetic ones of each kind; 0: none"
    )
    parser.add_argument(
        "--runs", type=int, default=30, metavar="STUDIES", help="real ones; 0: none"
    )
    parser.add_argument("--timesteps", type=int, default=2000, help="of a real run")
    parser.add_argument(
        "--sampler", choices=("random", "tpe"), default="random", help="of the real ones"
    )
    parser.add_argument("--jobs", type=int, default=usable_cores())
    parser.add_argument("--log-folder", type=Path, default=Path("logs/honesty"))
    parser.add_argument("--write", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    started, say = time.perf_counter(), Console(stderr=True)
    lines: list[str] = []
    comparisons: list[Comparison] = []
    if options.studies:
        lines += ["The table of the design again, a check of this script "
                  f"({CHECK_STUDIES:,} studies):\n", *check_table(CHECK_STUDIES), ""]  # fmt: skip
        comparisons += synthetic_comparisons(options.studies, options.jobs, say)
        lines += [f"- {name}: {text}." for name, text in synthetic.KINDS.items()]
    if options.runs:
        setting = honesty_runs.Setting(
            OURS, options.timesteps, options.sampler,
            options.log_folder / f"{options.sampler}-{options.timesteps}", options.jobs,
        )  # fmt: skip
        with say.status("") as status:
            zoo, ours = honesty_runs.repeat(setting, options.runs, status.update)
        comparisons.append(Comparison(f"NoisyGridWorld, {options.sampler}", OURS, zoo, ours))
        lines.append(honesty_runs.describe(setting, options.runs))
    rows = [row for comparison in comparisons for row in comparison.rows()]
    lines += [
        "", f"Synthetic studies of each kind: {options.studies}; real ones: {options.runs}.\n",
        *HEAD, *rows, "",
        f"Goals: better than the zoo's by ≥ {BETTER_BY}, overstated on test seeds by ≤ "
        f"{OVERSTATED_BY}.",
    ]  # fmt: skip
    met = all(comparison.met for comparison in comparisons)
    lines.append("Every goal is met." if met else "A goal is missed.")
    print("\n".join(lines))
    say.print(f"{time.perf_counter() - started:.0f} s")
    if options.write:
        words = [
            "python benchmarks/honesty.py",
            *(sys.argv[1:] if arguments is None else arguments),
        ]
        former = options.write.read_text(encoding="utf-8") if options.write.exists() else ""
        options.write.write_text(page(lines, " ".join(words), former), encoding="utf-8")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
