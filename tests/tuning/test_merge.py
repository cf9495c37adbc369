"""Tuned settings among those of other environments."""

import shlex
from pathlib import Path

import pytest
import yaml

from ppo_lab.commands.tune_flags import tune_parser
from ppo_lab.errors import ArgumentError
from tuning.merge import PACKAGED, main, merged
from tuning.space_files import spaces_for
from tuning.spaces import fit_to_budget

KNOWN = """\
# Settings in the zoo's format.

Grid-v0: &grid
  n_envs: 16
  gamma: 0.99

Noisy-v0: *grid

# A nearer horizon.
Cliff-v0:
  <<: *grid
  gamma: 0.95
"""
TUNED = """\
# Tuned by a command.
# Score 1.

Grid-v0:
  n_envs: 8
  policy_kwargs:
    net_arch: [64, 64]
"""
ROOT = Path(__file__).parents[2]


def test_the_tuned_environment_changes_and_those_that_named_it_do_not() -> None:
    settings = yaml.safe_load(merged(KNOWN, {"a.yml": TUNED}))
    assert settings == {
        "Grid-v0": {"n_envs": 8, "policy_kwargs": {"net_arch": [64, 64]}},
        "Noisy-v0": {"n_envs": 16, "gamma": 0.99},
        "Cliff-v0": {"n_envs": 16, "gamma": 0.95},
    }
    assert list(settings) == ["Grid-v0", "Noisy-v0", "Cliff-v0"]


def test_comments_stay_above_their_environments() -> None:
    text = merged(KNOWN, {"a.yml": TUNED})
    assert text.startswith("# Settings in the zoo's format.\n\n# Tuned by a command.\n# Score 1.\n")
    assert "\n# A nearer horizon.\nCliff-v0:\n" in text
    assert "\n\nNoisy-v0:\n" in text


def test_merging_again_changes_nothing() -> None:
    once = merged(KNOWN, {"a.yml": TUNED})
    assert merged(once, {"a.yml": TUNED}) == once


def test_a_new_environment_comes_last() -> None:
    text = merged(KNOWN, {"b.yml": "# New.\n\nNew-v0:\n  n_envs: 1\n"})
    assert text.endswith("\n\n# New.\nNew-v0:\n  n_envs: 1\n")
    assert yaml.safe_load(text).keys() == {*yaml.safe_load(KNOWN), "New-v0"}


def test_the_packaged_settings_survive_with_all_comments() -> None:
    before = PACKAGED.read_text(encoding="utf-8")
    after = merged(before, {"b.yml": "New-v0:\n  n_envs: 1\n"})
    assert {**yaml.safe_load(before), "New-v0": {"n_envs": 1}} == yaml.safe_load(after)
    comments = [line for line in before.splitlines() if line.lstrip().startswith("#")]
    assert [line for line in after.splitlines() if line.lstrip().startswith("#")] == comments


@pytest.mark.parametrize(
    ("tuned", "message"),
    [
        ({"a.yml": "Grid-v0: {n_envs: [}"}, "a.yml is no YAML: .*line 1, column 20"),
        ({"a.yml": "- 1"}, "a.yml: expected environment ids with their settings"),
        ({"a.yml": "Grid-v0: 3"}, "a.yml: expected environment ids with their settings"),
        ({"a.yml": TUNED, "b.yml": TUNED}, "Grid-v0 is tuned in a.yml and in b.yml: choose one"),
    ],
)
def test_what_cannot_be_merged_is_refused(tuned: dict[str, str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        merged(KNOWN, tuned)


def test_the_command_changes_the_file_it_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into, tuned = tmp_path / "known.yml", tmp_path / "tuned.yml"
    into.write_text(KNOWN, encoding="utf-8")
    tuned.write_text(TUNED, encoding="utf-8")
    assert main([str(tuned), "--into", str(into)]) == 0
    assert yaml.safe_load(into.read_text(encoding="utf-8"))["Grid-v0"]["n_envs"] == 8
    assert capsys.readouterr().out == f"{into} has the settings of Grid-v0\n"


def test_a_failing_command_leaves_the_file_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into, broken = tmp_path / "known.yml", tmp_path / "broken.yml"
    into.write_text(KNOWN, encoding="utf-8")
    broken.write_text("[", encoding="utf-8")
    assert main([str(broken), "--into", str(into)]) == 2
    assert main([str(tmp_path / "none.yml"), "--into", str(into)]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert all(line.startswith("tuning.merge: ") for line in errors)
    assert into.read_text(encoding="utf-8") == KNOWN


def test_the_documented_commands_can_be_run() -> None:
    page = (ROOT / "docs" / "tuned.md").read_text(encoding="utf-8")
    commands = [line for line in page.splitlines() if line.startswith("python -m ppo_lab.tune")]
    seeds = set()
    for command in commands:
        options = tune_parser().parse_args(shlex.split(command)[3:])
        spaces = spaces_for(options.algo, options.space, options.set)
        fit_to_budget(spaces["spec_ppo"], options.n_envs, options.timesteps)
        seeds.add(options.seed)
    assert len(commands) == len(seeds) == 6
