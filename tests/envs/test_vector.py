"""The vector forms: autoreset, time limits, seeds, and agreement with the single form."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from scipy.stats import chisquare

from envs.crawler_continuous import CrawlerContinuousVector
from envs.gridworld import GridWorld, GridWorldVector
from envs.registration import ENVIRONMENTS, register_environments

register_environments()

BOTH_MODES = pytest.mark.parametrize(
    "mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP], ids=lambda mode: mode.value
)


def make_vec(env_id, num_envs, **kwargs):
    return gym.make_vec(env_id, num_envs, vectorization_mode="vector_entry_point", **kwargs)


@BOTH_MODES
@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_one_copy_repeats_the_single_environment(env_id, mode):
    single = gym.make(env_id, max_episode_steps=30)
    vector = make_vec(env_id, 1, autoreset_mode=mode, max_episode_steps=30)
    single.action_space.seed(7)
    np.testing.assert_array_equal(vector.reset(seed=5)[0][0], single.reset(seed=5)[0])
    ended, endings = False, 0
    for _ in range(300):
        action = single.action_space.sample()
        if ended and mode is AutoresetMode.NEXT_STEP:
            expected, ended = (single.reset()[0], 0.0, False, False), False
        else:
            expected = single.step(action)[:4]
            ended = expected[2] or expected[3]
        observations, *outcome, infos = vector.step(np.array([action]))
        assert [array[0] for array in outcome] == list(expected[1:])
        if ended and mode is AutoresetMode.SAME_STEP:
            np.testing.assert_array_equal(infos["final_obs"][0], expected[0])
            expected = single.reset()
        else:
            assert {*infos} <= {"cost", "_cost"}
        np.testing.assert_array_equal(observations[0], expected[0])
        endings += ended
    assert endings >= 9


@pytest.fixture
def _gymnasiums_own_time_limit(monkeypatch):
    """RL Zoo, once imported by another test, puts its own in this place for the whole process."""
    known = gym.wrappers.TimeLimit
    own = next(kind for kind in known.__mro__ if kind.__module__.startswith("gymnasium."))
    monkeypatch.setattr(gym.wrappers, "TimeLimit", own)


@BOTH_MODES
@pytest.mark.usefixtures("_gymnasiums_own_time_limit")
@pytest.mark.parametrize("observation", ["index", "coordinates", "image"])
def test_without_chance_it_agrees_with_gymnasiums_vector_environment(mode, observation):
    kwargs = {"observation": observation, "max_episode_steps": 9}
    theirs = gym.make_vec(
        "ppo_lab/GridWorld-v0",
        5,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        **kwargs,
    )
    ours = make_vec("ppo_lab/GridWorld-v0", 5, autoreset_mode=mode, **kwargs)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"]
    np.testing.assert_array_equal(ours.reset(seed=0)[0], theirs.reset(seed=0)[0])
    rng = np.random.default_rng(0)
    seen = np.zeros(4, int)
    for _ in range(200):
        # Up and right most of the time, so that exits and time limits both occur.
        actions = rng.choice(4, size=5, p=[0.4, 0.4, 0.1, 0.1])
        (*mine, my_infos), (*other, their_infos) = ours.step(actions), theirs.step(actions)
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        assert set(my_infos) == set(their_infos)
        if my_infos:
            mask = their_infos["_final_obs"]
            np.testing.assert_array_equal(my_infos["_final_obs"], mask)
            np.testing.assert_array_equal(my_infos["_final_info"], their_infos["_final_info"])
            np.testing.assert_array_equal(
                my_infos["final_obs"][mask], np.stack(their_infos["final_obs"][mask])
            )
        terminated, truncated = mine[2:4]
        seen += [
            (terminated & ~truncated).sum(),
            (~terminated & truncated).sum(),
            (terminated & truncated).sum(),
            (~terminated & ~truncated).sum(),
        ]
    assert (seen > 0).all()  # every kind of step was compared, both endings at once too


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_make_vec_makes_it_with_the_registered_time_limit(env_id):
    env = make_vec(env_id, 3)
    assert (env.num_envs, env.max_episode_steps) == (3, 100)
    observations, infos = env.reset(seed=0)
    assert env.observation_space.contains(observations)
    assert infos == {}
    truncations = [env.step(env.action_space.sample())[3] for _ in range(100)]
    if "Crawler" in env_id:
        assert np.stack(truncations).sum(axis=0).tolist() == [1, 1, 1]
        assert truncations[-1].all()


def test_without_a_limit_nothing_is_truncated():
    env = make_vec("ppo_lab/Crawler-v0", 2, max_episode_steps=None)
    env.reset(seed=0)
    assert not any(env.step([0, 1])[3].any() for _ in range(300))


@BOTH_MODES
def test_observed_frequencies_are_those_of_the_mdp(mode):
    env = GridWorldVector(
        512, "S.S\n...\n.+.", noise=0.4, max_episode_steps=20, autoreset_mode=mode
    )
    mdp = env.mdp
    env.reset(seed=3)
    rng = np.random.default_rng(3)
    counts, starts = np.zeros_like(mdp.P), np.zeros(mdp.n_states)
    ended = np.zeros(512, bool)
    for _ in range(200):
        before, actions = env.states.copy(), rng.integers(4, size=512)
        observations, rewards, terminations, truncations, infos = env.step(actions)
        arrived = infos["final_obs"] if infos else observations
        moved = ~ended if mode is AutoresetMode.NEXT_STEP else np.ones(512, bool)
        np.add.at(counts, (before[moved], actions[moved], arrived[moved]), 1)
        # This map pays 1 for the step out of its one exit and nothing else.
        np.testing.assert_array_equal(terminations[moved], mdp.terminations[before, 0, 0][moved])
        np.testing.assert_array_equal(rewards, (terminations & moved).astype(float))
        begun = ended if mode is AutoresetMode.NEXT_STEP else terminations | truncations
        np.add.at(starts, observations[begun], 1)
        ended = terminations | truncations
    assert counts[mdp.P == 0].sum() == 0
    level = 0.01 / 37  # 36 rows and the start, 1 % for all of them together
    begun = mdp.start > 0
    assert starts[~begun].sum() == 0
    assert chisquare(starts[begun], starts.sum() * mdp.start[begun]).pvalue > level
    for s, a in np.ndindex(mdp.n_states, mdp.n_actions):
        support = mdp.P[s, a] > 0
        if support.sum() > 1:
            seen = counts[s, a, support]
            assert chisquare(seen, seen.sum() * mdp.P[s, a, support]).pvalue > level


def test_the_same_seed_gives_the_same_trajectories_and_copies_differ():
    def trajectories(seed):
        env = make_vec("ppo_lab/NoisyGridWorld-v0", 8)
        first = env.reset(seed=seed)[0]
        return np.stack([first, *(env.step(np.full(8, t % 4))[0] for t in range(60))])

    first = trajectories(1)
    np.testing.assert_array_equal(first, trajectories(1))
    assert (first != trajectories(2)).any()
    assert len(np.unique(first, axis=1).T) > 1


def test_a_copy_begins_anew_with_its_own_number_of_that_step():
    env = GridWorldVector(64, "SS+", noise=0.0)
    mirror, _ = seeding.np_random(9)
    starts = env.reset(seed=9)[0]
    np.testing.assert_array_equal(starts, mirror.random(64) >= 0.5)
    assert 0 < starts.sum() < 64
    # Right, out: the copies that began next to the exit begin anew one step before the others.
    draws = [mirror.random(64) for _ in range(3)]
    observations = [env.step(np.ones(64, int))[0] for _ in range(3)][-1]
    near = starts == 1
    np.testing.assert_array_equal(observations[near], draws[-1][near] >= 0.5)


def test_a_reset_without_seed_goes_on_with_the_generator():
    env = GridWorldVector(64, "S.S+", noise=0.0)
    first, second = env.reset(seed=0)[0], env.reset()[0]
    assert (first != second).any()


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_what_was_returned_is_never_changed_later(env_id):
    env = make_vec(env_id, 4, max_episode_steps=3, autoreset_mode="SameStep")
    kept = [env.reset(seed=0)[0]]
    copies = [kept[0].copy()]
    for _ in range(7):
        *arrays, infos = env.step(env.action_space.sample())
        arrays += [infos[key] for key in ("final_obs", "_final_obs") if key in infos]
        kept += arrays
        copies += [array.copy() for array in arrays]
    for array, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert len({id(array) for array in kept}) == len(kept)


def test_episode_statistics_of_gymnasium_work_on_it():
    env = RecordEpisodeStatistics(make_vec("ppo_lab/GridWorld-v0", 2))
    env.reset(seed=0)
    up_and_right = [0, 0, 1, 1, 1, 1]
    for action in up_and_right:
        *_, infos = env.step(np.array([action, 2]))  # the second copy pushes against the edge
    assert infos["episode"]["r"][0] == 1.0
    assert infos["episode"]["l"].tolist() == [6, 0]


def test_steps_and_returns_count_the_present_episodes():
    env = GridWorldVector(2, living_reward=-1.0, max_episode_steps=3)
    env.reset(seed=0)
    counted = []
    for _ in range(5):
        env.step([2, 2])
        counted.append((env.steps[0], env.returns[0]))
    # Three steps, the reset, one step.
    assert counted == [(1, -1.0), (2, -2.0), (3, -3.0), (0, 0.0), (1, -1.0)]


def test_step_before_reset_is_refused():
    with pytest.raises(ResetNeeded, match="before the first reset"):
        GridWorldVector(2).step([0, 0])


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0], r"shape \(1,\).*pass 2 integers"),
        ([[0, 1]], r"shape \(1, 2\)"),
        ([0.0, 1.0], "dtype float64"),
        (["up", "up"], "dtype <U2"),
        ([0, 4], "Action 4 of environment 1 is out of range; actions run from 0 to 3"),
        ([-1, 0], "Action -1 of environment 0"),
    ],
)
def test_bad_actions_are_refused(actions, message):
    env = GridWorldVector(2)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match=message):
        env.step(actions)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros((2, 3)), r"shape \(2, 3\).*\(2, 2\)"),
        (np.full((2, 2), 1.5), r"leaves \[-1, 1\]"),
        (np.full((2, 2), np.nan), r"leaves \[-1, 1\]"),
        ([["a", "b"], ["c", "d"]], "dtype <U1"),
    ],
)
def test_bad_continuous_actions_are_refused(actions, message):
    env = CrawlerContinuousVector(2)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match=message):
        env.step(actions)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, "num_envs is 0"),
        ({"max_episode_steps": 0}, "max_episode_steps is 0"),
        ({"autoreset_mode": "Disabled"}, "autoreset_mode is 'Disabled'; choose one of NextStep"),
        ({"autoreset_mode": AutoresetMode.DISABLED}, "choose one of NextStep, SameStep"),
        ({"render_mode": "human"}, "render_mode is 'human'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        GridWorldVector(**({"num_envs": 2} | arguments))


def test_a_list_of_seeds_is_refused():
    with pytest.raises(TypeError, match="pass one integer"):
        GridWorldVector(2).reset(seed=[1, 2])


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_each_copy_is_rendered_as_the_single_environment(env_id, mode):
    vector, single = make_vec(env_id, 2, render_mode=mode), gym.make(env_id, render_mode=mode)
    vector.reset(seed=0)
    single.reset(seed=0)
    pictures = vector.render()
    assert len(pictures) == 2
    np.testing.assert_array_equal(pictures[0], single.render())
    assert GridWorldVector(1).render() is None


def test_the_single_and_vector_arguments_agree():
    assert GridWorldVector(1, noise=0.3, living_reward=-1.0).mdp.R.tolist() == (
        GridWorld(noise=0.3, living_reward=-1.0).mdp.R.tolist()
    )
