"""Keep the source that pages quote equal to the source: ``python -m docs.quoted_code``.

A ``python`` block under ``<!-- source: ROOM.MODULE.NAME -->`` is that function or method of
``ppo_lab``, without its docstring. This rewrites the blocks; a test says where one has drifted.
"""

import ast
import re
import textwrap
from functools import cache
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
QUOTED = re.compile(r"(?<=<!-- source: )(?P<name>[\w.]+) -->\n```python\n.*?^```$", re.S | re.M)


@cache
def _module(name: str) -> tuple[list[str], ast.Module]:
    file = HOME.joinpath("ppo_lab", *name.split(".")).with_suffix(".py")
    text = file.read_text(encoding="utf-8")
    return text.splitlines(), ast.parse(text)


def source(name: str) -> str:
    """The source of ``room.module.function`` or ``module.Class.method``, without its docstring.

    Raises:
        LookupError: there is none.
    """
    parts = name.split(".")
    depth = 1 if (HOME / "ppo_lab" / f"{parts[0]}.py").exists() else 2
    lines, node = _module(".".join(parts[:depth]))
    found: ast.AST = node
    for part in parts[depth:]:
        inside = [n for n in getattr(found, "body", []) if getattr(n, "name", None) == part]
        if not inside:
            raise LookupError(f"ppo_lab.{name} does not exist")
        (found,) = inside
    assert isinstance(found, ast.FunctionDef)
    kept = lines[found.lineno - 1 : found.end_lineno]
    if ast.get_docstring(found) is not None:
        docstring = found.body[0]
        del kept[docstring.lineno - found.lineno : docstring.end_lineno - found.lineno + 1]  # type: ignore[operator]
    return textwrap.dedent("\n".join(kept))


def with_quotes(text: str) -> str:
    """The page with every quoted block as the source now has it."""
    return QUOTED.sub(
        lambda found: f"{found['name']} -->\n```python\n{source(found['name'])}\n```", text
    )


def main() -> None:
    """Rewrite every page that quotes."""
    for page in sorted((HOME / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if text != with_quotes(text):
            page.write_text(with_quotes(text), encoding="utf-8")
            print(page.relative_to(HOME))


if __name__ == "__main__":
    main()
