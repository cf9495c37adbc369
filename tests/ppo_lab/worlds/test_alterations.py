"""Only the environment that a world restates has that world: no other constant, method or copy."""

import re
import types
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.classic_control import acrobot, cartpole, pendulum
from gymnasium.envs.classic_control import utils as classic_utils
from gymnasium.envs.classic_control.acrobot import AcrobotEnv
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.classic_control.continuous_mountain_car import Continuous_MountainCarEnv
from gymnasium.envs.classic_control.mountain_car import MountainCarEnv
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.env_util import make_vec_env

from envs.crawler_continuous import CrawlerContinuous
from envs.gridworld import GridWorld
from envs.gymnasium_internals import GYMNASIUMS
from envs.mdp import TabularMDP
from envs.observations import IndexObserver, TableObserver
from envs.tabular import TabularEnv
from ppo_lab.errors import ArgumentError, NoWorldError
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.sb3_training import training_recipe
from ppo_lab.vec_env import make_native_vec_env
from ppo_lab.vec_env.compiled import CompiledVecEnv, has_world
from ppo_lab.vec_env.world_by_id import world_by_id

CLASSIC = (CartPoleEnv, PendulumEnv, MountainCarEnv, Continuous_MountainCarEnv, AcrobotEnv)
DRAWN_ONLY = {
    "screen", "clock", "isopen", "screen_width", "screen_height", "screen_dim", "SCREEN_DIM",
    "action_arrow", "domain_fig", "low", "high", "low_state", "high_state", "last_u",
}  # fmt: skip
"""Attributes that no step and no reset reads: the constructor and the pictures do."""
NOT_READ = {"state", "steps_beyond_terminated", "actions_num", "metadata", "spec", "render_mode"}
"""Set anew by every reset, or read by nothing."""
TAKEN = {PendulumEnv: {"g"}, CartPoleEnv: {"_sutton_barto_reward"}}
"""Parameters of the world, which follows them."""


@pytest.fixture
def register() -> Iterator[Callable[..., str]]:
    """Registers a factory; returns its id."""
    ids: list[str] = []

    def registered(factory: Callable[..., Any], **kwargs: Any) -> str:
        ids.append(f"alterations-test/Made{len(ids)}-v0")
        gym.register(ids[-1], factory, max_episode_steps=100, **kwargs)
        return ids[-1]

    yield registered
    for each in ids:
        del gym.registry[each]


def changed(kind: type, name: str, value: Any) -> Callable[[], Any]:
    def make() -> Any:
        env = kind()
        setattr(env, name, value)
        return env

    return make


def reason_of(env_id: str, n_envs: int = 2, **kwargs: Any) -> str:
    with pytest.raises(NoWorldError) as refused:
        world_by_id(env_id, kwargs, n_envs)
    assert refused.value.altered
    return refused.value.reason


def test_cartpole_under_six_times_the_gravity_is_stepped_in_python(
    register: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    env_id = register(changed(CartPoleEnv, "gravity", 60.0))
    assert reason_of(env_id) == "gravity is 60.0, not 9.8"
    config = RunConfig("spec_ppo", env_id, 0, 64, 2, "MlpPolicy", {}, Evaluation(2, 0))
    env = training_recipe(config).make(2, seed=3, verbose=1)
    said = capsys.readouterr().out
    assert said == f"Stepping {env_id} in Python, because gravity is 60.0, not 9.8\n"
    by_hand = changed(CartPoleEnv, "gravity", 60.0)()
    np.testing.assert_array_equal(env.reset()[0], by_hand.reset(seed=3)[0])
    np.testing.assert_array_equal(env.step(np.array([1, 1]))[0][0], by_hand.step(1)[0])
    with pytest.raises(ArgumentError, match=r"native copies.*gravity is 60\.0, not 9\.8.*make_vec"):
        make_native_vec_env(env_id, 2)


def _attributes(kind: type) -> list[str]:
    """All that an instance has and its class's constants."""
    made = kind()
    own = [*vars(made), *(k for k in vars(kind) if not k.startswith("__"))]
    plain = (bool, int, float, str, list, np.ndarray, spaces.Space, type(None), tuple, dict)
    return [name for name in own if isinstance(getattr(made, name), plain)]


@pytest.mark.parametrize("kind", CLASSIC, ids=lambda kind: kind.__name__)
def test_every_attribute_that_moves_an_environment_is_held_fast_or_followed(
    kind: type, register: Callable[..., str]
) -> None:
    held = []
    for name in _attributes(kind):
        if name in DRAWN_ONLY | NOT_READ | TAKEN.get(kind, set()):
            continue
        present = getattr(kind(), name)
        if isinstance(present, list):
            other: Any = [-2.0, 0.0, 2.0]
        elif isinstance(present, float | int) and name != "goal_velocity":
            other = present * 1.5 + 0.25
        else:
            other = {"kinematics_integrator": "semi", "book_or_nips": "nips"}.get(name, "another")
        if isinstance(present, spaces.Discrete):
            other = spaces.Discrete(int(present.n) + 1)
        elif isinstance(present, spaces.Box):
            other = spaces.Box(present.low - 1, present.high + 1, dtype=np.float32)
        reason_of(register(changed(kind, name, other)))
        held.append(name)
    assert len(held) >= 7


def test_a_class_constant_is_held_fast_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(AcrobotEnv, "LINK_MASS_2", 2.0)
    assert "LINK_MASS_2" in reason_of("Acrobot-v1")


@pytest.mark.parametrize("value", [np.float32(9.81), np.nan, "9.81", True])
def test_a_parameter_that_is_no_plain_number_is_left_to_python(
    value: Any, register: Callable[..., str]
) -> None:
    assert reason_of(register(changed(PendulumEnv, "g", value))).startswith("g is")


def test_a_single_precision_constant_would_change_the_arithmetic() -> None:
    gym.register("alterations-test/Single-v0", changed(CartPoleEnv, "force_mag", np.float32(10.0)))
    try:
        assert "force_mag is np.float32(10.0)" in reason_of("alterations-test/Single-v0")
    finally:
        del gym.registry["alterations-test/Single-v0"]


def test_parameters_are_followed_whoever_sets_them(register: Callable[..., str]) -> None:
    env_id = register(changed(PendulumEnv, "g", 3.5))
    ours, theirs = CompiledVecEnv(env_id, 2, seed=1), make_vec_env(env_id, 2, seed=1)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    for _ in range(20):
        action = np.full((2, 1), 1.5, np.float32)
        np.testing.assert_array_equal(ours.step(action)[0], theirs.step(action)[0])


# ---------------------------------------------------------------- replaced methods


def _patched_step(env: Any) -> Any:
    step = env.step

    def halved(action: Any) -> Any:
        observation, reward, *rest = step(action)
        return observation, 0.5 * reward, *rest

    env.step = halved
    return env


def _bound(name: str) -> Callable[[], Any]:
    def make() -> Any:
        env = CartPoleEnv()
        original = getattr(CartPoleEnv, name)
        env.__dict__[name] = types.MethodType(lambda self, *a, **k: original(self, *a, **k), env)
        return env

    return make


@pytest.mark.parametrize(
    ("factory", "name"),
    [
        (lambda: _patched_step(CartPoleEnv()), "step of this CartPoleEnv"),
        (lambda: _patched_step(GYMNASIUMS(CartPoleEnv(), 9)), "step of this TimeLimit"),
        (_bound("reset"), "reset of this CartPoleEnv"),
        (lambda: _patched_step(CrawlerContinuous()), "step of this CrawlerContinuous"),
        (lambda: _patched_step(GridWorld()), "step of this GridWorld"),
        (lambda: _patched_step(FrozenLakeEnv()), "step of this FrozenLakeEnv"),
        (changed(AcrobotEnv, "_dsdt", lambda s: s), "_dsdt of this AcrobotEnv"),
        (changed(PendulumEnv, "_get_obs", lambda: 0), "_get_obs of this PendulumEnv"),
    ],
)
def test_a_method_replaced_on_an_instance_is_seen(
    factory: Any, name: str, register: Callable[..., str]
) -> None:
    assert reason_of(register(factory)) == f"{name} was replaced"


@pytest.mark.parametrize(
    ("where", "name", "env_id"),
    [
        (CartPoleEnv, "step", "CartPole-v1"),
        (CartPoleEnv, "__init__", "CartPole-v1"),
        (MountainCarEnv, "reset", "MountainCar-v0"),
        (PendulumEnv, "_get_obs", "Pendulum-v1"),
        (AcrobotEnv, "_terminal", "Acrobot-v1"),
        (acrobot, "rk4", "Acrobot-v1"),
        (pendulum, "angle_normalize", "Pendulum-v1"),
        (classic_utils, "maybe_parse_reset_bounds", "CartPole-v1"),
        (TabularEnv, "_observation", "ppo_lab/GridWorld-v0"),
        (CrawlerContinuous, "step", "ppo_lab/CrawlerContinuous-v0"),
        (FrozenLakeEnv, "step", "FrozenLake-v1"),
        (TimeLimit, "step", "CartPole-v1"),
        (gym.Env, "reset", "CartPole-v1"),
        (gym.Wrapper, "reset", "CartPole-v1"),
    ],
)
def test_what_was_replaced_on_a_class_or_in_a_module_is_seen(
    where: Any, name: str, env_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(where, name)
    env = CompiledVecEnv(env_id, 2, seed=0)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs)

    monkeypatch.setattr(where, name, wrapped)
    assert f"{name} of " in reason_of(env_id)
    with pytest.raises(ArgumentError, match=f"changed after it was made.*{name}"):
        env.reset()
    monkeypatch.undo()
    assert has_world(env_id)
    env.reset()


def test_a_function_that_passes_for_the_modules_own_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    namespace: dict[str, Any] = {}
    exec("def _terminal(self): return False", vars(acrobot), namespace)
    monkeypatch.setattr(AcrobotEnv, "_terminal", namespace["_terminal"])
    assert namespace["_terminal"].__module__ == AcrobotEnv.__module__
    assert "AcrobotEnv._terminal" in reason_of("Acrobot-v1")
    monkeypatch.undo()
    monkeypatch.setattr(CartPoleEnv.__init__, "__defaults__", (True, None))
    assert "CartPoleEnv.__init__" in reason_of("CartPole-v1")


def test_a_constant_of_a_module_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pendulum, "DEFAULT_X", 1.0)
    assert "DEFAULT_X" in reason_of("Pendulum-v1")
    monkeypatch.undo()
    monkeypatch.setattr(cartpole, "bool", lambda _: False, raising=False)
    assert reason_of("CartPole-v1").startswith("bool of ")


def test_a_method_given_to_a_class_that_had_it_from_its_base_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(CartPoleEnv, "np_random", property(lambda _: None), raising=False)
    assert "CartPoleEnv.np_random" in reason_of("CartPole-v1")


# ---------------------------------------------------------------- spaces, wrappers, randomness


def _wrapper_with(name: str, value: Any) -> Callable[[], Any]:
    def make() -> Any:
        env = TimeLimit(CartPoleEnv(), 7)
        setattr(env, name, value)
        return env

    return make


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (_wrapper_with("action_space", spaces.Discrete(2, start=1)), "action_space of this"),
        (_wrapper_with("observation_space", spaces.Box(-1, 1, (4,))), "observation_space of"),
        (_wrapper_with("_max_episode_steps", 7.5), r"its time limit is 7\.5"),
        (changed(CartPoleEnv, "np_random", np.random.default_rng(0)), "random generator"),
        (changed(FrozenLakeEnv, "action_space", spaces.Discrete(4, start=1)), "4 actions"),
    ],
)
def test_replaced_spaces_limits_and_generators_are_seen(
    factory: Any, said: str, register: Callable[..., str]
) -> None:
    assert re.search(said, reason_of(register(factory)))


# ---------------------------------------------------------------- tables


def test_a_changed_table_is_followed_and_an_impossible_one_left_to_python(
    register: Callable[..., str],
) -> None:
    def generous() -> Any:
        env = FrozenLakeEnv(is_slippery=False)
        env.P[0][2] = [(1.0, 1, 5.0, False)]
        return env

    env_id = register(generous)
    ours, theirs = CompiledVecEnv(env_id, 2, seed=1), make_vec_env(env_id, 2, seed=1)
    for env in (ours, theirs):
        env.reset()
        observations, rewards, *_ = env.step(np.array([2, 2]))
        assert (observations.tolist(), rewards.tolist()) == ([1, 1], [5.0, 5.0])

    def leaking() -> Any:
        env = FrozenLakeEnv()
        env.P[0][2] = [(0.5, 1, 5.0, False)]
        return env

    assert "sums to 0.5" in reason_of(register(leaking))


class Coin(TabularEnv):
    """One state; heads pays."""

    def __init__(self, pays: float = 1.0) -> None:
        tables = np.zeros((1, 2, 1), np.int64), np.ones((1, 2, 1)), np.full((1, 2, 1), pays)
        super().__init__(TabularMDP(*tables, np.ones((1, 2, 1), np.bool_), np.ones(1)))

    def _text(self) -> str:
        return "a coin\n"


class Biased(Coin):
    @property
    def np_random(self) -> Any:
        return np.random.default_rng(0)


def test_a_finite_mdp_of_ones_own_has_a_world_unless_it_moves_by_itself(
    register: Callable[..., str],
) -> None:
    assert has_world(register(Coin))
    assert reason_of(register(Biased)) == "Biased has a np_random of its own"


class Shown(Coin):
    """Its state is shown as a row; ``widest`` is the bound of the space."""

    def __init__(self, widest: float = 1.0, rows: int = 1) -> None:
        super().__init__()
        bounds = np.zeros(1), np.full(1, widest)
        self.observer = TableObserver(np.zeros((rows, 1)), *bounds)
        self.observation_space = self.observer.space


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (changed(GridWorld, "_n_actions", 3), "it takes 3 actions and its mdp has 4"),
        (lambda: Shown(rows=2), "its observer shows 2 states of 1"),
        (changed(Coin, "observer", IndexObserver(2)), "its observer shows 2 states of 1"),
    ],
)
def test_parts_of_a_finite_mdp_that_do_not_fit_are_left_to_python(
    factory: Callable[[], Any], said: str, register: Callable[..., str]
) -> None:
    assert reason_of(register(factory)) == said


# ---------------------------------------------------------------- factories that vary


def test_copies_that_differ_in_their_spaces_alone_are_left_to_python(
    register: Callable[..., str],
) -> None:
    assert has_world(register(Shown))
    widths = iter((1.0, 2.0))
    env_id = register(lambda: Shown(next(widths)))
    assert reason_of(env_id, n_envs=2) == "copies 0 and 1 of it differ"


def test_a_factory_that_makes_another_environment_each_time_is_left_to_python(
    register: Callable[..., str],
) -> None:
    made: list[Any] = []

    def one_in_three() -> Any:
        made.append(changed(CartPoleEnv, "gravity", 60.0)() if len(made) == 2 else CartPoleEnv())
        return made[-1]

    env_id = register(one_in_three)
    assert reason_of(env_id, n_envs=4) == "gravity is 60.0, not 9.8"
    pays = iter(range(9))
    varied = register(lambda: Coin(float(next(pays))))
    assert reason_of(varied, n_envs=3) == "copies 0 and 1 of it differ"


@pytest.mark.parametrize(("inner", "outer"), [(4, 6), (6, 4)])
def test_the_shorter_of_two_time_limits_ends_an_episode(
    inner: int, outer: int, register: Callable[..., str]
) -> None:
    env_id = register(lambda: GYMNASIUMS(PendulumEnv(), inner))
    ours = CompiledVecEnv(env_id, 2, seed=1, max_episode_steps=outer)
    theirs = make_vec_env(env_id, 2, seed=1, env_kwargs={"max_episode_steps": outer})
    assert ours.get_attr("max_episode_steps") == [4, 4]
    ours.reset(), theirs.reset()
    actions = np.zeros((2, 1), np.float32)
    ended = [ours.step(actions)[2].tolist() for _ in range(9)]
    assert ended == [theirs.step(actions)[2].tolist() for _ in range(9)]
    assert [step for step, dones in enumerate(ended, 1) if all(dones)] == [4, 8]


def test_copies_that_differ_in_their_time_limit_are_left_to_python(
    register: Callable[..., str],
) -> None:
    limits = iter(range(4, 9))
    env_id = register(lambda: GYMNASIUMS(PendulumEnv(), next(limits)))
    assert reason_of(env_id, n_envs=2) == "copies 0 and 1 of it differ"


def test_random_maps_differ_between_the_copies() -> None:
    kwargs = {"map_name": None, "desc": None}
    assert "differ" in reason_of("FrozenLake-v1", n_envs=5, **kwargs)


# ---------------------------------------------------------------- changed after it was made


def _set(name: str, value: Any) -> Callable[[Any], None]:
    return lambda env: setattr(env, name, value)


@pytest.mark.parametrize(
    ("env_id", "change", "said"),
    [
        ("CartPole-v1", _set("gravity", 60.0), r"gravity is 60\.0, not 9\.8"),
        ("CartPole-v1", _patched_step, "step of this CartPoleEnv was replaced"),
        ("Pendulum-v1", _set("g", 3.0), "a parameter of it is another"),
        ("FrozenLake-v1", lambda env: env.P[0][2].append((0.0, 3, 1.0, True)), "parameter"),
        ("FrozenLake-v1", lambda env: env.P.update({0: env.P[1]}), "a parameter of it"),
        ("FrozenLake-v1", lambda env: env.initial_state_distrib.put([0, 1], [0, 1]), "parameter"),
        ("ppo_lab/GridWorld-v0", _set("mdp", GridWorld(noise=0.5).mdp), "a parameter of it"),
    ],
)
def test_a_change_after_the_making_is_refused_and_not_passed_over(
    env_id: str, change: Callable[[Any], None], said: str
) -> None:
    env = CompiledVecEnv(env_id, 2, seed=0)
    env.reset()
    change(env.get_attr("unwrapped")[0])
    with pytest.raises(ArgumentError, match=f"was changed after it was made.*{said}.*DummyVecEnv"):
        env.reset()


def test_a_change_between_two_steps_is_refused_at_the_next() -> None:
    env = CompiledVecEnv("CartPole-v1", 2, seed=0)
    env.reset()
    env.step(np.array([0, 1]))
    env.env.unwrapped.gravity = 60.0  # type: ignore[attr-defined]
    with pytest.raises(ArgumentError, match="gravity"):
        env.step(np.array([0, 1]))
    env.env.unwrapped.gravity = 9.8  # type: ignore[attr-defined]
    env.step(np.array([0, 1]))


def test_what_moves_nothing_may_change() -> None:
    env = CompiledVecEnv("CartPole-v1", 2, seed=0)
    env.reset()
    env.env.unwrapped.note = "mine"  # type: ignore[attr-defined]
    env.env.reset(seed=5)
    env.step(np.array([0, 1]))
    env.reset()
