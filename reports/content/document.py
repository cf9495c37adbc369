"""The document: every number of a report, as frozen records that are written as JSON.

Page, tables and figures are functions of a ``Document`` and of nothing else, so what is not in
``report.json`` is on no page either. A number that does not exist is None, ``null`` in JSON; there
is no NaN.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Literal

from reports.content.rows import (
    Aggregate,
    Curve,
    FailureRow,
    LookRow,
    MadeByRow,
    Pair,
    Profile,
    ProtocolRow,
    RunRow,
    RuntimeRow,
    SetAsideRow,
    TaskRow,
    TaskScore,
    TaskTest,
)
from reports.statistics.intervals import LEVEL

FORMAT = 2
INTERVALS = "stratified-bootstrap intervals, stretched for few runs"
Engine = Literal["ppo_lab", "rliable"]
"""What estimates the numbers over tasks: this package's statistics, or rliable's."""


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """What the numbers depend on besides the runs.

    Attributes:
        baseline: the label that others are compared with.
        seed: seed of every resampling.
        table_draws: bootstrap draws behind each number of the main and the per-task tables.
        curve_draws: bootstrap draws behind each point of a curve and each pair of labels.
        level: nominal coverage of the intervals, in (0, 1).
        interval_method: how the intervals are made, in words.
        equivalence_margin: half-width of "practically equal", as a share of a task's scale from 0
            to 1.
        threshold: normalised score that the steps to the threshold are counted up to.
        failed_below: a run failed below this share of its label's upper quartile, normalised.
        best_checkpoints: whether the best checkpoints are judged in place of the final policies.
        engine: what estimates mean, IQM, optimality gap, probabilities of improvement over the
            baseline, and profiles.
    """

    baseline: str
    seed: int
    table_draws: int
    curve_draws: int
    level: float = field(default=LEVEL, init=False)
    interval_method: str = INTERVALS
    equivalence_margin: float
    threshold: float
    failed_below: float
    best_checkpoints: bool
    engine: Engine = "ppo_lab"


@dataclass(frozen=True)
class Document:
    """Everything a report says.

    Attributes:
        format: version of this record's layout.
        title: the caller's title; empty for none.
        headline: the main result in a few words.
        detail: the numbers behind it, as sentences.
        settings: what the numbers depend on besides the runs.
        labels: in the order of every table and of the colours.
        tasks: in alphabetical order.
        aggregates: a row per label.
        looks: a row per pair that was decided while the runs were made; none of other runs.
        cautions: what a reader should not conclude.
        footer: what the numbers rest on.
        notes: the caller's own sentences.
        runtimes: a row per label and task; none where they were not asked for.
        made_by: what made the runs, as far as their folders say; flags that change no number are
            left out.
        repeat: what repeats the report: (what, value) pairs, the command first.
    """

    format: int
    title: str
    headline: str
    detail: str
    settings: ReportSettings
    labels: tuple[str, ...]
    tasks: tuple[TaskRow, ...]
    aggregates: tuple[Aggregate, ...]
    task_scores: tuple[TaskScore, ...]
    failures: tuple[FailureRow, ...]
    tests: tuple[TaskTest, ...]
    pairs: tuple[Pair, ...]
    looks: tuple[LookRow, ...]
    curves: tuple[Curve, ...]
    profiles: tuple[Profile, ...]
    protocol: tuple[ProtocolRow, ...]
    cautions: tuple[str, ...]
    footer: tuple[str, ...]
    notes: tuple[str, ...]
    runs: tuple[RunRow, ...]
    set_aside: tuple[SetAsideRow, ...]
    runtimes: tuple[RuntimeRow, ...] = ()
    made_by: tuple[MadeByRow, ...] = ()
    repeat: tuple[tuple[str, str], ...] = ()

    @property
    def all_paired(self) -> bool:
        """Whether ``pairs`` holds every two labels: then they make a matrix."""
        return 0 < len(self.pairs) == len(self.labels) * (len(self.labels) - 1)


def to_json(document: Document) -> str:
    """Return the document as JSON: an entry of a list per line, floats exact, no NaN.

    Raises:
        ValueError: a number is NaN or infinite, which None should have stood for.
    """
    lines = []
    for entry in fields(document):
        value = getattr(document, entry.name)
        if isinstance(value, tuple) and value:
            body = "[\n  " + ",\n  ".join(_line(item) for item in value) + "\n ]"
        else:
            body = _line(value)
        lines.append(f" {json.dumps(entry.name)}: {body}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _line(value: object) -> str:
    return json.dumps(value, default=asdict, ensure_ascii=False, allow_nan=False)
