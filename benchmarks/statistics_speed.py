"""The report's statistics beside rliable's: seconds, and how far the numbers differ.

    python -m benchmarks.statistics_speed            # some minutes on one core
    python -m benchmarks.statistics_speed --rounds 1

Five algorithms, 20 runs, 10 tasks, one thread. rliable needs some ten seconds for one pair's
probability of improvement with 2,000 draws: it is timed on one pair with fewer draws, and scaled.
Exits with 1 if a goal is missed.
"""

from benchmarks import before_numpy  # noqa: F401 - first

# isort: split

import argparse
import statistics
import sys
from collections.abc import Callable

import numpy as np
from rliable import library, metrics

from benchmarks.clocks import cpu_seconds, ratio, ratio_of
from benchmarks.comparison import verdict
from benchmarks.machine import described
from reports.statistics.aggregates import aggregate_points, aggregates, bootstrap_aggregates
from reports.statistics.improvement import improvements, probability_of_improvement
from reports.statistics.samples import Floats, generator, strata

ALGORITHMS, RUNS, TASKS = "abcde", 20, 10
PAIRS = len(ALGORITHMS) * (len(ALGORITHMS) - 1) // 2
IQM_DRAWS, PAIR_DRAWS, TIMED_PAIR_DRAWS = 50_000, 2_000, 100
GOAL_IQM, GOAL_PAIRS = 15.0, 50.0
SHAPES = ((3, 1), (5, 1), (10, 1), (3, 10), (5, 3), (10, 10), (20, 10))
AGREEMENT_DRAWS, AGREEMENT_REPEATS = 2_000, 20


def samples() -> dict[str, Floats]:
    """Random scores of every algorithm, (R, T)."""
    rng = np.random.default_rng(0)
    return {name: rng.gamma(2.0, 0.3, size=(RUNS, TASKS)) for name in ALGORITHMS}


def rliables_iqm(scores: Floats) -> Floats:
    """As rliable's documentation calls it."""
    return np.array([metrics.aggregate_iqm(scores)])


def rliables_improvement(x: Floats, y: Floats) -> Floats:
    """As rliable's documentation calls it."""
    return np.array([metrics.probability_of_improvement(x, y)])


def compare_speed(rounds: int) -> bool:
    """Print seconds of both sides in turns and their ratio; whether both goals are met."""
    scores = samples()
    pair = {"a,b": [scores["a"], scores["b"]]}
    ways: dict[str, Callable[[], object]] = {
        "rliable IQM": lambda: library.get_interval_estimates(scores, rliables_iqm, reps=IQM_DRAWS),
        "our IQM": lambda: [
            aggregates(of, seed=0, key=name, draws=IQM_DRAWS) for name, of in scores.items()
        ],
        "rliable pairs": lambda: library.get_interval_estimates(
            pair, rliables_improvement, reps=TIMED_PAIR_DRAWS
        ),
        "our pairs": lambda: improvements(scores, seed=0, draws=PAIR_DRAWS),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            taken[name].append(cpu_seconds(way))
    scale = PAIRS * PAIR_DRAWS / TIMED_PAIR_DRAWS
    taken["rliable pairs"] = [scale * spent for spent in taken["rliable pairs"]]
    met = True
    for what, draws, goal in (("IQM", IQM_DRAWS, GOAL_IQM), ("pairs", PAIR_DRAWS, GOAL_PAIRS)):
        theirs, ours = taken[f"rliable {what}"], taken[f"our {what}"]
        said = verdict(ratio_of(theirs, ours), goal)
        met &= said == "met"
        print(
            f"{what:6} {draws:7,} draws: rliable {statistics.median(theirs):8.2f} s, "
            f"ours {statistics.median(ours):6.2f} s, ratio {ratio(theirs, ours, 1)}, "
            f"goal ≥ {goal:g}: {said}"
        )
    print(
        f"Ours gives mean and optimality gap with the IQM. rliable's pairs: one pair with "
        f"{TIMED_PAIR_DRAWS} draws, times {scale:g} for {PAIRS} pairs and {PAIR_DRAWS:,} draws.\n"
        f"CPU time, medians of {rounds} rounds, the two sides in turns."
    )
    return met


def compare_numbers() -> bool:
    """Print how far points and interval ends lie apart; whether points agree to 1e-12."""
    print(
        f"\nAgreement on random scores; an end's distance in standard errors of the difference of "
        f"two ends\nmade from {AGREEMENT_DRAWS:,} draws each (measured over {AGREEMENT_REPEATS} "
        f"of ours).\n\n| runs × tasks | points, largest difference | ends, root mean square "
        "| ends, largest |\n|:--|--:|--:|--:|"
    )
    worst, every = 0.0, []
    for runs, tasks in SHAPES:
        scores = np.random.default_rng(runs * 100 + tasks).gamma(2.0, 0.3, size=(runs, tasks))
        apart = np.abs(aggregate_points(strata(scores)) - _rliables(scores)).max()
        other = np.random.default_rng(runs * 100 + tasks + 1).gamma(2.0, 0.3, size=(runs, tasks))
        pairs = rliables_improvement(scores, other)[0] - probability_of_improvement(scores, other)
        worst = max(worst, float(apart), abs(float(pairs)))
        distances = _end_distances(scores)
        every.append(distances)
        print(
            f"| {runs} × {tasks} | {max(apart, abs(pairs)):.1e} "
            f"| {np.sqrt(np.mean(distances**2)):.2f} | {np.abs(distances).max():.2f} |"
        )
    print(
        f"\nLargest difference of a point {worst:.1e}; root mean square distance of all "
        f"{sum(map(np.size, every))} ends {np.sqrt(np.mean(np.concatenate(every) ** 2)):.2f} "
        "standard errors (1 is chance alone)."
    )
    return worst < 1e-12


def _rliables(scores: Floats) -> Floats:
    return np.array(
        [
            metrics.aggregate_iqm(scores),
            metrics.aggregate_mean(scores),
            metrics.aggregate_optimality_gap(scores),
        ]
    )


def _end_distances(scores: Floats) -> Floats:
    """Distances of rliable's six interval ends from ours, in standard errors."""
    repeats = np.array(
        [
            np.quantile(
                bootstrap_aggregates(
                    strata(scores), AGREEMENT_DRAWS, generator(repeat, "agreement")
                ),
                [0.025, 0.975],
                axis=0,
            )
            for repeat in range(AGREEMENT_REPEATS)
        ]
    )
    np.random.seed(0)  # noqa: NPY002 - the generator that rliable draws from
    _, theirs = library.get_interval_estimates({"k": scores}, _rliables, reps=AGREEMENT_DRAWS)
    error = repeats.std(axis=0, ddof=1)
    apart = theirs["k"] - repeats.mean(axis=0)
    # Of few runs many draws are equal, and an end may be the same in every repetition.
    certain = error < 1e-12
    scale = np.where(certain, 1.0, error * np.sqrt(1 + 1 / AGREEMENT_REPEATS))
    return np.asarray(np.where(certain & (np.abs(apart) < 1e-9), 0.0, apart / scale)).ravel()


def main() -> int:
    """Compare speed and numbers; 0 if every goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="timings of each side")
    arguments = parser.parse_args()
    print(*described(("scipy", "rliable", "arch")), sep="\n")
    print(f"{len(ALGORITHMS)} algorithms × {RUNS} runs × {TASKS} tasks.\n")
    fast = compare_speed(arguments.rounds)
    return 0 if compare_numbers() and fast else 1


if __name__ == "__main__":
    sys.exit(main())
