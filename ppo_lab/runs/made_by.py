"""Noting the commands that make runs, beside them, for whoever reports on them later."""

from collections.abc import Sequence
from pathlib import Path

from reports.logs.made_by import MADE_BY, MAX_COMMANDS, is_command, made_by_text, read_made_by
from reports.logs.records import Command, UnusableError
from reports.whole_files import write_whole

__all__ = ["note_command", "noted_commands"]


def note_command(folder: Path, command: Command, earlier: Sequence[Command] = ()) -> None:
    """Note a command in a folder of runs, after those that were noted before.

    Args:
        folder: of the runs; made where it is missing.
        command: the command; one that cannot be shown as it is (a line break) is not noted.
        earlier: the commands before it; one that is there already keeps its place, also where its
            flags now come in another order.

    Raises:
        OSError: the folder cannot be written to.
    """
    if not is_command(command):
        return
    noted = list(dict.fromkeys(earlier))
    is_new = sorted(command) not in map(sorted, noted)
    commands = [*noted, *([command] if is_new else [])][-MAX_COMMANDS:]
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / MADE_BY, made_by_text(commands))


def noted_commands(folder: Path) -> tuple[Command, ...]:
    """The commands that a folder notes; none where it notes none, or its note is damaged."""
    try:
        return read_made_by(folder / MADE_BY)
    except UnusableError:
        return ()
