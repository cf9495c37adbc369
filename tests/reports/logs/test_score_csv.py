"""Tables of scores."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.logs.loading import NoRunsError, load_runs
from reports.logs.records import GIVEN, LoadedRuns, UnusableError
from reports.logs.score_csv import read_scores

HEADER = "algorithm,environment,seed,step,score\n"


def load(tmp_path: Path, text: str) -> LoadedRuns:
    path = tmp_path / "scores.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return load_runs(path)


def test_rows_of_one_seed_are_one_run_and_its_last_step_is_its_score(tmp_path: Path) -> None:
    text = HEADER + "ppo,A,1,200,5\nppo,A,1,100,7\nppo,A,2,100,1\nsac,B,1,100,2\n"
    loaded = load(tmp_path, text)
    first, second, third = loaded.runs
    assert (first.label, first.task, first.seed, first.score) == ("ppo", "A", 1, 5.0)
    np.testing.assert_array_equal(first.evaluation_steps, [100, 200])
    assert (first.best_score, first.steps) == (7.0, 200)
    assert (first.kind, first.measure, first.evaluation_episodes) == ("scores", GIVEN, 0)
    assert (second.seed, third.label) == (2, "sac")
    assert first.folder == "scores.csv:2"


@pytest.mark.parametrize(
    "text",
    [
        "Algo,ENV,Seed,Timesteps,Return\nppo,A,1,100,7\n",
        "return;timesteps;seed;env_id;algo\n7;100;1;A;ppo\n",
        "\ufeffscore\tstep\tseed\ttask\tmethod\r\n7\t1e2\t1.0\tA\tppo\r\n",
        "note,mean reward,total-timesteps,run,env,algo\nx,7,100,1,A,ppo",
    ],
)
def test_columns_are_found_by_name(tmp_path: Path, text: str) -> None:
    (run,) = load(tmp_path, text).runs
    assert (run.algo, run.task, run.seed, run.steps, run.score) == ("ppo", "A", 1, 100, 7.0)


def test_settings_and_success_rates_are_read_where_there_are_any(tmp_path: Path) -> None:
    text = "algo,settings,env,seed,score,success_rate\nppo,tuned,A,1,7,0.25\nppo,,A,1,7,\n"
    first, second = load(tmp_path, text).runs
    assert (first.label, first.success_rate, first.steps) == ("ppo (tuned)", 0.25, 0)
    assert (second.label, second.success_rate) == ("ppo", None)


def test_long_seeds_stay_apart(tmp_path: Path) -> None:
    loaded = load(tmp_path, HEADER + "a,A,100000000000001,1,1\na,A,100000000000002,1,1\n")
    assert [run.seed for run in loaded.runs] == [100000000000001, 100000000000002]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("ppo,A,x,100,7", "line 3, column 3 (seed): expected a whole number"),
        ("ppo,A,-1,100,7", "line 3, column 3 (seed): expected a whole number"),
        (",A,1,100,7", "line 3, column 1 (algorithm): expected a name, found ''"),
        ("ppo,A,1,100", "line 3: expected 5 fields, found 4 (half-written last line)"),
        ("ppo,A,1,100,7,8\n", "line 3: expected 5 fields, found 6"),
        ("ppo,A,0,100,9\n", "line 3: a second row of the same run and step as line 2"),
        ('ppo,"A', "line 3: unexpected end of data"),
    ],
)
def test_a_bad_row_is_set_aside_by_line_and_column(tmp_path: Path, row: str, reason: str) -> None:
    loaded = load(tmp_path, f"{HEADER}ppo,A,0,100,7\n{row}")
    assert [(run.seed, run.score) for run in loaded.runs] == [(0, 7.0)]
    (aside,) = loaded.set_aside
    assert aside.folder == "scores.csv"
    assert aside.reason.replace("expected a number", "expected a whole number").startswith(reason)


@pytest.mark.parametrize("score", ["nan", "inf", "", "high", "1e300"])
def test_a_run_with_a_score_that_is_none_is_set_aside_whole(tmp_path: Path, score: str) -> None:
    # Left out alone, the row would let an earlier score stand as the run's last.
    text = f"{HEADER}ppo,A,0,100,7\nppo,A,1,100,7\nppo,A,1,200,{score}\n"
    loaded = load(tmp_path, text)
    assert [run.seed for run in loaded.runs] == [0]
    assert "the run of ppo, A, seed 1: line 4, column 5 (score)" in loaded.set_aside[0].reason


def test_many_bad_rows_are_counted_not_listed(tmp_path: Path) -> None:
    loaded = load(tmp_path, HEADER + "ppo,A,0,1,7\n" + "x\n" * 1000)
    assert len(loaded.set_aside) == 21
    assert loaded.set_aside[-1].reason == "and 980 more rows or runs"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1 holds no header"),
        ("algo,env,seed\n", "no column score"),
        ("a,b\n1,2\n", "no column algorithm (or algo, method, agent, exp_name); found: a, b"),
        ('#{"t_start": 1}\nr,l,t\n', "give the folder that it lies in"),
        ("\udcff\udcfe", "UnicodeDecodeError"),
    ],
)
def test_a_file_that_is_no_table_of_scores(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(NoRunsError) as error:
        load(tmp_path, text)
    assert reason in str(error.value)


def test_names_come_through_as_they_are(tmp_path: Path) -> None:
    loaded = load(tmp_path, HEADER + '"a, ""b""",<script>,1,1,1\n算法,../../etc,1,1,1\n')
    assert [(run.algo, run.task) for run in loaded.runs] == [
        ('a, "b"', "<script>"),
        ("算法", "../../etc"),
    ]


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from('ab,;"\n\r\t0159.-eE\x00nai#{}é'), max_size=80))
def test_no_text_makes_it_fail_in_another_way(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_text(HEADER + "ppo,A,0,1,1\n" + text, encoding="utf-8", newline="")
    runs, asides = read_scores(path, "fuzz.csv")
    assert runs or asides
    assert all(np.isfinite(run.score) for run in runs)
    path.write_text(text, encoding="utf-8", newline="")
    with contextlib.suppress(UnusableError):
        read_scores(path, "fuzz.csv")
