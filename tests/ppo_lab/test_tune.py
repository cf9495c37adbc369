"""The main job: ``python -m ppo_lab.tune``."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml

from ppo_lab.tune import main
from tuning.protocol import TuningProtocol

HOME = Path(__file__).resolve().parents[2]
ENV = ["--env", "ppo_lab/NoisyGridWorld-v0"]
SMALL = [*ENV, "--trials", "2", "--seeds", "2", "--timesteps", "128", "--jobs", "2"]
STUDY = "tune-ppo_lab-NoisyGridWorld-v0"
REPORT = [
    "report.html",
    "report.json",
    "report.md",
    "tables/table.csv",
    "tables/scores.csv",
    "figures/learning_curves.png",
    "figures/intervals.svg",
]


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small study, finished."""
    logs = tmp_path_factory.mktemp("logs")
    handler = signal.getsignal(signal.SIGTERM)
    assert main([*SMALL, "--log-folder", str(logs)]) == 0
    signal.signal(signal.SIGTERM, handler)
    return logs / STUDY


def report_bytes(study: Path) -> dict[str, bytes]:
    return {name: (study / name).read_bytes() for name in REPORT}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ppo_lab.tune", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HOME)}


def test_table_has_tuned_and_default_settings_of_both_algorithms(finished: Path) -> None:
    table = pd.read_csv(finished / "tables" / "table.csv")
    labels = ["ppo (default)", "ppo (tuned)", "spec_ppo (default)", "spec_ppo (tuned)"]
    assert table["label"].tolist() == labels
    assert (table["runs"] == 2).all()
    for column in ("mean", "iqm", "optimality_gap", "p_better"):
        assert {column, f"{column}_low", f"{column}_high"} <= set(table.columns)
    markdown = (finished / "report.md").read_text()
    assert all(label in markdown for label in labels)
    words = shlex.join(SMALL[:-2])  # --jobs changes no number
    assert f"```bash\npython -m ppo_lab.tune {words}\n```" in markdown


def test_default_rows_of_both_algorithms_are_the_same_to_the_last_digit(finished: Path) -> None:
    scores = pd.read_csv(finished / "tables" / "scores.csv")
    ours, reference = (
        scores[scores["label"] == f"{algo} (default)"].sort_values("seed")["score"].tolist()
        for algo in ("spec_ppo", "ppo")
    )
    assert ours == reference


def test_replication_trains_the_default_beside_the_best_others_as_the_budget_says(
    finished: Path,
) -> None:
    for algo in ("spec_ppo", "ppo"):
        runs = [*finished.glob(f"replicate/{algo}/trial_*/*/run.json")]
        # 2 trials, of which the first is the default: 2 × 10 fresh seeds.
        assert sorted({run.parent.parent.name for run in runs}) == ["trial_1", "trial_2"]
        assert len(runs) == 20
    report = (finished / "report.md").read_text()
    assert "at most 2 × 1 + (2 + 1) × 10 = 32 runs of tuning" in report
    assert report.count("20 replications (10 of them of the default settings)") == 2


def test_both_algorithms_get_the_same_budget_and_disjoint_seeds(finished: Path) -> None:
    records = [json.loads(path.read_text()) for path in finished.glob("*/**/run.json")]
    runs = pd.DataFrame(records)
    spent = runs.groupby(["algo", "stage"])["steps"].sum().unstack("algo")
    assert (spent["ppo"] == spent["spec_ppo"]).all()
    tuning = set(runs[runs["stage"] != "judge"]["seed"])
    assert not tuning & set(runs[runs["stage"] == "judge"]["seed"])
    assert runs[runs["stage"] == "screen"]["seed"].nunique() == 1
    # Each seed's runs have an evaluation seed of their own, whichever algorithm and settings.
    evaluated = {(run["seed"], run["evaluation"]["seed"]) for run in records}
    own = {evaluation_seed for _, evaluation_seed in evaluated}
    assert len(evaluated) == len(own) == runs["seed"].nunique()
    assert not own & set(runs["seed"])


def test_study_is_in_the_log_folder_and_every_trial_in_it(finished: Path) -> None:
    for algo in ("spec_ppo", "ppo"):
        study = optuna.load_study(
            study_name=f"{STUDY}-{algo}", storage=f"sqlite:///{finished / 'study.db'}"
        )
        assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 2


def test_the_same_command_takes_what_is_there_and_says_so(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = report_bytes(finished)
    made = {path: path.stat().st_mtime_ns for path in finished.glob("*/**/run.json")}
    assert main([*SMALL, "--log-folder", str(finished.parent)]) == 0
    output = capsys.readouterr().out
    assert "Going on with study" in output
    assert "4 of 4 trials are finished" in output
    assert made == {path: path.stat().st_mtime_ns for path in finished.glob("*/**/run.json")}
    assert report_bytes(finished) == before


def test_same_seed_gives_the_same_report_whatever_the_number_of_processes(
    finished: Path, tmp_path: Path
) -> None:
    assert main([*SMALL, "--jobs", "1", "--log-folder", str(tmp_path)]) == 0
    assert report_bytes(tmp_path / STUDY) == report_bytes(finished)


@pytest.mark.slow  # half a minute; a study that is cut off anywhere repeats in test_study.py
def test_killed_command_goes_on_and_ends_with_the_same_report(
    finished: Path, tmp_path: Path
) -> None:
    arguments = command(*SMALL, "--log-folder", str(tmp_path))
    with subprocess.Popen(
        arguments, env=environment(), stdout=subprocess.DEVNULL, cwd=tmp_path
    ) as process:
        deadline = time.monotonic() + 240
        while not list(tmp_path.glob(f"{STUDY}/replicate/**/run.json")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    answer = subprocess.run(
        arguments, env=environment(), capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "4 of 4 trials are finished" in answer.stdout
    assert report_bytes(tmp_path / STUDY) == report_bytes(finished)
    assert list(tmp_path.glob("**/.*.part-*")) == []


def test_interrupted_command_says_that_it_goes_on(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("--log-folder", str(tmp_path), "--jobs", "2"),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        deadline = time.monotonic() + 240
        while not list(tmp_path.glob("tune-CartPole-v1/screen/**/run.json")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors == "ppo_lab.tune: stopped; the same command goes on from here\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "NoisyGridWrld-v0"], r"unknown environment.*closest: ppo_lab/NoisyGridWorld-v0"),
        (["--env", "CartPole-v9"], r"unknown environment 'CartPole-v9'; closest: CartPole-v1"),
        (["--env", "no_such_module:Foo-v0"], r"cannot be made: .*no_such_module"),
        (["--env", ""], r"unknown environment ''"),
        (["--algo", "spec_pp"], r"unknown algorithm 'spec_pp'; closest: spec_ppo"),
        (["--algo", "dqn"], r"algorithm 'dqn' has no search space; one of spec_ppo, ppo, a2c"),
        (["--trials", "0"], r"trials=0: expected at least 1"),
        (["--timesteps", "-1"], r"timesteps=-1: expected at least 1"),
        (["--seeds", "0"], r"seeds=0: expected at least 1"),
        (["--seed", "-1"], r"seed=-1: expected 0 to"),
        (["--jobs", "0"], r"--jobs 0: expected at least 1"),
        (["--trials", "many"], r"argument --trials: 'many': expected a whole number"),
        (["--nonsense"], r"unrecognized arguments: --nonsense"),
        (["--study-name", "../up"], r"--study-name '../up': expected a plain file name"),
        (["--log-folder", "/proc/none"], r"--log-folder /proc/none: "),
        (["--storage", "foo://bar"], r"the study's storage cannot be used"),
        (["--set", "clip_rang=0.1"], r"--set: unknown hyperparameter 'clip_rang'.*clip_range"),
        (["--set", "n_steps=64"], r"timesteps=128 is too small for one update of n_steps × 8"),
        (
            ["--space", "no.yml"],
            r"--space no.yml: No such file.*expected core, wide, atari.* or a file",
        ),
        (["--sampler", "tp"], r"sampler='tp': expected one of tpe, gp"),
        (["--pruner", "wilcoxon"], r"screen_seeds=1 with pruner='wilcoxon'.*at least 4"),
        (["--run-timeout", "-1"], r"--run-timeout -1: expected more than 0 seconds"),
        (["--grace", "1"], r"--grace 1: expected at least 4"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_one_clear_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = main([*SMALL, *arguments])
    except SystemExit as end:
        code = int(str(end.code))
    errors = capsys.readouterr().err
    assert code == 2
    assert errors.count("\n") == 1
    assert errors.startswith("ppo_lab.tune: ")
    assert re.search(message, errors)
    assert not list(tmp_path.glob("**/run.json"))


def test_action_space_that_ppo_cannot_use_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd_env.py").write_text(
        "import gymnasium as gym\nfrom gymnasium import spaces\n"
        "class Odd(gym.Env):\n    observation_space = spaces.Discrete(2)\n"
        "    action_space = spaces.Tuple((spaces.Discrete(2), spaces.Discrete(2)))\n"
        'gym.register("Odd-v0", entry_point=Odd)\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["--env", "odd_env:Odd-v0", "--log-folder", str(tmp_path)]) == 2
    assert "which PPO cannot use; expected one of Box, Discrete" in capsys.readouterr().err


def test_study_of_other_settings_is_refused_and_left_as_it_is(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = report_bytes(finished)
    assert main([*SMALL, "--timesteps", "200", "--log-folder", str(finished.parent)]) == 2
    assert "exists with other settings (timesteps 128 there, 200 here)" in capsys.readouterr().err
    assert report_bytes(finished) == before


@pytest.mark.slow  # every run twice; one such run, and its reason, is in test_runs.py
def test_environment_that_returns_nan_fails_every_trial_and_exits_1(tmp_path: Path) -> None:
    (tmp_path / "nan_env.py").write_text(
        "import gymnasium as gym\nfrom envs.gridworld import GridWorld\n"
        "class Nan(GridWorld):\n    def step(self, action):\n"
        "        observation, _, *rest = super().step(action)\n"
        '        return observation, float("nan"), *rest\n'
        'gym.register("Nan-v0", entry_point=Nan, max_episode_steps=5)\n'
    )
    answer = subprocess.run(
        command(*SMALL, "--env", "nan_env:Nan-v0", "--log-folder", str(tmp_path)),
        env={**os.environ, "PYTHONPATH": f"{HOME}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert "Traceback" not in answer.stdout + answer.stderr
    assert answer.stderr.count("\n") == 1
    assert "no trial of spec_ppo finished: all 2 failed" in answer.stderr
    assert "reward is nan at step" in answer.stderr
    storage = f"sqlite:///{tmp_path / 'tune-Nan-v0' / 'study.db'}"
    for trial in optuna.load_study(study_name="tune-Nan-v0-ppo", storage=storage).trials:
        assert trial.state == optuna.trial.TrialState.FAIL
        assert "reward is nan" in trial.user_attrs["reason"]


def test_help_documents_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    flags = (
        "env algo base trials timesteps n-envs screen-seeds finalists replicas seeds seed window"
    )
    flags += " space set sampler pruner jobs run-timeout storage grace study-name log-folder"
    for flag in (f"--{name}" for name in flags.split()):
        assert re.search(rf"^  {flag} .*\n?.*\w", text, re.MULTILINE), flag


def test_flags_default_to_the_protocols_own_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.partition("options:")[2].split())
    own = TuningProtocol("", "")
    for name in ("timesteps", "n_envs"):  # where no base says it
        flag = name.replace("_", "-")
        assert re.search(rf"--{flag} \w+ .*?\(default: the base's, or (\d+)\)", text)[1] == str(  # type: ignore[index]
            getattr(own, name)
        )
    flags = ("trials", "screen_seeds", "finalists", "replicas", "seeds")
    for name in (*flags, "seed", "window", "sampler", "pruner"):
        flag = name.replace("_", "-")
        assert re.search(rf"--{flag} \w+ .*?\(default: (\w+)[,)]", text)[1] == str(  # type: ignore[index]
            getattr(own, name)
        )


def test_one_algorithm_and_an_environment_without_a_stated_score(tmp_path: Path) -> None:
    arguments = ["--env", "Pendulum-v1", "--algo", "spec_ppo", "--trials", "1", "--jobs", "2"]
    arguments += ["--seeds", "1", "--timesteps", "64", "--log-folder", str(tmp_path)]
    assert main(arguments) == 0
    report = (tmp_path / "tune-Pendulum-v1" / "report.md").read_text()
    assert "high: best mean of RL Zoo's benchmark.md for Pendulum-v1" in report
    # The one trial is the default: nothing can beat it, and one row says so.
    assert "spec_ppo: the default was kept, for no trial beat it: " in report
    assert "(tuned)" not in report
    judged = [path.name for path in (tmp_path / "tune-Pendulum-v1" / "judge").iterdir()]
    assert sorted(judged) == ["made_by.json", "spec_ppo-default"]
    settings = (tmp_path / "tune-Pendulum-v1" / "spec_ppo.yml").read_text()
    assert settings.startswith("# spec_ppo, the default settings: python -m ppo_lab.tune kept them")


PRUNED = [
    *ENV,
    "--algo",
    "ppo",
    "--trials",
    "8",
    "--window",
    "2",
    "--pruner",
    "halving",
    "--seeds",
    "1",
]
PRUNED += ["--finalists", "1", "--replicas", "1", "--timesteps", "512", "--set", "n_steps=16"]


@pytest.mark.slow
def test_study_with_stopped_trials_repeats_whatever_the_number_of_processes(tmp_path: Path) -> None:
    for jobs in ("1", "2"):
        assert main([*PRUNED, "--jobs", jobs, "--log-folder", str(tmp_path / jobs)]) == 0
    for file in (*REPORT, "trials-ppo.csv", "ppo.yml"):
        one, two = ((tmp_path / jobs / STUDY / file).read_bytes() for jobs in "12")
        assert one == two, file
    table = pd.read_csv(tmp_path / "1" / STUDY / "trials-ppo.csv")
    stopped = table[table["state"] == "stopped"]
    assert 0 < len(stopped) < 8
    assert (stopped["steps"] < 512).all()
    assert stopped["decision"].str.match(r"stopped by halving at step \d+ with ").all()
    report = (tmp_path / "1" / STUDY / "report.md").read_text()
    assert f"8 trials ({len(stopped)} stopped, 0 failed)" in report


def test_best_settings_are_left_in_the_zoos_format(finished: Path) -> None:
    content = yaml.safe_load((finished / "spec_ppo.yml").read_text())
    settings = content["ppo_lab/NoisyGridWorld-v0"]
    assert {"n_envs", "n_timesteps", "policy", "n_steps", "clip_range"} <= set(settings)
    winner = json.loads(next(finished.glob("judge/spec_ppo-tuned/*/run.json")).read_text())
    given = {k: v for k, v in settings.items() if k not in ("n_envs", "n_timesteps", "policy")}
    assert given == winner["hyperparameters"]


def test_every_trial_has_its_decision(finished: Path) -> None:
    for algo in ("spec_ppo", "ppo"):
        table = pd.read_csv(finished / f"trials-{algo}.csv")
        assert table["trial"].tolist() == [1, 2]
        assert table["decision"].str.contains("wins").sum() == 1


@pytest.mark.slow
def test_full_disk_is_one_line_and_the_study_goes_on_when_there_is_room(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(tmp_path)), check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    arguments = command(*SMALL, "--algo", "ppo", "--log-folder", str(tmp_path))
    try:
        answer = subprocess.run(
            arguments, env=environment(), capture_output=True, text=True, check=False
        )
        assert answer.returncode == 1, answer.stderr
        assert answer.stderr.count("\n") == 1
        assert re.search("No space left on device|disk is full", answer.stderr)
        subprocess.run(("mount", "-o", "remount,size=100m", str(tmp_path)), check=True)
        again = subprocess.run(
            arguments, env=environment(), capture_output=True, text=True, check=False
        )
        assert again.returncode == 0, again.stderr
        table = pd.read_csv(tmp_path / STUDY / "trials-ppo.csv")
        assert table["state"].tolist() == ["completed"] * 2
    finally:
        subprocess.run(("umount", str(tmp_path)), check=True)
