"""Small pieces of SVG: scales, axes, lines, bands, marks.

A drawing carries its light colours as attributes, so it stands alone as a file; the page's style
sheet overrides them by class, for the dark theme. Every text is escaped by ``Markup.format``.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#80205A", "#4D41D9", "#4C3300", "#000000")
"""Four of Okabe and Ito's (2008), and three that stand out from paper, which their others do not:
chosen to be far apart also for readers who see no difference of red and green."""

DASHES = ("", "7 3", "2 3", "9 3 2 3")
"""Changes with every round of the colours."""

INK, MUTED, RULE = "#1c2430", "#5b6675", "#e3e7ec"

_MARKS = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
    "M-3.6,-3.6h7.2v7.2h-7.2Z",
    "M0,-4.8L4.4,3.2H-4.4Z",
    "M0,-5L4.4,0L0,5L-4.4,0Z",
    "M0,4.8L4.4,-3.2H-4.4Z",
    "M-1.4,-4.4h2.8v3h3v2.8h-3v3h-2.8v-3h-3v-2.8h3Z",
    "M-4,-2.4L-2.4,-4L0,-1.6L2.4,-4L4,-2.4L1.6,0L4,2.4L2.4,4L0,1.6L-2.4,4L-4,2.4L-1.6,0Z",
)


@dataclass(frozen=True)
class Axis:
    """A linear scale from data to pixels.

    Attributes:
        low: data value at ``start``.
        high: data value at ``end``, above ``low``.
        start: pixel of ``low``.
        end: pixel of ``high``; below ``start`` on a vertical axis.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value, one decimal, kept within ten plots' reach."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + min(max(share, -10.0), 10.0) * (self.end - self.start), 1)

    def ticks(self, count: int) -> list[float]:
        """Return about ``count`` round values within the scale."""
        return round_values(self.low, self.high, count)


def spanning(values: Iterable[float], *, within: float = 0.05) -> tuple[float, float]:
    """Return ends a little beyond the values; never equal, also for one value or none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    room = (high - low) * within or max(abs(high) * within, 0.05)
    return low - room, high + room


def round_values(low: float, high: float, count: int) -> list[float]:
    """Return multiples of 1, 2, 2.5 or 5 times a power of ten from low to high."""
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_texts(values: Sequence[float]) -> list[str]:
    """Write tick values alike: as many decimals as they need, k and M for thousands."""
    largest = max(map(abs, values), default=0.0)
    scale, suffix = (1e6, "M") if largest >= 1e6 else (1e3, "k") if largest >= 1e4 else (1.0, "")
    scaled = [value / scale for value in values]
    decimals = next((n for n in range(6) if all(abs(round(v, n) - v) < 1e-9 for v in scaled)), 6)
    texts = (f"{value:z.{decimals}f}{suffix if value else ''}" for value in scaled)
    return [text.replace("-", "−") for text in texts]


def join(pieces: Iterable[Markup]) -> Markup:
    """Join drawn pieces."""
    return Markup("").join(pieces)


def text(
    x: float,
    y: float,
    content: str,
    *,
    anchor: str = "start",
    kind: str = "muted",
    size: float = 12,
) -> Markup:
    """Draw a text; ``kind`` is ``ink`` or ``muted``."""
    return Markup(
        '<text class="{}" x="{}" y="{}" text-anchor="{}" font-size="{}" fill="{}">{}</text>'
    ).format(kind, x, y, anchor, size, INK if kind == "ink" else MUTED, content)


def rule(x1: float, y1: float, x2: float, y2: float, *, kind: str = "rule") -> Markup:
    """Draw a straight line; ``kind`` is ``rule``, ``axis`` or ``mark`` (dotted)."""
    dashes = Markup(' stroke-dasharray="2 3"') if kind == "mark" else ""
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}" stroke="{}"{}/>').format(
        kind, x1, y1, x2, y2, RULE if kind == "rule" else MUTED, dashes
    )


def polyline(points: Sequence[tuple[float, float]], index: int) -> Markup:
    """Draw a label's line; ``index`` fixes its colour and dashes."""
    path = "M" + "L".join(f"{x:g},{y:g}" for x, y in points)
    return Markup(
        '<path class="line" d="{}" fill="none" stroke="{}" stroke-width="2" '
        'stroke-linejoin="round"{}/>'
    ).format(path, colour(index), dash(index))


def band(
    upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]], index: int
) -> Markup:
    """Fill between two lines."""
    path = "M" + "L".join(f"{x:g},{y:g}" for x, y in (*upper, *reversed(lower))) + "Z"
    return Markup('<path class="band" d="{}" fill="{}" fill-opacity="0.15"/>').format(
        path, colour(index)
    )


def bar(x1: float, x2: float, y: float, index: int) -> Markup:
    """Draw an interval as a thick translucent bar."""
    return Markup(
        '<line class="bar" x1="{}" y1="{}" x2="{}" y2="{}" stroke="{}" stroke-width="9" '
        'stroke-opacity="0.35"/>'
    ).format(x1, y, x2, y, colour(index))


def mark(x: float, y: float, index: int, *, size: float = 1.0, faint: bool = False) -> Markup:
    """Draw a label's marker."""
    return Markup(
        '<path class="dot" transform="translate({},{}) scale({})" d="{}" fill="{}"{}/>'
    ).format(
        x, y, size, shape(index), colour(index), Markup(' fill-opacity="0.45"') if faint else ""
    )


def stem(x: float, y: float, index: int) -> Markup:
    """Draw a point estimate as a short upright stroke."""
    return Markup(
        '<line class="stem" x1="{}" y1="{}" x2="{}" y2="{}" stroke="{}" stroke-width="2.5"/>'
    ).format(x, y - 7, x, y + 7, colour(index))


def group(index: int, tip: str, content: Markup) -> Markup:
    """Tie pieces to a label, with the text that a pointer brings up.

    ``<title>`` serves where scripts are off; the page's script shows ``data-tip`` in its place.
    """
    title = Markup("<title>{}</title>").format(tip) if tip else ""
    data = Markup(' data-tip="{}"').format(tip) if tip else ""
    return Markup('<g class="series c{}" data-label="{}"{}>{}{}</g>').format(
        index % len(PALETTE), index, data, title, content
    )


def colour(index: int) -> str:
    """Return a label's colour."""
    return PALETTE[index % len(PALETTE)]


def shape(index: int) -> str:
    """Return a label's marker; shifted in every round, so that no two of 49 look alike."""
    return _MARKS[(index + index // len(PALETTE)) % len(_MARKS)]


def dash(index: int) -> Markup:
    """Return a label's dashes as an attribute."""
    pattern = DASHES[index // len(PALETTE) % len(DASHES)]
    return Markup(' stroke-dasharray="{}"').format(pattern) if pattern else Markup("")


def drawing(
    name: str,
    width: int,
    height: int,
    content: Markup,
    *,
    described: str,
    frame: str = "",
    legend: Markup | None = None,
    legend_height: int = 0,
) -> Markup:
    """Wrap pieces into an ``<svg>``.

    Args:
        name: distinguishes the variants of a chart, as a class.
        width: viewBox width.
        height: viewBox height.
        content: the pieces.
        described: what a screen reader says.
        frame: what the page's script needs to find data under a pointer.
        legend: pieces below the drawing that only a downloaded file shows.
        legend_height: their height.
    """
    return Markup(
        '<svg class="{}" xmlns="http://www.w3.org/2000/svg" width="{}" viewBox="0 0 {} {}" '
        'role="img" aria-label="{}" font-family="system-ui, sans-serif" data-legend="{}"{}>'
        '{}<g class="export">{}</g></svg>'
    ).format(
        name,
        width,
        width,
        height,
        described,
        legend_height,
        Markup(' data-frame="{}"').format(frame) if frame else "",
        content,
        legend or "",
    )
