"""A panel a label where bands overlap."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from reports.content.plots import Line, LinePlot
from reports.output.multiples import bands_overlap, multiples_drawing


def plot(*middles: float, width: float = 1.0) -> LinePlot:
    lines = [
        Line(f"label{n}", n, (0.0, 1.0, 2.0), (y,) * 3, (y - width,) * 3, (y + width,) * 3)
        for n, y in enumerate(middles)
    ]
    return LinePlot("Title", "shows", "x", "y", tuple(lines))


@pytest.mark.parametrize(
    ("drawn", "overlap"),
    [
        (plot(0.0, 1.5, 9.0), True),  # the first two meet, from 0.5 to 1
        (plot(0.0, 2.5, 9.0), False),
        (plot(0.0, 1.5), False),  # two lines are told apart
        (plot(*range(13)), False),  # so many panels would be too small
    ],
)
def test_panels_are_drawn_where_bands_meet_over_half_of_a_curve(
    drawn: LinePlot, overlap: bool
) -> None:
    assert bands_overlap(drawn) is overlap


def test_lines_without_bands_do_not_overlap() -> None:
    bare = [replace(line, low=(), high=()) for line in plot(0.0, 0.1, 0.2).lines]
    assert not bands_overlap(replace(plot(), lines=tuple(bare)))


def test_every_panel_has_its_own_line_over_all_in_grey() -> None:
    svg = ElementTree.fromstring(multiples_drawing(plot(0.0, 1.0, 2.0, 3.0), "wide", "mine"))
    space = "{http://www.w3.org/2000/svg}"
    assert len(svg.findall(f"./{space}defs/{space}g/{space}path")) == 4
    panels = svg.findall(f"./{space}g[@transform]")
    assert [panel.get("transform") for panel in panels] == [
        *("translate(0,0)", "translate(280,0)", "translate(560,0)", "translate(0,170)")
    ]
    for number, panel in enumerate(panels):
        assert panel.find(f"{space}use").get("href") == "#grey-mine-wide"  # type: ignore[union-attr]
        assert panel.find(f"{space}text").text == f"label{number}"  # type: ignore[union-attr]
        (group,) = panel.findall(f"{space}g")
        assert group.get("data-label") == str(number)
