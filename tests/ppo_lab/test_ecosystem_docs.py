"""docs/drop_in_tests.md names tests that exist."""

import ast
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "drop_in_tests.md"


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`(test_\w+)::(test_\w+)`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 25
    for file, test in named:
        tree = ast.parse(Path(__file__).with_name(f"{file}.py").read_text(encoding="utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert test in defined, f"{file}::{test}"


def test_every_row_of_the_page_names_its_test() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|")][2:]
    assert all("::test_" in row for row in rows)
