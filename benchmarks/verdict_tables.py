"""How often the report's verdicts are wrong or missed, by simulation: the tables and their goals.

``benchmarks/calibration.py`` prints them. Each table draws scores again and again and asks the
functions that the report asks: ``rank_tests`` with ``holm``, ``equivalence_p``, ``most_failing``,
``seeds_needed`` and ``aggregates``.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np
from scipy import stats

from benchmarks.measured import MeasuredTable, Row, rng_of, share_cell, standard_error
from benchmarks.score_pools import pools
from reports.statistics.aggregates import aggregates
from reports.statistics.failures import most_failing
from reports.statistics.iqm import interquartile_mean
from reports.statistics.power import ALPHA, ASSURANCE, POWER, seeds_needed
from reports.statistics.ranks import rank_tests
from reports.statistics.samples import Floats
from reports.statistics.significance import equivalence_p, holm, tost_p, welch_test

Draw = Callable[[np.random.Generator, int], Floats]
"""Scores (R,) of mean about 0 and standard deviation about 1."""

_MARGIN = 0.05
_NOISE = 0.02


def _lognormal(rng: np.random.Generator, runs: int) -> Floats:
    # Of sigma 0.75 the mean is exp(0.28125) = 1.325 and the standard deviation 1.149.
    return np.asarray((rng.lognormal(0, 0.75, runs) - 1.325) / 1.149)


def _collapsing(rate: float) -> Draw:
    """A small spread, and runs that lose everything: 10 of its standard deviations."""

    def draw(rng: np.random.Generator, runs: int) -> Floats:
        return np.asarray(rng.normal(size=runs) - 10 * (rng.random(runs) < rate))

    return draw


def _atom(rng: np.random.Generator, runs: int) -> Floats:
    return np.minimum(rng.normal(size=runs), 0.0)


def _tied(rng: np.random.Generator, runs: int) -> Floats:
    return np.round(rng.normal(size=runs))


def _normal(rng: np.random.Generator, runs: int) -> Floats:
    return rng.normal(size=runs)


def from_pool(pool: Floats) -> Draw:
    """Scores of real runs, drawn with replacement."""
    return lambda rng, runs: rng.choice(pool, runs)


SCORES: dict[str, Draw] = {
    "normal": _normal,
    "lognormal": _lognormal,
    "collapse 5 %": _collapsing(0.05),
    "collapse 10 %": _collapsing(0.1),
    "collapse 20 %": _collapsing(0.2),
    "half at the maximum": _atom,
    "whole standard deviations": _tied,
}


def section(tables: Sequence[MeasuredTable], repetitions: int, seconds: float) -> str:
    """The page's section.

    Args:
        tables: what ``measured_tables`` returned.
        repetitions: as it was given.
        seconds: how long it took.
    """
    texts = "\n".join(table.text() for table in tables)
    return f"""## How often the verdicts are right

The headline is the exact stratified rank test's, corrected after Holm over every label that could
have been the best (`reports/statistics/ranks.py`). {repetitions:,} samples a row, a tenth for the
mean's interval and for the six labels that are called equal, half for six labels until clear; in
brackets the standard error of the measurement. `compare --until-clear` decides by
`reports/statistics/sequential.py`. Real runs are `benchmarks/records/score_pools.json`
(`python -m benchmarks.score_pools`). {seconds:.0f} s.

{texts}"""


def measured_tables(repetitions: int) -> Iterator[MeasuredTable]:
    """Measure every table, one after the other.

    Args:
        repetitions: samples behind each row, at least 100; slower rows take a tenth.
    """
    yield false_claims(repetitions)
    yield found(repetitions)
    yield wrongly_equal(repetitions)
    yield bounds()
    yield seeds_asked(repetitions)
    yield means(max(100, repetitions // 10))
    yield speed()


def claims(samples: dict[str, list[Floats]], baseline: str) -> bool:
    """Whether the headline would claim a difference: the best of the others by IQM is told apart.

    Args:
        samples: every label's scores, T tasks of (R_t,).
        baseline: one of the labels.
    """
    others = [label for label in samples if label != baseline]
    tests = rank_tests(samples, over=baseline)
    corrected = holm([tests[label, baseline].p for label in others])
    best = max(range(len(others)), key=lambda place: interquartile_mean(samples[others[place]]))
    return (corrected[best] or 0.0) <= ALPHA


def false_claims(repetitions: int) -> MeasuredTable:
    """Equal labels, of which the headline should claim no difference."""
    rows = []
    for name, draw in SCORES.items():
        for labels, tasks, seeds in ((2, 1, 5), (2, 1, 10), (2, 3, 5), (6, 1, 10), (6, 3, 5)):
            sizes = [seeds] * labels
            rows.append(_false_row(name, [draw] * labels, tasks, sizes, repetitions))
    for env, pool in pools().items():
        drawn = from_pool(pool)
        for labels, seeds in ((2, 5), (2, 10), (6, 10)):
            sizes = [seeds] * labels
            rows.append(_false_row(f"runs of {env}", [drawn] * labels, 1, sizes, repetitions))
    rows.append(_false_row("normal, unequal seeds", [_normal] * 2, 3, [5, 10], repetitions))
    rows.append(
        _false_row("normal, unequal seeds", [_normal] * 6, 1, [10, 5, 5, 20, 5, 10], repetitions)
    )
    for sizes in ([10, 10], [20, 5]):
        spreads: list[Draw] = [_normal, lambda rng, runs: 3 * _normal(rng, runs)]
        name = "equal means, three times the spread"
        rows.append(_false_row(name, spreads, 1, sizes, repetitions, asked=False))
    return MeasuredTable(
        "A difference claimed where there is none",
        "All labels have the same distribution, and the headline claims a difference between the "
        "baseline and the best of the others. Goal: at most 0.05. The last two rows are no such "
        "case: the means are equal but the distributions are not, which is what a rank test asks, "
        "and there it promises nothing.",
        ("scores", "labels", "tasks", "seeds", "claimed (s.e.)", "goal"),
        tuple(rows),
    )


def _false_row(
    name: str,
    draws: Sequence[Draw],
    tasks: int,
    sizes: Sequence[int],
    repetitions: int,
    *,
    asked: bool = True,
) -> Row:
    rng = rng_of(f"false {name} {tasks} {sizes}")
    claimed = 0
    for _ in range(repetitions):
        samples = {
            f"label {place}": [draw(rng, runs) for _ in range(tasks)]
            for place, (draw, runs) in enumerate(zip(draws, sizes, strict=True))
        }
        claimed += claims(samples, "label 0")
    share = claimed / repetitions
    seeds = str(sizes[0]) if len(set(sizes)) == 1 else ", ".join(map(str, sizes))
    cells = (name, str(len(sizes)), str(tasks), seeds, share_cell(share, repetitions))
    if not asked:
        return Row((*cells, ""))
    return Row((*cells, "≤ 0.05"), share <= 0.05 + 2 * standard_error(0.05, repetitions))


def found(repetitions: int) -> MeasuredTable:
    """Labels that differ: how often the headline says so."""
    rows = []
    for name, labels, tasks, seeds, effect, goal in (
        ("normal", 2, 1, 4, 4.0, None),
        ("normal", 2, 1, 5, 4.0, 0.97),
        ("normal", 6, 1, 5, 4.0, None),
        ("normal", 2, 3, 3, 1.0, 0.4),
        ("normal", 2, 1, 10, 1.0, None),
        ("normal", 2, 1, 20, 1.0, None),
        ("normal", 2, 10, 5, 1.0, None),
        ("lognormal", 2, 3, 3, 1.0, None),
        ("collapse 10 %", 2, 1, 10, 2.0, None),
        ("half at the maximum", 2, 1, 10, 1.0, None),
    ):
        rng = rng_of(f"found {name} {labels} {tasks} {seeds} {effect}")
        draw, hits = SCORES[name], 0
        for _ in range(repetitions):
            samples = {
                f"label {place}": [draw(rng, seeds) + effect * (place == 1) for _ in range(tasks)]
                for place in range(labels)
            }
            hits += claims(samples, "label 0")
        share = hits / repetitions
        shown = "" if goal is None else f"≥ {goal:g}"
        met = None if goal is None else share + 2 * standard_error(goal, repetitions) >= goal
        cells = (name, str(labels), str(tasks), str(seeds), f"{effect:g}")
        rows.append(Row((*cells, share_cell(share, repetitions), shown), met))
    return MeasuredTable(
        "A difference found where there is one",
        "One label's scores lie higher by so many standard deviations on every task (of the "
        "collapsing ones: of the runs that do not collapse).",
        ("scores", "labels", "tasks", "seeds", "difference", "found (s.e.)", "goal"),
        tuple(rows),
    )


def wrongly_equal(repetitions: int) -> MeasuredTable:
    """Two labels that differ by just the margin because one collapses: declared equal?"""
    rows = []
    for rate in (0.05, 0.1, 0.2):
        for seeds in (5, 10, 20, 60, 100):
            alone, both = _equal_shares(rate, seeds, repetitions)
            met = both <= 0.06 + 2 * standard_error(0.06, repetitions)
            cells = (f"{100 * rate:.0f} %", "2", str(seeds), share_cell(alone, repetitions))
            rows.append(Row((*cells, share_cell(both, repetitions), "≤ 0.06"), met))
    for seeds in (20, 60, 100):
        alone, both = _equal_shares(0.0, seeds, repetitions)
        cells = ("none: equal in truth", "2", str(seeds), share_cell(alone, repetitions))
        rows.append(Row((*cells, share_cell(both, repetitions), "")))
    few = max(100, repetitions // 10)
    plain, corrected = _equal_family(few)
    met = corrected <= 0.06 + 2 * standard_error(0.06, few)
    cells = ("none: three labels lower by the margin", "6", "200")
    rows.append(Row((*cells, share_cell(plain, few), share_cell(corrected, few), "≤ 0.06"), met))
    return MeasuredTable(
        "Called practically equal",
        f"Two labels score 1 ± {_NOISE:g}, normalised; one of them loses margin / rate in as many "
        f"of its runs, so that the means differ by the margin, {_MARGIN:g}. The share that is "
        "called equal by two one-sided Welch tests alone, and with the bound of failures not seen, "
        "as in the report. Of labels equal in truth the bound asks for more than 60 runs. In "
        "the last row the share is of reports in which any of the nine pairs at the margin is "
        "called equal, without and with Holm's correction over all fifteen (scores 1 ± 0.2).",
        ("collapse", "labels", "seeds", "two tests (s.e.)", "the report (s.e.)", "goal"),
        tuple(rows),
    )


def _equal_shares(rate: float, seeds: int, repetitions: int) -> tuple[float, float]:
    rng = rng_of(f"equal {rate} {seeds}")
    alone = both = 0
    for _ in range(repetitions):
        x, y = (rng.normal(1, _NOISE, seeds) for _ in range(2))
        if rate:
            y = y - _MARGIN / rate * (rng.random(seeds) < rate)
        seen, p = tost_p(welch_test(x, y), _MARGIN), equivalence_p(x, y, _MARGIN)
        alone += seen is not None and seen <= ALPHA
        both += p is not None and p <= ALPHA
    return alone / repetitions, both / repetitions


def _equal_family(repetitions: int) -> tuple[float, float]:
    rng = rng_of("equal family")
    pairs = list(combinations(range(6), 2))
    unequal = [place for place, (x, y) in enumerate(pairs) if (x < 3) != (y < 3)]
    plain = corrected = 0
    for _ in range(repetitions):
        samples = rng.normal(1, 0.2, (6, 200)) - _MARGIN * (np.arange(6) >= 3)[:, None]
        p = [equivalence_p(samples[x], samples[y], _MARGIN) for x, y in pairs]
        adjusted = holm(p)
        plain += any((p[place] or 0.0) <= ALPHA for place in unequal)
        corrected += any((adjusted[place] or 0.0) <= ALPHA for place in unequal)
    return plain / repetitions, corrected / repetitions


def bounds() -> MeasuredTable:
    """How often the bound of failing runs holds: exact sums of the binomial law."""
    rows = []
    for rate in (0.05, 0.1, 0.2):
        for runs in (5, 10, 20):
            chances = stats.binom.pmf(np.arange(runs + 1), runs, rate)
            held = sum(
                chance
                for failed, chance in enumerate(chances)
                if most_failing(failed, runs) >= rate
            )
            unseen = f"{100 * most_failing(0, runs):.0f} %"
            cells = (f"{100 * rate:.0f} %", str(runs), unseen, f"{held:.3f}", "≥ 0.95")
            rows.append(Row(cells, bool(held >= 0.95)))
    return MeasuredTable(
        "The bound of failing runs",
        "Clopper and Pearson's one-sided 95 % bound: what it is where no run failed, and with what "
        "probability it is at least the true share (summed, not simulated).",
        ("fail in truth", "runs", "bound of none", "holds", "goal"),
        tuple(rows),
    )


def seeds_asked(repetitions: int) -> MeasuredTable:
    """Whether the larger number of seeds needed, guessed from a pilot, gives the power."""
    rows = []
    for effect in (0.5, 1.0, 2.0):
        needed = _truly_needed(effect)
        for pilot in (3, 5, 10, 20):
            rng = rng_of(f"seeds {effect} {pilot}")
            enough = below = 0
            for _ in range(repetitions):
                x, y = rng.normal(effect, size=pilot), rng.normal(size=pilot)
                guess = seeds_needed([x], [y])
                enough += guess.high is None or guess.high >= needed
                below += guess.low is not None and guess.low <= needed
            share = enough / repetitions
            cells = (
                f"{effect:g}",
                str(pilot),
                str(needed),
                share_cell(below / repetitions, repetitions),
            )
            met = share + 2 * standard_error(ASSURANCE, repetitions) >= ASSURANCE
            rows.append(Row((*cells, share_cell(share, repetitions), f"≥ {ASSURANCE:g}"), met))
    return MeasuredTable(
        "Seeds needed",
        "Normal scores of one task that differ by so many standard deviations. Needed: the least "
        f"number of runs of each with which scipy's rank test finds the difference in {POWER:.0%} "
        "of 20,000 samples. The range is guessed from a pilot; no largest number counts as enough.",
        (
            "difference",
            "pilot",
            "needed",
            "smaller ≤ needed (s.e.)",
            "larger ≥ needed (s.e.)",
            "goal",
        ),
        tuple(rows),
    )


def _truly_needed(effect: float) -> int:
    """By bisection; exact p where there are few runs."""
    rng, samples = rng_of(f"needed {effect}"), 20_000

    def power(runs: int) -> float:
        x, y = rng.normal(effect, size=(samples, runs)), rng.normal(size=(samples, runs))
        method = "exact" if runs <= 20 else "asymptotic"
        p = stats.mannwhitneyu(x, y, axis=1, method=method).pvalue
        return float((p <= ALPHA).mean())

    low, high = 1, 200
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def means(repetitions: int) -> MeasuredTable:
    """How often the interval of the mean holds it when runs collapse: what the report warns of."""
    rows = []
    for rate in (0.05, 0.1, 0.2):
        for seeds in (3, 5, 10, 20):
            rng, held = rng_of(f"mean {rate} {seeds}"), 0
            for _ in range(repetitions):
                scores = rng.normal(1, _NOISE, seeds) * (rng.random(seeds) >= rate)
                mean = aggregates([scores], seed=0, key="mean", draws=400).mean
                if mean.low is not None and mean.high is not None:
                    held += mean.low <= 1 - rate <= mean.high
            cells = (f"{100 * rate:.0f} %", str(seeds), share_cell(held / repetitions, repetitions))
            rows.append(Row(cells))
    return MeasuredTable(
        "The interval of the mean where runs collapse",
        f"Scores 1 ± {_NOISE:g}, and 0 in some runs. A 95 % interval should hold the true mean in "
        "0.95; where no run collapsed in the sample it cannot. The report says so where a run "
        "failed, and by the bound above where none did.",
        ("collapse", "seeds", "holds (s.e.)"),
        tuple(rows),
    )


def speed() -> MeasuredTable:
    """Seconds of one core for every pair of six labels on ten tasks with thirty seeds."""
    rows = []
    for name in ("normal", "half at the maximum"):
        rng = rng_of(f"speed {name}")
        samples = {
            f"label {place}": [SCORES[name](rng, 30) for _ in range(10)] for place in range(6)
        }
        started = time.process_time()
        tests = rank_tests(samples)
        seconds = time.process_time() - started
        exact = all(test.exact for test in tests.values())
        cells = (name, "exact" if exact else "normal limit", f"{seconds:.2f} s", "< 1 s")
        rows.append(Row(cells, seconds < 1 and exact))
    return MeasuredTable(
        "Time of a look",
        "CPU time of the rank tests of every two of six labels on ten tasks with thirty seeds.",
        ("scores", "p", "CPU time", "goal"),
        tuple(rows),
    )
