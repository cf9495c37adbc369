"""What a comparison says of its runs."""

from pathlib import Path

import pytest

from ppo_lab.commands.comparison import ComparisonPlan, RunGroup
from ppo_lab.commands.comparison_notes import notes
from ppo_lab.commands.options import CompareOptions
from ppo_lab.commands.parsing import parse
from ppo_lab.commands.settings_source import settings_source
from ppo_lab.compare import _parser
from ppo_lab.errors import ArgumentError
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.execution import RunResult

RUN = RunConfig("ppo", "CartPole-v1", 0, 1000, 1, "MlpPolicy", {}, Evaluation(2, 0))


@pytest.mark.parametrize(("steps", "told"), [(1000, False), (1050, False), (1051, True)])
def test_a_budget_overrun_by_more_than_a_twentieth_is_told(steps: int, told: bool) -> None:
    plan = ComparisonPlan((RunGroup(RUN, "none", ()),), (0,), (0,), Path("runs"))
    said = notes(plan, [(RUN, RunResult(1.0, None, 1.0, steps=steps))], 0)
    line = f"ppo took {steps:,} steps on CartPole-v1, more than the budget: its rollouts are whole."
    assert (line in said) == told


def given(*words: str) -> CompareOptions:
    needed = ["--envs", "CartPole-v1", "--timesteps", "64", "--settings", "default"]
    return parse(_parser(), CompareOptions, [*needed, *words])


def test_a_hyperparameter_is_for_all_algorithms_or_for_one() -> None:
    options = given("-P", "gamma:0.9", "spec_ppo.n_steps:1e2", "spec_ppo.gamma:0.8")
    source = settings_source(options, ["spec_ppo", "ppo"])
    ours, theirs = (source.settings(algo, "CartPole-v1") for algo in ("spec_ppo", "ppo"))
    assert ours.hyperparameters == {"gamma": 0.8, "n_steps": 100}
    assert theirs.hyperparameters == {"gamma": 0.9}
    assert (ours.word, theirs.word) == ("given", "given")
    only_ours = settings_source(given("-P", "spec_ppo.gamma:0.8"), ["spec_ppo", "ppo"])
    assert only_ours.settings("ppo", "CartPole-v1").word == "default"


def test_a_hyperparameter_of_an_algorithm_that_is_not_compared_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"-P a2c\.gamma:1: 'a2c' is none of the --algos"):
        settings_source(given("-P", "a2c.gamma:1"), ["ppo"])
