"""The page: whole without scripts, nothing from outside, every name shown as it is."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from reports.content.document import Document
from reports.content.numbers import shown
from reports.output.charts import (
    curve_chart,
    interval_chart,
    matrix_chart,
    profile_chart,
    strip_chart,
)
from reports.output.page import render_page, slug
from reports.text import one_line
from tests.reports.conftest import HOSTILE


class _Reader(HTMLParser):
    """Collects tags, attributes and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def page(document: Document) -> str:
    return render_page(document)


@pytest.fixture(scope="module")
def reader(page: str) -> _Reader:
    return _Reader(page)


def embedded(page: str) -> dict[str, dict[str, dict[str, list[list[object]]]]]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, dict[str, dict[str, list[list[object]]]]] = json.loads(found[1])
    return data


def test_the_same_document_gives_the_same_page(document: Document, page: str) -> None:
    assert render_page(document) == page


def test_nothing_is_loaded_from_outside(page: str, reader: _Reader) -> None:
    assert not {"iframe", "object", "embed", "base", "form", "audio", "video"} & set(reader.tags)
    loading = [(n, v) for _, n, v in reader.attributes if n in ("src", "href", "action", "srcset")]
    assert all(value and value.startswith(("#", "data:")) for _, value in loading)
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_no_name_becomes_markup(page: str, reader: _Reader, document: Document) -> None:
    assert reader.tags.count("script") == 2  # the data and the page's own
    assert not {"img", "note"} & set(reader.tags)
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    assert one_line(document.labels[0]) == f"{HOSTILE} (tuned)"
    assert f"{HOSTILE} (tuned)" in reader.texts
    assert "alert(1)</script>" not in page


def test_only_the_pages_own_script_may_run(page: str) -> None:
    script = page.rsplit("<script>", 1)[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_the_page_shows_every_number_of_the_main_table(reader: _Reader, document: Document) -> None:
    text = " ".join(reader.texts)
    for row in document.aggregates:
        for at in (row.mean, row.iqm, row.optimality_gap):
            value, ends = shown(at).split(" ", 1)
            assert value in text
            assert ends.replace("-", "−") in text


def test_embedded_numbers_are_exact(page: str, document: Document) -> None:
    data = embedded(page)
    rows = data["tables"]["table"]["rows"]
    names = [str(name) for name in data["tables"]["table"]["columns"]]
    iqm = names.index("iqm")
    assert [row[iqm] for row in rows] == [row.iqm.value for row in document.aggregates]
    scores = data["tables"]["scores"]["rows"]
    assert len(scores) == len(document.runs)
    # A label that begins with = is no formula in what a reader downloads.
    assert str(rows[0][0]).startswith("'=")


def test_summary_comes_first_and_cautions_before_numbers(page: str, document: Document) -> None:
    first, cautions, table = (page.index(at) for at in ("<h1>", 'class="care"', "<table"))
    assert first < cautions < table
    assert "Read with care" in page
    assert document.set_aside[0].path == "bad <img src=x>"
    assert "bad &lt;img src=x&gt;" in page


def test_a_column_that_says_the_same_everywhere_is_a_sentence(page: str) -> None:
    assert "In every row, score is: mean return of the last evaluation; " in page


def test_ids_are_unique(reader: _Reader) -> None:
    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_every_chart_is_valid_svg_in_two_forms(document: Document) -> None:
    task = document.tasks[0].name
    charts = (
        curve_chart(document, None, "curves"),
        curve_chart(document, task, "task-1"),
        interval_chart(document),
        profile_chart(document),
        matrix_chart(document),
        strip_chart(document, task, "task-1-scores"),
    )
    for chart in charts:
        assert chart
        wide, narrow = (ElementTree.fromstring(drawing) for drawing in chart.drawings)
        assert (wide.get("class"), narrow.get("class")) == ("wide", "narrow")
        assert not wide.findall(".//{http://www.w3.org/2000/svg}script")
        assert float(str(narrow.get("width"))) < float(str(wide.get("width")))


def test_a_document_without_shared_tasks_has_a_page(document: Document) -> None:
    bare = replace(document, aggregates=(), pairs=(), profiles=(), curves=())
    page = render_page(bare)
    assert 'id="main-table"' not in page
    assert "Task by task" in page


def test_one_label_one_task_one_run_has_a_page(document: Document) -> None:
    label = document.labels[1]
    alone = replace(
        document,
        labels=(label,),
        tasks=document.tasks[:1],
        aggregates=tuple(row for row in document.aggregates if row.label == label),
        task_scores=tuple(row for row in document.task_scores if row.label == label)[:1],
        tests=(),
        pairs=(),
        curves=(),
        profiles=(),
        protocol=document.protocol[1:2],
        runs=document.runs[:1],
        cautions=(),
        notes=(),
        set_aside=(),
    )
    assert "Read with care" not in render_page(alone)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ppo_lab/NoisyGridWorld-v0", "ppo_lab-NoisyGridWorld-v0"),
        ("../../etc/passwd", "etc-passwd"),
        ("算法", "task"),
        ("a" * 100, "a" * 47),
        ('Env {"x": 1}', "Env-x-1"),
    ],
)
def test_names_of_downloads_are_plain(name: str, expected: str) -> None:
    assert slug(name) == expected
