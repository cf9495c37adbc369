"""Which environments are taken for their tables, and which are not because they might differ."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit, TransformReward

import ppo_lab
from envs.finite import finite_task
from envs.gridworld import GridWorld
from envs.planning import policy_outcome, policy_return, random_policy
from envs.tabular import TabularEnv

assert ppo_lab.__version__  # importing it registers the environments

GRID = "ppo_lab/NoisyGridWorld-v0"
OURS = ["GridWorld", "NoisyGridWorld", "CliffGrid", "FourRooms", "Crawler"]


class Dear(GridWorld):
    """Pays one more than its tables say."""

    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, reward + 1.0, *rest


class Told(GridWorld):
    """Says which actions are possible."""

    def action_masks(self) -> Any:
        return np.ones(4, bool)


class Blurred(TabularEnv):
    """Another observation of a state each time."""

    def _observation(self) -> Any:
        return int(self.np_random.integers(self.mdp.n_states))


@pytest.mark.parametrize("env_id", [*(f"ppo_lab/{name}-v0" for name in OURS), "FrozenLake-v1"])
def test_plain_environments_are_their_tables(env_id: str) -> None:
    env = gym.make(env_id)
    task = finite_task(env)
    assert task is not None
    assert env.spec is not None
    assert task.horizon == env.spec.max_episode_steps
    assert len(task.observations()) == task.mdp.n_states


@pytest.mark.parametrize("observation", ["index", "coordinates", "image"])
def test_observations_of_all_states_are_those_that_stepping_shows(observation: str) -> None:
    env = gym.make(GRID, observation=observation)
    task = finite_task(env)
    assert task is not None
    shown, base = task.observations(), env.unwrapped
    assert isinstance(base, TabularEnv)
    env.action_space.seed(0)
    seen, _ = env.reset(seed=0)
    for _ in range(30):
        np.testing.assert_array_equal(seen, shown[base.state])
        seen, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            seen, _ = env.reset()


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda env: TransformReward(env, lambda reward: 2 * reward),
        lambda env: gym.wrappers.TransformObservation(
            env, lambda seen: seen, env.observation_space
        ),
        lambda env: gym.wrappers.StickyAction(env, 0.5),
    ],
)
def test_in_any_other_wrapper_an_environment_may_differ(wrapped: Any) -> None:
    assert finite_task(wrapped(gym.make(GRID))) is None


@pytest.mark.parametrize("kind", [Dear, Told])
def test_a_derived_rule_or_a_mask_is_another_environment(kind: type) -> None:
    assert finite_task(TimeLimit(GridWorld(), 50)) is not None
    assert finite_task(TimeLimit(kind(), 50)) is None


def test_another_observation_of_the_states_is_another_environment() -> None:
    mdp = GridWorld().mdp
    assert finite_task(TimeLimit(TabularEnv(mdp), 50)) is not None
    assert finite_task(TimeLimit(Blurred(mdp), 50)) is None


@pytest.mark.parametrize("name", ["step", "reset", "_observation", "observations"])
def test_a_patched_method_is_seen_on_the_object_and_on_the_class(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = gym.make(GRID)
    setattr(env.unwrapped, name, getattr(env.unwrapped, name))
    assert finite_task(env) is None
    with monkeypatch.context() as patched:
        patched.setattr(TabularEnv, name, lambda *_args, **_kwargs: None)
        assert finite_task(gym.make(GRID)) is None
    assert finite_task(gym.make(GRID)) is not None


def test_a_patched_wrapper_or_toy_text_environment_is_seen() -> None:
    lake = gym.make("FrozenLake-v1")
    assert finite_task(lake) is not None
    lake.unwrapped.step = lake.unwrapped.step  # type: ignore[method-assign]
    assert finite_task(lake) is None
    grid = gym.make(GRID)
    grid.step = grid.step  # type: ignore[method-assign]
    assert finite_task(grid) is None


@pytest.mark.parametrize(
    ("name", "space"),
    [
        ("action_space", spaces.Discrete(4, start=1)),
        ("action_space", spaces.Discrete(5)),
        ("observation_space", spaces.Box(0.0, 20.0, ())),
    ],
)
def test_spaces_of_other_states_or_actions_are_another_environment(name: str, space: Any) -> None:
    env = GridWorld()
    setattr(env, name, space)
    assert finite_task(TimeLimit(env, 50)) is None


def test_without_a_time_limit_there_is_no_task() -> None:
    assert finite_task(GridWorld()) is None


@pytest.mark.parametrize("limits", [(30, 50), (50, 30), (40, 50, 30)])
def test_the_shortest_of_several_time_limits_is_the_horizon(limits: tuple[int, ...]) -> None:
    env: gym.Env[Any, Any] = GridWorld()
    for limit in limits:
        env = TimeLimit(env, limit)
    task = finite_task(env)
    assert task is not None
    assert task.horizon == 30


@pytest.mark.parametrize("env_id", ["CartPole-v1", "CliffWalking-v1", "Blackjack-v1"])
def test_what_has_no_tables_or_no_limit_is_none(env_id: str) -> None:
    assert finite_task(gym.make(env_id)) is None


def test_taxis_with_fickle_passengers_do_what_is_not_in_the_tables() -> None:
    assert finite_task(gym.make("Taxi-v4")) is not None
    assert finite_task(gym.make("Taxi-v4", fickle_passenger=True)) is None


def test_outcome_is_the_policys_return_and_the_length_that_counting_gives() -> None:
    mdp = GridWorld(noise=0.2).mdp
    policy = random_policy(mdp)
    expected, length = policy_outcome(mdp, policy, 40)
    assert expected == pytest.approx(policy_return(mdp, policy, 40), rel=1e-12)
    # The number of steps is the return where each step pays 1.
    alive, paid = mdp.start.copy(), 0.0
    step = (policy[:, :, np.newaxis] * mdp.probabilities * ~mdp.terminations).ravel()
    for _ in range(40):
        paid += alive.sum()
        weights = np.repeat(alive, mdp.n_actions * mdp.next_states.shape[2]) * step
        alive = np.bincount(mdp.next_states.ravel(), weights, mdp.n_states)
    assert length == pytest.approx(paid, rel=1e-12)
