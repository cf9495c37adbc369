"""A run that somebody watches: told of every evaluation, stopped at one of them.

Without SB3 and torch: what starts the runs needs only these names.
"""

from collections.abc import Callable

__all__ = ["StoppedError", "Watcher"]

Watcher = Callable[[int, float], str | None]
"""Called after each evaluation with the steps and the score; a reason to stop stops the run."""


class StoppedError(Exception):
    """A run is stopped by its watcher: (reason, score, steps)."""
