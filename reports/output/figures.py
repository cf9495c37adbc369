"""Figures for print: PNG and SVG by matplotlib, the same bytes for the same document.

Figures are built on matplotlib's objects, not pyplot: nothing global is set, and a host
program's own figures and style stay as they are.
"""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from reports.content.document import Aggregate, Curve, Document, Interval, Pair, Profile
from reports.output.svg import PALETTE
from reports.text import one_line, shortened

NAMES = ("learning_curves", "intervals", "profiles", "pairs", "tasks")

_MARKERS = "osD^vPX"
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
_MARKED_POINTS = 12
_MOST_TASKS = 24
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
    "svg.hashsalt": "ppo_lab",
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Drawn:
    """A figure as files.

    Attributes:
        name: stem of its file names.
        shows: what it shows, a few words.
        png: PNG.
        svg: SVG.
    """

    name: str
    shows: str
    png: bytes
    svg: bytes


def report_figures(document: Document) -> tuple[Drawn, ...]:
    """Draw every figure that the document has numbers for."""
    labels = document.labels
    shared = [curve for curve in document.curves if curve.task is None]
    drawn = []
    if shared:
        drawn.append(
            draw(
                "learning_curves",
                "IQM of the normalised return over environment steps",
                lambda: learning_curve_figure(shared, labels),
            )
        )
    if document.aggregates:
        drawn.append(
            draw(
                "intervals",
                "Point estimates and intervals of every label",
                lambda: interval_figure(document.aggregates),
            )
        )
    if document.profiles:
        drawn.append(
            draw(
                "profiles",
                "Share of runs above each normalised score",
                lambda: profile_figure(document.profiles, labels),
            )
        )
    if document.all_paired:
        drawn.append(
            draw(
                "pairs",
                "Probability that a run of the row scores above a run of the column",
                lambda: pair_figure(document.pairs, labels),
            )
        )
    per_task = [curve for curve in document.curves if curve.task is not None]
    if per_task and len(document.tasks) > 1:
        drawn.append(
            draw(
                "tasks",
                "IQM of the return over environment steps, task by task",
                lambda: task_figure(per_task, labels),
            )
        )
    return tuple(drawn)


def learning_curve_figure(curves: Sequence[Curve], labels: Sequence[str]) -> Figure:
    """Draw the IQM of the normalised return over environment steps, with bands.

    Args:
        curves: one per label that has evaluation points; may be empty.
        labels: every label of the report: the position fixes a label's colour and marker.
    """
    figure, axes = _with_legend(len(curves))
    handles = [
        _line(axes, labels.index(curve.label), curve.steps, curve.value, curve.low, curve.high)
        for curve in curves
    ]
    highest = [value for curve in curves for value in curve.value if value is not None]
    # The reference score's line, where the curves come near enough for it to matter.
    if highest and max(highest) > 0.5:
        axes.axhline(1.0, color=_GREY, linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set_xlabel("Environment steps")
    axes.set_ylabel("Normalised return, IQM (1 = reference)")
    _step_axis(axes)
    _legend(figure, handles, [curve.label for curve in curves])
    return figure


def profile_figure(profiles: Sequence[Profile], labels: Sequence[str]) -> Figure:
    """Draw the share of runs above each normalised score, with bands."""
    figure, axes = _with_legend(len(profiles))
    handles = [
        _line(axes, labels.index(of.label), of.taus, of.share, of.low, of.high) for of in profiles
    ]
    axes.set_xlabel("Normalised score τ")
    axes.set_ylabel("Share of runs above τ")
    axes.set_ylim(-0.02, 1.02)
    axes.margins(x=0.02)
    _legend(figure, handles, [of.label for of in profiles])
    return figure


def interval_figure(rows: Sequence[Aggregate]) -> Figure:
    """Draw IQM, mean, median and optimality gap of every label with their intervals.

    Args:
        rows: one per label, at least one; their order fixes a label's colour.
    """
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
        "Normalised score with its interval; of the optimality gap, less is better", fontsize=9
    )
    return figure


def pair_figure(pairs: Sequence[Pair], labels: Sequence[str]) -> Figure:
    """Draw the matrix of probabilities of improvement, row over column."""
    side = 0.62 * len(labels)
    figure = Figure(figsize=(side + 3.2, side + 0.8), layout="constrained")
    axes = figure.subplots()
    colours = LinearSegmentedColormap.from_list("pairs", [PALETTE[1], "#ffffff", PALETTE[0]])
    for pair in pairs:
        row, column = labels.index(pair.label), labels.index(pair.other)
        value, low, high = pair.improvement.value, pair.improvement.low, pair.improvement.high
        if value is None:
            continue
        told = low is not None and high is not None and not low <= 0.5 <= high
        axes.fill(
            [column - 0.47, column + 0.47, column + 0.47, column - 0.47],
            [row - 0.47, row - 0.47, row + 0.47, row + 0.47],
            # Half as strong as the map's ends: the text stays readable.
            color=colours(0.5 + (value - 0.5) * 0.6),
        )
        colour = "black" if told else _GREY
        axes.text(column, row - 0.08, f"{value:.2f}", ha="center", va="center", color=colour)
        if low is not None and high is not None:
            ends = f"{low:.2f}–{high:.2f}"
            axes.text(
                column, row + 0.26, ends, ha="center", va="center", fontsize=6.5, color=colour
            )
    axes.set_xlim(-0.5, len(labels) - 0.5)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    numbered = [f"{number + 1}" for number in range(len(labels))]
    axes.set_xticks(range(len(labels)), numbered)
    axes.xaxis.tick_top()
    names = [f"{_name(label)}  {number}" for number, label in zip(numbered, labels, strict=True)]
    axes.set_yticks(range(len(labels)), names)
    return figure


def task_figure(curves: Sequence[Curve], labels: Sequence[str]) -> Figure:
    """Draw a small panel of learning curves for each task, in the environments' own units.

    Of more than 24 tasks the first are drawn, and the figure says so.
    """
    every = list(dict.fromkeys(curve.task for curve in curves))
    tasks = every[:_MOST_TASKS]
    columns = min(3, len(tasks))
    rows = -(-len(tasks) // columns)
    figure = Figure(figsize=(3.3 * columns + 0.2, 2.4 * rows + 0.7), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    handles: dict[str, Line2D] = {}
    for axes, task in zip(panels, tasks, strict=False):
        for of in (curve for curve in curves if curve.task == task):
            index = labels.index(of.label)
            handles[of.label] = _line(axes, index, of.steps, of.value, of.low, of.high)
        axes.set_title(_name(str(task)), fontsize=9)
        _step_axis(axes, ticks=4)
    for axes in panels[len(tasks) :]:
        axes.set_visible(False)
    note = "" if len(every) == len(tasks) else f"; the first {len(tasks)} of {len(every)} tasks"
    figure.supxlabel(f"Environment steps{note}", fontsize=9)
    figure.supylabel("Return, IQM", fontsize=9)
    ordered = [label for label in labels if label in handles]
    _legend(figure, [handles[label] for label in ordered], ordered, columns=columns)
    return figure


def draw(name: str, shows: str, make: Callable[[], Figure]) -> Drawn:
    """Draw a figure in the house's style and save it as PNG and SVG."""
    with _house_style(), warnings.catch_warnings():
        # A label in a script that the font lacks is drawn as boxes; its true text is in the table.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure = make()
        # Left to itself matplotlib writes its version and the date into the files.
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        png = _saved(figure, "png", {"Software": None})
        # Laid out once: both files have the same layout, in half the time.
        figure.set_layout_engine("none")
        return Drawn(name, shows, png, _saved(figure, "svg", nothing))


def _saved(figure: Figure, kind: str, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


@contextmanager
def _house_style() -> Iterator[None]:
    """Draw alike on every machine: a user's own matplotlibrc must not change a report's bytes."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def _with_legend(entries: int) -> tuple[Figure, Axes]:
    height = 3.8 + 0.2 * ((entries + 1) // 2)
    figure = Figure(figsize=(6.4, height), layout="constrained")
    return figure, figure.subplots()


def _legend(
    figure: Figure, handles: Sequence[Line2D], labels: Sequence[str], columns: int = 2
) -> None:
    names = [_name(label) for label in labels]
    figure.legend(handles, names, loc="outside upper center", ncols=columns, frameon=False)


def _step_axis(axes: Axes, ticks: int = 6) -> None:
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axes.margins(x=0.02)


def _line(
    axes: Axes,
    index: int,
    x: Sequence[float],
    y: Sequence[float | None],
    low: Sequence[float | None],
    high: Sequence[float | None],
) -> Line2D:
    colour = PALETTE[index % len(PALETTE)]
    shift = index // len(PALETTE)
    (line,) = axes.plot(
        x,
        _gaps(y),
        color=colour,
        linewidth=1.8,
        linestyle=_DASHES[shift % len(_DASHES)],
        # Shifted in every round of the colours, so that no two of 49 labels look alike.
        marker=_MARKERS[(index + shift) % len(_MARKERS)],
        markersize=4.5,
        markevery=max(1, len(x) // _MARKED_POINTS),
    )
    if low and high:
        axes.fill_between(x, _gaps(low), _gaps(high), color=colour, alpha=0.16, linewidth=0)
    return line


def _gaps(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _draw_interval(axes: Axes, at: Interval, index: int) -> None:
    colour = PALETTE[index % len(PALETTE)]
    if at.low is not None and at.high is not None:
        axes.hlines(index, at.low, at.high, color=colour, alpha=0.45, linewidth=8)
    if at.value is not None:
        axes.plot([at.value], [index], color=colour, marker="|", markersize=11, markeredgewidth=2)


def _name(label: str) -> str:
    # matplotlib leaves a label with a leading underscore out of its legend.
    name = shortened(one_line(label), 36)
    return f" {name}" if name.startswith("_") else name
