"""Where studies live: an embedded file, a database server for many machines, a proxy before it."""

import importlib.util
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from sqlalchemy import URL, Connection, event

from ppo_lab.errors import ArgumentError
from ppo_lab.runs.storage_url import without_password
from tuning.patience import Patience, PatientDatabase, PatientProxy, StorageLostError
from tuning.proposals import quiet
from tuning.work_list import retry

__all__ = ["GRACE_SECONDS", "file_url", "is_shared", "open_storage", "open_study"]

T = TypeVar("T")

GRACE_SECONDS = 120
"""A worker that has been silent for this long is taken for lost."""
_BEATS_WITHIN_GRACE = 4
_PATIENCE = (0.2, 0.5, 1.0, 2.0)
"""Seconds between attempts: the first machines to arrive all make the tables at once."""
_PASSING = ("already exists", "UNIQUE constraint failed", "database is locked")
"""What is said to the second of two that make the same tables at the same time."""
_BUSY_SECONDS = 60
"""How long SQLite waits for other processes of this machine to have written."""
_GRPC_PORT = 13000
_POSTGRESQL_DRIVERS = {"psycopg": "postgresql+psycopg", "psycopg2": "postgresql+psycopg2"}


def is_shared(url: str) -> bool:
    """Whether other machines can take part."""
    return not url.startswith(("sqlite", "journal"))


def file_url(file: Path) -> str:
    """The URL of an SQLite file, whatever characters its path has.

    SQLite's own percent-encoding: in a plain URL ``?`` would begin the query, and Optuna would take
    braces for a place to fill in.
    """
    return URL.create(
        "sqlite", database=file.resolve().as_uri(), query={"uri": "true"}
    ).render_as_string()


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
    # A Ctrl-C that meets the pool at work is raised again; it would print a traceback first.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
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
    for seconds in (*_PATIENCE, None):
        try:
            with quiet():
                return action()
        except (ArgumentError, StorageLostError):
            raise
        except Exception as error:  # SQLAlchemy, drivers and Optuna each have their own
            if seconds is not None and any(words in str(error) for words in _PASSING):
                time.sleep(seconds)
                continue
            reason = without_password(" ".join(str(error).split()), url)
            raise ArgumentError(
                f"the study's storage cannot be used: {type(error).__name__}: {reason[:200]}"
            ) from None  # a traceback further up would show the URL
    raise AssertionError("unreachable")


def _database(url: str, grace: int) -> PatientDatabase | PatientProxy:
    storage = PatientDatabase(
        _with_driver(_without_fields(url)),
        heartbeat_interval=max(1, grace // _BEATS_WITHIN_GRACE),
        grace_period=grace,
        heartbeat_stale_trial_callback=retry,
        engine_kwargs={"pool_pre_ping": True} if is_shared(url) else None,
    )
    if storage.engine.dialect.name == "sqlite":
        event.listen(storage.engine, "connect", _prepare)
        event.listen(storage.engine, "begin", _begin)
        storage.engine.dispose()  # the connection that made the tables does without
    return storage


def _without_fields(url: str) -> str:
    """Keep Optuna, which fills in its schema's version, from braces in a password or a path."""
    doubled = url.replace("{", "{{").replace("}", "}}")
    return doubled.replace("{{SCHEMA_VERSION}}", "{SCHEMA_VERSION}")


def _prepare(connection: Any, _record: object) -> None:
    """Spare SQLite the wait for the disk at every commit; a killed process still loses nothing."""
    connection.isolation_level = None  # _begin begins
    connection.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin(connection: Connection) -> None:
    """Lock before the first look.

    Python's driver begins a transaction at the first change: two processes would both see a trial
    waiting and both claim it.
    """
    connection.exec_driver_sql("BEGIN IMMEDIATE")


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
        if isinstance(old, dict) and isinstance(new, dict) and not _is_other_base(old, new):
            parts.append(_difference(old, new, f"{inside}{key} "))
        else:
            parts.append(f"{inside}{key} {_shown(old)} there, {_shown(new)} here")
    return "; ".join(parts)


def _is_other_base(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether these are settings from two places, which would differ in nearly all."""
    return old.get("origin") != new.get("origin")


def _shown(value: object) -> str:
    """A setting in an error; of a base its origin alone."""
    return str(value["origin"]) if isinstance(value, dict) and "origin" in value else repr(value)
