"""Bring the tables of docs/commands.md up to date: ``python -m docs.spellings``."""

import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from ppo_lab.commands.spellings import ANSWERS, HUB, KINDS, PLOTS, REPLACED, SYNONYMS

PAGE = Path(__file__).parent / "commands.md"
MARKS = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- /\2 -->)", re.DOTALL)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def names() -> str:
    """One row a flag: its names, and the commands that have it."""
    rows = []
    for row in SYNONYMS:
        having = [
            command
            for command, kind in KINDS.items()
            if {f"--{field.name.replace('_', '-')}" for field in fields(kind)} & set(row)
        ]
        if having:
            rows.append((_code(row), ", ".join(having)))
    for (command, flag), ours in REPLACED.items():
        rows.append(
            (f"`{flag}`, here {_code((' '.join(ours),)) if ours else 'so anyway'}", command)
        )
    return _table(("one flag", "of"), rows)


def answers() -> str:
    """One row a flag of the zoo's that has another way here."""
    rows = []
    for flag, answer in ANSWERS.items():
        said = {"": answer} if isinstance(answer, str) else answer
        for command, text in said.items():
            where = command if command in KINDS else ""
            rows.append((f"`{flag}`", where, text))
    rows += [
        (_code(names), "report", f"in the zoo's plots {names[0]} {said}") for *names, said in PLOTS
    ]
    hub = "in the zoo for the Hugging Face Hub, which no command here sends to"
    return _table(("flag", "of", "what is said"), [*rows, (_code(HUB), "", hub)])


def page(text: str) -> str:
    """The page with its tables as the commands have them."""
    made = {"names": names(), "answers": answers()}
    return MARKS.sub(lambda found: f"{found[1]}\n{made[found[2]]}\n{found[3]}", text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
