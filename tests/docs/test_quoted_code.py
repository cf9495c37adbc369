"""The source that pages quote is the source."""

import pytest

from docs.quoted_code import QUOTED, source, with_quotes
from docs.snippets import pages, snippets


def test_every_quoted_block_equals_the_source() -> None:
    quoted = 0
    for page in pages():
        text = page.read_text(encoding="utf-8")
        assert with_quotes(text) == text, f"{page.name} has drifted: python -m docs.quoted_code"
        marked = [block for block in snippets(page) if block.kind == "source"]
        assert len(marked) == len(QUOTED.findall(text)), page.name
        quoted += len(marked)
    assert quoted > 20


def test_a_quote_leaves_out_the_docstring_and_nothing_else() -> None:
    assert source("ppo.objectives.kl_k1") == (
        "def kl_k1(log_ratio: th.Tensor) -> th.Tensor:\n"
        "    check_shapes(1, log_ratio=log_ratio)\n"
        "    return th.mean(-log_ratio)"
    )


def test_a_quote_of_what_does_not_exist_is_refused() -> None:
    with pytest.raises(LookupError, match=r"ppo\.objectives\.nothing"):
        source("ppo.objectives.nothing")
