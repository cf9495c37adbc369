"""What a command shows while its runs are made."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from ppo_lab.runs.execution import RunResult
from ppo_lab.runs.executor import Executor

__all__ = ["StageProgress"]

SILENCE_SECONDS = 60.0
"""After so long without a result it is said what is running."""


class StageProgress:
    """A bar with rate and remaining time for each stage; plain lines where there is no terminal.

    Args:
        console: where it is shown.
        interval: seconds between two plain lines.
    """

    def __init__(self, console: Console, interval: float = 10.0) -> None:
        self._console = console
        self._interval = interval
        self._executor: Executor[Any] | None = None

    def watch(self, executor: Executor[Any] | None) -> None:
        """Show who is at work, from now on; None: nobody but this machine."""
        self._executor = executor

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Self]:
        """Show one stage of ``total`` runs, and leave a line that says how it went."""
        self._name, self._total = name, total
        self._done = self._failed = self._reused = self._stopped = self._elsewhere = 0
        self._running = 0
        self._best: dict[str, float] = {}
        self._started = self._printed = self._heard = time.perf_counter()
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
        )
        terminal = self._console.is_terminal
        with Progress(
            *columns, console=self._console, transient=True, disable=not terminal
        ) as self._bar:
            self._task = self._bar.add_task(name, total=total, rate="", state="")
            yield self
        parts = [f"{name}: {self._done} runs in {time.perf_counter() - self._started:.0f} s"]
        if self._reused:
            parts.append(f"{self._reused} of them from an earlier call")
        if self._elsewhere:
            parts.append(f"{self._elsewhere} of them on other machines")
        if self._stopped:
            parts.append(f"{self._stopped} stopped early")
        if self._failed:
            parts.append(f"{self._failed} failed")
        self._console.print(", ".join(parts), soft_wrap=True)

    def running(self, count: int) -> None:
        """How many runs are being made on this machine."""
        self._running = count
        self._bar.update(self._task, state=self._state())

    def advance(self, result: RunResult, label: str = "", elsewhere: bool = False) -> None:
        """One more run has its result.

        Args:
            result: the run's.
            label: the best score is shown for each label apart; empty: not shown.
            elsewhere: another machine made it.
        """
        self._done += 1
        self._failed += result.score is None
        self._reused += result.reused
        self._stopped += result.stopped
        self._elsewhere += elsewhere
        if label and result.score is not None and not result.stopped:
            self._best[label] = max(result.score, self._best.get(label, result.score))
        now = self._heard = time.perf_counter()
        rate = (self._done - self._reused) / (now - self._started)  # runs a second, of new runs
        shown = f"{60 * rate:.0f} runs/min" if rate else ""
        self._bar.update(self._task, advance=1, rate=shown, state=self._state())
        if not self._console.is_terminal and rate and now - self._printed >= self._interval:
            self._printed = now
            left = (self._total - self._done) / rate
            line = f"{self._name}: {self._done}/{self._total}, {shown}, {left:.0f} s left"
            self._console.print(", ".join(filter(None, (line, self._state()))), soft_wrap=True)

    def waiting(self, what: str, seconds: float) -> None:
        """Say what has been running for long, where nothing else has been heard of.

        Args:
            what: the run.
            seconds: for how long.
        """
        self._bar.update(self._task, state=self._state())
        now = time.perf_counter()
        if now - self._heard < SILENCE_SECONDS or seconds < SILENCE_SECONDS:
            return
        self._heard = now
        line = f"{self._name}: {self._done}/{self._total}"
        if self._executor is not None and self._executor.where:
            line += f", {self._executor.where}"
        line += f", {what} has been running for {seconds:.0f} s"
        self._console.print(line, soft_wrap=True)

    def _state(self) -> str:
        """Running, stopped, failed and best so far, as far as there is any."""
        counts = {"running": self._running, "stopped": self._stopped, "failed": self._failed}
        where = self._executor.where if self._executor else ""
        parts = [where] if where else []
        parts += [f"{count} {name}" for name, count in counts.items() if count]
        if self._best:
            best = ", ".join(f"{label} {score:.3f}" for label, score in self._best.items())
            parts.append(f"best {best}")
        return ", ".join(parts)
