"""Command lines: a parser whose errors are one line, and whose flags answer to other spellings."""

import argparse
import difflib
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ppo_lab.commands.spellings import answer_for, in_our_words, other_spellings
from ppo_lab.hyperparams.numbers import whole_number

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")

__all__ = ["CommandParser", "add_environment_flags", "any_case", "parse", "whole"]

USAGE = 2
IDLE_FLAGS = (
    *("--jobs", "--log-folder", "--storage", "--grace", "--cluster", "--cpus-per-run"),
    *("--gpus-per-run", "--explain", "--plots", "--progress", "--verbose", "--track"),
    *("--wandb-project-name", "--wandb-entity", "--wandb-group", "--wandb-tags"),
)
"""Flags that change no number; one of them may hold a password. A report shows none of them."""
WIDEST = 100
"""Columns of a help text, on however wide a screen."""


def whole(text: str) -> int:
    """Type of argparse's for whole numbers: ``100000``, ``100_000`` or ``1e5``."""
    try:
        return whole_number(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected a whole number, such as 10000, 10_000 or 1e4"
        ) from None


def any_case(text: str) -> str:
    """Type of argparse's for words with ``choices``: in any letters."""
    return text.lower()


class Given(argparse.Action):
    """argparse's own action, but that several values given twice are all taken.

    argparse forgets the first of ``-P n_steps:32 -P batch_size:32`` without a word.
    """

    def __call__(self, _parser: Any, namespace: Any, values: Any, _flag: Any = None) -> None:
        """Store them; beside those of an earlier flag where there may be several."""
        earlier = getattr(namespace, self.dest, None)
        if isinstance(values, list) and isinstance(earlier, list) and earlier is not self.default:
            values = earlier + values
        setattr(namespace, self.dest, values)


class CommandParser(argparse.ArgumentParser):
    """argparse with other spellings, and errors of one line: ``ppo_lab.tune: …``.

    Args:
        kind: the options' class, whose fields are the flags; None: only what is added.
        examples: what a command line does, and the command line, for the end of the help.
        note: a paragraph after the description.
        **settings: of argparse.
    """

    _words: Sequence[str] = ()

    def __init__(
        self,
        kind: "type[DataclassInstance] | None" = None,
        examples: Sequence[tuple[str, str]] = (),
        note: str = "",
        **settings: Any,
    ) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**settings)
        self.register("action", None, Given)
        self._is_ours = kind is not None
        self._flags = {"-h", "--help", "--version"}
        for entry in () if kind is None else fields(kind):
            self._flags.add(f"--{entry.name.replace('_', '-')}")
        if "--hyperparams" in self._flags:
            self._flags.add("-P")
        self._command = self.prog.split()[-1].rpartition(".")[2]
        width = min(WIDEST, shutil.get_terminal_size().columns - 2)
        paragraphs = (str(self.description or ""), note)
        self.description = "\n\n".join(textwrap.fill(each, width) for each in paragraphs if each)
        if examples:
            shown = "\n".join(f"  # {what}\n  {line}" for what, line in examples)
            spellings = other_spellings(self._flags, self._command)
            also = f"RL Zoo's spellings, and other commands': {spellings}." if spellings else ""
            self.epilog = (
                f"examples:\n{shown}\n\n{textwrap.fill(also, width, break_on_hyphens=False)}"
            )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse; takes other spellings, and keeps the words, whose secrets stay unshown."""
        self._words = sys.argv[1:] if args is None else list(args)
        words = list(self._words)
        if self._is_ours:
            words = in_our_words(words, self._command, self._flags)
            answer = answer_for(words, self._command, self._flags)
            if answer is not None:
                self.error(answer)
        return super().parse_known_args(words, namespace)

    @property
    def command(self) -> tuple[str, ...]:
        """The last command line as a report shows it: without secrets and idle flags."""
        from ppo_lab.runs.storage_url import words_without_passwords

        kept, idle = [], False
        for word in words_without_passwords(self._words):
            if re.match(r"-+[A-Za-z]", word):
                idle = self._full_name(word) in IDLE_FLAGS
            if not idle:
                kept.append(word)
        return (*self.prog.split(), *kept)

    def _full_name(self, word: str) -> str:
        """The command's own name of a flag, which may be called otherwise or be cut short."""
        named = in_our_words([word], self._command, self._flags) or [word]
        flag = named[0].partition("=")[0]
        flag = re.sub("^--no-(?=progress)", "--", flag)
        longer = [own for own in self._flags if own.startswith(flag)]
        return longer[0] if flag not in self._flags and len(longer) == 1 else flag

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        from ppo_lab.runs.storage_url import words_without_passwords

        for word, shown in zip(self._words, words_without_passwords(self._words), strict=True):
            if word != shown:
                parts = zip(word.partition("="), shown.partition("="), strict=True)
                for given, instead in ((word, shown), *parts):
                    if given and given != instead:
                        message = message.replace(given, instead)
                        message = message.replace(repr(given)[1:-1], instead)
        program = self.prog.split()[-1]
        line = " ".join(f"{program}: {message}{self._meant(message)}".split())
        self.exit(USAGE, f"{line} (--help lists the flags)\n")

    def _meant(self, message: str) -> str:
        """The flags that are like one that there is not, as a message's end."""
        unknown = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        alike = difflib.get_close_matches(unknown[1], sorted(self._flags), n=2) if unknown else []
        return f"; closest: {', '.join(alike)}" if alike else ""


def parse(
    parser: argparse.ArgumentParser, kind: type[Options], arguments: Sequence[str] | None
) -> Options:
    """A command line as the options of its command.

    Args:
        parser: has a destination for every field, and no other.
        kind: the options' class.
        arguments: the command line without the program; None: ``sys.argv``.

    Raises:
        TypeError: the parser's destinations and the fields differ.
        SystemExit: as of argparse.
    """
    given = vars(parser.parse_args(arguments))
    differing = given.keys() ^ {field.name for field in fields(kind)}
    if differing:
        raise TypeError(f"{kind.__name__} and its parser differ in {', '.join(sorted(differing))}")
    return kind(**given)


def add_environment_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of :class:`~ppo_lab.commands.options.EnvironmentOptions`."""
    add = parser.add_argument_group("environments").add_argument
    add(
        "--env-kwargs",
        nargs="+",
        metavar="NAME:VALUE",
        help="arguments of gymnasium.make (default: the settings')",
    )
    add(
        "--eval-env-kwargs",
        nargs="+",
        metavar="NAME:VALUE",
        help="those of the evaluation's environments, on top (default: the same)",
    )
    add(
        "--wrapper",
        nargs="+",
        metavar="MODULE:CLASS",
        help="wrappers around each, the innermost first (default: the settings')",
    )
    add(
        "--frame-stack",
        type=whole,
        metavar="N",
        help="observations stacked (default: the settings')",
    )
    add(
        "--normalize",
        metavar="true|false|dict(…)",
        help="VecNormalize, or its arguments (default: the settings')",
    )
    add(
        "--vec-env",
        type=any_case,
        choices=("dummy", "subproc", "pool", "auto", "vector", "envpool"),
        help="step the training's in this process, in one process each, several in a process; "
        "auto: the first or the last of these, by what a step takes; vector: as Gymnasium's vector "
        "environment; envpool: in C++ by that package (default: the settings', else dummy)",
    )
    add(
        "--env-packages",
        nargs="+",
        default=[],
        metavar="PACKAGE",
        help="packages that register environments, and whose code settings may name",
    )
    add(
        "--mask-actions",
        action="store_true",
        default=None,
        help="spec_ppo acts and learns under the masks of the environments' action_masks(), as "
        "ppo_mask always does (default: the settings decide)",
    )
    add(
        "--device",
        default="auto",
        help="where networks are trained: SB3's cpu, cuda, cuda:1, …; auto: the CPU for MLP "
        "policies, a GPU for images if there is one (default: auto)",
    )
