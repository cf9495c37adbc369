"""An executor of runs on a Ray cluster: what it sends when, and what becomes of what is lost."""

import math
import multiprocessing
import pickle
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, TypeVar

from ppo_lab.errors import ArgumentError, CommandError
from ppo_lab.runs.cluster.driver import ClusterSettings, serve
from ppo_lab.runs.cluster.mail import place_in, receive, sealed
from ppo_lab.runs.cluster.orders import Need, Orders, Reply
from ppo_lab.runs.cluster.packing import PackError
from ppo_lab.runs.cpu import differing_cpus
from ppo_lab.runs.executor import Death
from ppo_lab.runs.folder import circumstances
from ppo_lab.runs.leftovers import own_mark
from ppo_lab.runs.storage_url import words_without_passwords

__all__ = ["BUNDLE_SECONDS", "MOST_LOSSES", "ClusterExecutor", "bundle_size"]

T = TypeVar("T")

MOST_LOSSES = 3
"""A task that was lost so often is not tried again."""
PAUSES = (2.0, 10.0)
"""Seconds before a task is tried again whose node or worker was lost: what took it may last.

A node's memory is not free at once, and Ray sends tasks to a dead node until it knows.
"""
BUNDLE_SECONDS = 5.0
"""Runs that are shorter are sent several at a time, so that a task of Ray's takes about as long."""
MOST_IN_BUNDLE = 200
REMEMBERED = 100
"""Runs whose mean time decides the size of a bundle."""
START_SECONDS = 240.0
CLOSE_SECONDS = 15.0
GOES_ON = "the same command goes on from here"


@dataclass(eq=False)
class _Task:
    key: object
    call: tuple[Any, ...]
    losses: int = 0
    due: float = 0.0
    """Not to be tried again before."""


@dataclass(frozen=True)
class _Sent:
    tasks: tuple[_Task, ...]
    since: float


class ClusterExecutor(Generic[T]):
    """An executor: the workers of a Ray cluster, whose run folders come back as bytes.

    A task whose worker or node is lost is tried again wherever there is room, by itself, and has
    come to a death after the third loss. A node that is not fit ends the command; what is finished
    is on disk then, as it always is.

    Args:
        cluster: which, and what a run takes of it.
        home: the folder below which the tasks' run folders lie; None: paths travel as they are.
        needs: environments that each node must be able to make.
        run_timeout: what the tasks give to :func:`~ppo_lab.runs.worker_pool.time_limit`.
        jobs: at most so many runs at the same time; None: as many as there is room for.
        say: told in a line of what differs between the nodes.
        driver: what talks to the cluster, in a process of its own.

    Raises:
        ArgumentError: there is no such cluster, or a node is not fit for the runs.
        OSError: the home cannot be written.
    """

    def __init__(
        self,
        cluster: ClusterSettings,
        home: Path | None,
        needs: Iterable[Need] = (),
        run_timeout: float | None = None,
        jobs: int | None = None,
        say: Callable[[str], None] = lambda _: None,
        driver: Callable[[Connection, ClusterSettings, bytes], None] = serve,
    ) -> None:
        self.run_timeout = run_timeout
        self._cluster, self._home, self._jobs, self._say = cluster, home, jobs, say
        self._queue: deque[_Task] = deque()
        self._alone: deque[_Task] = deque()
        self._sent: dict[int, _Sent] = {}
        self._in_flight = 0
        self._outcomes: deque[tuple[_Task, T | Death | BaseException]] = deque()
        self._numbers = 0
        self._nodes = self._slots = 0
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)
        self._cpus: dict[str, Mapping[str, Any]] = {}
        self._warned: set[str] = set()
        self._token = None if home is None else home / f".probe-{own_mark()}"
        if self._token is not None:
            self._token.touch()
        self._connection, self._process = self._started(needs, driver)
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def _started(
        self,
        needs: Iterable[Need],
        driver: Callable[[Connection, ClusterSettings, bytes], None],
    ) -> tuple[Connection, Any]:
        home = "" if self._home is None else str(self._home.resolve())
        orders = Orders(
            home=home or None,
            token="" if self._token is None else self._token.name,
            folder=str(Path.cwd()),
            command=(*sys.argv[:1], *words_without_passwords(sys.argv[1:])),
            run_timeout=self.run_timeout,
            needs=tuple(needs),
        )
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=driver, args=(theirs, self._cluster, pickle.dumps(orders)))
        process.start()
        theirs.close()
        return ours, process

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._connection.poll(0.5) or self._take_message() != "ready":
            if time.monotonic() > deadline:
                raise ArgumentError(f"{self._shown} did not answer within {START_SECONDS:g} s")
        if warning := differing_cpus(self._cpus):
            self._warned.add(warning)
            self._say(warning)

    @property
    def _shown(self) -> str:
        return f"--cluster {self._cluster.address}"

    @property
    def busy(self) -> int:
        """How many tasks have been submitted and not come back."""
        return len(self._queue) + len(self._alone) + self._in_flight + len(self._outcomes)

    @property
    def free(self) -> int:
        """How many more tasks there is use for: what fills every core once, and a few more."""
        size = bundle_size(self._mean_seconds, 10**6, 1)
        return max(1, self._room) * (size + (size > 1)) + 1 - self.busy

    @property
    def where(self) -> str:
        """How many nodes there are, and how many runs have been sent to them."""
        nodes = "1 node" if self._nodes == 1 else f"{self._nodes} nodes"
        return f"{nodes}, {self._in_flight} in flight"

    def oldest(self) -> tuple[object, float] | None:
        """Key and seconds of the task that was sent first; None: none is."""
        sent = next(iter(self._sent.values()), None)  # they stand in the order of sending
        return None if sent is None else (sent.tasks[0].key, time.monotonic() - sent.since)

    def submit(self, key: object, function: Callable[..., T], *arguments: object) -> None:
        """Send a task, or let it wait for room; see :meth:`Executor.submit`."""
        self._queue.append(_Task(key, (function, *arguments)))
        self._pass_on()

    def finished(self, timeout: float) -> list[tuple[object, T | Death]]:
        """The tasks that have come back; see :meth:`Executor.finished`.

        Raises:
            CommandError: the cluster is lost.
            ArgumentError: a node that has joined is not fit for the runs.
        """
        deadline = time.monotonic() + timeout
        while True:
            while self._connection.poll(0):
                self._take_message()
            self._pass_on()
            left = deadline - time.monotonic()
            if self._outcomes or left <= 0 or not self.busy:
                break
            self._connection.poll(left)
        results: list[tuple[object, T | Death]] = []
        while self._outcomes:
            task, outcome = self._outcomes.popleft()
            if isinstance(outcome, BaseException):
                raise outcome
            results.append((task.key, outcome))
        return results

    def close(self) -> None:
        """Leave the cluster, where nothing goes on running for this command."""
        for tasks in (self._queue, self._alone, self._outcomes, self._sent):
            tasks.clear()
        self._in_flight = 0
        with suppress(OSError):
            self._connection.send(("close",))
        self._process.join(CLOSE_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._connection.close()
        if self._token is not None:
            self._token.unlink(missing_ok=True)

    @property
    def _room(self) -> int:
        return self._slots if self._jobs is None else min(self._slots, self._jobs)

    @property
    def _mean_seconds(self) -> float | None:
        return sum(self._seconds) / len(self._seconds) if self._seconds else None

    def _pass_on(self) -> None:
        """Keep every core busy, and where runs are short one more bundle waiting for each."""
        size = bundle_size(self._mean_seconds, len(self._queue), self._room)
        ahead = self._room if size > 1 and self._jobs is None else 0
        while len(self._sent) < self._room + ahead:
            now = time.monotonic()
            again = next((task for task in self._alone if task.due <= now), None)
            if again is not None:
                self._alone.remove(again)
                self._send([again])
            elif self._queue:
                self._send([self._queue.popleft() for _ in range(min(size, len(self._queue)))])
            else:
                break

    def _send(self, tasks: list[_Task]) -> None:
        parcels = [sealed(self._home, *task.call) for task in tasks]
        self._numbers += 1
        self._sent[self._numbers] = _Sent(tuple(tasks), time.monotonic())
        self._in_flight += len(tasks)
        try:
            self._connection.send(("task", self._numbers, pickle.dumps(parcels)))
        except OSError:
            raise self._lost() from None

    def _take_message(self) -> str:
        """Take one message of the driver's, and say which kind it was."""
        try:
            kind, *content = self._connection.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        if kind == "nodes":
            self._count(*content)
        elif kind == "facts":
            self._compare(*content)
        elif kind == "done":
            self._unpack(self._taken_back(content[0]), pickle.loads(content[1]))
        elif kind == "lost":
            for task in self._taken_back(content[0]):
                self._lose(task, content[1], PAUSES)
        elif kind == "unfit":
            raise ArgumentError(f"{content[0]}; {GOES_ON}")
        elif kind == "broken":
            raise self._lost(content[0])
        return str(kind)

    def _taken_back(self, number: int) -> tuple[_Task, ...]:
        tasks = self._sent.pop(number).tasks
        self._in_flight -= len(tasks)
        return tasks

    def _count(self, nodes: int, slots: int) -> None:
        """Take note of the nodes there are, and say where none is left: it is waited for others."""
        if self._slots and not slots:
            self._say(f"! {self._shown} has no node left for a run: waiting for one")
        self._nodes, self._slots = nodes, slots

    def _lost(
        self, why: str = "Ray's driver ended, as it does without the cluster's head"
    ) -> Exception:
        if not self._numbers:
            return ArgumentError(f"{self._shown} cannot be used: {why}")
        return CommandError(f"{self._shown} is lost: {why}; {GOES_ON}")

    def _compare(self, node: str, facts: Mapping[str, Any]) -> None:
        """Say where a node computes with something else than this machine."""
        self._cpus[f"{facts['host']} {node[:6]}"] = facts["cpu"]
        here = circumstances()
        differing = [
            f"{name} {facts['versions'].get(name)} there, {version} here"
            for name, version in here["versions"].items()
            if facts["versions"].get(name) != version
        ]
        if facts["git_commit"] != here["git_commit"]:
            differing.append(f"commit {facts['git_commit']} there, {here['git_commit']} here")
        warning = f"! node {facts['host']} may compute other scores: {'; '.join(differing)}"
        if differing and warning not in self._warned:
            self._warned.add(warning)
            self._say(warning)
        if self._numbers and (others := differing_cpus(self._cpus)) not in (None, *self._warned):
            self._warned.add(str(others))
            self._say(str(others))

    def _unpack(self, tasks: tuple[_Task, ...], replies: list[Reply]) -> None:
        for task, reply in zip(tasks, replies, strict=True):
            try:
                for place, content in reply.folders.items():
                    assert self._home is not None
                    receive(content, place_in(self._home, place))
            except PackError as error:
                self._lose(task, str(error))
                continue
            if isinstance(reply.outcome, Death) and not reply.outcome.overdue:
                self._lose(task, reply.outcome.how)
                continue
            self._seconds.append(reply.seconds)
            self._outcomes.append((task, reply.outcome))

    def _lose(self, task: _Task, how: str, pauses: Sequence[float] = (0.0, 0.0)) -> None:
        task.losses += 1
        if task.losses >= MOST_LOSSES:
            self._outcomes.append((task, Death(how, tries=task.losses)))
        else:
            task.due = time.monotonic() + pauses[task.losses - 1]
            self._alone.append(task)


def bundle_size(mean_seconds: float | None, waiting: int, slots: int) -> int:
    """How many runs one task of Ray's is to be.

    Args:
        mean_seconds: of the last runs, on their nodes; None: none has come back.
        waiting: runs that have not been sent; the last ones are spread over all slots.
        slots: runs that are made at the same time.
    """
    if mean_seconds is None or mean_seconds >= BUNDLE_SECONDS:
        return 1
    fill = math.ceil(BUNDLE_SECONDS / max(mean_seconds, 1e-3))
    return max(1, min(fill, MOST_IN_BUNDLE, math.ceil(waiting / (2 * max(1, slots)))))
