"""How a run's environments are made and wrapped: RL Zoo's words for it, with the zoo's meaning."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.vec_env import (
    VecEnv,
    VecFrameStack,
    VecNormalize,
    VecTransposeImage,
    is_vecenv_wrapped,
)

from ppo_lab.environment_classes import gymnasium_id
from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.environment_words import entry_point
from ppo_lab.hyperparams.sources import TrainingSettings
from ppo_lab.ppo.normalized_space import show_decimals
from ppo_lab.registry import ALGORITHMS, ObservationKind
from ppo_lab.runs.config import VecEnvKind
from ppo_lab.runs.environments import inspect_environment
from ppo_lab.runs.games import is_game, make_games
from ppo_lab.runs.named_code import (
    Loaded,
    Named,
    environment_packages,
    import_packages,
    load_named,
    named_in_words,
)
from ppo_lab.runs.stepping import Copies
from ppo_lab.vec_env.partly_sampled import PartlySampledVecEnv
from ppo_lab.vec_env.sampled_normalize import SampledVecNormalize

__all__ = [
    "EnvironmentRecipe",
    "expected",
]

GOALS = ("gym.envs.robotics", "gymnasium_robotics", "panda_gym.envs")
"""Packages whose environments say ``is_success``, which the zoo lets Monitor note."""


@dataclass(frozen=True)
class EnvironmentRecipe:
    """What makes the vector environment that an algorithm trains or is evaluated in.

    From the inside out, as in RL Zoo: ``gymnasium.make``, SB3's ``Monitor``, ``env_wrapper``, the
    vector environment, ``vec_env_wrapper``, ``VecNormalize``, ``VecFrameStack``, and
    ``VecTransposeImage`` where images have their channels last.

    Attributes:
        env: Gymnasium's id, or ``module:id``.
        env_kwargs: for ``gymnasium.make``.
        env_wrapper: dotted names of wrappers, the innermost first, or ``{name: arguments}`` each.
        vec_env_wrapper: likewise, around the vector environment.
        frame_stack: observations stacked by ``VecFrameStack``; 0: none.
        normalize: ``VecNormalize``, or its arguments.
        gamma: the algorithm's γ, which ``VecNormalize`` takes over; None: its own default.
        monitor_kwargs: for ``Monitor``.
        vec_env: ``dummy``: one after the other in this process; ``subproc``: a process each;
            ``pool``: several a process, as many processes as cores; ``auto``: ``dummy`` or
            ``pool``, by what a step takes, which changes no number; ``vector``: the environment's
            own vector form where that resets on the step that ends an episode, else Gymnasium's
            ``SyncVectorEnv``; ``envpool``: EnvPool's.
        masked: whether the algorithm asks the environments for masks, which not all that stand in
            for them have.
        moved: whether a callback sets attributes of the environments, which compiled copies share.
        packages: what names may be imported from, beside ``named_code.LIBRARIES`` and the package
            that the environment comes from.
    """

    env: str
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    env_wrapper: Sequence[Named] = ()
    vec_env_wrapper: Sequence[Named] = ()
    frame_stack: int = 0
    normalize: bool | Mapping[str, Any] = False
    gamma: float | None = None
    monitor_kwargs: Mapping[str, Any] = field(default_factory=dict)
    vec_env: VecEnvKind = "dummy"
    packages: Sequence[str] = ()
    masked: bool = False
    moved: bool = False

    @classmethod
    def of_settings(
        cls, env_id: str, settings: TrainingSettings, packages: Sequence[str]
    ) -> "EnvironmentRecipe":
        """What settings say of an environment."""
        words = {"normalize": settings.normalize, **settings.environment}
        words |= {"gamma": settings.hyperparameters.get("gamma"), "env_packages": packages}
        return cls.of_words(env_id, words)

    @classmethod
    def of_words(cls, env_id: str, words: Mapping[str, Any]) -> "EnvironmentRecipe":
        """What ``RunConfig``'s fields for environments, those of training, say of one."""
        known = {**words, "packages": words.get("env_packages", ())}
        for name in ("callback", "eval_env_kwargs", "env_packages", "asked_device", "env_sha256"):
            known.pop(name, None)
        return cls(env_id, **known)

    def make_one(self) -> gym.Env[Any, Any]:
        """One environment as Gymnasium makes it, without a wrapper of the recipe's.

        Gymnasium's checker costs time at every step and repeats in warnings what ``FiniteGuard``
        stops at.
        """
        import_packages(self.packages, self.env)
        return gym.make(gymnasium_id(self.env), disable_env_checker=True, **self.env_kwargs)

    def fitting_policy(self, algo: str, stated: str = "", masked: bool = False) -> str:
        """Check that an algorithm can train in it, and name its policy there.

        Args:
            algo: a name in :data:`ppo_lab.registry.ALGORITHMS`.
            stated: SB3's name of a policy that settings ask for, of this algorithm or another;
                empty: none.
            masked: whether it is told to ask which actions are possible.

        Returns:
            The policy for its observations; where they allow another kind, the kind stated.

        Raises:
            ArgumentError: unknown, cannot be made, or the algorithm cannot use it; says why.
        """
        import_packages(self.packages, self.env)
        needed = inspect_environment(self.env, self.env_kwargs, algo, self.wrapper(), masked)
        algorithm = ALGORITHMS[algo]
        if "." in stated and not algorithm.tabular:  # a class of a user's own
            return stated
        if algorithm.tabular or needed == algorithm.policy_for("MultiInput"):
            return needed
        kinds: tuple[ObservationKind, ...] = ("Mlp", "Cnn")
        asked = [kind for kind in kinds if stated.startswith(kind)]
        return algorithm.policy_for(asked[0]) if asked else stated or needed

    def make(
        self,
        n_envs: int,
        seed: int | None = None,
        monitor_dir: str | None = None,
        *,
        training: bool = True,
        verbose: int = 0,
        make_one: Callable[[], gym.Env[Any, Any]] | None = None,
        normalized: Callable[[VecEnv], VecEnv] | None = None,
    ) -> VecEnv:
        """The vector environment.

        Args:
            n_envs: copies, ≥ 1.
            seed: of the first copy; the others follow.
            monitor_dir: where SB3's monitor files go; None: nowhere.
            training: False keeps the true rewards and leaves the statistics as they are.
            verbose: 1 says why no compiled environment stands in.
            make_one: makes one environment in the place of :meth:`make_one`, to be watched.
            normalized: puts ``VecNormalize`` around, with statistics that are kept; None: anew,
                where the recipe says so.

        Raises:
            ArgumentError: a wrapper cannot be loaded, or does not fit.
        """
        import_packages(self.packages, self.env)
        if is_game(self.env):
            return self._make_games(n_envs, seed, monitor_dir, training, normalized)
        copies = Copies(
            env=self.env,
            env_kwargs=self.env_kwargs,
            make_one=make_one or self.make_one,
            watched=make_one is not None,
            layers=self.env_wrapper,
            wrapper=self.wrapper(),
            monitor_kwargs=self._monitor_arguments(),
            masked=self.masked,
            moved=self.moved,
            count=n_envs,
            seed=seed,
            monitor_dir=monitor_dir,
            verbose=verbose,
        )
        env = copies.stepped(self.vec_env)
        try:
            return self._wrapped(env, training, normalized)
        except BaseException:
            env.close()
            raise

    def _make_games(
        self,
        n_envs: int,
        seed: int | None,
        monitor_dir: str | None,
        training: bool,
        normalized: Callable[[VecEnv], VecEnv] | None,
    ) -> VecEnv:
        env = make_games(
            self.env,
            self.env_kwargs,
            n_envs,
            seed,
            words={"env_wrapper": self.env_wrapper, "monitor_kwargs": self.monitor_kwargs},
            vec_env=self.vec_env,
            monitor_dir=monitor_dir,
            training=training,
        )
        try:
            return self._wrapped(env, training, normalized)
        except BaseException:
            env.close()
            raise

    def why_not_plain(self) -> str | None:
        """Why an episode of it is not one of ``make_one``'s; None where it is."""
        layers = [*self.env_wrapper, *self.vec_env_wrapper]
        if layers:
            return f"it has {named_in_words(layers)} around it"
        return f"its frames are stacked by {self.frame_stack}" if self.frame_stack else None

    def wrapper(self) -> Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]] | None:
        """What ``env_wrapper`` puts around each environment and its monitor; None: nothing.

        Raises:
            ArgumentError: one cannot be loaded.
        """
        layers = self.layers()
        return partial(_wrap, layers) if layers else None

    def layers(self) -> list[Loaded]:
        """What ``env_wrapper`` names, the innermost first.

        Raises:
            ArgumentError: one cannot be loaded.
        """
        return [load_named("env_wrapper", named, self._trusted()) for named in self.env_wrapper]

    def _trusted(self) -> list[str]:
        return [*self.packages, *environment_packages(self.env)]

    def _monitor_arguments(self) -> dict[str, Any]:
        entry = entry_point(self.env)
        parks = "parking-v0" in self.env and not self.monitor_kwargs
        if parks or any(package in entry for package in GOALS):
            return {"info_keywords": ("is_success",)}
        arguments = dict(self.monitor_kwargs)
        if isinstance(arguments.get("info_keywords"), list):
            arguments["info_keywords"] = tuple(arguments["info_keywords"])
        return arguments

    def _wrapped(
        self, env: VecEnv, training: bool, normalized: Callable[[VecEnv], VecEnv] | None
    ) -> VecEnv:
        for named in self.vec_env_wrapper:
            layer = load_named("vec_env_wrapper", named, self._trusted())
            env = expected(layer(env), VecEnv, "vec_env_wrapper", layer.name)
        if normalized is not None:
            env = normalized(env)
        elif self.normalize:
            env = _normalized(env, self._normalization(training))
        if self.frame_stack:
            env = _stacked(env, self.frame_stack)
        if _has_images_channels_last(env) and not is_vecenv_wrapped(env, VecTransposeImage):
            env = VecTransposeImage(env)
        return env

    def _normalization(self, training: bool) -> dict[str, Any]:
        arguments = {} if isinstance(self.normalize, bool) else dict(self.normalize)
        if self.gamma is not None:
            arguments["gamma"] = self.gamma
        if not training:
            arguments.update(training=False, norm_reward=False)
        return arguments


def _wrap(layers: Sequence[Loaded], env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    for layer in layers:
        env = expected(layer(env), gym.Env, "env_wrapper", layer.name)
    return env


def expected(made: Any, kind: type[Any], what: str, name: str) -> Any:
    """What settings named, if it is of the kind that it should be.

    Raises:
        ArgumentError: it is not.
    """
    if not isinstance(made, kind):
        raise ArgumentError(
            f"{what} {name!r} gave a {type(made).__name__}: expected a "
            f"{kind.__module__.partition('.')[0]} {kind.__name__}"
        )
    return made


def _normalized(env: VecEnv, arguments: Mapping[str, Any]) -> VecEnv:
    # Of a game's agents those that have left are in no statistics.
    kind = SampledVecNormalize if isinstance(env.unwrapped, PartlySampledVecEnv) else VecNormalize
    try:
        normalized = kind(env, **arguments)
    except (AssertionError, ValueError, TypeError, NotImplementedError) as error:
        raise ArgumentError(
            f"normalize does not fit the observations {env.observation_space}: "
            f"{' '.join(str(error).split()) or type(error).__name__}"
        ) from error
    show_decimals(normalized)
    return normalized


def _stacked(env: VecEnv, frames: int) -> VecEnv:
    try:
        return VecFrameStack(env, frames)
    except (AssertionError, ValueError, TypeError, NotImplementedError) as error:
        raise ArgumentError(
            f"frame_stack={frames} does not fit the observations {env.observation_space}: "
            f"{' '.join(str(error).split()) or type(error).__name__}"
        ) from error


def _has_images_channels_last(env: VecEnv) -> bool:
    space = env.observation_space
    parts = space.spaces.values() if isinstance(space, spaces.Dict) else [space]
    return any(
        isinstance(part, spaces.Box)
        and is_image_space(part)
        and not is_image_space_channels_first(part)
        for part in parts
    )
