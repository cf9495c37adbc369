"""The arrays of a finite MDP: views, sampling tables, construction errors."""

import gymnasium as gym
import numpy as np
import pytest

from envs.mdp import TabularMDP, from_toy_text


def newest(name):
    """The newest registered version; it differs between releases of Gymnasium."""
    return max(env_id for env_id in gym.registry if env_id.startswith(f"{name}-v"))


def arrays(**changes):
    """Two states, one action: 0 goes to 1 or ends with 1/2 each; 1 stays."""
    given = {
        "next_states": np.array([[[1, 0]], [[1, 1]]]),
        "probabilities": np.array([[[0.5, 0.5]], [[1.0, 0.0]]]),
        "rewards": np.array([[[2.0, 4.0]], [[0.0, 9.0]]]),
        "terminations": np.array([[[False, True]], [[False, False]]]),
        "start": np.array([1.0, 0.0]),
    }
    return given | changes


def test_dense_views_weigh_outcomes_by_their_probability():
    mdp = TabularMDP(**arrays())
    assert (mdp.n_states, mdp.n_actions) == (2, 1)
    # R(0) = 0.5·2 + 0.5·4; padding (probability 0, reward 9) adds nothing.
    np.testing.assert_array_equal(mdp.R, [[3.0], [0.0]])
    np.testing.assert_array_equal(mdp.P, [[[0.5, 0.5]], [[0.0, 1.0]]])


def test_continuation_leaves_terminating_outcomes_out():
    mdp = TabularMDP(**arrays())
    np.testing.assert_array_equal(mdp.continuation.toarray(), [[0.0, 0.5], [0.0, 1.0]])


def test_two_outcomes_with_the_same_next_state_add_up():
    mdp = TabularMDP(**arrays(next_states=np.array([[[1, 1]], [[1, 1]]])))
    np.testing.assert_array_equal(mdp.P[0, 0], [0.0, 1.0])


def test_cumulative_never_selects_padding_or_an_impossible_outcome():
    mdp = TabularMDP(
        **arrays(
            next_states=np.zeros((2, 1, 4), int),
            probabilities=np.array([[[0.0, 0.3, 0.7, 0.0]], [[0.1, 0.0, 0.9 - 1e-9, 0.0]]]),
            rewards=np.zeros((2, 1, 4)),
            terminations=np.zeros((2, 1, 4), bool),
        )
    )
    largest_draw = np.nextafter(1.0, 0.0)
    for draw, outcomes in ((0.0, [1, 0]), (0.3, [2, 2]), (largest_draw, [2, 2])):
        chosen = (draw >= mdp.cumulative[:, 0]).sum(axis=-1)
        np.testing.assert_array_equal(chosen, outcomes)


def test_arrays_are_copied_and_read_only():
    given = arrays()
    mdp = TabularMDP(**given)
    given["rewards"][0, 0, 0] = 100.0
    assert mdp.rewards[0, 0, 0] == 2.0
    with pytest.raises(ValueError, match="read-only"):
        mdp.rewards[0, 0, 0] = 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"next_states": np.zeros((2, 2), int)}, r"next_states has shape \(2, 2\)"),
        ({"next_states": np.zeros((0, 1, 2), int)}, "at least one state"),
        ({"rewards": np.zeros((2, 1, 3))}, r"rewards has shape \(2, 1, 3\).*\(2, 1, 2\)"),
        ({"start": np.array([1.0])}, r"start has shape \(1,\); it must be \(2,\)"),
        ({"next_states": np.array([[[1, 0]], [[2, 1]]])}, r"next_states\[1, 0, 0\] is 2"),
        ({"next_states": np.array([[[1, 0]], [[1, -1]]])}, r"next_states\[1, 0, 1\] is -1"),
        ({"next_states": np.array([[[1.0, 0.5]], [[1, 1]]])}, "next_states has dtype float64"),
        ({"rewards": np.array([[[2.0, np.nan]], [[0.0, 0.0]]])}, r"rewards\[0, 0, 1\] is nan"),
        ({"rewards": np.array([[[2.0, 1.0]], [[0.0, np.inf]]])}, r"rewards\[1, 0, 1\] is inf"),
        (
            {"probabilities": np.array([[[0.5, 0.5]], [[0.9, 0.0]]])},
            r"probabilities\[1, 0\] sums to 0.9",
        ),
        (
            {"probabilities": np.array([[[1.5, -0.5]], [[1.0, 0.0]]])},
            r"probabilities\[0, 0, 1\] is -0.5",
        ),
        (
            {"probabilities": np.array([[[np.nan, 1.0]], [[1.0, 0.0]]])},
            r"probabilities\[0, 0, 0\] is nan",
        ),
        ({"start": np.array([0.5, 0.4])}, "start sums to 0.9"),
    ],
)
def test_construction_refuses_and_says_where(changes, message):
    with pytest.raises(ValueError, match=message):
        TabularMDP(**arrays(**changes))


@pytest.mark.parametrize(
    ("name", "shape"),
    [("FrozenLake", (16, 4)), ("Taxi", (500, 6)), ("CliffWalking", (48, 4))],
)
def test_toy_text_tables_are_read_entry_by_entry(name, shape):
    env = gym.make(newest(name))
    mdp = from_toy_text(env)
    assert (mdp.n_states, mdp.n_actions) == shape
    table = env.unwrapped.P
    for s, a in np.ndindex(*shape):
        expected = np.zeros(mdp.n_states)
        for probability, next_state, _, _ in table[s][a]:
            expected[next_state] += probability
        np.testing.assert_array_equal(mdp.P[s, a], expected)
        assert mdp.R[s, a] == pytest.approx(sum(p * r for p, _, r, _ in table[s][a]), abs=1e-12)
        ending = sum(p for p, _, _, ended in table[s][a] if ended)
        assert 1.0 - mdp.continuation[[s * shape[1] + a]].sum() == pytest.approx(ending, abs=1e-12)


def test_an_environment_without_a_table_is_refused():
    with pytest.raises(TypeError, match="no attributes P"):
        from_toy_text(gym.make("CartPole-v1"))
