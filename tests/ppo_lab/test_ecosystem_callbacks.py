"""SB3's and sb3-contrib's callbacks, loggers and tracking integrations do their work here."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common import callbacks as sb3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import HumanOutputFormat, KVWriter, Logger, configure
from stable_baselines3.common.vec_env import VecNormalize

from ppo_lab import SpecPPO

STEPS = 128


def model(**kwargs: Any) -> SpecPPO:
    env = kwargs.pop("env", None) or make_vec_env("CartPole-v1", 2, seed=0)
    small: dict[str, Any] = {"n_steps": 32, "batch_size": 32, "n_epochs": 1, "device": "cpu"}
    return SpecPPO("MlpPolicy", env, seed=1, **(small | kwargs))


def evaluation(folder: Path, **kwargs: Any) -> sb3.EvalCallback:
    env = make_vec_env("CartPole-v1", 1, seed=9)
    given: dict[str, Any] = {"eval_freq": 32, "n_eval_episodes": 1, "verbose": 0, "warn": False}
    return sb3.EvalCallback(env, log_path=str(folder), **(given | kwargs))


class Counter(sb3.BaseCallback):
    """How often it was called, and at which step last."""

    calls = 0

    def _on_step(self) -> bool:
        self.calls += 1
        return True


def checkpoints(folder: Path) -> Any:
    def check(_model: SpecPPO) -> None:
        names = {path.name for path in folder.glob("rl_model_*.zip")}
        assert names == {"rl_model_64_steps.zip", "rl_model_128_steps.zip"}
        assert SpecPPO.load(folder / "rl_model_64_steps.zip", device="cpu").num_timesteps == 64

    return sb3.CheckpointCallback(32, str(folder)), check


def evaluates(folder: Path) -> Any:
    callback = evaluation(folder, best_model_save_path=str(folder))

    def check(_model: SpecPPO) -> None:
        assert {"evaluations.npz", "best_model.zip"} <= {path.name for path in folder.iterdir()}
        assert callback.evaluations_timesteps == [64, 128]

    return callback, check


def stops_at_reward(folder: Path) -> Any:
    stop = sb3.StopTrainingOnRewardThreshold(0.5, verbose=0)
    return evaluation(folder, callback_on_new_best=stop), stopped_at(64)


def stops_without_improvement(folder: Path) -> Any:
    stop = sb3.StopTrainingOnNoModelImprovement(0, 0, verbose=0)
    callback = evaluation(folder, callback_after_eval=stop, eval_freq=8)

    def check(model: SpecPPO) -> None:
        assert model.num_timesteps < STEPS
        assert callback.last_mean_reward <= callback.best_mean_reward

    callback.best_mean_reward = 1e9  # which no evaluation improves on
    stop.last_best_mean_reward = 1e9
    return callback, check


def stops_at_episodes(_folder: Path) -> Any:
    def check(model: SpecPPO) -> None:
        # Two episodes in two environments; one of CartPole takes 8 steps at least.
        assert 16 <= model.num_timesteps < STEPS
        assert callback.n_episodes == 2

    callback = sb3.StopTrainingOnMaxEpisodes(1, verbose=0)
    return callback, check


def every_n(_folder: Path) -> Any:
    counter = Counter()

    def check(_model: SpecPPO) -> None:
        assert counter.calls == STEPS // 32

    return sb3.EveryNTimesteps(32, counter), check


def logs_every_n(folder: Path) -> Any:
    def check(_model: SpecPPO) -> None:
        with (folder / "progress.csv").open() as file:
            steps = [int(row["time/total_timesteps"]) for row in csv.DictReader(file)]
        assert {32, 64, 96, 128} <= set(steps)

    return sb3.LogEveryNTimesteps(32), check


def a_list(_folder: Path) -> Any:
    first, second = Counter(), Counter()

    def check(_model: SpecPPO) -> None:
        assert (first.calls, second.calls) == (STEPS // 2, STEPS // 2)

    return sb3.CallbackList([first, sb3.CallbackList([second])]), check


def a_function(_folder: Path) -> Any:
    def stop_at_20(local: dict[str, Any], _global: dict[str, Any]) -> bool:
        return local["self"].num_timesteps < 20

    return sb3.ConvertCallback(stop_at_20), stopped_at(20)


def progress_bar(_folder: Path) -> Any:
    pytest.importorskip("tqdm")
    callback = sb3.ProgressBarCallback()

    def check(_model: SpecPPO) -> None:
        assert callback.pbar.n == callback.pbar.total == STEPS

    return callback, check


def stopped_at(steps: int) -> Callable[[SpecPPO], None]:
    def check(model: SpecPPO) -> None:
        assert model.num_timesteps == steps

    return check


CALLBACKS: dict[str, Callable[[Path], Any]] = {
    "CheckpointCallback": checkpoints,
    "EvalCallback": evaluates,
    "StopTrainingOnRewardThreshold": stops_at_reward,
    "StopTrainingOnNoModelImprovement": stops_without_improvement,
    "StopTrainingOnMaxEpisodes": stops_at_episodes,
    "EveryNTimesteps": every_n,
    "LogEveryNTimesteps": logs_every_n,
    "CallbackList": a_list,
    "ConvertCallback": a_function,
    "ProgressBarCallback": progress_bar,
}


@pytest.mark.filterwarnings("ignore:rich is experimental")
@pytest.mark.parametrize("name", CALLBACKS)
def test_callback_does_its_work(name: str, tmp_path: Path) -> None:
    callback, check = CALLBACKS[name](tmp_path)
    trained = model()
    trained.set_logger(configure(str(tmp_path), ["csv"]))
    trained.learn(STEPS, callback, log_interval=1)
    trained.logger.close()
    check(trained)


def test_every_callback_of_sb3_is_in_the_table_above() -> None:
    abstract = {"BaseCallback", "EventCallback"}
    theirs = {
        name
        for name, kind in vars(sb3).items()
        if isinstance(kind, type) and issubclass(kind, sb3.BaseCallback)
    }
    assert theirs - abstract == set(CALLBACKS)


def test_checkpoints_hold_the_statistics_of_vec_normalize(tmp_path: Path) -> None:
    env = VecNormalize(make_vec_env("CartPole-v1", 2, seed=0))
    callback = sb3.CheckpointCallback(32, str(tmp_path), save_vecnormalize=True)
    model(env=env).learn(64, callback)
    file = tmp_path / "rl_model_vecnormalize_64_steps.pkl"
    loaded = VecNormalize.load(str(file), make_vec_env("CartPole-v1", 2))
    assert loaded.obs_rms.count == pytest.approx(env.obs_rms.count)


# ------------------------------------------------------------------ logs


def train_logging(folder: Path, formats: list[str]) -> None:
    trained = model()
    trained.set_logger(configure(str(folder), formats))
    trained.learn(STEPS)
    trained.logger.close()


def test_csv_log_holds_what_training_records(tmp_path: Path) -> None:
    train_logging(tmp_path, ["csv"])
    with (tmp_path / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["time/total_timesteps"] for row in rows] == ["64", "128"]
    assert float(rows[1]["train/approx_kl"]) >= 0
    assert float(rows[1]["train/critic_learning_rate"]) == 3e-4


def test_json_log_holds_what_training_records(tmp_path: Path) -> None:
    train_logging(tmp_path, ["json"])
    rows = [json.loads(line) for line in (tmp_path / "progress.json").read_text().splitlines()]
    assert [row["time/total_timesteps"] for row in rows] == [64, 128]
    assert {"train/clip_fraction", "train/actor_grad_norm", "rollout/ep_rew_mean"} <= set(rows[1])


@pytest.mark.parametrize("kind", ["stdout", "log"])
def test_table_for_people_shows_every_section(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_logging(tmp_path, [kind])
    text = capsys.readouterr().out if kind == "stdout" else (tmp_path / "log.txt").read_text()
    for section in ("rollout/", "time/", "train/", "critic_grad_norm", "approx_kl"):
        assert section in text


def test_human_format_writes_to_any_stream(tmp_path: Path) -> None:
    trained = model()
    with (tmp_path / "log.txt").open("w") as stream:
        trained.set_logger(Logger(None, [HumanOutputFormat(stream)]))
        trained.learn(64)
    assert "total_timesteps" in (tmp_path / "log.txt").read_text()


def test_tensorboard_log_holds_scalars_and_the_ratios_histogram(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    model(tensorboard_log=str(tmp_path)).learn(STEPS, tb_log_name="run")
    events = accumulator.EventAccumulator(str(tmp_path / "run_1"))
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "train/approx_kl", "rollout/ep_rew_mean"} <= set(tags["scalars"])
    assert "train/ratio" in tags["histograms"]
    assert [event.step for event in events.Scalars("time/fps")] == [64, 128]


# ------------------------------------------------------------------ trackers, offline


@pytest.mark.filterwarnings("ignore")  # the packages' own
def test_wandbs_sb3_callback_saves_the_model_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    integration = pytest.importorskip("wandb.integration.sb3")
    monkeypatch.chdir(tmp_path)
    run = wandb.init(project="ppo-lab", mode="disabled", dir=str(tmp_path))
    callback = integration.WandbCallback(
        model_save_path=str(tmp_path / "models"), model_save_freq=32, verbose=0
    )
    model().learn(64, callback)
    # Its configuration holds SpecPPO's arguments, ours beside SB3's.
    assert run.config["algo"] == "SpecPPO"
    assert {"n_steps", "gamma", "advantage_estimator", "objective"} <= set(run.config.keys())
    run.finish()
    assert SpecPPO.load(tmp_path / "models" / "model.zip", device="cpu").num_timesteps == 64


class MLflowWriter(KVWriter):
    """SB3's way to MLflow: a logger format that hands each number on."""

    def write(self, key_values: dict[str, Any], key_excluded: Any, step: int = 0) -> None:
        import mlflow

        for key, value in key_values.items():
            if isinstance(value, int | float) and "mlflow" not in key_excluded.get(key, ()):
                mlflow.log_metric(key, value, step)

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.slow  # the store's tables alone take half a minute
@pytest.mark.filterwarnings("ignore")  # the package's own
def test_mlflow_gets_every_number_in_a_local_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    trained = model()
    trained.set_logger(Logger(None, [MLflowWriter()]))
    with mlflow.start_run() as run:
        trained.learn(STEPS)
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "train/approx_kl")
    assert [metric.step for metric in history] == [128]
    stored = mlflow.get_run(run.info.run_id).data.metrics
    assert {"train/clip_fraction", "rollout/ep_rew_mean", "time/fps"} <= set(stored)
