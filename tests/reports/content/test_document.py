"""The document is JSON and back; a number that does not exist is null, never NaN."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.content.document import Document, Interval, Pair, from_json, to_json


def test_a_document_survives_json(document: Document) -> None:
    assert from_json(to_json(document)) == document


def test_json_has_an_entry_a_line_and_no_nan(document: Document) -> None:
    text = to_json(document)
    assert "NaN" not in text
    assert "Infinity" not in text
    plain = json.loads(text)
    assert [run["score"] for run in plain["runs"]] == [run.score for run in document.runs]
    assert text.count('\n  {"label"') >= len(document.runs)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_exact(document: Document, value: float) -> None:
    pair = Pair("a", "b", Interval(value, None, -value))
    (read,) = from_json(to_json(replace(document, pairs=(pair,)))).pairs
    assert read == pair


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_refused(document: Document, value: float) -> None:
    broken = replace(document, pairs=(Pair("a", "b", Interval(value)),))
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(broken)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 1"),
        ({"labels": "abc"}, "report.labels: expected a list"),
        ({"labels": [1]}, r"report.labels\[0\]: expected str, got int"),
        ({"surplus": 1}, r"unknown \['surplus'\]"),
        ({"settings": 3}, "report.settings: expected an object"),
    ],
)
def test_other_shapes_are_refused_by_name(
    document: Document, change: dict[str, object], message: str
) -> None:
    plain = {**json.loads(to_json(document)), **change}
    with pytest.raises(ValueError, match=message):
        from_json(json.dumps(plain))


def test_a_missing_entry_is_named(document: Document) -> None:
    plain = json.loads(to_json(document))
    del plain["headline"]
    with pytest.raises(ValueError, match=r"missing \['headline'\]"):
        from_json(json.dumps(plain))
