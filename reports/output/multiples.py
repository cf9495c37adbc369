"""Small multiples: one panel a label where the bands of a plot overlap too much."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import combinations

from markupsafe import Markup

from reports.content.plots import Line, LinePlot
from reports.output import svg
from reports.output.drawings import Form, band_and_stroke, extent
from reports.text import one_line, shortened

FEWEST, MOST = 3, 12
"""Labels between which panels help: fewer are told apart, of more each panel would be too small."""
_SHARE = 0.5
_WIDE, _NARROW = (3, 280), (2, 176)
_HEIGHT, _HEAD, _FOOT, _SIDE = 170, 24, 22, 8


def bands_overlap(plot: LinePlot) -> bool:
    """Whether two labels' bands overlap over half of a curve, among enough labels to matter."""
    if not FEWEST <= len(plot.lines) <= MOST:
        return False
    with_bands = [line for line in plot.lines if line.low and line.high]
    return any(_overlap(one, other) >= _SHARE for one, other in combinations(with_bands, 2))


def _overlap(one: Line, other: Line) -> float:
    """The share of one's points at which the other's band, there or before, meets its own."""
    met = known = 0
    for place, x in enumerate(one.x):
        at = bisect_right(other.x, x) - 1
        if at < 0:
            continue
        ends = (one.low[place], one.high[place], other.low[at], other.high[at])
        low, high, other_low, other_high = ends
        if low is None or high is None or other_low is None or other_high is None:
            continue
        known += 1
        met += low <= other_high and other_low <= high
    return met / known if known else 0.0


def multiples_drawing(plot: LinePlot, form: Form, name: str) -> Markup:
    """Draw each label's line and band in a panel of its own, over the others in grey.

    Args:
        plot: at least one line.
        form: wide or narrow.
        name: of the chart, unique on the page.
    """
    columns, width = _WIDE if form == "wide" else _NARROW
    x_low, x_high, y_low, y_high = extent(plot)
    x = svg.Axis(x_low, x_high, 40, width - _SIDE)
    y = svg.Axis(y_low, y_high, _HEIGHT - _FOOT, _HEAD)
    grey = f"grey-{name}-{form}"
    pieces = [
        Markup('<defs><g id="{}">{}</g></defs>').format(
            grey, svg.join(_grey(line, x, y) for line in plot.lines)
        )
    ]
    for number, line in enumerate(plot.lines):
        corner = (width * (number % columns), _HEIGHT * (number // columns))
        pieces.append(_panel(line, x, y, corner, grey))
    rows = -(-len(plot.lines) // columns)
    described = f"{plot.title}, label by label; the numbers stand in the table below."
    return svg.drawing(form, width * columns, _HEIGHT * rows, svg.join(pieces), described=described)


def _panel(line: Line, x: svg.Axis, y: svg.Axis, corner: tuple[int, int], grey: str) -> Markup:
    band, stroke = band_and_stroke(line, x, y)
    title = shortened(one_line(line.label), int((x.end - 8) / 6.6))
    drawn = [
        svg.text(4, 15, title, kind="ink"),
        *_ends(x, y),
        # The stroke is inherited: what a use draws does not answer to the page's style sheet.
        Markup('<use class="axis" href="#{}" stroke="{}" stroke-opacity="0.4"/>').format(
            grey, svg.MUTED
        ),
        svg.group(line.place, "", svg.join([band, stroke])),
    ]
    return Markup('<g transform="translate({},{})">{}</g>').format(*corner, svg.join(drawn))


def _ends(x: svg.Axis, y: svg.Axis) -> Sequence[Markup]:
    """The axes with two round values each."""
    pieces = [svg.rule(x.start, y.start, x.end, y.start, kind="axis")]
    for axis, upright in ((y, True), (x, False)):
        ticks = axis.ticks(3)
        shown = [ticks[0], ticks[-1]] if len(ticks) > 1 else ticks
        for value, content in zip(shown, svg.tick_texts(shown), strict=True):
            if upright:
                pieces.append(
                    svg.text(x.start - 5, axis(value) + 4, content, anchor="end", size=10)
                )
            else:
                at = (axis(value), y.start + 14)
                pieces.append(svg.text(*at, content, anchor="middle", size=10))
    return pieces


def _grey(line: Line, x: svg.Axis, y: svg.Axis) -> Markup:
    points = [
        (x(step), y(value)) for step, value in zip(line.x, line.y, strict=True) if value is not None
    ]
    if len(points) < 2:
        return Markup("")
    path = "M" + "L".join(f"{left:g},{top:g}" for left, top in points)
    return Markup('<path d="{}" fill="none"/>').format(path)
