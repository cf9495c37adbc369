"""TabularEnv plays exactly the MDP it is given."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from scipy.stats import chisquare

from envs.cliffgrid import CliffGrid
from envs.crawler import Crawler
from envs.fourrooms import FourRooms
from envs.gridworld import GridWorld
from envs.mdp import from_toy_text
from envs.tabular import TabularEnv


def test_step_before_reset_is_refused():
    with pytest.raises(ResetNeeded, match="before the first reset"):
        GridWorld().step(0)


def test_step_after_the_end_is_refused_until_reset():
    env = GridWorld("S+")
    env.reset(seed=0)
    env.step(1)
    assert env.step(0)[2]
    with pytest.raises(ResetNeeded, match="after the end"):
        env.step(0)
    env.reset()
    env.step(0)


@pytest.mark.parametrize("action", [4, -1, 1.0, "up", None, np.array([1]), np.float32(1)])
def test_a_bad_action_is_refused_and_changes_nothing(action):
    env = GridWorld()
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="pass an integer from 0 to 3"):
        env.step(action)
    assert env.state == 7


@pytest.mark.parametrize("action", [1, np.int64(1), np.int32(1), np.uint8(1), np.array(1), True])
def test_every_integer_type_is_an_action(action):
    env = GridWorld("S+")
    env.reset(seed=0)
    assert env.step(action)[0] == 1


def test_an_unknown_render_mode_is_refused():
    with pytest.raises(ValueError, match="render_mode is 'video'; choose one of"):
        TabularEnv(GridWorld().mdp, render_mode="video")


def test_the_same_seed_gives_the_same_trajectory():
    def trajectory(seed):
        env = GridWorld(noise=0.5)
        observations = [env.reset(seed=seed)[0]]
        for step in range(40):
            observation, *_, ended, _, _ = env.step(step % 4)
            observations.append(env.reset()[0] if ended else observation)
        return observations

    assert trajectory(3) == trajectory(3)
    assert trajectory(3) != trajectory(4)


PLAYED = {
    "GridWorld": GridWorld,
    "NoisyGridWorld": lambda: GridWorld(noise=0.2, living_reward=-0.1),
    "several starts": lambda: GridWorld("S.S\n...\n.+.", noise=0.4),
    "CliffGrid": lambda: CliffGrid(noise=0.5),
    "FourRooms": lambda: FourRooms(size=5, noise=0.3),
    "Crawler": Crawler,
    "FrozenLake": lambda: TabularEnv(from_toy_text(gym.make("FrozenLake-v1"))),
}


@pytest.mark.parametrize("name", PLAYED)
def test_observed_frequencies_are_those_of_the_mdp(name):
    env = PLAYED[name]()
    mdp = env.mdp
    env.action_space.seed(1)
    starts, counts = np.zeros(mdp.n_states), np.zeros_like(mdp.P)
    starts[env.reset(seed=1)[0]] += 1
    for step in range(20_000):
        state, action = env.state, env.action_space.sample()
        observation, reward, ended, truncated, _ = env.step(action)
        counts[state, action, observation] += 1
        possible = zip(
            mdp.next_states[state, action],
            mdp.rewards[state, action],
            mdp.terminations[state, action],
            mdp.probabilities[state, action] > 0,
            strict=True,
        )
        assert (observation, reward, ended, True) in set(possible)
        assert not truncated
        if ended or step % 100 == 99:
            starts[env.reset()[0]] += 1
    assert counts[mdp.P == 0].sum() == 0
    assert starts[mdp.start == 0].sum() == 0
    rows = [
        (starts, mdp.start),
        *zip(counts.reshape(-1, mdp.n_states), mdp.P.reshape(-1, mdp.n_states), strict=True),
    ]
    # Bonferroni: 1 % for all rows of an environment together; a row takes 5 expected an outcome.
    level = 0.01 / len(rows)
    for seen, chances in rows:
        support = chances > 0
        expected = seen.sum() * chances[support]
        if support.sum() > 1 and expected.min() >= 5:
            assert chisquare(seen[support], expected).pvalue > level
