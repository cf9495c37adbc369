"""A part of a training: from a model that is there, with other settings, up to a step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ppo_lab.runs.config import RunConfig, Trained
from ppo_lab.runs.execution import RunResult, execute_run
from ppo_lab.runs.worker_pool import time_limit

__all__ = ["Part", "execute_part"]


@dataclass(frozen=True)
class Part:
    """What a part of a training has beside its :class:`~ppo_lab.runs.config.RunConfig`.

    Attributes:
        horizon: steps of the whole training, which schedules refer to.
        start: the model that it goes on from; None: from scratch.
        settings: what differs from the settings that the model was made with.
    """

    horizon: int
    start: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def execute_part(
    run_timeout: float | None, config: RunConfig, folder: Path, part: Part
) -> RunResult:
    """Train a part in a worker process and leave its run folder; a finished one is not run again.

    Args:
        run_timeout: seconds; None: no limit.
        config: the part as a run of its own: its ``timesteps`` is the step where it ends, and its
            ``origin`` says in words where it goes on from, which makes it another run.
        folder: its run folder.
        part: where it goes on from.

    Raises:
        ArgumentError: the folder holds a finished run of another configuration.
        OSError: the folder cannot be written.
    """
    with time_limit(run_timeout):
        return execute_run(config, folder, trainer=partial(_train, part))


def _train(part: Part, config: RunConfig, folder: Path) -> Trained:
    from ppo_lab.runs.sb3_training import train
    from ppo_lab.runs.scheduled_settings import ScheduledSettings
    from ppo_lab.runs.session import Session

    changes = [ScheduledSettings([0], [part.settings])] if part.settings else []
    session = Session(changes, start=part.start, horizon=part.horizon)
    return train(config, folder, session=session)
