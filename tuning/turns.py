"""One process at a time, among all that share a storage, by what every storage of Optuna's has."""

import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection

from ppo_lab.runs.folder_lock import is_alive

__all__ = ["is_gone", "this_process", "turn"]

PAUSE_SECONDS = 0.05
BEAT_SECONDS = 1.0


@contextmanager
def turn(storage: BaseStorage, name: str, grace: float) -> Iterator[Callable[[], None]]:
    """Wait until no other process holds the turn of this name, then hold it.

    A study's name is given once: whoever creates the study has the turn, and deletes it afterwards.
    One whose holder has died is taken away: on this machine at once, else after ``grace``.

    Args:
        storage: what the processes share.
        name: of the turn, and so of the study.
        grace: seconds without a sign of life after which the holder is taken for lost.

    Yields:
        What the holder calls now and then, as its sign of life.
    """
    study_id = _take(storage, name, grace)
    beats, last = 0, time.monotonic()

    def beat() -> None:
        nonlocal beats, last
        if time.monotonic() - last >= BEAT_SECONDS:
            beats, last = beats + 1, time.monotonic()
            with suppress(KeyError):  # another process has taken the turn away
                storage.set_study_user_attr(study_id, "beats", beats)

    try:
        yield beat
    finally:
        with suppress(KeyError):
            storage.delete_study(study_id)


def this_process() -> dict[str, Any]:
    """Host, number, and where the number means something, as a storage keeps them."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "space": _process_numbers()}


def is_gone(owner: Mapping[str, Any] | None) -> bool:
    """Whether a process of this machine has ended; of other machines nothing is known."""
    if not owner or owner["host"] != socket.gethostname():
        return False
    if owner.get("space", _process_numbers()) != _process_numbers():
        return False  # a container of that name, or the machine before it was started again
    return not is_alive(owner["pid"], before=math.inf)


@cache
def _process_numbers() -> str:
    """What tells where a process's number is counted: many machines bear one name."""
    try:
        booted = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{booted} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # another system than Linux: the name must do
        return ""


def _take(storage: BaseStorage, name: str, grace: float) -> int:
    seen: object = None
    since = time.monotonic()
    while True:
        try:
            study_id = storage.create_new_study([StudyDirection.MAXIMIZE], study_name=name)
        except DuplicatedStudyError:
            pass
        else:
            storage.set_study_user_attr(study_id, "owner", this_process())
            return study_id
        try:
            held = storage.get_study_id_from_name(name)
            signs = storage.get_study_user_attrs(held)
        except KeyError:
            continue  # it has just been given back
        if (held, signs) != seen:
            seen, since = (held, signs), time.monotonic()
        if is_gone(signs.get("owner")) or time.monotonic() - since > grace:
            with suppress(KeyError):
                storage.delete_study(held)
            continue
        time.sleep(PAUSE_SECONDS)
