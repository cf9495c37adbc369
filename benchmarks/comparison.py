"""From the rounds of every side to a table and its goals: no clock and no process here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.clocks import ranges, ratio_of

__all__ = ["Rounds", "goal_lines", "memory_line", "met", "table", "verdict"]

WIDTH = 42
MET, MISSED, NOT_SHOWN = "met", "MISSED", "not shown"


@dataclass(frozen=True)
class Rounds:
    """What was measured of one side in one case.

    Attributes:
        label: the side's name on a table.
        rates: environment steps per second of CPU time, one a round.
        updating: the part of the time that went into updates, 0 to 1; NaN where not told.
        peak: resident memory at most, MiB.
        private: what of it at the end is not pages of files, MiB.
    """

    label: str
    rates: Sequence[float]
    updating: float
    peak: float
    private: float


def verdict(ratio: float | None, goal: float) -> str:
    """A goal is met by a ratio that was shown, and by none whose rounds overlap."""
    if ratio is None:
        return NOT_SHOWN
    return MET if ratio >= goal else MISSED


def met(lines: Sequence[str]) -> bool:
    """Whether no line of goals says otherwise."""
    return not any(line.endswith((MISSED, NOT_SHOWN)) for line in lines)


def table(sides: Mapping[str, Rounds], base: str = "sb3") -> list[str]:
    """A line for each side: median rate, range, times the base, updating, memory."""
    lines = [
        f"{'':{WIDTH}} {'steps/s':>9} {'range':>17} {'ratio':>8} {'updating':>8} {'MiB':>5} "
        f"{'private':>7}"
    ]
    for key, side in sides.items():
        spread = f"{min(side.rates):,.0f}–{max(side.rates):,.0f}"
        found = ratio_of(side.rates, sides[base].rates) if key != base else 1.0
        ratio = "overlap" if found is None else f"{found:.2f}"
        updating = "" if side.updating != side.updating else f"{side.updating:.0%}"
        lines.append(
            f"{side.label:{WIDTH}} {median(side.rates):9,.0f} {spread:>17} {ratio:>8} "
            f"{updating:>8} {side.peak:5.0f} {side.private:7.0f}"
        )
    return lines


def goal_lines(
    sides: Mapping[str, Rounds],
    goals: Mapping[tuple[str, str], float],
    names: Mapping[str, str],
) -> list[str]:
    """A line for each goal whose two sides were measured, its verdict last."""
    lines = []
    for (ours, theirs), goal in goals.items():
        if ours not in sides or theirs not in sides:
            continue
        rounds = sides[ours].rates, sides[theirs].rates
        found = ratio_of(*rounds)
        told = ranges(*rounds) if found is None else f"{found:.2f}"
        lines.append(f"{ours} / {names[theirs]}: {told}, goal ≥ {goal:g}: {verdict(found, goal)}")
    return lines


def memory_line(sides: Mapping[str, Rounds], ours: Sequence[str], base: str = "sb3") -> list[str]:
    """The largest peak of ours against the base's; nothing where either was not measured."""
    peaks = [sides[key].peak for key in ours if key in sides]
    if not peaks or base not in sides:
        return []
    within = MET if max(peaks) <= sides[base].peak else MISSED
    return [f"peak memory: ours {max(peaks):.0f} MiB, SB3's {sides[base].peak:.0f}: {within}"]
