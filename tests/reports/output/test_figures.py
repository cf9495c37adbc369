"""Figures: repeatable bytes, nothing global touched, no name or shape that breaks them."""

import struct
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from reports.content.document import Document
from reports.content.plots import MARKED_POINTS, Line, LinePlot, Panel, interval_panels, profiles
from reports.content.rows import Interval, Pair
from reports.output.drawings import line_drawing
from reports.output.figures import (
    NAMES,
    Drawn,
    draw,
    interval_figure,
    line_figure,
    pair_figure,
    report_figures,
    task_figure,
)
from reports.output.svg import PALETTE

HOSTILE = ('a, "b"', "_hidden", r"$\frac{1}{", "<script>", "算法 ∀", "new\nline", "x" * 300, "")
UNIT = Interval(0.5, 0.4, 0.6)


def line(label: str, place: int = 0, points: int = 5, band: bool = True) -> Line:
    value = tuple(np.linspace(0, 0.9, points).tolist())
    low = tuple(v - 0.1 for v in value) if band else ()
    high = tuple(v + 0.1 for v in value) if band else ()
    return Line(label, place, tuple(1000.0 * n for n in range(1, points + 1)), value, low, high)


def curves(*lines: Line) -> LinePlot:
    return LinePlot("title", "shows", "environment steps", "return, IQM", lines, threshold=1.0)


def panel(label: str, interval: Interval = UNIT) -> Panel:
    return Panel("IQM", ((label, 0, interval),))


def drawn(make: Callable[[], Figure]) -> Drawn:
    return draw("name", "shows", make)


def png(make: Callable[[], Figure]) -> bytes:
    return drawn(make).png


def curves_png(*lines: Line) -> bytes:
    return png(lambda: line_figure(curves(*lines)))


def size(content: bytes) -> tuple[int, int]:
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


@pytest.fixture(scope="module")
def figures(document: Document) -> tuple[Drawn, ...]:
    return report_figures(document)


def test_a_document_has_every_figure_in_two_formats(figures: tuple[Drawn, ...]) -> None:
    assert tuple(of.name for of in figures) == NAMES
    for of in figures:
        size(of.png)
        assert ElementTree.fromstring(of.svg).tag == "{http://www.w3.org/2000/svg}svg"


def test_a_figure_repeats_byte_for_byte() -> None:
    first, second = (drawn(lambda: interval_figure([panel("a")])) for _ in range(2))
    assert first == second


def test_figures_do_not_say_what_drew_them_or_when(figures: tuple[Drawn, ...]) -> None:
    for of in figures:
        assert b"Software" not in of.png
        assert mpl.__version__.encode() not in of.svg
        assert b"<metadata" not in of.svg


def test_figures_show_their_numbers() -> None:
    wider = panel("a", Interval(0.5, 0.4, 0.7))
    assert png(lambda: interval_figure([panel("a")])) != png(lambda: interval_figure([wider]))
    assert curves_png(line("a")) != curves_png(line("a", band=False))


def test_a_users_own_style_neither_enters_nor_is_changed() -> None:
    plain = curves_png(line("a"))
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 30}):
        before = dict(mpl.rcParams)
        assert curves_png(line("a")) == plain
        assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("label", HOSTILE)
def test_no_name_breaks_a_figure(label: str) -> None:
    assert size(curves_png(line(label))) == (1024, 640)
    assert size(png(lambda: interval_figure([panel(label)])))[0] == 1536
    pairs = [Pair(label, "b", Interval(0.9, 0.8, 1.0), 0.01, 0.01)]
    pairs.append(Pair("b", label, Interval(0.1), 0.01, 0.01))
    size(png(lambda: pair_figure(pairs, [label, "b"])))
    size(png(lambda: task_figure({label: curves(line(label))})))


def test_labels_that_share_a_colour_differ_in_dashes_and_marker() -> None:
    count = 2 * len(PALETTE)
    lines = [line(f"label {place}", place, points=2) for place in range(count)]
    figure = line_figure(curves(*lines))
    shown = [of for of in figure.axes[0].lines if of.get_marker() != "None"]
    assert len({(str(of.get_color()), str(of.get_marker())) for of in shown}) == count
    assert len({str(of.get_linestyle()) for of in shown}) == 2


def test_more_labels_than_colours_one_point_no_interval_no_curve() -> None:
    places = range(len(PALETTE) + 2)
    size(curves_png(*(line(f"label {place}", place, points=1) for place in places)))
    bare = Panel("IQM", tuple((f"label {place}", place, Interval(0.5)) for place in places))
    size(png(lambda: interval_figure([bare])))
    size(curves_png())
    flat = Line("a", 0, (0.0, 1.0), (1.0, 0.0), (), ())
    size(png(lambda: line_figure(replace(curves(flat), bounds=(0.0, 1.0)))))


def test_a_gap_in_a_curve_is_left_open() -> None:
    broken = replace(line("a", band=False), y=(0.1, None, 0.3, 0.4, 0.5))
    assert curves_png(broken) != curves_png(line("a", band=False))


def test_of_many_tasks_the_first_are_drawn_in_words() -> None:
    figure = task_figure({f"task {n:02}": curves(line("a")) for n in range(30)})
    assert sum(axes.get_visible() for axes in figure.axes) == 24
    assert figure.get_supxlabel() == "Environment steps; the first 24 of 30 tasks"


def test_page_and_figure_mark_the_same_points_and_cross_at_the_same_threshold(
    document: Document,
) -> None:
    plot = curves(line("a", points=57))
    axes = line_figure(plot).axes[0]
    assert axes.lines[0].get_markevery() == 57 // MARKED_POINTS == 5
    drawing = str(line_drawing(plot, "wide"))
    # Points 0, 5, …, 55, and one mark in the legend.
    assert drawing.count('class="dot"') == 12 + 1
    assert drawing.count('class="mark"') == 1
    assert list(np.asarray(axes.lines[1].get_ydata())) == [1.0, 1.0]
    unmarked = replace(plot, threshold=None)
    assert 'class="mark"' not in str(line_drawing(unmarked, "wide"))
    assert len(line_figure(unmarked).axes[0].lines) == 1
    assert axes.get_ylabel() == "Return, IQM"
    assert ">return, IQM<" in drawing
    shares = profiles(document)
    assert shares
    assert line_figure(shares).axes[0].get_ylim() == (-0.02, 1.02)
    titles = [axes.get_title() for axes in interval_figure(interval_panels(document)).axes]
    assert titles == ["IQM", "Mean", "Optimality gap"]
