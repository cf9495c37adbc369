"""``python -m tuning.merge``: put tuned settings into a file of many environments' settings."""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from ppo_lab.commands.shared import CommandParser, parse, run_command
from ppo_lab.errors import ArgumentError
from reports.logs.reading import YamlError, plain_yaml
from reports.logs.records import UnusableError
from reports.whole_files import write_whole

__all__ = ["main", "merged"]

PROGRAM = "tuning.merge"
PACKAGED = Path(__file__).resolve().parent.parent / "ppo_lab" / "hyperparams" / "spec_ppo.yml"


class _WrittenOut(yaml.SafeDumper):
    """Every environment written out, so that one can change without another that names it."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def merged(known: str, tuned: Mapping[str, str]) -> str:
    """One text of settings with those of other texts in place of its own.

    Environments keep their order, and new ones follow. An environment that is not among the tuned
    keeps its values and the comment above it; anchors and merge keys are written out. A tuned one
    has its own text's comments.

    Args:
        known: YAML in RL Zoo's format, comments above its environments.
        tuned: where it comes from → YAML of the same format.

    Raises:
        ArgumentError: a text is no such YAML, or an environment is tuned twice.
    """
    settings = dict(_settings(known, "the file to merge into"))
    opening, comments = _comments(known)
    sources: dict[str, str] = {}
    for source, text in tuned.items():
        header, _ = _comments(text)
        for env, values in _settings(text, source).items():
            if env in sources:
                raise ArgumentError(f"{env} is tuned in {sources[env]} and in {source}: choose one")
            sources[env] = source
            settings[env], comments[env] = values, header
    parts = [opening] if opening else []
    for env, values in settings.items():
        body = yaml.dump({env: values}, Dumper=_WrittenOut, sort_keys=False, allow_unicode=True)
        parts.append(comments.get(env, "") + body)
    return "\n".join(parts)


def _settings(text: str, source: str) -> Mapping[str, Mapping[str, Any]]:
    try:
        content = plain_yaml(text, source, aliases=True)
    except YamlError as error:
        place = f" ({error.place})" if error.place else ""
        raise ArgumentError(f"{source} is no YAML: {error.problem}{place}") from error
    except UnusableError as error:
        raise ArgumentError(str(error)) from error
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise ArgumentError(f"{source}: expected environment ids with their settings")
    return content


def _comments(text: str) -> tuple[str, dict[str, str]]:
    """The comment that opens the text, and the comments right above environments."""
    opening, above = "", {}
    gathered: list[str] = []
    begun = False
    for line in text.splitlines():
        if line.startswith("#"):
            gathered.append(line)
        elif not line.strip() and not begun and gathered:
            opening, gathered = _lines(gathered), []
        elif key := re.match(r"""["']?([^\s#"']+)["']?:""", line):
            above[key[1]] = _lines(gathered)
            gathered, begun = [], True
    return opening, above


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True)
class MergeOptions:
    """Of ``tuning.merge``."""

    tuned: Sequence[Path]
    into: Path


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog=f"python -m {PROGRAM}",
        description="Put the settings that python -m ppo_lab.tune found into a file that holds "
        "those of many environments, in RL Zoo's format.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("tuned", nargs="+", type=Path, help="<algo>.yml of a study's folder")
    parser.add_argument("--into", type=Path, default=PACKAGED, help="the file that is changed")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default ``sys.argv``'s; the exit codes are ``run_command``'s."""
    options = parse(_parser(), MergeOptions, arguments)
    return run_command(PROGRAM, partial(_merge, options))


def _merge(options: MergeOptions) -> None:
    texts = {str(path): _read(path) for path in options.tuned}
    write_whole(options.into, merged(_read(options.into), texts))
    envs = [env for source, text in texts.items() for env in _settings(text, source)]
    print(f"{options.into} has the settings of {', '.join(envs)}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ArgumentError(f"{path}: not a text in UTF-8") from error


if __name__ == "__main__":
    sys.exit(main())
