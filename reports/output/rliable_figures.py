"""rliable's own plots of a report that rliable estimated; its package is imported when needed."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from reports.content.document import Document
from reports.content.plots import drawn_labels
from reports.content.rows import Interval
from reports.output.figures import Drawn, draw
from reports.output.svg import PALETTE
from reports.text import one_line, shortened

NAMES = ("rliable_intervals", "rliable_profiles", "rliable_improvement")

_MEASURES = ("iqm", "mean", "optimality_gap")
_LONGEST = 36
_LEAST = (6.4, 2.0)
"""Inches."""


def report_figures(document: Document) -> tuple[Drawn, ...]:
    """Draw rliable's interval plot, performance profiles and probabilities of improvement."""
    if not document.aggregates:
        return ()
    kept, _ = drawn_labels(document, None)
    labels = [label for label in document.labels if label in kept]
    names = {label: _name(document, label) for label in labels}
    colours = {
        names[label]: PALETTE[document.labels.index(label) % len(PALETTE)] for label in labels
    }
    drawn = [
        _drawn(
            NAMES[0],
            "rliable's interval estimates of every label",
            lambda plots: plots.plot_interval_estimates(
                *_intervals(document, names),
                metric_names=["IQM", "Mean", "Optimality gap"],
                algorithms=list(names.values()),
                colors=colours,
                xlabel="Normalised score",
            )[0],
        ),
        _drawn(
            NAMES[1],
            "rliable's performance profiles",
            lambda plots: _profiles(plots, document, names, colours),
        ),
    ]
    pairs = [
        pair
        for pair in document.pairs
        if pair.other == document.settings.baseline and pair.label in names
    ]
    if pairs and all(pair.improvement.low is not None for pair in pairs):
        baseline = _name(document, document.settings.baseline)
        # rliable splits a pair's name at its comma.
        by_pair = {f"{names[pair.label]},{baseline}": pair.improvement for pair in pairs}
        drawn.append(
            _drawn(
                NAMES[2],
                "rliable's probabilities of improvement over the baseline",
                lambda plots: (
                    plots.plot_probability_of_improvement(
                        {pair: one.value for pair, one in by_pair.items()},
                        {pair: _ends(one)[:, None] for pair, one in by_pair.items()},
                    ).figure
                ),
            )
        )
    return tuple(drawn)


def _drawn(name: str, shows: str, make: Callable[[Any], Figure]) -> Drawn:
    def figure() -> Figure:
        from matplotlib import pyplot
        from rliable import plot_utils

        before = set(pyplot.get_fignums())
        made = make(plot_utils)
        width, height = made.get_size_inches()
        # Of few labels rliable's own size has no room for names and axes.
        made.set_size_inches(max(width, _LEAST[0]) + 1.0, max(height, _LEAST[1]) + 1.0)
        made.set_layout_engine("constrained")
        for number in set(pyplot.get_fignums()) - before:
            pyplot.close(number)  # a host program's own figures stay open
        return made

    return draw(name, shows, figure)


def _profiles(
    plots: Any, document: Document, names: dict[str, str], colours: dict[str, str]
) -> Figure:
    profiles = [profile for profile in document.profiles if profile.label in names]
    bands = {
        names[profile.label]: np.array([profile.low, profile.high])
        for profile in profiles
        if profile.low
    }
    axes = plots.plot_performance_profiles(
        {names[profile.label]: np.array(profile.share) for profile in profiles},
        np.array(profiles[0].taus),
        performance_profile_cis=bands or None,
        colors=colours,
        xlabel="Normalised score τ",
        ylabel="Share of runs with a score above τ",
        legend=True,
    )
    figure: Figure = axes.figure
    return figure


def _intervals(document: Document, names: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Points (3,) and ends (2, 3) of every label; without an interval its ends are the point."""
    points, ends = {}, {}
    for row in document.aggregates:
        if row.label in names:
            measures = [getattr(row, measure) for measure in _MEASURES]
            points[names[row.label]] = np.array([one.value for one in measures])
            ends[names[row.label]] = np.array([_ends(one) for one in measures]).T
    return points, ends


def _ends(interval: Interval) -> np.ndarray[Any, Any]:
    low, high = interval.low, interval.high
    return np.array(
        [interval.value if low is None else low, interval.value if high is None else high],
        dtype=np.float64,
    )


def _name(document: Document, label: str) -> str:
    """A name of its own for every label, without a comma, which rliable splits names at."""
    place = document.labels.index(label) + 1
    return f"{place} {shortened(one_line(label).replace(',', ';'), _LONGEST)}"
