"""What steps the copies of an environment together: the choice behind ``--vec-env``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from envs.finite import has_own_masks
from ppo_lab.cores import usable_cores
from ppo_lab.errors import ArgumentError, NoWorldError
from ppo_lab.runs.config import VEC_ENVS, VecEnvKind
from ppo_lab.runs.environments import make_copies
from ppo_lab.runs.named_code import Named, named_in_words
from ppo_lab.runs.worker_pool import is_worker
from ppo_lab.vec_env.compiled import CompiledVecEnv
from ppo_lab.vec_env.gymnasium import GymnasiumVecEnv, over_singles
from ppo_lab.vec_env.in_cpp import make_envpool_vec_env
from ppo_lab.vec_env.native import own_vector_form
from ppo_lab.vec_env.pool import PoolVecEnv
from ppo_lab.vec_env.stepping_choice import Choice, choose

__all__ = ["Copies"]

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
class Copies:
    """Copies of one environment, which a vector environment is to step together.

    Attributes:
        env: Gymnasium's id, or ``module:id``.
        env_kwargs: for ``gymnasium.make``.
        make_one: makes one of them.
        watched: whether ``make_one`` is to be called in this process, whatever steps them.
        layers: what is put around each, as settings name it.
        wrapper: puts it there; None: nothing.
        monitor_kwargs: for ``Monitor``.
        masked: whether the algorithm asks them for masks.
        moved: whether a callback sets attributes of them.
        count: how many, ≥ 1.
        seed: of the first one; the others follow.
        monitor_dir: where SB3's monitor files go; None: nowhere.
        verbose: 1 says why no compiled environment stands in.
    """

    env: str
    env_kwargs: Mapping[str, Any]
    make_one: Callable[[], gym.Env[Any, Any]]
    watched: bool
    layers: Sequence[Named]
    wrapper: Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]] | None
    monitor_kwargs: Mapping[str, Any]
    masked: bool
    moved: bool
    count: int
    seed: int | None
    monitor_dir: str | None
    verbose: int

    def stepped(self, kind: VecEnvKind) -> VecEnv:
        """The vector environment of them.

        Args:
            kind: as ``EnvironmentRecipe.vec_env``.

        Raises:
            ArgumentError: no such kind, or it cannot step them.
        """
        if kind not in VEC_ENVS:
            raise ArgumentError(f"vec_env {kind!r:.50}: expected one of {', '.join(VEC_ENVS)}")
        if kind == "envpool" and not self.watched:
            return self._in_cpp()
        if kind == "vector" and not self.watched:
            own = self._own_vector_form()
            if own is not None:
                return own
        compiled = self._compiled(kind)
        if compiled is not None:
            return compiled
        which, workers = self._in_python(kind)
        return make_copies(
            self.make_one,
            self.count,
            self.seed,
            monitor_dir=self.monitor_dir,
            wrapper=self.wrapper,
            monitor_kwargs=self.monitor_kwargs,
            kind=partial(PoolVecEnv, n_workers=workers) if workers else STEPPED_BY[which],
            apart=which in APART,
        )

    def _compiled(self, kind: VecEnvKind) -> VecEnv | None:
        """The compiled environment; None where none can stand in."""
        reason = self._why_in_python(kind)
        if reason is None:
            try:
                env = CompiledVecEnv(
                    self.env,
                    self.count,
                    self.seed,
                    monitor_dir=self.monitor_dir,
                    **self.env_kwargs,
                )
            except NoWorldError as error:
                reason = error.reason
            else:
                if kind == "auto":
                    self._say_once("in compiled code, as dummy does")
                return env
        if self.verbose >= 1 and kind != "vector":
            print(f"Stepping {self.env} in Python, because {reason}")
        return None

    def _in_python(self, kind: VecEnvKind) -> tuple[str, int | None]:
        """Which of ``STEPPED_BY``, and the workers of a pool where ``auto`` chose them."""
        if self.watched and kind != "subproc":
            return "dummy", None  # whoever watches them is in this process
        if kind != "auto":
            return kind, None
        choice = self._choice()
        return ("pool", choice.n_workers) if choice.n_workers else ("dummy", None)

    def _choice(self) -> Choice:
        """What ``auto`` chooses, which is said once."""
        key = repr((self.env, self.env_kwargs, self.layers, self.count))
        if key not in _choices:
            wrapper = self.wrapper
            _choices[key] = choice = choose(
                lambda: self.make_one() if wrapper is None else wrapper(self.make_one()),
                self.count,
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

    def _in_cpp(self) -> VecEnv:
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
                self.count,
                self.seed,
                monitor_dir=self.monitor_dir,
                like=single,
                **self.env_kwargs,
            )
        finally:
            single.close()

    def _own_vector_form(self) -> VecEnv | None:
        """The environment's own vector form; None where it has none that fits."""
        reason = self._why_not_bare()
        if reason is None:
            try:
                own = own_vector_form(self.env, self.count, **self.env_kwargs)
            except ArgumentError as error:
                reason = str(error)
            else:
                env = GymnasiumVecEnv(own, monitor_dir=self.monitor_dir)
                env.seed(self.seed)
                return env
        if self.verbose >= 1:
            print(f"Stepping {self.env} by Gymnasium's SyncVectorEnv, because {reason}")
        return None

    def _why_in_python(self, kind: VecEnvKind) -> str | None:
        """Why no compiled environment can stand in; None where one may."""
        if self.watched:
            return "it is watched"
        if kind not in ("dummy", "auto"):
            return f"--vec-env {kind} was asked for"
        return self._why_not_bare()

    def _why_not_bare(self) -> str | None:
        """Why copies that are one object cannot stand for it; None where they can."""
        if self.layers:
            return f"it has {named_in_words(self.layers)} around each"
        if self.moved:
            return "a callback sets attributes of each environment"
        if self.masked and not self._has_known_masks():
            return "the algorithm asks each environment for its masks"
        return "its monitor has arguments" if self.monitor_kwargs else None

    def _has_known_masks(self) -> bool:
        """Whether its compiled copies and its own vector form have the masks of each copy."""
        single = self.make_one()
        try:
            return has_own_masks(single.unwrapped)
        finally:
            single.close()
