"""The report as one Markdown page: what a repository or a terminal shows."""

import re
from collections.abc import Sequence

from reports.content.document import Document
from reports.output.formats import markdown_table
from reports.output.table import Table
from reports.output.tables import MARKS_IN_WORDS, brief_main_table, look_table
from reports.text import markdown, one_line, shortened

_LONGEST_REASON = 300
_TICKS = re.compile("`+")


def compose(document: Document, figures: Sequence[tuple[str, str]], tables: Sequence[Table]) -> str:
    """Return the page: finding, table, cautions, notes, figures, files set aside.

    Args:
        document: the report.
        figures: what each figure shows, and its path.
        tables: those that lie beside the page as CSV.
    """
    parts = [f"# {markdown(document.headline)}\n", f"{markdown(document.detail)}\n"]
    if document.aggregates:
        alone = len(document.labels) == 1
        legend = "In brackets the intervals." if alone else MARKS_IN_WORDS
        parts += [markdown_table(brief_main_table(document)), f"{markdown(legend)}\n"]
    if document.looks:
        looks = look_table(document)
        parts += [f"## {looks.title}\n", markdown_table(looks), f"{markdown(looks.caption)}\n"]
    parts.append(_bullets(document.footer))
    if document.cautions:
        parts += ["## Read with care\n", _bullets(document.cautions)]
    if document.notes:
        parts += ["## Notes\n", _bullets(document.notes)]
    if document.made_by:
        parts += ["## The runs were made by\n", *_commands(document)]
    if figures:
        parts.append("## Figures\n")
        parts += [f"![{markdown(shows)}]({path})\n" for shows, path in figures]
    if tables:
        listed = ", ".join(f"[{table.title.lower()}](tables/{table.name}.csv)" for table in tables)
        parts.append(f"Numbers: {listed}.\n")
    if document.set_aside:
        lines = [
            f"{aside.path}: {shortened(one_line(aside.reason), _LONGEST_REASON)}"
            for aside in document.set_aside
        ]
        parts += ["## Files set aside\n", _bullets(lines)]
    return "\n".join(parts)


def _commands(document: Document) -> list[str]:
    """Each folder's commands, as code: a fence longer than any in them."""
    parts = []
    for row in document.made_by:
        if row.folders and len(document.made_by) > 1:
            parts.append(f"{markdown(', '.join(row.folders))}:\n")
        text = "\n".join(row.commands)
        fence = "`" * max(3, 1 + max(map(len, _TICKS.findall(text)), default=0))
        parts.append(f"{fence}bash\n{text}\n{fence}\n")
    return parts


def _bullets(lines: Sequence[str]) -> str:
    return "".join(f"- {markdown(line)}\n" for line in lines)
