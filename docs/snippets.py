"""The fenced blocks of a Markdown page, and what a comment on the line above says of them.

``<!-- not run: REASON -->``   the block is not run by the tests
``<!-- file: NAME -->``        the block is the content of a file, which later blocks use
``<!-- source: NAME -->``      the block quotes the project's source (``docs/quoted_code.py``)

A comment, and not more words behind the fence's language, because MkDocs takes a fence with such
words for plain text.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"(?:^<!-- (?P<kind>not run|file|source): (?P<word>[^\n]*?) -->\n+)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Snippet:
    """A fenced block.

    Attributes:
        page: its page, from the home of the project.
        line: of its first line in the page, from 1.
        language: behind the fence, ``python``, ``bash``, …; may be empty.
        text: its content.
        kind: ``not run``, ``file``, ``source`` or empty.
        word: what the comment says behind that.
    """

    page: str
    line: int
    language: str
    text: str
    kind: str = ""
    word: str = ""

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command line of a ``bash`` or ``console`` block.

        Continued lines, ``&&``, ``||`` and ``;`` are taken apart; of a ``console`` block only
        ``$ …`` counts.
        """
        lines = self.text.replace("\\\n", "").splitlines()
        if self.language == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        found = []
        for line in lines:
            lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
            lexer.whitespace_split = True
            words: list[str] = []
            for word in lexer:
                if word in ("&&", "||", ";"):
                    found.append(words)
                    words = []
                else:
                    words.append(word)
            found.append(words)
        return [words for words in found if words]


def snippets(page: Path) -> list[Snippet]:
    """The fenced blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(HOME).as_posix()
    return [
        Snippet(
            name,
            text.count("\n", 0, found.start("text")) + 1,
            found["language"],
            found["text"],
            found["kind"] or "",
            found["word"] or "",
        )
        for found in BLOCK.finditer(text)
    ]


def pages() -> list[Path]:
    """Every page whose snippets must work."""
    return [HOME / "README.md", HOME / "CONTRIBUTING.md", *sorted((HOME / "docs").glob("*.md"))]
