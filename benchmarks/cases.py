"""What ``compiled.py`` compares: environments and settings, the sides, and each goal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from shutil import which
from typing import Any

__all__ = ["CLASSIC", "GOALS", "OURS", "REAL", "SIDES", "Case", "case_of", "missing", "sides_of"]

CLASSIC = ("CartPole-v1", "Pendulum-v1")
REAL = ("HalfCheetah-v5", "Hopper-v5", "LunarLander-v3")
SHAPES = {
    "a": {"n_envs": 1, "n_steps": 2048, "batch_size": 64, "n_epochs": 10},
    "b": {"n_envs": 8, "n_steps": 256, "batch_size": 256, "n_epochs": 10},
    "c": {"n_envs": 64, "n_steps": 128, "batch_size": 2048, "n_epochs": 4},
}
REAL_CASES = ("default", "VecNormalize", "zoo")
SIDES = {
    "sb3": "SB3's PPO",
    "torch": "SpecPPO by torch",
    "compiled": "SpecPPO compiled, Gymnasium's environment",
    "native": "the same, native environment",
    "whole": "the same, whole rollouts",
    "rltools": "RLtools, MKL",
    "rltools-fast": "RLtools, MKL, its approximate tanh",
    "jax": "all in JAX, PureJaxRL's way",
}
OURS = ("compiled", "native", "whole")
RLTOOLS = ("rltools", "rltools-fast")
RLTOOLS_REAL = ("HalfCheetah-v5", "default")
"""Where it takes part beside Pendulum."""
GOALS: Mapping[tuple[str, str], Mapping[tuple[str, str], float]] = {
    ("CartPole-v1", "a"): {
        ("compiled", "sb3"): 27.0,
        ("torch", "sb3"): 1.0,
        ("whole", "jax"): 1.8,
    },
    ("CartPole-v1", "b"): {("compiled", "sb3"): 9.0},
    ("CartPole-v1", "c"): {("compiled", "sb3"): 2.8},
    ("Pendulum-v1", "a"): {
        ("compiled", "sb3"): 18.0,
        ("torch", "sb3"): 1.0,
        ("whole", "rltools"): 1.3,
        ("whole", "jax"): 1.8,
    },
    ("Pendulum-v1", "b"): {("compiled", "sb3"): 6.3, ("whole", "rltools"): 1.3},
    ("Pendulum-v1", "c"): {("compiled", "sb3"): 2.2, ("whole", "rltools"): 1.3},
    ("HalfCheetah-v5", "default"): {("compiled", "sb3"): 11.0, ("compiled", "rltools"): 1.1},
    ("HalfCheetah-v5", "VecNormalize"): {("compiled", "sb3"): 9.0},
    ("HalfCheetah-v5", "zoo"): {("compiled", "sb3"): 4.5},
    ("Hopper-v5", "default"): {("compiled", "sb3"): 5.5},
    ("Hopper-v5", "VecNormalize"): {("compiled", "sb3"): 4.5},
    ("Hopper-v5", "zoo"): {("compiled", "sb3"): 3.5},
}
"""Times as many steps a second as another side, at least, by environment and case."""


@dataclass(frozen=True)
class Case:
    """One environment with one set of settings.

    Attributes:
        env_id: Gymnasium's.
        name: of ``SHAPES`` or ``REAL_CASES``.
        n_envs: parallel environments.
        arguments: SB3's keyword arguments, ``n_steps`` among them.
        normalize: ``VecNormalize``'s arguments; None: it is not used.
        origin: where the settings stand.
    """

    env_id: str
    name: str
    n_envs: int
    arguments: Mapping[str, Any]
    normalize: Mapping[str, Any] | None = None
    origin: str = field(default="", compare=False)

    @property
    def steps(self) -> int:
        """Environment steps of a rollout."""
        return self.n_envs * int(self.arguments["n_steps"])

    @property
    def title(self) -> str:
        """A line above its figures."""
        told = {"batch_size": 64, "n_epochs": 10, **self.arguments}
        shape = (
            f"{self.n_envs} × {told['n_steps']}, minibatch {told['batch_size']}, "
            f"{told['n_epochs']} epochs"
        )
        normalized = ", VecNormalize" if self.normalize is not None else ""
        origin = f" ({self.origin})" if self.origin else ""
        return f"{self.env_id}, {self.name}: {shape}{normalized}{origin}"


def case_of(env_id: str, name: str) -> Case:
    """The settings of a case; the zoo's are read as ``--settings zoo`` reads them."""
    if name in SHAPES:
        arguments: dict[str, Any] = dict(SHAPES[name])
        return Case(env_id, name, arguments.pop("n_envs"), arguments)
    if name != "zoo":
        return Case(env_id, name, 1, {"n_steps": 2048}, {} if name == "VecNormalize" else None)
    from ppo_lab.hyperparams.reading import constructor_arguments
    from ppo_lab.hyperparams.sources import named_settings

    settings = named_settings("zoo", "ppo", env_id, "--cases")
    arguments = {"n_steps": 2048, **constructor_arguments(settings.hyperparameters)}
    normalize = None
    if settings.normalize:
        given = {} if settings.normalize is True else settings.normalize
        normalize = {"gamma": arguments.get("gamma", 0.99), **given}
    return Case(env_id, name, settings.n_envs, arguments, normalize, settings.origin)


def sides_of(env_id: str, name: str) -> tuple[str, ...]:
    """The sides that a case has: torch and JAX where one environment is stepped."""
    if env_id in REAL:
        return ("sb3", "compiled", *(RLTOOLS if (env_id, name) == RLTOOLS_REAL else ()))
    alone = name == "a"
    return (
        "sb3",
        *(("torch",) if alone else ()),
        *OURS,
        *(RLTOOLS if env_id == "Pendulum-v1" else ()),
        *(("jax",) if alone else ()),
    )


def missing(side: str) -> str:
    """Why a side cannot run here; empty if it can."""
    if side == "jax":
        return "" if find_spec("jax") else "the package jax is missing"
    if not side.startswith("rltools"):
        return ""
    packages = ("rltools", "pybind11", "mkl", "mkl-include")
    if lacking := [package for package in packages if not _installed(package)]:
        return f"missing: {', '.join(lacking)} (pip install {' '.join(packages)})"
    if not (which("g++") or which("clang++")):
        return "a C++ compiler is missing"
    return ""


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
