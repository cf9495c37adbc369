"""Training of one run with an SB3 algorithm: environments, evaluations, files."""

import copy
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from ppo_lab.algorithms import ALGORITHMS, algorithm_class
from ppo_lab.callbacks import BEST_STATISTICS, AfterUpdateEvalCallback, FiniteGuard
from ppo_lab.compiled_evaluation import CompiledEvalCallback, can_evaluate
from ppo_lab.compiled_vec_env import CompiledVecEnv, has_world
from ppo_lab.hyperparameters import constructor_arguments
from ppo_lab.run_config import RunConfig, Trained, environment_folder_name
from ppo_lab.session import Session
from ppo_lab.watching import StoppedError, Watcher

__all__ = ["check", "train"]

MAX_EVALUATION_ENVS = 50


def train(
    config: RunConfig,
    folder: Path,
    watcher: Watcher | None = None,
    session: Session | None = None,
) -> Trained:
    """Train into a run folder whose configuration is already written.

    Leaves ``*.monitor.csv``, ``evaluations.npz``, ``best_model.zip``, ``<environment>.zip`` and,
    where the environments are normalised, the zoo's ``<environment>/vecnormalize.pkl`` and
    ``best_vecnormalize.pkl``.

    Args:
        config: the run.
        folder: its folder.
        watcher: may stop the run at one of its evaluations.
        session: what somebody who watches it has beside its configuration; None: nothing.

    Raises:
        StoppedError: the watcher stopped it.
    """
    session = session or Session()
    th.set_num_threads(1)  # these networks are too small to share
    name = environment_folder_name(config.env)
    env = _normalized(config, _environments(config, config.n_envs, config.seed, str(folder)))
    count = min(MAX_EVALUATION_ENVS, config.evaluation.episodes)
    eval_env = _normalized(config, _environments(config, count), training=False)
    try:
        model = _build(config, env, session)
        session.set_logger(model)
        evaluator = _evaluator(config, model, eval_env, folder, watcher)
        model.learn(
            config.timesteps - model.num_timesteps,
            CallbackList([FiniteGuard(), evaluator, *session.callbacks]),
            reset_num_timesteps=session.start is None,
        )
        model.save(folder / f"{name}.zip")
        if isinstance(env, VecNormalize):
            env.save(str(folder / name / "vecnormalize.pkl"))
        if config.evaluation.points == 1:  # the final policy is the only one that was scored
            shutil.copyfile(folder / f"{name}.zip", folder / "best_model.zip")
            if isinstance(env, VecNormalize):
                shutil.copyfile(folder / name / "vecnormalize.pkl", folder / BEST_STATISTICS)
    finally:
        env.close()
        eval_env.close()
    return Trained(evaluator.last_mean_reward, model.num_timesteps)


def check(config: RunConfig) -> None:
    """Build the environments and the model, without training them.

    Raises:
        Exception: whatever the environment or the algorithm raises.
    """
    env = _normalized(config, _environments(config, config.n_envs, config.seed))
    try:
        _build(config, env, Session())
    finally:
        env.close()


def environment_maker(config: RunConfig) -> partial[gym.Env[Any, Any]]:
    """What makes one environment of the run.

    A callable: by its id, SB3's ``make_vec_env`` would make it with rendering. Gymnasium's
    checker costs time at every step and repeats in warnings what ``FiniteGuard`` stops at.
    """
    return partial(gym.make, config.env, disable_env_checker=True, **config.env_kwargs)


def _environments(
    config: RunConfig, count: int, seed: int | None = None, monitor_dir: str | None = None
) -> VecEnv:
    """Copies of the run's environment: compiled where they can be, which changes no number."""
    # Masks are asked of each environment apart.
    if not ALGORITHMS[config.algo].needs_masks and has_world(config.env, dict(config.env_kwargs)):
        return CompiledVecEnv(config.env, count, seed, monitor_dir=monitor_dir, **config.env_kwargs)
    return make_vec_env(environment_maker(config), count, seed, monitor_dir=monitor_dir)


def _build(config: RunConfig, env: VecEnv, session: Session) -> BaseAlgorithm:
    if session.start is not None:
        return session.loaded(config, env)
    # A copy: SB3's A2C writes into the policy_kwargs that it is given.
    arguments = constructor_arguments(copy.deepcopy(dict(config.hyperparameters)))
    return algorithm_class(config.algo)(
        config.policy, env, seed=config.seed, device="cpu", **session.arguments, **arguments
    )


def _normalized(config: RunConfig, env: VecEnv, training: bool = True) -> VecEnv:
    """Observations and rewards normalised as the zoo does; evaluation keeps the true rewards."""
    if not config.normalize:
        return env
    arguments = {} if config.normalize is True else dict(config.normalize)
    if "gamma" in config.hyperparameters:
        arguments["gamma"] = config.hyperparameters["gamma"]
    if not training:
        arguments.update(training=False, norm_reward=False)
    return VecNormalize(env, **arguments)


def _evaluator(
    config: RunConfig,
    model: BaseAlgorithm,
    eval_env: VecEnv,
    folder: Path,
    watcher: Watcher | None,
) -> AfterUpdateEvalCallback:
    evaluation = config.evaluation
    kind = AfterUpdateEvalCallback
    if can_evaluate(model, eval_env, evaluation.deterministic):
        kind = CompiledEvalCallback
    if ALGORITHMS[config.algo].needs_masks:
        from ppo_lab.masked_evaluation import MaskedAfterUpdateEvalCallback

        kind = MaskedAfterUpdateEvalCallback
    return kind(
        eval_env,
        eval_seed=evaluation.seed,
        at_start=evaluation.points > 1,
        n_eval_episodes=evaluation.episodes,
        eval_freq=-(-config.timesteps // max(1, evaluation.points - 1)),
        log_path=str(folder),
        best_model_save_path=str(folder) if evaluation.points > 1 else None,
        deterministic=evaluation.deterministic,
        callback_after_eval=WatchCallback(watcher) if watcher else None,
        verbose=0,
    )


class WatchCallback(BaseCallback):
    """Tells the watcher of every evaluation; for ``EvalCallback``'s ``callback_after_eval``."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self._watcher = watcher

    def _on_step(self) -> bool:
        assert isinstance(self.parent, EvalCallback)
        steps, score = self.parent.num_timesteps, self.parent.last_mean_reward
        reason = self._watcher(steps, float(score))
        if reason is not None:
            raise StoppedError(reason, float(score), steps)
        return True
