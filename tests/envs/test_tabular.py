"""TabularEnv plays exactly the MDP it is given."""

import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from scipy.stats import chisquare

from envs.gridworld import GridWorld
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


@pytest.mark.parametrize("action", [1, np.int64(1), np.int32(1), np.uint8(1), np.array(1)])
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


def test_observed_frequencies_are_those_of_the_mdp():
    env = GridWorld("S.S\n...\n.+.", noise=0.4)
    mdp = env.mdp
    env.reset(seed=1)
    env.action_space.seed(1)
    starts = np.zeros(mdp.n_states)
    counts = np.zeros_like(mdp.P)
    for _ in range(60_000):
        if env.state < 0 or env._ended:
            env.reset()
            starts[env.state] += 1
        state, action = env.state, env.action_space.sample()
        observation, reward, ended, truncated, _ = env.step(action)
        counts[state, action, observation] += 1
        possible = (mdp.next_states[state, action] == observation) & (
            mdp.probabilities[state, action] > 0
        )
        assert reward in mdp.rewards[state, action][possible]
        assert ended in mdp.terminations[state, action][possible]
        assert not truncated
    assert counts[mdp.P == 0].sum() == 0
    # Bonferroni: 36 rows and the start, 1 % for all of them together.
    level = 0.01 / 37
    begun = mdp.start > 0
    assert chisquare(starts[begun], starts.sum() * mdp.start[begun]).pvalue > level
    for s, a in np.ndindex(mdp.n_states, mdp.n_actions):
        support = mdp.P[s, a] > 0
        if support.sum() > 1:
            seen = counts[s, a, support]
            assert chisquare(seen, seen.sum() * mdp.P[s, a, support]).pvalue > level
