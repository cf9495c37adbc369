"""No password of a storage's URL is written down or shown, however it is given."""

import re
import sys
import traceback
from pathlib import Path

import pytest

from ppo_lab.commands.shared import CommandParser
from ppo_lab.errors import ArgumentError
from ppo_lab.runs.folder import circumstances
from ppo_lab.runs.storage_url import shown_url, without_password, words_without_passwords
from ppo_lab.train import main as train
from ppo_lab.tune import main as tune
from tuning.storage import open_storage

SECRET = "hush"
URLS = {
    "postgresql://me:hush@host/x": "postgresql://me:***@host/x",
    "postgresql+psycopg://me:hu%73h@host:5432/x": "postgresql+psycopg://me:***@host:5432/x",
    "postgresql://me:a hush b@host/x": "postgresql://me:***@host/x",
    "postgresql://me:a:hush@host/x": "postgresql://me:***@host/x",
    "postgresql://me:a%40hush@host/x": "postgresql://me:***@host/x",
    "postgresql://host/x?user=me&password=hush": "postgresql://host/x?password=***&user=me",
    "postgresql://host/x?passwd=hush&sslmode=require": (
        "postgresql://host/x?passwd=***&sslmode=require"
    ),
    "postgresql://me@host/x?sslpassword=hush": "postgresql://me@host/x?sslpassword=***",
    "postgresql://host/x?options=-c%20password%3Dhush": "postgresql://host/x?options=***",
    "mssql+pyodbc:///?odbc_connect=PWD%3Dhush": "mssql+pyodbc:///?odbc_connect=***",
    "mysql://me:hush@host/x;pwd=hush": "mysql://me:***@host/***",
    "grpc://me:hush@host:13000": "grpc://me:***@host:13000",
    # What can be read in several ways shows nothing but the scheme.
    "postgresql://me:a@hush@host/x": "postgresql://***",
    "postgresql://me:a@hush/b@host/x": "postgresql://***",
    "postgresql://me:a@hush?b@host/x": "postgresql://***",
    "postgresql://me:a/hush@host/x": "postgresql://***",
    "postgresql://m/e:hush@host/x": "postgresql://***",
    "postgresql://host:5432/x?password=a@hush": "postgresql://***",
    "postgresql://me:hush/x": "postgresql://***",
    "postgresql://me:hushhost:5432/x": "postgresql://***",
    "postgresql:/me:hush@host/x": "***",
    "host=db user=me password=hush": "***",
    "hush": "***",
}


@pytest.mark.parametrize(("url", "shown"), URLS.items())
def test_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown
    told = without_password(f"cannot connect to {url}: FATAL for me", url)
    assert not re.search("hush|hu%73h", told)


def test_message_shows_the_password_neither_as_written_nor_as_meant() -> None:
    for url in ("postgresql://me:a%2fhu%73h@host/x", "postgresql://host/x?password=a%2fhu%73h"):
        told = without_password("no a%2fhu%73h, a/hush, a%2Fhush, a/hush for me", url)
        assert told == "no ***, ***, ***, *** for me"


@pytest.mark.parametrize(
    "url",
    ["postgresql://me@host:5432/x", "postgresql:///x?host=run&user=me", "grpc://host:13000",
     "sqlite:////a@b@c/d=e.db", "sqlite:///file:///a%3Fb.db?uri=true"],
)  # fmt: skip
def test_url_without_a_secret_is_shown_as_it_is(url: str) -> None:
    assert shown_url(url) == url
    assert without_password(f"no {url}", url) == f"no {url}"


def test_number_after_the_colon_may_be_a_password_where_there_is_no_at_sign() -> None:
    assert shown_url("postgresql://me:84951/x") == "postgresql://me/x"
    assert "84951" not in without_password("port 84951 failed", "postgresql://me:84951/x")
    assert shown_url("postgresql://host:5432/x") == "postgresql://host:5432/x"


def test_secret_that_is_part_of_ordinary_words_hides_the_whole_message() -> None:
    assert "refused" not in without_password("refused by host", "postgresql://me:us@host/x")


@pytest.mark.parametrize("flag", ["--storage", "--storag", "--sto"])
@pytest.mark.parametrize("url", list(URLS))
def test_command_line_is_recorded_without_secrets(
    flag: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in ([flag, url], [f"{flag}={url}"], [flag, *url.split(" ")]):
        monkeypatch.setattr(sys, "argv", ["/x/tune.py", "--seed", "3", *words, "--jobs", "2"])
        command = circumstances()["command"]
        assert command.startswith(f"tune.py --seed 3 {flag}")
        assert command.endswith(" --jobs 2")
        assert not re.search("hush|hu%73h", command)


def test_words_that_hold_no_url_are_recorded_as_they_are() -> None:
    words = ["--env", "a:b/c-v0", "-P", "gamma:0.9", "--conf", "ppo=x@y.yml", "--seed=3"]
    assert words_without_passwords(words) == words


@pytest.mark.parametrize(
    "words",
    [["--st=postgresql://me:hush@h/x"], ["postgresql://me:hush@h/x"], ["--study=a", "--x",
     "postgresql://me:hush@h/x"], ["--storage", "postgresql://me:hu", "sh@h/x"],
     ["--storage=postgresql://me:hush@h/x", "--trials", "postgresql://me:hush@h/x"]],
)  # fmt: skip
def test_usage_error_shows_no_password(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (tune, train):
        with pytest.raises(SystemExit) as caught:
            command(words)
        assert caught.value.code == 2
        errors = capsys.readouterr().err
        assert errors.count("\n") == 1
        assert not re.search("hush|sh@h", errors)


def test_value_joined_to_its_flag_is_hidden_in_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = CommandParser(prog="python -m x")
    parser.add_argument("--storage", choices=["a"])
    with pytest.raises(SystemExit):
        parser.parse_args(["--storage=host=db password=hush"])
    assert "hush" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "url",
    [url.replace("host", "127.0.0.1:1") for url in URLS if url.startswith("postgresql")] + ["hush"],
)
def test_storage_that_fails_shows_no_password_and_its_error_holds_none(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(ArgumentError, match="the study's storage cannot be used") as caught:
        open_storage(url)
    printed = "".join(traceback.format_exception(caught.value))
    assert SECRET not in printed.replace(__file__, "")
    assert caught.value.__cause__ is None
    arguments = ["--algo", "ppo", "--env", "CartPole-v1", "--timesteps", "2048"]
    assert tune([*arguments, "--storage", url, "--log-folder", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert SECRET not in errors
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and SECRET in p.read_text()]


def test_braces_in_a_password_are_no_field_of_optunas(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        open_storage(f"sqlite:///{tmp_path}/none/{{hush}}.db")
    assert "KeyError" not in str(caught.value)
    storage = open_storage(f"sqlite:///{tmp_path}/{{c}}.db")
    storage.engine.dispose()  # type: ignore[attr-defined]
    assert (tmp_path / "{c}.db").is_file()
