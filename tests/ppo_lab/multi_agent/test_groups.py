"""Groups of agents with a policy each, which learn in the same games."""

import time
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.multi_agent import GroupsPPO, make_parallel_vec_env
from tests.ppo_lab.multi_agent.games import Scripted, SideBySide

SETTINGS: dict[str, Any] = {"n_steps": 32, "batch_size": 64, "n_epochs": 1}
GROUPS = {"poles": ["agent_0", "agent_1"], "cars": ["agent_2"]}


def mixed() -> SideBySide:
    """Two poles, which fall at different times, and a car that has 40 steps."""
    car = partial(gym.make, "Pendulum-v1", max_episode_steps=40)
    return SideBySide([*[partial(gym.make, "CartPole-v1")] * 2, car])


def groups_of(seed: int = 0, **how: Any) -> GroupsPPO:
    policies = dict.fromkeys(GROUPS, SETTINGS)
    return GroupsPPO(mixed, 2, policies=policies, groups=GROUPS, seed=seed, **how)


def weights(model: Any) -> Any:
    return np.concatenate([p.detach().numpy().ravel() for p in model.policy.parameters()])


def test_one_group_of_all_agents_is_specppo_bit_for_bit() -> None:
    poles = partial(SideBySide, [partial(gym.make, "CartPole-v1")] * 3)
    alone = SpecPPO("MlpPolicy", make_parallel_vec_env(poles, 2), seed=3, **SETTINGS)
    alone.learn(3 * 32 * 6)
    together = GroupsPPO(poles, 2, policies={"agent": SETTINGS}, seed=3)
    assert together.groups == {"agent": ["agent_0", "agent_1", "agent_2"]}
    together.learn(3 * 32 * 6)
    np.testing.assert_array_equal(weights(together.models["agent"]), weights(alone))


@pytest.mark.parametrize("critic", ["own", "central"])
def test_groups_of_different_spaces_learn_together_and_repeat(critic: Any, tmp_path: Any) -> None:
    again = groups_of(critic=critic).learn(2 * 32 * 6)
    first = groups_of(critic=critic)
    before = {name: weights(model) for name, model in first.models.items()}
    first.learn(2 * 32 * 6)
    for name, model in first.models.items():
        assert model.num_timesteps == 2 * 32 * 2 * len(GROUPS[name])
        assert not np.array_equal(before[name], weights(model))
        np.testing.assert_array_equal(weights(model), weights(again.models[name]))
    sampled = first.models["poles"].rollout_buffer.sampled
    assert sampled is not None
    assert not sampled.all()
    scores = first.evaluate(1, seed=1)
    assert {name: len(of) for name, of in scores.items()} == dict.fromkeys(
        ["agent_0", "agent_1", "agent_2", "team"], 1
    )
    np.testing.assert_allclose(
        scores["team"], np.mean([scores[f"agent_{i}"] for i in range(3)], axis=0)
    )
    first.save(tmp_path / "kept")
    loaded = GroupsPPO.load(tmp_path / "kept", mixed, 2)
    for name, of in loaded.evaluate(1, seed=1).items():
        np.testing.assert_array_equal(of, scores[name])
    loaded.learn(32 * 6, reset_num_timesteps=False)
    assert loaded.models["cars"].num_timesteps == 3 * 32 * 2


def test_a_group_sees_its_own_columns_and_waits_for_the_game() -> None:
    seen: dict[str, Any] = {}

    def note(locals_: Any, globals_: Any) -> bool:
        env = locals_["self"].env
        seen.setdefault(env.agents[0], []).append((env.sampled.copy(), locals_["dones"].copy()))
        return True

    model = groups_of()
    model.learn(4 * 32 * 6, callback=dict.fromkeys(GROUPS, note))
    poles, cars = seen["agent_0"], seen["agent_2"]
    assert len(poles) == len(cars) == 4 * 32
    ends = np.cumsum(
        [[p[1][0], p[1][1], c[1][0]] for p, c in zip(poles, cars, strict=True)], axis=0
    )
    # Every agent has one episode a game: nobody begins the next before all have ended this one.
    assert (ends.max(axis=1) - ends.min(axis=1) == 1).any()
    assert (ends.max(axis=1) - ends.min(axis=1) <= 1).all()
    assert ends[-1].min() >= 2
    for step in range(1, len(poles)):
        waits = ends[step - 1, 0] > ends[step - 1].min()
        assert poles[step][0][0] != waits


def test_a_callback_that_stops_one_group_stops_all_and_an_error_is_raised() -> None:
    model = groups_of()
    model.learn(10_000, callback={"cars": lambda locals_, globals_: False})
    assert model.models["cars"].num_timesteps == 2
    model.learn(32 * 6)
    assert model.models["poles"].num_timesteps == 128

    def broken(locals_: Any, globals_: Any) -> bool:
        raise RuntimeError("broken here")

    began = time.perf_counter()
    with pytest.raises(RuntimeError, match="broken here"):
        model.learn(10_000, callback={"poles": broken})
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"policies": {"poles": {}}, "groups": GROUPS}, "a policy for each group"),
        ({"policies": {"agent": {}}}, "different observation spaces"),
        ({"policies": {"pole": {}}}, "group 'pole' has 0 agents"),
        (
            {"policies": {"a": {}, "b": {}}, "groups": {"a": ["agent_0"], "b": ["agent_0"]}},
            "is in [02] groups: expected each",
        ),
        (
            {"policies": {"poles": {"n_steps": 64}, "cars": {"n_steps": 32, "batch_size": 32}}},
            "n_steps .* expected one number for all",
        ),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(how: Any, said: str) -> None:
    if set(how["policies"]) == set(GROUPS):
        how = {"groups": GROUPS, **how}
    with pytest.raises(ArgumentError, match=said):
        GroupsPPO(mixed, 1, **how)


def test_a_group_that_is_gone_for_whole_rollouts_learns_nothing_in_them() -> None:
    stays = [("b", {"b": 1.0}, "", "")] * 40
    steps = [("b", {"a": 1.0, "b": 1.0}, "a", ""), *stays, ("", {"b": 1.0}, "b", "")]
    model = GroupsPPO(
        lambda: Scripted(steps),
        policies={name: {**SETTINGS, "n_steps": 16, "batch_size": 16} for name in "ab"},
        seed=0,
    )
    model.learn(16 * 2)
    before = weights(model.models["a"])
    model.learn(16 * 2, reset_num_timesteps=False)
    np.testing.assert_array_equal(weights(model.models["a"]), before)
    model.learn(16 * 2, reset_num_timesteps=False)
    assert not np.array_equal(weights(model.models["a"]), before)


def test_the_environment_of_one_group_is_not_stepped_by_itself(tmp_path: Any) -> None:
    model = groups_of()
    env = model.envs["cars"]
    env.reset()
    with pytest.raises(ArgumentError, match="needs the actions of all"):
        env.step(np.zeros((2, 1), np.float32))
    with pytest.raises(ArgumentError, match=r"holds no groups\.json"):
        GroupsPPO.load(tmp_path, mixed)
