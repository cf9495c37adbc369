"""What every command shares: one-line errors, exit codes, where its folder and its lines go."""

import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ppo_lab.commands.parsing import CommandParser, add_environment_flags, parse
from ppo_lab.errors import CommandError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "CommandParser",
    "add_environment_flags",
    "check_least",
    "checked_jobs",
    "checked_run_timeout",
    "make_console",
    "parse",
    "run_command",
    "writable_folder",
]

PLAIN_WIDTH = 80
"""Columns where the output goes to a file, and the table fits."""

DONE, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130
STOPPED = "stopped; the same command goes on from here"


def run_command(program: str, body: Callable[[], None], exits: bool = False) -> int:
    """Run a command's body; what goes wrong becomes one line on stderr and an exit code.

    Done is 0. A usage error (``ArgumentError``) is 2. What fails on the way (``CommandError``,
    ``NonFiniteError``, ``NoRunsError``, ``OSError``) is 1, and so is a SystemExit or a
    KeyboardInterrupt that an environment raises. Ctrl-C and SIGTERM are 130. Anything else is a
    mistake of ours and keeps its traceback.

    Args:
        program: the name before the message.
        body: the work; imports what is heavy itself, so that ``--help`` answers at once.
        exits: the body may call ``sys.exit`` itself, as other people's scripts do.

    Returns:
        The exit code.
    """
    from ppo_lab.errors import ArgumentError, NonFiniteError
    from ppo_lab.interruption import by_user, one_line, raise_if_stopped, stop_signals
    from reports.logs.loading import NoRunsError

    with stop_signals():
        try:
            body()
            raise_if_stopped()
        except (KeyboardInterrupt, SystemExit) as stop:
            if by_user(stop):
                said = str(stop) if isinstance(stop, KeyboardInterrupt) else ""
                return _fail(program, said or STOPPED, INTERRUPTED)
            if exits and isinstance(stop, SystemExit):
                raise
            return _fail(program, f"ended by the environment: {one_line(stop)}", FAILURE)
        except ArgumentError as error:
            return _fail(program, str(error), USAGE)
        except BrokenPipeError:  # nobody reads on, as behind head: nothing is said of it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILURE
        except (CommandError, NonFiniteError, NoRunsError, OSError) as error:
            return _fail(program, str(error), FAILURE)
    return DONE


def make_console() -> "Console":
    """A terminal's width, or eighty columns where the output goes to a file.

    No markup and no emoji: a reason or a name may hold brackets and colons.
    """
    from rich.console import Console

    class Printer(Console):
        """rich's, but a pipe that was closed is an error of its own and no ``SystemExit``."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Printer(width=width, markup=False, emoji=False, highlight=False)


def check_least(options: object, least: Mapping[str, int]) -> None:
    """Check numbers that were given.

    Args:
        options: a command's.
        least: field → the smallest number that it may be, where it is not None.

    Raises:
        ArgumentError: one is smaller.
    """
    from ppo_lab.errors import ArgumentError

    for name, bound in least.items():
        number = getattr(options, name)
        if number is not None and number < bound:
            flag = name.replace("_", "-")
            raise ArgumentError(f"--{flag} {number}: expected at least {bound}")


def checked_jobs(jobs: int | None) -> int:
    """The number of worker processes: as given, or all cores.

    Raises:
        ArgumentError: below 1.
    """
    from ppo_lab.cores import usable_cores
    from ppo_lab.errors import ArgumentError

    if jobs is None:
        return usable_cores()
    if jobs < 1:
        raise ArgumentError(f"--jobs {jobs}: expected at least 1")
    return jobs


def checked_run_timeout(seconds: float | None) -> float | None:
    """The seconds that a run may take: as given, or None for no limit.

    Raises:
        ArgumentError: not above 0, or not finite; or this system has no timers.
    """
    from ppo_lab.errors import ArgumentError

    if seconds is None:
        return None
    if not 0 < seconds < float("inf"):
        raise ArgumentError(f"--run-timeout {seconds:g}: expected more than 0 seconds")
    if not hasattr(signal, "setitimer"):
        raise ArgumentError("--run-timeout: this system has no timers that end a process")
    return seconds


def writable_folder(log_folder: Path, name: str, flag: str) -> Path:
    """The folder ``log_folder/name``, made and tried.

    Args:
        log_folder: as given by ``--log-folder``.
        name: of the folder in it.
        flag: that gave the name, for the error.

    Raises:
        ArgumentError: not a plain file name, or nothing can be written there.
    """
    from ppo_lab.errors import ArgumentError
    from ppo_lab.runs.folder import check_writable

    if not re.fullmatch(r"\w[\w.\- ]*", name):
        raise ArgumentError(
            f"{flag} {name!r}: expected a plain file name of letters, digits, '-', '_', '.'"
        )
    folder = log_folder / name
    try:
        check_writable(folder)
    except OSError as error:
        raise ArgumentError(f"--log-folder {log_folder}: {error}") from error
    return folder


def _fail(program: str, message: str, code: int) -> int:
    print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
    return code
