"""What every command shares: typed options, and numbers checked by the flag's name."""

import argparse
import importlib
from dataclasses import dataclass, fields
from typing import Any

import pytest

from ppo_lab.commands import options
from ppo_lab.commands.shared import check_least, parse
from ppo_lab.errors import ArgumentError
from tuning import merge

COMMANDS = {
    "train": (options.TrainOptions, []),
    "evaluate": (options.EvaluateOptions, ["RUN"]),
    "compare": (options.CompareOptions, ["--envs", "CartPole-v1", "--timesteps", "8"]),
    "tune": (options.TuneOptions, []),
    "report": (options.ReportOptions, ["LOGS", "--out", "OUT"]),
    "zoo": (options.ZooOptions, ["train"]),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_of_a_command_is_a_field_of_its_options(name: str) -> None:
    kind, needed = COMMANDS[name]
    parser = importlib.import_module(f"ppo_lab.{name}")._parser()
    given = parse(parser, kind, needed)
    assert type(given) is kind
    assert vars(parser.parse_args(needed)) == {f.name: getattr(given, f.name) for f in fields(kind)}


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        *(("train", flag) for flag in ("-P", "--env-kwargs", "--wrapper", "--env-packages")),
        *(("compare", flag) for flag in ("-P", "--algos", "--env-kwargs")),
        *(("tune", flag) for flag in ("--env-kwargs", "--algos")),
    ],
)
def test_a_flag_of_several_values_that_is_given_twice_has_them_all(name: str, flag: str) -> None:
    parser = importlib.import_module(f"ppo_lab.{name}")._parser()
    needed = COMMANDS[name][1]
    before = vars(parser.parse_args(needed))
    given = vars(parser.parse_args([*needed, flag, "a:1", "b:2", flag, "c:3"]))
    (changed,) = (value for key, value in given.items() if value != before[key])
    assert changed == ["a:1", "b:2", "c:3"]


def test_the_merging_command_has_typed_options_too() -> None:
    assert parse(merge._parser(), merge.MergeOptions, ["a.yml"]).into == merge.PACKAGED


@dataclass(frozen=True)
class Counts:
    """Options of a command that does not exist."""

    n_envs: int | None = None
    seed: int = 0


@pytest.mark.parametrize("flags", [["--n-envs"], ["--n-envs", "--seed", "--jobs"]])
def test_a_flag_too_few_or_too_many_is_a_mistake_of_ours(flags: list[str]) -> None:
    parser = argparse.ArgumentParser()
    for flag in flags:
        parser.add_argument(flag)
    with pytest.raises(TypeError, match=r"^Counts and its parser differ in (seed|jobs)$"):
        parse(parser, Counts, [])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Counts(n_envs=0), "--n-envs 0: expected at least 1"),
        (Counts(n_envs=1, seed=-1), "--seed -1: expected at least 0"),
        (Counts(n_envs=1), None),
        (Counts(), None),
    ],
)
def test_too_small_a_number_is_named_by_its_flag(given: Counts, message: Any) -> None:
    least = {"n_envs": 1, "seed": 0}
    if message is None:
        check_least(given, least)
        return
    with pytest.raises(ArgumentError) as caught:
        check_least(given, least)
    assert str(caught.value) == message
