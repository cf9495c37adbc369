"""``python -m ppo_lab.train`` and ``python -m ppo_lab.evaluate``: one run, from start to score."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import yaml
from stable_baselines3 import A2C

from ppo_lab import SpecPPO
from ppo_lab.commands.evaluation import mean_interval
from ppo_lab.evaluate import main as evaluate
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.made_by import noted_commands
from ppo_lab.runs.references import ReferenceScores
from ppo_lab.runs.resumable import read_run, tensorboard_folder
from ppo_lab.train import main as train
from reports.logs.loading import load_runs
from reports.statistics.aggregates import aggregates

HOME = Path(__file__).resolve().parents[2]
SMALL = ["--timesteps", "512", "--eval-episodes", "3", "-P", "n_steps:64", "batch_size:32",
         "n_epochs:1", "--seed", "3"]  # fmt: skip


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run, finished."""
    handler = signal.getsignal(signal.SIGTERM)
    logs = tmp_path_factory.mktemp("logs")
    assert train([*SMALL, "--log-folder", str(logs)]) == 0
    signal.signal(signal.SIGTERM, handler)
    return logs / "spec_ppo" / "CartPole-v1_1"


def test_run_lies_where_the_zoo_looks_with_everything_to_repeat_it(run: Path) -> None:
    config, record = read_run(run)
    assert record["status"] == "completed"
    assert (config.seed, config.timesteps, config.settings) == (3, 512, "given")
    assert config.hyperparameters == {"n_steps": 64, "batch_size": 32, "n_epochs": 1}
    assert SpecPPO.load(run / "CartPole-v1.zip", device="cpu").num_timesteps == 512
    # A tenth of the budget is 52 steps: the first rollout that ends after it, eight in all.
    steps = np.load(run / "evaluations.npz")["timesteps"]
    assert steps.tolist() == [0, 64, 128, 192, 256, 320, 384, 448, 512]
    assert not list(run.parent.glob("*unfinished*")) + list(run.glob("rl_model_*"))
    assert noted_commands(run) == (("python", "-m", "ppo_lab.train", *SMALL),)


def test_the_same_command_finds_its_run_and_another_seed_gets_its_own(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = (run / "run.json").stat().st_mtime_ns
    logs = str(run.parents[1])
    assert train([*SMALL, "--log-folder", logs]) == 0
    assert f"{run} is this run, finished: mean return" in capsys.readouterr().out
    assert (run / "run.json").stat().st_mtime_ns == written
    assert train([*SMALL, "--seed", "4", "--timesteps", "64", "--log-folder", logs]) == 0
    assert read_run(run.with_name("CartPole-v1_2"))[0].seed == 4


def test_the_same_command_elsewhere_gives_the_same_scores(run: Path, tmp_path: Path) -> None:
    assert train([*SMALL, "--log-folder", str(tmp_path)]) == 0
    again = np.load(tmp_path / "spec_ppo" / "CartPole-v1_1" / "evaluations.npz")
    np.testing.assert_array_equal(again["results"], np.load(run / "evaluations.npz")["results"])


def test_resume_goes_on_with_parameters_optimisers_and_step_count(
    run: Path, tmp_path: Path
) -> None:
    command = ["--resume", str(run), "--timesteps", "768", "--log-folder", str(tmp_path)]
    assert train(command) == 0
    more = tmp_path / "spec_ppo" / "CartPole-v1_1"
    before, after = (
        SpecPPO.load(folder / "CartPole-v1.zip", device="cpu") for folder in (run, more)
    )
    assert (before.num_timesteps, after.num_timesteps) == (512, 768)
    # Adam's count: two minibatches for each rollout of 64 steps.
    counts = [
        int(optimizer.state_dict()["state"][0]["step"])
        for model in (before, after)
        for optimizer in (model.policy.optimizer, model.policy.critic_optimizer)
    ]
    assert counts == [16, 16, 24, 24]
    record = json.loads((more / "run.json").read_text())
    assert record["resumed_from"] == (run / "CartPole-v1.zip").as_posix()
    assert record["timesteps"] == 768
    # The first evaluation is of the policy that was loaded: the earlier run's last.
    steps = np.load(more / "evaluations.npz")["timesteps"]
    assert (steps[0], steps[-1]) == (512, 768)
    first, last = (np.load(folder / "evaluations.npz")["results"] for folder in (more, run))
    np.testing.assert_array_equal(first[0], last[-1])


def test_a_vector_environment_trains_to_the_same_scores(run: Path, tmp_path: Path) -> None:
    command = [*SMALL, "--vec-env", "vector", "--log-folder", str(tmp_path)]
    assert train(command) == 0
    again = tmp_path / "spec_ppo" / "CartPole-v1_1"
    assert read_run(again)[0].vec_env == "vector"
    ours, theirs = (np.load(each / "evaluations.npz")["results"] for each in (again, run))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.skipif(find_spec("envpool") is None, reason="envpool is missing")
def test_a_run_in_envpool_repeats_goes_on_and_is_scored_in_gymnasiums_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = []
    for logs in (tmp_path / "one", tmp_path / "two"):
        assert train([*SMALL, "--vec-env", "envpool", "--log-folder", str(logs)]) == 0
        folder = logs / "spec_ppo" / "CartPole-v1_1"
        results.append(np.load(folder / "evaluations.npz")["results"])
    np.testing.assert_array_equal(*results)
    command = ["--resume", str(folder), "--timesteps", "768", "--log-folder", str(tmp_path)]
    assert train(command) == 0
    config, record = read_run(tmp_path / "spec_ppo" / "CartPole-v1_1")
    assert (config.vec_env, record["timesteps"]) == ("envpool", 768)
    assert evaluate([str(folder), "--episodes", "10"]) == 0
    assert "normalised" in capsys.readouterr().out


@pytest.mark.skipif(find_spec("envpool") is None, reason="envpool is missing")
def test_what_envpool_has_not_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--env", "Taxi-v4", "--vec-env", "envpool", "--log-folder", str(tmp_path)]
    assert train([*SMALL, *command]) == 2
    said = capsys.readouterr().err
    assert "EnvPool has no environment 'Taxi-v4'; closest of its" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.rglob("run.json"))


def test_each_run_logs_to_tensorboard_in_a_folder_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")

    def logged() -> dict[str, int]:
        files = (tmp_path / "tb").rglob("events.out.*")
        found = [file.parent.relative_to(tmp_path / "tb").as_posix() for file in files]
        return {folder: found.count(folder) for folder in sorted(found)}

    places = ["--tensorboard", str(tmp_path / "tb"), "--log-folder", str(tmp_path / "logs")]
    few = ["--timesteps", "64", "--eval-freq", "0", "--eval-episodes", "1", "-P", "n_steps:64",
           "batch_size:32", "n_epochs:1"]  # fmt: skip
    for seed in ("0", "1"):
        assert train([*few, "--seed", seed, *places]) == 0
    first = tmp_path / "logs" / "spec_ppo" / "CartPole-v1_1"
    assert train(["--resume", str(first), "--timesteps", "128", "--eval-freq", "0", *places]) == 0
    names = [f"spec_ppo/CartPole-v1_{number}" for number in (1, 2, 3)]
    assert logged() == dict.fromkeys(names, 1)
    assert read_run(first)[1]["tensorboard"] == str(tmp_path / "tb" / names[0])
    # Runs of another log folder have the same numbers, and folders of their own.
    assert train([*few, *places[:2], "--log-folder", str(tmp_path / "more")]) == 0
    assert logged() == {**dict.fromkeys(names, 1), "spec_ppo/CartPole-v1_1-2": 1}


def test_a_stopped_run_goes_on_in_its_own_tensorboard_folder(tmp_path: Path) -> None:
    run = RunConfig("spec_ppo", "E-v0", 0, 8, 1, "MlpPolicy", {}, Evaluation(1, 0))
    folder = tmp_path / "logs" / "E-v0_1"
    own = tensorboard_folder(tmp_path / "tb", run, folder, {})
    again = tensorboard_folder(tmp_path / "tb", run, folder, {"tensorboard": str(own)})
    assert again == own == tmp_path / "tb" / "spec_ppo" / "E-v0_1"
    # What a record states is followed nowhere else.
    for stated in (str(tmp_path), "", 5):
        other = tensorboard_folder(tmp_path / "tb", run, folder, {"tensorboard": stated})
        assert other.parent == own.parent
        assert not list(other.iterdir())
        assert other != own


def test_resumed_runs_replace_their_sources_in_the_report_wherever_they_lie(
    run: Path, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    shutil.copytree(run, logs / "spec_ppo" / run.name)
    for number, steps in ((1, 576), (2, 640)):
        source = logs / "spec_ppo" / f"CartPole-v1_{number}"
        command = ["--resume", str(source), "--timesteps", str(steps), "--eval-freq", "0"]
        assert train([*command, "--log-folder", str(logs)]) == 0
    record = read_run(logs / "spec_ppo" / "CartPole-v1_3")[1]
    assert record["resumed_at"] == 576
    logs.rename(tmp_path / "moved")
    loaded = load_runs(tmp_path / "moved")
    assert [found.folder for found in loaded.runs] == ["spec_ppo/CartPole-v1_3"]
    assert [aside.folder[-1] for aside in loaded.set_aside] == ["1", "2"]


def test_a_run_that_is_stopped_and_resumed_keeps_the_source_that_it_began_from(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    aside = tmp_path / "logs" / "spec_ppo" / "CartPole-v1_2.unfinished"
    aside.mkdir(parents=True)
    record = read_run(run)[1]
    record = {**record, "status": "unfinished", "resumed_from": "a/b.zip", "resumed_at": 7}
    (aside / "run.json").write_text(json.dumps(record))
    shutil.copy(run / "CartPole-v1.zip", aside / "rl_model_512_steps.zip")
    command = ["--resume", str(aside), "--timesteps", "576", "--eval-freq", "0"]
    assert train([*command, "--log-folder", str(tmp_path / "logs")]) == 0
    assert "rl_model_512_steps.zip is unpickled, which can run any code" in capsys.readouterr().err
    finished = read_run(aside.with_name("CartPole-v1_2"))[1]
    assert (finished["resumed_from"], finished["resumed_at"]) == ("a/b.zip", 7)


def test_a_finished_run_whose_model_is_damaged_is_made_again(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "spec_ppo" / run.name
    shutil.copytree(run, folder)
    (folder / "CartPole-v1.zip").write_bytes(b"")
    assert train([*SMALL, "--log-folder", str(tmp_path)]) == 0
    assert "is made again: it was finished, but CartPole-v1.zip is" in capsys.readouterr().err
    assert zipfile.is_zipfile(folder / "CartPole-v1.zip")
    assert [path.name for path in folder.parent.iterdir()] == [run.name]


def killed(flags: list[str], aside: Path) -> None:
    """A run that is killed once it has left two checkpoints."""
    with subprocess.Popen(
        [sys.executable, "-m", "ppo_lab.train", *flags],
        env={**os.environ, "PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        deadline = time.monotonic() + 120
        while len(list(aside.glob("rl_model_*_steps.zip"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()


def test_killed_run_says_how_to_go_on_and_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--timesteps", "20000", "--eval-freq", "0", "--save-freq", "256", "--n-envs", "2",
             "-P", "n_steps:64", "normalize:True", "--eval-episodes", "1",
             "--log-folder", str(tmp_path)]  # fmt: skip
    aside = tmp_path / "spec_ppo" / "CartPole-v1_1.unfinished"
    killed(flags, aside)
    assert not (tmp_path / "spec_ppo" / "CartPole-v1_1").exists()
    assert train(flags) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"'python -m ppo_lab.train --resume {aside}' goes on from its checkpoint at" in told
    at = int(re.search(r"at step (\d+)", told)[1])  # type: ignore[index]
    go_on = ["--resume", str(aside), "--save-freq", "256", "--timesteps", str(at + 256)]
    assert train([*go_on, "--log-folder", str(tmp_path)]) == 0
    finished = aside.with_name("CartPole-v1_1")
    assert read_run(finished)[1]["status"] == "completed"
    assert SpecPPO.load(finished / "CartPole-v1.zip", device="cpu").num_timesteps == at + 256
    assert (finished / "CartPole-v1" / "vecnormalize.pkl").is_file()
    assert (finished / "rl_model_256_steps.zip").is_file()
    assert not aside.exists()
    first, second = noted_commands(finished)  # both made it
    assert first == ("python", "-m", "ppo_lab.train", *flags[:-2])
    assert second == ("python", "-m", "ppo_lab.train", *go_on)


ROOMS = {"env_kwargs": {"size": 7, "observation": "coordinates"}}
GROWING = {"ppo_lab.Curriculum": {"attribute": "size", "levels": [5, 7], "success_return": 1.0}}
RELATIVES: dict[str, tuple[str, dict[str, Any]]] = {
    "bonus": ("FourRooms", {**ROOMS, "intrinsic_coef": 1.0, "normalize": True}),
    "limit": ("CostCliffGrid", {"cost_limit": 0.0, "lagrangian_multiplier_init": 3.0}),
    "curriculum": ("FourRooms", {**ROOMS, "callback": [GROWING]}),
}


@pytest.mark.slow  # a process each
@pytest.mark.parametrize(("name", "settings"), RELATIVES.values(), ids=RELATIVES.keys())
def test_killed_run_goes_on_with_what_its_streams_and_levels_have_learnt(
    name: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    conf = tmp_path / "settings.yml"
    shape = {"policy": "MlpPolicy", "n_timesteps": 20_000, "n_envs": 8, "n_steps": 16}
    conf.write_text(yaml.safe_dump({f"ppo_lab/{name}-v0": {**shape, "batch_size": 64, **settings}}))
    flags = ["--env", f"ppo_lab/{name}-v0", "--conf", str(conf), "--eval-freq", "0"]
    flags += ["--save-freq", "128", "--eval-episodes", "1", "--log-folder", str(tmp_path)]
    aside = tmp_path / "spec_ppo" / f"ppo_lab-{name}-v0_1.unfinished"
    killed(flags, aside)
    at = max(int(path.stem.split("_")[2]) for path in aside.glob("rl_model_*_steps.zip"))
    before: Any = SpecPPO.load(aside / f"rl_model_{at}_steps.zip", device="cpu")
    go_on = ["--resume", str(aside), "--timesteps", str(at + 128)]
    assert train([*go_on, "--log-folder", str(tmp_path)]) == 0
    finished = tmp_path / "spec_ppo" / f"ppo_lab-{name}-v0_1" / f"ppo_lab-{name}-v0.zip"
    model: Any = SpecPPO.load(finished, device="cpu")
    assert model.num_timesteps == at + 128
    if "intrinsic_coef" in settings:
        assert model.rnd.observations.count.item() == at + 128
    elif "cost_limit" in settings:
        assert model.lagrangian_multiplier >= before.lagrangian_multiplier > 3.0
    else:
        assert model.curriculum_state["moves"][0] == [0, 0]


QUITTING = """
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv
FAULTS = []
class Quitting(CartPoleEnv):
    def step(self, action):
        if FAULTS:
            raise FAULTS[0]
        return super().step(action)
gym.register("Quitting-v0", entry_point=Quitting, max_episode_steps=20)
"""


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (SystemExit(0), "SystemExit: sys.exit(0) was called"),
        (KeyboardInterrupt(), "KeyboardInterrupt: raised without Ctrl-C"),
        (RuntimeError("blew\nup"), "RuntimeError: blew up"),
        (AssertionError(), "AssertionError: without a message, in step, quitting.py line 8"),
    ],
    ids=["exit", "interrupt", "error", "bare"],
)
def test_whatever_an_environment_raises_is_one_line_and_exit_1(
    fault: BaseException,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "quitting.py").write_text(QUITTING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "quitting", raising=False)
    monkeypatch.delitem(gym.registry, "Quitting-v0", raising=False)
    arguments = [*SMALL, "--env", "quitting:Quitting-v0", "--timesteps", "64", "--algo", "ppo"]
    assert train([*arguments, "--log-folder", str(tmp_path)]) == 0
    folder = tmp_path / "ppo" / "Quitting-v0_1"
    faults = sys.modules["quitting"].FAULTS
    monkeypatch.setattr(
        "ppo_lab.commands.training.known_scale", lambda *_: ReferenceScores(0, 1, "")
    )
    faults.append(fault)
    capsys.readouterr()

    assert evaluate([str(folder), "--episodes", "2"]) == 1
    expected = f"ppo_lab.evaluate: playing quitting:Quitting-v0 failed: {said}"
    assert capsys.readouterr().err.splitlines()[-1] == expected  # before it, what is unpickled

    assert train([*arguments, "--seed", "5", "--log-folder", str(tmp_path)]) == 1
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert errors.endswith(f": {said}\n")
    _, record = read_run(folder.with_name("Quitting-v0_2"))
    assert (record["status"], record["reason"]) == ("failed", said)
    trace = record["traceback"]
    assert any(line.startswith(type(fault).__name__) for line in trace)
    assert any("quitting.py" in line and line.endswith("in step") for line in trace)


def test_settings_come_from_a_file_in_the_zoos_format_and_flags_go_on_top(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text(
        yaml.safe_dump(
            {"default": {"n_steps": 32, "n_envs": 2, "n_timesteps": 128, "gamma": 0.9,
                         "policy_kwargs": "dict(net_arch=[8])", "n_epochs": 1}}
        )
    )  # fmt: skip
    assert train(
        ["--conf", str(file), "--env", "Acrobot-v1", "--eval-freq", "0", "--eval-episodes", "1",
         "-P", "gamma:0.95", "critic_learning_rate:lin_0.001", "--log-folder", str(tmp_path)]
    ) == 0  # fmt: skip
    config, _ = read_run(tmp_path / "spec_ppo" / "Acrobot-v1_1")
    assert (config.n_envs, config.timesteps) == (2, 128)
    assert config.hyperparameters["gamma"] == 0.95
    assert config.hyperparameters["n_steps"] == 32
    model = SpecPPO.load(tmp_path / "spec_ppo" / "Acrobot-v1_1" / "Acrobot-v1.zip", device="cpu")
    assert model.critic_lr_schedule(1.0) == 0.001
    assert model.policy.net_arch == [8]


def test_tensorboard_and_progress_bar_are_shown_and_decide_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard")
    pytest.importorskip("tqdm")
    flags = ["--progress", "--tensorboard", str(tmp_path / "tb"), "--verbose"]
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "ppo_lab.train", *SMALL, *flags,
         "--log-folder", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(HOME)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert list((tmp_path / "tb" / "spec_ppo" / "CartPole-v1_1").glob("events.out.*"))
    assert "train/" in answer.stdout
    again = np.load(tmp_path / "spec_ppo" / "CartPole-v1_1" / "evaluations.npz")
    np.testing.assert_array_equal(again["results"], np.load(run / "evaluations.npz")["results"])


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--env", "CartPol-v1"], 2, r"unknown environment 'CartPol-v1'; closest: CartPole-v1"),
        (["--algo", "spec_pp"], 2, r"unknown algorithm 'spec_pp'; closest: spec_ppo"),
        (["--algo", "q_learning"], 2, r"python -m ppo_lab.compare runs it"),
        (["--timesteps", "0"], 2, r"--timesteps 0: expected at least 1"),
        (["-P", "gamma"], 2, r"-P 'gamma': expected name:value"),
        (["-P", "gama:0.9"], 2, r"gama"),
        (
            ["-P", "policy:MlpLstmPolicy"],
            2,
            r"-P policy:MlpLstmPolicy: spec_ppo has no such policy; one of MlpPolicy, Cnn",
        ),
        (["-P", "gamma:2"], 2, r"gamma=2: expected a number in 0…1"),
        (["-P", "policy_kwargs:__import__('os')"], 2, r"policy_kwargs=.*: expected dict"),
        (["--preset", "no such"], 2, r"unknown preset 'no such'; closest"),
        (["--conf", "none.yml"], 2, r"none.yml cannot be read"),
        (["--resume", "none"], 2, r"none is no run of ppo_lab.train: it is no folder"),
        (["--nonsense"], 2, r"unrecognized arguments: --nonsense"),
        (["--log-folder", "/proc/none"], 2, r"--log-folder /proc/none: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_of_train_is_one_line(
    flags: list[str], code: int, message: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    try:
        found = train(flags)
    except SystemExit as end:
        found = int(str(end.code))
    errors = capsys.readouterr().err
    assert found == code
    assert errors.count("\n") == 1
    assert errors.startswith("ppo_lab.train: ")
    assert re.search(message, errors)
    assert not list(tmp_path.glob("**/run.json"))


def test_a_finished_run_needs_a_larger_budget_to_go_on(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(["--resume", str(run), "--log-folder", str(run.parents[1])]) == 2
    assert "has 512 steps already: --timesteps 512 must be more" in capsys.readouterr().err


# ------------------------------------------------------------------ evaluate


def test_score_has_an_interval_and_repeats_with_its_seed(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = []
    for seed in ("0", "0", "1"):
        assert evaluate([str(run), "--episodes", "12", "--seed", seed, "--stochastic"]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != printed[2]
    match = re.search(r"mean return ([\d.]+), 95 % bootstrap interval \[(.*), (.*)\]", printed[0])
    assert match is not None
    mean, low, high = map(float, match.groups())
    assert low < mean < high
    assert "12 episodes from seed 0, sampled actions" in printed[0]
    assert evaluate([str(run), "--episodes", "12"]) == 0
    likeliest = capsys.readouterr().out
    assert "12 episodes from seed 0, deterministic actions" in likeliest
    assert f"mean return {match[1]}," not in likeliest
    assert "normalised" in printed[0]


def test_interval_is_the_reports() -> None:
    # Of the mean of n values of sample spread s, by Student's t: 0 … 99 gives
    # 49.5 ± t₉₉ · s/√n = 49.5 ± 1.984 · 29.01/10 = 49.5 ± 5.76, where the percentile interval,
    # 1.96 · 28.87/10, would be 0.1 narrower on either side.
    wide = mean_interval(list(range(100)), seed=0)
    assert wide.value == 49.5
    assert (wide.low, wide.high) == (pytest.approx(43.74, abs=0.06), pytest.approx(55.26, abs=0.06))
    few = [1.0, 4.0, 2.0, 8.0]
    expected = aggregates([few], seed=3, key="evaluation episodes").mean
    assert mean_interval(few, seed=3) == expected
    alone = mean_interval([3.0], seed=0)
    assert (alone.value, alone.low, alone.high) == (3.0, None, None)


def test_one_episode_has_no_interval_and_few_are_doubted(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate([str(run), "--episodes", "1"]) == 0
    printed = capsys.readouterr().out
    assert "interval [" not in printed
    assert "one episode: no interval can be given" in printed
    assert re.search(r"^normalised [\d.]+ \(", printed, re.MULTILINE)
    assert evaluate([str(run), "--episodes", "9"]) == 0
    assert "fewer than 10 episodes" in capsys.readouterr().out
    assert evaluate([str(run), "--episodes", "10"]) == 0
    assert "fewer than" not in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")  # moviepy's and pygame's own
@pytest.mark.parametrize("target", ["film.mp4", "films"])
def test_video_is_a_file_or_goes_into_a_folder(target: str, run: Path, tmp_path: Path) -> None:
    pytest.importorskip("moviepy")
    assert evaluate([str(run), "--episodes", "1", "--video", str(tmp_path / target)]) == 0
    (film,) = tmp_path.rglob("*.mp4")
    assert film.relative_to(tmp_path).as_posix() in ("film.mp4", "films/CartPole-v1.mp4")
    assert film.stat().st_size > 1000


def test_rendering_without_a_screen_is_one_line(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    assert evaluate([str(run), "--render"]) == 1
    assert "there is no screen here" in capsys.readouterr().err


def test_missing_moviepy_says_which_extra_adds_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ppo_lab.commands.optional_packages.find_spec", lambda _name: None)
    assert evaluate([str(run), "--video", str(tmp_path / "film.mp4")]) == 1
    assert 'pip install "ppo-lab[video]"' in capsys.readouterr().err


def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "CartPole-v1_1"))


def test_damaged_model_is_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(run, tmp_path)
    file = folder / "CartPole-v1.zip"
    whole = file.read_bytes()
    for content in (b"", b"no zip", whole[: len(whole) // 2]):
        file.write_bytes(content)
        assert evaluate([str(folder), "--episodes", "1"]) == 1
        errors = capsys.readouterr().err
        assert errors.count("\n") == 1
        assert "is damaged or no model of 'spec_ppo'" in errors


def test_model_of_another_algorithm_is_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(run, tmp_path)
    A2C("MlpPolicy", "CartPole-v1", device="cpu").save(folder / "CartPole-v1.zip")
    assert evaluate([str(folder), "--episodes", "1"]) == 1
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "is damaged or no model of 'spec_ppo'" in errors


def test_zip_that_holds_no_model_is_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(run, tmp_path)
    with zipfile.ZipFile(folder / "CartPole-v1.zip", "w") as archive:
        archive.writestr("readme.txt", "no model")
    assert evaluate([str(folder), "--episodes", "1"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--env", "Pendulum-v1"], 1, "was trained on other spaces than 'Pendulum-v1' has"),
        (["--env", "CartPol-v1"], 2, "unknown environment 'CartPol-v1'"),
        (["--episodes", "0"], 2, "--episodes 0: expected at least 1"),
        (["--video", "film.avi"], 2, "--video film.avi: expected a file .mp4, or a folder"),
    ],
)
def test_bad_usage_of_evaluate_is_one_line(
    flags: list[str], code: int, message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate([str(run), *flags]) == code
    *before, error = capsys.readouterr().err.splitlines()
    assert message in error
    # Spaces are compared by SB3, once the model is unpickled.
    assert [line.partition(" is unpickled")[0] for line in before] == (
        [f"ppo_lab.evaluate: {run / 'CartPole-v1.zip'}"] if code == 1 else []
    )


def test_folder_that_is_no_run_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate([str(tmp_path / "none")]) == 2
    assert "is no run: there is no such folder" in capsys.readouterr().err
    assert evaluate([str(tmp_path)]) == 2
    assert "is no run: expected one <environment>/args.yml in it" in capsys.readouterr().err


def test_the_zoos_tags_are_read_as_data_and_no_others(tmp_path: Path) -> None:
    from ppo_lab.runs.saved_model import find_saved_run

    inner = tmp_path / "CartPole-v1"
    inner.mkdir()
    (inner / "config.yml").write_text(
        "!!python/object/apply:collections.OrderedDict\n- - - frame_stack\n    - 2\n"
        "  - - train_freq\n    - !!python/tuple [1, episode]\n"
    )
    (inner / "args.yml").write_text(
        "!!python/object/apply:collections.OrderedDict\n- - - algo\n    - ppo\n"
        "  - - env\n    - CartPole-v1\n  - - env_kwargs\n    - null\n"
    )
    run = find_saved_run(tmp_path)
    assert (run.algo, run.env, run.recipe.frame_stack) == ("ppo", "CartPole-v1", 2)
    assert run.hyperparameters["train_freq"] == [1, "episode"]


@pytest.mark.slow
def test_the_zoo_plays_and_plots_our_run(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("rl_zoo3")
    logs = str(run.parents[1])
    for flags in (
        ["enjoy", "--algo", "spec_ppo", "--env", "CartPole-v1", "-f", logs, "--exp-id", "1",
         "--no-render", "-n", "600"],
        ["all_plots", "-a", "spec_ppo", "-e", "CartPole-v1", "-f", logs, "--no-display"],
    ):  # fmt: skip
        answer = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "ppo_lab.zoo", *flags],
            env={**os.environ, "PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1"},
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "Mean reward" in answer.stdout or "|CartPole-v1 |" in answer.stdout
