"""Games of several agents by command: trained, played, filmed, compared, or refused in a line."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecNormalize

from envs.planning import optimal_return, random_return
from envs.team_grid import TeamGrid
from ppo_lab.evaluate import main as evaluate
from ppo_lab.multi_agent.as_env import GameEnv
from ppo_lab.multi_agent.vec_env import ParallelVecEnv
from ppo_lab.runs.recipe import EnvironmentRecipe
from ppo_lab.runs.references import play_randomly, stated_reference
from ppo_lab.runs.resumable import read_run
from ppo_lab.train import main as train
from ppo_lab.tune import main as tune
from ppo_lab.vec_env import SampledVecNormalize

GAME = "pettingzoo:team_grid_v0"
DOORS = "pettingzoo:tests.ppo_lab.multi_agent.games:Doors"
SMALL = ["-P", "n_steps:16", "batch_size:64", "n_epochs:1"]


def run(command: Any, *arguments: str) -> int:
    try:
        code = command(list(arguments))
    except SystemExit as stopped:
        code = stopped.code
    return 0 if code is None else int(code)


def trained(folder: Path, *more: str, settings: Sequence[str] = SMALL) -> int:
    given = ["--env", GAME, "--timesteps", "128", "--n-envs", "4", "--eval-episodes", "3"]
    return run(train, *given, "--log-folder", str(folder), *settings, *more)


def test_a_team_is_trained_played_and_normalised_by_its_optimum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(tmp_path) == 0
    assert "normalised" in capsys.readouterr().out
    folder = tmp_path / "spec_ppo" / "team_grid_v0_1"
    mdp = TeamGrid().mdp
    reference = json.loads((folder / "run.json").read_text())["reference"]
    assert reference["low"] == pytest.approx(random_return(mdp, 50))
    assert reference["high"] == pytest.approx(optimal_return(mdp, 50))
    # Three games of two agents, and a monitor file for each column of 4 games.
    assert np.load(folder / "evaluations.npz")["results"].shape[1] == 6
    assert len(list(folder.glob("*.monitor.csv"))) == 8
    assert run(evaluate, str(folder), "--episodes", "3") == 0
    assert "3 episodes" in capsys.readouterr().out


def test_mappo_by_command_and_the_state_is_kept_from_the_actor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    central = ["--env-kwargs", "critic:'central'"]
    assert trained(tmp_path, *central) != 0
    assert "critic_only" in capsys.readouterr().err
    critic = [*SMALL, "policy_kwargs:dict(critic_only=['state'])", "normalize_value:True"]
    assert trained(tmp_path, *central, "--normalize", "true", settings=critic) == 0
    folder = next((tmp_path / "spec_ppo").iterdir())
    assert run(evaluate, str(folder), "--episodes", "2") == 0


@pytest.mark.parametrize("where", ["info", pytest.param("observation", marks=pytest.mark.slow)])
def test_a_game_that_forbids_is_trained_and_played_under_its_masks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    doors = ["--env", DOORS, "--mask-actions"]
    assert trained(tmp_path, *doors, "--env-kwargs", f"where:'{where}'") == 0
    (folder,) = (tmp_path / "spec_ppo").iterdir()
    assert read_run(folder)[0].masks
    for flags in ([], ["--no-pickle", *doors[:2]]):
        assert run(evaluate, str(folder), "--episodes", "3", "--stochastic", *flags) == 0
        assert "mean length 5.0" in capsys.readouterr().out


STUDY = ["--algo", "spec_ppo", "--trials", "1", "--finalists", "1", "--replicas", "2", "--seeds",
         "2", "--episodes", "3", "--jobs", "1"]  # fmt: skip
BASE = """\
{game}:
  n_steps: 16
  batch_size: 32
  n_epochs: 1
  n_envs: 2
  policy: MultiInputPolicy
  policy_kwargs: "dict(critic_only=['state'])"
"""


@pytest.mark.slow
def test_a_study_in_games_ends_under_masks_and_with_a_critic_that_sees_the_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yml"
    file.write_text(BASE.format(game=DOORS))
    words = ["--env", DOORS, "--mask-actions", "--env-kwargs", "where:'info'", "critic:'central'"]
    more = ["--base", str(file), "--timesteps", "64", "--log-folder", str(tmp_path / "logs")]
    assert run(tune, *words, *more, *STUDY) == 0
    assert "spec_ppo" in capsys.readouterr().out
    runs = [read_run(path.parent)[0] for path in (tmp_path / "logs").rglob("run.json")]
    assert len(runs) >= 5  # a trial, two replicas, two test seeds
    assert all(config.masks for config in runs)
    assert all(config.hyperparameters["policy_kwargs"] for config in runs)


def test_a_study_that_would_show_the_actor_the_state_trains_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--env", GAME, "--env-kwargs", "critic:'central'", "--timesteps", "64"]
    assert run(tune, *words, *STUDY, "--log-folder", str(tmp_path)) == 2
    assert "critic_only" in capsys.readouterr().err
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.skipif(find_spec("moviepy") is None, reason="moviepy is missing")
def test_a_game_is_filmed(tmp_path: Path) -> None:
    assert trained(tmp_path) == 0
    folder, film = tmp_path / "spec_ppo" / "team_grid_v0_1", tmp_path / "film.mp4"
    assert run(evaluate, str(folder), "--episodes", "1", "--video", str(film), "--no-pickle",
               "--env", GAME) == 0  # fmt: skip
    assert film.stat().st_size > 1000


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--vec-env", "pool"], "--vec-env pool steps single environments"),
        (["--wrapper", "gymnasium.wrappers:FlattenObservation"], "is for single environments"),
        (["--mask-actions"], "action_masks"),
        (["--env-kwargs", "observation:'some'"], "observation is 'some'"),
        (["--env", "pettingzoo:no_game_v1"], "unknown game 'pettingzoo:no_game_v1'"),
    ],
)
def test_what_cannot_work_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert trained(tmp_path, *more) != 0
    captured = capsys.readouterr().err
    assert said in captured
    assert "Traceback" not in captured
    assert not list(tmp_path.rglob("*.zip"))


def test_a_recipe_makes_games_and_normalises_who_is_there() -> None:
    recipe = EnvironmentRecipe(GAME, {"critic": "own"}, normalize=True)
    env = recipe.make(2, seed=0)
    assert type(env) is SampledVecNormalize
    assert isinstance(env, VecNormalize)
    assert isinstance(env.unwrapped, ParallelVecEnv)
    assert env.num_envs == 4
    assert recipe.make(2, training=False).unwrapped.training is False  # type: ignore[attr-defined]


def test_a_random_team_is_worth_what_dynamic_programming_says() -> None:
    env = GameEnv("team_grid_v0", max_steps=20)
    mean, episodes = play_randomly(env, 60.0)  # type: ignore[misc]
    assert episodes == 100
    assert mean == pytest.approx(random_return(TeamGrid().mdp, 20), abs=0.35)
    stated = stated_reference(GAME, {"max_steps": 20})
    assert stated is not None
    assert stated.low == pytest.approx(random_return(TeamGrid().mdp, 20))
