"""The flags that several commands have, each declared once: its name, its type and its help."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ppo_lab
from ppo_lab.commands.parsing import whole

__all__ = ["add_shared", "add_version"]

Flag = tuple[tuple[str, ...], str, dict[str, Any]]
"""Names, meaning, and argparse's settings."""

_NUMBER: dict[str, Any] = {"type": whole, "metavar": "N"}
_FLAGS: Sequence[Flag] = (
    (("--env",), "Gymnasium's id, module:id, module:Class or file.py:Class", {}),
    (("--timesteps",), "environment steps of each run, such as 1e5", _NUMBER),
    (("--n-envs",), "parallel environments of each run", _NUMBER),
    (("--seed",), "decides every other seed", _NUMBER),
    (("--episodes",), "evaluation episodes behind each score", _NUMBER),
    (("--preset",), "named settings of spec_ppo on top: recommended, sb3", {"metavar": "NAME"}),
    (
        ("-P", "--hyperparams"),
        "single hyperparameters on top of all: numbers, texts, lists, None, and "
        "dict(net_arch=[64]) for policy_kwargs; no code is run. Alone, as in the zoo: the progress",
        {"nargs": "*", "metavar": "NAME:VALUE"},
    ),
    (("--jobs",), "processes, one core each", _NUMBER),
    (
        ("--run-timeout",),
        "end a run that takes longer, which counts as failed",
        {"type": float, "metavar": "SECONDS"},
    ),
    (
        ("--storage",),
        "share the runs with the same command on other machines, through a database such as "
        "postgresql://user@host/base",
        {"metavar": "URL"},
    ),
    (
        ("--grace",),
        "a machine that has been silent for this long is taken for lost, its runs made by another; "
        "a database that does not answer is waited for as long",
        {"type": whole, "metavar": "SECONDS"},
    ),
    (
        ("--explain",),
        "print all numbers, every caution, and what each column means",
        {"action": "store_true"},
    ),
    (
        ("--log-folder",),
        "where the runs' folders are",
        {"type": Path, "metavar": "DIR", "default": Path("logs")},
    ),
)


def add_shared(
    group: argparse._ActionsContainer, name: str, otherwise: str = "", /, **own: Any
) -> None:
    """Add one of the flags that several commands have.

    Args:
        group: of the command's parser.
        name: the flag's, ``--timesteps``.
        otherwise: what holds without it, in words; empty: its ``default``, where it has one.
        **own: of argparse's settings those that are this command's: ``default``, ``required``.
    """
    names, meaning, settings = next(flag for flag in _FLAGS if name in flag[0])
    settings = {**settings, **own}
    said = otherwise or settings.get("default", "")
    shown = f"{meaning} (default: {said})" if said != "" else meaning
    group.add_argument(*names, **settings, help=shown)


def add_version(parser: argparse.ArgumentParser) -> None:
    """``--version``."""
    parser.add_argument("--version", action="version", version=ppo_lab.__version__)
