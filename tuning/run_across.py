"""A study of several environments: each one's own, and one setting for all beside them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial

from ppo_lab.errors import ArgumentError
from ppo_lab.runs.config import RunConfig, environment_folder_name
from ppo_lab.runs.execution import RunResult
from ppo_lab.runs.references import ReferenceScores, reference_scores, stated_reference
from ppo_lab.runs.sb3_training import evaluation_recipe
from ppo_lab.runs.workers import execute_runs
from tuning.across import Scale, scale_of
from tuning.one_setting import OneSetting, choose_one, judge_one
from tuning.protocol import TuningProtocol
from tuning.run_study import Outcome, run_study
from tuning.search import Search
from tuning.shift import Progress
from tuning.spaces import Space

__all__ = ["SAMPLERS", "AcrossOutcome", "notes_across", "run_across"]

SAMPLERS = ("qmc", "random")
"""Whose proposals do not depend on scores: every environment's study tries the same settings."""


@dataclass(frozen=True)
class AcrossOutcome:
    """What a study of several environments came to.

    Attributes:
        outcomes: environment → its own study's; without judged runs where none is tuned for itself.
        judged: the folders of all judged runs, for the report.
        ones: each algorithm's setting for all.
        scales: algorithm → environment → its scale.
        trials: algorithm → environment → its trials of screening.
        failed: the reasons of the judged runs that failed.
    """

    outcomes: Mapping[str, Outcome]
    judged: tuple[Path, ...]
    ones: tuple[OneSetting, ...]
    scales: Mapping[str, Mapping[str, Scale]]
    trials: Mapping[str, Mapping[str, Sequence[FrozenTrial]]]
    failed: tuple[str, ...]


def run_across(
    protocols: Mapping[str, Mapping[str, TuningProtocol]],
    spaces: Mapping[str, Mapping[str, Space]],
    folder: Path,
    *,
    jobs: int,
    progress: Progress,
    say: Callable[[str], None],
    each: bool,
    run_timeout: float | None = None,
) -> AcrossOutcome:
    """Tune on every environment, and find and judge the one setting for all of them.

    Args:
        protocols: environment → algorithm → its protocol.
        spaces: environment → algorithm → what is searched, the same everywhere.
        folder: of the study; every environment's own lies in it.
        jobs: worker processes.
        progress: told of every result.
        say: told in a line what is being done.
        each: tune for every environment itself too; else it is screened alone.
        run_timeout: seconds after which a run is ended and counts as failed; None: no limit.

    Raises:
        ArgumentError: the sampler's proposals would depend on scores, or see ``run_study``.
        StudyError: a stage has nothing to hand on.
        OSError: a folder cannot be written.
    """
    for of_env in protocols.values():
        for protocol in of_env.values():
            if protocol.sampler not in SAMPLERS:
                raise ArgumentError(
                    f"sampler={protocol.sampler!r} proposes for each environment what did well "
                    f"there: expected one of {', '.join(SAMPLERS)} for several environments"
                )
    outcomes = {}
    for env, of_env in protocols.items():
        say(f"{env}:")
        outcomes[env] = run_study(
            of_env,
            folder / f"{folder.name}-{environment_folder_name(env)}",
            storage=None,
            jobs=jobs,
            progress=progress,
            say=say,
            spaces=spaces[env],
            run_timeout=run_timeout,
            screen_only=not each,
        )

    def execute(stage: str, runs: Mapping[Path, RunConfig]) -> Iterator[tuple[Path, RunResult]]:
        with progress.stage(stage, len(runs)):
            for place, result in execute_runs(runs, jobs, run_timeout, progress.waiting):
                progress.advance(result)
                yield place, result

    algos = list(next(iter(protocols.values())))
    trials = {algo: {env: outcomes[env].trials[algo] for env in protocols} for algo in algos}
    scales = {
        algo: {env: scale_of(of_env) for env, of_env in trials[algo].items()} for algo in algos
    }
    ones, failed = [], []
    for algo in algos:
        searches = {env: Search(algo, protocols[env][algo], spaces[env][algo]) for env in protocols}
        one = choose_one(searches, trials[algo], scales[algo], folder / "one", execute)
        say(one.words)
        references = {env: _reference(search, each, say) for env, search in searches.items()}
        failed += judge_one(
            searches, one, references, folder / "one", execute, with_default=not each
        )
        ones.append(one)
    judged = [outcome.judged for outcome in outcomes.values()] if each else []
    if any(not one.is_default for one in ones) or not each:
        judged.append(folder / "one" / "judge")
    failed += [reason for outcome in outcomes.values() for reason in outcome.failed]
    return AcrossOutcome(outcomes, tuple(judged), tuple(ones), scales, trials, tuple(failed))


def _reference(search: Search, each: bool, say: Callable[[str], None]) -> ReferenceScores | None:
    """What normalises an environment's scores; measured where no study of its own has done so."""
    run = search.run("judge", 0, {})
    if each:
        return stated_reference(run.env, run.evaluation_kwargs)
    wrapper = evaluation_recipe(run).wrapper()
    return reference_scores(run.env, run.evaluation_kwargs, say, wrapper)


def notes_across(outcome: AcrossOutcome, each: bool) -> list[str]:
    """The notes of every environment's study, those that all share once, and the one settings'."""
    by_env = {env: own.notes for env, own in outcome.outcomes.items()}
    shared = set.intersection(*map(set, by_env.values())) if by_env else set()
    how = "each environment is tuned for itself too" if each else "none is tuned for itself"
    return [
        f"One setting for {', '.join(by_env)}, chosen across them on fresh tuning seeds and judged "
        f"on test seeds; {how}.",
        *(one.words for one in outcome.ones),
        *dict.fromkeys(note for notes in by_env.values() for note in notes if note in shared),
        *(f"{env}: {n}" for env, notes in by_env.items() for n in notes if n not in shared),
    ]
