"""``train --track``: every number that SB3 logs, to Weights & Biases."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import Any

from stable_baselines3.common.logger import KVWriter

from ppo_lab.commands.optional_packages import require
from ppo_lab.commands.options import TrainOptions
from ppo_lab.errors import CommandError
from ppo_lab.interruption import by_user, one_line
from ppo_lab.runs.config import RunConfig

__all__ = ["tracked"]

STEP = "global_step"
"""As the zoo's runs have it, whose TensorBoard logs W&B copies."""


class WandbWriter(KVWriter):
    """Hands each number on to a run of W&B.

    Args:
        run: W&B's.
    """

    def __init__(self, run: Any) -> None:
        self._run = run
        run.define_metric("*", step_metric=STEP)

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0
    ) -> None:
        """Log the numbers of one dump."""
        numbers = {
            key: float(value)
            for key, value in key_values.items()
            if isinstance(value, Real) and "wandb" not in (key_excluded.get(key) or ())
        }
        self._run.log({**numbers, STEP: step})

    def close(self) -> None:
        """Nothing: :func:`tracked` ends the run."""


@contextmanager
def tracked(options: TrainOptions, config: RunConfig, name: str) -> Iterator[list[KVWriter]]:
    """Log a training to W&B while the block lasts, where that was asked for.

    Args:
        options: the command's.
        config: the run, which becomes W&B's configuration.
        name: of the run at W&B.

    Yields:
        What the model's logger writes to beside the rest; empty without ``--track``.

    Raises:
        CommandError: wandb is missing, or cannot begin.
    """
    if not options.track:
        yield []
        return
    require("wandb", "--track")
    run = _begun(options, config, name)
    try:
        yield [WandbWriter(run)]
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish()


def _begun(options: TrainOptions, config: RunConfig, name: str) -> Any:
    import wandb

    settings: Mapping[str, Any] = {
        "project": options.wandb_project_name,
        "entity": options.wandb_entity,
        "group": options.wandb_group,
        "tags": list(options.wandb_tags) or None,
        "name": name,
        "config": config.as_dict(),
    }
    try:
        return wandb.init(**settings)
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        raise CommandError(
            f"--track: Weights & Biases cannot begin ({one_line(error)}); 'wandb login' once, or "
            "WANDB_MODE=offline in front of the command"
        ) from error
