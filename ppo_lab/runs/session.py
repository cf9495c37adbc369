"""What a run that somebody watches has beside its configuration; none of it decides the result."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import (
    HumanOutputFormat,
    KVWriter,
    Logger,
    TensorBoardOutputFormat,
)
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize

from ppo_lab.errors import ArgumentError
from ppo_lab.interruption import raise_if_stopped
from ppo_lab.ppo.callbacks import BEST_STATISTICS
from ppo_lab.registry import algorithm_class
from ppo_lab.runs.config import RunConfig
from ppo_lab.runs.device import training_device
from ppo_lab.runs.off_policy import take_buffer
from reports.whole_files import whole_file

__all__ = [
    "CheckpointAfterUpdate",
    "PauseAt",
    "PausedError",
    "Session",
    "UserStop",
    "statistics_of",
]


@dataclass(frozen=True)
class Session:
    """Callbacks, logs, and where training goes on from.

    Attributes:
        callbacks: beside the run's own.
        tensorboard_log: TensorBoard's folder of this run, and of no other; None: no such log.
        writers: what else is told of every number that is logged.
        verbose: 1 prints SB3's table of every rollout.
        start: a model's file to go on from (it is unpickled); None: from scratch.
        origin: what ``run.json`` says of where the run goes on from; empty: ``start``.
        keep_replay_buffer: put it beside every checkpoint and the final model.
        horizon: steps of the whole training of which the run is a part, which schedules refer to;
            None: the run is the whole.
    """

    callbacks: Sequence[BaseCallback] = ()
    tensorboard_log: str | None = None
    writers: Sequence[KVWriter] = ()
    verbose: int = 0
    start: Path | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)
    keep_replay_buffer: bool = False
    horizon: int | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """For the algorithm's constructor."""
        return {"tensorboard_log": self.tensorboard_log, "verbose": self.verbose}

    def set_logger(self, model: BaseAlgorithm) -> None:
        """Let a model log into exactly ``tensorboard_log`` and to the writers, and nowhere else.

        By itself SB3 counts ``<name>_1``, ``<name>_2``, … in a folder, and a run that goes on
        continues the highest number there, whosever it is; without a folder it makes one in the
        system's temporary folder, which stays there empty.
        """
        formats: list[KVWriter] = [HumanOutputFormat(sys.stdout)] if self.verbose else []
        if self.tensorboard_log is not None:
            formats.append(TensorBoardOutputFormat(self.tensorboard_log))
        model.set_logger(Logger(self.tensorboard_log, [*formats, *self.writers]))

    def loaded(self, config: RunConfig, env: VecEnv) -> BaseAlgorithm:
        """The model of ``start``: weights, optimisers, step count, a kept replay buffer go on.

        The environments start anew, and the random numbers are not the ones that training began
        with: their seed is the run's plus the steps already taken; a part's seed is its own.

        Raises:
            ArgumentError: its statistics are missing.
        """
        assert self.start is not None
        normalized = unwrap_vec_normalize(env)  # frames may be stacked around it
        if normalized is not None:
            stored = statistics_of(self.start)
            if stored is None:
                raise ArgumentError(f"{self.start}: its VecNormalize statistics are missing")
            _take_statistics(normalized, stored)
        model = algorithm_class(config.algo).load(
            self.start,
            env=env,
            device=training_device(config.asked_device, config.policy),
            **self.arguments,
        )
        take_buffer(model, config, self.start)
        taken = model.num_timesteps if self.horizon is None else 0
        model.set_random_seed(config.seed + taken)
        return model


def statistics_of(model_file: Path) -> Path | None:
    """Where the ``VecNormalize`` statistics lie that a model was saved with; None if nowhere.

    Never those of another moment: a policy is another one with other statistics.

    Args:
        model_file: ``rl_model_<n>_steps.zip``, ``best_model.zip``, or a run folder's
            ``<environment>.zip``.
    """
    name = model_file.name
    if name.startswith("rl_model_"):  # SB3's CheckpointCallback's name
        name = name.replace("rl_model_", "rl_model_vecnormalize_").replace(".zip", ".pkl")
        statistics = model_file.with_name(name)
    elif name == "best_model.zip":
        statistics = model_file.with_name(BEST_STATISTICS)
    else:
        statistics = model_file.parent / model_file.stem / "vecnormalize.pkl"
    return statistics if statistics.is_file() else None


def _take_statistics(env: VecNormalize, stored: Path) -> None:
    past = VecNormalize.load(str(stored), env.venv)
    # What the model has learned from, also where an earlier version stored whole numbers.
    env.observation_space = past.observation_space
    for name in ("obs_rms", "ret_rms"):
        if hasattr(past, name):
            setattr(env, name, getattr(past, name))


class CheckpointAfterUpdate(BaseCallback):
    """SB3's ``CheckpointCallback``, between updates instead of in the middle of a rollout.

    What is saved is what training goes on from: nothing that was collected is lost. Each file
    appears whole.

    Args:
        every: timesteps between two checkpoints, at least 1.
        folder: where they go; made.
        keep: False leaves the newest one only.
        replay_buffer: whether it is saved too, beside the model.
    """

    def __init__(self, every: int, folder: Path, keep: bool, replay_buffer: bool = False) -> None:
        super().__init__()
        self.every = every
        self.folder = folder
        self.keep = keep
        self.replay_buffer = replay_buffer
        self._saved_at: int | None = None

    def _on_rollout_start(self) -> None:
        steps = self.model.num_timesteps
        if self._saved_at is None:
            self._saved_at = steps
        if steps - self._saved_at < self.every:
            return
        self._saved_at = steps
        before = list(self.folder.glob("rl_model_*"))
        self.folder.mkdir(parents=True, exist_ok=True)
        statistics = self.model.get_vec_normalize_env()
        if statistics is not None:
            with whole_file(self.folder / f"rl_model_vecnormalize_{steps}_steps.pkl") as pickled:
                statistics.save(str(pickled))
        if self.replay_buffer and isinstance(self.model, OffPolicyAlgorithm):
            with whole_file(self.folder / f"rl_model_replay_buffer_{steps}_steps.pkl") as buffer:
                self.model.save_replay_buffer(buffer)
        with whole_file(self.folder / f"rl_model_{steps}_steps.zip") as model:
            self.model.save(model)
        if not self.keep:
            for outdated in before:
                outdated.unlink(missing_ok=True)

    def _on_step(self) -> bool:
        return True


class UserStop(BaseCallback):
    """Ends training between two updates if Ctrl-C was lost on its way out of a rollout."""

    def _on_rollout_start(self) -> None:
        raise_if_stopped()

    def _on_step(self) -> bool:
        return True


class PausedError(Exception):
    """Training has come to the step where it is to stop; the last update is done."""


class PauseAt(BaseCallback):
    """Ends training between two updates, the first time that a step is reached.

    A budget of fewer steps would end it too, but every schedule would come to its end there.

    Args:
        step: of all environments together.

    Raises:
        PausedError: from ``learn``, at that step.
    """

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps >= self._step:
            raise PausedError

    def _on_step(self) -> bool:
        return True
