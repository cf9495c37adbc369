"""Which model ``evaluate`` plays: a folder, a file in it, the zoo's words, or a file alone."""

import re
import shutil
from pathlib import Path

import pytest
from stable_baselines3 import PPO

from ppo_lab.evaluate import main as evaluate
from ppo_lab.train import main as train

SMALL = ["--timesteps", "64", "-P", "n_steps:32", "batch_size:32", "n_epochs:9",
         "learning_rate:0.05", "--eval-freq", "32", "--eval-episodes", "2",
         "--save-freq", "32"]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    for seed in ("0", "1"):
        command = ["--algo", "PPO", "--env", "cartpole", "-f", str(logs), "--seed", seed]
        assert train([*SMALL, *command]) == 0
    return logs / "ppo" / "CartPole-v1_2"


def test_a_short_name_in_other_letters_is_filed_under_the_full_id(run: Path) -> None:
    assert '"env": "CartPole-v1"' in (run / "run.json").read_text()
    assert (run / "CartPole-v1" / "args.yml").is_file()


def played(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What is said of the model, and its mean return."""
    assert evaluate([*words, "--episodes", "2", "--stochastic"]) == 0
    out = capsys.readouterr().out
    named = re.search(r"CartPole-v1, (.*) of .*?: 2 episodes", out)
    mean = re.search(r"mean return (\S+),", out)
    assert named
    assert mean
    return named[1], mean[1]


def test_every_way_to_name_a_model_plays_that_model(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    final, best = (played([str(run), *flags], capsys)[1] for flags in ([], ["--load-best"]))
    first = played([str(run), "--load-checkpoint", "32"], capsys)[1]
    logs = str(run.parents[1])
    ways = {
        str(run / "CartPole-v1.zip"): final,
        str(run / "CartPole-v1"): final,  # SB3's name without .zip, and the folder of args.yml
        str(run / "best_model.zip"): best,
        str(run / "rl_model_32_steps.zip"): first,
    }
    for word, expected in ways.items():
        assert played([word], capsys)[1] == expected
    by_name = ["--algo", "ppo", "--env", "CartPole-v1", "-f", logs, "--no-render"]
    assert played(by_name, capsys) == ("final model", final)
    assert played([str(run), "--checkpoint", "last"], capsys)[1] == first  # the only one
    assert len({final, first}) == 2  # it is told which is which


def test_a_model_that_is_not_there_is_refused_with_those_that_are(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate([str(run), "--checkpoint", "1e3"]) == 2
    said = capsys.readouterr().err
    assert "rl_model_1000_steps.zip; it has CartPole-v1.zip, best_model.zip, rl_model_32_" in said
    assert evaluate([str(run), "--checkpoint", "newest"]) == 2
    assert "expected final, best, last, or a checkpoint's steps" in capsys.readouterr().err
    assert evaluate([]) == 2
    assert "expected RUN, a run folder or a model's file" in capsys.readouterr().err


def test_a_model_alone_is_played_where_one_says(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, device="cpu").save(tmp_path / "m.zip")
    assert evaluate([str(tmp_path / "m.zip")]) == 2
    assert "--env ID says where it is played" in capsys.readouterr().err
    assert evaluate([str(tmp_path / "m"), "--env", "cartpole", "--episodes", "2"]) == 0
    printed = capsys.readouterr()
    assert "ppo on CartPole-v1, checkpoint m.zip of" in printed.out
    assert "lies in no run folder" in printed.err
    # The same file in a run folder and alone is the same policy.
    shutil.copyfile(run / "CartPole-v1.zip", tmp_path / "m.zip")
    alone = played([str(tmp_path / "m.zip"), "--env", "CartPole-v1"], capsys)[1]
    assert alone == played([str(run)], capsys)[1]


def test_rl_zoos_own_layout_is_played_by_its_file(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The zoo's folder has no run.json; its args.yml and config.yml say all."""
    zoo = tmp_path / "ppo" / "CartPole-v1_1"
    shutil.copytree(run, zoo)
    (zoo / "run.json").unlink()
    assert played([str(zoo / "CartPole-v1.zip")], capsys) == played(
        [str(run / "CartPole-v1.zip")], capsys
    )
