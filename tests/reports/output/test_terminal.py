"""What a command prints: the verdict first, then a table that fits, then what to do."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from reports.content.document import Document
from reports.content.rows import Interval
from reports.output.terminal import TerminalTable
from reports.text import one_line


def printed(document: Document, width: int, explain: bool = False) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(TerminalTable(document).rich(explain))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.fixture
def plain(document: Document) -> Document:
    """The document under labels as the commands make them, of the longest usual length."""
    rows = (
        replace(row, label=f"spec_ppo (words{number})", runs=10)
        for number, row in enumerate(document.aggregates)
    )
    return replace(document, headline="A headline", aggregates=tuple(rows))


def test_the_headline_comes_first_and_the_table_fits_eighty_columns(plain: Document) -> None:
    lines = printed(plain, 80).splitlines()
    assert lines[0] == one_line(plain.headline)
    assert max(map(len, lines)) <= 80
    header = next(line for line in lines if "P(better)" in line)
    assert header.split() == ["label", "IQM", "gap", "P(better)"]


def test_each_interval_stands_beside_its_estimate(plain: Document) -> None:
    table = printed(plain, 80).splitlines()
    for row in plain.aggregates:
        (line,) = [line for line in table if line.lstrip().startswith(row.label)]
        iqm = row.iqm
        assert f"{iqm.value:.2f} [{iqm.low:.2f}, {iqm.high:.2f}]" in line
        assert line.count("[") == (2 if row.improvement is None else 3)


def test_three_decimals_are_shown_where_they_fit(plain: Document) -> None:
    row = plain.aggregates[0]
    fine = f"{row.iqm.value:.3f} [{row.iqm.low:.3f}, {row.iqm.high:.3f}]"
    assert fine in printed(plain, 120)
    assert fine not in printed(plain, 80)


@pytest.mark.parametrize("width", [80, 60])
def test_a_long_label_is_broken_and_no_number_is(document: Document, width: int) -> None:
    first, *others = document.aggregates
    long = replace(first, label="a_name_of_many_words/" + first.label)
    lines = printed(replace(document, aggregates=(long, *others)), width).splitlines()
    assert max(map(len, lines)) <= width
    shown = f"{first.iqm.value:.2f} [{first.iqm.low:.2f}, {first.iqm.high:.2f}]"
    assert width < 80 or any(shown in line for line in lines)


def test_uneven_numbers_of_runs_are_a_fifth_column(plain: Document) -> None:
    first, *others = plain.aggregates
    uneven = replace(plain, aggregates=(replace(first, runs=99), *others))
    header = next(line for line in printed(uneven, 80).splitlines() if "P(better)" in line)
    assert header.split() == ["label", "runs", "IQM", "gap", "P(better)"]


def test_an_estimate_without_an_interval_stands_alone(document: Document) -> None:
    bare = tuple(replace(row, iqm=Interval(row.iqm.value)) for row in document.aggregates)
    table = printed(replace(document, aggregates=bare), 80)
    assert f" {bare[0].iqm.value:.2f} " in table


def test_three_cautions_are_shown_and_the_rest_counted(document: Document) -> None:
    said = replace(document, cautions=("A. Add seeds.", "B.", "C.", "D.", "E."))
    text = printed(said, 80)
    assert "! A. Add seeds.\n! B.\n! C.\n! 2 more in the report\n" in text
    assert "D." not in text


def test_explained_everything_is_said(document: Document) -> None:
    said = replace(document, cautions=tuple("ABCDE"), notes=("A note of the command's.",))
    text = printed(said, 400, explain=True)
    assert text.startswith(one_line(document.headline))
    for line in (document.detail, *said.cautions, *said.notes, *document.footer):
        assert one_line(line) in " ".join(text.split())
    header = next(line for line in text.splitlines() if "optimality gap" in line)
    assert header.split()[-1] == "p"
