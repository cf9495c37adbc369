"""What is done on a node: in a worker process of this project's, below one of Ray's.

A run that dies or hangs so takes nothing of Ray's with it, and how it died is known.
"""

import os
import pickle
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from loky import ProcessPoolExecutor

from ppo_lab.errors import ArgumentError
from ppo_lab.interruption import by_user, one_line
from ppo_lab.runs.cluster.mail import RECORD, Parcel, opened, place_in
from ppo_lab.runs.cluster.orders import Need, Orders, Reply
from ppo_lab.runs.cluster.packing import PackError, pack, unpack
from ppo_lab.runs.executor import Death, as_completed
from ppo_lab.runs.leftovers import discard, new_folder_beside
from ppo_lab.runs.worker_pool import WorkerPool, new_worker

__all__ = ["carry_out", "inspect"]


def inspect(orders: bytes) -> tuple[str, Any]:
    """Whether this node can make the environments.

    Args:
        orders: pickled.

    Returns:
        ``fit`` with what ``run.json`` says of the machine, or ``unfit`` with a sentence.
    """
    told: Orders = pickle.loads(orders)
    reply = _outcome(_worker(told), _inspected, told.needs, told.folder)
    if isinstance(reply.outcome, Death):
        how = reply.outcome.how or "killed, or out of memory"
        return "unfit", f"node {_name()} cannot make the environments: its worker died ({how})"
    if reply.raised:
        return "unfit", f"node {_name()}: {one_line(reply.outcome)}"
    is_fit, said = reply.outcome
    return ("fit", said) if is_fit else ("unfit", f"node {_name()} {said}")


def carry_out(orders: bytes, parcels: bytes) -> tuple[str, bytes]:
    """Do some calls, one after the other.

    Args:
        orders: pickled.
        parcels: a list of them, pickled.

    Returns:
        ``done`` with the pickled list of replies.
    """
    told: Orders = pickle.loads(orders)
    sent: list[Parcel] = pickle.loads(parcels)
    return "done", pickle.dumps([_carried_out(told, parcel) for parcel in sent])


def _carried_out(told: Orders, parcel: Parcel) -> Reply:
    try:
        with _home(told) as (home, shared):
            if home is None or shared:
                return _outcome(_worker(told), _call, parcel.call, home, told)
            return _sent_back(told, parcel, home)
    except (OSError, PackError) as error:
        # Of this node, whose disk may be full: another one may be better off.
        return Reply(Death(f"{one_line(error)} on node {_name()}"), False, {}, 0.0)


def _sent_back(told: Orders, parcel: Parcel, home: Path) -> Reply:
    for place, content in parcel.folders.items():
        folder = place_in(home, place)
        folder.mkdir(parents=True)
        unpack(content, folder)
    before = {place: _record(place_in(home, place)) for place in parcel.places}
    reply = _outcome(_worker(told), _call, parcel.call, home, told)
    if reply.raised and isinstance(reply.outcome, OSError):
        raise reply.outcome
    after = {place: place_in(home, place) for place in parcel.places}
    folders = {
        place: pack(folder)
        for place, folder in after.items()
        if _record(folder) not in (None, before[place])
    }
    return Reply(reply.outcome, reply.raised, folders, reply.seconds)


def _record(folder: Path) -> bytes | None:
    with suppress(OSError):
        return (folder / RECORD).read_bytes()
    return None


@contextmanager
def _home(told: Orders) -> Iterator[tuple[Path | None, bool]]:
    """Where the run folders lie on this node, and whether the command sees them there."""
    if told.home is None:
        yield None, False
        return
    home = Path(told.home)
    if (home / told.token).is_file() and os.access(home, os.W_OK):
        yield home, True
        return
    passing = new_folder_beside(_own_folder() / "runs")
    try:
        yield passing, False
    finally:
        discard(passing)


def _own_folder() -> Path:
    """A folder of this user's alone, for what is about to be sent.

    Raises:
        OSError: somebody else's lies there.
    """
    folder = Path(tempfile.gettempdir()) / f"ppo_lab-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise OSError(f"{folder} is not this user's folder")
    return folder


def _worker(told: Orders) -> WorkerPool[Any]:
    return WorkerPool(1, told.run_timeout, _starter(os.environ.get("CUDA_VISIBLE_DEVICES")))


@cache
def _starter(_devices: str | None) -> Callable[[], ProcessPoolExecutor]:
    """What starts workers that see these GPUs; an idle one that sees others will not do."""

    def start() -> ProcessPoolExecutor:
        return new_worker()

    return start


def _outcome(worker: WorkerPool[Any], function: Callable[..., Any], *arguments: object) -> Reply:
    """Call a function in a worker process of its own."""
    started, raised = time.perf_counter(), False
    outcome: Any = None
    with closing(worker):
        worker.submit("call", function, *arguments)
        try:
            [(_, outcome)] = as_completed(worker)
        except Exception as error:
            raised, outcome = True, error
    return Reply(outcome, raised, {}, time.perf_counter() - started)


def _call(call: bytes, home: Path | None, told: Orders) -> Any:
    """In the worker process: the call itself."""
    sys.argv[:] = told.command
    _go_to(told.folder)
    function, arguments = opened(call, home)
    return function(*arguments)


def _go_to(folder: str) -> None:
    """Where file systems are shared, relative names mean the same as in the command."""
    with suppress(OSError):
        os.chdir(folder)


def _inspected(needs: Sequence[Need], folder: str) -> tuple[bool, Any]:
    """In the worker process: whether each environment can be made, and the machine."""
    import gymnasium as gym

    from ppo_lab.environment_classes import check_unchanged, gymnasium_id
    from ppo_lab.runs.folder import circumstances
    from ppo_lab.runs.named_code import import_packages

    _go_to(folder)
    for need in needs:
        try:
            check_unchanged(need.env, need.sha256)
            import_packages(need.packages, need.env)
            made = gym.make(gymnasium_id(need.env), disable_env_checker=True, **need.env_kwargs)
            made.close()
        except BaseException as error:
            if by_user(error):
                raise
            said = str(error) if isinstance(error, ArgumentError) else one_line(error)
            return False, (
                f"cannot make {need.env!r}: {said}; install what it needs there, or let "
                "--py-modules DIR ship the package in which it is written"
            )
    return True, {**circumstances(), "host": _name()}


def _name() -> str:
    return socket.gethostname()
