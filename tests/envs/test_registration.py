"""The registered ids: Gymnasium's checks, time limits, cheap imports."""

import importlib
import subprocess
import sys

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_by_sb3

import envs.registration
from envs.registration import ENVIRONMENTS, register_environments

register_environments()


CASES = [
    (env_id, {} if "Continuous" in env_id else {"observation": observation})
    for env_id in ENVIRONMENTS
    for observation in ("index", "coordinates", "image")
    if not ("Continuous" in env_id and observation != "index")
]


@pytest.fixture(autouse=True)
def _no_window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.mark.parametrize(("env_id", "arguments"), CASES)
def test_gymnasium_finds_nothing_wrong(env_id, arguments):
    check_env(gym.make(env_id, **arguments).unwrapped)


@pytest.mark.parametrize(("env_id", "arguments"), CASES)
def test_stable_baselines3_finds_nothing_wrong(env_id, arguments):
    check_env_by_sb3(gym.make(env_id, **arguments))


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_every_class_specifies_itself(env_id):
    text = gym.make(env_id).unwrapped.__doc__
    for heading in (
        "Description",
        "Action Space",
        "Observation Space",
        "Rewards",
        "Starting State",
        "Episode End",
        "Arguments",
        "Version History",
    ):
        assert heading in text


def test_all_ids_of_the_design_are_registered():
    grids = ["GridWorld", "NoisyGridWorld", "CliffGrid", "CostCliffGrid", "FourRooms"]
    crawlers = ["Crawler", "CrawlerContinuous"]
    assert list(ENVIRONMENTS) == [f"ppo_lab/{name}-v0" for name in grids + crawlers]


@pytest.mark.parametrize(("name", "noise"), [("GridWorld", 0.0), ("NoisyGridWorld", 0.2)])
def test_grid_worlds_have_the_noise_of_their_id(name, noise):
    mdp = gym.make(f"ppo_lab/{name}-v0").unwrapped.mdp
    # Up from the start, (1, 1): the way is open, so noise alone keeps it from (1, 2).
    assert mdp.P[7, 0, 4] == 1.0 - noise


def test_episodes_are_truncated_after_a_hundred_steps():
    env = gym.make("ppo_lab/GridWorld-v0")
    env.reset(seed=0)
    ends = [env.step(3)[2:4] for _ in range(100)]
    assert ends == [(False, False)] * 99 + [(False, True)]


def test_registering_again_after_a_reload_warns_of_nothing():
    importlib.reload(envs.registration).register_environments()
    assert all(env_id in gym.registry for env_id in ENVIRONMENTS)


def test_registering_loads_no_environment():
    code = (
        "import sys, gymnasium; before = set(sys.modules)\n"
        "from envs.registration import register_environments; register_environments()\n"
        "print(sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "['envs', 'envs.registration']"
