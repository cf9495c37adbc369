"""What a comparison notes of its looks at the runs, beside them: ``looks.json``.

Whoever adds seeds until the runs tell, or stops where they do, has to say so: the plain tests and
intervals of a report hold for a number of runs that was fixed beforehand. A comparison until clear
notes its plan, before its first run, and what each look decided; any other comparison how many
seeds each report rested on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class NotedPair:
    """What a look decided of two labels: as ``reports.statistics.sequential.Decision``."""

    x: str
    y: str
    verdict: str
    seeds: int
    p: float | None
    level: float
    difference: float | None
    low: float | None
    high: float | None

    @property
    def told(self) -> bool:
        """Whether the two are told apart."""
        return self.verdict in ("higher", "lower")

    @property
    def sentence(self) -> str:
        """What became of the two, in a few words."""
        if self.told:
            better, worse = (self.x, self.y) if self.verdict == "higher" else (self.y, self.x)
            return f"{better} scores higher than {worse}: clear after {self.seeds} seeds"
        if self.verdict == "given up":
            return f"{self.x} and {self.y}: given up after {self.seeds} seeds, too close to tell"
        return f"{self.x} and {self.y}: not told apart with {self.seeds} seeds"


@dataclass(frozen=True)
class NotedLook:
    """One look.

    Attributes:
        seeds: label → seeds of each task that the label's runs had by then.
        decided: the pairs that this look decided; none of a comparison without a plan.
    """

    seeds: Mapping[str, int]
    decided: tuple[NotedPair, ...] = ()


@dataclass(frozen=True)
class Looks:
    """All looks at the runs of one comparison.

    Attributes:
        plan: what was fixed before the first run, as JSON has it; None: nothing was.
        scales: task → the span of scores that a difference of 1 stands for; noted at the first
            look, so that later ones weigh the tasks alike.
        looks: in their order.
    """

    plan: Mapping[str, Any] | None
    scales: Mapping[str, float]
    looks: tuple[NotedLook, ...]

    @property
    def decided(self) -> tuple[NotedPair, ...]:
        """Every decision, in the order of the looks."""
        return tuple(pair for look in self.looks for pair in look.decided)

    @property
    def seeds(self) -> dict[str, int]:
        """Label → the most seeds of any look."""
        most: dict[str, int] = {}
        for look in self.looks:
            for label, seeds in look.seeds.items():
                most[label] = max(seeds, most.get(label, 0))
        return most

    def with_look(self, look: NotedLook) -> "Looks":
        """The same with one look more."""
        return replace(self, looks=(*self.looks, look))


def counted_looks(looks: Looks, labels: Iterable[str]) -> tuple[int, ...]:
    """The ascending numbers of seeds at which the label that was looked at most often was.

    A look that showed no more seeds of a label than one before it is none.
    """
    longest: tuple[int, ...] = ()
    for label in labels:
        ascending: list[int] = []
        for look in looks.looks:
            seeds = look.seeds.get(label, 0)
            if seeds > (ascending[-1] if ascending else 0):
                ascending.append(seeds)
        if len(ascending) > len(longest):
            longest = tuple(ascending)
    return longest


def differing(plan: Mapping[str, Any], other: Mapping[str, Any]) -> Sequence[str]:
    """The names of what two plans do not agree in."""
    names = dict.fromkeys((*plan, *other))
    return [name for name in names if plan.get(name, ...) != other.get(name, ...)]
