"""The three stages of a study: screen, replicate, judge (design: honest comparisons)."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from ppo_lab.runs.execution import RunConfig, is_damaged
from ppo_lab.runs.executor import Death, as_completed
from ppo_lab.runs.references import ReferenceScores, as_record
from reports.text import counted
from tuning.candidates import Candidate, Tuned, ranked
from tuning.clear_judging import judge_until_clear
from tuning.finalists import finalists
from tuning.outputs import former_settings, restore_run
from tuning.shift import Resources, carry_out
from tuning.study import AlgorithmStudy, Runs, Screening, reason_of
from tuning.trial_runs import TrialRuns, run_trial
from tuning.work_list import WorkList

__all__ = ["StudyError", "judge", "replicate", "replications", "screen"]


class StudyError(RuntimeError):
    """A stage has nothing to hand on; the message says why."""


def screen(resources: Resources, studies: Sequence[AlgorithmStudy]) -> None:
    """Train every trial of every algorithm on the screening seeds.

    Raises:
        StudyError: an algorithm has no trial that finished, or a trial could not be made; gives
            the first failure's reason.
    """
    _whole(carry_out(resources, "screen", {study.algo: Screening(study) for study in studies}))
    for study in studies:
        if not study.best(1):
            failures = study.of_state(TrialState.FAIL)
            raise StudyError(
                f"no trial of {study.algo} finished: all {len(failures)} failed, the first with "
                f"{reason_of(failures[0])}"
            )


def replicate(resources: Resources, studies: Sequence[AlgorithmStudy]) -> list[Tuned]:
    """Train the default and the best trials again on fresh tuning seeds; the best mean wins.

    Raises:
        StudyError: every finalist of an algorithm failed on a fresh seed, or a run could not be
            made.
    """
    work = {study.algo: _replication(resources, study) for study in studies}
    _whole(carry_out(resources, "replicate", work))
    return [_tuned(study, work[study.algo].work_list) for study in studies]


def _replication(resources: Resources, study: AlgorithmStudy) -> Runs:
    runs = {}
    for finalist in finalists(study):
        for i in range(1, study.protocol.replicas + 1):
            place = study.place(i, "replicate", study.algo, finalist.folder_name)
            run = study.run("replicate", i - 1, finalist.hyperparameters)
            runs[f"{finalist.name}/{i}"] = place, run
    return Runs(resources.companion(f"{study.algo}-replicate"), runs)


def replications(study: AlgorithmStudy, work_list: WorkList) -> dict[str, list[FrozenTrial]]:
    """A finalist's name → its outcomes on the fresh seeds, in their order, as far as there are.

    Args:
        study: the algorithm's.
        work_list: of its companion study ``replicate``.
    """
    seeds = range(1, study.protocol.replicas + 1)
    outcomes = {
        finalist.name: [work_list.outcome(f"{finalist.name}/{i}") for i in seeds]
        for finalist in finalists(study)
    }
    return {n: [trial for trial in made if trial is not None] for n, made in outcomes.items()}


def _tuned(study: AlgorithmStudy, work_list: WorkList) -> Tuned:
    candidates, reasons = [], []
    replicated = replications(study, work_list)
    for each in finalists(study):
        outcomes = replicated[each.name]
        scores = [o.value for o in outcomes if o.state == TrialState.COMPLETE]
        finished = tuple(score for score in scores if score is not None)
        if len(finished) == study.protocol.replicas:
            settings = each.hyperparameters
            candidates.append(
                Candidate(each.trial, settings, each.screened, finished, each.is_default)
            )
        else:
            reasons.append(next(reason_of(o) for o in outcomes if o.state == TrialState.FAIL))
    if not candidates:
        raise StudyError(f"no finalist of {study.algo} finished on every fresh seed: {reasons[0]}")
    return Tuned(study.algo, ranked(candidates))


def judge(
    resources: Resources,
    studies: Sequence[AlgorithmStudy],
    tuned: Sequence[Tuned],
    reference: ReferenceScores | None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[Path, FrozenTrial]:
    """Train the winners and the defaults on the test seeds; once where they are the same.

    Every run's folder is on this machine afterwards, whichever machine made it.

    Args:
        resources: with what.
        studies: the algorithms.
        tuned: their outcomes of replication, in the same order.
        reference: what the report normalises by; written into each run. None: not known.
        say: told what each look decides, where the protocol ends when it is clear.

    Returns:
        Run folder → the trial that made it, a failed one that is in no storage where the run could
        not be made; the folders lie below ``judge``.

    Raises:
        StudyError: every run failed.
    """
    work = {
        study.algo: _judging(resources, study, outcome, reference)
        for study, outcome in zip(studies, tuned, strict=True)
    }
    if studies[0].protocol.until_clear is None:
        lost = carry_out(resources, "judge", work)
    else:
        work, lost = judge_until_clear(resources, studies, tuned, work, say)
    _make_damaged_again(resources, work.values())
    results: dict[Path, FrozenTrial] = {}
    for label, runs in work.items():
        for item, (folder, config) in runs.runs.items():
            outcome = runs.work_list.outcome(item) or _not_made(lost[label, item])
            restore_run(folder, config, outcome)
            results[folder] = outcome
    if all(trial.state == TrialState.FAIL for trial in results.values()):
        raise StudyError(f"every judged run failed: {reason_of(next(iter(results.values())))}")
    return results


def _make_damaged_again(resources: Resources, work: Iterable[Runs]) -> None:
    """Make judged runs again that this machine finished and whose files were damaged since.

    The storage has their scores; the report reads their folders, and the models lie there alone.
    """
    damaged = [
        (folder, config)
        for runs in work
        for folder, config in runs.runs.values()
        if folder.exists() and is_damaged(config, folder)
    ]
    executor = resources.executor
    for run in damaged:
        trial = TrialRuns((run,))
        executor.submit(run[0], run_trial, trial, executor.run_timeout, resources.execute_run)
    for folder, outcome in as_completed(executor):
        if isinstance(outcome, Death):
            reason = outcome.reason(str(folder), executor.run_timeout)
            _whole({("the damaged runs", str(folder)): reason})


def _judging(
    resources: Resources, study: AlgorithmStudy, outcome: Tuned, reference: ReferenceScores | None
) -> Runs:
    base_word = study.protocol.base_word
    settings: dict[str, tuple[str, Mapping[str, Any]]] = {
        base_word: ("default", study.default_hyperparameters)
    }
    if not outcome.keeps_default:
        winner = outcome.winner
        settings = {"tuned": (str(winner.trial), winner.hyperparameters), **settings}
    base = study.protocol.base
    origins = {base.word: base.origin} if base is not None else {}
    _set_former_winner_aside(study, outcome)
    runs: dict[str, tuple[Path, RunConfig]] = {}
    for name, (trial, hyperparameters) in settings.items():
        for i in range(1, study.protocol.seeds + 1):
            run = study.run("judge", i - 1, hyperparameters)
            run = replace(run, settings=name, origin=origins.get(name, ""))
            run = replace(run, reference=as_record(reference))
            runs[f"{trial}/{i}"] = study.place(i, "judge", f"{study.algo}-{name}"), run
    return Runs(resources.companion(f"{study.algo}-judge"), runs, keep_evaluations=True)


def _set_former_winner_aside(study: AlgorithmStudy, outcome: Tuned) -> None:
    """With more trials another one may win: the former one's runs leave the report's folder."""
    place = study.folder / "judge" / f"{study.algo}-tuned"
    # Where the default is kept, nothing is tuned: whatever lies there is a former winner's.
    former = former_settings(
        place, None if outcome.keeps_default else outcome.winner.hyperparameters
    )
    if former is not None:
        target = study.folder / "former" / f"{study.algo}-{former}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(target)
        place.rename(target)


def _whole(lost: Mapping[tuple[str, str], str]) -> None:
    """Raise where a stage has not all that the next one rests on.

    Raises:
        StudyError: says what is missing, why, and that it is tried again.
    """
    if not lost:
        return
    (label, _), reason = next(iter(lost.items()))
    raise StudyError(
        f"{counted(len(lost), 'task')} could not be done, the first of {label}: {reason}; the same "
        "command tries again"
    )


def _not_made(reason: str) -> FrozenTrial:
    return create_trial(state=TrialState.FAIL, user_attrs={"reason": reason})
