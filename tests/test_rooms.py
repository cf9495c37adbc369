"""The rooms of the house: arrows of imports run downwards only, and in no circle (design.md)."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

HOME = Path(__file__).resolve().parents[1]
PACKAGES = ("envs", "ppo_lab", "reports", "tuning")

BOTTOM = {"ppo_lab.errors", "ppo_lab.interruption", "ppo_lab.cores"}
FORMULAS = {*BOTTOM, "ppo_lab.ppo"}
NAMES = {"ppo_lab.registry", "ppo_lab.environment_classes", "ppo_lab.environment_ids"}
STEPPING = {*BOTTOM, *NAMES, "envs", "ppo_lab.kernels", "ppo_lab.worlds"}
MODEL = {*FORMULAS, *STEPPING, "ppo_lab.vec_env", "ppo_lab.arguments", "ppo_lab.model_files"}
TRAINING = {*MODEL, "ppo_lab.exact", "ppo_lab.hyperparams", "ppo_lab.compiled", "ppo_lab.algorithm"}
TRAINING |= {"ppo_lab.multi_agent"}
READING = {"reports.text", "reports.whole_files", "reports.logs"}
REPORT = {*READING, "reports.statistics", "reports.content", "reports.output", "reports.report"}
MAY_IMPORT: dict[str, set[str]] = {
    "envs": set(),
    "ppo_lab": {"envs", "ppo_lab._packages", "ppo_lab._moved"},
    "ppo_lab._packages": set(),
    "ppo_lab._moved": set(),
    "ppo_lab.errors": set(),
    "ppo_lab.interruption": set(),
    "ppo_lab.cores": set(),
    "ppo_lab.registry": BOTTOM,
    "ppo_lab.environment_classes": BOTTOM,
    "ppo_lab.environment_ids": {*BOTTOM, "ppo_lab.registry", "ppo_lab.environment_classes"},
    "ppo_lab.ppo": BOTTOM,
    "ppo_lab.rnd": {"ppo_lab.ppo"},
    "ppo_lab.kernels": BOTTOM,
    "ppo_lab.model_files": BOTTOM,
    "ppo_lab.exact": {*FORMULAS, "envs"},
    "ppo_lab.coverage": {*FORMULAS, "envs"},
    "ppo_lab.hyperparams": {*FORMULAS, *READING, *NAMES},
    "ppo_lab.arguments": {*FORMULAS, "ppo_lab.registry"},
    "ppo_lab.worlds": {*BOTTOM, "ppo_lab.kernels", "envs"},
    "ppo_lab.vec_env": {*STEPPING, "ppo_lab.ppo"},
    "ppo_lab.compiled": {*FORMULAS, *STEPPING, "ppo_lab.vec_env", "ppo_lab.arguments"},
    "ppo_lab.algorithm": {*MODEL, "ppo_lab.compiled"},
    "ppo_lab.multi_agent": {*MODEL, "ppo_lab.compiled", "ppo_lab.algorithm"},
    "ppo_lab.recurrent": {*MODEL, "ppo_lab.compiled"},
    "ppo_lab.runs": {*TRAINING, *READING, "reports.statistics", "ppo_lab"},
    "ppo_lab.commands": {*TRAINING, *REPORT, "ppo_lab", "ppo_lab.runs"},
    "tuning": {
        *BOTTOM,
        *READING,
        "reports.statistics",
        "ppo_lab",
        "ppo_lab.registry",
        "ppo_lab.hyperparams",
        "ppo_lab.runs",
    },
    "reports": set(),
    "reports.text": set(),
    "reports.whole_files": set(),
    "reports.logs": {"reports.text"},
    "reports.statistics": {"reports.text"},
    "reports.content": {"reports.text", "reports.logs", "reports.statistics"},
    "reports.output": {"reports.text", "reports.statistics", "reports.content"},
    "reports.report": REPORT,
    "reports.verify": REPORT,
}
"""Room → the rooms below it that its files may import; the commands may import all."""
DOOR_NAMES = ("train", "evaluate", "compare", "tune", "report", "zoo", "warm_up", "__main__")
DOORS = {f"ppo_lab.{name}" for name in DOOR_NAMES}
DOORS |= {"ppo_lab.tune_across", "tuning.merge"}
NAMES_ONLY = {"ppo_lab/__init__.py"}
"""Whose exports are loaded when used: for a type checker alone does it import upwards."""


class Arrow(NamedTuple):
    """One import of ours by ours."""

    file: Path
    line: int
    source: str
    target: str


def modules() -> dict[str, Path]:
    """Every module of the four packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for file in sorted((HOME / package).rglob("*.py")):
            parts = file.relative_to(HOME).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def arrows(known: dict[str, Path]) -> Iterator[Arrow]:
    """Every import of one of these modules by another, wherever in the file it stands."""
    for source, file in known.items():
        if file.relative_to(HOME).as_posix() in NAMES_ONLY:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}:{node.lineno}: a relative import"
                parts = [f"{node.module}.{alias.name}" for alias in node.names]
                named = [part if part in known else str(node.module) for part in parts]
            else:
                continue
            for target in named:
                if target in known and target != source:
                    yield Arrow(file, node.lineno, source, target)


def room(module: str) -> str:
    """The room that a module lies in; a door's is its own name."""
    parts = module.split(".")
    for length in (2, 1):
        if (name := ".".join(parts[:length])) in MAY_IMPORT:
            return name if not (name == "ppo_lab" and len(parts) > 1) else module
    return module


KNOWN = modules()
ARROWS = list(arrows(KNOWN))


def is_door(module: str) -> bool:
    """Whether it is a command, which may use everything."""
    return module in DOORS


def test_every_file_lies_in_a_room() -> None:
    homeless = [name for name in KNOWN if room(name) not in MAY_IMPORT and not is_door(name)]
    assert homeless == []


def test_arrows_run_downwards_only() -> None:
    assert len(ARROWS) > 300
    wrong = [
        f"{arrow.file.relative_to(HOME)}:{arrow.line} imports {arrow.target}"
        for arrow in ARROWS
        if not is_door(arrow.source)
        and room(arrow.target) != room(arrow.source)
        and room(arrow.target) not in MAY_IMPORT[room(arrow.source)]
    ]
    assert not wrong, "\n".join(wrong)


def test_no_file_imports_itself_by_way_of_others() -> None:
    graph: dict[str, set[str]] = {}
    for arrow in ARROWS:
        graph.setdefault(arrow.source, set()).add(arrow.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_no_rooms_stand_in_a_circle() -> None:
    try:
        TopologicalSorter({name: below - {name} for name, below in MAY_IMPORT.items()}).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))
