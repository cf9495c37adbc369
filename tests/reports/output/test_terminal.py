"""What a command prints: the verdict first, then the numbers."""

from io import StringIO

from rich.console import Console

from reports.content.document import Document
from reports.output.terminal import TerminalTable
from reports.text import one_line


def test_a_terminal_shows_the_verdict_above_the_table_and_its_p_in_it(document: Document) -> None:
    console = Console(file=StringIO(), width=400)
    console.print(TerminalTable(document).rich())
    assert isinstance(console.file, StringIO)
    printed = console.file.getvalue()
    headline, detail = one_line(document.headline), one_line(document.detail)
    assert printed.startswith(headline)
    header = next(line for line in printed.splitlines() if "optimality gap" in line)
    assert header.split()[-1] == "p"
    assert printed.index(headline) < printed.index(header)
    # Lines longer than the screen are broken at spaces.
    assert detail in " ".join(printed.split())
