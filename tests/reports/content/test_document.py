"""The document as JSON: all of it, exact; a number that does not exist is null, never NaN."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.content.document import Document, to_json
from reports.content.rows import Interval, Pair


def test_json_holds_the_whole_document(document: Document) -> None:
    written = json.loads(to_json(document))
    assert written == json.loads(json.dumps(asdict(document)))
    assert list(written)[:3] == ["format", "title", "headline"]
    assert written["pairs"][0].keys() == {
        "label",
        "other",
        "improvement",
        "rank_p",
        "rank_p_holm",
        "told_until_clear",
    }


def test_json_has_an_entry_a_line_and_no_nan(document: Document) -> None:
    text = to_json(document)
    assert "NaN" not in text
    assert "Infinity" not in text
    plain = json.loads(text)
    assert [run["score"] for run in plain["runs"]] == [run.score for run in document.runs]
    assert text.count('\n  {"label"') >= len(document.runs)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_exact(document: Document, value: float) -> None:
    pair = Pair("a", "b", Interval(value, None, -value), 1.0, 1.0)
    (read,) = json.loads(to_json(replace(document, pairs=(pair,))))["pairs"]
    assert read["improvement"] == {"value": value, "low": None, "high": -value}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_refused(document: Document, value: float) -> None:
    broken = replace(document, pairs=(Pair("a", "b", Interval(value), 1.0, 1.0),))
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(broken)
