"""Tables as text: CSV, Markdown, LaTeX."""

import csv
import io
import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports.content.document import Document
from reports.content.numbers import Cell, CellKind, parts, shown
from reports.content.rows import Interval
from reports.output.formats import csv_text, latex, latex_table, markdown_table
from reports.output.table import Column, Table
from reports.output.tables import report_tables
from reports.text import one_line

THIRD = Interval(1 / 3, 0.25, 2 / 3)


def table(name: str, *cells: Cell) -> Table:
    columns = (Column("name", "name"), Column("x", "x_y", "unit", 1, True))
    return Table("t", "T", "", columns, tuple((name, cell) for cell in cells))


@pytest.mark.parametrize(
    ("cell", "kind", "text"),
    [
        (THIRD, "unit", "0.333 [0.250, 0.667]"),
        (Interval(-0.0001), "unit", "0.000"),
        (None, "unit", "–"),
        (Interval(None), "score", "–"),
        (Interval(-1234.5, -1300, -1200), "score", "-1,234 [-1,300, -1,200]"),
        (178.32, "score", "178.3"),
        (12.345, "score", "12.35"),
        (9.87654, "score", "9.877"),
        (0.0004, "p", "<0.001"),
        (0.0421, "p", "0.042"),
        (0.125, "share", "12 %"),
        (200000, "whole", "200,000"),
        (2048, "whole", "2048"),
        (19500.4, "steps", "19,500"),
        ("two\nlines", "text", "two lines"),
    ],
)
def test_numbers_show_what_they_can_bear(cell: Cell, kind: CellKind, text: str) -> None:
    assert shown(cell, kind) == text


def test_a_column_has_one_number_of_decimals() -> None:
    assert parts(77.26, "score", 138.7) == ("77.3", "")


def test_the_decimals_are_a_tasks_own() -> None:
    columns = (Column("label", "label"), Column("task", "task"), Column("x", "x", "score"))
    rows = (("a", "far", -1500.0), ("a", "near", 0.98), ("b", "near", 0.5))
    lines = markdown_table(Table("t", "T", "", columns, rows)).splitlines()
    assert [line.split(" | ")[-1] for line in lines[2:]] == ["-1,500 |", "0.980 |", "0.500 |"]


def test_csv_is_exact_and_leaves_what_is_missing_empty() -> None:
    text = csv_text(table('a, "b"\n|c', THIRD, Interval(1 / 3), None))
    first, second, third = csv.DictReader(io.StringIO(text, newline=""))
    assert first["name"] == 'a, "b"\n|c'
    assert [float(first[key]) for key in ("x", "x_low", "x_high")] == [1 / 3, 0.25, 2 / 3]
    assert (second["x"], second["x_low"], third["x"]) == (repr(1 / 3), "", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_name_is_no_formula_in_a_spreadsheet(start: str) -> None:
    text = csv_text(table(f"{start}1+1", -0.5))
    header, row = csv.reader(io.StringIO(text, newline=""))
    assert len(header) == len(row)
    assert row[0] == f"'{start}1+1".replace("\r", " ")
    assert row[1] == "-0.5"  # a number stays a number


def test_markdown_marks_best_and_tied() -> None:
    lines = markdown_table(table("n|n", Interval(1, 0, 2), Interval(2, 1, 3))).splitlines()
    assert lines[0] == "| name | x_y |"
    assert lines[1] == "|:--|--:|"
    assert lines[2] == r"| n\|n | 1.000\* [0.000, 2.000] |"
    assert lines[3] == r"| n\|n | **2.000** [1.000, 3.000] |"


def test_latex_has_booktabs_rules_and_marks() -> None:
    text = latex_table(table("n_n", Interval(-1, -2, 2), Interval(2, 1, 3)))
    assert r"\begin{tabular}{lr}" in text
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")
    assert r"name & x\_y \\" in text
    minus = r"\ensuremath{-}"
    assert rf"n\_n & {minus}1.000* {{[}}{minus}2.000, 2.000] \\" in text
    assert r"n\_n & \textbf{2.000} {[}1.000, 3.000] \\" in text


@given(st.text())
def test_latex_leaves_no_special_character_bare(text: str) -> None:
    escaped = latex(text)
    plain = re.sub(r"\\(?:[{}$&#%_]|[a-zA-Z]+(?:\{[^{}]*\})?)", "", escaped)
    plain = re.sub(r"\{[\[*]\}|\\tau\}", "", plain)
    assert not re.search(r"[\\$&#%_^~<>|\"]", plain)
    assert "\n" not in escaped


@given(st.text(alphabet="ab_ *`|\\<>&[]():!#~$\n-.1", max_size=20))
def test_a_markdown_reader_shows_a_name_as_it_is(name: str) -> None:
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    page = reader.render(markdown_table(table(f"x{name}x", 1.0)))
    cell = page.split("<td")[1].split(">", 1)[1].split("</td>")[0]
    assert unescape(cell) == one_line(f"x{name}x")


def test_every_table_of_a_report_is_written_three_ways(document: Document) -> None:
    for of in report_tables(document):
        read = list(csv.reader(io.StringIO(csv_text(of), newline="")))
        assert {len(row) for row in read} == {len(read[0])}
        assert len(read) == 1 + len(of.rows)
        assert len(markdown_table(of).splitlines()) == 2 + len(of.rows)
        assert latex_table(of).count(r"\\" + "\n") == 1 + len(of.rows)
