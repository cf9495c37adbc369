"""The lines' colours stand out from the page in both themes."""

import re
from itertools import combinations
from pathlib import Path

import pytest

from reports.output import page
from reports.output.svg import PALETTE

HTML = Path(page.__file__).with_name("html")


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def colours(file: str) -> dict[str, str]:
    found = re.findall(r"--([\w-]+): (#[0-9a-fA-F]{6});", (HTML / file).read_text())
    return dict(reversed(found))  # of a name that stands twice the first


def test_contrast_is_measured_as_the_guidelines_do() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # WCAG's own example


@pytest.mark.parametrize("file", ["style.css", "dark.css"])
def test_every_line_has_three_to_one(file: str) -> None:
    found = colours(file)
    for number in range(len(PALETTE)):
        for paper in ("paper", "raised"):
            assert contrast(found[f"s{number}"], found[paper]) >= 3.0, (number, paper)


def test_page_and_figures_have_the_same_colours() -> None:
    found = colours("style.css")
    assert [found[f"s{number}"].lower() for number in range(7)] == [c.lower() for c in PALETTE]
    assert all(contrast(colour, "#ffffff") >= 3.0 for colour in PALETTE)
    assert all(one != other for one, other in combinations(PALETTE, 2))
