"""What SB3 asks of a vector environment: every one of ours, and SB3's own as the oracle."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.wrappers import ClipReward, OrderEnforcing
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecMonitor, VecNormalize

from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env import make_native_vec_env
from ppo_lab.vec_env.compiled import CompiledVecEnv
from tests.ppo_lab.vec_env.makers import (
    dummy,
    over_arrays,
    over_disabled,
    over_games,
    over_next_step,
    over_pool,
    over_sync,
    pooled,
)
from tests.ppo_lab.vec_env.steps_alike import assert_same_step, random_actions

K = 3
LIMIT = 7

Maker = Callable[..., VecEnv]
APART = (dummy, over_sync, over_next_step, over_disabled, over_games, pooled)
"""Whose environments are apart, so that one may be changed without the others."""


class Case(NamedTuple):
    """An implementation with an environment that it offers."""

    maker: Maker
    env_id: str
    arguments: dict[str, Any]

    def make(self, n_envs: int = K, seed: int | None = 3, **kwargs: Any) -> VecEnv:
        """K copies, of episodes of at most ``LIMIT`` steps."""
        kwargs = {"max_episode_steps": LIMIT, **self.arguments, **kwargs}
        return self.maker(self.env_id, n_envs, seed, **kwargs)

    def oracle(self, n_envs: int = K, seed: int | None = 3, **kwargs: Any) -> VecEnv:
        """The same of SB3's ``DummyVecEnv``."""
        return self._replace(maker=dummy).make(n_envs, seed, **kwargs)

    @property
    def name(self) -> str:
        """What pytest calls it."""
        observation = self.arguments.get("observation", "")
        return f"{self.maker.__name__}-{self.env_id.removeprefix('ppo_lab/')}{observation}"


GRID, CRAWLER = "ppo_lab/GridWorld-v0", "ppo_lab/CrawlerContinuous-v0"
INDEX, COORDINATES, PICTURES = ({"observation": o} for o in ("index", "coordinates", "image"))
GRIDS = [
    Case(maker, GRID, INDEX) for maker in (dummy, over_sync, pooled, over_arrays, CompiledVecEnv)
]
BOXES = [
    Case(over_sync, "Pendulum-v1", {}),
    Case(pooled, "Pendulum-v1", {}),
    Case(over_arrays, GRID, {**COORDINATES, "living_reward": -0.1}),
    Case(over_arrays, CRAWLER, {}),
    *(Case(CompiledVecEnv, env_id, {}) for env_id in ("CartPole-v1", "Pendulum-v1", CRAWLER)),
    Case(CompiledVecEnv, "ppo_lab/Crawler-v0", COORDINATES),
]
CASES = [
    *GRIDS,
    *BOXES,
    Case(over_sync, "Taxi-v4", {}),
    Case(over_next_step, "Pendulum-v1", {}),
    Case(over_disabled, "Taxi-v4", {}),
    *(Case(over_games, *of) for of in ((GRID, INDEX), ("Pendulum-v1", {}), ("CartPole-v1", {}))),
    Case(over_arrays, GRID, PICTURES),
    Case(over_arrays, "ppo_lab/Crawler-v0", {}),
    Case(CompiledVecEnv, "FrozenLake-v1", {}),
    Case(make_native_vec_env, GRID, {**INDEX, "living_reward": -0.1}),
    Case(make_native_vec_env, "Pendulum-v1", {}),
    Case(make_native_vec_env, CRAWLER, {"render_mode": "rgb_array"}),
]
POOLS = [Case(over_pool, env_id, {}) for env_id in ("CartPole-v1", "Pendulum-v1")]
"""Whose random numbers are EnvPool's: their numbers are compared in ``test_envpool``."""
CHANCE = [
    POOLS[0],
    Case(over_arrays, "ppo_lab/NoisyGridWorld-v0", {}),
    *(
        Case(maker, "CartPole-v1", {})
        for maker in (dummy, over_sync, pooled, over_games, CompiledVecEnv)
    ),
    Case(make_native_vec_env, "ppo_lab/NoisyGridWorld-v0", {}),
]
"""Whose seed matters; arrays have one generator for all copies, so no oracle but themselves."""


needs_envpool = pytest.mark.skipif(find_spec("envpool") is None, reason="envpool is missing")


def over(cases: list[Case]) -> pytest.MarkDecorator:
    marked = [
        pytest.param(case, marks=needs_envpool if case.maker is over_pool else ()) for case in cases
    ]
    return pytest.mark.parametrize("case", marked, ids=lambda case: case.name)


def walk(env: VecEnv, n_steps: int) -> list[Any]:
    """All that ``n_steps`` steps of the same random actions return."""
    rng = np.random.default_rng(0)
    return [env.step(random_actions(env.action_space, K, rng)) for _ in range(n_steps)]


def refusal(call: Callable[[], object]) -> str | None:
    """What the ArgumentError of a call says; None where it does what it is asked."""
    try:
        call()
    except ArgumentError as error:
        return str(error)
    return None


class TestVecEnvContract:
    """Run through by every vector environment."""

    @over(CASES)
    def test_every_step_is_dummy_vec_envs(self, case: Case) -> None:
        ours, theirs = case.make(), case.oracle()
        assert ours.num_envs == K
        assert ours.observation_space == theirs.observation_space
        assert ours.action_space == theirs.action_space
        rng, ended = np.random.default_rng(0), []
        for _ in range(2):  # the second reset in the middle of episodes
            np.testing.assert_array_equal(ours.reset(), theirs.reset())
            for _ in range(6 * LIMIT + 2):
                actions = random_actions(ours.action_space, K, rng)
                ended += assert_same_step(ours, theirs, actions)
        assert any(info["TimeLimit.truncated"] for info in ended)
        assert len(ended) >= 2 * 6 * K

    @over([*CASES, *POOLS])
    def test_arrays_have_the_shapes_and_types_of_the_spaces(self, case: Case) -> None:
        env = case.make()
        space, first = env.observation_space, env.reset()
        observations, rewards, dones, infos = walk(env, 1)[0]
        for batch in (first, observations):
            assert isinstance(batch, np.ndarray)
            assert (batch.shape, batch.dtype) == ((K, *space.shape), space.dtype)
            assert all(space.contains(row) for row in batch)
        assert (rewards.shape, rewards.dtype) == ((K,), np.float32)
        assert (dones.shape, dones.dtype) == ((K,), np.bool_)
        assert [info["TimeLimit.truncated"] for info in infos] == [False] * K

    @over([*CASES, *POOLS])
    def test_what_was_returned_is_never_changed_later(self, case: Case) -> None:
        env = case.make()
        kept = [env.reset()]
        for observations, rewards, dones, infos in walk(env, LIMIT + 1):
            kept += [observations, rewards, dones]
            kept += [i["terminal_observation"] for i in infos if "terminal_observation" in i]
        copies = [np.array(array) for array in kept]
        walk(env, 2 * LIMIT)
        env.reset()
        assert len(kept) >= 1 + 3 * (LIMIT + 1) + K
        for array, copy in zip(kept, copies, strict=True):
            np.testing.assert_array_equal(array, copy)

    @over([*CASES, *POOLS])
    def test_an_episode_that_ends_begins_anew_on_the_same_step(self, case: Case) -> None:
        env = case.make(max_episode_steps=1)
        env.reset()
        assert [type(info) for info in env.reset_infos] == [dict] * K
        for _, rewards, dones, infos in walk(env, 2):
            assert dones.all()
            for reward, info in zip(rewards, infos, strict=True):
                assert np.shape(info["terminal_observation"]) == env.observation_space.shape
                assert info["episode"]["r"] == pytest.approx(float(reward), abs=1e-6)
                assert info["episode"]["l"] == 1
                assert [*map(type, info["episode"].values())] == [float, int, float]
            assert [type(info) for info in env.reset_infos] == [dict] * K

    @over(GRIDS)
    def test_a_termination_on_the_last_step_is_no_truncation(self, case: Case) -> None:
        env = case.make(n_envs=2, max_episode_steps=6)
        env.reset()
        for action in (0, 0, 1, 1, 1):
            env.step(np.array([action, 2]))
        _, rewards, dones, infos = env.step(np.array([1, 2]))
        assert rewards.tolist() == [1.0, 0.0]
        assert dones.tolist() == [True, True]
        # Both ran out of time, but the first left by the exit: nothing follows to bootstrap from.
        assert [info["TimeLimit.truncated"] for info in infos] == [False, True]
        assert [info["episode"]["r"] for info in infos] == [1.0, 0.0]
        assert [info["episode"]["l"] for info in infos] == [6, 6]

    @over(CHANCE)
    def test_a_seed_repeats_all_numbers_and_is_used_once(self, case: Case) -> None:
        def observations(env: VecEnv) -> Any:
            return np.stack([env.reset(), *(step[0] for step in walk(env, 20))])

        env = case.make(seed=4)
        first, going_on = observations(env), observations(env)
        assert (first != going_on).any()
        assert env.seed(4) == [4, 5, 6]
        np.testing.assert_array_equal(observations(env), first)
        assert (observations(case.make(seed=5)) != first).any()
        unseeded = [observations(case.make(seed=None)) for _ in range(2)]
        assert (unseeded[0] != unseeded[1]).any()

    @over([case for case in CHANCE if case.env_id == "CartPole-v1"])
    def test_reset_options_are_used_once_or_refused(self, case: Case) -> None:
        env = case.make()
        env.set_options({"low": -0.001, "high": 0.001})
        if case.maker in (CompiledVecEnv, over_pool):
            with pytest.raises(ArgumentError, match="use SB3's make_vec_env"):
                env.reset()
        else:
            assert np.abs(env.reset()).max() <= 0.001 < np.abs(env.reset()).max()

    @over([*CASES, *POOLS])
    def test_step_is_step_async_and_step_wait(self, case: Case) -> None:
        whole, halves = case.make(), case.make()
        np.testing.assert_array_equal(whole.reset(), halves.reset())
        actions = random_actions(whole.action_space, K, np.random.default_rng(1))
        halves.step_async(actions)
        for array, other in zip(whole.step(actions)[:3], halves.step_wait()[:3], strict=True):
            np.testing.assert_array_equal(array, other)

    @over(CASES)
    def test_actions_at_the_bounds_are_taken(self, case: Case) -> None:
        space, ours, theirs = case.make().action_space, case.make(), case.oracle()
        ours.reset(), theirs.reset()
        bounds = (0, space.n - 1) if isinstance(space, spaces.Discrete) else (space.low, space.high)
        for bound in bounds:
            assert_same_step(ours, theirs, np.stack([np.asarray(bound, space.dtype)] * K))

    @over([*CASES, *POOLS])
    def test_a_step_before_the_first_reset_is_refused(self, case: Case) -> None:
        env = case.make()
        with pytest.raises((ResetNeeded, RuntimeError), match="reset"):
            walk(env, 1)

    @over([*CASES, *POOLS])
    def test_without_a_monitor_infos_hold_no_statistics(self, case: Case) -> None:
        env = case.make(monitor=False, max_episode_steps=1)
        assert env.env_is_wrapped(Monitor) == [False] * K
        env.reset()
        assert not any("episode" in info for info in walk(env, 1)[0][3])

    # ------------------------------------------------------------------ the copies

    @over([*CASES, *POOLS])
    @pytest.mark.parametrize("indices", [None, 1, [2, 0], []])
    def test_attributes_are_read_from_the_chosen_copies(self, case: Case, indices: Any) -> None:
        ours, theirs = case.make(), case.oracle(render_mode=case.arguments.get("render_mode"))
        for name in ("observation_space", "action_space", "render_mode"):
            assert ours.get_attr(name, indices) == theirs.get_attr(name, indices)
        assert ours.has_attr("metadata")
        assert not ours.has_attr("nonsense")
        with pytest.raises(AttributeError, match="nonsense"):
            ours.get_attr("nonsense", indices=0)

    @over([*CASES, *POOLS])
    def test_copies_are_counted_from_either_end_and_no_further(self, case: Case) -> None:
        env = case.make()
        assert env.get_attr("action_space", [-1, 0]) == [env.action_space] * 2
        for index in (K, -K - 1):
            with pytest.raises(IndexError):
                env.get_attr("action_space", index)
            with pytest.raises(IndexError):
                env.env_is_wrapped(Monitor, [index])
            for change in (env.set_attr, env.env_method):
                with pytest.raises(IndexError):
                    change("__str__", *([str] * (change == env.set_attr)), indices=index)

    @over([*CASES, *POOLS])
    def test_an_attribute_is_set_as_dummy_vec_env_does_or_refused(self, case: Case) -> None:
        env = case.make()
        for value, indices, expected in ((5, None, [5, 5, 5]), (6, [1], [5, 6, 5])):
            said = refusal(lambda v=value, i=indices: env.set_attr("note", v, i))
            if said is None:
                assert env.get_attr("note") == expected
            else:
                assert case.maker not in APART
                assert "use SB3's DummyVecEnv" in said
                assert not env.has_attr("note") or env.get_attr("note") == [5, 5, 5]

    @over([*CASES, *POOLS])
    def test_a_method_is_called_on_the_chosen_copies_or_refused(self, case: Case) -> None:
        env, texts = case.make(), []
        said = refusal(lambda: texts.extend(env.env_method("__str__", indices=[0, 2])))
        if said is None:
            assert [type(text) for text in texts] == [str] * 2
        else:
            assert case.maker not in APART
            assert "use SB3's DummyVecEnv" in said
        assert [type(text) for text in env.env_method("__str__", indices=[0, 1, -1])] == [str] * K
        with pytest.raises(AttributeError, match="nonsense"):
            env.env_method("nonsense")

    @over([*CASES, *POOLS])
    def test_it_says_in_which_wrappers_the_copies_are(self, case: Case) -> None:
        env = case.make()
        assert env.env_is_wrapped(Monitor) == [True] * K
        assert env.env_is_wrapped(Monitor, indices=[0, 2]) == [True] * 2
        assert env.env_is_wrapped(ClipReward, indices=1) == [False]
        if case.maker not in (over_arrays, over_pool) and env.get_attr("render_mode") == [None] * K:
            assert env.env_is_wrapped(OrderEnforcing) == [True] * K

    @over(GRIDS)
    def test_pictures_are_those_of_the_single_environments_or_refused(self, case: Case) -> None:
        if case.maker is CompiledVecEnv:
            with pytest.raises(ArgumentError, match=r"render_mode='rgb_array'.*SB3's"):
                case.make(render_mode="rgb_array")
            return
        env = case.make(n_envs=4, render_mode="rgb_array")
        single = gym.make(case.env_id, render_mode="rgb_array")
        env.reset(), single.reset()
        assert env.render_mode == "rgb_array"
        picture: Any = single.render()
        images = env.get_images()
        assert len(images) == 4
        assert all(np.array_equal(image, picture) for image in images)
        height, width, _ = picture.shape
        assert env.render().shape == (2 * height, 2 * width, 3)

    @over(
        [
            *(
                case
                for case in CASES
                if case.maker not in (dummy, pooled) and "render_mode" not in case.arguments
            ),
            *POOLS,
        ]
    )
    def test_without_a_render_mode_there_are_no_pictures(self, case: Case) -> None:
        env = case.make()
        assert env.render_mode is None
        assert env.get_images() == [None] * K

    @over([*CASES, *POOLS])
    def test_it_may_be_closed_twice(self, case: Case) -> None:
        env = case.make()
        env.reset()
        env.close()
        env.close()

    # ------------------------------------------------------------------ SB3 on top of it

    @over(CASES)
    def test_vec_normalize_sees_the_same_numbers(self, case: Case) -> None:
        is_flat = isinstance(case.make().observation_space, spaces.Box)
        ours, theirs = (VecNormalize(env, norm_obs=is_flat) for env in (case.make(), case.oracle()))
        np.testing.assert_array_equal(ours.reset(), theirs.reset())
        rng = np.random.default_rng(0)
        for _ in range(2 * LIMIT + 1):
            assert_same_step(ours, theirs, random_actions(ours.action_space, K, rng))
        assert ours.ret_rms.var == theirs.ret_rms.var

    @over(CASES)
    def test_vec_monitor_counts_every_episode_once(self, case: Case) -> None:
        ours, theirs = (VecMonitor(make(monitor=False)) for make in (case.make, case.oracle))
        np.testing.assert_array_equal(ours.reset(), theirs.reset())
        rng, ended = np.random.default_rng(0), []
        for _ in range(2 * LIMIT + 1):
            ended += assert_same_step(ours, theirs, random_actions(ours.action_space, K, rng))
        assert len(ended) >= 2 * K
        assert ours.episode_count == theirs.episode_count == len(ended)

    @over([*CASES, *POOLS])
    def test_vec_monitor_over_its_own_statistics_warns_as_over_a_monitor(self, case: Case) -> None:
        with pytest.warns(UserWarning, match="already wrapped with a `Monitor`"):
            VecMonitor(case.make())

    @over(BOXES)
    def test_vec_frame_stack_stacks_the_same_frames(self, case: Case) -> None:
        ours, theirs = VecFrameStack(case.make(), 3), VecFrameStack(case.oracle(), 3)
        np.testing.assert_array_equal(ours.reset(), theirs.reset())
        rng = np.random.default_rng(0)
        for _ in range(2 * LIMIT + 1):
            assert_same_step(ours, theirs, random_actions(ours.action_space, K, rng))

    @over([case for case in CASES if case.arguments != PICTURES])
    def test_training_on_it_repeats_training_on_dummy_vec_env(self, case: Case) -> None:
        def trained(env: VecEnv) -> Any:
            # PPO seeds the environments itself, with its own seed.
            settings: dict[str, Any] = {"n_steps": 32, "batch_size": 32, "n_epochs": 1}
            model = PPO("MlpPolicy", env, seed=2, device="cpu", **settings).learn(2 * 32 * K)
            return model.policy.state_dict(), [e["r"] for e in model.ep_info_buffer or ()]

        (actual, our_returns), (expected, returns) = trained(case.make()), trained(case.oracle())
        for name, tensor in expected.items():
            assert tensor.equal(actual[name]), name
        assert our_returns == pytest.approx(returns, abs=2e-6)
        assert len(returns) >= 8
