"""Code that settings name by a dotted name: imported only from packages that the user has named.

A file of settings is data. A name in it runs nothing unless it lies in a library that this package
is built on, in the package that the environment comes from, or in one of ``--env-packages``.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ppo_lab.environment_classes import environment_file, find_beside
from ppo_lab.environment_ids import why_not_imported
from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.environment_words import entry_point
from ppo_lab.interruption import by_user, one_line

__all__ = [
    "LIBRARIES",
    "Loaded",
    "Named",
    "environment_packages",
    "import_packages",
    "load_class",
    "load_named",
    "load_object",
    "named_in_words",
]

Named = str | Mapping[str, Any]
"""``package.module.Name``, or ``{package.module.Name: {argument: value}}``, as in the zoo."""

LIBRARIES = ("gymnasium", "stable_baselines3", "sb3_contrib", "rl_zoo3", "ppo_lab")
"""Packages from which any settings may name something."""


@dataclass(frozen=True)
class Loaded:
    """A class or function that settings name, with its arguments.

    Attributes:
        what: the setting that names it, for errors.
        name: dotted.
        target: itself.
        arguments: keywords.
    """

    what: str
    name: str
    target: Any
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, *inner: Any) -> Any:
        """Call it.

        Raises:
            ArgumentError: it raised; says what.
        """
        try:
            return self.target(*inner, **self.arguments)
        except BaseException as error:
            if by_user(error):
                raise KeyboardInterrupt from error
            given = ", ".join(f"{key}={value!r}" for key, value in self.arguments.items())
            raise ArgumentError(
                f"{self.what} {self.name}({given}) cannot be made: {one_line(error)}"
            ) from error


def import_packages(packages: Sequence[str], *env_ids: str) -> None:
    """Import what ``--env-packages`` names, so that its environments are registered.

    Args:
        packages: the modules' names.
        *env_ids: environments; modules beside the files that they name are found too.

    Raises:
        ArgumentError: one cannot be imported.
    """
    for env_id in env_ids:
        find_beside(env_id)
    for package in packages:
        try:
            importlib.import_module(package)
        except BaseException as error:
            if by_user(error):
                raise KeyboardInterrupt from error
            reason = one_line(error)
            if isinstance(error, ModuleNotFoundError):
                reason = why_not_imported(error)
            raise ArgumentError(
                f"the package (--env-packages, or of --wrapper) {package} cannot be imported: "
                f"{reason}"
            ) from error


def load_named(what: str, named: Named, packages: Sequence[str]) -> Loaded:
    """Import what one entry of settings names; it is not called yet.

    Args:
        what: the setting, for errors.
        named: the entry.
        packages: that may be imported from, beside :data:`LIBRARIES`.

    Raises:
        ArgumentError: no such entry; the package is not named; it cannot be imported.
    """
    name, arguments = _parts(what, named)
    return Loaded(what, name, load_object(what, name, packages), arguments)


def _parts(what: str, named: Named) -> tuple[str, Mapping[str, Any]]:
    if isinstance(named, str):
        return named, {}
    if isinstance(named, Mapping) and len(named) == 1:
        ((name, arguments),) = named.items()
        if isinstance(name, str) and isinstance(arguments or {}, Mapping):
            return name, arguments or {}
    raise ArgumentError(
        f"{what} {named!r:.100}: expected package.module.Name, or one such name with its arguments"
    )


def load_object(what: str, name: str, packages: Sequence[str]) -> Any:
    """A class or function by its dotted name.

    Args:
        what: the setting, for errors.
        name: ``package.module.Name``, or ``module:Name``.
        packages: that may be imported from, beside :data:`LIBRARIES`.

    Raises:
        ArgumentError: not such a name; the package is not named; it cannot be imported.
    """
    module, _, attribute = name.replace(":", ".").rpartition(".")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise ArgumentError(f"{what} {name!r:.100}: expected package.module.Name")
    trusted = (*LIBRARIES, *(each.partition(".")[0] for each in packages))
    _check_trusted(what, name, module, trusted)
    try:
        target = getattr(importlib.import_module(module), attribute)
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        raise ArgumentError(f"{what} {name!r} cannot be imported: {one_line(error)}") from error
    # Where it is written: a library's module also holds what it imports from elsewhere.
    _check_trusted(what, name, getattr(target, "__module__", None) or module, trusted)
    return target


def load_class(packages: Sequence[str], what: str, name: str) -> type[Any]:
    """A class that hyperparameters name, such as ``policy_kwargs``' ``optimizer_class``.

    Args:
        packages: that may be imported from, beside :data:`LIBRARIES` and torch.
        what: the setting.
        name: dotted.

    Raises:
        ArgumentError: as of :func:`load_object`, or it is no class of the setting's kind.
    """
    from stable_baselines3.common.buffers import BaseBuffer, ReplayBuffer
    from stable_baselines3.common.policies import BasePolicy
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from torch.nn import Module
    from torch.optim import Optimizer

    kinds: dict[str, type[Any]] = {
        "activation_fn": Module,
        "features_extractor_class": BaseFeaturesExtractor,
        "optimizer_class": Optimizer,
        "policy": BasePolicy,
        "replay_buffer_class": ReplayBuffer,
        "rollout_buffer_class": BaseBuffer,
    }
    loaded = load_object(what, name, ["torch", *packages])
    kind = kinds.get(what, object)
    if not (isinstance(loaded, type) and issubclass(loaded, kind)):
        raise ArgumentError(f"{what} {name!r}: expected a class of {kind.__name__}")
    return loaded


def _check_trusted(what: str, name: str, module: str, trusted: Sequence[str]) -> None:
    package = module.partition(".")[0]
    if package not in trusted:
        raise ArgumentError(
            f"{what} {name!r} is code of the package {package!r}, which nobody has named: "
            f"--env-packages {package} lets settings import from it"
        )


def environment_packages(env_id: str) -> list[str]:
    """The packages that an environment's id names: before its colon, and where it is written."""
    file = environment_file(env_id)
    named = env_id.rpartition(":")[0] if file is None else file.stem
    modules = named, entry_point(env_id).partition(":")[0]
    return [module.partition(".")[0] for module in modules if module]


def named_in_words(entries: Sequence[Named]) -> str:
    """Their names, one after the other."""
    names = [[*each] if isinstance(each, Mapping) else [each] for each in entries]
    return ", ".join(str(name) for entry in names for name in entry)
