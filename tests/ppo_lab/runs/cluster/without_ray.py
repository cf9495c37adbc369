"""A driver that needs no Ray: two processes of this machine are the nodes.

It speaks the protocol of :func:`ppo_lab.runs.cluster.driver.serve` and has production's node do the
work, so that all but Ray itself is tried where Ray is not installed.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from multiprocessing.connection import Connection
from typing import Any

from loky import ProcessPoolExecutor

from ppo_lab.runs.cluster import node
from ppo_lab.runs.cluster.driver import ClusterSettings
from ppo_lab.runs.worker_pool import _exit_with

NODES = 2


def serve(connection: Connection, settings: ClusterSettings, orders: bytes) -> None:
    """See :func:`ppo_lab.runs.cluster.driver.serve`; the address is of no account."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    driver = _Driver(connection, orders)
    with contextlib.suppress(EOFError, ConnectionResetError):
        driver.serve()
    driver.end()


class _Driver:
    def __init__(self, connection: Connection, orders: bytes) -> None:
        self._connection, self._orders = connection, orders
        self._lock, self._ends = threading.Lock(), False
        self._free = threading.Semaphore(NODES)
        self._nodes: dict[Any, Connection] = {}
        self._idle = [self._new_node("fork") for _ in range(NODES)]  # no thread is there yet

    def _send(self, *message: object) -> None:
        with self._lock:
            self._connection.send(message)

    def serve(self) -> None:
        """Take tasks, each to the next node that is free."""
        self._send("nodes", NODES, NODES)
        if pickle.loads(self._orders).needs:
            kind, said = self._answer(self._idle[0], "inspect", self._orders)
            self._send(*((kind, said) if kind == "unfit" else ("facts", "0123456789", said)))
        self._send("ready")
        while (message := self._connection.recv())[0] != "close":
            threading.Thread(target=self._do, args=message[1:], daemon=True).start()

    def _do(self, number: int, parcels: bytes) -> None:
        with self._free:
            if self._ends:
                return
            process = self._idle.pop()
            try:
                kind, replies = self._answer(process, "carry_out", self._orders, parcels)
            except EOFError:
                if self._ends:  # it was killed for that: no other in its place
                    return
                self._idle.append(self._new_node())
                self._send("lost", number, "its node is dead")
            else:
                self._idle.append(process)
                self._send(kind, number, replies)

    def _answer(self, process: Any, *call: Any) -> tuple[str, Any]:
        self._nodes[process].send(call)
        answer: tuple[str, Any] = self._nodes[process].recv()
        return answer

    def _new_node(self, method: str = "spawn") -> Any:
        context: Any = multiprocessing.get_context(method)
        ours, theirs = context.Pipe()
        process = context.Process(target=_be_a_node, args=(theirs,))
        process.start()
        theirs.close()
        self._nodes[process] = ours
        return process

    def end(self) -> None:
        """End the nodes; their workers end with them."""
        self._ends = True
        for process in [*self._nodes]:
            process.kill()
            process.join()


def tied_worker() -> ProcessPoolExecutor:
    """A worker that ends with its node, as production's does, and does not import torch."""
    return ProcessPoolExecutor(1, timeout=20.0, initializer=_tie, initargs=(os.getpid(),))


def _tie(parent: int) -> None:
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()


def _be_a_node(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    node.new_worker = tied_worker
    with contextlib.suppress(EOFError):
        while True:
            what, *arguments = connection.recv()
            connection.send(getattr(node, what)(*arguments))
