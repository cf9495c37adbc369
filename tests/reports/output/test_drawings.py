"""SVG drawings say what their numbers say."""

from dataclasses import replace
from xml.etree import ElementTree

from reports.content.document import Document
from reports.content.rows import Interval, Pair
from reports.output import svg
from reports.output.drawings import matrix_drawing

SVG = "{http://www.w3.org/2000/svg}"


def test_no_two_of_49_labels_look_alike() -> None:
    looks = {(svg.colour(index), svg.shape(index)) for index in range(49)}
    assert len(looks) == 49
    # A second round of the colours differs in its dashes too.
    assert [svg.dash(index) for index in (0, 7)] == ["", ' stroke-dasharray="7 3"']


def test_a_square_is_blue_where_its_row_is_better_and_faint_where_that_is_not_told(
    document: Document,
) -> None:
    pairs = (
        Pair("a", "b", Interval(0.75, 0.6, 0.9), 0.01, 0.05),
        Pair("b", "a", Interval(0.25, 0.1, 0.4), 0.02, 0.051),
    )
    drawing = matrix_drawing(replace(document, labels=("a", "b"), pairs=pairs), "wide")
    squares = {}
    for group in ElementTree.fromstring(drawing).iter(f"{SVG}g"):
        if group.get("data-tip"):
            rect, *texts = group.findall(f"{SVG}rect") + group.findall(f"{SVG}text")
            shown = [(text.text, text.get("class")) for text in texts]
            squares[group.get("data-tip")] = (rect.get("class"), rect.get("fill"), shown)
    blue, orange = svg.PALETTE[:2]
    assert squares == {
        "a over b: 0.750 [0.600, 0.900]": (
            "above",
            blue,
            [("0.75", "ink"), ("0.60–0.90", "ink")],
        ),
        "b over a: 0.250 [0.100, 0.400]": (
            "below",
            orange,
            [("0.25", "muted"), ("0.10–0.40", "muted")],
        ),
    }
