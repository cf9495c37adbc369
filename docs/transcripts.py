"""Run the commands of a page and put what they print under them: ``python docs/transcripts.py``.

A page's ``console`` block holds commands (``$ …``) and their output. A comment before the block,
``<!-- keep: REGEX -->``, names the lines of the output that stay; without one, all do. The
commands of a page run in one temporary folder, in their order.
"""

import os
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

DOCS = Path(__file__).parent
PAGES = ("zoo.md", "train.md", "tutorial.md")
PACKAGES = re.compile(r"/\S*/site-packages/")
BLOCK = re.compile(
    r"(?:<!-- keep: (?P<keep>[^\n]*) -->\n)?```console\n(?P<text>.*?)```\n", re.DOTALL
)


def commands_of(block: str) -> list[str]:
    """The command lines of a block, continued lines joined."""
    joined = block.replace("\\\n", "")
    return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]


def command_texts(block: str) -> list[str]:
    """The commands of a block as they stand in the page, with their continued lines."""
    return re.findall(r"^\$ (?:.*\\\n)*.*\n", block, re.MULTILINE)


def output_of(command: str, folder: Path) -> str:
    """What a command prints, both streams in their order.

    Raises:
        RuntimeError: it fails.
    """
    words = re.sub(r"^python ", f"{sys.executable} ", command)
    paths = f"{DOCS.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    answer = subprocess.run(
        words,
        shell=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "MPLBACKEND": "agg", "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise RuntimeError(f"{command}\n{answer.stdout}")
    return answer.stdout


def without_places(output: str, folder: Path) -> str:
    """The output without the folders of the machine that made it."""
    for place in (folder, DOCS.parent):
        output = output.replace(f"{place}/", "")
    return PACKAGES.sub("", output)


def fill(block: re.Match[str], folder: Path) -> str:
    """The block with its commands' output."""
    keep = block["keep"]
    parts = []
    for shown, command in zip(
        command_texts(block["text"]), commands_of(block["text"]), strict=True
    ):
        print("$", command, flush=True)
        lines = without_places(output_of(command, folder), folder).splitlines()
        kept = [line.rstrip() for line in lines if keep is None or re.search(keep, line)]
        parts.append(shown + "".join(f"{line}\n" for line in kept))
    comment = f"<!-- keep: {keep} -->\n" if keep else ""
    return f"{comment}```console\n{''.join(parts)}```\n"


def main() -> None:
    """Rewrite the pages named on the command line, or every one."""
    for name in sys.argv[1:] or PAGES:
        page = DOCS / name
        text = page.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            text = BLOCK.sub(partial(fill, folder=Path(folder)), text)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
