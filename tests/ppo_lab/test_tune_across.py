"""``python -m ppo_lab.tune --envs``: several environments in one study."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from ppo_lab.tune import main

ENVS = ["ppo_lab/GridWorld-v0", "ppo_lab/NoisyGridWorld-v0"]
SMALL = ["--algo", "spec_ppo", "--trials", "3", "--timesteps", "128", "--replicas", "2"]
SMALL += ["--finalists", "1", "--seeds", "3", "--jobs", "2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--envs", *ENVS, "--env", "Acrobot-v1"], r"--env Acrobot-v1 with --envs: name it among"),
        (
            ["--envs", *ENVS, "--sampler", "tpe"],
            r"--sampler tpe proposes .* expected qmc or random",
        ),
        (["--envs", *ENVS, "--base", "zoo"], r"--base zoo with --envs"),
        (["--envs", *ENVS, "--until-clear"], r"--until-clear with --envs"),
        (["--envs", *ENVS, "--strategy", "pbt"], r"--strategy pbt with --envs"),
        (["--envs", ENVS[0], "CartPol-v1"], r"unknown environment 'CartPol-v1'; closest"),
        (["--one-setting"], r"--one-setting: expected --envs"),
        (["--until-clear", "--first", "2"], r"--first 2: expected at least 3 seeds"),
        (["--strategy", "pbt", "--until-clear"], r"--until-clear with --strategy pbt"),
        (["--until-clear", "--seeds", "4"], r"--seeds 4 with --until-clear"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--algo", "spec_ppo", "--timesteps", "128", *arguments]
    assert main([*words, "--log-folder", str(tmp_path)]) == 2
    assert re.fullmatch(rf"ppo_lab\.tune: .*{message}.*\n", capsys.readouterr().err)
    assert not list(tmp_path.glob("**/run.json"))


@pytest.mark.slow  # two studies, and the one setting's runs
@pytest.mark.parametrize("one", [False, True])
def test_one_setting_is_judged_beside_the_default_and_each_ones_own_and_goes_on(
    tmp_path: Path, one: bool
) -> None:
    arguments = [*SMALL, "--envs", *ENVS, "--log-folder", str(tmp_path)]
    arguments += ["--one-setting"] if one else []
    assert main(arguments) == 0
    folder = tmp_path / "tune-across"
    table = pd.read_csv(folder / "sensitivity.csv")
    assert table["environment"].tolist() == [*ENVS, "all environments"]
    assert table["tuned_for_each"].isna().all() == one
    records = [json.loads(file.read_text()) for file in folder.glob("**/run.json")]
    judged = {run["seed"] for run in records if run["stage"] == "judge"}
    assert not judged & {run["seed"] for run in records if run["stage"] != "judge"}
    assert ({"tuned", "default"} & {run["settings"] for run in records}) >= {"default"}
    report = json.loads((folder / "report.json").read_text())
    assert "spec_ppo (default)" in report["labels"]
    assert any("One setting for" in note for note in report["notes"])
    names = ("report.json", "sensitivity.csv", "sensitivity.png")
    before = {name: (folder / name).read_bytes() for name in names}
    made = {path: path.stat().st_mtime_ns for path in folder.glob("**/run.json")}
    assert main(arguments) == 0
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert made == {path: path.stat().st_mtime_ns for path in folder.glob("**/run.json")}


@pytest.mark.slow  # a whole study
def test_judging_until_it_is_clear_goes_on_and_says_what_was_decided(tmp_path: Path) -> None:
    env = ["--env", ENVS[0], "--study-name", "clear"]
    plan = ["--until-clear", "--first", "3", "--step", "2", "--max-seeds", "5"]
    small = [word for word in SMALL if word not in ("--seeds", "3")]
    small[small.index("--trials") + 1 : small.index("--trials") + 1] = ["3"]
    arguments = [*small, *env, *plan, "--log-folder", str(tmp_path)]
    assert main(arguments) == 0
    folder = tmp_path / "clear"
    report = (folder / "report.json").read_bytes()
    looks = (folder / "judge" / "looks.json").read_bytes()
    assert main(arguments) == 0
    assert (folder / "report.json").read_bytes() == report
    assert (folder / "judge" / "looks.json").read_bytes() == looks
    assert main([*arguments, "--error", "0.01"]) == 2
