"""Storages that wait for a database that does not answer: it may be restarting.

Every call may be made twice, where its first answer was lost: what is written is the same, a
claim that was granted unheard has no owner and no heartbeat and is soon taken for lost, and a
item that is offered twice counts once.
"""

import functools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from optuna.exceptions import OptunaError, StorageInternalError
from optuna.storages import BaseStorage, GrpcStorageProxy, RDBStorage
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from tuning.optuna_internals import calls_of_cache

__all__ = [
    "Patience",
    "PatientDatabase",
    "PatientProxy",
    "StorageLostError",
    "cause_of",
    "make_patient",
]

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""Seconds between attempts."""


class StorageLostError(OptunaError):
    """A storage has not answered for as long as it was waited for; the message says why."""


def cause_of(error: BaseException) -> str:
    """What lies behind a storage's error, in one line: Optuna's own message does not say."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    cause = cause or error
    told = cause.orig if isinstance(cause, DBAPIError) and cause.orig is not None else cause
    if _status(told):
        return f"{_status(told)}: {' '.join(str(told.details()).split())}"  # type: ignore[attr-defined]
    return f"{type(told).__name__}: {' '.join(str(told).split())}"


@dataclass
class Patience:
    """How long a storage is waited for.

    Attributes:
        seconds: of one outage.
        say: told when one begins and when it is over.
    """

    seconds: float
    say: Callable[[str], None] = field(default=lambda _: None)

    def wait_for(self, action: Callable[[], T]) -> T:
        """Do something with a storage, again and again while it does not answer.

        Raises:
            StorageLostError: it has not answered for too long.
        """
        began: float | None = None
        pause = FIRST_PAUSE
        while True:
            try:
                result = action()
            except Exception as error:
                if not _may_pass(error):
                    raise
                now = time.monotonic()
                if began is None:
                    began = now
                    self.say(
                        f"The study's storage does not answer ({cause_of(error)}); trying again "
                        f"for {self.seconds:g} s."
                    )
                if now - began + pause > self.seconds:
                    raise StorageLostError(
                        f"it has not answered for {self.seconds:g} s: {cause_of(error)}"
                    ) from error
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                if began is not None:
                    self.say("The study's storage answers again.")
                return result


def _status(error: BaseException) -> str:
    """The name of the status that a proxy answers with; empty for other errors."""
    code = getattr(error, "code", None)
    of_proxy = type(error).__module__.startswith("grpc") and callable(code)
    return str(code().name) if callable(code) and of_proxy else ""


def _may_pass(error: Exception) -> bool:
    """Whether the same call may succeed a little later."""
    if status := _status(error):
        return status in ("UNAVAILABLE", "UNKNOWN")  # no proxy, or no database behind it
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if not isinstance(cause, DBAPIError):
        return False
    if type(cause.orig).__module__.startswith("sqlite3"):
        return "locked" in str(cause.orig)  # a full disk or a file that is gone stays so
    return cause.connection_invalidated or isinstance(cause, OperationalError | InterfaceError)


def _patient(method: Callable[..., T]) -> Callable[..., T]:
    @functools.wraps(method)
    def call(self: Any, *arguments: Any, **named: Any) -> T:
        return self.patience.wait_for(lambda: method(self, *arguments, **named))  # type: ignore[no-any-return]

    return call


class PatientDatabase(RDBStorage):
    """Optuna's storage in a database, with patience."""

    patience = Patience(0)


class PatientProxy(GrpcStorageProxy):
    """Optuna's proxy before a database, with patience."""

    patience = Patience(0)


def make_patient(storage: type[BaseStorage], calls: Iterable[str]) -> None:
    """Have these methods of a class of storages wait for its ``patience``."""
    for name in calls:
        setattr(storage, name, _patient(getattr(storage, name)))


_CALLS = sorted(BaseStorage.__abstractmethods__)
make_patient(PatientDatabase, (*_CALLS, *calls_of_cache(), "record_heartbeat"))
make_patient(PatientProxy, _CALLS)
