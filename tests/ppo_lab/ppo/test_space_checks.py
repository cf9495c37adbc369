"""Spaces of indices that do not start at 0, and observations that are not of their space."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from envs.learning import q_learning
from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError, ObservationError
from ppo_lab.exact import model_policy
from ppo_lab.ppo.space_checks import check_indices
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.environments import inspect_environment
from ppo_lab.runs.saved_model import SavedRun, make_environments
from ppo_lab.runs.sb3_training import check as check_run
from ppo_lab.runs.tabular_training import check as check_table
from ppo_lab.train import main as train_main
from ppo_lab.vec_env import GymnasiumVecEnv

SMALL: dict[str, Any] = {
    "n_steps": 16,
    "batch_size": 32,
    "n_epochs": 1,
    "device": "cpu",
    "seed": 0,
}
BOX, TWO = spaces.Box(-9, 9, (3,), np.float32), spaces.Discrete(2)


class _Env(gym.Env[Any, Any]):
    """Shows ``odd`` at the third step and ``last`` at the fifth, which cuts or terminates."""

    def __init__(
        self,
        seen: spaces.Space[Any] = BOX,
        done: spaces.Space[Any] = TWO,
        odd: Any = None,
        last: Any = None,
        cut: bool = True,
        reward: Any = 1.0,
    ) -> None:
        self.observation_space, self.action_space = seen, done
        self._odd, self._last, self._cut, self._reward = odd, last, cut, reward
        self.given: list[Any] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._at = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        self.given.append(np.array(action))
        self._at += 1
        shown = {3: self._odd, 5: self._last}.get(self._at)
        shown = self.observation_space.sample() if shown is None else shown
        ended = self._at == 5
        return shown, self._reward, ended and not self._cut, ended and self._cut, {}


def made(**kwargs: Any) -> VecEnv:
    return make_vec_env(lambda: _Env(**kwargs), 2, seed=0)


# ---------------------------------------------------------------- starts

ELSEWHERE: dict[str, tuple[dict[str, Any], str]] = {
    "observations": ({"seen": spaces.Discrete(3, start=1)}, "observation space .* starts at 1"),
    "below 0": ({"seen": spaces.Discrete(3, start=-1)}, "observation space .* starts at -1"),
    "actions": ({"done": spaces.Discrete(3, start=5)}, "action space .* starts at 5"),
    "several": (
        {"done": spaces.MultiDiscrete([3, 2], start=[0, 4])},
        r"action space .* starts at \[0, 4\]",
    ),
    "several seen": (
        {"seen": spaces.MultiDiscrete([3, 2], start=[1, 0])},
        r"observation space .* starts at \[1, 0\]",
    ),
    "within": (
        {"seen": spaces.Dict({"a": BOX, "b": spaces.Discrete(3, start=2)})},
        "observation space .* starts at 2",
    ),
}


@pytest.mark.parametrize("backend", ["torch", "auto", "compiled"])
@pytest.mark.parametrize(("kwargs", "said"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_indices_that_do_not_start_at_0_are_refused_before_training(
    kwargs: dict[str, Any], said: str, backend: Any
) -> None:
    policy = "MultiInputPolicy" if isinstance(kwargs.get("seen"), spaces.Dict) else "MlpPolicy"
    with pytest.raises(ArgumentError, match=f"{said}.*starts at 0.*Transform"):
        SpecPPO(policy, made(**kwargs), **SMALL, backend=backend)


TABLE = spaces.MultiDiscrete([[2, 3], [2, 2]])
AXES: dict[str, tuple[str, dict[str, Any]]] = {
    "action": ("action", {"done": TABLE}),
    "observation": ("observation", {"seen": TABLE}),
    "within": ("observation", {"seen": spaces.Dict({"a": BOX, "b": TABLE})}),
}


@pytest.mark.parametrize("algo", ["spec_ppo", "ppo", "dqn"])
@pytest.mark.parametrize(("what", "kwargs"), AXES.values(), ids=AXES.keys())
def test_indices_of_several_axes_are_refused_where_sb3_fails_within_torch(
    what: str, kwargs: dict[str, Any], algo: str
) -> None:
    policy = "MultiInputPolicy" if isinstance(kwargs.get("seen"), spaces.Dict) else "MlpPolicy"
    with pytest.raises((TypeError, ValueError)):
        PPO(policy, made(**kwargs), **SMALL)
    said = rf"the {what} space .* has several axes.* it has one \(gym"
    with pytest.raises(ArgumentError, match=said):
        SpecPPO(policy, made(**kwargs), **SMALL)
    name = "space-checks-test/Axes-v0"
    gym.register(name, lambda: _Env(**kwargs))
    try:
        with pytest.raises(ArgumentError, match=f"'{name}' cannot be used: {said}"):
            inspect_environment(name, {}, algo)
    finally:
        del gym.registry[name]


@pytest.mark.parametrize("algo", ["spec_ppo", "ppo", "a2c", "sac"])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_actions_of_whole_numbers_that_a_gaussian_would_draw_are_refused(
    algo: str, dtype: Any
) -> None:
    whole = spaces.Box(0, 1, (2,), dtype)
    with pytest.raises(ArgumentError, match=r"is of whole numbers, to which .*TransformAction"):
        SpecPPO("MlpPolicy", made(done=whole), **SMALL)
    name = "space-checks-test/Whole-v0"
    gym.register(name, lambda: _Env(done=whole))
    try:
        with pytest.raises(ArgumentError, match=f"'{name}' cannot be used.*is of whole numbers"):
            inspect_environment(name, {}, algo)
    finally:
        del gym.registry[name]


def test_set_env_takes_no_other_start_either() -> None:
    model = SpecPPO("MlpPolicy", made(), **SMALL)
    with pytest.raises(ValueError, match="spaces do not match"):
        model.set_env(made(done=spaces.Discrete(2, start=1)))


def test_a_model_saved_by_sb3_on_such_a_space_is_refused_when_loaded(tmp_path: Path) -> None:
    PPO("MlpPolicy", made(done=spaces.Discrete(2, start=1)), **SMALL).save(tmp_path / "m.zip")
    with pytest.raises(ArgumentError, match=r"action space .* starts at 1"):
        SpecPPO.load(tmp_path / "m.zip")


@pytest.fixture
def env_id() -> Any:
    name = "space-checks-test/Shifted-v0"
    gym.register(name, lambda: _Env(spaces.Discrete(4), spaces.Discrete(2, start=1)))
    yield name
    del gym.registry[name]


@pytest.mark.parametrize("algo", ["spec_ppo", "ppo", "dqn", "a2c", "q_learning"])
def test_every_command_refuses_it_before_it_trains(env_id: str, algo: str) -> None:
    with pytest.raises(ArgumentError, match=rf"'{env_id}' cannot be used.*starts at 1"):
        inspect_environment(env_id, {}, algo)
    config = RunConfig(algo, env_id, 0, 32, 1, "MlpPolicy", {}, Evaluation(1, 0))
    check = check_table if algo == "q_learning" else check_run
    with pytest.raises(ArgumentError, match="starts at 1"):
        check(config)


def test_train_says_so_in_one_line(
    env_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--env", env_id, "--timesteps", "64", "--log-folder", str(tmp_path)]
    assert train_main(command) != 0
    said = capsys.readouterr().err
    assert "action space Discrete(2, start=1) starts at 1" in said
    assert not list(tmp_path.rglob("*.zip"))


def test_evaluation_and_tables_refuse_it(env_id: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="starts at 1"):
        make_environments(SavedRun(tmp_path, "ppo", env_id), 1, 0, None)
    env = gym.make(env_id)
    with pytest.raises(TypeError, match="counts states and actions from 0"):
        q_learning(env, 0.9, 1)
    model = PPO("MlpPolicy", made(seen=spaces.Discrete(4)), **SMALL)
    with pytest.raises(ArgumentError, match="starts at 1"):
        model_policy(model, env)


@pytest.mark.parametrize(
    "done", [TWO, spaces.MultiDiscrete([3, 2]), spaces.MultiBinary(3)], ids=lambda s: str(s)
)
@pytest.mark.parametrize(
    "seen",
    [spaces.Discrete(4), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2)],
    ids=lambda s: str(s),
)
def test_spaces_from_0_are_served_by_either_backend(
    seen: spaces.Space[Any], done: spaces.Space[Any]
) -> None:
    for backend in ("torch", "auto"):
        model = SpecPPO("MlpPolicy", made(seen=seen, done=done), **SMALL, backend=backend)  # type: ignore[arg-type]
        model.learn(64)
        env = model.get_env()
        assert env is not None
        for given in env.get_attr("given"):
            assert all(action in done for action in given)
        action, _ = model.predict(env.reset())
        assert all(each in done for each in action)


# ---------------------------------------------------------------- observations

SEEN: dict[str, dict[str, Any]] = {
    "-1": {"seen": spaces.Discrete(5), "odd": -1},
    "n": {"seen": spaces.Discrete(5), "odd": 5},
    "n at a cut": {"seen": spaces.Discrete(5), "last": 5},
    "-1 at an end": {"seen": spaces.Discrete(5), "last": -1, "cut": False},
}


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("backend", ["torch", "compiled"])
@pytest.mark.parametrize("kwargs", SEEN.values(), ids=SEEN.keys())
def test_an_index_outside_its_space_is_refused_with_its_environment(
    kwargs: dict[str, Any], backend: Any, watched: bool
) -> None:
    shown = kwargs.get("odd", kwargs.get("last"))
    env = make_vec_env(lambda: _Env(spaces.Discrete(5)), 2, seed=0)
    env.envs[1] = _Env(**kwargs)  # type: ignore[attr-defined]
    model = SpecPPO("MlpPolicy", env, **SMALL, backend=backend)
    said = rf"observation {shown} at step \d+ in environment 1 is outside Discrete\(5\)"
    with pytest.raises(ObservationError, match=said):
        model.learn(64, (lambda *_: True) if watched else None)


def test_the_parts_of_a_dictionary_are_checked_too() -> None:
    space = spaces.Dict({"a": BOX, "b": spaces.MultiDiscrete([2, 3])})
    good = {"a": np.zeros((2, 3)), "b": np.array([[0, 0], [1, 2]])}
    check_indices(good, space, 7)
    with pytest.raises(ObservationError, match=r"\[2, 0\] at step 7 in environment 1"):
        check_indices({**good, "b": np.array([[0, 0], [2, 0]])}, space, 7)


ODD: dict[str, tuple[dict[str, Any], str | None]] = {
    "cut at another shape": ({"last": np.zeros(2, np.float32)}, "Unexpected observation shape"),
    "cut at a longer one": ({"last": np.zeros(4, np.float32)}, "Unexpected observation shape"),
    "cut at a number": ({"last": 1.0}, "Unexpected observation shape"),
    "cut at a batch": ({"last": np.zeros((2, 3), np.float32)}, None),
    "terminated at another shape": ({"last": np.zeros(2, np.float32), "cut": False}, None),
    "seen at another shape": ({"odd": np.zeros(2, np.float32)}, "could not broadcast"),
    "a number is stretched": ({"odd": 1.0}, None),
    "double precision": ({"odd": np.full(3, 0.1)}, None),
    "reward (1,)": ({"reward": np.ones(1)}, ""),
    "reward None": ({"reward": None}, ""),
    "a Discrete's array": ({"seen": spaces.Discrete(5), "odd": np.array([2])}, ""),
    "a Discrete's fraction": ({"seen": spaces.Discrete(5), "odd": 2.7}, None),
}


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize(("kwargs", "said"), ODD.values(), ids=ODD.keys())
def test_what_sb3_refuses_of_an_environment_is_refused_and_what_it_takes_taken(
    kwargs: dict[str, Any], said: str | None, watched: bool
) -> None:
    """SB3's PPO is the oracle of both."""

    def outcome(algorithm: Any, **backend: Any) -> BaseException | None:
        model = algorithm("MlpPolicy", made(**kwargs), **SMALL, **backend)
        try:
            model.learn(64, (lambda *_: True) if watched else None)
        except (ValueError, TypeError) as raised:
            return raised
        return None

    expected, actual = outcome(PPO), outcome(SpecPPO, backend="compiled")
    assert type(actual) is type(expected)
    assert (actual is None) is (said is None)
    assert (said or "") in str(actual)


def test_an_observation_that_sb3_stretches_is_stretched_alike() -> None:
    for odd in (1.0, np.float64(0.1)):
        env = made(odd=odd)
        model = SpecPPO("MlpPolicy", env, **SMALL, backend="compiled").learn(32)
        shown = model.rollout_buffer.observations.reshape(2, 16, 3)[:, 3]
        np.testing.assert_array_equal(shown, np.full((2, 3), odd, np.float32))


class _Reshapes(VecEnvWrapper):
    """Returns observations of another shape from some step on."""

    def __init__(self, venv: VecEnv, shape: tuple[int, ...]) -> None:
        super().__init__(venv)
        self._shape, self._left = shape, 3

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        observations, *rest = self.venv.step_wait()
        self._left -= 1
        return (observations if self._left else np.zeros(self._shape, np.float32)), *rest


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("shape", [(1, 3), (3,), (3, 2), (2, 3, 1), (6,), (2, 1), (4, 3)])
def test_observations_of_another_shape_are_not_folded_or_stretched(
    shape: tuple[int, ...], watched: bool
) -> None:
    with pytest.raises((ValueError, RuntimeError, IndexError)):
        PPO("MlpPolicy", _Reshapes(made(), shape), **SMALL).learn(32)
    model = SpecPPO("MlpPolicy", _Reshapes(made(), shape), **SMALL, backend="compiled")
    with pytest.raises(ObservationError, match=r"step 6 have shape .*: expected \(2, 3\)"):
        model.learn(32, (lambda *_: True) if watched else None)


class _OneReward(SyncVectorEnv):
    def step(self, actions: Any) -> Any:
        observations, rewards, *rest = super().step(actions)
        return observations, rewards.sum(), *rest


def test_a_vector_environments_rewards_are_one_an_environment() -> None:
    env = GymnasiumVecEnv(
        _OneReward([_Env, _Env], autoreset_mode=AutoresetMode.SAME_STEP), monitor=False
    )
    env.reset()
    with pytest.raises(ValueError, match=r"rewards of shape \(\): expected \(2,\)"):
        env.step(np.array([0, 1]))
