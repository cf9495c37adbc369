"""The page's charts as SVG, each in a wide and a narrow form, with the table behind it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from reports.content.document import Curve, Document, Interval, Profile
from reports.content.numbers import shown
from reports.output import svg
from reports.output.tables import (
    Table,
    curve_table,
    main_table,
    pair_table,
    profile_table,
    task_table,
)
from reports.text import one_line, shortened

Form = Literal["wide", "narrow"]
WIDE, NARROW = 860, 360
_MARKED_POINTS = 10
_PANELS = (
    ("iqm", "IQM"),
    ("mean", "Mean"),
    ("median", "Median"),
    ("optimality_gap", "Optimality gap"),
)


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        name: plain letters, digits and dashes: its anchor and the stem of its downloads.
        title: its heading.
        caption: what it shows.
        drawings: ``<svg>`` in a wide and a narrow form.
        table: its numbers.
        labels: places of the labels in its legend; none where the rows are named.
        hover: whether a pointer finds the nearest x of every curve.
        fluid: whether it grows and shrinks with the page; else it scrolls where it is too wide.
    """

    name: str
    title: str
    caption: str
    drawings: tuple[Markup, Markup]
    table: Table
    labels: tuple[int, ...] = ()
    hover: bool = False
    fluid: bool = True


@dataclass(frozen=True)
class _Line:
    label: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


def curve_chart(document: Document, task: str | None, name: str) -> Chart | None:
    """Return the learning curves of one task, or of all together; None where there are none."""
    curves = [curve for curve in document.curves if curve.task == task]
    if not curves:
        return None
    unit = "return" if task else "normalised return"
    title = "Learning curves" if task is None else f"Learning curves: {task}"
    level = f"{100 * document.settings.level:g} %"
    caption = f"IQM of the {unit} over environment steps, with pointwise {level} bands." + (
        "" if task else " The dotted line at 1 is the reference score."
    )
    lines = [_curve_line(curve) for curve in curves]
    table = curve_table(document).where(task or "")
    drawings = _both(
        lambda form: _line_drawing(
            document.labels,
            lines,
            form,
            "environment steps",
            f"{unit}, IQM",
            title,
            reference=None if task else 1.0,
        )
    )
    return Chart(name, title, caption, drawings, table, _places(document, lines), hover=True)


def profile_chart(document: Document) -> Chart | None:
    """Return the performance profiles."""
    if not document.profiles:
        return None
    title = "Performance profiles"
    lines = [_profile_line(profile) for profile in document.profiles]
    drawings = _both(
        lambda form: _line_drawing(
            document.labels,
            lines,
            form,
            "normalised score τ",
            "share of runs above τ",
            title,
            bounds=(0.0, 1.0),
        )
    )
    caption = (
        "Share of runs, averaged over tasks, that score above τ. A curve above another everywhere "
        "is better at every level; where they cross, neither dominates. Where it falls through "
        "one half lies the median run."
    )
    return Chart(
        "profiles",
        title,
        caption,
        drawings,
        profile_table(document),
        _places(document, lines),
        hover=True,
    )


def interval_chart(document: Document) -> Chart | None:
    """Return IQM, mean, median and optimality gap of every label with their intervals."""
    if not document.aggregates:
        return None
    labels = document.labels
    panels = [
        (title, [(row.label, getattr(row, key)) for row in document.aggregates])
        for key, title in _PANELS
    ]
    drawings = _both(lambda form: _panels_drawing(labels, panels, form))
    caption = (
        "Point estimates (strokes) and their "
        f"{100 * document.settings.level:g} % intervals (bars) of the normalised score. Of the "
        "optimality gap, less is better."
    )
    return Chart("intervals", "Intervals", caption, drawings, main_table(document))


def strip_chart(document: Document, task: str, name: str) -> Chart | None:
    """Return every run of one task as a dot, with the mean and its interval."""
    rows = [row for row in document.task_scores if row.task == task]
    if not rows:
        return None
    drawings = _both(lambda form: _strip_drawing(document, task, form))
    level = f"{100 * document.settings.level:g} %"
    caption = f"One mark a run; the stroke is the mean, the bar its {level} interval."
    return Chart(name, f"Final scores: {task}", caption, drawings, task_table(document).where(task))


def matrix_chart(document: Document) -> Chart | None:
    """Return the probabilities of improvement, row over column."""
    if not document.all_paired:
        return None
    caption = (
        "Probability that a run of the row scores above a run of the column, ties counting half; "
        "below it the interval. Blue: the row is better; orange: the column. Faint text: the "
        "interval holds one half, so these runs do not tell the two apart."
    )
    drawings = _both(lambda form: _matrix_drawing(document, form))
    return Chart(
        "pairs", "Probability of improvement", caption, drawings, pair_table(document), fluid=False
    )


def _both(draw: Callable[[Form], Markup]) -> tuple[Markup, Markup]:
    return draw("wide"), draw("narrow")


def _places(document: Document, lines: Sequence[_Line]) -> tuple[int, ...]:
    return tuple(sorted(document.labels.index(line.label) for line in lines))


def _curve_line(curve: Curve) -> _Line:
    return _Line(curve.label, tuple(map(float, curve.steps)), curve.value, curve.low, curve.high)


def _profile_line(profile: Profile) -> _Line:
    return _Line(profile.label, profile.taus, profile.share, profile.low, profile.high)


def _line_drawing(
    labels: Sequence[str],
    lines: Sequence[_Line],
    form: Form,
    x_title: str,
    y_title: str,
    title: str,
    *,
    reference: float | None = None,
    bounds: tuple[float, float] | None = None,
) -> Markup:
    wide = form == "wide"
    width, height = (WIDE, 400) if wide else (NARROW, 300)
    every = [v for line in lines for v in (*line.y, *line.low, *line.high) if v is not None]
    near = reference is not None and bool(every) and max(every) > 0.5
    low, high = svg.spanning([*every, reference] if near and reference else every)
    if bounds:
        low, high = bounds
    xs = [x for line in lines for x in line.x]
    left, right = (min(xs), max(xs)) if min(xs) < max(xs) else svg.spanning(xs)
    ticks = svg.round_values(low, high, 6 if wide else 5)
    texts = svg.tick_texts(ticks)
    margin = 14 + 7.2 * max(map(len, texts), default=1)
    x = svg.Axis(left, right, margin, width - 22)
    y = svg.Axis(low, high, height - 46, 26)
    pieces = [svg.text(4, 14, y_title)]
    for value, content in zip(ticks, texts, strict=True):
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
    pieces.append(svg.text((x.start + x.end) / 2, height - 8, x_title, anchor="middle"))
    if near and reference is not None:
        pieces.append(svg.rule(x.start, y(reference), x.end, y(reference), kind="mark"))
    drawn = [_drawn(line, labels.index(line.label), x, y) for line in lines]
    pieces += [svg.group(index, "", bands) for index, bands, _ in drawn]
    pieces += [svg.group(index, "", strokes) for index, _, strokes in drawn]
    frame = " ".join(f"{n:g}" for n in (left, right, x.start, x.end, low, high, y.start, y.end))
    legend, more = _legend(labels, [line.label for line in lines], height, width)
    described = f"{title}: {y_title} over {x_title}; the numbers stand in the table below."
    return svg.drawing(
        form,
        width,
        height,
        svg.join(pieces),
        described=described,
        frame=frame,
        legend=legend,
        legend_height=more,
    )


def _drawn(line: _Line, index: int, x: svg.Axis, y: svg.Axis) -> tuple[int, Markup, Markup]:
    """Return a label's index, its bands and its strokes; a gap in the values is a gap."""
    bands, strokes = [], []
    bare: tuple[float | None, ...] = (None,) * len(line.x)
    points = list(zip(line.x, line.y, line.low or bare, line.high or bare, strict=True))
    every = max(1, len(points) // _MARKED_POINTS)
    for run in _unbroken(points):
        ends = [(x(at), lo, hi) for at, _, lo, hi in run if lo is not None and hi is not None]
        if len(ends) > 1:
            upper = [(at, y(hi)) for at, _, hi in ends]
            lower = [(at, y(lo)) for at, lo, _ in ends]
            bands.append(svg.band(upper, lower, index))
        path = [(x(at), y(value)) for at, value, _, _ in run if value is not None]
        if len(path) > 1:
            strokes.append(svg.polyline(path, index))
        strokes += [svg.mark(at, value, index) for at, value in path[:: every or 1]]
    return index, svg.join(bands), svg.join(strokes)


_Point = tuple[float, float | None, float | None, float | None]


def _unbroken(points: Sequence[_Point]) -> list[list[_Point]]:
    stretches: list[list[_Point]] = [[]]
    for point in points:
        if point[1] is None:
            stretches.append([])
        else:
            stretches[-1].append(point)
    return [stretch for stretch in stretches if stretch]


def _panels_drawing(
    labels: Sequence[str],
    panels: Sequence[tuple[str, Sequence[tuple[str, Interval]]]],
    form: Form,
) -> Markup:
    width, columns = (WIDE, 4) if form == "wide" else (NARROW, 1)
    longest = max(len(one_line(label)) for label in labels)
    names = min(6.9 * longest + 14, 200 if columns > 1 else 150)
    row_height, head, foot = 30, 30, 30
    panel_height = head + row_height * len(labels) + foot
    panel_width = (width - names - 10) / columns
    pieces: list[Markup] = []
    for place, (title, rows) in enumerate(panels):
        top = 0 if columns > 1 else place * (panel_height + 8)
        left = names + (place * panel_width if columns > 1 else 0)
        if columns == 1 or place == 0:
            for number, (label, _) in enumerate(rows):
                short = shortened(one_line(label), int((names - 8) / 6.6))
                y = top + head + row_height * number + 19
                pieces.append(svg.text(names - 10, y, short, anchor="end", kind="ink"))
        box = (left + 8, left + panel_width - 8, top + head, top + panel_height - foot)
        pieces.append(_panel(labels, title, rows, box, row_height))
    height = int(panel_height if columns > 1 else len(panels) * (panel_height + 8))
    described = "Point estimates with intervals; the numbers stand in the main table."
    return svg.drawing(form, width, height, svg.join(pieces), described=described)


def _panel(
    labels: Sequence[str],
    title: str,
    rows: Sequence[tuple[str, Interval]],
    box: tuple[float, float, float, float],
    row_height: int,
) -> Markup:
    left, right, top, bottom = box
    ends = [end for _, at in rows for end in (at.value, at.low, at.high) if end is not None]
    low, high = svg.spanning(ends, within=0.06)
    x = svg.Axis(low, high, left, right)
    ticks = x.ticks(max(3, int((right - left) / 60)))
    pieces = [svg.text(left, top - 12, title, kind="ink")]
    for value, content in zip(ticks, svg.tick_texts(ticks), strict=True):
        pieces += [
            svg.rule(x(value), top, x(value), bottom),
            svg.text(x(value), bottom + 17, content, anchor="middle", size=11),
        ]
    for number, (label, at) in enumerate(rows):
        if at.value is None:
            continue
        y = top + row_height * (number + 0.5)
        index = labels.index(label)
        drawn = [svg.stem(x(at.value), y, index)]
        if at.low is not None and at.high is not None:
            drawn.insert(0, svg.bar(x(at.low), x(at.high), y, index))
        pieces.append(svg.group(index, f"{label}: {title} {shown(at)}", svg.join(drawn)))
    return svg.join(pieces)


def _strip_drawing(document: Document, task: str, form: Form) -> Markup:
    width = WIDE if form == "wide" else NARROW
    rows = [row for row in document.task_scores if row.task == task]
    row_height, head, foot = 44, 8, 34
    ends = [end for row in rows for end in (row.mean.low, row.mean.high) if end is not None]
    low, high = svg.spanning([*ends, *(score for row in rows for score in row.scores)])
    x = svg.Axis(low, high, 14, width - 14)
    bottom = head + row_height * len(rows)
    ticks = x.ticks(7 if form == "wide" else 4)
    pieces: list[Markup] = []
    for value, content in zip(ticks, svg.tick_texts(ticks), strict=True):
        pieces += [
            svg.rule(x(value), head, x(value), bottom),
            svg.text(x(value), bottom + 17, content, anchor="middle", size=11),
        ]
    for number, row in enumerate(rows):
        top = head + row_height * number
        y = top + 30.0
        index = document.labels.index(row.label)
        short = shortened(one_line(row.label), 90 if form == "wide" else 44)
        dots = [
            # Spread by place, not by chance, so that equal scores stay countable.
            svg.mark(x(score), y + (place % 3 - 1) * 5, index, size=0.75, faint=True)
            for place, score in enumerate(row.scores)
        ]
        drawn = list(dots)
        if row.mean.low is not None and row.mean.high is not None:
            drawn.insert(0, svg.bar(x(row.mean.low), x(row.mean.high), y, index))
        if row.mean.value is not None:
            drawn.append(svg.stem(x(row.mean.value), y, index))
        tip = f"{row.label}: mean {shown(row.mean, 'score')} of {row.runs} runs"
        pieces.append(svg.text(14, top + 15, short, kind="ink"))
        pieces.append(svg.group(index, tip, svg.join(drawn)))
    described = f"Every run's final score on {task}; the numbers stand in the table below."
    return svg.drawing(form, width, bottom + foot, svg.join(pieces), described=described)


def _matrix_drawing(document: Document, form: Form) -> Markup:
    labels = document.labels
    cell, head = 62, 26
    room = 30 if form == "wide" else 15
    names = 7.0 * min(max(len(one_line(label)) for label in labels), room) + 34
    improvements = {(pair.label, pair.other): pair.improvement for pair in document.pairs}
    pieces: list[Markup] = []
    for number, label in enumerate(labels):
        short = shortened(one_line(label), room)
        y = head + cell * (number + 0.5) + 4
        pieces.append(svg.text(0, y, f"{number + 1}  {short}", kind="ink"))
        pieces.append(svg.text(names + cell * (number + 0.5), 16, str(number + 1), anchor="middle"))
    for row, label in enumerate(labels):
        for column, other in enumerate(labels):
            at = improvements.get((label, other))
            corner = (names + cell * column, head + cell * row)
            pieces.append(_matrix_cell(label, other, at, corner, cell))
    width, height = int(names + cell * len(labels)), head + cell * len(labels)
    described = "Probabilities of improvement; the numbers stand in the table below."
    return svg.drawing(form, width, height, svg.join(pieces), described=described)


def _matrix_cell(
    label: str, other: str, at: Interval | None, corner: tuple[float, float], size: int
) -> Markup:
    x, y = corner
    if at is None or at.value is None:
        fill = svg.MUTED if label == other else "none"
        return Markup(
            '<rect x="{}" y="{}" width="{}" height="{}" rx="4" fill="{}" fill-opacity="0.08"/>'
        ).format(x + 1, y + 1, size - 2, size - 2, fill)
    told = at.low is not None and at.high is not None and not at.low <= 0.5 <= at.high
    strength = round(min(abs(at.value - 0.5) * 1.3, 0.65), 3)
    rect = Markup(
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="4" fill="{}" fill-opacity="{}"/>'
    ).format(
        "above" if at.value > 0.5 else "below",
        x + 1,
        y + 1,
        size - 2,
        size - 2,
        svg.PALETTE[0] if at.value > 0.5 else svg.PALETTE[1],
        strength,
    )
    middle = x + size / 2
    value = svg.text(
        middle, y + 28, f"{at.value:.2f}", anchor="middle", size=14, kind="ink" if told else "muted"
    )
    ends = Markup("")
    if at.low is not None and at.high is not None:
        ends = svg.text(
            middle,
            y + 44,
            f"{at.low:.2f}–{at.high:.2f}",
            anchor="middle",
            size=10.5,
            kind="ink" if told else "muted",
        )
    tip = f"{label} over {other}: {shown(at)}"
    return Markup('<g data-tip="{}"><title>{}</title>{}{}{}</g>').format(
        tip, tip, rect, value, ends
    )


def _legend(
    labels: Sequence[str], drawn: Sequence[str], top: int, width: int
) -> tuple[Markup, int]:
    """Draw the legend that only a downloaded file shows; the page has its own."""
    pieces = []
    for number, label in enumerate(drawn):
        y = top + 12 + 20 * number
        index = labels.index(label)
        pieces.append(
            svg.group(
                index,
                "",
                svg.join(
                    [
                        svg.polyline([(16, y), (44, y)], index),
                        svg.mark(30, y, index),
                        svg.text(
                            52, y + 4, shortened(one_line(label), (width - 60) // 7), kind="ink"
                        ),
                    ]
                ),
            )
        )
    return svg.join(pieces), 20 * len(drawn) + 12
