"""Time by the process's own CPU, and ratios that are told only where the rounds stand apart."""

import time
from collections.abc import Callable, Sequence
from statistics import median

__all__ = ["cpu_seconds", "overlaps", "ranges", "ratio", "ratio_of", "rounds_of"]


def cpu_seconds(side: Callable[[], object]) -> float:
    """CPU seconds of this process, so that other programs on the machine disturb less."""
    started = time.process_time()
    side()
    return time.process_time() - started


def rounds_of(sides: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """CPU seconds of each side, (sides × rounds), the sides in turn; each runs once before."""
    for side in sides:
        side()
    timed = [[cpu_seconds(side) for side in sides] for _ in range(rounds)]
    return [list(column) for column in zip(*timed, strict=True)]


def overlaps(some: Sequence[float], others: Sequence[float]) -> bool:
    """Whether the ranges of two sides' rounds meet."""
    return min(some) <= max(others) and min(others) <= max(some)


def ratio_of(numerators: Sequence[float], denominators: Sequence[float]) -> float | None:
    """The ratio of the medians; None where the rounds' ranges meet, which shows no difference."""
    if overlaps(numerators, denominators):
        return None
    return median(numerators) / median(denominators)


def ranges(numerators: Sequence[float], denominators: Sequence[float]) -> str:
    """What is told in the place of a ratio: "overlap" and both ranges."""
    told = (f"{min(rounds):,.4g}–{max(rounds):,.4g}" for rounds in (numerators, denominators))
    return "overlap (" + " and ".join(told) + ")"


def ratio(numerators: Sequence[float], denominators: Sequence[float], digits: int = 2) -> str:
    """The ratio of the medians, or "overlap" and both ranges where the rounds' ranges meet."""
    found = ratio_of(numerators, denominators)
    return ranges(numerators, denominators) if found is None else f"{found:.{digits}f}"
