"""Figures for print: PNG and SVG by matplotlib, the same bytes for the same document.

Figures are built on matplotlib's objects, not pyplot: nothing global is set, and a host
program's own figures and style stay as they are.
"""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from reports.content.document import Document
from reports.content.numbers import pair_texts
from reports.content.plots import Line, LinePlot, Panel, interval_panels, learning_curves, profiles
from reports.content.rows import Interval, Pair
from reports.output.svg import PALETTE
from reports.text import one_line, sentence, shortened

NAMES = ("learning_curves", "intervals", "profiles", "pairs", "tasks")

_MARKERS = "osD^vPX"
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
_MOST_TASKS = 24
_GREY = "#666666"
_DPI = 160
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
    labels, drawn = document.labels, []
    curves, shares = learning_curves(document, None), profiles(document)
    panels = interval_panels(document)
    if curves:
        drawn.append(draw("learning_curves", curves.shows, lambda: line_figure(curves)))
    if panels:
        shows = "Point estimates and intervals of every label"
        drawn.append(draw("intervals", shows, lambda: interval_figure(panels)))
    if shares:
        drawn.append(draw("profiles", shares.shows, lambda: line_figure(shares)))
    if document.all_paired:
        shows = "Probability that a run of the row scores above a run of the column"
        drawn.append(draw("pairs", shows, lambda: pair_figure(document.pairs, labels)))
    by_task = {task.name: learning_curves(document, task.name) for task in document.tasks}
    plots = {task: plot for task, plot in by_task.items() if plot}
    if plots and len(document.tasks) > 1:
        shows = f"{next(iter(plots.values())).shows}, task by task"
        drawn.append(draw("tasks", shows, lambda: task_figure(plots)))
    return tuple(drawn)


def line_figure(plot: LinePlot) -> Figure:
    """Draw lines with their bands: learning curves, or performance profiles.

    Args:
        plot: as ``reports.content.plots`` declares it; may have no line.
    """
    height = 3.8 + 0.2 * ((len(plot.lines) + 1) // 2)
    figure = Figure(figsize=(6.4, height), layout="constrained")
    axes = figure.subplots()
    handles = {line.label: _line(axes, line) for line in plot.lines}
    if plot.threshold is not None:
        axes.axhline(plot.threshold, color=_GREY, linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set_xlabel(sentence(plot.x_title))
    axes.set_ylabel(sentence(plot.y_title))
    axes.margins(x=0.02)
    if plot.bounds:
        low, high = plot.bounds
        axes.set_ylim(low - 0.02, high + 0.02)
    else:
        _step_axis(axes)
    _legend(figure, handles)
    return figure


def interval_figure(panels: Sequence[Panel]) -> Figure:
    """Draw IQM, mean and optimality gap of every label with their intervals.

    Args:
        panels: at least one, of the same labels.
    """
    labels = [label for label, _, _ in panels[0].rows]
    figure = Figure(figsize=(9.6, 1.3 + 0.34 * len(labels)), layout="constrained")
    drawn = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, panel in zip(drawn, panels, strict=True):
        for row, (_, place, interval) in enumerate(panel.rows):
            _draw_interval(axes, interval, row, PALETTE[place % len(PALETTE)])
        axes.set_title(panel.title)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(4, min_n_ticks=2))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    drawn[0].set_yticks(range(len(labels)), [_name(label) for label in labels])
    drawn[0].set_ylim(len(labels) - 0.5, -0.5)
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
        if pair.improvement.value is None:
            continue
        axes.fill(
            [column - 0.47, column + 0.47, column + 0.47, column - 0.47],
            [row - 0.47, row - 0.47, row + 0.47, row + 0.47],
            # Half as strong as the map's ends: the text stays readable.
            color=colours(0.5 + (pair.improvement.value - 0.5) * 0.6),
        )
        colour = "black" if pair.told_apart else _GREY
        value, ends = pair_texts(pair.improvement)
        axes.text(column, row - 0.08, value, ha="center", va="center", color=colour)
        if ends:
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


def task_figure(plots: Mapping[str, LinePlot]) -> Figure:
    """Draw a small panel of learning curves for each task, in the environments' own units.

    Of more than 24 tasks the first are drawn, and the figure says so.

    Args:
        plots: by task, at least one.
    """
    shown = list(plots.items())[:_MOST_TASKS]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(3.3 * columns + 0.2, 2.4 * rows + 0.7), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    handles: dict[int, tuple[str, Line2D]] = {}
    for axes, (task, plot) in zip(panels, shown, strict=False):
        for line in plot.lines:
            handles[line.place] = (line.label, _line(axes, line))
        axes.set_title(_name(task), fontsize=9)
        _step_axis(axes, ticks=4)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    titles = shown[0][1]
    note = "" if len(shown) == len(plots) else f"; the first {len(shown)} of {len(plots)} tasks"
    figure.supxlabel(f"{sentence(titles.x_title)}{note}", fontsize=9)
    figure.supylabel(sentence(titles.y_title), fontsize=9)
    _legend(figure, dict(handles[place] for place in sorted(handles)), columns=columns)
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


def _legend(figure: Figure, handles: Mapping[str, Line2D], columns: int = 2) -> None:
    names = [_name(label) for label in handles]
    figure.legend(
        list(handles.values()), names, loc="outside upper center", ncols=columns, frameon=False
    )


def _step_axis(axes: Axes, ticks: int = 6) -> None:
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axes.margins(x=0.02)


def _line(axes: Axes, line: Line) -> Line2D:
    colour = PALETTE[line.place % len(PALETTE)]
    shift = line.place // len(PALETTE)
    (drawn,) = axes.plot(
        line.x,
        _gaps(line.y),
        color=colour,
        linewidth=1.8,
        linestyle=_DASHES[shift % len(_DASHES)],
        # Shifted in every round of the colours, so that no two of 49 labels look alike.
        marker=_MARKERS[(line.place + shift) % len(_MARKERS)],
        markersize=4.5,
        markevery=line.marked_every,
    )
    if line.low and line.high:
        low, high = _gaps(line.low), _gaps(line.high)
        axes.fill_between(line.x, low, high, color=colour, alpha=0.16, linewidth=0)
    return drawn


def _gaps(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _draw_interval(axes: Axes, interval: Interval, row: int, colour: str) -> None:
    if interval.low is not None and interval.high is not None:
        axes.hlines(row, interval.low, interval.high, color=colour, alpha=0.45, linewidth=8)
    if interval.value is not None:
        axes.plot(
            [interval.value], [row], color=colour, marker="|", markersize=11, markeredgewidth=2
        )


def _name(label: str) -> str:
    # matplotlib leaves a label with a leading underscore out of its legend.
    name = shortened(one_line(label), 36)
    return f" {name}" if name.startswith("_") else name
