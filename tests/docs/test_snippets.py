"""Every snippet in the documentation runs: Python blocks and commands, with smaller budgets."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.snippets import HOME, Snippet, pages, snippets
from tests.docs.budgets import RUN_ELSEWHERE, check_extras, smaller

NAMES = [page.relative_to(HOME).as_posix() for page in pages()]


@pytest.mark.slow
def test_every_snippet_of_the_documentation_runs(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "tests.docs.driver", str(tmp_path), *NAMES],
        cwd=HOME,
        env={**os.environ, "PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    results = json.loads(answer.stdout.splitlines()[-1])
    failed = [f"{r['page']}:{r['line']}\n{r['output']}" for r in results if r["code"]]
    assert not failed, "\n".join(failed)
    ran = {r["page"]: r["ran"] for r in results}
    for name in ("README.md", "docs/your_own.md", "docs/migration.md"):
        assert ran[name] > 2, name


def test_a_page_that_runs_elsewhere_is_named_there() -> None:
    for page, test in RUN_ELSEWHERE.items():
        assert page in (HOME / test).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_fences_close_have_one_word_and_give_reasons(name: str) -> None:
    text = (HOME / name).read_text(encoding="utf-8")
    fences = re.findall(r"^ *```(.*)$", text, re.MULTILINE)
    assert len(fences) == 2 * len(snippets(HOME / name)), "a fence is not closed"
    # MkDocs takes a fence with more words for plain text.
    assert all(re.fullmatch(r"\w*", words) for words in fences)
    for block in snippets(HOME / name):
        assert block.kind != "not run" or len(block.word.split()) > 2, "say why it is not run"
        assert block.kind != "source" or block.language == "python"


@pytest.mark.parametrize("name", NAMES)
def test_every_program_and_file_that_a_page_names_exists(name: str) -> None:
    text = (HOME / name).read_text(encoding="utf-8")
    for module in re.findall(r"python -m ((?:ppo_lab|benchmarks|docs)[\w.]*)", text):
        path = HOME / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__init__.py").exists(), module
    for file in re.findall(
        r"\b(?:benchmarks|docs|tests|ppo_lab|envs|tuning|reports)/[\w/]+\.\w+", text
    ):
        assert (HOME / file).exists(), file


def test_commands_are_read_as_a_shell_reads_them() -> None:
    block = Snippet("page", 1, "bash", 'python -m a --x \\\n  "b c" && python -m d  # why\n')
    assert block.commands == [["python", "-m", "a", "--x", "b c"], ["python", "-m", "d"]]
    typed = Snippet("page", 1, "console", "$ python -m a\nits output\n")
    assert typed.commands == [["python", "-m", "a"]]


def test_a_command_without_a_smaller_budget_has_to_say_why_it_is_not_run() -> None:
    assert smaller(["python", "-m", "ppo_lab.evaluate", "RUN"])[-2:] == ["--episodes", "2"]  # type: ignore[index]
    for words in (["curl", "x"], ["python", "-m", "http.server"]):
        with pytest.raises(ValueError, match=words[-1] if words[0] == "python" else "curl"):
            smaller(words)


def test_an_extra_that_does_not_exist_is_found() -> None:
    check_extras(["python", "-m", "pip", "install", "-e", ".[dev]"])
    with pytest.raises(ValueError, match="nothing"):
        check_extras(["pip", "install", "ppo-lab[zoo,nothing]"])
