"""The tutorial's notebook is the tutorial (docs/tutorial.md), and executes."""

import json
import shlex
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from docs.notebook import NOTEBOOK, notebook
from docs.snippets import HOME, Snippet
from tests.docs.budgets import smaller

# Commands run in the kernel itself, where everything is imported once.
FIRST_CELL = """
from IPython import get_ipython
from docs.snippets import Snippet
from tests.docs.budgets import learning_little
from tests.docs.driver import run_command

def bash(line, cell):
    for words in Snippet("", 0, "bash", cell).commands:
        try:
            run_command(words)
        except SystemExit as end:
            if end.code:
                raise RuntimeError(f"{words} ended with {end.code}") from end

get_ipython().register_magic_function(bash, "cell", "bash")
learning_little().__enter__()
"""


def with_smaller_budgets(source: str) -> str:
    if not source.startswith("%%bash\n"):
        return source
    commands = Snippet("", 0, "bash", source.removeprefix("%%bash\n")).commands
    return "%%bash\n" + "\n".join(shlex.join(smaller(words) or []) for words in commands)


def test_the_notebook_is_the_tutorial() -> None:
    stored = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert stored == notebook(), "python -m docs.notebook writes it anew"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_notebook_executes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert len(cells) > 8
    for cell in cells:
        cell.source = with_smaller_budgets(cell.source)
    book.cells.insert(0, nbformat.v4.new_code_cell(FIRST_CELL))
    monkeypatch.setenv("PYTHONPATH", str(HOME))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    printed = "".join(
        output.get("text", "") for cell in done.cells for output in cell.get("outputs", ())
    )
    assert "mean return" in printed
    assert (tmp_path / "report" / "report.json").exists()
