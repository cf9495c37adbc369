"""Figures: repeatable bytes, nothing global touched, no name or shape that breaks them."""

import struct

import matplotlib as mpl
import numpy as np
import pytest

from reports.figures import PALETTE, interval_figure, learning_curve_figure
from reports.statistics import Curve, Estimate, LabelStatistics

HOSTILE = ('a, "b"', "_hidden", r"$\frac{1}{", "<script>", "算法 ∀", "new\nline", "x" * 300, "")


def curve(label: str, points: int = 5, band: bool = True) -> Curve:
    iqm = np.linspace(0, 0.9, points)
    low, high = (iqm - 0.1, iqm + 0.1) if band else (None, None)
    return Curve(label, np.arange(1, points + 1) * 1000, iqm, low, high)


def row(label: str, *interval: float | None) -> LabelStatistics:
    estimate = Estimate(0.5, *(interval or (0.4, 0.6)))
    return LabelStatistics(label, 10, 0.1, estimate, estimate, estimate, estimate, None)


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_figures_repeat_byte_for_byte() -> None:
    assert learning_curve_figure([curve("a")], ["a"]) == learning_curve_figure([curve("a")], ["a"])
    assert interval_figure([row("a")]) == interval_figure([row("a")])


def test_figures_do_not_name_the_version_that_drew_them() -> None:
    assert b"Software" not in learning_curve_figure([curve("a")], ["a"])


def test_figures_show_their_numbers() -> None:
    assert interval_figure([row("a")]) != interval_figure([row("a", 0.4, 0.7)])
    with_band, without = (learning_curve_figure([curve("a", band=b)], ["a"]) for b in (True, False))
    assert with_band != without


def test_a_users_own_style_neither_enters_nor_is_changed() -> None:
    plain = learning_curve_figure([curve("a")], ["a"])
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 30}):
        before = dict(mpl.rcParams)
        assert learning_curve_figure([curve("a")], ["a"]) == plain
        assert dict(mpl.rcParams) == before


def test_a_label_keeps_its_colour_when_another_has_no_curve() -> None:
    alone = learning_curve_figure([curve("b")], ["a", "b"])
    assert alone != learning_curve_figure([curve("b")], ["b"])


@pytest.mark.parametrize("label", HOSTILE)
def test_no_name_breaks_a_figure(label: str) -> None:
    assert size(learning_curve_figure([curve(label)], [label])) == (1024, 640)
    assert size(interval_figure([row(label)]))[0] == 1536


def test_labels_that_share_a_colour_differ_in_their_marker() -> None:
    # So long that the legend cuts them all to the same text: only the line can differ.
    labels = ["x" * 50 + str(number) for number in range(2 * len(PALETTE))]
    drawn = {learning_curve_figure([curve(label, points=2)], labels) for label in labels}
    assert len(drawn) == len(labels)


def test_more_labels_than_colours_one_point_no_interval_no_curve() -> None:
    labels = [f"label {n}" for n in range(len(PALETTE) + 2)]
    size(learning_curve_figure([curve(label, points=1) for label in labels], labels))
    size(interval_figure([row(label, None, None) for label in labels]))
    size(learning_curve_figure([], ["a"]))
