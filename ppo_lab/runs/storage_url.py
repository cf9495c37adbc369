"""The URL of a study's storage without its password, as it may be written down or shown."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, unquote_plus

if TYPE_CHECKING:
    from sqlalchemy import URL

__all__ = ["shown_url", "this_command", "without_password", "words_without_passwords"]

HIDDEN = "***"
NOT_SHOWN = (
    "its message is not shown, for it may quote the password "
    "(in a password write @ : / ? as %40 %3A %2F %3F)"
)
_FLAG, _SHORTEST_FLAG = "--storage", "--st"
_HARMLESS = frozenset(
    ("application_name", "charset", "connect_timeout", "host", "hostaddr", "mode", "port",
     "read_timeout", "sslmode", "target_session_attrs", "timeout", "uri", "user")
)  # fmt: skip
"""Keys of a URL's query whose values are shown; of every other key only the name is."""
_USUAL_PORTS = (1433, 1521, 3306, 5432, 6379, 13000)
_LEAST = 4
"""A secret shorter than so many characters is part of ordinary words."""


def shown_url(url: str) -> str:
    """A URL with ``***`` for its password and for whatever else may be one.

    Of one that cannot be read without doubt only the scheme is left.
    """
    parsed = _parsed(url)
    if parsed is None:
        scheme, separator, _ = url.partition("://")
        is_scheme = separator and scheme.replace("+", "").replace("_", "").isalnum()
        return f"{scheme}://{HIDDEN}" if is_scheme else HIDDEN
    if _is_file(parsed) and _HARMLESS.issuperset(parsed.query):
        return url
    shown = parsed.create(
        parsed.drivername,
        parsed.username,
        parsed.password,
        parsed.host,
        None if _is_doubtful_port(parsed) else parsed.port,
        HIDDEN if _is_doubtful_database(parsed) else parsed.database,
        {key: value if key in _HARMLESS else HIDDEN for key, value in parsed.query.items()},
    )
    return shown.render_as_string(hide_password=True).replace(quote_plus(HIDDEN), HIDDEN)


def without_password(text: str, url: str) -> str:
    """A message with the secrets of a storage's URL blotted out, as written and as meant.

    Args:
        text: what is to be shown.
        url: the URL that it may quote.
    """
    parsed = _parsed(url)
    if parsed is None:
        return NOT_SHOWN if url else text
    secrets = [str(parsed.password or ""), *_as_written(url)]
    for key, values in parsed.query.items():
        if key not in _HARMLESS:
            secrets += [values] if isinstance(values, str) else values
    if _is_doubtful_port(parsed):
        secrets.append(str(parsed.port))
    forms = {form for secret in secrets for form in _forms(secret)} - {""}
    if any(len(form) < _LEAST and form in text for form in forms):
        return NOT_SHOWN
    text = text.replace(url, shown_url(url))
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text


def words_without_passwords(words: Sequence[str]) -> list[str]:
    """A command line's words; what follows ``--storage``, or looks like a URL, without secrets.

    Args:
        words: as the shell gave them; a URL with a space in it may be two.
    """
    shown, after_flag, in_url = [], False, False
    for word in words:
        if word.startswith("-") and not ("@" in word and (after_flag or in_url)):
            given, equals, value = word.partition("=")
            flag = given.lower()  # as the commands read it
            is_flag = flag.startswith(_SHORTEST_FLAG) and _FLAG.startswith(flag)
            after_flag, in_url = is_flag and not equals, bool(is_flag and equals)
            shown.append(f"{given}={shown_url(value)}" if in_url else _shown_word(word))
        elif after_flag:
            after_flag, in_url = False, True
            shown.append(shown_url(word))
        else:
            shown.append(HIDDEN if in_url else _shown_word(word))
    return shown


def this_command() -> str:
    """The command line of this process, without secrets."""
    names = [Path(word).name for word in sys.argv[:1]]
    return " ".join([*names, *words_without_passwords(sys.argv[1:])])


def _shown_word(word: str) -> str:
    if "://" not in word:
        return word
    before, equals, url = word.partition("=")
    if equals and "://" in url and "://" not in before:
        return f"{before}={shown_url(url)}"
    return shown_url(word)


def _forms(secret: str) -> set[str]:
    return {secret, unquote(secret), unquote_plus(secret), quote(secret, safe=""),
            quote(secret), quote_plus(secret)}  # fmt: skip


def _as_written(url: str) -> list[str]:
    """The password, and the hidden values of the query, with their percent signs."""
    rest = url.partition("://")[2]
    before, _, query = rest.partition("?")
    values = [value for key, _, value in (part.partition("=") for part in query.split("&"))
              if key not in _HARMLESS]  # fmt: skip
    return [before.rpartition("@")[0].partition(":")[2], *values]


def _parsed(url: str) -> "URL | None":
    """SQLAlchemy's URL; None where it cannot be read, or not without doubt."""
    from sqlalchemy import make_url  # a fifth of a second, which no command without a URL needs

    try:
        parsed = make_url(url)
    except Exception:  # SQLAlchemy's own, or int's of a port; both may quote the password
        return None
    if _is_file(parsed):
        return parsed
    before, _, _ = url.partition("?")
    user, at_sign, _ = before.partition("://")[2].rpartition("@")
    # SQLAlchemy takes all up to the first @ for the password, a query's own @ too.
    doubtful = "/" in user or bool(at_sign) != (parsed.username is not None)
    return None if doubtful or (at_sign and url.count("@") > 1) else parsed


def _is_file(parsed: "URL") -> bool:
    return parsed.get_backend_name() == "sqlite" and parsed.password is None and not parsed.host


def _is_doubtful_database(parsed: "URL") -> bool:
    return not _is_file(parsed) and any(sign in (parsed.database or "") for sign in "=;&")


def _is_doubtful_port(parsed: "URL") -> bool:
    """Without ``@`` a number after the colon may be a password whose ``@host`` was forgotten."""
    return parsed.username is None and parsed.port is not None and parsed.port not in _USUAL_PORTS
