"""Runs that a tracker logged: named series of numbers over steps, and the settings of the run.

TensorBoard's event files, W&B's and openrlbenchmark's histories are read into the same record;
which series is a run's returns is decided here, once.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from reports.logs.evaluations import Evaluations
from reports.logs.identity import decisive
from reports.logs.monitors import POINTS, WINDOW, trailing_means
from reports.logs.names import Names, whole
from reports.logs.records import (
    EVALUATION,
    MAX_RETURN,
    MAX_STEPS,
    TRAINING,
    UNKNOWN,
    Floats,
    LogKind,
    Run,
    Steps,
    UnusableError,
    brief,
    named,
)
from reports.logs.run_folders import canonical, must_agree, task_name
from reports.text import clean

SERIES: Mapping[str, tuple[str, bool]] = {
    "eval/mean_reward": (EVALUATION, False),  # SB3's EvalCallback
    "rollout/ep_rew_mean": (TRAINING, False),  # SB3: of the last 100 episodes already
    "charts/episodic_return": (TRAINING, True),  # CleanRL: an episode each
    "charts/avg_episodic_return": (TRAINING, False),
    "charts/episode_reward": (TRAINING, True),  # CleanRL before 2022
}
"""Names of series of returns, the preferred first: what they measure, and whether each value is
one episode's."""

MAX_VALUES = 10_000_000
"""Of all series of returns of one run."""
_LISTED = 8
_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "algo": ("exp_name", "algo", "algorithm", "agent"),
    "env": ("env_id", "env", "env_name", "gym_id", "environment"),
    "seed": ("seed",),
    "budget": ("total_timesteps", "n_timesteps", "timesteps"),
}
_INDECISIVE = frozenset(
    [
        *("track", "capture_video", "save_model", "upload_model", "hf_entity", "log_dir"),
        *("wandb_project_name", "wandb_entity", "wandb_group", "tensorboard_log", "_wandb"),
        *("cuda", "device", "torch_deterministic", "verbose"),
    ]
)
"""Settings of CleanRL's and SB3's scripts that say where and whether to log, and the machine."""
EPISODIC = (
    "Its score is the mean return of its last {count} training episodes, played by the exploring "
    "policy while it was still learning."
)
_AVERAGED = (
    "Its score is the last value of {tag}: a mean over its last training episodes, played by the "
    "exploring policy while it was still learning."
)
_EVALUATED = "Its last evaluation was made during training: updates after it are not scored."
COUNTED = (
    "No global_step stands beside its returns: its steps are the tracker's count of log calls, not "
    "of environment steps."
)


@dataclass
class Series:
    """One series of returns, as it was logged: whole numbers of steps, values."""

    steps: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))


@dataclass
class Tracked:
    """What a tracker logged of one run.

    Attributes:
        settings: the run's settings, by name, as plain JSON values.
        series: by name, of ``SERIES`` alone.
        others: names of other series, the first few.
        name: that the run was given; empty where it has none.
        counted: whether its steps are log calls, since no environment steps were logged.
    """

    settings: dict[str, object] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)
    others: dict[str, None] = field(default_factory=dict)
    name: str = ""
    counted: bool = False

    def add(self, tag: str, step: int, value: float) -> None:
        """Add a value of a series, or only its name where it is none of returns.

        Raises:
            UnusableError: no step or no return, or too many.
        """
        if tag not in SERIES:
            if len(self.others) < _LISTED:
                self.others[clean(tag)[:60]] = None
            return
        if not 0 <= step <= MAX_STEPS:
            raise UnusableError(f"{tag} holds a step below 0 or beyond {MAX_STEPS}")
        if not abs(value) <= MAX_RETURN:
            raise UnusableError(f"{tag} holds a return that is NaN, or beyond {MAX_RETURN:g}")
        series = self.series.setdefault(tag, Series())
        if len(series.steps) >= MAX_VALUES:
            raise UnusableError(f"{tag} holds more than {MAX_VALUES:,} values")
        series.steps.append(step)
        series.values.append(value)

    def setting(self, what: str) -> object:
        """The setting of this meaning, by the first of its usual names; None where it is unset."""
        values = (self.settings.get(name) for name in _SETTINGS[what])
        return next((value for value in values if value is not None and value != ""), None)


def tracked_run(tracked: Tracked, names: Names, folder: str, kind: LogKind) -> Run:
    """Make a run of what a tracker logged of it.

    Args:
        tracked: its settings and series.
        names: what names of folders tell, where no setting does.
        folder: the run's name in the report.
        kind: what wrote the logs.

    Raises:
        UnusableError: no series of returns, or steps that go back.
    """
    tag = next((tag for tag in SERIES if tag in tracked.series), None)
    if tag is None:
        found = f"; found: {', '.join(tracked.others)}" if tracked.others else ""
        raise UnusableError(f"no series of returns ({', '.join(SERIES)}){found}")
    measure, episodic = SERIES[tag]
    curve = _curve(tag, tracked.series[tag], episodic=episodic)
    algo, env = (tracked.setting(what) for what in ("algo", "env"))
    budget = whole(tracked.setting("budget"))
    seed = whole(tracked.setting("seed"))
    known = {name for names in _SETTINGS.values() for name in names} | _INDECISIVE
    chosen = {name: value for name, value in tracked.settings.items() if name not in known}
    template = _EVALUATED if measure == EVALUATION else EPISODIC if episodic else _AVERAGED
    remark = template.format(count=curve.episodes, tag=tag)
    return Run(
        folder=folder,
        algo=named(str(algo) if algo is not None else names.algo, "unnamed"),
        settings="",
        task=task_name(str(env) if env is not None else names.env, None),
        seed=names.seed if seed is None else seed,
        steps=int(curve.steps[-1]),
        score=float(curve.returns[-1]),
        evaluation_episodes=curve.episodes,
        evaluation_steps=curve.steps,
        evaluation_returns=curve.returns,
        must_agree=must_agree(budget, TRAINING if measure == TRAINING else UNKNOWN, measure),
        hyperparameters=canonical(chosen) if chosen else "",
        kind=kind,
        measure=measure,
        budget=budget,
        circumstances=(("run", brief(tracked.name)),) if tracked.name else (),
        remarks=(remark, COUNTED) if tracked.counted else (remark,),
        decisive=decisive(chosen, budget, {}) if chosen else (),
    )


def _curve(tag: str, series: Series, *, episodic: bool) -> Evaluations:
    steps, values = np.array(series.steps, np.int64), np.array(series.values, np.float64)
    if (np.diff(steps) < 0).any():
        raise UnusableError(f"{tag} holds steps that go back: several runs in one log")
    if episodic:
        return episodic_curve(steps, values)
    # Of several values at one step the last counts, as on TensorBoard's page.
    kept = np.append(np.diff(steps) > 0, [True])
    return Evaluations(steps[kept], values[kept], 0, None)


def episodic_curve(steps: Steps, returns: Floats) -> Evaluations:
    """Trailing means over a run's training episodes, as of monitor files.

    Args:
        steps: (E,) int64 at which each episode ended, never descending, E ≥ 1.
        returns: (E,) float64.
    """
    shown = np.unique(np.linspace(0, len(returns) - 1, POINTS).round().astype(int))
    return Evaluations(
        steps[shown], trailing_means(returns, shown), min(WINDOW, len(returns)), None
    )


def plain_settings(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Settings by name; W&B's ``{"desc": …, "value": …}`` as the value."""
    settings: dict[str, object] = {}
    for name, value in pairs:
        if isinstance(value, dict) and "value" in value and value.keys() <= {"desc", "value"}:
            value = value["value"]
        settings[clean(name)] = value
    return settings
