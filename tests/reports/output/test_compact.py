"""A page of very many labels and tasks stays small and usable, and loses no run."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from reports.content.document import Document
from reports.content.rows import Interval, TaskRow
from reports.output import compact
from reports.output.compact import MAX_PAGE_BYTES, task_numbers
from reports.output.page import render_page


@pytest.fixture(scope="module")
def wide(document: Document) -> Document:
    """The report with 200 labels on 55 tasks in its tables, as those of a benchmark would be."""
    rng = np.random.default_rng(0)
    labels = tuple(f"algorithm_{number} (tuned)" for number in range(200))
    tasks = tuple(TaskRow(f"Environment{n}-v4", True, 0.0, 1e3, "a table") for n in range(55))
    aggregate, score, run = document.aggregates[0], document.task_scores[0], document.runs[0]
    curve, profile = document.curves[0], document.profiles[0]
    values = rng.normal(3000, 900, (200, 55, 3))
    return replace(
        document,
        labels=labels,
        tasks=tasks,
        settings=replace(document.settings, baseline=labels[0]),
        aggregates=tuple(
            replace(aggregate, label=label, iqm=Interval(*values[n, 0] / 1000))
            for n, label in enumerate(labels)
        ),
        task_scores=tuple(
            replace(score, task=task.name, label=label, mean=Interval(*values[n, m]))
            for m, task in enumerate(tasks)
            for n, label in enumerate(labels)
        ),
        runs=tuple(replace(run, task=task.name, label=label) for task in tasks for label in labels),
        curves=tuple(
            replace(curve, task=task, label=label)
            for task in (None, *(task.name for task in tasks))
            for label in labels
        ),
        profiles=tuple(replace(profile, label=label) for label in labels),
        protocol=tuple(replace(document.protocol[0], label=label) for label in labels),
        set_aside=document.set_aside * 400,
        failures=(),
        tests=(),
        pairs=(),
    )


@pytest.fixture(scope="module")
def page(wide: Document) -> str:
    return render_page(wide)


def data(page: str) -> dict[str, list[list[list[float]]]]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    loaded: dict[str, list[list[list[float]]]] = json.loads(found[1])
    return loaded


def test_two_hundred_labels_on_fifty_five_tasks_stay_below_two_megabytes(page: str) -> None:
    assert len(page.encode()) < MAX_PAGE_BYTES == 2_000_000
    assert compact.REST in page


def test_every_score_of_every_task_is_in_its_data(wide: Document, page: str) -> None:
    tasks = data(page)["tasks"]
    assert tasks == task_numbers(wide)
    assert [len(rows) for rows in tasks] == [200] * 55
    place, runs, mean, low, high, _ = tasks[54][199]
    stated = wide.task_scores[-1]
    assert (place, runs) == (199, stated.runs)
    # Of four thousand and so no decimal is shown, and none is kept.
    assert (mean, low, high) == tuple(
        round(end, 0 if abs(end) >= 1000 else 1)
        for end in (stated.mean.value, stated.mean.low, stated.mean.high)
        if end is not None
    )


def test_tasks_are_closed_and_a_filter_finds_them(page: str) -> None:
    assert page.count('<details class="task"') == 55
    assert '<details class="task" id="task-1" open' not in page
    assert 'id="filter"' in page


def test_a_plot_of_very_many_labels_shows_the_baseline_and_the_best(page: str) -> None:
    charts = page[page.index('id="figure-learning-curves"') :]
    keys = re.findall(r'class="key c\d" data-label="(\d+)"', charts[: charts.index("</ul>")])
    assert len(keys) == 24
    assert keys[0] == "0"  # the baseline
    assert "of 200 labels the baseline and the 23 highest scores" in page


def test_a_small_report_keeps_every_table_on_its_page(document: Document) -> None:
    page = render_page(document)
    assert compact.REST not in page
    assert page.count('<table data-name="task-1-') >= 3  # scores, failed runs, sample efficiency
