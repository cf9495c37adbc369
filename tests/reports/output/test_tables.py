"""Tables: what is best, what is tied, what a column is left out of."""

import pytest

from reports.content.document import Document
from reports.content.numbers import Cell
from reports.content.rows import Interval
from reports.output.table import Column, Mark, Table
from reports.output.tables import (
    TABLE_NAMES,
    brief_main_table,
    report_tables,
    split_tests,
    task_table,
)


def table(*cells: Cell, better: int = 1, groups: str = "") -> Table:
    columns = (Column("group", "group"), Column("x", "x", "unit", better, True))
    names = groups or "a" * len(cells)
    rows = tuple(zip(names, cells, strict=True))
    return Table("t", "T", "", columns, rows, grouped=bool(groups))


@pytest.mark.parametrize(
    ("cells", "marks"),
    [
        ((Interval(1, 0, 2), Interval(2, 1.5, 2.5)), ("tied", "best")),  # 2 ≥ 1.5
        ((Interval(1, 0, 1.4), Interval(2, 1.5, 2.5)), ("", "best")),
        ((Interval(2, None, None), Interval(1, 0, 3)), ("best", "")),  # no interval, no tie
        ((Interval(1, 0, 2), Interval(1, 0, 2)), ("", "")),  # all equal: none is best
        ((Interval(1, 0, 2), None), ("", "")),  # alone
        ((3, 1.0, 3), ("best", "", "best")),
    ],
)
def test_best_and_tied(cells: tuple[Cell, ...], marks: tuple[Mark, ...]) -> None:
    assert tuple(row[1] for row in table(*cells).marks) == marks


def test_of_a_gap_less_is_better() -> None:
    assert [row[1] for row in table(3, 1.0, None, better=-1).marks] == ["", "best", ""]


def test_best_is_judged_within_a_group() -> None:
    marks = table(1, 2, 9, 8, groups="aabb").marks
    assert [row[1] for row in marks] == ["", "best", "best", ""]


def test_a_group_can_be_taken_out() -> None:
    (row,) = table(1, 2, groups="ab").where("b").rows
    assert row == (2,)


def test_every_table_is_rectangular_and_named_once(document: Document) -> None:
    tables = report_tables(document)
    assert tuple(of.name for of in tables) == TABLE_NAMES
    for of in tables:
        assert all(len(row) == len(of.columns) for row in of.rows)
        assert len({column.key for column in of.columns}) == len(of.columns)


def test_tables_have_a_row_for_each_record(document: Document) -> None:
    rows = {of.name: len(of.rows) for of in report_tables(document)}
    labels, tasks = len(document.labels), len(document.tasks)
    assert rows["table"] == labels == 3
    assert rows["tasks"] == rows["efficiency"] == rows["failures"] == labels * tasks == 6
    assert rows["tests"] == 3 * tasks  # pairs of three labels
    assert rows["pairs"] == labels * (labels - 1)
    assert rows["scores"] == len(document.runs) == 2 * (6 + 5 + 4)
    assert rows["curves"] == sum(len(curve.steps) for curve in document.curves)
    assert rows["set_aside"] == 1


def test_the_brief_table_drops_what_says_nothing(document: Document) -> None:
    keys = [column.key for column in brief_main_table(document).columns]
    assert keys == ["label", "runs", "mean", "iqm", "optimality_gap", "p_better", "rank_p"]


def test_the_tests_split_in_two_keep_every_column(document: Document) -> None:
    whole = next(of for of in report_tables(document) if of.name == "tests")
    first, second = split_tests(whole)
    keys = {column.key for column in (*first.columns, *second.columns)}
    assert keys == {column.key for column in whole.columns}


def test_a_rows_extremes_are_those_of_its_runs(document: Document) -> None:
    table = task_table(document)
    keys = [column.key for column in table.columns]
    for row, record in zip(table.rows, document.task_scores, strict=True):
        cells = dict(zip(keys, row, strict=True))
        assert (cells["min"], cells["max"]) == (min(record.scores), max(record.scores))
        assert (cells["label"], cells["task"]) == (record.label, record.task)
