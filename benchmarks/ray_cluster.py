"""A Ray cluster on loopback: a head without CPUs, and nodes of one CPU each, as real processes."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
ANSWER_SECONDS = 180.0
STARTED = "will now block forever"
"""What ``ray start --block`` says when all its processes run."""


class RayCluster:
    """Starts, kills and restarts its processes.

    Args:
        folder: an empty one, with a short path: sockets lie below it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._client_port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self.client_address = f"ray://127.0.0.1:{self._client_port}"
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.start_head()

    def start_head(self) -> None:
        """A head of this cluster's address; nodes of an earlier one do not come back."""
        self._session = tempfile.mkdtemp(dir=self._folder)
        self._head = self._start(
            *("--head", f"--port={self._port}", "--num-cpus=0", "--include-dashboard=false"),
            *(f"--ray-client-server-port={self._client_port}", f"--temp-dir={self._session}"),
        )

    def add_node(self, **environment: str) -> "subprocess.Popen[bytes]":
        """One more node of one CPU; its processes know these variables."""
        self.nodes.append(self._start(f"--address={self.address}", "--num-cpus=1", **environment))
        return self.nodes[-1]

    def _start(self, *words: str, **environment: str) -> "subprocess.Popen[bytes]":
        number = len(list(self._folder.glob("*.log")))
        file = self._folder / f"{number}.log"
        with file.open("wb") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *words),
                    *("--object-store-memory=100000000", "--disable-usage-stats"),
                    *("--min-worker-port=0", "--max-worker-port=0"),
                ],
                env={**os.environ, "PYTHONPATH": str(HOME), "RAY_USAGE_STATS_ENABLED": "0",
                     **environment},
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + ANSWER_SECONDS
        while STARTED not in file.read_text():
            assert process.poll() is None, file.read_text()
            assert time.monotonic() < deadline, file.read_text()
            time.sleep(0.1)
        return process

    def kill_node(self, node: "subprocess.Popen[bytes]") -> None:
        """End a node at once, with all its processes, as a power cut does."""
        kill(node)
        self.nodes.remove(node)

    def kill_head(self) -> None:
        """End the head at once."""
        kill(self._head)

    def close(self) -> None:
        """End everything."""
        for process in (*self.nodes, self._head):
            kill(process)


@contextmanager
def ray_cluster(nodes: int) -> Iterator[RayCluster]:
    """A cluster of so many nodes, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as name:
        cluster = RayCluster(Path(name))
        try:
            for _ in range(nodes):
                cluster.add_node()
            yield cluster
        finally:
            cluster.close()


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and all that it has started, itself first: it would start others."""
    family = [process.pid, *descendants(process.pid)]
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def descendants(pid: int) -> list[int]:
    """The processes that one has started, and those that these have."""
    parents = {int(path.name): parent_of(path) for path in Path("/proc").glob("[0-9]*")}
    found: list[int] = []
    grown = [pid]
    while grown:
        grown = [child for child, parent in parents.items() if parent in grown]
        found += grown
    return found


def parent_of(process: Path) -> int:
    """The process that has started one, by its folder below ``/proc``; 0: it is gone."""
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port
