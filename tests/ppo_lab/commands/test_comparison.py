"""What a comparison says of its runs."""

from pathlib import Path

import pytest

from ppo_lab.commands.comparison import ComparisonPlan, RunGroup, notes
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.execution import RunResult

RUN = RunConfig("ppo", "CartPole-v1", 0, 1000, 1, "MlpPolicy", {}, Evaluation(2, 0))


@pytest.mark.parametrize(("steps", "told"), [(1000, False), (1050, False), (1051, True)])
def test_a_budget_overrun_by_more_than_a_twentieth_is_told(steps: int, told: bool) -> None:
    plan = ComparisonPlan((RunGroup(RUN, "none", ()),), (0,), (0,), Path("runs"))
    said = notes(plan, [(RUN, RunResult(1.0, None, 1.0, steps=steps))], 0)
    line = f"ppo took {steps:,} steps on CartPole-v1, more than the budget: its rollouts are whole."
    assert (line in said) == told
