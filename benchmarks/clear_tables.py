"""Comparisons until clear by simulation: how often they err, what they find, what they spend.

``benchmarks/calibration.py`` prints the tables. Each comparison asks ``decide`` and
``open_labels`` at every look, as ``compare --until-clear`` does.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.measured import MeasuredTable, Row, rng_of, share_cell, standard_error
from benchmarks.score_pools import pools
from benchmarks.verdict_tables import SCORES, Draw, from_pool
from reports.statistics.ranks import rank_test
from reports.statistics.samples import Floats
from reports.statistics.sequential import Decision, UntilClear, decide, open_labels
from reports.statistics.significance import welch_test
from reports.statistics.spending import error_of_looks

Means = Sequence[float]

TWO, PLAIN = UntilClear(), UntilClear(futility=0)


@dataclass(frozen=True)
class Simulated:
    """What many comparisons came to.

    Attributes:
        errors: share in which any two labels of equal mean, or in the wrong order, are told apart.
        found: share of the pairs of unequal means that are told apart in the right order.
        held: share in which every pair's interval holds its true difference.
        runs: of a task, on average.
        spread: their standard deviation.
    """

    errors: float
    found: float
    held: float
    runs: float
    spread: float


def compared(
    draws: Sequence[Draw],
    means: Means,
    design: UntilClear,
    tasks: int,
    repetitions: int,
    rng: np.random.Generator,
) -> Simulated:
    """Simulate comparisons until clear.

    Args:
        draws: of each label, scores of mean 0.
        means: of each label, added to them on every task.
        design: the plan.
        tasks: how many.
        repetitions: comparisons.
        rng: draws everything.
    """
    labels = [str(place) for place in range(len(means))]
    wrong = held = right = unequal = 0
    runs = []
    for _ in range(repetitions):
        whole = {
            label: [draw(rng, design.max_seeds) + mean for _ in range(tasks)]
            for label, draw, mean in zip(labels, draws, means, strict=True)
        }
        decided: list[Decision] = []
        seeds = dict.fromkeys(labels, 0)
        for number, upto in enumerate(design.looks, 1):
            wanted = open_labels(labels, decided)
            if not wanted:
                break
            seeds.update(dict.fromkeys(wanted, upto))
            seen = {label: [task[: seeds[label]] for task in whole[label]] for label in labels}
            decided += decide(design, number, seen, decided)
        runs.append(sum(seeds.values()))
        true = [means[int(one.x)] - means[int(one.y)] for one in decided]
        pairs = list(zip(decided, true, strict=True))
        rightly = [one.told and ((one.difference or 0) > 0) == (gap > 0) for one, gap in pairs]
        wrong += any(
            one.told and (gap == 0 or not ok) for (one, gap), ok in zip(pairs, rightly, strict=True)
        )
        held += all(one.low is None or one.low <= gap <= (one.high or 0) for one, gap in pairs)
        unequal += sum(gap != 0 for _, gap in pairs)
        right += sum(ok for (_, gap), ok in zip(pairs, rightly, strict=True) if gap)
    return Simulated(
        wrong / repetitions,
        right / max(1, unequal),
        held / repetitions,
        float(np.mean(runs)),
        float(np.std(runs)),
    )


def clear_tables(repetitions: int) -> Iterator[MeasuredTable]:
    """Measure every table, one after the other.

    Args:
        repetitions: comparisons of two labels behind each row, at least 100; of six labels half.
    """
    yield until_clear_errs(repetitions)
    yield until_clear_finds(repetitions)
    yield looking_again(repetitions)
    yield look_time()


def until_clear_errs(repetitions: int) -> MeasuredTable:
    """Labels of equal means: how often any two are told apart."""
    rows = []
    normal = SCORES["normal"]
    for name, draw in SCORES.items():
        rows.append(_erring(name, [draw] * 2, 1, TWO, repetitions))
    rows.append(_erring("normal, never given up", [normal] * 2, 1, PLAIN, repetitions))
    rows.append(_erring("normal", [normal] * 2, 3, PLAIN, repetitions))
    rows.append(_erring("normal", [normal] * 6, 1, TWO, repetitions // 2))
    rows.append(_erring("normal, never given up", [normal] * 6, 1, PLAIN, repetitions // 2))

    def wide(rng: np.random.Generator, runs: int) -> Floats:
        return 3 * normal(rng, runs)

    for labels, design in ((2, TWO), (2, PLAIN), (6, PLAIN)):
        spreads = [wide if place % 2 else normal for place in range(labels)]
        name = "three times the spread in half of the labels"
        few = repetitions if labels == 2 else repetitions // 2
        words = name if design is TWO else f"{name}, never given up"
        rows.append(_erring(words, spreads, 1, design, few))
    for env, pool in pools().items():
        drawn = from_pool(pool)
        rows.append(_erring(f"runs of {env}", [drawn] * 2, 1, PLAIN, repetitions))
    return MeasuredTable(
        "Until clear: two labels told apart that are equal",
        "Looks with 5, 10, … 30 seeds, error 0.05. All labels have the same mean; the share of "
        "comparisons in which any two are told apart at any look. 'Never given up' is futility 0, "
        "else 0.1. Runs of an environment: drawn from sixty real ones. "
        "Goal: 0.05; of six labels 0.04. The interval of every pair should hold 0 in 0.95.",
        ("scores", "labels", "tasks", "told apart (s.e.)", "goal", "intervals hold", "runs a task"),
        tuple(rows),
    )


def _erring(
    name: str, draws: Sequence[Draw], tasks: int, design: UntilClear, repetitions: int
) -> Row:
    rng = rng_of(f"clear {name} {len(draws)} {tasks}")
    found = compared(draws, [0.0] * len(draws), design, tasks, repetitions, rng)
    goal = 0.05 if len(draws) == 2 else 0.04
    met = found.errors <= goal + 2 * standard_error(goal, repetitions)
    cells = (name, str(len(draws)), str(tasks), share_cell(found.errors, repetitions))
    most = len(draws) * design.max_seeds
    spent = f"{found.runs:.1f} of {most}"
    return Row((*cells, f"≤ {goal:g}", share_cell(found.held, repetitions), spent), met)


def until_clear_finds(repetitions: int) -> MeasuredTable:
    """Labels that differ: what is found, with how many runs."""
    rows = []
    half = repetitions // 2
    for words, means, design, count, goal in (
        ("0, 1", (0, 1), PLAIN, repetitions, (16.1, 17.3)),
        ("0, 1", (0, 1), TWO, repetitions, None),
        ("0, 2", (0, 2), PLAIN, repetitions, (7.5, 8.3)),
        ("0, 2", (0, 2), TWO, repetitions, None),
        ("six equal", (0,) * 6, TWO, half, (76, 90)),
        ("five 0, one 2", (0, 0, 0, 0, 0, 2), TWO, half, (76, 90)),
        ("three 0, three 2", (0, 0, 0, 2, 2, 2), TWO, half, (76, 90)),
        ("0, 1, 2, 3, 4, 5", (0, 1, 2, 3, 4, 5), TWO, half, None),
    ):
        labels = len(means)
        rng = rng_of(f"clear finds {words} {design.futility}")
        found = compared([SCORES["normal"]] * labels, means, design, 1, count, rng)
        runs, error = found.runs, found.spread / np.sqrt(count)
        share = runs / 2 if labels == 2 else runs
        error = error / 2 if labels == 2 else error
        spent = f"{share:.1f} ({error:.1f}) " + ("a label" if labels == 2 else "of 180")
        met = None if goal is None else goal[0] - 2 * error <= share <= goal[1] + 2 * error
        rows.append(
            Row(
                (
                    words,
                    f"{design.futility:g}",
                    share_cell(found.found, count) if any(means) else "–",
                    share_cell(found.errors, count),
                    spent,
                    "" if goal is None else f"{goal[0]:g} to {goal[1]:g}",
                ),
                met,
            )
        )
    return MeasuredTable(
        "Until clear: what is found, and with how many runs",
        "Normal scores of one task with standard deviation 1 and these means. Found: the share of "
        "pairs of unequal means that are told apart in the right order. Wrong: the share of "
        "comparisons that tell any two apart wrongly. Runs: a label of two, of all of six; the "
        "standard error in brackets.",
        ("means", "futility", "found (s.e.)", "wrong (s.e.)", "runs", "goal"),
        tuple(rows),
    )


def looking_again(repetitions: int) -> MeasuredTable:
    """Tests of fixed size, asked again with every further seeds, of two equal labels."""
    rows = []
    for name, spread in (("normal", 1.0), ("three times the spread", 3.0)):
        rng = rng_of(f"again {name}")
        ranks = welch = 0
        for _ in range(repetitions):
            x, y = rng.normal(size=30), spread * rng.normal(size=30)
            ranks += any(rank_test([x[:n]], [y[:n]]).p <= 0.05 for n in TWO.looks)
            tests = [welch_test(x[:n], y[:n]) for n in TWO.looks]
            welch += any(test is not None and test.p <= 0.05 for test in tests)
        told = error_of_looks(TWO.fractions, 0.05)
        rows.append(
            Row(
                (
                    name,
                    share_cell(ranks / repetitions, repetitions),
                    share_cell(welch / repetitions, repetitions),
                    f"{told:.3f}",
                )
            )
        )
    return MeasuredTable(
        "What looking again costs",
        "Two equal labels, looked at with 5, 10, … 30 seeds by a test of size 0.05, until it "
        "claims a difference. The last column is what `compare` says that this costs.",
        ("scores", "rank test (s.e.)", "Welch (s.e.)", "as the report says"),
        tuple(rows),
    )


def look_time() -> MeasuredTable:
    """Seconds of one core for a look at six labels on ten tasks with thirty seeds."""
    rng = rng_of("look time")
    samples = {str(label): [rng.normal(size=30) for _ in range(10)] for label in range(6)}
    started = time.process_time()
    decide(UntilClear(), len(UntilClear().looks), samples)
    seconds = time.process_time() - started
    return MeasuredTable(
        "Time of a look until clear",
        "CPU time of one look at six labels on ten tasks with thirty seeds.",
        ("labels", "tasks", "seeds", "CPU time", "goal"),
        (Row(("6", "10", "30", f"{seconds:.3f} s", "< 1 s"), seconds < 1),),
    )
