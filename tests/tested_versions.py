"""Which versions passed: pins them in ``constraints.txt``, and says on which day in the README.

``python -m tests.tested_versions`` runs every check here and then writes down what is installed.
"""

import datetime
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["HOME", "constraints", "main", "pinned", "stamp"]

HOME = Path(__file__).resolve().parent.parent
PROJECT = "ppo-lab"
LEFT_TO_THE_USER = frozenset({"torch", "pip", "setuptools", "wheel"})
"""Never pinned, nor what only they require: a user's own torch stays as it is, and works."""
TESTED = "<!-- tested versions -->\n{}\n<!-- /tested versions -->"


def pinned(
    project: str = PROJECT, requires: Callable[[str], Iterable[str]] | None = None
) -> dict[str, str]:
    """The installed distributions that a project and its extras require, and their versions.

    Args:
        project: the distribution to start from.
        requires: a distribution's requirements as ``Requires-Dist`` has them; None: of those
            installed.

    Returns:
        Canonical name → version, in alphabetical order; without the project, and without what is
        reached only by way of what is left to the user.
    """
    requires = requires or (lambda name: metadata.requires(name) or ())
    extras: dict[str, set[str]] = {canonicalize_name(project): set(_extras(requires(project)))}
    waiting, versions = [canonicalize_name(project)], {}
    while waiting:
        name = waiting.pop()
        for requirement in map(Requirement, requires(name)):
            child = canonicalize_name(requirement.name)
            wanted = ({"extra": extra} for extra in ("", *extras[name]))
            marker = requirement.marker
            if child in LEFT_TO_THE_USER or not (
                marker is None or any(marker.evaluate(environment) for environment in wanted)
            ):
                continue
            try:
                versions[child] = metadata.version(child).partition("+")[0]
            except metadata.PackageNotFoundError:
                continue  # an extra that this environment goes without
            if not requirement.extras | {""} <= extras.get(child, set()):
                extras[child] = extras.get(child, set()) | requirement.extras | {""}
                waiting.append(child)
    versions.pop(canonicalize_name(project), None)
    return dict(sorted(versions.items()))


def _extras(requirements: Iterable[str]) -> Iterable[str]:
    for requirement in map(Requirement, requirements):
        yield from re.findall(r"extra == \"([^\"]+)\"", str(requirement.marker or ""))


def constraints(versions: dict[str, str], day: str, python: str) -> str:
    """The text of ``constraints.txt``."""
    head = (
        f"# What passed every check on {day} with Python {python}; written by\n"
        "# python -m tests.tested_versions. torch is not among them: yours stays.\n"
    )
    return head + "".join(f"{name}=={version}\n" for name, version in versions.items())


def stamp(readme: str, row: str, day: str, python: str, torch: str) -> str:
    """A README's text with today's day in one row of its table of tested versions.

    Args:
        readme: the text, with the table between its marks.
        row: how the row begins; it is added where there is none of it for this Python.
        day: ISO 8601.
        python: version of the interpreter.
        torch: version of PyTorch.
    """
    begin, end = TESTED.split("\n{}\n")
    head, _, rest = readme.partition(begin)
    table, _, tail = rest.partition(end)
    minor = ".".join(python.split(".")[:2])
    lines = [
        line for line in table.strip().splitlines() if not line.startswith(f"| {row} | {minor}.")
    ]
    rows = sorted([*lines[2:], f"| {row} | {python} | {torch} | {day} |"])
    return head + TESTED.format("\n".join([*lines[:2], *rows])) + tail


def record(row: str, python: str, torch: str) -> None:
    """Put today into the README's table."""
    readme = HOME / "README.md"
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    text = stamp(readme.read_text(encoding="utf-8"), row, today, python, torch)
    readme.write_text(text, encoding="utf-8")


def main() -> int:
    """Run the command; the exit code of the checks."""
    code = subprocess.run((sys.executable, "-m", "tests"), cwd=HOME, check=False).returncode
    if code == 0:
        today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        python = platform.python_version()
        # Another Python's environment passed with the very versions that are pinned already.
        if "--only-stamp" not in sys.argv:
            text = constraints(pinned(), today, python)
            (HOME / "constraints.txt").write_text(text, encoding="utf-8")
        record("`constraints.txt`", python, metadata.version("torch"))
    return code


if __name__ == "__main__":
    sys.exit(main())
