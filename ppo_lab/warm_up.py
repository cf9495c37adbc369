"""``python -m ppo_lab.warm_up``: compile ahead, so that no run has to."""

import sys
from collections.abc import Sequence
from functools import partial

from ppo_lab.commands.options import WarmUpOptions
from ppo_lab.commands.parsing import any_case
from ppo_lab.commands.shared import CommandParser, make_console, parse, run_command
from ppo_lab.commands.shared_flags import add_version

__all__ = ["main"]

PROGRAM = "ppo_lab.warm_up"
KINDS = ("discrete", "continuous")


def _parser() -> CommandParser:
    parser = CommandParser(
        WarmUpOptions,
        prog=f"python -m {PROGRAM}",
        description="Compile what trainings run, once on this machine, so that none of them has "
        "to: the kernels of PPO for each kind of actions, and the environments that are written "
        "in compiled code. What is compiled already is found on disk.",
        examples=(
            ("for both kinds of actions", f"python -m {PROGRAM}"),
            ("for a cluster's image: everything", f"python -m {PROGRAM} --all"),
        ),
    )
    add = parser.add_argument_group("what is compiled").add_argument
    add(
        "kinds",
        nargs="*",
        type=any_case,
        metavar="KIND",
        help=f"kinds of actions: {', '.join(KINDS)} (default: both)",
    )
    add("--all", action="store_true", help="both, and every environment in compiled code")
    add_version(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default ``sys.argv``'s; the exit codes are ``run_command``'s."""
    options = parse(_parser(), WarmUpOptions, arguments)
    return run_command(PROGRAM, partial(_warm_up, options))


def _warm_up(options: WarmUpOptions) -> None:
    from ppo_lab.errors import ArgumentError

    for kind in options.kinds:
        if kind not in KINDS:
            raise ArgumentError(f"{kind!r}: expected {' or '.join(KINDS)}")
    from ppo_lab.commands.warming import ALL, warmed

    console = make_console()
    for what, seconds in warmed([ALL] if options.all else options.kinds or KINDS):
        console.print(f"ready: {what} ({seconds:.1f} s)", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
