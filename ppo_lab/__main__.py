"""``python -m ppo_lab COMMAND …`` and ``ppo-lab COMMAND …``: every command under one name."""

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ppo_lab

if TYPE_CHECKING:
    from ppo_lab.commands.parsing import CommandParser

__all__ = ["main"]

COMMANDS = {
    "train": "one run, with a run folder; goes on with --resume",
    "evaluate": "score a saved model with an interval; show or film it",
    "compare": "algorithms × environments × seeds, then the report",
    "tune": "hyperparameters under the protocol of seeds, then the report",
    "report": "statistics, tables, figures and one page, of any logs",
    "warm-up": "compile ahead, once on this machine",
    "zoo": "RL Zoo's scripts with spec_ppo among the algorithms",
    "completion": "print a shell's completion script: bash, zsh or tcsh",
}
HELP = ("-h", "--help")
USAGE = 2


def _overview() -> str:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return (
        "usage: ppo-lab COMMAND …    (or: python -m ppo_lab COMMAND …)\n\n"
        f"commands:\n{listed}\n\n"
        "examples:\n"
        "  # SpecPPO on CartPole\n  ppo-lab train --env CartPole-v1\n"
        "  # a report on all runs under logs/\n  ppo-lab report logs\n\n"
        "ppo-lab COMMAND --help lists a command's flags."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default ``sys.argv``'s.

    Returns:
        The command's exit code; 2 where there is no such command.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if not words or words[0] in HELP:
        print(_overview())
        return 0 if words else USAGE
    if words[0] == "--version":
        print(ppo_lab.__version__)
        return 0
    name = words[0].lower().replace("_", "-")
    if name not in COMMANDS:
        alike = difflib.get_close_matches(name, COMMANDS, n=3) or COMMANDS
        print(f"ppo-lab: no command {words[0]!r}; closest: {', '.join(alike)}", file=sys.stderr)
        return USAGE
    if name == "completion":
        return _completion(words[1:])
    door = importlib.import_module(f"ppo_lab.{name.replace('-', '_')}")
    code: int = door.main(words[1:])
    return code


def _completion(words: Sequence[str]) -> int:
    """Print the script that shtab makes of all parsers."""
    from ppo_lab.commands.completion import SHELLS, script
    from ppo_lab.commands.shared import run_command
    from ppo_lab.errors import ArgumentError

    def body() -> None:
        if len(words) != 1 or words[0].lower() not in SHELLS:
            raise ArgumentError(f"expected one shell: {', '.join(SHELLS)}")
        print(script(_all_parsers(), words[0].lower()))

    return run_command("ppo-lab completion", body)


def _all_parsers() -> argparse.ArgumentParser:
    """One parser with every command's flags, for completion alone."""
    from ppo_lab.commands.completion import SHELLS

    whole = argparse.ArgumentParser(prog="ppo-lab")
    commands = whole.add_subparsers(dest="command")
    for name, what in COMMANDS.items():
        if name == "completion":
            commands.add_parser(name, help=what).add_argument("shell", choices=SHELLS)
            continue
        door = importlib.import_module(f"ppo_lab.{name.replace('-', '_')}")
        parser: CommandParser = door._parser()
        commands.add_parser(name, help=what, parents=[parser], conflict_handler="resolve")
    return whole


if __name__ == "__main__":
    sys.exit(main())
