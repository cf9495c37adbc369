"""A run's record as anyone may have written it, and what a run that goes on begins with."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from stable_baselines3.common.env_util import make_vec_env

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.folder import to_json
from ppo_lab.runs.resumable import read_run
from ppo_lab.runs.session import Session

RUN = RunConfig("spec_ppo", "CartPole-v1", 3, 64, 2, "MlpPolicy", {}, Evaluation(1, 0))


def recorded(folder: Path, **changes: Any) -> Path:
    """A run folder whose record says something else; ``evaluation_…`` of its evaluation."""
    record = RUN.as_dict()
    for name, value in changes.items():
        inner = name.removeprefix("evaluation_")
        (record if inner == name else record["evaluation"])[inner] = value
    (folder / "run.json").write_text(to_json(record))
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "ValueError: seed -1: expected at least 0"),
        ({"seed": 2**63}, "ValueError: seed 9.22e+18"),
        ({"timesteps": 0}, "ValueError: timesteps 0: expected at least 1"),
        ({"n_envs": 1.0}, "TypeError: n_envs must be a whole number, found 1.0"),
        ({"n_envs": True}, "TypeError: n_envs must be a whole number, found True"),
        ({"evaluation_points": 0}, "ValueError: evaluation.points 0: expected at least 1"),
        ({"evaluation_episodes": "9"}, "TypeError: evaluation.episodes must be a whole number"),
        ({"evaluation_seed": -1}, "ValueError: evaluation.seed -1: expected at least 0"),
        ({"algo": 3}, "TypeError: algo must be a text, found 3"),
        ({"hyperparameters": []}, "TypeError: hyperparameters must be an object"),
        ({"env_kwargs": None}, "TypeError: env_kwargs must be an object"),
        ({"normalize": 1}, "TypeError: normalize must be true, false or an object"),
        ({"evaluation": {}}, "TypeError: "),
        ({"evaluation": 1}, "TypeError: "),
    ],
    ids=str,
)
def test_a_record_that_is_no_runs_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError) as error:
        read_run(recorded(tmp_path, **changes))
    assert f"run.json cannot be read: {message}" in str(error.value)


@pytest.mark.parametrize("changes", [{}, {"seed": 2**63 - 1}, {"evaluation_points": 1}], ids=str)
def test_a_record_of_a_run_is_that_run(changes: dict[str, Any], tmp_path: Path) -> None:
    config, record = read_run(recorded(tmp_path, **changes))
    assert config.as_dict() == record


def test_a_run_that_goes_on_does_not_meet_its_first_random_numbers_again(tmp_path: Path) -> None:
    env = make_vec_env("CartPole-v1", 2)
    former = SpecPPO("MlpPolicy", env, n_steps=16, batch_size=32, n_epochs=1, device="cpu")
    former.learn(32)
    former.save(tmp_path / "model.zip")

    model = Session(start=tmp_path / "model.zip").loaded(RUN, env)
    assert model.num_timesteps == 32
    begun = env.reset()
    for number, observation in enumerate(begun):  # seed 3, after 32 steps
        expected, _ = gym.make("CartPole-v1").reset(seed=3 + 32 + number)
        assert observation.tolist() == expected.tolist()
