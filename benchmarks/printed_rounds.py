"""The frame of a benchmark of CPU time in rounds: its arguments, where it ran, its page."""

import argparse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.machine import described
from benchmarks.page_marks import Printed

__all__ = ["printed_rounds"]


@contextmanager
def printed_rounds(
    words: str, mark: str, packages: Iterable[str] = ()
) -> Iterator[tuple[Printed, int]]:
    """Ask for ``--rounds`` and ``--write``, print the machine, and write the page at the end.

    Args:
        words: the benchmark's documentation, whose first line ``--help`` shows.
        mark: between which of a page's marks it is written.
        packages: whose versions are told beside those of all benchmarks.

    Yields:
        What prints a line, and the number of rounds; torch has one thread.
    """
    parser = argparse.ArgumentParser(description=words.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put it on this page too")
    options = parser.parse_args()
    import torch as th

    th.set_num_threads(1)
    say = Printed()
    for line in described(packages):
        say(line)
    yield say, options.rounds
    say.write(options.write, mark)
