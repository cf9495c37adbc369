"""Runs of different settings stay apart, and a resumed run counts in its source's place."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from reports.logs.identity import decisive
from reports.logs.loading import load_runs
from reports.report import write_report
from tests.reports.conftest import MakeRun


def labels(logs: Path) -> list[str]:
    loaded = load_runs(logs)
    assert loaded.set_aside == ()
    return [run.label for run in loaded.runs]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"hyperparameters": {"n_steps": 100}}, {"hyperparameters": {"n_steps": 300}},
         ("n_steps=100", "n_steps=300")),
        ({"timesteps": 2048}, {"timesteps": 50_000}, ("timesteps=2048", "timesteps=50000")),
        ({"n_envs": 1}, {"n_envs": 4}, ("n_envs=1", "n_envs=4")),
        ({"policy": "MlpPolicy"}, {"policy": "CnnPolicy"}, ("policy=MlpPolicy", "policy=CnnPolicy")),  # noqa: E501
        ({"normalize": False}, {"normalize": True}, ("", "normalize=true")),
        ({"normalize": True}, {"normalize": {"norm_reward": False}},
         ("normalize=true", 'normalize={"norm_reward": false}')),
        ({"hyperparameters": {"policy_kwargs": {"net_arch": [64], "ortho_init": True}}},
         {"hyperparameters": {"policy_kwargs": {"net_arch": [8], "ortho_init": True}}},
         ("policy_kwargs.net_arch=[64]", "policy_kwargs.net_arch=[8]")),
        ({"hyperparameters": {"backend": "torch"}}, {"hyperparameters": {}}, ("backend=torch", "")),
        ({"hyperparameters": {"gamma": "1"}}, {"hyperparameters": {"gamma": 1}},
         ('gamma="1"', "gamma=1")),
        ({"evaluation": {"episodes": 20, "seed": 3, "deterministic": False}}, {},
         ("sampled actions=true", "")),
    ],
    ids=lambda value: "" if isinstance(value, tuple) else next(iter(value), "nothing"),
)  # fmt: skip
def test_what_differs_on_one_task_keeps_runs_apart_and_is_in_their_labels(
    one: dict[str, Any],
    other: dict[str, Any],
    words: tuple[str, str],
    logs: Path,
    make_run: MakeRun,
) -> None:
    make_run(folder="a", settings="given", **one)
    make_run(folder="b", settings="given", **other)
    expected = [f"spec_ppo (given{', ' if said else ''}{said})" for said in words]
    assert labels(logs) == expected


def test_the_same_setting_in_other_figures_and_another_evaluation_seed_are_one_kind(
    logs: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    evaluation = {"episodes": 20, "deterministic": True, "points": 5}
    make_run(seed=0, hyperparameters={"gamma": 1.0}, evaluation={**evaluation, "seed": 1_000_000})
    make_run(seed=1, hyperparameters={"gamma": 1}, evaluation={**evaluation, "seed": 1_000_001})
    assert labels(logs) == ["spec_ppo (tuned)"] * 2
    report = write_report(logs, tmp_path / "out", table_draws=10, curve_draws=10, formats=())
    assert not [said for said in report.document.cautions if "evaluation protocol" in said]


def test_settings_that_differ_between_tasks_are_one_label_until_they_differ_on_one(
    logs: Path, make_run: MakeRun
) -> None:
    make_run(folder="a", env="A-v0", hyperparameters={"n_steps": 64, "gamma": 0.9})
    make_run(folder="b", env="B-v0", hyperparameters={"n_steps": 128, "gamma": 0.8})
    assert labels(logs) == ["spec_ppo (tuned)"] * 2
    make_run(folder="c", env="B-v0", hyperparameters={"n_steps": 64, "gamma": 0.8})
    # The task with one kind takes the name of its kind, so that n_steps=64 is one row.
    assert labels(logs) == [f"spec_ppo (tuned, n_steps={n})" for n in (64, 128, 64)]


def test_many_differences_are_numbered_and_said_in_full(
    logs: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    for folder, factor in (("a", 1), ("b", 2)):
        settings = {f"some_long_setting_{n}": n * factor for n in range(1, 6)}
        make_run(folder=folder, hyperparameters=settings)
    assert labels(logs) == ["spec_ppo (tuned, variant 1)", "spec_ppo (tuned, variant 2)"]
    report = write_report(logs, tmp_path / "out", table_draws=10, curve_draws=10, formats=())
    said = "\n".join(report.document.cautions)
    assert "spec_ppo (tuned, variant 2) is the one with some_long_setting_1=2, some_" in said


def test_words_that_would_read_alike_are_numbered(logs: Path, make_run: MakeRun) -> None:
    make_run(folder="a", hyperparameters={"a": 1, "b=2, c": 3})
    make_run(folder="b", hyperparameters={"a": 1, "b": 2, "c": 3})
    assert len(set(labels(logs))) == 2


def test_zoo_runs_of_two_budgets_or_settings_stay_apart(logs: Path) -> None:
    for number, (n_steps, budget) in enumerate(((100, 1000), (300, 1000), (300, 5000)), 1):
        folder = logs / "ppo" / f"CartPole-v1_{number}"
        (folder / "CartPole-v1").mkdir(parents=True)
        np.savez(folder / "evaluations.npz", timesteps=[budget], results=[[1.0, 2.0]])
        args = {"algo": "ppo", "env": "CartPole-v1", "seed": 7, "n_timesteps": budget}
        config = {"n_steps": n_steps, "n_timesteps": 1e6, "train_freq": (1, "episode")}
        (folder / "CartPole-v1" / "args.yml").write_text(yaml.safe_dump(args))
        (folder / "CartPole-v1" / "config.yml").write_text(yaml.dump(config))
    assert labels(logs) == [
        "ppo (n_steps=100, timesteps=1000)",
        "ppo (n_steps=300, timesteps=1000)",
        "ppo (n_steps=300, timesteps=5000)",
    ]


def test_order_of_folders_decides_no_label(logs: Path, make_run: MakeRun) -> None:
    for folder, n_steps in (("z", 1), ("a", 2)):
        make_run(folder=folder, hyperparameters={"n_steps": n_steps})
    assert labels(logs) == ["spec_ppo (tuned, n_steps=2)", "spec_ppo (tuned, n_steps=1)"]


def test_a_number_without_bound_is_refused_as_unreadable() -> None:
    from reports.logs.records import UnusableError

    with pytest.raises(UnusableError, match=r"cannot be read \(ValueError\)"):
        decisive({"n_steps": 16**5000}, None, {})


# ------------------------------------------------------------------ resumed runs


def resumed(make_run: MakeRun, folder: str, budget: int, source: str, at: int | None) -> None:
    make_run(
        folder=folder, timesteps=budget, steps=[budget], returns=[0.5], seed=1,
        record={"resumed_from": source} | ({} if at is None else {"resumed_at": at}),
    )  # fmt: skip


def test_a_chain_of_resumed_runs_leaves_its_last(logs: Path, make_run: MakeRun) -> None:
    make_run(folder="spec_ppo/C-v0_1", timesteps=100, steps=[100], returns=[0.1], seed=1)
    resumed(make_run, "spec_ppo/C-v0_2", 200, "elsewhere/logs/spec_ppo/C-v0_1/C-v0.zip", 100)
    resumed(make_run, "spec_ppo/C-v0_3", 300, "/gone/spec_ppo/C-v0_2/C-v0.zip", None)
    loaded = load_runs(logs)
    assert [(run.folder, run.label) for run in loaded.runs] == [
        ("spec_ppo/C-v0_3", "spec_ppo (tuned)")
    ]
    assert [(aside.folder, aside.reason) for aside in loaded.set_aside] == [
        ("spec_ppo/C-v0_1", "spec_ppo/C-v0_2 goes on from it and counts in its place"),
        ("spec_ppo/C-v0_2", "spec_ppo/C-v0_3 goes on from it and counts in its place"),
    ]


def test_a_renamed_source_is_known_by_its_steps_and_another_seed_is_none(
    logs: Path, make_run: MakeRun
) -> None:
    make_run(folder="renamed", timesteps=100, steps=[100], returns=[0.1], seed=1)
    make_run(folder="C-v0_1", timesteps=100, steps=[100], returns=[0.1], seed=2)
    make_run(folder="other", timesteps=100, steps=[100], returns=[0.1], seed=1,
             hyperparameters={"clip_range": 0.3})  # fmt: skip
    resumed(make_run, "C-v0_9", 200, "logs/C-v0_1/C-v0.zip", 100)
    loaded = load_runs(logs)
    assert [run.folder for run in loaded.runs] == ["C-v0_1", "C-v0_9", "other"]
    assert [aside.folder for aside in loaded.set_aside] == ["renamed"]


def test_a_resumed_run_in_a_folder_of_its_sources_name_replaces_the_source_and_not_itself(
    logs: Path, make_run: MakeRun
) -> None:
    make_run(folder="a/C-v0_1", timesteps=100, steps=[100], returns=[0.1], seed=1)
    resumed(make_run, "b/C-v0_1", 200, "a/C-v0_1/C-v0.zip", 100)
    assert [run.folder for run in load_runs(logs).runs] == ["b/C-v0_1"]


def test_a_failed_resumed_run_replaces_nothing(logs: Path, make_run: MakeRun) -> None:
    make_run(folder="a_1", timesteps=100, steps=[100], returns=[0.1], seed=1)
    resumed(make_run, "a_2", 200, "a_1/C-v0.zip", 100)
    record = logs / "a_2" / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "status": "failed"}))
    assert [run.folder for run in load_runs(logs).runs] == ["a_1"]


def test_baseline_is_found_by_settings_where_they_have_one_label(
    logs: Path, make_run: MakeRun
) -> None:
    from reports.content.baseline import baseline_label

    make_run(folder="a", algo="ppo", hyperparameters={"n_steps": 1}, settings="zoo")
    make_run(folder="b", algo="ppo", hyperparameters={"n_steps": 2}, settings="given")
    runs = load_runs(logs).runs
    assert baseline_label(runs, "ppo (zoo)") == "ppo (zoo)"
    make_run(folder="c", algo="ppo", hyperparameters={"n_steps": 3}, settings="zoo")
    runs = load_runs(logs).runs
    with pytest.raises(ValueError, match="several labels are of it"):
        baseline_label(runs, "ppo (zoo)")
