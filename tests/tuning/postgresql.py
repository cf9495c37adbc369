"""A PostgreSQL server of our own, on loopback, for as long as a test needs it."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

NAMES = ("initdb", "postgres")
USER, PASSWORD = "lab", "s3cr:t/word"
ENCODED = "s3cr%3At%2Fword"


def binaries() -> Path | None:
    """The folder of the server's programs: on the path, or where Debian puts them."""
    found = shutil.which("postgres")
    places = [Path(found).parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((p for p in places if all((p / name).exists() for name in NAMES)), None)


@contextmanager
def server(programs: Path) -> Iterator[str]:
    """Start one with an empty data folder; yields SQLAlchemy's URL without a driver."""
    # The server refuses to run as root; a container's tests often do.
    other = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    as_other = other if os.getuid() == 0 else ()
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        folder, data = Path(name), Path(name) / "data"
        (folder / "password").write_text(PASSWORD)
        if as_other:
            shutil.chown(folder, "nobody", "nogroup")
            shutil.chown(folder / "password", "nobody", "nogroup")
        words = ["-D", str(data), "-U", USER, "--auth=scram-sha-256", "--no-sync"]
        words += [f"--pwfile={folder / 'password'}", "--encoding=UTF8"]
        subprocess.run(
            (*as_other, programs / "initdb", *words),
            check=True,
            capture_output=True,
            cwd=folder,
        )
        port = free_port()
        settings = f"-c fsync=off -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        with subprocess.Popen(
            (*as_other, programs / "postgres", "-D", data, "-p", str(port), *settings.split()),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        ) as process:
            try:
                wait_until_ready(port)
                yield f"postgresql://{USER}:{ENCODED}@127.0.0.1:{port}/postgres"
            finally:
                process.send_signal(signal.SIGINT)  # without waiting for its clients


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port


def wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(
                host="127.0.0.1", port=port, user=USER, password=PASSWORD, dbname="postgres"
            ).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
