"""What the README's commands install is pinned, but for torch, which stays the user's."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.tested_versions import HOME, constraints, pinned, stamp

PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = (HOME / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINS = dict(line.split("==") for line in LINES if not line.startswith("#"))
TABLE = "# PPO\n<!-- tested versions -->\n| a | b |\n|:--|\n{}<!-- /tested versions -->\nend\n"


def test_every_dependency_but_torch_is_pinned_to_a_version_that_its_open_range_admits() -> None:
    named = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    for requirement in map(Requirement, named):
        name = canonicalize_name(requirement.name)
        if name == "ppo-lab":
            continue
        if name == "torch":
            assert "==" not in str(requirement.specifier)
        else:
            assert requirement.specifier.contains(PINS[name]), name


@pytest.mark.parametrize("name", ["torch", "sympy", "triton", "pip", "setuptools", "ppo-lab"])
def test_a_users_torch_and_what_only_it_requires_are_left_alone(name: str) -> None:
    assert name not in PINS
    assert not any(pin.startswith("nvidia") for pin in PINS)


def test_both_commands_and_so_ci_install_by_the_constraints() -> None:
    readme = (HOME / "README.md").read_text(encoding="utf-8")
    for mark in ("main", "test"):
        found = re.search(rf"<!-- {mark} command -->\n```bash\n(.*?)```", readme, re.DOTALL)
        assert found
        assert "pip install -c constraints.txt" in found[1]
        # In a pattern of its own: only where there is no torch may one be named.
        assert found[1].startswith("python -m pip show -q torch || ")


def test_what_is_pinned_is_reached_without_torch() -> None:
    graph = {
        "house": ["pytest>=1", 'rich; extra == "wall"', "torch>=2", 'numpy; python_version<"3"'],
        "pytest": ["pluggy", 'mypy; extra == "dev"'],
        "torch": ["sympy"],
    }
    versions = pinned("house", lambda name: graph.get(name, ()))
    # rich by its extra, pluggy through pytest; not mypy (an extra nobody asked for), not sympy
    # (torch's), not numpy (another Python's).
    assert list(versions) == ["pluggy", "pytest", "rich"]
    text = constraints(versions, "2026-01-02", "3.11.7")
    assert text.splitlines()[-1] == f"rich=={versions['rich']}"
    assert "2026-01-02 with Python 3.11.7" in text


def test_a_day_replaces_the_row_of_the_same_versions_and_python_only() -> None:
    before = TABLE.format("| x | 3.11.1 | 2.5 | 2025-01-01 |\n| x | 3.12.1 | 2.5 | 2025-01-01 |\n")
    after = stamp(before, "x", "2026-02-03", "3.11.9", "2.13")
    assert after == TABLE.format(
        "| x | 3.11.9 | 2.13 | 2026-02-03 |\n| x | 3.12.1 | 2.5 | 2025-01-01 |\n"
    )
