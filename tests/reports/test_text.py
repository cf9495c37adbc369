"""Names from files shown as they are, whatever they hold."""

from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports.text import counted, markdown, one_line, ranges, shortened


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("spec_ppo (tuned)", "spec_ppo (tuned)"),
        ("_lean_", r"\_lean\_"),
        ("a|b", r"a\|b"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("&lt;", "&amp;lt;"),
        ("[click](http://x)", r"[click\](http://x)"),
        ("[x]: http://x", r"[x\]: http://x"),
        ("0.5 [0.4, 0.6]", "0.5 [0.4, 0.6]"),
        ("`a` *b* ~c~ $d$ #e \\", r"\`a\` \*b\* \~c\~ \$d\$ \#e \\"),
        ("two\r\n\r\nlines", "two lines"),
    ],
)
def test_markdown_shows_markup_as_text(text: str, escaped: str) -> None:
    assert markdown(text) == escaped


@given(st.text())
def test_a_pipe_is_never_left_bare_and_a_line_never_breaks(text: str) -> None:
    escaped = markdown(text)
    assert "|" not in escaped.replace("\\\\", "").replace("\\|", "")
    assert len(escaped.splitlines()) <= 1
    assert "<" not in escaped


@given(st.text(alphabet="ab_ *`|\\<>&[]():!#~$\n-.1", max_size=20))
def test_a_markdown_reader_shows_a_cell_as_it_was(text: str) -> None:
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    page = f"| head |\n|---|\n| x{markdown(text)}x |\n"
    cell = reader.render(page).split("<td>")[1].split("</td>")[0]
    # The x on either side keep spaces that a cell would drop.
    assert unescape(cell) == f"x{one_line(text)}x"


def test_terminal_codes_and_direction_overrides_become_spaces() -> None:
    assert one_line("a\x1b[31mb\u202ec\x00\td") == "a [31mb c d"


@given(st.text(), st.integers(1, 20))
def test_shortened_texts_fit_and_keep_their_beginning(text: str, length: int) -> None:
    short = shortened(text, length)
    assert len(short) <= length
    assert short == text or (short[-1] == "…" and text.startswith(short[:-1]))


def test_ranges_join_neighbours() -> None:
    assert ranges([1, 2, 3, 7, 9, 10]) == "1–3, 7, 9–10"
    assert ranges([]) == ""


def test_things_are_counted_in_english() -> None:
    assert [counted(n, "run") for n in (0, 1, 1000)] == ["0 runs", "1 run", "1,000 runs"]
