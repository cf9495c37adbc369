"""``made_by.json``: the commands that made the runs of a folder, noted beside them, in their order.

A command is its words, so that a shell's quoting of them is the reader's own, and nothing that
somebody wrote into the file can become a second command.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from reports.logs.reading import read_json
from reports.logs.records import Command, UnusableError

MADE_BY = "made_by.json"
FORMAT = 1
MAX_COMMANDS = 100
"""Of a folder; of more the last ones are kept."""
MAX_CHARACTERS = 10_000
"""Of a command."""
DOORS = ("ppo_lab.train", "ppo_lab.compare", "ppo_lab.tune")


def read_made_by(file: Path) -> tuple[Command, ...]:
    """Read a file that :func:`made_by_text` made.

    Raises:
        UnusableError: it is none, or damaged, or holds what is no command of PPO Lab's; names no
            absolute path.
    """
    record = read_json(file)
    commands = record.get("commands")
    if record.get("format") != FORMAT or not isinstance(commands, list):
        raise UnusableError(f"{file.name} is damaged")
    if len(commands) > MAX_COMMANDS:
        raise UnusableError(f"{file.name} holds more than {MAX_COMMANDS} commands")
    return tuple(_command(entry, file.name) for entry in commands)


def _command(entry: object, name: str) -> Command:
    if not isinstance(entry, list) or not all(isinstance(word, str) for word in entry):
        raise UnusableError(f"{name} is damaged")
    if not is_command(entry):
        raise UnusableError(f"{name} holds what is no command of {', '.join(DOORS)}")
    return tuple(entry)


def is_command(words: Sequence[str]) -> bool:
    """Whether words are a command of ours, and what is shown of it is what is copied."""
    begins = len(words) >= 3 and list(words[:2]) == ["python", "-m"] and words[2] in DOORS
    within = sum(map(len, words)) <= MAX_CHARACTERS
    return begins and within and all(word.isprintable() for word in words)


def made_by_text(commands: Sequence[Command]) -> str:
    """The file's text."""
    return json.dumps({"format": FORMAT, "commands": commands}, indent=1) + "\n"
