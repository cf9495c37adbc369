"""TensorBoard's, CleanRL's, W&B's and openrlbenchmark's logs, beyond what every source keeps to."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reports.logs.loading import load_runs
from reports.logs.records import EVALUATION, GIVEN, TRAINING, NoRunsError
from reports.report import write_report
from tests.reports.conftest import write_run
from tests.reports.log_writers import (
    CLEANRL_SETTINGS,
    write_evaluations,
    write_events,
    write_wandb,
)

RUN = "CartPole-v1__ppo__3__1700000000"
SETTINGS = {**CLEANRL_SETTINGS, "env_id": "CartPole-v1", "seed": 3}


def test_a_score_of_episodes_is_the_mean_of_the_last_hundred(tmp_path: Path) -> None:
    returns = [0.0] * 50 + [3.0] * 100
    write_events(tmp_path / RUN, "charts/episodic_return", returns, range(0, 1500, 10), SETTINGS)
    (run,) = load_runs(tmp_path).runs
    assert (run.score, run.evaluation_episodes, run.measure) == (3.0, 100, TRAINING)
    assert run.budget == 1500
    assert run.hyperparameters == '{"gamma": "0.99"}'


def test_several_episodes_that_end_at_one_step_all_count(tmp_path: Path) -> None:
    write_events(tmp_path / RUN, "charts/episodic_return", [1.0, 2.0, 6.0], [4, 4, 4])
    (run,) = load_runs(tmp_path).runs
    assert run.score == 3.0  # (1 + 2 + 6)/3


def test_an_evaluation_is_preferred_to_returns_of_training(tmp_path: Path) -> None:
    folder = tmp_path / "CartPole-v1" / "PPO_1"
    write_events(folder, "rollout/ep_rew_mean", [7.0], [100])
    write_events(folder / "more", "eval/mean_reward", [9.0], [100])
    (folder / "more").joinpath(next((folder / "more").iterdir()).name).rename(
        folder / "z.tfevents.2"
    )
    (folder / "more").rmdir()
    (run,) = load_runs(tmp_path).runs
    assert (run.score, run.measure, run.label, run.task) == (9.0, EVALUATION, "PPO", "CartPole-v1")


def test_steps_that_go_back_are_several_runs(tmp_path: Path) -> None:
    write_events(tmp_path / RUN, "charts/episodic_return", [1.0, 2.0], [20, 10])
    with pytest.raises(NoRunsError, match="steps that go back: several runs in one log"):
        load_runs(tmp_path)


def test_a_folder_without_returns_says_what_it_holds(tmp_path: Path) -> None:
    write_events(tmp_path / RUN, "losses/value_loss", [1.0], [20])
    with pytest.raises(NoRunsError, match=r"no series of returns .*found: losses/value_loss"):
        load_runs(tmp_path)


@pytest.mark.parametrize("place", [30, -30])
def test_a_changed_byte_is_found_by_its_checksum(tmp_path: Path, place: int) -> None:
    path = write_events(tmp_path / RUN, "charts/episodic_return", [1.0, 2.0, 3.0], [1, 2, 3])
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(NoRunsError, match="damaged: a checksum does not fit"):
        load_runs(tmp_path)


def test_a_record_that_is_cut_is_left_out_and_said(tmp_path: Path) -> None:
    path = write_events(tmp_path / RUN, "charts/episodic_return", [1.0, 3.0, 8.0], [1, 2, 3])
    path.write_bytes(path.read_bytes()[:-5])
    loaded = load_runs(tmp_path)
    assert loaded.runs[0].score == 2.0  # (1 + 3)/2
    (aside,) = loaded.set_aside
    assert aside.folder == f"{RUN}/{path.name}"
    assert aside.reason == "its last record is half-written and was left out"


def test_a_trackers_copy_below_a_run_does_not_count_it_twice(tmp_path: Path) -> None:
    write_evaluations(tmp_path / "ppo" / "CartPole-v1_1", [1.0, 2.0])
    write_events(tmp_path / "ppo" / "CartPole-v1_1" / "tb", "eval/mean_reward", [2.0], [1000])
    loaded = load_runs(tmp_path)
    assert len(loaded.runs) == 1
    (aside,) = loaded.set_aside
    assert aside.folder == "ppo/CartPole-v1_1/tb"
    assert "another log of ppo/CartPole-v1_1" in aside.reason


def test_the_tensorboard_log_of_a_run_of_ours_does_not_count_it_twice(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "tb" / "ppo" / "CartPole-v1_1"
    write_events(log, "eval/mean_reward", [2.0], [1000])
    write_run(tmp_path / "logs", algo="ppo", env="CartPole-v1", seed=1, tensorboard=str(log))
    loaded = load_runs(tmp_path / "logs")
    assert [run.kind for run in loaded.runs] == ["ppo_lab"]
    (aside,) = loaded.set_aside
    assert aside.folder == "tb/ppo/CartPole-v1_1"
    assert aside.reason == "another log of ppo_tuned/CartPole-v1_1, which is read by its own files"


def test_a_trackers_runs_beside_others_may_count_twice_and_that_is_said(tmp_path: Path) -> None:
    write_evaluations(tmp_path / "ppo" / "CartPole-v1_1", [1.0, 2.0])
    write_events(tmp_path / "tb" / "CartPole-v1" / "PPO_1", "eval/mean_reward", [2.0], [1000])
    report = write_report(tmp_path, tmp_path / "out", table_draws=10, curve_draws=10, formats=())
    assert any("counts twice, under two labels" in line for line in report.document.cautions)


def test_steps_that_wandb_counted_itself_are_said_to_be_no_environment_steps(
    tmp_path: Path,
) -> None:
    rows = [{"charts/episodic_return": 1.0}, {"losses/x": 0.5}, {"charts/episodic_return": 5.0}]
    write_wandb(tmp_path / "offline-run-1", {"env_id": "CartPole-v1", "exp_name": "ppo"}, rows)
    (run,) = load_runs(tmp_path).runs
    np.testing.assert_array_equal(run.evaluation_steps, [0, 2])
    assert run.score == 3.0  # (1 + 5)/2
    assert any("No global_step" in remark for remark in run.remarks)


def test_a_long_history_of_wandb_goes_on_over_blocks(tmp_path: Path) -> None:
    rows = [
        {"eval/mean_reward": float(n), "global_step": 10 * n, "x": "y" * 900} for n in range(99)
    ]
    write_wandb(tmp_path / "offline-run-1", {"env": {"desc": None, "value": "CartPole-v1"}}, rows)
    (run,) = load_runs(tmp_path).runs
    np.testing.assert_array_equal(run.evaluation_returns, np.arange(99))
    assert (run.task, run.measure) == ("CartPole-v1", EVALUATION)


def test_wandbs_plot_as_csv_is_a_run_a_column(tmp_path: Path) -> None:
    table = tmp_path / "wandb_export.csv"
    metric = "charts/episodic_return"
    names = [f"CartPole-v1__{algo}__1__17" for algo in ("ppo", "dqn")]
    titles = [f"{name} - {metric}{more}" for name in names for more in ("", "__MIN", "__MAX")]
    table.write_text(
        "\n".join(
            [
                ",".join(f'"{title}"' for title in ["global_step", *titles]),
                '"100","1","0","9","","",""',
                '"200","3","0","9","10","0","99"',
            ]
        )
    )
    runs = {run.label: run for run in load_runs(table).runs}
    assert {label: (run.score, run.seed, run.task) for label, run in runs.items()} == {
        "ppo": (2.0, 1, "CartPole-v1"),
        "dqn": (10.0, 1, "CartPole-v1"),
    }
    assert runs["ppo"].folder == "wandb_export.csv:column 1"
    table.write_text(table.read_text().replace('"200","3"', '"200","x"'))
    loaded = load_runs(table)
    assert [run.label for run in loaded.runs] == ["dqn"]
    assert "the run CartPole-v1__ppo__1__17: charts/episodic_return holds 'x'" in (
        loaded.set_aside[0].reason
    )


def test_wandbs_table_of_runs_is_a_row_a_run(tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    table.write_text(
        "Name,State,env_id,exp_name,seed,global_step,charts/episodic_return\n"
        "a,finished,CartPole-v1,ppo,1,1000,50\nb,finished,CartPole-v1,ppo,2,1000,70\n"
    )
    runs = load_runs(table).runs
    assert [(run.label, run.seed, run.score, run.measure) for run in runs] == [
        ("ppo", 1, 50.0, GIVEN),
        ("ppo", 2, 70.0, GIVEN),
    ]


def test_a_table_of_episodes_is_smoothed_as_episodes_are(tmp_path: Path) -> None:
    table = tmp_path / "history.csv"
    rows = [f"ppo,CartPole-v1,1,{step},{value}" for step, value in ((10, 1), (10, 2), (20, 6))]
    head = "exp_name,env_id,seed,global_step,charts/episodic_return"
    table.write_text("\n".join([head, *rows, ""]))
    loaded = load_runs(table)
    assert loaded.set_aside == ()  # two environments' episodes ended at step 10
    assert (loaded.runs[0].score, loaded.runs[0].measure) == (3.0, TRAINING)


def test_a_table_of_means_is_refused_for_what_it_is(tmp_path: Path) -> None:
    table = tmp_path / "compare.csv"
    table.write_text(",CleanRL PPO,openai/baselines PPO2\nHopper-v2,2311.49 ± 440.99,2158 ± 302\n")
    with pytest.raises(NoRunsError, match="a table of means"):
        load_runs(table)


@pytest.mark.slow
def test_a_real_offline_run_of_wandb_is_read(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    program = (
        "import wandb\n"
        "run = wandb.init(mode='offline', project='demo', dir='.', name='demo run',"
        " config={'env_id': 'CartPole-v1', 'exp_name': 'ppo', 'seed': 4})\n"
        "for step in range(1, 201):\n"
        "    run.log({'charts/episodic_return': float(step), 'global_step': 10 * step})\n"
        "run.finish()\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=300)
    (run,) = load_runs(tmp_path).runs
    assert (run.label, run.task, run.seed, run.steps) == ("ppo", "CartPole-v1", 4, 2000)
    assert run.score == 150.5  # (101 + … + 200)/100
