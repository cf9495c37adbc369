"""How environments are made and wrapped: the zoo's words in a file, and the flags on top."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from ppo_lab.compare import main as compare
from ppo_lab.evaluate import main as evaluate
from ppo_lab.hyperparams.sources import file_settings, zoo_settings
from ppo_lab.train import main as train
from ppo_lab.tune import main as tune
from tests.ppo_lab.vec_env import makers  # noqa: F401 - processes start with torch imported

TIME = "rl_zoo3.wrappers.TimeFeatureWrapper"
SMALL = ["--timesteps", "64", "--eval-episodes", "2", "--eval-freq", "0"]
pytest.importorskip("rl_zoo3", reason="the package rl_zoo3 is missing")


def written(folder: Path, entry: dict[str, Any], name: str = "default") -> str:
    file = folder / "conf.yml"
    file.write_text(yaml.safe_dump({name: {"n_steps": 32, "batch_size": 32, **entry}}))
    return str(file)


def record(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "run.json").read_text())
    return content


def test_a_file_of_the_zoos_words_is_trained_recorded_and_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {
        "env_wrapper": [TIME],
        "frame_stack": 2,
        "normalize": "dict(norm_reward=False)",
        "monitor_kwargs": {"info_keywords": []},
        "env_kwargs": {"sutton_barto_reward": True},
        "callback": "stable_baselines3.common.callbacks.StopTrainingOnMaxEpisodes",
    }
    words["callback"] = [{words["callback"]: {"max_episodes": 1000}}]
    conf, logs = written(tmp_path, words, "CartPole-v1"), str(tmp_path / "logs")
    command = ["--conf", conf, *SMALL, "--log-folder", logs]
    assert train(command) == 0
    run = tmp_path / "logs" / "spec_ppo" / "CartPole-v1_1"
    stored = record(run)
    assert stored["env_wrapper"] == [TIME]
    assert stored["frame_stack"] == 2
    assert stored["env_kwargs"] == {"sutton_barto_reward": True}
    assert stored["normalize"] == {"norm_reward": False}
    zoos = yaml.safe_load((run / "CartPole-v1" / "config.yml").read_text())
    assert {zoos["env_wrapper"][0], zoos["frame_stack"]} == {TIME, 2}
    assert zoos["callback"] == words["callback"]
    capsys.readouterr()
    assert train(command) == 0
    assert "is this run, finished" in capsys.readouterr().out
    # −1 for the fall, 0 before it: the environment is the one of env_kwargs.
    assert evaluate([str(run), "--episodes", "3"]) == 0
    assert "mean return -1" in capsys.readouterr().out


def test_flags_go_on_top_of_a_file(tmp_path: Path) -> None:
    conf = written(tmp_path, {"frame_stack": 4, "env_wrapper": TIME, "normalize": True})
    flags = [
        "--frame-stack",
        "0",
        "--normalize",
        "false",
        "--wrapper",
        TIME.replace(".Time", ":Time"),
    ]
    flags += ["--env-kwargs", "sutton_barto_reward:True"]
    flags += ["--eval-env-kwargs", "sutton_barto_reward:False"]
    logs = ["--log-folder", str(tmp_path / "logs")]
    assert train(["--conf", conf, *SMALL, *flags, *logs]) == 0
    stored = record(tmp_path / "logs" / "spec_ppo" / "CartPole-v1_1")
    assert (stored["frame_stack"], stored["normalize"]) == (0, False)
    assert stored["env_wrapper"] == [TIME]
    assert stored["env_kwargs"] == {"sutton_barto_reward": True}
    assert stored["eval_env_kwargs"] == {"sutton_barto_reward": False}
    assert stored["score"] > 0  # evaluated with rewards of 1


def test_compare_takes_the_same_flags(tmp_path: Path) -> None:
    command = ["--envs", "CartPole-v1", "--timesteps", "64", "--seeds", "2", "--episodes", "2"]
    command += ["--settings", "default", "--points", "1", "--jobs", "1", "--name", "flags"]
    command += ["--conf", written(tmp_path, {}), "--frame-stack", "2", "--normalize", "true"]
    assert compare([*command, "--log-folder", str(tmp_path)]) == 0
    runs = [record(file.parent) for file in (tmp_path / "flags").glob("runs/*/*/run.json")]
    assert {(run["algo"], run["frame_stack"], run["normalize"]) for run in runs} == {
        ("ppo", 2, True),
        ("spec_ppo", 2, True),
    }
    assert {run["status"] for run in runs} == {"completed"}


def test_a_resumed_run_takes_its_statistics_through_stacked_frames(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--conf", written(tmp_path, {}), "--frame-stack", "2", "--normalize", "true"]
    logs = ["--log-folder", str(tmp_path / "logs")]
    assert train([*words, *SMALL, *logs]) == 0
    runs = tmp_path / "logs" / "spec_ppo"
    more = ["--resume", str(runs / "CartPole-v1_1"), "--timesteps", "128", *logs]
    assert train([*more, "--vec-env", "subproc"]) == 2
    assert "--vec-env subproc with --resume: the run has its own" in capsys.readouterr().err
    assert train([*more, "--eval-freq", "0"]) == 0
    first, second = (
        VecNormalize.load(
            str(runs / f"CartPole-v1_{number}" / "CartPole-v1" / "vecnormalize.pkl"),
            make_vec_env("CartPole-v1"),
        )
        for number in (1, 2)
    )
    # Each of 64 steps and the first observation count: those of both trainings.
    counted = first.obs_rms.count - 1e-4
    assert second.obs_rms.count - 1e-4 == pytest.approx(2 * counted)


@pytest.mark.parametrize("algo", ["q_learning", "optimal"])
@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (["--normalize", "true"], "normalize"),
        (["--wrapper", "gymnasium.wrappers:RecordEpisodeStatistics"], "env_wrapper"),
        (["--frame-stack", "2"], "frame_stack"),
        (["--eval-env-kwargs", "noise:0.5"], "eval_env_kwargs"),
    ],
)
def test_what_a_table_would_pass_over_is_refused(
    algo: str, flags: list[str], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--envs", "ppo_lab/GridWorld-v0", "--algos", algo, "--timesteps", "64", *flags]
    assert compare([*command, "--seeds", "1", "--log-folder", str(tmp_path)]) == 2
    assert f"it takes no {name}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--env-packages", "no_such_package"],
            "(--env-packages, or of --wrapper) no_such_package cannot be imported",
        ),
        (["--wrapper", "json:JSONDecoder"], "env_wrapper json.JSONDecoder() cannot be made"),
        (["--wrapper", "gymnasium:NoSuch"], "cannot be imported: AttributeError"),
        (["--env-kwargs", "size"], "--env-kwargs 'size': expected name:value"),
        (["--env-kwargs", "size:5"], "cannot be made"),
        (["-P", "device:cuda"], "device is no hyperparameter; give --device"),
        (["-P", "n_envs:4"], "n_envs is no hyperparameter; give --n-envs"),
        (["--frame-stack", "-1"], "frame_stack -1: expected 0…1000"),
        (["--normalize", "often"], "normalize='often': expected dict(…)"),
        (["--env", "ppo_lab/GridWorld-v0", "--normalize", "true"], "VecNormalize"),
        (["--env", "ppo_lab/GridWorld-v0", "--frame-stack", "2"], "frame_stack=2 does not fit"),
    ],
)
def test_what_cannot_work_is_one_line_and_leaves_nothing(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train([*SMALL, *flags, "--log-folder", str(tmp_path / "logs")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not list((tmp_path / "logs").rglob("run.json"))


def test_atari_takes_the_zoos_entry_for_it_and_newer_versions_the_listed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = zoo_settings("ppo", "HalfCheetah-v5")
    assert newer is not None
    assert newer.origin.endswith("HalfCheetah-v4 for HalfCheetah-v5, which it does not list")
    assert newer.normalize is True
    unlisted = zoo_settings("ppo", "ppo_lab/GridWorld-v0")
    assert unlisted is not None
    assert "default (SB3's defaults)" in unlisted.origin
    monkeypatch.setattr(
        "ppo_lab.hyperparams.environment_words.entry_point", lambda _: "ale_py.env:AtariEnv"
    )
    game = zoo_settings("ppo", "ale_py:ALE/Pong-v5")
    assert game is not None
    assert game.policy == "CnnPolicy"
    assert game.environment == {"env_wrapper": [f"{ATARI}.AtariWrapper"], "frame_stack": 4}


ATARI = "stable_baselines3.common.atari_wrappers"


def test_a_default_entrys_policy_is_not_forced_on_other_observations(tmp_path: Path) -> None:
    file = Path(written(tmp_path, {"policy": "MlpPolicy"}))
    assert file_settings(file, "CartPole-v1").policy == ""
    file = Path(written(tmp_path, {"policy": "CnnPolicy"}, "CartPole-v1"))
    assert file_settings(file, "CartPole-v1").policy == "CnnPolicy"


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("ALE/Ping-v5", "write ale_py:ALE/Ping-v5"),
        ("PingNoFrameskip-v4", "write ale_py:PingNoFrameskip-v4"),
        ("MiniGrid-Locked-v0", "write minigrid:MiniGrid-Locked-v0"),
        ("BeeBulletEnv-v0", "write pybullet_envs_gymnasium:BeeBulletEnv-v0"),
        ("acme/Reach-v0", "write PACKAGE:acme/Reach-v0, or give --env-packages PACKAGE"),
        ("ppo_lab/Grid-v0", "closest: ppo_lab/GridWorld-v0"),
        ("CartPol-v1", "closest: CartPole-v1"),
        ("QQQQQQ-v0", "write PACKAGE:QQQQQQ-v0, or give --env-packages PACKAGE"),
    ],
)
def test_an_unknown_id_says_what_brings_it(
    env: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for package in ("ale_py", "minigrid", "pybullet_envs_gymnasium"):
        monkeypatch.delitem(sys.modules, package, raising=False)  # rl_zoo3 imports them
    assert train(["--env", env, "--log-folder", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"unknown environment {env!r}" in said
    assert message in said
    assert len(said) < 200


@pytest.mark.parametrize(
    ("module", "env", "brings"),
    [
        ("ale_py", "ale_py:ALE/Pong-v5", '"ppo-lab[atari]"'),
        ("panda_gym", "panda_gym:PandaReach-v3", "panda-gym"),
    ],
)
def test_a_package_that_is_missing_is_named_with_what_brings_it(
    module: str,
    env: str,
    brings: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as where it is not installed
    for named in ([env], ["CartPole-v1", "--env-packages", module]):
        assert train(["--env", *named, "--log-folder", str(tmp_path)]) == 2
        said = capsys.readouterr().err
        assert f"the module {module} is missing: pip install {brings}" in said
        assert said.count("\n") == 1


def test_tune_takes_the_same_flags_and_a_study_of_others_is_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--env", "CartPole-v1", "--algo", "spec_ppo", "--trials", "1", "--seeds", "2"]
    command += ["--replicas", "2", "--finalists", "1", "--timesteps", "128", "--n-envs", "2"]
    command += ["--episodes", "2", "--jobs", "1", "--log-folder", str(tmp_path)]
    wrapped = ["--wrapper", TIME.replace(".Time", ":Time"), "--normalize", "true"]
    assert tune([*command, *wrapped]) == 0
    runs = [record(file.parent) for file in tmp_path.rglob("run.json")]
    assert len(runs) > 4
    assert {(tuple(run["env_wrapper"]), run["normalize"]) for run in runs} == {((TIME,), True)}
    best = next(iter(yaml.safe_load(next(tmp_path.rglob("spec_ppo.yml")).read_text()).values()))
    assert (best["env_wrapper"], best["normalize"]) == ([TIME], True)
    capsys.readouterr()
    assert tune(command) != 0  # the folder's study is of wrapped environments
    assert "environment" in capsys.readouterr().err


def test_how_environments_are_stepped_changes_no_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Without its monitor's arguments it would be stepped by compiled code.
    scores = {}
    for name, entry, flag in (
        ("dummy", {}, []),
        ("pool", {}, ["--vec-env", "pool"]),
        ("pool", {"vec_env": "pool"}, []),
        ("auto", {"vec_env": "pool"}, ["--vec-env", "auto"]),
    ):
        conf = written(tmp_path, {"monitor_kwargs": {"allow_early_resets": True}, **entry})
        command = ["--env", "Pendulum-v1", "--conf", conf, *SMALL, "--n-envs", "2", *flag]
        logs = tmp_path / f"{name}{len(scores)}"
        assert train([*command, "--log-folder", str(logs)]) == 0
        (run,) = [record(file.parent) for file in logs.rglob("run.json")]
        assert run["vec_env"] == name
        scores[name, len(scores)] = (run["score"], run["settings"])
        assert "vec_env" not in next(logs.rglob("config.yml")).read_text()  # the zoo has no word
    assert len(set(scores.values())) == 1
    said = [line for line in capsys.readouterr().out.splitlines() if "--vec-env auto" in line]
    assert len(said) == 1
    assert "steps Pendulum-v1 as dummy, because a step takes" in said[0]


def test_auto_says_where_compiled_code_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf, logs = written(tmp_path, {}), ["--log-folder", str(tmp_path / "logs")]
    assert train(["--env", "CartPole-v1", "--conf", conf, *SMALL, "--vec-env", "auto", *logs]) == 0
    assert "--vec-env auto steps CartPole-v1 in compiled code" in capsys.readouterr().out


def test_an_unknown_way_to_step_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf, logs = written(tmp_path, {"vec_env": "pol"}), ["--log-folder", str(tmp_path / "logs")]
    assert train(["--env", "Pendulum-v1", "--conf", conf, *SMALL, *logs]) == 2
    assert "vec_env 'pol': expected one of dummy, subproc, pool, auto" in capsys.readouterr().err
    assert train(["-P", "vec_env:pool", *SMALL, *logs]) == 2
    assert "give --vec-env" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["subproc", "pool"])
def test_workers_of_compare_may_have_processes_for_their_environments(
    kind: str, tmp_path: Path
) -> None:
    command = ["--envs", "Pendulum-v1", "--algos", "spec_ppo", "--timesteps", "64", "--seeds", "1"]
    command += ["--conf", written(tmp_path, {}), "--n-envs", "2", "--vec-env", kind]
    command += ["--episodes", "2", "--points", "1", "--jobs", "1", "--name", "apart"]
    assert compare([*command, "--log-folder", str(tmp_path)]) == 0
    (run,) = [record(file.parent) for file in (tmp_path / "apart").rglob("run.json")]
    assert (run["status"], run["vec_env"]) == ("completed", kind)
