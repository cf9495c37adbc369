"""Folders of RL Zoo and of bare SB3."""

import contextlib
import os
import zipfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.monitor import Monitor

from reports.logs import episodes, training_logs
from reports.logs.episodes import read_episodes
from reports.logs.loading import NoRunsError, load_runs
from reports.logs.monitors import training_curve
from reports.logs.records import EVALUATION, TRAINING, UnusableError
from tests.reports.log_writers import write_evaluations, write_monitor, write_zoo_run


def test_a_zoo_run_says_what_its_files_say(tmp_path: Path) -> None:
    folder = write_zoo_run(
        tmp_path, algo="a2c", seed=7, successes=np.array([[0, 0], [1, 1], [0, 1]])
    )
    with zipfile.ZipFile(folder / "CartPole-v1.zip", "w") as archive:
        archive.writestr("system_info.txt", "- Python: 3.11.7\n- Stable-Baselines3: 2.9.2\n")
    loaded = load_runs(tmp_path)
    (run,) = loaded.runs
    assert (run.label, run.task, run.seed, run.kind) == ("a2c", "CartPole-v1", 7, "rl_zoo")
    assert (run.score, run.best_score) == (80.0, 100.0)
    assert (run.steps, run.budget, run.evaluation_episodes) == (1500, 1500, 2)
    assert run.success_rate == 0.5
    assert run.measure == EVALUATION
    np.testing.assert_array_equal(run.evaluation_steps, [500, 1000, 1500])
    assert '"learning_rate": "lin_0.1"' in run.hyperparameters
    assert run.versions == (("Python", "3.11.7"), ("Stable-Baselines3", "2.9.2"))
    assert ("environments", "8") in run.circumstances
    assert run.tuning.startswith("unknown")
    assert loaded.set_aside == ()
    assert loaded.sources == (f"{tmp_path.name}: 1 RL Zoo run",)


def test_environment_arguments_and_overrides_of_the_zoo_are_seen(tmp_path: Path) -> None:
    write_zoo_run(
        tmp_path,
        env="ppo_lab/Crawler-v0",
        args={"env_kwargs": {"noise": 0.5}, "n_timesteps": -1, "hyperparams": {"gamma": 0.9}},
    )
    (run,) = load_runs(tmp_path).runs
    assert run.task == 'ppo_lab/Crawler-v0 {"noise": 0.5}'
    assert run.budget == 100_000  # the zoo's -1: config.yml decides
    assert run.tuning.endswith("changed on the command line")


def test_without_its_yaml_a_zoo_run_is_told_by_its_folders(tmp_path: Path) -> None:
    write_evaluations(tmp_path / "logs" / "sac" / "Pendulum-v1_3", [-500.0])
    (run,) = load_runs(tmp_path / "logs").runs
    assert (run.algo, run.task, run.seed, run.kind) == ("sac", "Pendulum-v1", None, "sb3")


@pytest.mark.parametrize(
    ("path", "algo", "seed"),
    [
        ("ppo_1", "ppo", None),
        ("ppo/seed_12", "ppo", 12),
        ("ppo_seed3", "ppo", 3),
        ("CartPole-v1/sac/run_2", "sac", None),
        ("sac/CartPole-v1/4", "sac", None),
        ("my algo/logs/eval", "my algo", None),
    ],
)
def test_names_of_bare_folders(tmp_path: Path, path: str, algo: str, seed: int | None) -> None:
    write_monitor(tmp_path / path / "monitor.csv", [1.0, 2.0])
    (run,) = load_runs(tmp_path).runs
    assert (run.algo, run.seed, run.task) == (algo, seed, "CartPole-v1")


def test_a_folder_without_evaluations_gives_its_training_return_and_says_so(tmp_path: Path) -> None:
    returns = [float(value) for value in range(150)]
    write_monitor(
        tmp_path / "monitor.csv", returns, is_success=[value >= 100 for value in range(150)]
    )
    (run,) = load_runs(tmp_path).runs
    assert run.measure == TRAINING == "training return, not evaluation"
    # Episodes 50 … 149: their mean is (50 + 149)/2, and half of them succeeded.
    assert (run.score, run.evaluation_episodes, run.success_rate) == (99.5, 100, 0.5)
    assert run.steps == 1500
    assert "last 100 training episodes" in run.remarks[0]


def test_parallel_environments_merge_by_the_time_their_episodes_ended(tmp_path: Path) -> None:
    write_monitor(tmp_path / "0.monitor.csv", [1.0, 3.0], lengths=[10, 30], times=[1.0, 9.0])
    write_monitor(tmp_path / "1.monitor.csv", [2.0], lengths=[20], times=[5.0])
    write_monitor(tmp_path / "2.monitor.csv", [])
    (run,) = load_runs(tmp_path).runs
    np.testing.assert_array_equal(run.evaluation_steps, [10, 30, 60])
    np.testing.assert_allclose(run.evaluation_returns, [1.0, 1.5, 2.0])  # 1; (1+2)/2; (1+2+3)/3


def played(path: Path, returns: list[float], **more: Any) -> None:
    """Episodes of one step each, written by SB3's own ``Monitor``."""

    class Env(gym.Env[int, int]):
        observation_space = action_space = gym.spaces.Discrete(2)
        left = iter(returns)

        def reset(self, **_: object) -> tuple[int, dict[str, object]]:
            return 0, {}

        def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, object]]:
            return 0, next(self.left), True, False, {"extra": 7}

    env = Monitor(Env(), str(path), **more)
    for _ in returns:
        env.reset()
        env.step(0)
    env.close()


def test_the_last_session_of_a_monitor_file_gives_the_score(tmp_path: Path) -> None:
    path = tmp_path / "monitor.csv"
    played(path, [10.0] * 150)
    lines = path.read_text().splitlines()
    # A first session of an hour: sorted by t, its episodes would come last.
    hour = [f"10.0,1,{3600 + number}.0" for number in range(150)]
    path.write_text("\n".join([*lines[:2], *hour]) + "\n")
    played(path, [500.0] * 120, override_existing=False)
    (run,) = load_runs(tmp_path).runs
    assert (run.score, run.steps, run.evaluation_episodes) == (500.0, 270, 100)
    # At episode 199 (of 0 to 269) the window holds 50 of 10 and 50 of 500: (10 + 500)/2.
    assert run.evaluation_returns[np.searchsorted(run.evaluation_steps, 200)] > 255.0
    assert "2 sessions lie one after the other" in run.remarks[1]


def test_the_first_session_too_may_be_one_that_appended(tmp_path: Path) -> None:
    """SB3 then writes no header at all."""
    for value in (1.0, 3.0):
        played(tmp_path / "monitor.csv", [value] * 100, override_existing=False)
    (run,) = load_runs(tmp_path).runs
    assert (run.score, run.steps) == (3.0, 200)


def test_a_file_joined_from_two_keeps_their_order(tmp_path: Path) -> None:
    write_monitor(tmp_path / "a.monitor.csv", [10.0] * 100, times=range(1000, 1100))
    write_monitor(tmp_path / "b.monitor.csv", [20.0] * 100, is_success=[True] * 100)
    texts = [(tmp_path / f"{name}.monitor.csv").read_text() for name in "ab"]
    for name in "ab":
        (tmp_path / f"{name}.monitor.csv").unlink()
    (tmp_path / "monitor.csv").write_text("".join(texts))
    loaded = load_runs(tmp_path)
    assert (loaded.runs[0].score, loaded.runs[0].success_rate) == (20.0, None)
    assert loaded.set_aside == ()


def write_sessions(
    path: Path, *sessions: tuple[list[float], list[float]], length: int = 10
) -> None:
    """Each session is returns and times; only the first has a header."""
    returns = [value for session in sessions for value in session[0]]
    times = [time for session in sessions for time in session[1]]
    write_monitor(path, returns, times=times, lengths=[length] * len(returns))


def test_sessions_of_parallel_environments_come_one_after_the_other(tmp_path: Path) -> None:
    write_sessions(tmp_path / "0.monitor.csv", ([1.0, 3.0], [50.0, 70.0]), ([5.0], [1.0]))
    write_sessions(tmp_path / "1.monitor.csv", ([2.0], [60.0]), ([4.0, 6.0], [0.5, 2.0]), length=25)
    files = [read_episodes(tmp_path / f"{number}.monitor.csv") for number in (0, 1)]
    curve = training_curve(files)
    # 1, 2, 3 by their t; then 4, 5, 6 of the second session by theirs.
    np.testing.assert_allclose(curve.returns, [1.0, 1.5, 2.0, 2.5, 3.0, 3.5])
    assert curve.sessions == 2


def test_sessions_that_do_not_match_are_merged_by_steps(tmp_path: Path) -> None:
    """The second environment's second session is not to be told: t = 80 does not fall."""
    write_sessions(tmp_path / "0.monitor.csv", ([1.0, 3.0], [50.0, 70.0]), ([5.0], [40.0]))
    write_sessions(tmp_path / "1.monitor.csv", ([2.0, 4.0, 6.0], [60.0, 75.0, 80.0]), length=11)
    files = [read_episodes(tmp_path / f"{number}.monitor.csv") for number in (0, 1)]
    # Ended at its own step 10, 20, 30 and 11, 22, 33.
    np.testing.assert_allclose(training_curve(files).returns, [1.0, 1.5, 2.0, 2.5, 3.0, 3.5])


def test_rows_that_hold_no_episode_are_left_out_and_counted(tmp_path: Path) -> None:
    """A second session with another column appends longer rows under the first one's names."""
    path = tmp_path / "a" / "0.monitor.csv"
    path.parent.mkdir()
    played(path, [2.0] * 60)
    played(path, [9.0] * 30, override_existing=False, info_keywords=("extra",))
    with path.open("a") as file:
        file.write("nan,1,1\n\nx,1,1\n3.0,1\n\x00\x00\n")
    loaded = load_runs(tmp_path)
    assert (loaded.runs[0].score, loaded.runs[0].steps) == (2.0, 60)
    (aside,) = loaded.set_aside
    assert aside.folder == "a/0.monitor.csv"
    assert aside.reason == (
        "34 of 94 rows hold no episode and were left out; "
        "the first, line 63: expected 3 fields, found 4"
    )


@pytest.mark.parametrize(
    "fault", ["", "nan,1,1,1\n", "1,1,1\n", '#{"t_start": 5}\n', "1_0,2,60,0\n", "'x',1,1,1\n"]
)
def test_rows_read_together_are_the_rows_read_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    path = tmp_path / "monitor.csv"
    monkeypatch.setattr(episodes, "_BLOCK", 50)
    rows = [f"{row / 7},{row + 1},{row % 98}.5,{row % 2 == 0}\n" for row in range(300)]
    path.write_text(
        "".join(['#{"t_start": 9}\nr,l,t,is_success\n', *rows[:180], fault, *rows[180:]])
    )
    together = read_episodes(path)
    monkeypatch.setattr(episodes._Rows, "add_sound", lambda self, lines: False)
    singly = read_episodes(path)
    assert len(together.returns) == 300
    # t falls at rows 98, where a block begins, 196 and 294; and where a header stands, at 180.
    assert together.sessions[-1] == 3 + fault.startswith("#")
    for attribute in vars(singly):
        np.testing.assert_array_equal(getattr(together, attribute), getattr(singly, attribute))


def test_where_most_of_the_last_rows_hold_no_episode_no_earlier_ones_stand_for_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a" / "0.monitor.csv"
    path.parent.mkdir()
    played(path, [2.0] * 600)
    played(path, [9.0] * 51, override_existing=False, info_keywords=("extra",))
    with pytest.raises(NoRunsError, match=r"51 of its last 100 rows hold no episode; line 603: "):
        load_runs(tmp_path)


def test_monitor_files_that_are_together_too_large_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        write_monitor(tmp_path / f"{number}.monitor.csv", [1.0] * 10)
    size = (tmp_path / "0.monitor.csv").stat().st_size
    monkeypatch.setattr(training_logs, "MAX_MONITOR_BYTES", 3 * size)
    assert len(load_runs(tmp_path).runs) == 1
    monkeypatch.setattr(training_logs, "MAX_MONITOR_BYTES", 3 * size - 1)
    with pytest.raises(NoRunsError, match="its monitor files are together larger than"):
        load_runs(tmp_path)


def test_a_half_written_last_line_is_left_out_and_listed(tmp_path: Path) -> None:
    write_monitor(tmp_path / "a" / "monitor.csv", [1.0, 3.0])
    with (tmp_path / "a" / "monitor.csv").open("a") as file:
        file.write("50")  # of 500.0,10,3.0
    loaded = load_runs(tmp_path)
    assert loaded.runs[0].score == 2.0
    (aside,) = loaded.set_aside
    assert (aside.folder, aside.reason[:9]) == ("a/monitor.csv", "its last ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "no columns r and l"),
        ('#{"t_start": 0}\nr,l,t\n', "no finished episode"),
        ("#{}\nr,l,t\n1.0,x,2\n", "line 3, column 2 (l): expected a number, found 'x'"),
        ("#{}\nr,l,t\n1.0\n", "line 3: expected 3 fields, found 1"),
        ("#{}\nr,l,t\n1.0,,2\n", "line 3, column 2 (l): expected a number, found nothing"),
        ("#{}\nr,l,t\nnan,1,2\n", "column 1 (r): expected a number of at most 1e+100"),
        ("#{}\nr,l,t\n1,1,inf\n", "column 3 (t): expected a number of at most 1e+12"),
        ("#{}\nr,l,t\n1,0,2\n", "expected a whole number from 1 to 2147483648, found '0'"),
        ("#{}\nr,l,t\n1,2.5,2\n", "expected a whole number from 1 to 2147483648, found '2.5'"),
        ("#{}\nr,l,t\n1,1,2,3\n", "1 of its last 1 rows hold no episode; line 3: expected 3"),
        ("1,1\n", "no columns r and l"),
        ('#{}\nr,l,t\n"1,0,2\n', "line 3"),
        ("\x00\xff", "cannot be read (UnicodeDecodeError)"),
    ],
)
def test_a_monitor_file_that_is_none_is_set_aside(
    tmp_path: Path, content: str, reason: str
) -> None:
    write_evaluations(tmp_path / "good", [1.0])
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "monitor.csv").write_bytes(content.encode("latin-1"))
    loaded = load_runs(tmp_path)
    assert [run.folder for run in loaded.runs] == ["good"]
    assert loaded.set_aside[0].folder == "bad"
    assert reason in loaded.set_aside[0].reason


def test_a_damaged_evaluation_is_not_replaced_by_training_returns(tmp_path: Path) -> None:
    write_zoo_run(tmp_path, number=1)
    bad = write_zoo_run(tmp_path, number=2, seed=2) / "evaluations.npz"
    bad.write_bytes(bad.read_bytes()[:200])
    loaded = load_runs(tmp_path)
    assert [run.seed for run in loaded.runs] == [1]
    assert loaded.set_aside[0].folder == "ppo/CartPole-v1_2"
    assert "evaluations.npz cannot be read" in loaded.set_aside[0].reason


def test_yaml_that_runs_code_is_not_run_and_costs_only_its_facts(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    folder = write_zoo_run(tmp_path / "logs") / "CartPole-v1"
    (folder / "config.yml").write_text(f'!!python/object/apply:os.mkdir ["{trap}"]\n')
    (folder / "args.yml").write_text(f'a: !!python/object/apply:os.mkdir ["{trap}"]\n')
    loaded = load_runs(tmp_path / "logs")
    (run,) = loaded.runs
    assert (run.score, run.algo, run.task) == (80.0, "ppo", "CartPole-v1")
    assert (run.seed, run.hyperparameters, run.budget) == (None, "", None)
    assert [aside.folder for aside in loaded.set_aside] == [
        f"ppo/CartPole-v1_1/CartPole-v1/{file}.yml" for file in ("config", "args")
    ]
    assert "could not determine a constructor" in loaded.set_aside[0].reason
    assert not trap.exists()


def test_a_model_archive_is_never_unpickled(tmp_path: Path) -> None:
    folder = write_zoo_run(tmp_path)
    (folder / "best_model.zip").write_bytes(b"not a zip")
    (folder / "CartPole-v1.zip").write_bytes(b"not a zip")
    (folder / "vecnormalize.pkl").write_bytes(b"cos\nmkdir\n(S'sprung'\ntR.")
    assert load_runs(tmp_path).runs[0].versions == ()
    assert not Path("sprung").exists()


def test_steps_that_go_back_are_two_runs_in_one_file(tmp_path: Path) -> None:
    write_evaluations(tmp_path, [1.0, 2.0], steps=[1000, 500])
    with pytest.raises(NoRunsError, match="several runs in one file"):
        load_runs(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads anything")
def test_an_unreadable_folder_is_set_aside(tmp_path: Path) -> None:
    write_zoo_run(tmp_path)
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0)
    try:
        assert "cannot be read" in load_runs(tmp_path).set_aside[0].reason
    finally:
        locked.chmod(0o700)


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(st.sampled_from('0123456789.-+eEinfa,"\n\r\x00#{}rlt:é'), max_size=60),
    header=st.sampled_from(
        ["", '#{"t_start": 1e400}\nr,l,t\n', "#[]\nr,l\n", "r,l,t,is_success\n"]
    ),
)
def test_no_text_makes_a_monitor_file_fail_in_another_way(
    tmp_path_factory: pytest.TempPathFactory, header: str, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "monitor.csv"
    path.write_text(header + text, encoding="utf-8", newline="")
    with contextlib.suppress(UnusableError):
        curve = training_curve([read_episodes(path)])
        assert np.isfinite(curve.returns).all()
        assert (np.diff(curve.steps) > 0).all()
