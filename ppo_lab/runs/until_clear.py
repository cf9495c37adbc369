"""Runs until it is clear: one look after the other, each noted before the next one's runs begin.

Who makes the runs, and where their scores come from, is the caller's: ``compare`` has run folders,
``tune`` a study's storage. What a look decides is ``reports.statistics.sequential``'s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ppo_lab.errors import ArgumentError
from reports.logs.looks import Looks, NotedLook, NotedPair, differing
from reports.logs.looks_file import looks_text, read_looks
from reports.logs.records import UnusableError
from reports.logs.references import known_references
from reports.statistics.sequential import Decision, UntilClear, decide, open_labels
from reports.whole_files import write_whole

__all__ = ["LookedAt", "kept_looks", "look_until_clear", "task_scale"]

Scores = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Label → task → (R,) scores in the environment's own units, without runs that failed."""


class LookedAt(Protocol):
    """A comparison whose runs are made look by look."""

    @property
    def labels(self) -> Sequence[str]:
        """All labels, in the order of the plan."""

    def make(self, labels: Sequence[str], after: int, upto: int) -> None:
        """Make these labels' runs of the seeds after a number up to another, if not made yet."""

    def scores(self) -> Scores:
        """Of every run that was made so far; a task without any is there and empty."""

    def scales(self, scores: Scores) -> Mapping[str, float]:
        """Task → what a difference of 1 stands for; asked for at the first look alone."""


def look_until_clear(
    comparison: LookedAt,
    design: UntilClear,
    file: Path,
    plan: Mapping[str, Any],
    say: Callable[[str], None],
    guarded: bool = False,
) -> Looks:
    """Make runs and look at them, until every two labels are decided.

    The looks that are noted already stand as they are: the same call goes on after a kill, and
    comes to what it would have come to. Labels without undecided pairs get no more runs.

    Args:
        comparison: makes the runs; with one label alone it makes those of the first look.
        design: the plan of looks.
        file: ``looks.json``.
        plan: all that must not change, for the file.
        say: told what each look decided.
        guarded: see :func:`kept_looks`.

    Returns:
        All looks.

    Raises:
        ArgumentError: see :func:`kept_looks`.
    """
    labels = list(comparison.labels)
    looks = kept_looks(file, plan, guarded)
    if len(labels) < 2:
        comparison.make(labels, 0, design.first)
        return looks
    seeds = dict.fromkeys(labels, 0)
    for number, upto in enumerate(design.looks, 1):
        earlier = [as_decision(pair) for look in looks.looks[: number - 1] for pair in look.decided]
        wanted = open_labels(labels, earlier)
        if not wanted:
            break
        say(f"Look {number} of {len(design.looks)}, {upto} seeds: {', '.join(wanted)}")
        comparison.make(wanted, min(seeds[label] for label in wanted), upto)
        seeds.update(dict.fromkeys(wanted, upto))
        looks = read_looks(file)  # another machine of this comparison may have been quicker
        if len(looks.looks) < number:
            looks = _look(comparison, design, number, looks, dict(seeds), earlier)
            write_whole(file, looks_text(looks))
        for pair in looks.looks[number - 1].decided:
            say(f"  {pair.sentence}")
    return looks


def _look(
    comparison: LookedAt,
    design: UntilClear,
    number: int,
    looks: Looks,
    seeds: Mapping[str, int],
    earlier: Sequence[Decision],
) -> Looks:
    scores = comparison.scores()
    scales = looks.scales or comparison.scales(scores)
    samples = {
        label: [values / scales[task] for task, values in scores[label].items()]
        for label in comparison.labels
    }
    decided = decide(design, number, samples, earlier)
    noted = NotedLook(seeds, tuple(NotedPair(**asdict(decision)) for decision in decided))
    return replace(looks, scales=scales).with_look(noted)


def as_decision(pair: NotedPair) -> Decision:
    """What a file notes of two labels, as the statistics have it."""
    return Decision(**asdict(pair))


def kept_looks(file: Path, plan: Mapping[str, Any] | None, guarded: bool = False) -> Looks:
    """What a folder holds of looks; of a new comparison until clear its plan, written there.

    Args:
        file: ``looks.json`` in the folder that the run folders lie in, two folders below.
        plan: what the command fixes; None: a comparison with a number of seeds.
        guarded: something else makes sure that no run there was made without the plan.

    Raises:
        ArgumentError: the folder holds another plan, or runs that were made without this one.
    """
    looks = None
    if file.exists():
        try:
            looks = read_looks(file)
        except UnusableError as error:
            raise ArgumentError(f"{file.parent}: {error}; choose another folder") from error
    there = None if looks is None else looks.plan
    if plan is None:
        if there is not None:
            raise ArgumentError(
                f"{file.parent} holds a comparison with --until-clear, whose plan decides the "
                "seeds: go on with that flag, or choose another --name"
            )
        return looks or Looks(None, {}, ())
    if looks is not None and there is not None:
        if names := differing(there, plan):
            raise ArgumentError(
                f"{file.parent} holds another plan of --until-clear (it differs in "
                f"{', '.join(names)}): choose another --name"
            )
        return looks
    unplanned = looks is not None or next(file.parent.glob("*/*/run.json"), None) is not None
    if unplanned and not guarded:
        raise ArgumentError(
            f"{file.parent} holds runs that were made without --until-clear, whose plan must be "
            "fixed before the first run: choose another --name"
        )
    looks = Looks(plan, {}, ())
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, looks_text(looks))
    return looks


def task_scale(
    env: str,
    env_kwargs: Mapping[str, Any],
    reference: Mapping[str, Any] | None,
    scores: Sequence[NDArray[np.float64]],
) -> float:
    """What a difference of 1 stands for: the span between the reference scores, as in a report.

    Where no high score is known, the standard deviation of all runs at the first look: the best
    label's mean, which a report then takes, would be another one at every look.

    Args:
        env: Gymnasium's id.
        env_kwargs: with which the table of references does not know it.
        reference: what ``run.json`` states.
        scores: of every label.
    """
    low, high = ((reference or {}).get(end) for end in ("low", "high"))
    if low is not None and high is not None:
        return float(high) - float(low)
    known = None if env_kwargs else known_references().get(env.rpartition(":")[2])
    if known is not None:
        return known.high - known.low
    every = np.concatenate(scores)
    return float(every.std() if len(every) else 0.0) or 1.0
