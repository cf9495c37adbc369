"""A whole study: every stage in turn, and what it leaves behind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from ppo_lab.runs.executor import Executor
from ppo_lab.runs.references import ReferenceScores, as_record, measured_reference, stated_reference
from ppo_lab.runs.sb3_training import evaluation_recipe
from ppo_lab.runs.workers import local_executor
from reports.whole_files import write_whole
from tuning.candidates import Tuned
from tuning.heart import Heart
from tuning.outputs import settings_yaml, trials_table
from tuning.protocol import TuningProtocol
from tuning.shift import Progress, Resources
from tuning.spaces import SPACES, Space, fit_to_budget
from tuning.stages import judge, replicate, replications, screen
from tuning.storage import GRACE_SECONDS, file_url, open_storage, open_study
from tuning.study import AlgorithmStudy, reason_of, study_settings
from tuning.trial_runs import TrialResult
from tuning.wording import based_on, decisions, headline, notes_of, time_spent
from tuning.work_list import WorkList

__all__ = ["Outcome", "run_study"]

MEASURED = "reference"
"""The study's attribute that keeps the random policy's score; None: it could not be played."""


@dataclass(frozen=True)
class Outcome:
    """What a study came to.

    Attributes:
        judged: the folder of the judged runs, for the report.
        tuned: each algorithm's candidates, best first.
        notes: plain sentences on the protocol and the choice, the same for the same seed.
        time: a sentence on the time that the runs took, which never is.
        settings: algorithm → the file with its best settings, in the zoo's format.
        trials: algorithm → its trials of screening, in their order.
        failed: the reasons of the judged runs that failed.
    """

    judged: Path
    tuned: tuple[Tuned, ...]
    notes: tuple[str, ...]
    time: str
    settings: Mapping[str, Path]
    trials: Mapping[str, Sequence[FrozenTrial]]
    failed: tuple[str, ...] = ()


def run_study(
    protocols: Mapping[str, TuningProtocol],
    folder: Path,
    *,
    storage: str | None,
    jobs: int,
    progress: Progress,
    say: Callable[[str], None],
    spaces: Mapping[str, Space] | None = None,
    grace: int = GRACE_SECONDS,
    run_timeout: float | None = None,
    screen_only: bool = False,
    executor: Executor[TrialResult] | None = None,
) -> Outcome:
    """Screen, replicate and judge; whatever an earlier call or another machine did is taken.

    Args:
        protocols: algorithm → budgets, shapes and seeds, the same for all, with the algorithm's
            base and with what this asks of the runs.
        folder: the study's folder; its name is the study's.
        storage: see :func:`tuning.storage.open_storage`; None: ``study.db`` in the folder.
        jobs: worker processes.
        progress: told of every result.
        say: told in a line what is being gone on with.
        spaces: algorithm → what is searched; None: the core space.
        grace: seconds of silence after which a worker elsewhere is taken for lost, and for which
            a database that does not answer is waited for.
        run_timeout: seconds after which a run is ended and counts as failed; None: no limit.
        screen_only: end after screening; the outcome has its trials and nothing else.
        executor: of this ``run_timeout``, in the place of ``jobs`` processes; closed in the end.

    Raises:
        ArgumentError: the storage or the folder holds a study of other settings, or the budget is
            too small for the space.
        StudyError: a stage has nothing to hand on.
        OSError: the folder cannot be written.
    """
    fitted = {
        algo: fit_to_budget((spaces or SPACES["core"])[algo], its.n_envs, its.timesteps)
        for algo, its in protocols.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    url = storage or file_url(folder / "study.db")
    opened = open_storage(url, grace, say)
    heart = Heart(opened)
    carries_out = executor or local_executor(jobs, run_timeout)

    def work_list(name: str, settings: Mapping[str, object]) -> WorkList:
        study = open_study(f"{folder.name}-{name}", opened, url, settings)
        return WorkList(study, opened, heart, grace, say)

    def algorithm_study(algo: str) -> AlgorithmStudy:
        protocol, space = protocols[algo], fitted[algo]
        settings = study_settings(algo, protocol, space)
        return AlgorithmStudy(algo, protocol, space, folder, work_list(algo, settings))

    try:
        studies = [algorithm_study(algo) for algo in protocols]
        _say_what_is_there(studies, say)
        resources = Resources(
            carries_out, progress, grace, lambda name: work_list(name, {"companion": name})
        )
        screen(resources, studies)
        if screen_only:
            return Outcome(folder / "judge", (), (), "", {}, _trials(studies))
        tuned = replicate(resources, studies)
        judged = judge(resources, studies, tuned, _reference(studies[0], say), say)
        return _outcome(studies, tuned, judged, resources)
    finally:
        carries_out.close()
        heart.stop()
        _disconnect(opened)


def _reference(study: AlgorithmStudy, say: Callable[[str], None]) -> ReferenceScores | None:
    """Stated, or measured once for the whole study, whoever works on it and however often."""
    run = study.run("judge", 0, {})
    kwargs = run.evaluation_kwargs
    stated = stated_reference(run.env, kwargs)
    if stated is not None:
        return stated
    notebook = study.work_list.study
    if MEASURED not in notebook.user_attrs:
        measured = measured_reference(run.env, kwargs, say, evaluation_recipe(run).wrapper())
        notebook.set_user_attr(MEASURED, as_record(measured))
    kept = notebook.user_attrs[MEASURED]
    return None if kept is None else ReferenceScores(**kept)


def _say_what_is_there(studies: Sequence[AlgorithmStudy], say: Callable[[str], None]) -> None:
    protocol, folder = studies[0].protocol, studies[0].folder
    for study in studies:
        study.work_list.refresh()
    trials = sum(len(study.outcomes()) for study in studies)
    runs = sum(1 for _ in folder.glob("*/**/run.json"))
    if trials or runs:
        say(
            f"Going on with study {folder.name}: {trials} of "
            f"{protocol.trials * len(studies)} trials are finished, {runs} runs are on disk."
        )


def _outcome(
    studies: Sequence[AlgorithmStudy],
    tuned: Sequence[Tuned],
    judged: Mapping[Path, FrozenTrial],
    resources: Resources,
) -> Outcome:
    protocol, folder = studies[0].protocol, studies[0].folder
    replicated = {study.algo: _replications(study, resources) for study in studies}
    notes = notes_of(protocol, studies, tuned, judged, replicated)
    settings = {}
    for study, outcome in zip(studies, tuned, strict=True):
        decided = decisions(study, outcome)
        study.work_list.study.set_user_attr(
            "decisions", {str(number + 1): text for number, text in decided.items()}
        )
        table = trials_table(study.outcomes(), decided)
        write_whole(folder / f"trials-{study.algo}.csv", table)
        settings[study.algo] = folder / f"{study.algo}.yml"
        comments = [*headline(study.protocol, outcome), *based_on(study)]
        write_whole(
            settings[study.algo],
            settings_yaml(study.protocol, study.policy, outcome.winner.hyperparameters, comments),
        )
    everything = {
        study.algo: [
            *(trial for trials in replicated[study.algo].values() for trial in trials),
            *(t for f, t in judged.items() if f.parent.name.startswith(f"{study.algo}-")),
        ]
        for study in studies
    }
    return Outcome(
        folder / "judge",
        tuple(tuned),
        tuple(notes),
        time_spent(studies, everything),
        settings,
        _trials(studies),
        tuple(reason_of(trial) for trial in judged.values() if trial.state == TrialState.FAIL),
    )


def _trials(studies: Sequence[AlgorithmStudy]) -> dict[str, list[FrozenTrial]]:
    """Algorithm → its trials of screening, in their order."""
    return {s.algo: [trial for _, trial in sorted(s.outcomes().items())] for s in studies}


def _replications(study: AlgorithmStudy, resources: Resources) -> dict[str, list[FrozenTrial]]:
    work_list = resources.companion(f"{study.algo}-replicate")
    work_list.refresh()
    return replications(study, work_list)


def _disconnect(storage: BaseStorage) -> None:
    engine = getattr(storage, "engine", None)
    if engine is not None:
        engine.dispose()
