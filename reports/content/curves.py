"""Learning curves and performance profiles, with their bands."""

from collections.abc import Sequence

from reports.content.arrangement import Arrangement, RunGroup, shared_steps
from reports.content.document import ReportSettings
from reports.content.rows import Curve, Profile
from reports.statistics import bands, rliable_engine
from reports.statistics.samples import Floats


def curve_rows(arrangement: Arrangement, settings: ReportSettings) -> tuple[Curve, ...]:
    """Return each label's normalised curve over the tasks of all, then its curve on each task."""
    shared = [arrangement.shared_by(label) for label in arrangement.labels]
    single = [[group] for task in arrangement.tasks for group in arrangement.on_task(task)]
    curves = [
        *(_curve(groups, None, settings) for groups in shared if groups),
        *(_curve(groups, groups[0].task, settings) for groups in single),
    ]
    return tuple(curve for curve in curves if curve is not None)


def _curve(groups: Sequence[RunGroup], task: str | None, settings: ReportSettings) -> Curve | None:
    """The curve of one label's groups; None where its runs share no steps."""
    steps, label = shared_steps(groups), groups[0].label
    if not len(steps):
        return None
    band = bands.iqm_curve(
        [group.curves(steps) if task is None else group.raw_curves(steps) for group in groups],
        steps,
        seed=settings.seed,
        key=f"learning curve of {label}" + ("" if task is None else f" on {task}"),
        draws=settings.curve_draws,
    )
    return Curve(
        label=label,
        task=task,
        runs=min(len(group.runs) for group in groups),
        steps=tuple(int(step) for step in band.x),
        value=_floats(band.value),
        low=_floats(band.low),
        high=_floats(band.high),
    )


def profile_rows(arrangement: Arrangement, settings: ReportSettings) -> tuple[Profile, ...]:
    """Return every label's share of runs above each score; none without a task of all labels."""
    if not arrangement.shared_tasks:
        return ()
    best = settings.best_checkpoints
    samples = {label: arrangement.shared(label, best=best) for label in arrangement.labels}
    taus = bands.profile_thresholds(samples.values())
    by_rliable = settings.engine == "rliable"
    profiles = []
    for label, scores in samples.items():
        estimated = rliable_engine.profile if by_rliable else bands.run_score_profile
        band = estimated(
            scores, taus, seed=settings.seed, key=f"profile of {label}", draws=settings.curve_draws
        )
        ends = (_floats(band.low), _floats(band.high))
        profiles.append(Profile(label, _floats(band.x), _floats(band.value), *ends))
    return tuple(profiles)


def _floats(values: Floats | None) -> tuple[float, ...]:
    return () if values is None else tuple(map(float, values))
