"""Training of one run with an SB3 algorithm: environments, evaluations, files."""

import copy
import inspect
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EvalCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from envs.finite import FiniteTask, finite_task
from ppo_lab.arguments import check_policy_kwargs, check_shared_arguments
from ppo_lab.environment_classes import check_unchanged
from ppo_lab.errors import ArgumentError, NonFiniteError
from ppo_lab.hyperparams.reading import FLAGS, constructor_arguments
from ppo_lab.hyperparams.sources import OURS
from ppo_lab.ppo.callbacks import BEST_STATISTICS, AfterUpdateEvalCallback, FiniteGuard
from ppo_lab.ppo.space_checks import check_spaces
from ppo_lab.registry import ALGORITHMS, algorithm_class, unknown_hyperparameter
from ppo_lab.runs.compiled_evaluation import CompiledEvalCallback, can_evaluate
from ppo_lab.runs.config import RunConfig, Trained, environment_folder_name
from ppo_lab.runs.device import training_device
from ppo_lab.runs.exact_evaluation import ExactEvalCallback, can_solve
from ppo_lab.runs.games import check_critic, columns_a_game
from ppo_lab.runs.named_code import environment_packages, load_class, load_named
from ppo_lab.runs.off_policy import (
    FINAL_BUFFER,
    check_environment,
    warn_if_nothing_is_learnt,
    with_action_noise,
)
from ppo_lab.runs.recipe import EnvironmentRecipe, expected
from ppo_lab.runs.session import PauseAt, PausedError, Session, UserStop
from ppo_lab.runs.skipped_frames import warn_if_frames_are_skipped_twice
from ppo_lab.runs.watching import StoppedError, Watcher

__all__ = ["check", "evaluation_recipe", "train", "training_recipe"]

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
    check_unchanged(config.env, config.env_sha256)
    th.set_num_threads(1)  # these networks are too small to share
    name = environment_folder_name(config.env)
    with ExitStack() as closing:
        env = _made(
            closing,
            training_recipe(config),
            config.n_envs,
            seed=config.seed,
            monitor_dir=str(folder),
            verbose=session.verbose,
        )
        # Before the model, whose seed also seeds numpy's global generator, which making them uses.
        eval_env, task = _evaluation_environments(closing, config)
        model, callbacks = _build(config, env, session), _named_callbacks(config)
        session.set_logger(model)
        evaluator = _evaluator(config, model, eval_env, task, folder, watcher)
        horizon = session.horizon or config.timesteps
        with suppress(PausedError):
            model.learn(
                horizon - model.num_timesteps,
                CallbackList(
                    [
                        *(UserStop(), FiniteGuard(), evaluator, *callbacks, *session.callbacks),
                        *([PauseAt(config.timesteps)] if config.timesteps < horizon else []),
                    ]
                ),
                reset_num_timesteps=session.start is None,
            )
        evaluator.on_training_end()  # nothing is left to do where ``learn`` has come to its end
        _check_parameters(model)
        model.save(folder / f"{name}.zip")
        if session.keep_replay_buffer and isinstance(model, OffPolicyAlgorithm):
            model.save_replay_buffer(folder / FINAL_BUFFER)
        statistics = model.get_vec_normalize_env()
        if statistics is not None:
            statistics.save(str(folder / name / "vecnormalize.pkl"))
    if config.evaluation.points == 1:  # the final policy is the only one that was scored
        _copy_final_as_best(config, folder)
    facts = {"score_source": evaluator.score_source, "device": str(model.device)}
    return Trained(evaluator.last_mean_reward, model.num_timesteps, facts)


def _copy_final_as_best(config: RunConfig, folder: Path) -> None:
    name = environment_folder_name(config.env)
    shutil.copyfile(folder / f"{name}.zip", folder / "best_model.zip")
    if config.normalize:
        shutil.copyfile(folder / name / "vecnormalize.pkl", folder / BEST_STATISTICS)


def check(config: RunConfig) -> None:
    """Build the environments and the model, without training them.

    Raises:
        Exception: whatever the environment or the algorithm raises.
    """
    with ExitStack() as closing:
        recipe = training_recipe(config)
        if recipe.vec_env == "auto":  # the run itself measures and says which one it takes
            recipe = replace(recipe, vec_env="dummy")
        env = _made(closing, recipe, config.n_envs, seed=config.seed)
        _build(config, env, Session())
        _named_callbacks(config)
    warn_if_nothing_is_learnt(config)
    warn_if_frames_are_skipped_twice(recipe)


def training_recipe(config: RunConfig) -> EnvironmentRecipe:
    """How the environments are made that a run trains in."""
    return EnvironmentRecipe(
        env=config.env,
        env_kwargs=config.env_kwargs,
        env_wrapper=config.env_wrapper,
        vec_env_wrapper=config.vec_env_wrapper,
        frame_stack=config.frame_stack,
        normalize=config.normalize,
        gamma=config.hyperparameters.get("gamma"),
        monitor_kwargs=config.monitor_kwargs,
        vec_env=config.vec_env,
        packages=config.env_packages,
        masked=config.masks,
        moved=_moves_environments(config),
    )


def evaluation_recipe(config: RunConfig) -> EnvironmentRecipe:
    """How the environments are made that a run is scored in."""
    recipe = training_recipe(config)
    # A score is one in Gymnasium's own environment, and its episodes are a seed's.
    stepped = "dummy" if config.vec_env in ("vector", "envpool") else config.vec_env
    return replace(recipe, env_kwargs=config.evaluation_kwargs, vec_env=stepped)


def _made(closing: ExitStack, recipe: EnvironmentRecipe, count: int, **how: Any) -> VecEnv:
    """The vector environment of a recipe, which ``closing`` closes."""
    env = recipe.make(count, **how)
    closing.callback(env.close)
    return env


def _named_callbacks(config: RunConfig) -> list[BaseCallback]:
    """The callbacks that the settings name.

    Raises:
        ArgumentError: one cannot be imported or made, or is none.
    """
    made = [load_named("callback", named, _packages(config)) for named in config.callback]
    return [expected(each(), BaseCallback, "callback", each.name) for each in made]


def _moves_environments(config: RunConfig) -> bool:
    """Whether a named callback sets what the environments are, which compiled copies cannot be."""
    named = [load_named("callback", each, _packages(config)) for each in config.callback]
    return any(getattr(each.target, "moves_environments", False) for each in named)


def _packages(config: RunConfig) -> list[str]:
    """What the settings' names may be imported from, beside the libraries."""
    return [*config.env_packages, *environment_packages(config.env)]


def _build(config: RunConfig, env: VecEnv, session: Session) -> BaseAlgorithm:
    check_spaces(env.observation_space, env.action_space)
    if session.start is not None:
        return session.loaded(config, env)
    if ALGORITHMS[config.algo].one_environment and config.n_envs > 1:
        raise ArgumentError(
            f"{config.algo} is trained in one environment, and n_envs is {config.n_envs}: leave "
            "--n-envs out"
        )
    # A copy: SB3's A2C writes into the policy_kwargs that it is given.
    named = partial(load_class, _packages(config))
    arguments = constructor_arguments(copy.deepcopy(dict(config.hyperparameters)), named)
    kind = algorithm_class(config.algo)
    check_critic(env, arguments.get("policy_kwargs"))
    arguments = with_action_noise(config.algo, arguments, env.action_space)
    _check_names(kind, config.algo, arguments)
    if config.algo != OURS:  # which checks its own
        _check_values(kind, config, arguments)
    check_environment(config.algo, arguments, env)
    return kind(
        named("policy", config.policy) if "." in config.policy else config.policy,
        env,
        seed=config.seed,
        device=training_device(config.asked_device, config.policy),
        **session.arguments,
        **arguments,
    )


def _check_names(kind: type[BaseAlgorithm], algo: str, arguments: Mapping[str, object]) -> None:
    """Check that an algorithm has the hyperparameters that settings give it.

    Raises:
        ArgumentError: it has one of them not; names the closest.
    """
    known = [name for name in inspect.signature(kind).parameters if not name.startswith("_")]
    own = [name for name in known if name not in (*FLAGS, "policy", "seed")]
    for name in arguments:
        if name not in known:
            raise ArgumentError(unknown_hyperparameter(name, algo, own))


def _check_values(
    kind: type[BaseAlgorithm], config: RunConfig, arguments: Mapping[str, Any]
) -> None:
    off_policy = ALGORITHMS[config.algo].off_policy
    check_shared_arguments(kind, arguments, off_policy)
    check_policy_kwargs(
        arguments.get("policy_kwargs"),
        actor_and_critic=issubclass(kind, OnPolicyAlgorithm) and "." not in config.policy,
    )


def _check_parameters(model: BaseAlgorithm) -> None:
    """Check that training has left numbers: a value of NaN has a likeliest action, too.

    Raises:
        NonFiniteError: a parameter is NaN or infinite.
    """
    for name, value in model.policy.state_dict().items():
        if value.is_floating_point() and not bool(th.isfinite(value).all()):
            raise NonFiniteError(f"parameters of {name} are NaN or infinite: training diverged")


def _evaluation_environments(
    closing: ExitStack, config: RunConfig
) -> tuple[VecEnv, FiniteTask | None]:
    """What the policy is played in, and the task where it is solved in place of being played."""
    recipe = evaluation_recipe(config)
    single = recipe.make_one()
    closing.callback(single.close)
    plain = recipe.why_not_plain() is None and not config.masks
    task = finite_task(single) if plain else None
    if task is None or not can_solve(
        config.algo,
        task,
        normalized=bool(config.normalize),
        deterministic=config.evaluation.deterministic,
    ):
        count = min(MAX_EVALUATION_ENVS, config.evaluation.episodes)
        return _made(closing, recipe, count, training=False), None
    return _made(closing, recipe, 1, training=False), task


def _evaluator(
    config: RunConfig,
    model: BaseAlgorithm,
    eval_env: VecEnv,
    task: FiniteTask | None,
    folder: Path,
    watcher: Watcher | None,
) -> AfterUpdateEvalCallback:
    """What scores the policy: by dynamic programming, compiled, or as SB3 does."""
    evaluation = config.evaluation
    kind: Callable[..., AfterUpdateEvalCallback] = AfterUpdateEvalCallback
    if task is not None:
        kind = partial(ExactEvalCallback, task)
    elif config.masks:
        from ppo_lab.runs.masked_evaluation import evaluator_under_masks

        kind = evaluator_under_masks(can_evaluate(model, eval_env, evaluation.deterministic))
    elif can_evaluate(model, eval_env, evaluation.deterministic):
        kind = CompiledEvalCallback
    return kind(
        eval_env,
        eval_seed=evaluation.seed,
        at_start=evaluation.points > 1,
        n_eval_episodes=evaluation.episodes * columns_a_game(eval_env),
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
