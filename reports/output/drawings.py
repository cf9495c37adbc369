"""The plots drawn as SVG, each in a wide and a narrow form."""

from collections.abc import Sequence
from typing import Literal

from markupsafe import Markup

from reports.content.document import Document
from reports.content.numbers import pair_texts, shown
from reports.content.plots import Line, LinePlot, Panel, interval_ends
from reports.content.rows import Interval, Pair
from reports.output import svg
from reports.text import one_line, shortened

Form = Literal["wide", "narrow"]
WIDE, NARROW = 860, 360

_Point = tuple[float, float | None, float | None, float | None]


def line_drawing(plot: LinePlot, form: Form) -> Markup:
    """Draw lines with their bands, and below them the legend of a downloaded file."""
    wide = form == "wide"
    width, height = (WIDE, 400) if wide else (NARROW, 300)
    x_low, x_high, y_low, y_high = extent(plot)
    ticks = svg.round_values(y_low, y_high, 6 if wide else 5)
    margin = 14 + 7.2 * max(map(len, svg.tick_texts(ticks)), default=1)
    x = svg.Axis(x_low, x_high, margin, width - 22)
    y = svg.Axis(y_low, y_high, height - 46, 26)
    pieces = [svg.text(4, 14, plot.y_title)]
    for value, content in zip(ticks, svg.tick_texts(ticks), strict=True):
        pieces += [
            svg.rule(x.start, y(value), x.end, y(value)),
            svg.text(x.start - 7, y(value) + 4, content, anchor="end"),
        ]
    x_ticks = x.ticks(7 if wide else 4)
    for value, content in zip(x_ticks, svg.tick_texts(x_ticks), strict=True):
        pieces += [
            svg.rule(x(value), y.start, x(value), y.start + 4, kind="axis"),
            svg.text(x(value), y.start + 18, content, anchor="middle"),
        ]
    pieces.append(svg.rule(x.start, y.start, x.end, y.start, kind="axis"))
    pieces.append(svg.text((x.start + x.end) / 2, height - 8, plot.x_title, anchor="middle"))
    if plot.threshold is not None:
        height_of_threshold = y(plot.threshold)
        pieces.append(
            svg.rule(x.start, height_of_threshold, x.end, height_of_threshold, kind="mark")
        )
    drawn = [(line.place, *band_and_stroke(line, x, y)) for line in plot.lines]
    pieces += [svg.group(place, "", bands) for place, bands, _ in drawn]
    pieces += [svg.group(place, "", strokes) for place, _, strokes in drawn]
    ends = (x_low, x_high, x.start, x.end, y_low, y_high, y.start, y.end)
    legend, more = _legend(plot.lines, height, width)
    return svg.drawing(
        form,
        width,
        height,
        svg.join(pieces),
        described=f"{plot.title}: {plot.y_title} over {plot.x_title}; the numbers stand in the "
        "table below.",
        frame=" ".join(f"{end:g}" for end in ends),
        legend=legend,
        legend_height=more,
    )


def extent(plot: LinePlot) -> tuple[float, float, float, float]:
    """The ends of both axes: x, then y."""
    values = [v for line in plot.lines for v in (*line.y, *line.low, *line.high) if v is not None]
    x = [value for line in plot.lines for value in line.x]
    ends = (min(x), max(x)) if min(x) < max(x) else svg.spanning(x)
    threshold = () if plot.threshold is None else (plot.threshold,)
    return (*ends, *(plot.bounds or svg.spanning([*values, *threshold])))


def band_and_stroke(line: Line, x: svg.Axis, y: svg.Axis) -> tuple[Markup, Markup]:
    """A label's bands and its strokes; a gap in the values is a gap."""
    bands, strokes = [], []
    bare: tuple[float | None, ...] = (None,) * len(line.x)
    points = list(zip(line.x, line.y, line.low or bare, line.high or bare, strict=True))
    for stretch in _unbroken(points):
        ends = [
            (x(step), lo, hi) for step, _, lo, hi in stretch if lo is not None and hi is not None
        ]
        if len(ends) > 1:
            upper = [(step, y(hi)) for step, _, hi in ends]
            lower = [(step, y(lo)) for step, lo, _ in ends]
            bands.append(svg.band(upper, lower, line.place))
        path = [(x(step), y(value)) for step, value, _, _ in stretch if value is not None]
        if len(path) > 1:
            strokes.append(svg.polyline(path, line.place))
        strokes += [svg.mark(*point, line.place) for point in path[:: line.marked_every]]
    return svg.join(bands), svg.join(strokes)


def _unbroken(points: Sequence[_Point]) -> list[list[_Point]]:
    stretches: list[list[_Point]] = [[]]
    for point in points:
        if point[1] is None:
            stretches.append([])
        else:
            stretches[-1].append(point)
    return [stretch for stretch in stretches if stretch]


def panels_drawing(panels: Sequence[Panel], form: Form) -> Markup:
    """Draw the panels side by side, or one below the other."""
    width, columns = (WIDE, 4) if form == "wide" else (NARROW, 1)
    labels = [label for label, _, _ in panels[0].rows]
    longest = max(len(one_line(label)) for label in labels)
    names = min(6.9 * longest + 14, 200 if columns > 1 else 150)
    row_height, head, foot = 30, 30, 30
    panel_height = head + row_height * len(labels) + foot
    panel_width = (width - names - 10) / columns
    pieces: list[Markup] = []
    for place, panel in enumerate(panels):
        top = 0 if columns > 1 else place * (panel_height + 8)
        left = names + (place * panel_width if columns > 1 else 0)
        if columns == 1 or place == 0:
            for number, label in enumerate(labels):
                short = shortened(one_line(label), int((names - 8) / 6.6))
                y = top + head + row_height * number + 19
                pieces.append(svg.text(names - 10, y, short, anchor="end", kind="ink"))
        box = (left + 8, left + panel_width - 8, top + head, top + panel_height - foot)
        pieces.append(_panel(panel, box, row_height))
    height = int(panel_height if columns > 1 else len(panels) * (panel_height + 8))
    described = "Point estimates with intervals; the numbers stand in the main table."
    return svg.drawing(form, width, height, svg.join(pieces), described=described)


def _panel(panel: Panel, box: tuple[float, float, float, float], row_height: int) -> Markup:
    left, right, top, bottom = box
    ends = interval_ends(interval for _, _, interval in panel.rows)
    x = svg.Axis(*svg.spanning(ends, within=0.06), left, right)
    ticks = x.ticks(max(3, int((right - left) / 60)))
    pieces = [svg.text(left, top - 12, panel.title, kind="ink"), *_grid(x, ticks, top, bottom)]
    for number, (label, place, interval) in enumerate(panel.rows):
        if interval.value is not None:
            y = top + row_height * (number + 0.5)
            tip = f"{label}: {panel.title} {shown(interval)}"
            pieces.append(svg.group(place, tip, svg.join(_estimate(interval, x, y, place))))
    return svg.join(pieces)


def _grid(x: svg.Axis, ticks: Sequence[float], top: float, bottom: float) -> list[Markup]:
    """Upright lines at the ticks, with their values below."""
    pieces: list[Markup] = []
    for value, content in zip(ticks, svg.tick_texts(ticks), strict=True):
        pieces += [
            svg.rule(x(value), top, x(value), bottom),
            svg.text(x(value), bottom + 17, content, anchor="middle", size=11),
        ]
    return pieces


def _estimate(
    interval: Interval, x: svg.Axis, y: float, place: int, dots: Sequence[Markup] = ()
) -> list[Markup]:
    """An interval as a bar, dots upon it, and the value as a stroke on top."""
    drawn = list(dots)
    if interval.low is not None and interval.high is not None:
        drawn.insert(0, svg.bar(x(interval.low), x(interval.high), y, place))
    if interval.value is not None:
        drawn.append(svg.stem(x(interval.value), y, place))
    return drawn


def strip_drawing(document: Document, task: str, form: Form) -> Markup:
    """Draw every run of one task as a dot, with each label's mean and its interval."""
    wide = form == "wide"
    width = WIDE if wide else NARROW
    rows = [row for row in document.task_scores if row.task == task]
    row_height, head, foot = 44, 8, 34
    scores = [score for row in rows for score in row.scores]
    x = svg.Axis(*svg.spanning([*interval_ends(row.mean for row in rows), *scores]), 14, width - 14)
    bottom = head + row_height * len(rows)
    pieces = _grid(x, x.ticks(7 if wide else 4), head, bottom)
    for number, row in enumerate(rows):
        top = head + row_height * number
        y = top + 30.0
        place = document.labels.index(row.label)
        dots = [
            # Spread by place, not by chance, so that equal scores stay countable.
            svg.mark(x(score), y + (nth % 3 - 1) * 5, place, size=0.75, faint=True)
            for nth, score in enumerate(row.scores)
        ]
        tip = f"{row.label}: mean {shown(row.mean, 'score')} of {row.runs} runs"
        short = shortened(one_line(row.label), 90 if wide else 44)
        pieces.append(svg.text(14, top + 15, short, kind="ink"))
        pieces.append(svg.group(place, tip, svg.join(_estimate(row.mean, x, y, place, dots))))
    described = f"Every run's final score on {task}; the numbers stand in the table below."
    return svg.drawing(form, width, bottom + foot, svg.join(pieces), described=described)


def matrix_drawing(document: Document, form: Form) -> Markup:
    """Draw a square for every two labels, coloured by which of them is better."""
    labels = document.labels
    side, head = 62, 26
    room = 30 if form == "wide" else 15
    names = 7.0 * min(max(len(one_line(label)) for label in labels), room) + 34
    pairs = {(pair.label, pair.other): pair for pair in document.pairs}
    pieces: list[Markup] = []
    for number, label in enumerate(labels):
        short = shortened(one_line(label), room)
        y = head + side * (number + 0.5) + 4
        pieces.append(svg.text(0, y, f"{number + 1}  {short}", kind="ink"))
        pieces.append(svg.text(names + side * (number + 0.5), 16, str(number + 1), anchor="middle"))
    for row, label in enumerate(labels):
        for column, other in enumerate(labels):
            corner = (names + side * column, head + side * row)
            pieces.append(_square(label, other, pairs.get((label, other)), corner, side))
    width, height = int(names + side * len(labels)), head + side * len(labels)
    described = "Probabilities of improvement; the numbers stand in the table below."
    return svg.drawing(form, width, height, svg.join(pieces), described=described)


def _square(
    label: str, other: str, pair: Pair | None, corner: tuple[float, float], side: int
) -> Markup:
    x, y = corner
    if pair is None or pair.improvement.value is None:
        fill = svg.MUTED if label == other else "none"
        return Markup(
            '<rect x="{}" y="{}" width="{}" height="{}" rx="4" fill="{}" fill-opacity="0.08"/>'
        ).format(x + 1, y + 1, side - 2, side - 2, fill)
    improvement, rate = pair.improvement, pair.improvement.value
    better = rate > 0.5
    rect = Markup(
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="4" fill="{}" fill-opacity="{}"/>'
    ).format(
        "above" if better else "below",
        x + 1,
        y + 1,
        side - 2,
        side - 2,
        svg.PALETTE[0] if better else svg.PALETTE[1],
        round(min(abs(rate - 0.5) * 1.3, 0.65), 3),
    )
    value, ends = pair_texts(improvement)
    kind = "ink" if pair.told_apart else "muted"
    texts = [svg.text(x + side / 2, y + 28, value, anchor="middle", size=14, kind=kind)]
    if ends:
        texts.append(svg.text(x + side / 2, y + 44, ends, anchor="middle", size=10.5, kind=kind))
    tip = f"{label} over {other}: {shown(improvement)}"
    return Markup('<g data-tip="{}"><title>{}</title>{}{}</g>').format(
        tip, tip, rect, svg.join(texts)
    )


def _legend(lines: Sequence[Line], top: int, width: int) -> tuple[Markup, int]:
    """Draw the legend that only a downloaded file shows; the page has its own."""
    pieces = []
    for number, line in enumerate(lines):
        y = top + 12 + 20 * number
        short = shortened(one_line(line.label), (width - 60) // 7)
        entry = [
            svg.polyline([(16, y), (44, y)], line.place),
            svg.mark(30, y, line.place),
            svg.text(52, y + 4, short, kind="ink"),
        ]
        pieces.append(svg.group(line.place, "", svg.join(entry)))
    return svg.join(pieces), 20 * len(lines) + 12
