"""The process that talks to Ray for a command, and the one file that knows Ray.

Ray ends the process of a driver that loses its cluster, writes to its output and takes its signals;
so it has a process to itself, which passes bytes on. It ends with its command.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["ADDRESS_LOST_SECONDS", "ClusterSettings", "serve"]

WATCH_SECONDS = 2.0
"""Between two looks at the nodes."""
INSPECTION_SECONDS = 120.0
"""For which nodes that do not answer are waited for, before the first run begins."""
ADDRESS_LOST_SECONDS = 20
"""After so long without the cluster's head, the cluster is lost."""
INSTALL = 'python -m pip install "ppo-lab[ray]=={version}" on the node'
_LOST = ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "OutOfDiskError",
         "ObjectLostError", "ObjectFetchTimedOutError", "ObjectReconstructionFailedError",
         "ReferenceCountingAssertionError", "OwnerDiedError", "TaskCancelledError",
         "ObjectStoreFullError")  # fmt: skip
"""Names of Ray's errors that are of one node or one worker."""


@dataclass(frozen=True)
class ClusterSettings:
    """Which cluster, and what of it a run takes.

    Attributes:
        address: ``auto``, ``host:port`` or ``ray://host:10001``.
        cpus: CPUs of a run, > 0.
        gpus: GPUs of a run, ≥ 0; a fraction shares one.
        modules: folders of packages that are shipped to the nodes.
        version: ppo_lab's, which a node must have.
    """

    address: str
    cpus: float
    gpus: float
    modules: tuple[str, ...]
    version: str


def serve(connection: Connection, settings: ClusterSettings, orders: bytes) -> None:
    """Be the driver until the command is done with it, or gone.

    It sends ``("nodes", nodes, slots)`` now and then and ``("facts", node, facts)`` of each;
    ``("ready",)`` once; of a task ``("done", number, replies)`` or ``("lost", number, how)``; and
    where it cannot go on ``("unfit", why)`` or ``("broken", why)``. It takes
    ``("task", number, parcels)`` and ``("close",)``.

    Args:
        connection: to the command.
        settings: of the cluster.
        orders: for the nodes, pickled.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the command decides what they mean
    _keep_quiet()
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", str(ADDRESS_LOST_SECONDS))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    driver = _Driver(connection, settings, orders)
    try:
        driver.connect()
        driver.take_tasks()
    except (EOFError, ConnectionResetError):
        pass  # the command is gone
    except BaseException as error:
        driver.send("broken", _in_words(error))
    driver.disconnect()
    os._exit(0)  # Ray's threads may wait for a cluster that is gone


def _keep_quiet() -> None:
    """What Ray writes belongs to nobody: its errors reach the command as sentences."""
    with open(os.devnull, "wb") as sink:  # noqa: PTH123 - no path of ours
        for number in (1, 2):
            os.dup2(sink.fileno(), number)


class _Driver:
    def __init__(self, connection: Connection, settings: ClusterSettings, orders: bytes) -> None:
        self._connection, self._settings, self._orders = connection, settings, orders
        self._lock = threading.Lock()
        self._inspecting: dict[str, str] = {}
        self._inspected: set[str] = set()
        self._running: dict[int, Any] = {}
        self._loss = ""

    def send(self, *message: object) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._connection.send(message)

    def connect(self) -> None:
        """Join the cluster, look at its nodes, and say that it is ready.

        Raises:
            Exception: Ray's, or what the nodes lack.
        """
        import ray

        self._ray: Any = ray
        settings = self._settings
        environment = {"py_modules": list(settings.modules)} if settings.modules else None
        ray.init(
            address=settings.address,
            runtime_env=environment,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
        )
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._function = ray.remote(_entry())
        self._remote = self._function.options(
            num_cpus=settings.cpus, num_gpus=settings.gpus or None, max_retries=0
        )
        self._watch()
        threading.Thread(target=self._keep_watching, daemon=True).start()
        deadline = time.monotonic() + INSPECTION_SECONDS
        while not self._inspected or (self._inspecting and time.monotonic() < deadline):
            if time.monotonic() > deadline:
                why = f", and a worker there was lost: {self._loss}" if self._loss else ""
                raise TimeoutError(f"no node answered within {INSPECTION_SECONDS:g} s{why}")
            time.sleep(0.02)
        self.send("ready")

    def take_tasks(self) -> None:
        """Submit what the command sends, until it closes."""
        while (message := self._connection.recv())[0] != "close":
            _, number, parcels = message
            settings = self._settings
            reference = self._remote.remote("carry_out", settings.version, self._orders, parcels)
            self._running[number] = reference
            self._when_done(reference, partial(self._conclude, number))

    def disconnect(self) -> None:
        """Leave the cluster; what runs for this driver ends with that."""
        ray = getattr(self, "_ray", None)
        if ray is None:
            return

        def leave() -> None:
            with contextlib.suppress(Exception):
                for reference in list(self._running.values()):
                    ray.cancel(reference, force=True)
                ray.shutdown()

        leaving = threading.Thread(target=leave, daemon=True)
        leaving.start()
        leaving.join(timeout=10.0)

    def _when_done(self, reference: Any, callback: Callable[[Any], None]) -> None:
        reference.future().add_done_callback(callback)

    def _conclude(self, number: int, future: Any) -> None:
        self._running.pop(number, None)
        try:
            kind, content = future.result()
        except BaseException as error:
            if _is_loss(error):
                self.send("lost", number, _in_words(error))
            else:
                self.send("broken", _in_words(error))
        else:
            self.send(*((kind, number, content) if kind == "done" else (kind, content)))

    def _keep_watching(self) -> None:
        while True:
            time.sleep(WATCH_SECONDS)
            try:
                self._watch()
            except BaseException as error:
                self.send("broken", _in_words(error))
                return

    def _watch(self) -> None:
        """Count the nodes, and have those looked at that are new.

        Raises:
            RuntimeError: no node is large enough for a run.
        """
        settings = self._settings
        alive = [node for node in self._ray.nodes() if node["Alive"]]
        slots = {node["NodeID"]: _slots(node["Resources"], settings) for node in alive}
        fitting = {node: count for node, count in slots.items() if count}
        if not fitting and not self._inspected:
            raise RuntimeError(_too_small(alive, settings))
        self.send("nodes", len(fitting), sum(fitting.values()))
        for node in fitting:
            if node not in self._inspected and node not in self._inspecting:
                self._inspecting[node] = node
                self._inspect(node)

    def _inspect(self, node: str) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        reference = self._function.options(
            num_cpus=0, num_gpus=0, max_retries=0, scheduling_strategy=there
        ).remote("inspect", self._settings.version, self._orders)

        def concluded(future: Any) -> None:
            try:
                kind, content = future.result()
            except BaseException as error:  # it is gone, or broken: then no run comes to it either
                if _is_loss(error) or type(error).__name__ == "TaskUnschedulableError":
                    self._loss = _in_words(error)
                else:
                    self.send("broken", _in_words(error))
            else:
                self.send(*(("facts", node, content) if kind == "fit" else (kind, content)))
                if kind == "fit":
                    self._inspected.add(node)
            self._inspecting.pop(node, None)

        self._when_done(reference, concluded)


_LOST_IN_WORDS = {
    "WorkerCrashedError": "Ray's worker process died",
    "NodeDiedError": "its node is dead or cannot be reached",
    "OutOfMemoryError": "Ray ended it, for its node was about to be out of memory",
}


def _is_loss(error: BaseException) -> bool:
    """Whether an error of Ray's is of one node or one worker, and not of the cluster."""
    return type(error).__name__ in _LOST


def _in_words(error: BaseException) -> str:
    """One line."""
    name = type(error).__name__
    return _LOST_IN_WORDS.get(name, " ".join(f"{name}: {error}".split())[:500])


def _slots(resources: Mapping[str, float], settings: ClusterSettings) -> int:
    """How many runs a node takes at the same time."""
    slots = resources.get("CPU", 0.0) // settings.cpus
    if settings.gpus:
        slots = min(slots, resources.get("GPU", 0.0) // settings.gpus)
    return int(slots)


def _too_small(nodes: list[Any], settings: ClusterSettings) -> str:
    most = {
        kind: max((node["Resources"].get(kind, 0.0) for node in nodes), default=0.0)
        for kind in ("CPU", "GPU")
    }
    asked = f"{settings.cpus:g} CPUs" + (f" and {settings.gpus:g} GPUs" if settings.gpus else "")
    return (
        f"no node of the cluster has {asked} for a run (--cpus-per-run, --gpus-per-run): the "
        f"largest has {most['CPU']:g} CPUs and {most['GPU']:g} GPUs"
    )


def _entry() -> Callable[..., Any]:
    """What Ray calls on a node; sent by value, so that it can say that ppo_lab is not there."""
    install = INSTALL

    def on_node(what: str, version: str, *arguments: bytes) -> tuple[str, Any]:
        import socket

        name, way_out = socket.gethostname(), install.format(version=version)
        try:
            import ppo_lab

            there = ppo_lab.__version__
            if there != version:
                return "unfit", (
                    f"node {name} has ppo_lab {there}, and this command {version}: {way_out}"
                )
            from ppo_lab.runs.cluster import node
        except ImportError as error:
            return "unfit", (f"node {name} lacks ppo_lab or what it needs ({error}): {way_out}")
        answer: tuple[str, Any] = getattr(node, what)(*arguments)
        return answer

    return on_node
