"""What the benchmarks of speed make of their rounds: ratios, verdicts, tables, settings."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import cases
from benchmarks.clocks import overlaps, ranges, ratio, ratio_of
from benchmarks.comparison import Rounds, goal_lines, memory_line, met, table, verdict
from benchmarks.page_marks import Printed
from docs.snippets import HOME
from ppo_lab.errors import CommandError
from ppo_lab.hyperparams.sources import zoo_settings

NAN = float("nan")
SB3 = Rounds("SB3's PPO", [90.0, 100.0, 120.0], 0.4, 330.0, 230.0)
FAST = Rounds("ours", [950.0, 1000.0, 1100.0], 0.5, 320.0, 200.0)
CLOSE = Rounds("torch", [119.0, 130.0, 140.0], 0.5, 331.0, 200.0)


def test_a_ratio_is_of_the_medians() -> None:
    assert ratio_of(FAST.rates, SB3.rates) == 10.0  # 1000 / 100
    assert ratio(FAST.rates, SB3.rates) == "10.00"
    assert ratio(SB3.rates, FAST.rates, 1) == "0.1"


@pytest.mark.parametrize(
    ("some", "others", "meet"),
    [
        ([1.0, 2.0], [3.0, 4.0], False),
        ([3.0, 4.0], [1.0, 2.0], False),
        ([1.0, 3.0], [3.0, 4.0], True),  # the ends meet
        ([1.0, 9.0], [3.0, 4.0], True),  # one lies within the other
    ],
)
def test_rounds_overlap_where_their_ranges_meet(
    some: list[float], others: list[float], meet: bool
) -> None:
    assert overlaps(some, others) is meet
    assert overlaps(others, some) is meet
    assert (ratio_of(some, others) is None) is meet
    if meet:
        assert ratio(some, others) == ranges(some, others)
        assert ratio(some, others).startswith("overlap (")


def test_a_goal_whose_rounds_overlap_is_not_met() -> None:
    assert (verdict(2.0, 2.0), verdict(1.99, 2.0), verdict(None, 0.1)) == (
        "met", "MISSED", "not shown",
    )  # fmt: skip
    sides = {"sb3": SB3, "compiled": FAST, "torch": CLOSE}
    goals = {("compiled", "sb3"): 9.0, ("torch", "sb3"): 1.0, ("whole", "sb3"): 60.0}
    lines = goal_lines(sides, goals, cases.SIDES)
    assert lines == [
        "compiled / SB3's PPO: 10.00, goal ≥ 9: met",
        "torch / SB3's PPO: overlap (119–140 and 90–120), goal ≥ 1: not shown",
    ]  # whole was not measured
    assert met(lines[:1])
    assert not met(lines)
    assert not met(goal_lines(sides, {("compiled", "sb3"): 10.5}, cases.SIDES))


def test_memory_is_that_of_the_largest_of_ours() -> None:
    sides = {"sb3": SB3, "compiled": FAST, "native": CLOSE}
    assert memory_line(sides, ("compiled",)) == ["peak memory: ours 320 MiB, SB3's 330: met"]
    told = memory_line(sides, ("compiled", "native", "whole"))
    assert told == ["peak memory: ours 331 MiB, SB3's 330: MISSED"]
    assert memory_line({"sb3": SB3}, ("compiled",)) == []


def test_a_table_tells_no_ratio_that_overlaps_and_no_share_that_is_not_known() -> None:
    peer = Rounds("RLtools", [500.0, 600.0], NAN, 100.0, 90.0)
    heads, *rows = table({"sb3": SB3, "torch": CLOSE, "compiled": FAST, "rltools": peer})
    assert heads.split() == ["steps/s", "range", "ratio", "updating", "MiB", "private"]
    assert [len(row) for row in rows] == [len(heads)] * 4
    assert rows[0].split() == ["SB3's", "PPO", "100", "90–120", "1.00", "40%", "330", "230"]
    assert rows[1].split()[3] == "overlap"
    assert rows[2].split()[1:5] == ["1,000", "950–1,100", "10.00", "50%"]
    assert rows[3].split() == ["RLtools", "550", "500–600", "5.50", "100", "90"]


def test_every_goal_is_of_sides_that_its_case_has() -> None:
    for (env_id, name), goals in cases.GOALS.items():
        sides = cases.sides_of(env_id, name)
        assert {side for pair in goals for side in pair} <= set(sides) <= set(cases.SIDES)
        assert all(math.isfinite(goal) and goal > 0 for goal in goals.values())


def test_the_zoos_case_is_what_the_zoos_file_says() -> None:
    pytest.importorskip("rl_zoo3")
    for env_id in cases.REAL:
        settings, case = zoo_settings("ppo", env_id), cases.case_of(env_id, "zoo")
        assert settings is not None
        assert case.n_envs == settings.n_envs
        plain = {k: v for k, v in settings.hyperparameters.items() if k != "policy_kwargs"}
        assert plain.items() <= case.arguments.items()
        assert (case.normalize is not None) is bool(settings.normalize)
        assert (case.normalize or plain)["gamma"] == plain["gamma"]
    assert case.steps == 16 * 1024  # LunarLander's n_envs × n_steps


def test_printed_lines_go_between_the_marks_of_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- one -->\nold\n<!-- /one -->\nb\n", encoding="utf-8")
    say = Printed()
    say("x  ")
    say.write(None, "one")
    say.write(page, "one")
    assert capsys.readouterr().out == "x  \n"
    assert page.read_text("utf-8") == "a\n<!-- one -->\n```text\nx\n```\n<!-- /one -->\nb\n"
    with pytest.raises(CommandError, match="has no <!-- two -->"):
        say.write(page, "two")


def _python(code: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code], cwd=HOME, text=True, capture_output=True, check=False,
        env={**os.environ, **variables},
    )  # fmt: skip


def test_misleading_variables_are_gone_before_numpy_and_for_child_processes() -> None:
    code = (
        "import os\nfrom benchmarks import before_numpy\nimport subprocess, sys\n"
        "assert 'numpy' not in sys.modules\n"
        "subprocess.run([sys.executable, '-c', 'import os; "
        'print(os.environ.get("OPENBLAS_CORETYPE"), os.environ.get("OPENBLAS_L2_SIZE"), '
        'os.environ["OMP_NUM_THREADS"])\'], check=True)'
    )
    ran = _python(code, OPENBLAS_CORETYPE="Haswell", OPENBLAS_L2_SIZE="1", OMP_NUM_THREADS="2")
    assert ran.stdout.split() == ["None", "None", "1"], ran.stderr


def test_numpy_that_has_read_the_variables_is_refused() -> None:
    late = "import numpy\nfrom benchmarks import before_numpy"
    ran = _python(late, OPENBLAS_CORETYPE="Haswell")
    assert ran.returncode == 1
    assert "import before_numpy before NumPy" in ran.stderr


def test_the_side_of_sb3_is_served_without_this_project_and_numba() -> None:
    ran = _python(
        "import sys\nfrom benchmarks import sides\n"
        "print([m for m in ('numba', 'numpy', 'torch', 'ppo_lab') if m in sys.modules])"
    )
    assert ran.stdout.strip() == "[]", ran.stderr
