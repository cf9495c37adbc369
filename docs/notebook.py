"""The tutorial as a notebook: ``python -m docs.notebook`` writes ``docs/tutorial.ipynb`` anew.

Python blocks become cells, commands become ``%%bash`` cells, which stop the notebook where one
fails; what the page shows of their output is left out. A test compares the two.
"""

import json
import re
from typing import Any

from docs.snippets import BLOCK, HOME

PAGE = HOME / "docs" / "tutorial.md"
NOTEBOOK = PAGE.with_suffix(".ipynb")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KEEP = re.compile(r"^<!-- keep: [^\n]* -->\n", re.MULTILINE)
OUTPUTS = re.compile(r"The outputs are of these\nvery commands .*?tutorial\.ipynb\)\.", re.DOTALL)


def notebook() -> dict[str, Any]:
    """The notebook's content, without outputs."""
    text = KEEP.sub("", PAGE.read_text(encoding="utf-8"))
    text = OUTPUTS.sub("The same as a page: [tutorial.md](tutorial.md).", text)
    cells, end = [], 0
    for block in BLOCK.finditer(text):
        if "-m pip" in block["text"]:
            continue  # stays to be read: it belongs before the notebook
        cells.append(_cell("markdown", text[end : block.start()], len(cells)))
        cells.append(_cell("code", _code(block["language"], block["text"]), len(cells)))
        end = block.end()
    cells.append(_cell("markdown", text[end:], len(cells)))
    return {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}


def _code(language: str, text: str) -> str:
    if language == "python":
        return text
    if language == "console":
        text = "".join(line[2:] for line in re.findall(r"^\$ (?:.*\\\n)*.*\n", text, re.MULTILINE))
    return f"%%bash\n{text}"


def _cell(kind: str, text: str, number: int) -> dict[str, Any]:
    source = text.strip("\n").splitlines(keepends=True)
    cell: dict[str, Any] = {
        "cell_type": kind,
        "id": f"cell-{number}",
        "metadata": {},
        "source": source,
    }
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def main() -> None:
    """Write it."""
    content = json.dumps(notebook(), indent=1, ensure_ascii=False)
    NOTEBOOK.write_text(f"{content}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
