"""The crawler's geometry (Spec 11.4), its finite MDP, and the continuous form of it."""

import math

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from hypothesis import given
from hypothesis import strategies as st

from envs.crawler import Crawler
from envs.crawler_continuous import LARGEST_TURN, CrawlerContinuous
from envs.crawler_geometry import (
    ARM_RANGE,
    HAND_RANGE,
    STEPS,
    Move,
    bucket_angles,
    crawler_mdp,
    crawler_state,
    drag,
    tip_position,
)
from envs.planning import one_hot, optimal_return, policy_return, random_return, value_iteration
from envs.registration import register_environments

register_environments()

arms, hands = st.floats(*ARM_RANGE), st.floats(*HAND_RANGE)


def test_the_numbers_of_the_spec():
    mdp = crawler_mdp()
    greedy = one_hot(value_iteration(mdp, gamma=0.9).policy, 4)
    assert optimal_return(mdp, 100) == pytest.approx(370.979, abs=5e-4)
    assert random_return(mdp, 100) == pytest.approx(6.055, abs=5e-4)
    assert policy_return(mdp, greedy, 100) == pytest.approx(320.078, abs=5e-4)


@pytest.mark.parametrize(
    ("arm", "hand", "x", "y"),
    [
        (0.0, 0.0, 80 + 60 + 40, 40),
        (0.0, -math.pi / 2, 80 + 60, 0),  # the hand hangs straight down from 40 high
        (-math.pi / 6, -math.pi / 3, 80 + 30 * math.sqrt(3), 40 - 30 - 40),
    ],
)
def test_the_tip_is_where_the_lengths_put_it(arm, hand, x, y):
    np.testing.assert_allclose(tip_position(arm, hand), (x, y), atol=1e-12)


def test_in_contact_the_body_moves_by_the_decrease_of_the_distance():
    # With a = −π/6 the tip is at (80 + 30√3, −30) for h = −π/3 and at (60 + 30√3, 10 − 20√3) for
    # h = −π/2, both below the ground line.
    before = math.hypot(80 + 30 * math.sqrt(3), -30)
    after = math.hypot(60 + 30 * math.sqrt(3), 10 - 20 * math.sqrt(3))
    moved = drag(-math.pi / 6, -math.pi / 3, -math.pi / 6, -math.pi / 2)
    assert moved == pytest.approx(before - after, rel=1e-12)


def test_lifting_off_counts_only_the_part_on_the_ground():
    # From tip (80 + 30√3, −30) to tip (40 + 30√3, 10): three quarters of the way is on the ground,
    # which is left at x = 80 + 30√3 − ¾·40.
    left_at = 80 + 30 * math.sqrt(3) - 30
    expected = math.hypot(80 + 30 * math.sqrt(3), 30) - left_at
    moved = drag(-math.pi / 6, -math.pi / 3, -math.pi / 6, -5 * math.pi / 6)
    assert moved == pytest.approx(expected, rel=1e-12)


@given(arms, hands, arms, hands)
def test_the_way_back_undoes_the_way_there(arm, hand, next_arm, next_hand):
    there = drag(arm, hand, next_arm, next_hand)
    assert drag(next_arm, next_hand, arm, hand) == pytest.approx(-there, abs=1e-9)


@given(arms, hands, arms, hands)
def test_in_the_air_nothing_moves(arm, hand, next_arm, next_hand):
    in_air = tip_position(arm, hand)[1] >= 0 and tip_position(next_arm, next_hand)[1] >= 0
    if in_air:
        assert drag(arm, hand, next_arm, next_hand) == 0.0
    else:
        assert abs(drag(arm, hand, next_arm, next_hand)) <= 2 * (60 + 40)  # within the arm's reach


def test_buckets_include_both_ends_and_the_start_is_in_the_middle():
    angles = bucket_angles()
    assert angles.shape == (117, 2)
    np.testing.assert_allclose(angles[0], [-math.pi / 6, -5 * math.pi / 6])
    np.testing.assert_allclose(angles[-1], [math.pi / 6, 0.0], atol=1e-15)
    assert crawler_mdp().start[crawler_state(4, 6)] == 1.0
    np.testing.assert_allclose(angles[crawler_state(4, 6)], [0.0, -5 * math.pi / 12], atol=1e-15)


def test_a_move_beyond_the_last_bucket_stays_and_pays_nothing():
    mdp = crawler_mdp()
    stays = mdp.next_states[:, :, 0] == np.arange(117)[:, None]
    assert stays.sum() == 2 * 13 + 2 * 9  # both ends of both joints
    assert stays[crawler_state(8, 3), Move.ARM_UP]
    assert stays[crawler_state(2, 0), Move.HAND_DOWN]
    assert (mdp.R[stays] == 0.0).all()


def test_a_move_changes_one_joint_by_one_bucket():
    mdp = crawler_mdp()
    assert mdp.next_states[crawler_state(4, 6), Move.ARM_UP, 0] == crawler_state(5, 6)
    assert mdp.next_states[crawler_state(4, 6), Move.ARM_DOWN, 0] == crawler_state(3, 6)
    assert mdp.next_states[crawler_state(4, 6), Move.HAND_UP, 0] == crawler_state(4, 7)
    assert mdp.next_states[crawler_state(4, 6), Move.HAND_DOWN, 0] == crawler_state(4, 5)


@pytest.mark.parametrize("seed", range(5))
def test_the_continuous_crawler_contains_the_finite_one(seed):
    finite, continuous = Crawler("coordinates"), CrawlerContinuous()
    first = finite.reset(seed=seed)[0]
    np.testing.assert_allclose(continuous.reset(seed=seed)[0], first, atol=1e-6)
    for move in np.random.default_rng(seed).integers(4, size=200):
        expected = finite.step(move)
        found = continuous.step(STEPS[move].astype(np.float32))
        np.testing.assert_allclose(found[0], expected[0], atol=1e-6)
        # A tip that just touches may count as lifted after rounding; the distance barely differs.
        assert found[1] == pytest.approx(expected[1], abs=1e-6)


def test_a_joint_stops_at_the_end_of_its_range():
    env = CrawlerContinuous()
    env.reset(seed=0)
    for _ in range(40):
        observation, *_ = env.step(np.ones(2, np.float32))
        assert env.observation_space.contains(observation)
    np.testing.assert_allclose(env.angles, [ARM_RANGE[1], HAND_RANGE[1]], atol=1e-15)


def test_the_largest_turn_is_one_bucket():
    np.testing.assert_allclose(LARGEST_TURN, [math.pi / 24, 5 * math.pi / 72], rtol=1e-12)


def test_the_episodes_distance_is_the_sum_of_rewards():
    env = Crawler()
    env.reset(seed=0)
    env.action_space.seed(0)
    rewards = [env.step(env.action_space.sample())[1] for _ in range(50)]
    assert env.episode_return == pytest.approx(sum(rewards))
    env.reset()
    assert env.episode_return == 0.0


@pytest.mark.parametrize(
    "action", [np.zeros(3), np.array([0.0, 1.01]), np.array([0.0, np.nan]), 0, "up", None]
)
def test_a_bad_continuous_action_is_refused(action):
    env = CrawlerContinuous()
    env.reset(seed=0)
    with pytest.raises(InvalidAction):
        env.step(action)


def test_continuous_step_before_reset_is_refused():
    with pytest.raises(ResetNeeded):
        CrawlerContinuous().step(np.zeros(2))


@pytest.mark.parametrize("name", ["Crawler", "CrawlerContinuous"])
def test_a_hundred_steps_truncate_and_never_terminate(name):
    env = gym.make(f"ppo_lab/{name}-v0")
    env.reset(seed=0)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(100)]
    assert ends == [(False, False)] * 99 + [(False, True)]
