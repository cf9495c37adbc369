"""What plots show is declared once: lines, titles, thresholds, marked points."""

from dataclasses import replace

import pytest

from reports.content.document import Document
from reports.content.numbers import pair_texts
from reports.content.plots import (
    Line,
    interval_ends,
    interval_panels,
    learning_curves,
    profiles,
)
from reports.content.rows import Curve, Interval
from reports.output.charts import curve_chart


def with_curve(document: Document, value: float, task: str | None = None) -> Document:
    label = document.labels[1]
    curve = Curve(label, task, 3, (10, 20), (0.0, value), (0.0, 0.0), (2.0, 2.0))
    return replace(document, curves=(curve,))


@pytest.mark.parametrize(("highest", "threshold"), [(0.51, 1.0), (0.5, None), (-3.0, None)])
def test_the_reference_is_marked_where_a_line_itself_comes_near(
    document: Document, highest: float, threshold: float | None
) -> None:
    plot = learning_curves(with_curve(document, highest), None)
    assert plot
    assert plot.threshold == threshold  # the band reaches 2.0 in every case
    assert plot.y_title == "normalised return, IQM (1 = reference)"
    chart = curve_chart(with_curve(document, highest), None, "name")
    assert chart
    assert ("dotted line at 1" in chart.caption) == (threshold is not None)


def test_a_tasks_own_units_have_no_reference(document: Document) -> None:
    task = document.tasks[0].name
    plot = learning_curves(with_curve(document, 500.0, task), task)
    assert plot
    assert (plot.threshold, plot.y_title) == (None, "return, IQM")
    assert plot.title == f"Learning curves: {task}"
    assert [(line.label, line.place) for line in plot.lines] == [(document.labels[1], 1)]


@pytest.mark.parametrize(("points", "every"), [(1, 1), (19, 1), (20, 2), (200, 20)])
def test_about_ten_points_of_a_line_are_marked(points: int, every: int) -> None:
    x = tuple(map(float, range(points)))
    assert Line("a", 0, x, x, (), ()).marked_every == every


def test_panels_hold_every_label_in_the_order_of_the_table(document: Document) -> None:
    panels = interval_panels(document)
    rows = [(row.label, place) for place, row in enumerate(document.aggregates)]
    assert all([(label, place) for label, place, _ in panel.rows] == rows for panel in panels)
    gap = panels[2].rows[0][2]
    assert gap == document.aggregates[0].optimality_gap


def test_a_document_without_numbers_has_no_plots(document: Document) -> None:
    empty = replace(document, curves=(), profiles=(), aggregates=())
    assert (learning_curves(empty, None), profiles(empty), interval_panels(empty)) == (
        None,
    ) * 2 + ((),)


def test_a_pair_is_shown_with_its_interval_where_there_is_one() -> None:
    assert pair_texts(Interval(0.875, 0.5, 1.0)) == ("0.88", "0.50–1.00")
    assert pair_texts(Interval(0.5)) == ("0.50", "")
    assert interval_ends([Interval(1.0, 0.5, 2.0), Interval(None), Interval(3.0)]) == [1, 0.5, 2, 3]
