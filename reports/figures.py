"""Learning curves and interval plots as PNG bytes.

Figures are built on matplotlib's objects, not pyplot: nothing global is set, and a host
program's own figures and style stay as they are.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from reports.statistics import Curve, Estimate, LabelStatistics
from reports.text import one_line, shortened

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Okabe and Ito (2008), told apart by colour-blind readers; their yellow is too pale for lines."""

_MARKERS = "osD^vPX"
_MARKED_POINTS = 12
_GREY = "#666666"
_DPI = 160
_PANELS = (
    ("iqm", "IQM"),
    ("mean", "Mean"),
    ("median", "Median"),
    ("optimality_gap", "Optimality gap"),
)
_STYLE: dict[Any, Any] = {  # matplotlib's stubs name every key, and differ between versions
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GREY,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "axes.formatter.useoffset": False,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "text.parse_math": False,
    "figure.dpi": _DPI,
    "savefig.dpi": _DPI,
}


def learning_curve_figure(curves: Sequence[Curve], labels: Sequence[str]) -> bytes:
    """Draw the IQM of the normalised return over environment steps, with 95 % bands, as PNG.

    Args:
        curves: one per label that has evaluation points; may be empty.
        labels: every label of the report: the position fixes a label's colour and marker.
    """
    with _house_style():
        figure = Figure(figsize=(6.4, 3.8 + 0.2 * ((len(curves) + 1) // 2)), layout="constrained")
        axes = figure.subplots()
        handles = [_draw_curve(axes, curve, labels.index(curve.label)) for curve in curves]
        _mark_reference(axes, [float(curve.iqm.max()) for curve in curves])
        axes.set_xlabel("Environment steps")
        axes.set_ylabel("Normalised return, IQM (1 = reference)")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.margins(x=0.02)
        figure.legend(
            handles,
            [_name(curve.label) for curve in curves],
            loc="outside upper center",
            ncols=2,
            frameon=False,
        )
        return _png(figure)


def interval_figure(rows: Sequence[LabelStatistics]) -> bytes:
    """Draw IQM, mean, median and optimality gap of every label with 95 % intervals, as PNG.

    Args:
        rows: one per label, at least one; their order fixes a label's colour.
    """
    with _house_style():
        figure = Figure(figsize=(9.6, 1.3 + 0.34 * len(rows)), layout="constrained")
        panels = figure.subplots(1, len(_PANELS), sharey=True, squeeze=False)[0]
        for axes, (attribute, title) in zip(panels, _PANELS, strict=True):
            for index, row in enumerate(rows):
                _draw_interval(axes, getattr(row, attribute), index)
            axes.set_title(title)
            axes.grid(visible=False, axis="y")
            axes.xaxis.set_major_locator(MaxNLocator(4, min_n_ticks=2))
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
        panels[0].set_yticks(range(len(rows)), [_name(row.label) for row in rows])
        panels[0].set_ylim(len(rows) - 0.5, -0.5)
        figure.supxlabel(
            "Normalised score with its 95 % interval; of the optimality gap, less is better",
            fontsize=9,
        )
        return _png(figure)


@contextmanager
def _house_style() -> Iterator[None]:
    """Draw alike on every machine: a user's own matplotlibrc must not change a report's bytes."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def _draw_curve(axes: Axes, curve: Curve, index: int) -> Line2D:
    colour = PALETTE[index % len(PALETTE)]
    (line,) = axes.plot(
        curve.steps,
        curve.iqm,
        color=colour,
        linewidth=1.8,
        # Shifted in every round of the colours, so that no two of 49 labels look alike.
        marker=_MARKERS[(index + index // len(PALETTE)) % len(_MARKERS)],
        markersize=4.5,
        markevery=max(1, len(curve.steps) // _MARKED_POINTS),
    )
    if curve.low is not None and curve.high is not None:
        axes.fill_between(curve.steps, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
    return line


def _mark_reference(axes: Axes, highest: Sequence[float]) -> None:
    """Draw the reference score's line at 1 where the curves come near enough for it to matter."""
    if highest and max(highest) > 0.5:
        axes.axhline(1.0, color=_GREY, linewidth=0.8, linestyle=(0, (1, 2)))


def _draw_interval(axes: Axes, estimate: Estimate, index: int) -> None:
    colour = PALETTE[index % len(PALETTE)]
    if estimate.low is not None and estimate.high is not None:
        axes.hlines(index, estimate.low, estimate.high, color=colour, alpha=0.45, linewidth=8)
    axes.plot([estimate.value], [index], color=colour, marker="|", markersize=11, markeredgewidth=2)


def _name(label: str) -> str:
    # matplotlib leaves a label with a leading underscore out of its legend.
    name = shortened(one_line(label), 36)
    return f" {name}" if name.startswith("_") else name


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A label in a script that the font lacks is drawn as boxes; its true text is in the table.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        # Left to itself matplotlib writes its version into the file.
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
