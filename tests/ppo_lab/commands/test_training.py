"""Which run the flags of ``ppo_lab.train`` describe."""

from pathlib import Path

import pytest

from ppo_lab.commands.options import TrainOptions
from ppo_lab.commands.shared import parse
from ppo_lab.commands.training import configuration
from ppo_lab.runs.config import RunConfig
from ppo_lab.train import _parser

SMALL = ["-P", "n_steps:64", "batch_size:32", "n_epochs:1"]


def described_by(*flags: str) -> RunConfig:
    """The run of a command line, on CartPole where it says nothing else."""
    return configuration(parse(_parser(), TrainOptions, [*flags, *SMALL]))


@pytest.mark.parametrize(
    ("flags", "points"),
    [
        ([], 11),  # the untrained policy, and after every tenth
        (["--eval-freq", "0"], 1),
        (["--eval-freq", "100"], 6),  # 512 steps have 5.12 hundreds
        (["--eval-freq", "9999"], 2),  # both ends
    ],
)
def test_the_policy_is_evaluated_at_both_ends_and_about_as_often_as_asked(
    flags: list[str], points: int
) -> None:
    assert described_by("--timesteps", "512", *flags).evaluation.points == points


def test_the_budget_is_the_flags_else_the_settings_else_50_000(tmp_path: Path) -> None:
    conf = tmp_path / "conf.yml"
    conf.write_text("default: {n_timesteps: 300}\n")
    assert described_by("--conf", str(conf), "--timesteps", "7").timesteps == 7
    assert described_by("--conf", str(conf)).timesteps == 300
    assert described_by().timesteps == 50_000


def test_what_is_given_lies_on_top_in_the_order_preset_then_flags() -> None:
    run = described_by("--preset", "sb3")
    assert run.hyperparameters["n_steps"] == 64  # the preset's is 2,048
    assert run.hyperparameters["learning_rate"] == 0.0003
    assert run.origin == "SB3's defaults; on top: preset 'sb3'; on top: -P"
