"""Where studies live: an embedded file, a database server for many machines, a proxy before it."""

import importlib.util
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from sqlalchemy import event

from ppo_lab.errors import ArgumentError
from tuning.hindsight import quiet
from tuning.patience import Patience, PatientDatabase, PatientProxy, StorageLostError
from tuning.tasks import retry

__all__ = ["GRACE_SECONDS", "is_shared", "open_storage", "open_study", "without_password"]

T = TypeVar("T")

GRACE_SECONDS = 120
"""A worker that has been silent for this long is taken for lost."""
_BEATS_WITHIN_GRACE = 4
_PATIENCE = (0.2, 0.5, 1.0, 2.0)
"""Seconds between attempts: the first machines to arrive all make the tables at once."""
_GRPC_PORT = 13000
_POSTGRESQL_DRIVERS = {"psycopg": "postgresql+psycopg", "psycopg2": "postgresql+psycopg2"}


def is_shared(url: str) -> bool:
    """Whether other machines can take part."""
    return not url.startswith(("sqlite", "journal"))


def without_password(text: str, url: str) -> str:
    """A message with the password of a storage's URL blotted out, as written and as meant."""
    found = re.match(r"[^:]+://[^/@]*?:(.*)@", url)
    for secret in {found[1], unquote(found[1])} if found else ():
        text = text.replace(secret, "***") if secret else text
    return text


def open_storage(
    url: str, grace: int = GRACE_SECONDS, say: Callable[[str], None] = lambda _: None
) -> BaseStorage:
    """Connect to a storage.

    Args:
        url: SQLAlchemy's, such as ``sqlite:///study.db`` or ``postgresql://user@host/base`` (with
            whichever driver is installed); ``grpc://host:port`` for Optuna's proxy.
        grace: seconds of silence after which a worker is taken for lost, ≥ 4, and for which the
            database is waited for when it stops answering later on.
        say: told of that.

    Raises:
        ArgumentError: it cannot be reached; one line, without the password.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    address = urlsplit(url)
    if address.scheme == "grpc":
        storage = _checked(url, lambda: _proxy(address.hostname, address.port))
    else:
        storage = _checked(url, lambda: _database(url, grace))
    storage.patience = Patience(grace, say)
    return storage


def open_study(
    name: str, storage: BaseStorage, url: str, settings: Mapping[str, Any]
) -> optuna.Study:
    """Create a study with its settings, or join the one of that name.

    Args:
        name: the study's.
        storage: where.
        url: the storage's, for the error.
        settings: JSON; must agree with what the study was made with.

    Raises:
        ArgumentError: the storage fails, or the study was made with other settings.
    """
    study, created = _checked(url, lambda: _create_or_load(name, storage))
    if created:
        study.set_user_attr("protocol", dict(settings))
        return study
    stored = study.user_attrs.get("protocol")
    for seconds in _PATIENCE:
        if stored is None:  # whoever made it has yet to write them
            time.sleep(seconds)
            stored = study.user_attrs.get("protocol")
    if stored is None:
        study.set_user_attr("protocol", dict(settings))
    elif stored != settings:
        raise ArgumentError(
            f"study {name!r} exists with other settings ({_difference(stored, settings)}); "
            "choose another --study-name or --log-folder"
        )
    return study


def _create_or_load(name: str, storage: BaseStorage) -> tuple[optuna.Study, bool]:
    try:
        made = optuna.create_study(study_name=name, storage=storage, direction="maximize")
    except DuplicatedStudyError:
        return optuna.load_study(study_name=name, storage=storage), False
    return made, True


def _checked(url: str, action: Callable[[], T]) -> T:
    attempts = len(_PATIENCE) + 1 if is_shared(url) else 1
    for attempt in range(attempts):
        try:
            with quiet():
                return action()
        except (ArgumentError, StorageLostError):
            raise
        except Exception as error:  # SQLAlchemy, drivers and Optuna each have their own
            if attempt + 1 < attempts and "already exists" in str(error):
                time.sleep(_PATIENCE[attempt])
                continue
            reason = without_password(" ".join(str(error).split()), url)
            raise ArgumentError(
                f"the study's storage cannot be used: {type(error).__name__}: {reason[:200]}"
            ) from None  # a traceback further up would show the URL
    raise AssertionError("unreachable")


def _database(url: str, grace: int) -> PatientDatabase | PatientProxy:
    storage = PatientDatabase(
        _with_driver(url),
        heartbeat_interval=max(1, grace // _BEATS_WITHIN_GRACE),
        grace_period=grace,
        heartbeat_stale_trial_callback=retry,
        engine_kwargs={"pool_pre_ping": True} if is_shared(url) else None,
    )
    if storage.engine.dialect.name == "sqlite":
        event.listen(storage.engine, "connect", _write_ahead)
        storage.engine.dispose()  # the connection that made the tables does without
    return storage


def _write_ahead(connection: Any, _record: object) -> None:
    """Spare SQLite the wait for the disk at every commit; a killed process still loses nothing."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _proxy(host: str | None, port: int | None) -> PatientDatabase | PatientProxy:
    proxy = PatientProxy(host=host or "localhost", port=port or _GRPC_PORT)
    proxy.wait_server_ready(timeout=10)
    return proxy


def _with_driver(url: str) -> str:
    """``postgresql://`` with the driver that is installed, in place of SQLAlchemy's psycopg2."""
    scheme, separator, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres"):
        return url
    for module, driver in _POSTGRESQL_DRIVERS.items():
        if importlib.util.find_spec(module):
            return f"{driver}{separator}{rest}"
    raise ArgumentError(
        "--storage postgresql://… needs a driver: "
        'python -m pip install "ppo-lab[postgresql]" adds it'
    )


def _difference(there: Mapping[str, Any], here: Mapping[str, Any], inside: str = "") -> str:
    parts = []
    for key in sorted({*there, *here}):
        old, new = there.get(key), here.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            parts.append(_difference(old, new, f"{inside}{key} "))
        else:
            parts.append(f"{inside}{key} {old!r} there, {new!r} here")
    return "; ".join(parts)
