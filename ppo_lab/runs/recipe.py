"""How a run's environments are made and wrapped: RL Zoo's words for it, with the zoo's meaning."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecFrameStack,
    VecNormalize,
    VecTransposeImage,
    is_vecenv_wrapped,
)

from ppo_lab.environment_classes import gymnasium_id
from ppo_lab.errors import ArgumentError, NoWorldError
from ppo_lab.hyperparams.environment_words import entry_point
from ppo_lab.hyperparams.sources import TrainingSettings
from ppo_lab.registry import ALGORITHMS, ObservationKind
from ppo_lab.runs.config import VEC_ENVS, VecEnvKind
from ppo_lab.runs.environments import inspect_environment, make_copies
from ppo_lab.runs.named_code import (
    Loaded,
    Named,
    environment_packages,
    import_packages,
    load_named,
    named_in_words,
)
from ppo_lab.vec_env.compiled import CompiledVecEnv
from ppo_lab.vec_env.gymnasium import GymnasiumVecEnv, over_singles
from ppo_lab.vec_env.in_cpp import make_envpool_vec_env
from ppo_lab.vec_env.native import own_vector_form
from ppo_lab.vec_env.pool import PoolVecEnv, usable_cores
from ppo_lab.vec_env.stepping_choice import Choice, choose

__all__ = [
    "EnvironmentRecipe",
    "expected",
]

GOALS = ("gym.envs.robotics", "gymnasium_robotics", "panda_gym.envs")
"""Packages whose environments say ``is_success``, which the zoo lets Monitor note."""

STEPPED_BY: Mapping[str, Callable[..., VecEnv]] = {
    "dummy": DummyVecEnv,
    "subproc": SubprocVecEnv,
    "pool": PoolVecEnv,
    "vector": over_singles,
}
"""What steps environments that are made one by one."""
APART = ("subproc", "pool")
"""Those that are made in other processes."""

_choices: dict[str, Choice] = {}
"""What ``auto`` has chosen in this process."""
_said: set[str] = set()


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
        compiled: whether a compiled environment may stand in, which changes no number.
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
    compiled: bool = True

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
        env = self._stepped(n_envs, seed, monitor_dir, verbose, make_one)
        try:
            return self._wrapped(env, training, normalized)
        except BaseException:
            env.close()
            raise

    def _stepped(
        self,
        n_envs: int,
        seed: int | None,
        monitor_dir: str | None,
        verbose: int,
        make_one: Callable[[], gym.Env[Any, Any]] | None,
    ) -> VecEnv:
        import_packages(self.packages, self.env)
        if self.vec_env not in VEC_ENVS:
            raise ArgumentError(
                f"vec_env {self.vec_env!r:.50}: expected one of {', '.join(VEC_ENVS)}"
            )
        if make_one is None and self.vec_env == "envpool":
            return self._in_cpp(n_envs, seed, monitor_dir)
        if make_one is None and self.vec_env == "vector":
            own = self._own_vector_form(n_envs, seed, monitor_dir, verbose)
            if own is not None:
                return own
        reason = self._why_in_python() if make_one is None else "it is watched"
        if reason is None:
            try:
                env = CompiledVecEnv(
                    self.env, n_envs, seed, monitor_dir=monitor_dir, **self.env_kwargs
                )
            except NoWorldError as error:
                reason = error.reason
            else:
                if self.vec_env == "auto":
                    self._say_once("in compiled code, as dummy does")
                return env
        if verbose >= 1 and self.vec_env != "vector":
            print(f"Stepping {self.env} in Python, because {reason}")
        kind, workers = self._stepped_by(n_envs, make_one)
        return make_copies(
            make_one or self.make_one,
            n_envs,
            seed,
            monitor_dir=monitor_dir,
            wrapper=self.wrapper(),
            monitor_kwargs=self._monitor_arguments(),
            kind=partial(PoolVecEnv, n_workers=workers) if workers else STEPPED_BY[kind],
            apart=kind in APART,
        )

    def _stepped_by(
        self, n_envs: int, make_one: Callable[[], gym.Env[Any, Any]] | None
    ) -> tuple[str, int | None]:
        """Which of ``STEPPED_BY``, and the workers of a pool where ``auto`` chose them."""
        if make_one is not None and self.vec_env != "subproc":
            return "dummy", None  # whoever watches them is in this process
        if self.vec_env != "auto":
            return self.vec_env, None
        choice = self._choice(n_envs)
        return ("pool", choice.n_workers) if choice.n_workers else ("dummy", None)

    def _choice(self, n_envs: int) -> Choice:
        """What ``auto`` chooses, which is said once."""
        from ppo_lab.runs.worker_pool import is_worker

        key = repr((self.env, self.env_kwargs, self.env_wrapper, n_envs))
        if key not in _choices:
            wrapper = self.wrapper()
            _choices[key] = choice = choose(
                lambda: self.make_one() if wrapper is None else wrapper(self.make_one()),
                n_envs,
                # Many runs are many processes, one core each.
                1 if is_worker() else usable_cores(),
            )
            which = f"pool of {choice.n_workers} processes" if choice.n_workers else "dummy"
            self._say_once(f"as {which}, because {choice.reason}")
        return _choices[key]

    def _say_once(self, how: str) -> None:
        """Say what ``auto`` took: the training's, before an evaluation's that may be another."""
        if self.env not in _said:
            print(f"--vec-env auto steps {self.env} {how}", flush=True)
        _said.add(self.env)

    def _in_cpp(self, n_envs: int, seed: int | None, monitor_dir: str | None) -> VecEnv:
        """EnvPool's copies, which show the spaces of Gymnasium's environment."""
        reason = self._why_not_bare()
        if reason is not None:
            raise ArgumentError(
                f"--vec-env envpool steps {self.env} in C++, and {reason}: use --vec-env dummy"
            )
        single = self.make_one()
        try:
            return make_envpool_vec_env(
                self.env.rpartition(":")[2],
                n_envs,
                seed,
                monitor_dir=monitor_dir,
                like=single,
                **self.env_kwargs,
            )
        finally:
            single.close()

    def _own_vector_form(
        self, n_envs: int, seed: int | None, monitor_dir: str | None, verbose: int
    ) -> VecEnv | None:
        """The environment's own vector form; None where it has none that fits."""
        reason = self._why_not_bare()
        if reason is None:
            try:
                own = own_vector_form(self.env, n_envs, **self.env_kwargs)
            except ArgumentError as error:
                reason = str(error)
            else:
                env = GymnasiumVecEnv(own, monitor_dir=monitor_dir)
                env.seed(seed)
                return env
        if verbose >= 1:
            print(f"Stepping {self.env} by Gymnasium's SyncVectorEnv, because {reason}")
        return None

    def _why_not_bare(self) -> str | None:
        """Why copies that are one object cannot stand for it; None where they can."""
        if not self.compiled:
            return "the algorithm asks each environment for its masks"
        if self.env_wrapper:
            return f"it has {named_in_words(self.env_wrapper)} around each"
        return "its monitor has arguments" if self._monitor_arguments() else None

    def why_not_plain(self) -> str | None:
        """Why an episode of it is not one of ``make_one``'s; None where it is."""
        layers = [*self.env_wrapper, *self.vec_env_wrapper]
        if layers:
            return f"it has {named_in_words(layers)} around it"
        return f"its frames are stacked by {self.frame_stack}" if self.frame_stack else None

    def _why_in_python(self) -> str | None:
        if not self.compiled:
            return "the algorithm asks each environment for its masks"
        if self.env_wrapper:
            return f"it has {named_in_words(self.env_wrapper)} around it"
        if self.vec_env not in ("dummy", "auto"):
            return f"--vec-env {self.vec_env} was asked for"
        return "its monitor has arguments" if self.monitor_kwargs else None

    def wrapper(self) -> Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]] | None:
        """What ``env_wrapper`` puts around each environment and its monitor; None: nothing.

        Raises:
            ArgumentError: one cannot be loaded.
        """
        if not self.env_wrapper:
            return None
        layers = [load_named("env_wrapper", named, self._trusted()) for named in self.env_wrapper]
        return partial(_wrap, layers)

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
    try:
        return VecNormalize(env, **arguments)
    except (AssertionError, ValueError, TypeError, NotImplementedError) as error:
        raise ArgumentError(
            f"normalize does not fit the observations {env.observation_space}: "
            f"{' '.join(str(error).split()) or type(error).__name__}"
        ) from error


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
