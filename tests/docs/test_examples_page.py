"""The page of the examples: every one is linked, and what it shows is there."""

import re

from docs.snippets import HOME

DOCS = HOME / "docs"


def test_every_example_is_linked_and_every_picture_is_there() -> None:
    text = (DOCS / "examples.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(examples/(\w+\.py)\)", text))
    assert linked == {path.name for path in (DOCS / "examples").glob("*.py")}
    assert len(linked) == 9
    drawn = re.findall(r"!\[[^\]]+\]\(figures/([\w.]+)\)", text)
    sources = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "examples").glob("*.py"))
    for name in drawn:
        assert (DOCS / "figures" / name).is_file()
        assert name in sources
    assert len(drawn) == 5
