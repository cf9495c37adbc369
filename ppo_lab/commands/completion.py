"""Shell completion, by shtab: of flags, their choices, files and folders."""

import argparse
from pathlib import Path

from ppo_lab.commands.optional_packages import require

__all__ = ["SHELLS", "script"]

SHELLS = ("bash", "zsh", "tcsh")


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """A shell's completion script for a parser.

    Args:
        parser: of the whole program.
        shell: of :data:`SHELLS`.

    Raises:
        CommandError: shtab is missing.
    """
    require("shtab", "completion")
    import shtab

    for action in _actions(parser):
        if action.type is Path:
            setattr(action, "complete", shtab.FILE)  # noqa: B010 - shtab's own attribute
    made: str = shtab.complete(parser, shell)
    return made


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Every flag of a parser and of its commands; argparse lists them under private names alone."""
    actions = []
    for action in parser._actions:
        actions.append(action)
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                actions += _actions(command)
    return actions
