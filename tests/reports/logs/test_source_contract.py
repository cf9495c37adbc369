"""What every kind of log keeps to: one class of tests that each reader is run through.

A new kind of log is one more entry of ``KINDS``; what is its own is tested in a file of its own.
"""

import csv
import json
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.logs import archives, event_files, opening, wandb_files
from reports.logs.loading import load_runs
from reports.logs.records import EVALUATION, GIVEN, TRAINING, NoRunsError, Run
from tests.reports.conftest import write_run
from tests.reports.log_writers import (
    CLEANRL_SETTINGS,
    write_evaluations,
    write_events,
    write_monitor,
    write_wandb,
    write_zoo_run,
)

ENV = "CartPole-v1"
STEPS = (500, 1000, 1500)
CURVE = (10.0, 30.0, 20.0)
EPISODES = (10.0, 50.0, 0.0)
"""Of 500 steps each; their means so far are ``CURVE``: 10, (10 + 50)/2, (10 + 50 + 0)/3."""
HOSTILE = '=1+1 "a, b" <script>alert(1)<| 算法 $(reboot)'
"""A name that breaks CSV, Markdown or HTML, or runs in a shell; a folder may have it too."""


def run_folder(root: Path, algo: str, seed: int) -> list[Path]:
    folder = write_run(
        root, algo=algo, env=ENV, seed=seed, returns=CURVE, steps=STEPS, low=0, high=100
    )
    return [folder / "evaluations.npz", folder / "run.json"]


def record_alone(root: Path, algo: str, seed: int) -> list[Path]:
    evaluations, record = run_folder(root, algo, seed)
    with np.load(evaluations) as archive:
        last = archive["results"][-1].tolist()
    stated = {"steps": STEPS, "returns": CURVE, "last": last}
    record.write_text(json.dumps({**json.loads(record.read_text()), "evaluations": stated}))
    evaluations.unlink()
    (record.parent / "0.monitor.csv").unlink()
    return [record]


def zoo_folder(root: Path, algo: str, seed: int) -> list[Path]:
    folder = write_zoo_run(root, algo=algo, number=seed, seed=seed, returns=CURVE, steps=STEPS)
    return [folder / "evaluations.npz", folder / ENV / "args.yml", folder / ENV / "config.yml"]


def unevaluated_zoo_folder(root: Path, algo: str, seed: int) -> list[Path]:
    evaluations, *yaml = zoo_folder(root, algo, seed)
    evaluations.unlink()
    monitor = evaluations.with_name("0.monitor.csv")
    monitor.unlink()
    write_monitor(monitor, EPISODES, lengths=[500] * 3)
    return [monitor, *yaml]


def evaluated_folder(root: Path, algo: str, seed: int) -> list[Path]:
    folder = root / algo / ENV / f"seed{seed}"
    write_evaluations(folder, CURVE, STEPS)
    return [folder / "evaluations.npz"]


def monitored_folder(root: Path, algo: str, seed: int) -> list[Path]:
    path = root / algo / f"seed_{seed}" / "monitor.csv"
    write_monitor(path, EPISODES, lengths=[500] * 3)
    return [path]


def parallel_folder(root: Path, algo: str, seed: int) -> list[Path]:
    first, second = (root / f"{algo}_seed{seed}" / f"{n}.monitor.csv" for n in (0, 1))
    write_monitor(first, EPISODES[::2], lengths=[500] * 2, times=[1, 3])
    write_monitor(second, EPISODES[1:2], lengths=[500], times=[2])
    return [first, second]


def label_env_folder(root: Path, algo: str, seed: int) -> list[Path]:
    path = root / f"seed_{seed}" / f"{algo}-{ENV}" / "0.monitor.csv"
    path.parent.mkdir(parents=True)
    write_monitor(path, EPISODES, lengths=[500] * 3, env_id=ENV)
    return [path]


def cleanrl_folder(root: Path, algo: str, seed: int) -> list[Path]:
    folder = root / f"{ENV}__{algo}__{seed}__1700000000"
    settings = {**CLEANRL_SETTINGS, "exp_name": algo, "env_id": ENV, "seed": seed}
    return [write_events(folder, "charts/episodic_return", EPISODES, STEPS, settings)]


def tensorboard_folder(root: Path, algo: str, seed: int) -> list[Path]:
    folder = root / f"seed{seed}" / ENV / f"{algo}_1"
    return [write_events(folder, "eval/mean_reward", CURVE, STEPS)]


def wandb_folder(root: Path, algo: str, seed: int) -> list[Path]:
    rows = [
        {"charts/episodic_return": value, "global_step": step}
        for value, step in zip(EPISODES, STEPS, strict=True)
    ]
    config = {**CLEANRL_SETTINGS, "exp_name": algo, "env_id": ENV, "seed": seed}
    return [write_wandb(root / f"offline-run-20260101_000000-{seed}", config, rows)]


def cached_folder(root: Path, algo: str, seed: int) -> list[Path]:
    folder = root / "entity" / "cleanrl" / f"id{seed}"
    folder.mkdir(parents=True)
    lines = [
        f"{n},{step},{value}" for n, (step, value) in enumerate(zip(STEPS, EPISODES, strict=True))
    ]
    history = folder / "run_df.csv"
    history.write_text("\n".join([",global_step,charts/episodic_return", *lines]) + "\n")
    config = {**CLEANRL_SETTINGS, "exp_name": algo, "env_id": ENV, "seed": seed}
    settings = folder / "run.json"
    settings.write_text(json.dumps({"id": "id1", "name": "a run", "config": config, "tags": []}))
    return [history, settings]


def score_table(root: Path, algo: str, seed: int) -> list[Path]:
    root.mkdir(parents=True, exist_ok=True)
    path = root / "scores.csv"
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if not file.tell():
            writer.writerow(("algorithm", "environment", "seed", "step", "score"))
        writer.writerows((algo, ENV, seed, *point) for point in zip(STEPS, CURVE, strict=True))
    return [path]


@dataclass(frozen=True)
class Kind:
    """One kind of log.

    Attributes:
        write: writes one run below a folder; returns the files that it is read from, first the
            one with its scores.
        name: ``Run.kind``.
        measure: ``Run.measure``.
        settings: in the label.
        shared: whether all runs lie in one file.
    """

    write: Callable[[Path, str, int], list[Path]]
    name: str
    measure: str = EVALUATION
    settings: str = ""
    shared: bool = False

    def source(self, root: Path) -> Path:
        return root / "scores.csv" if self.shared else root

    def label(self, algo: str) -> str:
        return f"{algo} ({self.settings})" if self.settings else algo


KINDS = (
    Kind(run_folder, "ppo_lab", settings="tuned"),
    Kind(record_alone, "ppo_lab", settings="tuned"),
    Kind(zoo_folder, "rl_zoo"),
    Kind(unevaluated_zoo_folder, "rl_zoo", TRAINING),
    Kind(evaluated_folder, "sb3"),
    Kind(monitored_folder, "sb3", TRAINING),
    Kind(parallel_folder, "sb3", TRAINING),
    Kind(label_env_folder, "sb3", TRAINING),
    Kind(cleanrl_folder, "tensorboard", TRAINING),
    Kind(tensorboard_folder, "tensorboard"),
    Kind(wandb_folder, "wandb", TRAINING),
    Kind(cached_folder, "openrlbenchmark", TRAINING),
    Kind(score_table, "scores", GIVEN, shared=True),
)


class Trap:
    """Makes a folder where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = str(place)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.place,)


def facts(runs: Sequence[Run]) -> list[tuple[Any, ...]]:
    return [
        (run.folder, run.label, run.task, run.seed, run.steps, run.score, *run.evaluation_returns)
        for run in runs
    ]


def reasons(*sources: Path) -> list[str]:
    """Why what was set aside was, also where nothing is left."""
    try:
        return [aside.reason for aside in load_runs(*sources).set_aside]
    except NoRunsError as error:
        return [str(error)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.write.__name__)
class TestEverySource:
    def test_a_run_is_read_as_what_it_is(self, kind: Kind, tmp_path: Path) -> None:
        kind.write(tmp_path, "mine", 7)
        loaded = load_runs(kind.source(tmp_path))
        (run,) = loaded.runs
        assert (run.kind, run.measure, run.label) == (kind.name, kind.measure, kind.label("mine"))
        assert (run.task, run.seed, run.steps, run.score) == (ENV, 7, 1500, 20.0)
        np.testing.assert_array_equal(run.evaluation_steps, STEPS)
        np.testing.assert_array_equal(run.evaluation_returns, CURVE)
        assert (run.evaluation_steps.dtype, run.evaluation_returns.dtype) == (np.int64, np.float64)
        assert not Path(run.folder).is_absolute()
        assert loaded.set_aside == ()

    def test_every_run_states_the_same_conditions(self, kind: Kind, tmp_path: Path) -> None:
        kind.write(tmp_path, "mine", 7)
        (run,) = load_runs(kind.source(tmp_path)).runs
        whats = ["step budget", "evaluation protocol", "kind of score", "reference scores"]
        assert [what for what, _ in run.must_agree] == whats

    def test_order_on_disk_and_of_directory_entries_decides_nothing(
        self, kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for place, seeds in (("a", (1, 2, 3)), ("b", (3, 1, 2))):
            for seed in seeds:
                kind.write(tmp_path / place, "mine", seed)
        first = load_runs(kind.source(tmp_path / "a")).runs
        walk = os.walk

        def backwards(*arguments: Any, **named: Any) -> Iterator[Any]:
            for at, below, files in walk(*arguments, **named):
                below.sort(reverse=True)
                files.sort(reverse=True)
                yield at, below, files

        monkeypatch.setattr(os, "walk", backwards)
        second = load_runs(kind.source(tmp_path / "b")).runs
        if kind.shared:  # a row's line is its name, and rows come in the file's order
            first, second = (
                sorted(runs, key=lambda run: run.seed or 0) for runs in (first, second)
            )
            assert [row[1:] for row in facts(first)] == [row[1:] for row in facts(second)]
        else:
            assert facts(first) == facts(second)
        assert len(first) == 3

    @pytest.mark.parametrize("how", ["emptied", "cut", "garbage", "pickle"])
    def test_what_is_damaged_is_named_and_the_others_are_read(
        self, kind: Kind, tmp_path: Path, how: str
    ) -> None:
        for seed in (1, 3):
            kind.write(tmp_path, "mine", seed)
        sound = facts(load_runs(kind.source(tmp_path)).runs)
        path = kind.write(tmp_path, "mine", 2)[0]
        whole = path.read_bytes()
        trap = tmp_path / "sprung"
        # Of a file that all runs share, what is damaged is the end: the last run's last row.
        kept = whole[: whole.rindex(b"20.0")] if kind.shared else b""
        path.write_bytes(
            {
                "emptied": kept,
                "cut": whole[:-7] if kind.shared else whole[: len(whole) // 2],
                "garbage": kept + b"\x00{[\x01" * 20,
                "pickle": kept + (b"\n" if kind.shared else b"") + pickle.dumps(Trap(trap), 0),
            }[how]
        )
        loaded = load_runs(kind.source(tmp_path))
        others = [run for run in loaded.runs if run.seed != 2]
        assert facts(others) == sound
        assert loaded.set_aside
        name = path.name if kind.shared else path.parent.relative_to(tmp_path).as_posix()
        for aside in loaded.set_aside:
            assert aside.folder.startswith(name)
            assert str(tmp_path) not in aside.reason
            assert "\n" not in aside.reason
        assert not trap.exists()

    def test_nothing_in_any_of_its_files_is_run(self, kind: Kind, tmp_path: Path) -> None:
        trap = tmp_path / "sprung"
        count = len(kind.write(tmp_path / "0", "mine", 1))
        pickle.loads(pickle.dumps(Trap(trap)))
        assert trap.exists()  # the trap does spring where it is let
        trap.rmdir()
        for number in range(count):
            path = kind.write(tmp_path / f"pickled{number}", "mine", 1)[number]
            path.write_bytes(pickle.dumps(Trap(trap)))
            assert reasons(kind.source(tmp_path / f"pickled{number}"))
            path = kind.write(tmp_path / f"called{number}", "mine", 1)[number]
            if path.suffix == ".npz":
                trapped = np.array([[Trap(trap)]], dtype=object)
                np.savez(path, timesteps=np.array([1]), results=trapped)
            else:
                path.write_text(f"!!python/object/apply:os.mkdir ['{trap}']")
            assert reasons(kind.source(tmp_path / f"called{number}"))
        assert not trap.exists()

    def test_where_there_is_no_run_one_error_says_so(self, kind: Kind, tmp_path: Path) -> None:
        for path in kind.write(tmp_path / "logs", "mine", 1):
            if kind.shared:
                path.write_text(path.read_text().splitlines()[0] + "\n")
            else:
                path.unlink()
                path.with_name("0.monitor.csv").unlink(missing_ok=True)
        with pytest.raises(NoRunsError, match=r"no run\.json below|none of the 1 runs below"):
            load_runs(kind.source(tmp_path / "logs"))

    def test_a_file_beyond_its_limit_is_refused_unread(self, kind: Kind, tmp_path: Path) -> None:
        limits = {
            ".npz": archives.MAX_ARRAY_BYTES,
            ".csv": opening.MAX_TABLE_BYTES,
            ".json": opening.MAX_RECORD_BYTES,
            ".yml": opening.MAX_RECORD_BYTES,
            ".wandb": wandb_files.MAX_WANDB_BYTES,
        }
        for number in range(len(kind.write(tmp_path / "0", "mine", 1))):
            root = tmp_path / f"large{number}"
            path = kind.write(root, "mine", 1)[number]
            limit = limits.get(path.suffix, event_files.MAX_EVENT_BYTES)
            os.truncate(path, limit + 1)  # a hole: takes no disk
            (reason,) = reasons(kind.source(root))
            assert f"is larger than {limit // 1_000_000} MB" in reason

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
    def test_a_pipe_in_place_of_a_file_does_not_hang(self, kind: Kind, tmp_path: Path) -> None:
        for number in range(len(kind.write(tmp_path / "0", "mine", 1))):
            root = tmp_path / f"pipe{number}"
            path = kind.write(root, "mine", 1)[number]
            path.unlink()
            os.mkfifo(path)
            (reason,) = reasons(kind.source(root))
            assert "is not a folder and not a .csv" in reason or f"{path.name} is no file" in reason

    def test_a_link_out_of_the_folder_is_refused_and_one_within_is_not(
        self, kind: Kind, tmp_path: Path
    ) -> None:
        if kind.shared:
            return  # the file is named itself
        for number in range(len(kind.write(tmp_path / "0", "mine", 1))):
            root, outside = tmp_path / f"link{number}", tmp_path / f"own{number}"
            path = kind.write(root, "mine", 1)[number]
            path.rename(outside)
            path.symlink_to(outside)
            (reason,) = reasons(root)
            assert f"{path.name} is a link that leads out of the folder that is read" in reason
            path.unlink()
            outside.rename(root / "elsewhere")
            path.symlink_to(root / "elsewhere")
            assert len(load_runs(root).runs) == 1

    def test_no_name_is_lost_or_taken_for_anything_else(self, kind: Kind, tmp_path: Path) -> None:
        kind.write(tmp_path, HOSTILE, 7)
        (run,) = load_runs(kind.source(tmp_path)).runs
        assert (run.label, run.task, run.seed) == (kind.label(HOSTILE), ENV, 7)

    def test_the_same_run_counts_once(self, kind: Kind, tmp_path: Path) -> None:
        for place in ("a", "b"):
            kind.write(tmp_path / place, "mine", 7)
        first, second = (kind.source(tmp_path / place) for place in ("a", "b"))
        loaded = load_runs(first, second)
        (run,) = loaded.runs
        (aside,) = loaded.set_aside
        assert aside.reason == (f"same algorithm, settings, environment and seed as {run.folder}")
        loaded = load_runs(first, first)
        assert len(loaded.runs) == 1
        assert {aside.reason for aside in loaded.set_aside} == {
            "read already, by another of the given paths"
        }
