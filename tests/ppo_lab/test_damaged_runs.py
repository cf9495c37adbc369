"""A finished run whose files are damaged is made again; nothing else is lost."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppo_lab.errors import ArgumentError
from ppo_lab.runs.config import Evaluation, RunConfig, Trained
from ppo_lab.runs.execution import execute_run, finished_run, is_damaged

CONFIG = RunConfig(
    "spec_ppo", "CartPole-v1", 1, 64, 1, "MlpPolicy",
    {"n_steps": 64, "batch_size": 32, "n_epochs": 1}, Evaluation(2, 7, 2), normalize=True,
)  # fmt: skip
FILES = ("run.json", "evaluations.npz", "CartPole-v1.zip", "best_model.zip",
         "CartPole-v1/vecnormalize.pkl", "CartPole-v1/config.yml")  # fmt: skip


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def halved(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def zeroed(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "run"
    assert execute_run(CONFIG, folder).reason is None
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_a_whole_run_is_taken_up_and_not_made_again(folder: Path) -> None:
    found = finished_run(CONFIG, folder)
    assert found is not None
    assert found.reused
    assert not is_damaged(CONFIG, folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("spoil", [emptied, Path.unlink, halved, zeroed])
def test_damage_to_any_file_is_seen(name: str, spoil: Callable[[Path], None], folder: Path) -> None:
    spoil(folder / name)
    if name.endswith((".yml", ".pkl")) and spoil in (halved, zeroed):
        return  # beyond a look that costs milliseconds: reading them says so
    assert finished_run(CONFIG, folder) is None
    assert is_damaged(CONFIG, folder)


def test_another_score_in_the_evaluations_is_damage(folder: Path) -> None:
    np.savez(folder / "evaluations.npz", timesteps=[64], results=[[1e6, 1e6]])
    assert finished_run(CONFIG, folder) is None


def test_it_is_made_again_and_says_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = json.loads((folder / "run.json").read_text())["score"]
    emptied(folder / "CartPole-v1.zip")
    result = execute_run(CONFIG, folder)
    assert not result.reused
    assert result.score == before
    assert capsys.readouterr().err == (
        f"{folder} is made again: it was finished, but CartPole-v1.zip is damaged or missing "
        "(BadZipFile)\n"
    )
    assert finished_run(CONFIG, folder) is not None
    assert [path.name for path in folder.parent.iterdir()] == ["run"]


def test_a_run_that_fails_when_it_is_made_again_keeps_what_there_was(folder: Path) -> None:
    def fails(_config: RunConfig, _folder: Path) -> Trained:
        raise ValueError("no more")

    emptied(folder / "best_model.zip")
    assert execute_run(CONFIG, folder, trainer=fails).reason == "ValueError: no more"
    kept = folder.parent / ".run.damaged-1"
    assert json.loads((kept / "run.json").read_text())["status"] == "completed"
    assert (kept / "evaluations.npz").is_file()


def test_another_runs_folder_is_refused_damaged_or_not(folder: Path) -> None:
    emptied(folder / "CartPole-v1.zip")
    other = RunConfig(**{**vars(CONFIG), "timesteps": 128})
    with pytest.raises(ArgumentError, match="holds another run"):
        finished_run(other, folder)
    assert not is_damaged(other, folder)


def test_a_run_restored_from_a_storage_has_no_model_and_is_whole(folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "restored": True}))
    (folder / "CartPole-v1.zip").unlink()
    assert finished_run(CONFIG, folder) is not None


@pytest.mark.parametrize("algo", ["optimal", "q_learning"])
def test_a_table_is_looked_at_too(algo: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"algo": algo, "env": "ppo_lab/GridWorld-v0", "policy": "table",
                             "hyperparameters": {}, "normalize": False}  # fmt: skip
    config = RunConfig(**{**vars(CONFIG), **given})
    assert execute_run(config, tmp_path / "run").reason is None
    assert finished_run(config, tmp_path / "run") is not None
    halved(tmp_path / "run" / "ppo_lab-GridWorld-v0.npz")
    assert finished_run(config, tmp_path / "run") is None


def test_judged_runs_of_a_study_are_made_again_in_its_workers(folder: Path, tmp_path: Path) -> None:
    from types import SimpleNamespace

    from ppo_lab.runs.workers import execute_run_within
    from tuning.stages import _make_damaged_again

    class AtOnce:
        """An executor that does each task at once."""

        busy, run_timeout = 0, None
        done: list[object] = []  # noqa: RUF012

        def submit(self, key: object, function: Any, *arguments: Any) -> None:
            self.done.append(key)
            function(*arguments)

    whole = Path(shutil.copytree(folder, tmp_path / "whole"))
    emptied(folder / "evaluations.npz")
    runs: Any = SimpleNamespace(runs={"a": (folder, CONFIG), "b": (whole, CONFIG)})
    resources: Any = SimpleNamespace(executor=AtOnce(), execute_run=execute_run_within)
    _make_damaged_again(resources, [runs])
    assert resources.executor.done == [folder]
    assert finished_run(CONFIG, folder) is not None


def test_death_is_recorded_of_the_run_that_was_under_way(folder: Path, tmp_path: Path) -> None:
    from ppo_lab.runs.executor import Death
    from ppo_lab.runs.workers import record_death

    before = (folder / "run.json").read_bytes()
    runs = [(folder, CONFIG), (tmp_path / "second", CONFIG), (tmp_path / "third", CONFIG)]
    result = record_death(runs, Death("SIGKILL"), None)
    assert result.reason == "the worker process died twice (SIGKILL)"
    record = json.loads((tmp_path / "second" / "run.json").read_text())
    assert (record["status"], record["reason"]) == ("failed", result.reason)
    assert (folder / "run.json").read_bytes() == before
    assert not (tmp_path / "third").exists()


def test_run_of_another_machine_is_restored_where_it_is_this_very_seeds(tmp_path: Path) -> None:
    from optuna.trial import create_trial

    from tuning.outputs import restore_run

    for seed, name in ((CONFIG.seed, "own"), (CONFIG.seed + 1, "other")):
        kept = {"record": {"seed": seed, "score": 1.0}, "evaluations": ([1], [[2.0, 3.0]])}
        restore_run(tmp_path / name, CONFIG, create_trial(value=1.0, user_attrs=kept))
    record = json.loads((tmp_path / "own" / "run.json").read_text())
    assert record == {"seed": CONFIG.seed, "score": 1.0, "restored": True}
    assert not (tmp_path / "other").exists()
