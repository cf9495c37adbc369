"""Figures: repeatable bytes, nothing global touched, no name or shape that breaks them."""

import struct
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from reports.content.document import Aggregate, Curve, Document, Interval, Pair, Profile
from reports.output.figures import (
    NAMES,
    Drawn,
    draw,
    interval_figure,
    learning_curve_figure,
    pair_figure,
    profile_figure,
    report_figures,
    task_figure,
)
from reports.output.svg import PALETTE

HOSTILE = ('a, "b"', "_hidden", r"$\frac{1}{", "<script>", "算法 ∀", "new\nline", "x" * 300, "")
LABELS = ("a", "b")


def curve(label: str, points: int = 5, band: bool = True, task: str | None = None) -> Curve:
    value = tuple(np.linspace(0, 0.9, points).tolist())
    low = tuple(v - 0.1 for v in value) if band else ()
    high = tuple(v + 0.1 for v in value) if band else ()
    steps = tuple(range(1000, 1000 * (points + 1), 1000))
    return Curve(label, task, 5, steps, value, low, high)


def row(label: str, at: Interval | None = None) -> Aggregate:
    at = at or Interval(0.5, 0.4, 0.6)
    return Aggregate(label, 10, 0.1, at, at, at, at, None, at, at)


def drawn(make: Callable[[], Figure]) -> Drawn:
    return draw("name", "shows", make)


def png(make: Callable[[], Figure]) -> bytes:
    return drawn(make).png


def curves_png(*curves: Curve, labels: tuple[str, ...] = LABELS) -> bytes:
    return png(lambda: learning_curve_figure(curves, labels))


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
    first, second = (drawn(lambda: interval_figure([row("a")])) for _ in range(2))
    assert first == second


def test_figures_do_not_say_what_drew_them_or_when(figures: tuple[Drawn, ...]) -> None:
    for of in figures:
        assert b"Software" not in of.png
        assert mpl.__version__.encode() not in of.svg
        assert b"<metadata" not in of.svg


def test_figures_show_their_numbers() -> None:
    wider = row("a", Interval(0.5, 0.4, 0.7))
    assert png(lambda: interval_figure([row("a")])) != png(lambda: interval_figure([wider]))
    assert curves_png(curve("a")) != curves_png(curve("a", band=False))


def test_a_users_own_style_neither_enters_nor_is_changed() -> None:
    plain = curves_png(curve("a"))
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 30}):
        before = dict(mpl.rcParams)
        assert curves_png(curve("a")) == plain
        assert dict(mpl.rcParams) == before


def test_a_label_keeps_its_colour_when_another_has_no_curve() -> None:
    assert curves_png(curve("b")) != curves_png(curve("b"), labels=("b",))


@pytest.mark.parametrize("label", HOSTILE)
def test_no_name_breaks_a_figure(label: str) -> None:
    assert size(curves_png(curve(label), labels=(label,))) == (1024, 640)
    assert size(png(lambda: interval_figure([row(label)])))[0] == 1536
    pairs = [Pair(label, "b", Interval(0.9, 0.8, 1.0)), Pair("b", label, Interval(0.1))]
    size(png(lambda: pair_figure(pairs, [label, "b"])))
    size(png(lambda: task_figure([curve(label, task=label)], [label])))


def test_labels_that_share_a_colour_differ_in_dashes_and_marker() -> None:
    labels = tuple(f"label {number}" for number in range(2 * len(PALETTE)))
    figure = learning_curve_figure([curve(label, points=2) for label in labels], labels)
    lines = [line for line in figure.axes[0].lines if line.get_marker() != "None"]
    looks = {(str(line.get_color()), str(line.get_marker())) for line in lines}
    assert len(looks) == len(labels)
    assert len({str(line.get_linestyle()) for line in lines}) == 2


def test_more_labels_than_colours_one_point_no_interval_no_curve() -> None:
    labels = tuple(f"label {n}" for n in range(len(PALETTE) + 2))
    size(curves_png(*(curve(label, points=1) for label in labels), labels=labels))
    size(png(lambda: interval_figure([row(label, Interval(0.5)) for label in labels])))
    size(curves_png())
    flat = Profile("a", (0.0, 1.0), (1.0, 0.0), (), ())
    size(png(lambda: profile_figure([flat], LABELS)))


def test_a_gap_in_a_curve_is_left_open() -> None:
    broken = replace(curve("a", band=False), value=(0.1, None, 0.3, 0.4, 0.5))
    assert curves_png(broken) != curves_png(curve("a", band=False))


def test_of_many_tasks_the_first_are_drawn_in_words() -> None:
    figure = task_figure([curve("a", task=f"task {n:02}") for n in range(30)], LABELS)
    assert sum(axes.get_visible() for axes in figure.axes) == 24
    assert figure.get_supxlabel() == "Environment steps; the first 24 of 30 tasks"
