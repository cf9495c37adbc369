"""SB3 callbacks that PPO Lab adds."""

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from ppo_lab.errors import NonFiniteError, ObservationError, broken_distribution
from ppo_lab.ppo.episode_bound import check_length, longest_episode
from ppo_lab.ppo.space_checks import check_indices

__all__ = [
    "BEST_STATISTICS",
    "AfterUpdateEvalCallback",
    "FiniteGuard",
    "UnplayedEvalCallback",
    "check_finite",
    "check_rollout",
    "named_refusal",
    "rollout_started",
]

TORCH_REFUSAL = "to satisfy the constraint"
"""What torch.distributions says of a mean, scale or logits that are NaN, infinite or 0."""

BEST_STATISTICS = "best_vecnormalize.pkl"
"""``VecNormalize``'s statistics as they were when ``best_model.zip`` was saved, beside it."""


class FiniteGuard(BaseCallback):
    """Stops training at the first NaN or infinite reward or observation, or index out of range.

    Works with every SB3 algorithm. Nothing of the bad step reaches the networks.

    Raises:
        NonFiniteError: names what was not finite, its value, the step and the environment.
        ObservationError: a Discrete or MultiDiscrete observation is outside its space, or an
            environment's ``reset`` returned an observation alone.
    """

    every_step = False
    """Not asked for by the kernels' collectors, which check whole rollouts."""

    def _on_training_start(self) -> None:
        check_resets(self.training_env)

    def _on_rollout_start(self) -> None:
        step, space = self.model.num_timesteps, self.model.observation_space
        check_finite("observation", self.model._last_obs, step)
        check_indices(self.model._last_obs, space, step)

    def _on_step(self) -> bool:
        step, space = self.model.num_timesteps, self.model.observation_space
        check_finite("reward", self.locals["rewards"], step)
        check_finite("observation", self.locals["new_obs"], step)
        check_indices(self.locals["new_obs"], space, step)
        for index in np.flatnonzero(self.locals["dones"]).tolist():
            # A truncated episode's last observation is valued too, and is not in new_obs.
            last = self.locals["infos"][index].get("terminal_observation")
            if last is not None:
                check_finite("terminal observation", last, step, index)
                check_indices(last, space, step, index)
        return True


def check_resets(env: VecEnv) -> None:
    """Check that resets gave an observation and an info, as Gymnasium's do.

    Gym's gave the observation alone: one of two numbers comes apart into both without an error,
    and what is learned from is neither.

    Raises:
        ObservationError: names the environment.
    """
    for index, info in enumerate(getattr(env.unwrapped, "reset_infos", ())):
        if isinstance(info, Real | np.ndarray):
            raise ObservationError(
                f"the reset of environment {index} returned {info!r:.50} in the place of an info: "
                "expected (observation, info), as in Gymnasium; Gym's older form is an observation "
                "alone"
            )


def check_finite(what: str, value: object, step: int, environment: int | None = None) -> None:
    """Check one thing that the environments gave.

    Args:
        what: its name in the error.
        value: an array, one entry an environment, or a dictionary of such.
        step: environment steps taken until then.
        environment: whose it is; None: the array's first index says.

    Raises:
        NonFiniteError: a number in it is NaN or infinite.
    """
    if isinstance(value, Mapping):
        for key, part in value.items():
            check_finite(f"{what} {key!r}", part, step, environment)
        return
    array = np.asarray(value)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    bad = np.argwhere(~np.isfinite(array))[0]
    raise NonFiniteError(
        f"{what} is {array[tuple(bad)]} at step {step} in environment "
        f"{bad[0] if environment is None else environment}: training stopped, the parameters "
        "of the last update are kept"
    )


def check_rollout(buffer: RolloutBuffer, n_steps: int, taken: int) -> None:
    """Check the first steps of a rollout as :class:`FiniteGuard` would have, one after the other.

    Args:
        buffer: its rewards (T, K) and observations (T, K, …) are looked at.
        n_steps: how many of the T steps.
        taken: environment steps before the rollout.

    Raises:
        NonFiniteError: names the first reward or observation that is not finite.
    """
    rewards, seen = buffer.rewards[:n_steps], buffer.observations
    parts: dict[str | None, Any] = seen if isinstance(seen, dict) else {None: seen}
    kept = {key: part[:n_steps] for key, part in parts.items()}
    if np.isfinite(rewards).all() and all(np.isfinite(part).all() for part in kept.values()):
        return
    for t in range(n_steps):
        for key, part in kept.items():
            what = "observation" if key is None else f"observation {key!r}"
            check_finite(what, part[t], taken + t * buffer.n_envs)
        check_finite("reward", rewards[t], taken + (t + 1) * buffer.n_envs)


@contextmanager
def named_refusal(model: BaseAlgorithm) -> Iterator[None]:
    """Within the block, torch's refusal of a distribution becomes the error that says what it is.

    Raises:
        NonFiniteError: a mean, a scale or logits are NaN, infinite or 0.
    """
    try:
        yield
    except ValueError as error:
        if TORCH_REFUSAL not in str(error):
            raise
        raise broken_distribution(model.num_timesteps, str(error).splitlines()[0]) from error


@contextmanager
def rollout_started(callback: BaseCallback) -> Iterator[None]:
    """Within the block, ``on_rollout_start`` does nothing: it was called for this rollout."""
    vars(callback)["on_rollout_start"] = lambda: None
    try:
        yield
    finally:
        del callback.on_rollout_start


class AfterUpdateEvalCallback(EvalCallback):
    """SB3's ``EvalCallback``, asked between updates instead of in the middle of a rollout.

    ``EvalCallback`` scores the policy before the update that its own timestep belongs to, and
    never the policy that training ends with. This one evaluates at the start of a rollout, once
    at least ``eval_freq`` timesteps have passed since it last did, and after the last update:
    the last row of ``evaluations.npz`` is the final policy's. Files and names are SB3's; where
    the environments are normalised, ``best_vecnormalize.pkl`` beside ``best_model.zip`` holds
    the statistics with which that model reached its score.

    Args:
        eval_env: as for ``EvalCallback``.
        eval_seed: seeds the evaluation environments before every evaluation, so that all are
            played from the same random numbers; None: they go on where the last one stopped.
        at_start: also score the untrained policy.
        **kwargs: as for ``EvalCallback``, but ``eval_freq`` counts timesteps of all environments.

    Raises:
        EndlessEpisodeError: an episode does not end; see :mod:`ppo_lab.ppo.episode_bound`.
    """

    every_step = False
    score_source = "episodes"
    """What ``run.json`` says of the scores: means over played episodes, or ``exact``."""

    def __init__(
        self,
        eval_env: VecEnv,
        *,
        eval_seed: int | None = None,
        at_start: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(eval_env, **kwargs)
        self.eval_seed = eval_seed
        self._longest_episode = longest_episode(self.eval_env)
        self._evaluated_at: int | None = None if at_start else 0
        self._continue_training = True

    def _init_callback(self) -> None:
        with warnings.catch_warnings():
            # The ways to step the same environments may differ; what is around them may not.
            if _layers(self.training_env) == _layers(self.eval_env):
                warnings.filterwarnings("ignore", "Training and eval env are not of the same type")
            super()._init_callback()

    def _on_rollout_start(self) -> None:
        steps = self.model.num_timesteps
        if self._evaluated_at is None or steps - self._evaluated_at >= self.eval_freq:
            self._evaluate()

    def _on_training_end(self) -> None:
        if self._evaluated_at != self.model.num_timesteps:
            self._evaluate()

    def _on_step(self) -> bool:
        return self._continue_training

    def _evaluate(self) -> None:
        if self.eval_seed is not None:
            self.eval_env.seed(self.eval_seed)
        # SB3 sets the callback's own count at each step only, and these places lie between steps.
        self.num_timesteps = self._evaluated_at = self.model.num_timesteps
        self.n_calls = self.eval_freq  # the parent's own condition, met
        best = self.best_mean_reward
        try:
            self._continue_training = super()._on_step()
        finally:  # whoever hears of the evaluation may end the training
            if self.best_mean_reward > best:
                self._keep_statistics()

    def _keep_statistics(self) -> None:
        env = self.model.get_vec_normalize_env()
        if env is not None and self.best_model_save_path is not None:
            env.save(str(Path(self.best_model_save_path) / BEST_STATISTICS))

    def _log_success_callback(self, locals_: dict[str, Any], globals_: dict[str, Any]) -> None:
        """What ``evaluate_policy`` calls after each step of each environment."""
        check_length(locals_, self._longest_episode)
        super()._log_success_callback(locals_, globals_)


class UnplayedEvalCallback(AfterUpdateEvalCallback):
    """When, and into which files and logs: as ``AfterUpdateEvalCallback``; SB3 plays nothing."""

    @abstractmethod
    def _returns_and_lengths(
        self,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | npt.NDArray[np.int64]]:
        """The returns (E,) and lengths (E,) of an evaluation's episodes."""

    def _evaluate(self) -> None:
        self.num_timesteps = self._evaluated_at = self.model.num_timesteps
        returns, lengths = self._returns_and_lengths()
        self._write(returns.tolist(), lengths.tolist())
        self.last_mean_reward = float(returns.mean())
        self.logger.record("eval/mean_reward", self.last_mean_reward)
        self.logger.record("eval/mean_ep_length", float(lengths.mean()))
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(self.num_timesteps)
        self._continue_training = self._tell_the_others()

    def _write(self, returns: list[float], lengths: list[Any]) -> None:
        if self.log_path is None:
            return
        self.evaluations_timesteps.append(self.num_timesteps)
        self.evaluations_results.append(returns)
        self.evaluations_length.append(lengths)
        np.savez(
            self.log_path,
            timesteps=self.evaluations_timesteps,
            results=self.evaluations_results,
            ep_lengths=self.evaluations_length,
        )

    def _tell_the_others(self) -> bool:
        """Save a new best model, and call the callbacks that wait for one or for evaluations."""
        goes_on = True
        if self.last_mean_reward > self.best_mean_reward:
            self.best_mean_reward = self.last_mean_reward
            if self.best_model_save_path is not None:
                self.model.save(Path(self.best_model_save_path) / "best_model")
            self._keep_statistics()
            if self.callback_on_new_best is not None:
                goes_on = self.callback_on_new_best.on_step()
        if self.callback is not None:
            goes_on = goes_on and self._on_event()
        return goes_on


def _layers(env: VecEnv) -> list[type[VecEnv]]:
    """The wrappers around a vector environment, the outermost first."""
    layers: list[type[VecEnv]] = []
    while isinstance(env, VecEnvWrapper):
        if not getattr(type(env), "changes_nothing", False):  # VecRND, which training alone has
            layers.append(type(env))
        env = env.venv
    return layers
