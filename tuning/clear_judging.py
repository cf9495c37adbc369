"""Judging until it is clear: test seeds are added until every two rows are told apart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from optuna.trial import TrialState

from ppo_lab.runs.config import RunConfig
from ppo_lab.runs.until_clear import look_until_clear, task_scale
from reports.logs.looks_file import LOOKS, read_looks
from reports.logs.records import UnusableError
from tuning.candidates import Tuned
from tuning.shift import Resources, carry_out
from tuning.study import AlgorithmStudy, Runs

__all__ = ["judge_until_clear"]

Lost = dict[tuple[str, str], str]


def judge_until_clear(
    resources: Resources,
    studies: Sequence[AlgorithmStudy],
    tuned: Sequence[Tuned],
    work: Mapping[str, Runs],
    say: Callable[[str], None],
) -> tuple[dict[str, Runs], Lost]:
    """Make the judged runs look by look, as far as they are needed.

    Every machine that works on the study takes the same looks at the same outcomes, and so comes to
    the same decisions.

    Args:
        resources: with what.
        studies: the algorithms; their protocol has the plan.
        tuned: their outcomes of replication.
        work: each algorithm's runs of all ``max_seeds`` test seeds.
        say: told what each look decided.

    Returns:
        The runs that were asked for, and of those that could not be made why.
    """
    protocol = studies[0].protocol
    design = protocol.until_clear
    assert design is not None
    judged = _Judged(resources, work)
    winners = {
        outcome.algo: "default" if outcome.keeps_default else str(outcome.winner.trial)
        for outcome in tuned
    }
    plan = {
        **asdict(design),
        "labels": list(judged.labels),
        "tasks": [protocol.env],
        "timesteps": protocol.timesteps,
        "episodes": protocol.episodes,
        "seed": protocol.seed,
        "winners": winners,
    }
    file = studies[0].folder / "judge" / LOOKS
    _set_former_looks_aside(file, winners, say)
    look_until_clear(judged, design, file, plan, say, guarded=True)
    made = {
        algo: replace(runs, runs={item: runs.runs[item] for item in judged.asked[algo]})
        for algo, runs in work.items()
    }
    return made, judged.lost


def _set_former_looks_aside(
    file: Path, winners: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """With more trials another one may win: what was decided of the former one speaks of it."""
    try:
        plan = read_looks(file).plan if file.exists() else None
    except UnusableError:
        return  # whoever reads it next says so
    if plan is not None and plan.get("winners") != winners:
        former = file.parent.parent / "former"
        former.mkdir(exist_ok=True)
        place = former / f"looks-{len(list(former.glob('looks-*.json'))) + 1}.json"
        file.rename(place)
        say(f"Other settings won than were judged: they are judged anew ({place.name} has the old)")


@dataclass(frozen=True)
class _Judged:
    """A study's judged runs as :class:`~ppo_lab.runs.until_clear.LookedAt`.

    Attributes:
        resources: with what they are made.
        work: algorithm → all its runs.
        asked: algorithm → the items that were asked for so far.
        lost: what could not be made, and why.
    """

    resources: Resources
    work: Mapping[str, Runs]
    asked: dict[str, list[str]] = field(default_factory=dict)
    lost: Lost = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.asked.update({algo: [] for algo in self.work})

    @property
    def labels(self) -> Sequence[str]:
        """As the report has them."""
        return list(dict.fromkeys(_label(run) for _, _, run in self._runs()))

    def make(self, labels: Sequence[str], after: int, upto: int) -> None:
        """Have the study's workers make them, here and elsewhere."""
        wanted: dict[str, list[str]] = {algo: [] for algo in self.work}
        for algo, item, run in self._runs():
            if _label(run) in labels and after < int(item.rpartition("/")[2]) <= upto:
                wanted[algo].append(item)
                self.asked[algo].append(item)
        part = {
            algo: replace(self.work[algo], runs={i: self.work[algo].runs[i] for i in items})
            for algo, items in wanted.items()
            if items
        }
        self.lost.update(carry_out(self.resources, "judge", part))

    def scores(self) -> dict[str, dict[str, NDArray[np.float64]]]:
        """Of the runs that finished, by the study's storage."""
        found: dict[str, list[float]] = {label: [] for label in self.labels}
        for algo, item, run in self._runs():
            outcome = self.work[algo].work_list.outcome(item) if item in self.asked[algo] else None
            if outcome is not None and outcome.state == TrialState.COMPLETE:
                found[_label(run)].append(float(outcome.value or 0.0))
        return {label: {self._env: np.array(scores)} for label, scores in found.items()}

    def scales(self, scores: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> dict[str, float]:
        """Of the study's environment."""
        _, _, run = next(iter(self._runs()))
        every = [tasks[run.env] for tasks in scores.values()]
        return {run.env: task_scale(run.env, run.evaluation_kwargs, run.reference, every)}

    @property
    def _env(self) -> str:
        return self._runs()[0][2].env

    def _runs(self) -> list[tuple[str, str, RunConfig]]:
        return [
            (algo, item, run)
            for algo, runs in self.work.items()
            for item, (_, run) in runs.runs.items()
        ]


def _label(run: RunConfig) -> str:
    return f"{run.algo} ({run.settings})"
