"""What a benchmark prints, on a page between the marks ``<!-- NAME -->`` and ``<!-- /NAME -->``."""

from pathlib import Path

from ppo_lab.errors import CommandError

__all__ = ["Printed", "write_between_marks"]


def write_between_marks(page: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- /name -->``.

    Raises:
        CommandError: the page has no such marks.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise CommandError(f"{page} has no {begin.strip()} … {end} to write between")
    page.write_text(f"{before}{begin}{text}\n{end}{after}", encoding="utf-8")


class Printed:
    """Prints lines and keeps them for a page.

    Attributes:
        lines: what was printed.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str = "") -> None:
        """Print a line at once."""
        print(line, flush=True)
        self.lines.append(line.rstrip())

    def write(self, page: Path | None, name: str) -> None:
        """Put all of it on a page as a block of text; None: on none."""
        if page is not None:
            write_between_marks(page, name, "\n".join(["```text", *self.lines, "```"]))
