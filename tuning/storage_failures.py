"""What a command says when the storage that it shares fails on the way."""

from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import OptunaError
from sqlalchemy.exc import SQLAlchemyError

from ppo_lab.errors import CommandError
from ppo_lab.runs.storage_url import without_password
from tuning.patience import cause_of

__all__ = ["storage_failures"]


@contextmanager
def storage_failures(url: str | None) -> Iterator[None]:
    """Make one line of a storage's failure, without its password.

    Args:
        url: the storage's.

    Raises:
        CommandError: it has failed.
    """
    try:
        yield
    except (OptunaError, SQLAlchemyError) as error:
        reason = without_password(cause_of(error), url or "")
        raise CommandError(
            f"the study's storage failed: {reason[:300]}; the same command goes on from here"
        ) from None  # a traceback would show the URL
