"""Our own run folders: ``run.json`` of format 1 beside ``evaluations.npz``."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from reports.logs.evaluations import FILE, Evaluations, read_evaluations, stated_evaluations
from reports.logs.identity import decisive
from reports.logs.reading import read_json
from reports.logs.records import (
    EVALUATION,
    EXACT,
    MAX_RETURN,
    MAX_STEPS,
    UNKNOWN,
    Run,
    UnusableError,
    brief,
    named,
    spans,
)
from reports.text import clean

RECORD = "run.json"
FORMAT = 1
MAX_SETTINGS = 100_000
"""Characters of a run's hyperparameters, or of how it was evaluated, as JSON."""
MAX_PAIRS = 1_000
"""Packages whose versions a run may list."""
TUNING_STAGES = ("screen", "replicate")
"""Stages whose seeds chose hyperparameters, so they never judge them."""

_TUNING = {
    "tuned": "tuned by the study that the run belongs to",
    "pbt": "a schedule that a population of the study has found",
    "default": "none: default settings",
}
MASKED = "-masked"
"""What the settings' name of a run ends with that acts under masks and would not by itself."""
_CIRCUMSTANCES = (
    ("git_commit", "commit"),
    ("device", "device"),
    ("machine", "machine"),
    ("seconds", "seconds"),
    ("n_envs", "environments"),
    ("policy", "policy"),
)


def read_record(folder: Path) -> Mapping[str, object]:
    """Return what ``run.json`` holds.

    Raises:
        UnusableError: it is unreadable or of another format.
    """
    record = read_json(folder / RECORD)
    if record.get("format") != FORMAT:
        raise UnusableError(f"{RECORD} is not of format {FORMAT}")
    return record


def to_run(record: Mapping[str, object], folder: Path, name: str) -> Run:
    """Make a run of a finished run folder.

    Args:
        record: of :func:`read_record`.
        folder: on disk.
        name: in the report.

    Raises:
        UnusableError: failed, malformed, truncated, NaN, or at odds with itself.
    """
    status = _text(record, "status")
    if status != "completed":
        reason = record.get("reason")
        raise UnusableError(f"{status}: {clean(str(reason))}" if reason else status)
    low, high, source = _reference(record)
    evaluations = _evaluations(record, folder)
    score = float(evaluations.returns[-1])
    _check_score(record, score)
    budget = _integer(record, "timesteps")
    settings = named(_text(record, "settings"), "")
    tuned = settings.removesuffix(MASKED)
    evaluation, evaluation_seed = _evaluation(record)
    measure = EXACT if record.get("score_source") == "exact" else EVALUATION
    return Run(
        folder=name,
        algo=named(_text(record, "algo"), "unnamed"),
        settings=settings,
        task=task_name(_text(record, "env"), record.get("env_kwargs")),
        seed=_integer(record, "seed"),
        steps=_integer(record, "steps"),
        score=score,
        low=low,
        high=high,
        source=brief(source),
        evaluation_episodes=0 if measure == EXACT else evaluations.episodes,
        evaluation_steps=evaluations.steps,
        evaluation_returns=evaluations.returns,
        must_agree=must_agree(budget, evaluation, measure, low, high),
        hyperparameters=canonical(record.get("hyperparameters")),
        measure=measure,
        budget=budget,
        success_rate=evaluations.success_rate,
        tuning=_TUNING.get(tuned, f"{tuned or UNKNOWN}: what tuning, is not stated"),
        versions=_pairs(record.get("versions")),
        circumstances=tuple(
            (what, brief(record[key]))
            for key, what in _CIRCUMSTANCES
            if record.get(key) is not None
        ),
        evaluation_seed=None if measure == EXACT else evaluation_seed,
        decisive=_decisive(record, budget),
        resumed_from=clean(str(record.get("resumed_from") or "")),
        resumed_at=_resumed_at(record),
    )


def _evaluations(record: Mapping[str, object], folder: Path) -> Evaluations:
    """The archive's, or of a record that is kept without its folder, its own."""
    if "evaluations" in record and not (folder / FILE).exists():
        return stated_evaluations(record["evaluations"])
    return read_evaluations(folder / FILE)


def _check_score(record: Mapping[str, object], score: float) -> None:
    stated = record.get("score")
    if stated is not None and not math.isclose(
        _number(record, "score"), score, rel_tol=1e-6, abs_tol=1e-9
    ):
        raise UnusableError(
            f"{RECORD} states a score of {stated}, the last evaluation's mean is {score}"
        )


def _reference(record: Mapping[str, object]) -> tuple[float, float, str]:
    """The low and the high score, NaN where the run states none, and whose they are."""
    if record.get("reference") is None:
        return math.nan, math.nan, ""
    reference = _object(record, "reference")
    low = _number(reference, "low")
    high = math.nan if reference.get("high") is None else _number(reference, "high")
    if low >= high:
        raise UnusableError(f"{RECORD}: the reference's low must lie below its high")
    if not math.isnan(high) and not spans(low, high):
        raise UnusableError(f"{RECORD}: the reference's low and high are too close to normalise by")
    return low, high, _text(reference, "source")


def _evaluation(record: Mapping[str, object]) -> tuple[str, int | None]:
    """What runs of a fair comparison have in common of their evaluation, and the seed apart."""
    evaluation = record.get("evaluation")
    if not isinstance(evaluation, dict):
        return canonical(evaluation), None
    seed = evaluation.get("seed")
    common = {key: value for key, value in evaluation.items() if key != "seed"}
    is_seed = isinstance(seed, int) and not isinstance(seed, bool)
    return canonical(common), seed if is_seed else None


def _decisive(record: Mapping[str, object], budget: int) -> tuple[tuple[str, str], ...]:
    hyperparameters, evaluation = record.get("hyperparameters"), record.get("evaluation")
    if not isinstance(hyperparameters, dict):
        return ()
    sampled = isinstance(evaluation, dict) and evaluation.get("deterministic") is False
    others = {name: record.get(name) for name in ("policy", "n_envs", "normalize")}
    return decisive(hyperparameters, budget, {**others, "sampled actions": sampled})


def _resumed_at(record: Mapping[str, object]) -> int | None:
    steps = record.get("resumed_at")
    return steps if isinstance(steps, int) and not isinstance(steps, bool) else None


def must_agree(
    budget: int | None, evaluation: str, measure: str, low: float = math.nan, high: float = math.nan
) -> tuple[tuple[str, str], ...]:
    """What must agree between the runs of one task, for :attr:`Run.must_agree`."""
    return (
        ("step budget", UNKNOWN if budget is None else str(budget)),
        ("evaluation protocol", evaluation),
        ("kind of score", measure),
        ("reference scores", UNKNOWN if math.isnan(low) else f"{low} to {high}"),
    )


def task_name(env: str, env_kwargs: object) -> str:
    """The environment's id, followed by its keyword arguments where there are any."""
    name = named(env, "unknown environment")
    return named(f"{name} {canonical(env_kwargs)}", name) if env_kwargs else name


def canonical(value: object) -> str:
    """JSON with sorted keys, so that equal settings are equal texts.

    Raises:
        UnusableError: nested too deeply, or longer than ``MAX_SETTINGS``.
    """
    try:
        text = clean(json.dumps(value, sort_keys=True, ensure_ascii=False))
    except RecursionError as error:
        raise UnusableError(f"{RECORD} is nested too deeply") from error
    if len(text) > MAX_SETTINGS:
        raise UnusableError(f"its settings are longer than {MAX_SETTINGS:,} characters")
    return text


def _pairs(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or len(value) > MAX_PAIRS:
        return ()
    return tuple(sorted((brief(key), brief(entry)) for key, entry in value.items()))


def _text(record: Mapping[str, object], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise UnusableError(f"{RECORD}: {key} must be a text")
    return clean(value)


def _integer(record: Mapping[str, object], key: str) -> int:
    value = record.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_STEPS:
        raise UnusableError(f"{RECORD}: {key} must be a whole number from 0 to {MAX_STEPS}")
    return value


def _number(record: Mapping[str, object], key: str) -> float:
    value = record.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UnusableError(f"{RECORD}: {key} must be a number")
    # JSON's whole numbers have no bound; compare before converting to a float, which has one.
    if abs(value) <= MAX_RETURN:
        return float(value)
    raise UnusableError(f"{RECORD}: {key} must be a finite number of at most {MAX_RETURN:g}")


def _object(record: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = record.get(key)
    if not isinstance(value, dict):
        raise UnusableError(f"{RECORD}: {key} must be an object")
    return value
