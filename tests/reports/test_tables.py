"""One table three ways: terminal, Markdown, CSV."""

import csv
import io

from rich.console import Console

from reports.statistics import Estimate, LabelStatistics
from reports.tables import ScoreTable, shown

THIRD = Estimate(1 / 3, 0.25, 2 / 3)


def row(label: str, improvement: Estimate | None = None) -> LabelStatistics:
    return LabelStatistics(label, 10, 0.125, THIRD, THIRD, THIRD, THIRD, improvement)


def table(*labels: str, baseline: str = "ppo (tuned)") -> ScoreTable:
    rows = tuple(row(label, None if label == baseline else THIRD) for label in labels)
    return ScoreTable(rows, baseline, ("Ten runs.",), ("[bold]Careful[/bold]",))


def printed(of: ScoreTable, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(of.rich())
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_numbers_show_three_decimals_and_no_negative_zero() -> None:
    assert shown(THIRD) == "0.333 [0.250, 0.667]"
    assert shown(Estimate(-0.0001, None, None)) == "0.000"


def test_markdown_has_a_row_per_label_and_nothing_for_the_baseline_over_itself() -> None:
    lines = table("ppo (tuned)", "spec_ppo (tuned)").markdown().splitlines()
    assert lines[0].startswith("| label | runs | score | mean | IQM | median | optimality gap | P(")
    number = "0.333 [0.250, 0.667]"
    assert (
        lines[2] == f"| ppo (tuned) | 10 | 0.125 | {number} | {number} | {number} | {number} | – |"
    )
    assert lines[3].endswith(f"| {number} |")
    assert len(lines) == 4


def test_csv_keeps_full_precision_and_leaves_what_is_missing_empty() -> None:
    alone = Estimate(1 / 3, None, None)
    lonely = LabelStatistics('a, "b"\n|c', 1, None, alone, alone, alone, alone, None)
    text = ScoreTable((lonely, row("d", THIRD)), "a", (), ()).csv()
    first, second = csv.DictReader(io.StringIO(text, newline=""))
    assert first["label"] == 'a, "b"\n|c'
    assert float(first["iqm"]) == 1 / 3
    assert (first["score"], first["iqm_low"], first["p_better"]) == ("", "", "")
    assert [float(second[f"p_better{end}"]) for end in ("", "_low", "_high")] == [
        1 / 3,
        1 / 4,
        2 / 3,
    ]
    assert second["baseline"] == "a"


def test_terminal_table_shows_names_and_sentences_as_they_are() -> None:
    text = printed(table("ppo (tuned)", "[red]x[/red]\x1b[2J"))
    assert "[red]x[/red] [2J" in text
    assert "! [bold]Careful[/bold]" in text
    assert "Ten runs." in text
    assert "0.333" in text
    assert "[0.250, 0.667]" in text


def test_terminal_table_fits_a_common_terminal() -> None:
    assert all(len(line) <= 80 for line in printed(table("ppo (tuned)"), 80).splitlines())
