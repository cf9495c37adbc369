"""How true a population's schedule is, beside constant settings that had as many steps.

``python -m benchmarks.population`` repeats whole studies of ``tune --strategy pbt`` on
``ppo_lab/NoisyGridWorld-v0``, whose scores are exact expected returns: as many trials of constant
settings as the population has members, both picks chosen on the same fresh seeds. What each pick
is truly worth is its mean over seeds that no study has. Each study's finding is kept as a file, so
a second call goes on. ``--write FILE`` puts the table between the marks ``population`` of a page.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats

import ppo_lab  # noqa: F401 - registers the environment
from benchmarks.page_marks import write_between_marks
from ppo_lab.cores import usable_cores
from ppo_lab.runs.config import RunConfig
from ppo_lab.runs.execution import RunResult
from ppo_lab.runs.workers import execute_runs
from reports.whole_files import write_whole
from tuning.population import Population
from tuning.population_stages import run_population
from tuning.protocol import TuningProtocol
from tuning.run_study import run_study
from tuning.search import Search
from tuning.spaces import SPACES

ENV = "ppo_lab/NoisyGridWorld-v0"
ALGO = "spec_ppo"
SPACE = SPACES["core"][ALGO]
MEMBERS, GENERATIONS = 8, 4
TRUTH_SEEDS = 20
TRUTH = 4_280_000_000
"""Above every seed of a protocol's, and of the other measurements of honesty."""
STRIDE = 100


@dataclass(frozen=True)
class Finding:
    """What one study came to, in exact expected returns.

    Attributes:
        found: the score at which the population's best member was found.
        fresh: the mean of its schedule over the fresh seeds that chose it.
        schedule: what that schedule is truly worth.
        constant_fresh: the mean of the constant settings over the same fresh seeds.
        constant: what they are truly worth.
        pieces: of the schedule.
    """

    found: float
    fresh: float
    schedule: float
    constant_fresh: float
    constant: float
    pieces: int


class _Silent:
    """A progress that shows nothing."""

    def stage(self, _name: str, _total: int) -> AbstractContextManager["_Silent"]:
        return nullcontext(self)

    def advance(self, _result: RunResult, _label: str = "", _elsewhere: bool = False) -> None:
        pass

    def running(self, _count: int) -> None:
        pass

    def waiting(self, _what: str, _seconds: float) -> None:
        pass


def study(folder: Path, index: int, timesteps: int, jobs: int) -> Finding:
    """One study's finding; taken from disk where it is."""
    file = folder / f"study-{index}.json"
    if not file.exists():
        place = folder / f"study-{index}"
        write_whole(file, json.dumps(asdict(_made(place, index, timesteps, jobs)), indent=1) + "\n")
        shutil.rmtree(place)
    return Finding(**json.loads(file.read_text(encoding="utf-8")))


def _made(place: Path, index: int, timesteps: int, jobs: int) -> Finding:
    protocol = TuningProtocol(
        ENV, "MlpPolicy", timesteps=timesteps, trials=MEMBERS, finalists=3, replicas=5, seeds=1,
        seed=index,
    )  # fmt: skip
    search = Search(ALGO, protocol, SPACE)
    outcome = run_study(
        {ALGO: protocol}, place, storage=None, jobs=jobs, progress=_Silent(), say=lambda _: None,
        spaces={ALGO: SPACE},
    )  # fmt: skip
    constant = outcome.tuned[0]
    population = Population(search, place, MEMBERS, GENERATIONS)
    found = run_population(population, constant, jobs=jobs, progress=_Silent())
    schedule = found.schedule
    following = replace(
        search.run("judge", 0, schedule.hyperparameters), callback=schedule.callback
    )
    return Finding(
        schedule.score,
        found.fresh,
        _truth(following, place / "truth-pbt", index, jobs),
        constant.winner.mean,
        _truth(
            search.run("judge", 0, constant.winner.hyperparameters),
            place / "truth-constant",
            index,
            jobs,
        ),
        len(schedule.steps),
    )


def _truth(run: RunConfig, place: Path, index: int, jobs: int) -> float:
    """The mean over seeds of their own, the same for both picks of a study."""
    runs = {
        place / f"run_{i}": replace(run, seed=TRUTH + (index * 100 + i) * STRIDE)
        for i in range(TRUTH_SEEDS)
    }
    scores = [result.score for _, result in execute_runs(runs, jobs)]
    return float(np.mean([score for score in scores if score is not None]))


def _mean(values: Sequence[float]) -> str:
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):+.3f} ± {half:.3f}"


def table(findings: Sequence[Finding], timesteps: int) -> str:
    """The findings as text of the page."""
    rows = {
        "the score at which the population found it, less the truth": [
            f.found - f.schedule for f in findings
        ],
        "its mean over the fresh seeds that chose it, less the truth": [
            f.fresh - f.schedule for f in findings
        ],
        "the constant settings' mean there, less their truth": [
            f.constant_fresh - f.constant for f in findings
        ],
        "true worth of the schedule, less that of the constant settings": [
            f.schedule - f.constant for f in findings
        ],
    }
    changing = sum(finding.pieces > 1 for finding in findings)
    return "\n".join(
        [
            f"{len(findings)} studies, seeds 0 to {len(findings) - 1}, of {ALGO} on {ENV}: "
            f"{MEMBERS} members of {timesteps:,} steps in {GENERATIONS} generations, {MEMBERS} "
            "trials of constant settings; 3 of either and the default again on 5 fresh seeds. "
            f"True worth: the mean exact return over {TRUTH_SEEDS} other seeds. {changing} of the "
            "schedules change on the way.\n",
            "| in exact expected returns, ± a 95 % t-interval over studies | |",
            "|:--|--:|",
            *(f"| {name} | {_mean(values)} |" for name, values in rows.items()),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the studies that are not on disk, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=12, help="2 or more")
    parser.add_argument("--timesteps", type=int, default=2048, help="of each member and each run")
    parser.add_argument("--jobs", type=int, default=usable_cores())
    parser.add_argument("--log-folder", type=Path, default=Path("logs/population"))
    parser.add_argument("--write", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    options.log_folder.mkdir(parents=True, exist_ok=True)
    findings = [
        study(options.log_folder, index, options.timesteps, options.jobs)
        for index in range(options.studies)
    ]
    text = table(findings, options.timesteps)
    print(text)
    if options.write is not None:
        write_between_marks(options.write, "population", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
