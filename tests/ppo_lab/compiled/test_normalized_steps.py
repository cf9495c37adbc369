"""``VecNormalize`` under the kernels: SB3's own object, stepped by its own code, is the oracle."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from ppo_lab import SpecPPO
from ppo_lab.compiled.normalized_steps import NormalizedSteps, why_by_its_own_code
from ppo_lab.errors import NonFiniteError
from ppo_lab.vec_env import GymnasiumVecEnv, make_native_vec_env
from tests.ppo_lab.compiled.test_path import assert_same_updates
from tests.ppo_lab.test_algorithm_drop_in import assert_equal_states

SMALL: dict[str, Any] = {"n_steps": 24, "batch_size": 12, "n_epochs": 2, "seed": 3, "device": "cpu"}


class SB3s(VecNormalize):
    """SB3's, in a class of its own, which the kernels leave alone."""


class _Boxes(gym.Env[Any, Any]):
    """Skewed observations and rewards; episodes of 5, 6, … 9 steps, every other one truncated."""

    action_space = spaces.Box(-0.5, 0.5, (2,))

    def __init__(self, space: spaces.Box) -> None:
        self.observation_space = space
        self._steps = self._episodes = 0

    def _seen(self) -> Any:
        drawn = self.np_random.normal(3.0, 20.0, self.observation_space.shape)
        return (drawn * 10 ** self.np_random.uniform(-3, 1)).astype(self.observation_space.dtype)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._steps = 0
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        self._steps += 1
        ends = self._steps == 5 + self._episodes % 5
        self._episodes += ends
        odd = self._episodes % 2 == 1
        reward = float(self.np_random.normal() + action.sum())
        return self._seen(), reward, ends and odd, ends and not odd, {"told": self._steps}


BOXES = {
    "(3,) float32": spaces.Box(-1e9, 1e9, (3,)),
    "(17,) float64": spaces.Box(-1e9, 1e9, (17,), np.float64),
    "(1,)": spaces.Box(-1e9, 1e9, (1,)),
    "(2, 3)": spaces.Box(-1e9, 1e9, (2, 3), np.float64),
    "int16": spaces.Box(-30000, 30000, (4,), np.int16),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "not training": {"training": False},
    "observations alone": {"norm_reward": False},
    "rewards alone": {"norm_obs": False},
    "neither": {"norm_obs": False, "norm_reward": False},
    "numbers": {"clip_obs": 0.7, "clip_reward": 0.3, "gamma": 0.5, "epsilon": 0.1},
    "no limit": {"clip_obs": np.inf, "clip_reward": 10, "gamma": np.float64(0.9)},
}


def boxes(box: str, n_envs: int, seed: int = 5) -> VecEnv:
    return make_vec_env(lambda: _Boxes(BOXES[box]), n_envs, seed=seed)


def model(env: VecEnv, **kwargs: Any) -> SpecPPO:
    return SpecPPO("MlpPolicy", env, **(SMALL | kwargs), backend="compiled")


def state_of(env: VecNormalize) -> dict[str, Any]:
    """All that a user finds in a ``VecNormalize``: types, dtypes and every bit."""

    def bits(value: Any) -> Any:
        array = np.asarray(value)
        return type(value).__name__, array.dtype, array.shape, array.tobytes()

    found = {name: bits(getattr(env, name)) for name in ("returns", "old_obs", "old_reward")}
    for name in ("obs_rms", "ret_rms"):
        moments = vars(env).get(name)
        if moments is not None:
            found[name] = [bits(getattr(moments, each)) for each in ("mean", "var", "count")]
    return found


def assert_alike(ours: SpecPPO, plain: SpecPPO) -> None:
    """Parameters, the latest rollout and the statistics, bit for bit."""
    one, other = ours.get_vec_normalize_env(), plain.get_vec_normalize_env()
    assert one is not None
    assert other is not None
    assert state_of(one) == state_of(other)
    for name in ("observations", "rewards", "episode_starts", "values", "returns"):
        np.testing.assert_array_equal(
            getattr(ours.rollout_buffer, name), getattr(plain.rollout_buffer, name), name
        )
    assert np.asarray(ours._last_obs).dtype == np.asarray(plain._last_obs).dtype
    assert_equal_states(ours.get_parameters(), plain.get_parameters())


def assert_learns_as_by_sb3s(
    make: Callable[[], VecEnv],
    options: dict[str, Any],
    callback: Any = None,
    steps: int = 96,
    **settings: Any,
) -> None:
    learned = []
    for kind in (VecNormalize, SB3s):
        env = kind(make(), **options)
        assert (why_by_its_own_code(env) is None) == (kind is VecNormalize)
        learned.append(model(env, **settings))
        learned[-1].learn(steps, callback() if callback else None)
        env.close()
    assert_alike(*learned)


# ---------------------------------------------------------------- SB3's numbers


@pytest.mark.parametrize("n_envs", [1, 3, 8])
@pytest.mark.parametrize(
    "box",
    # Another type of observations is another compilation.
    [pytest.param(box, marks=pytest.mark.slow if box == "int16" else ()) for box in BOXES],
)
def test_every_number_is_sb3s(box: str, n_envs: int) -> None:
    """The rollout's actions, replayed in SB3's own environments."""
    env = VecNormalize(boxes(box, n_envs), clip_obs=2.0, clip_reward=2.0)
    ours = model(env, n_steps=48)
    theirs = VecNormalize(boxes(box, n_envs), clip_obs=2.0, clip_reward=2.0)
    ours._setup_learn(1000)
    theirs.seed(SMALL["seed"])  # as the model does
    seen: Any = theirs.reset()
    callback, buffer = ours._init_callback(None), ours.rollout_buffer
    truncated = 0
    for _ in range(3):
        assert ours.collect_rollouts(env, callback, buffer, 48)
        assert isinstance(buffer, type(ours.rollout_buffer))
        for t in range(48):
            # SB3's buffer has the space's dtype: whole numbers of an int16, for both.
            kept = seen.astype(BOXES[box].dtype)
            np.testing.assert_array_equal(buffer.observations[t], kept)
            clipped = np.clip(buffer.actions[t], -0.5, 0.5)
            seen, rewards, dones, infos = theirs.step(clipped)
            for index in np.flatnonzero(dones).tolist():
                if infos[index]["TimeLimit.truncated"]:
                    last = ours.policy.obs_to_tensor(infos[index]["terminal_observation"])[0]
                    with th.no_grad():
                        value = float(ours.policy.predict_values(last))
                    expected = rewards[index] + ours.gamma * value
                    assert buffer.rewards[t, index] == pytest.approx(expected, rel=1e-5, abs=1e-6)
                    rewards[index] = buffer.rewards[t, index]
                    truncated += 1
            np.testing.assert_array_equal(buffer.rewards[t], rewards)
        np.testing.assert_array_equal(ours._last_obs, seen)
        np.testing.assert_array_equal(env.get_original_obs(), theirs.get_original_obs())
        np.testing.assert_array_equal(env.get_original_reward(), theirs.get_original_reward())
        assert state_of(env) == state_of(theirs)
    assert truncated >= 3 * n_envs


def test_statistics_are_sb3s_after_4096_steps() -> None:
    once = {"n_steps": 1024, "batch_size": 1024, "n_epochs": 1}
    assert_learns_as_by_sb3s(lambda: boxes("(17,) float64", 1), {}, steps=4096, **once)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("n_envs", [1, 3])
def test_settings_mean_what_they_mean_to_sb3(options: dict[str, Any], n_envs: int) -> None:
    assert_learns_as_by_sb3s(lambda: boxes("(2, 3)", n_envs), options)


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "CartPole-v1", "FrozenLake-v1"])
@pytest.mark.parametrize("n_envs", [1, 3])
def test_compiled_environments_are_normalised_alike(env_id: str, n_envs: int) -> None:
    options = {"norm_obs": env_id != "FrozenLake-v1"}

    def make() -> VecEnv:
        return make_native_vec_env(env_id, n_envs, seed=1, max_episode_steps=9)

    assert_learns_as_by_sb3s(make, options, steps=144)


def test_native_environments_are_normalised_alike() -> None:
    def make() -> VecEnv:
        mode = {"autoreset_mode": AutoresetMode.SAME_STEP}
        made = gym.make_vec("CartPole-v1", 3, vectorization_mode="sync", vector_kwargs=mode)
        made.reset(seed=4)
        return GymnasiumVecEnv(made)

    assert_learns_as_by_sb3s(make, {}, steps=144)


@pytest.mark.slow
def test_environments_in_processes_are_normalised_alike() -> None:
    def make() -> VecEnv:
        return make_vec_env("CartPole-v1", 2, seed=1, vec_env_cls=SubprocVecEnv)

    assert_learns_as_by_sb3s(make, {}, steps=144)


def test_what_is_under_vec_normalize_is_stepped_as_it_is() -> None:
    assert_learns_as_by_sb3s(lambda: VecFrameStack(boxes("(2, 3)", 2), 2), {})
    assert_learns_as_by_sb3s(
        lambda: VecMonitor(DummyVecEnv([lambda: _Boxes(BOXES["(2, 3)"])] * 2)), {}
    )
    assert_learns_as_by_sb3s(lambda: VecNormalize(boxes("(3,) float32", 2), gamma=0.5), {})


class _Folded(DummyVecEnv):
    """Observations whose rows are not one after the other in memory."""

    def step_wait(self) -> Any:
        observations, *others = super().step_wait()
        return np.asfortranarray(observations), *others


def test_arrays_that_the_kernel_does_not_take_are_left_to_sb3() -> None:
    assert_learns_as_by_sb3s(lambda: _Folded([lambda: _Boxes(BOXES["(2, 3)"])] * 3), {})


@pytest.mark.parametrize("verbose", [0, 1])
def test_arrays_that_are_left_to_sb3_are_told_once(
    verbose: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folded = _Folded([lambda: _Boxes(BOXES["(2, 3)"])] * 3)
    model(VecNormalize(folded), verbose=verbose).learn(3 * 24 * 3)
    reason = (
        "VecNormalize is stepped by its own code, because the environments returned "
        "float64 (3, 2, 3) not in C order, float32 (3,), bool (3,)\n"
    )
    assert capsys.readouterr().out.count(reason) == verbose


# ---------------------------------------------------------------- what users do to it


class _Changes(BaseCallback):
    """Changes one thing between two rollouts, and looks at all of them at each of SB3's places."""

    every_step = False

    def __init__(self, change: Callable[[VecNormalize], None], seen: list[Any]) -> None:
        super().__init__()
        self._change, self._seen = change, seen

    def _look(self) -> VecNormalize:
        env = self.model.get_vec_normalize_env()
        assert env is not None
        self._seen.append(state_of(env))
        return env

    def _on_rollout_start(self) -> None:
        env = self._look()
        if self.n_calls == 24:
            self._change(env)

    def _on_step(self) -> bool:
        if self.every_step and self.n_calls == 30:
            self._change(self._look())
        self._look()
        return True

    def _on_rollout_end(self) -> None:
        self._look()


class _ChangesAmidst(_Changes):
    every_step = True


def _reset_moments(env: VecNormalize) -> None:
    assert not isinstance(env.obs_rms, dict)
    env.obs_rms.mean = env.obs_rms.mean + 1.0
    env.obs_rms.var[...] = 2.0
    env.ret_rms.count = 3.5


CHANGES: dict[str, Callable[[VecNormalize], None]] = {
    "training": lambda env: setattr(env, "training", False),
    "norm_reward": lambda env: setattr(env, "norm_reward", False),
    "norm_obs": lambda env: setattr(env, "norm_obs", False),
    "numbers": lambda env: vars(env).update(clip_obs=0.5, gamma=0.1, epsilon=1.0, clip_reward=0.2),
    "moments": _reset_moments,
    "no plain number": lambda env: setattr(env, "clip_obs", np.float32(0.3)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("kind", [_Changes, _ChangesAmidst])
def test_what_a_callback_changes_holds_from_there_on(
    change: Callable[[VecNormalize], None], kind: type[_Changes]
) -> None:
    seen: list[list[Any]] = []

    def callback() -> BaseCallback:
        seen.append([])
        return kind(change, seen[-1])

    assert_learns_as_by_sb3s(lambda: boxes("(3,) float32", 2), {}, callback, steps=144)
    assert seen[0] == seen[1]
    assert len(seen[0]) >= 9


def test_a_method_that_somebody_puts_in_its_place_is_called() -> None:
    env = VecNormalize(boxes("(3,) float32", 2))
    own, calls = env.normalize_reward, []

    def counted(reward: Any) -> Any:
        calls.append(1)
        return own(reward) * 0.0

    trained = model(env)
    trained.learn(48)
    env.normalize_reward = counted  # type: ignore[method-assign]
    trained.learn(48)
    assert len(calls) == 24
    assert not trained.rollout_buffer.rewards[trained.rollout_buffer.episode_starts > 0].any()
    del env.normalize_reward
    assert why_by_its_own_code(env) is None


def test_replaced_code_of_sb3s_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    from stable_baselines3.common.running_mean_std import RunningMeanStd

    env = VecNormalize(boxes("(3,) float32", 2))
    assert why_by_its_own_code(env) is None
    monkeypatch.setattr(RunningMeanStd, "update", lambda _self, _array: None)
    assert why_by_its_own_code(env) is not None
    model(env).learn(48)
    assert env.ret_rms.count == 1e-4


def test_the_reason_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    for env, reason in (
        (SB3s(boxes("(2, 3)", 2)), "it is a SB3s"),
        (VecFrameStack(VecNormalize(boxes("(2, 3)", 2)), 2), "a VecFrameStack is around it"),
        (
            VecMonitor(VecNormalize(DummyVecEnv([lambda: _Boxes(BOXES["(2, 3)"])] * 2))),
            "a VecMonitor is around it",
        ),
        (VecNormalize(boxes("(2, 3)", 2), gamma=np.float32(0.9)), "its gamma is"),
        (VecNormalize(boxes("(2, 3)", 129)), "it has 129 environments, more than 128"),
    ):
        model(env, verbose=1, n_steps=4, batch_size=4 * env.num_envs).learn(12 * env.num_envs)
        said = [line for line in capsys.readouterr().out.splitlines() if "own code" in line]
        assert len(said) == 1
        assert said[0].startswith(f"VecNormalize is stepped by its own code, because {reason}")
    model(VecNormalize(boxes("(2, 3)", 2)), verbose=1).learn(96)
    assert "own code" not in capsys.readouterr().out


def test_an_evaluation_plays_with_the_statistics_of_the_moment(tmp_path: Path) -> None:
    def evaluated() -> BaseCallback:
        played = VecNormalize(boxes("(3,) float32", 1, seed=9), training=False, norm_reward=False)
        folder = tmp_path / str(len([*tmp_path.iterdir()]))
        return EvalCallback(played, eval_freq=17, log_path=str(folder), verbose=0)

    assert_learns_as_by_sb3s(lambda: boxes("(3,) float32", 2), {}, evaluated, steps=144)
    one, other = (np.load(tmp_path / name / "evaluations.npz") for name in ("0", "1"))
    assert len(one["results"]) == 4
    np.testing.assert_array_equal(one["results"], other["results"])


def test_a_saved_one_goes_on_where_it_stopped(tmp_path: Path) -> None:
    goes_on = []
    for kind in (VecNormalize, SB3s):
        env = kind(boxes("(3,) float32", 2))
        trained = model(env).learn(96)
        trained.save(tmp_path / "model.zip")
        env.save(str(tmp_path / "statistics.pkl"))
        loaded = kind.load(str(tmp_path / "statistics.pkl"), boxes("(3,) float32", 2, seed=8))
        assert type(loaded) is kind
        goes_on.append(SpecPPO.load(tmp_path / "model.zip", env=loaded))
        goes_on[-1].set_random_seed(4)
        goes_on[-1].learn(96, reset_num_timesteps=False)
    assert_alike(*goes_on)


def test_a_pickle_holds_what_sb3s_holds() -> None:
    envs = [kind(boxes("(3,) float32", 2)) for kind in (VecNormalize, SB3s)]
    for env in envs:
        model(env).learn(96)
    one, other = (vars(pickle.loads(pickle.dumps(env))) for env in envs)
    assert one.keys() == other.keys()
    types = [{key: type(value) for key, value in held.items()} for held in (one, other)]
    assert types[0] == types[1]


# ---------------------------------------------------------------- when something breaks


class _Breaks(_Boxes):
    """Raises, or pays or shows a number that is none, at step 13 of all."""

    taken = 0

    def __init__(self, what: str) -> None:
        super().__init__(BOXES["(3,) float32"])
        self._what = what

    def step(self, action: Any) -> Any:
        self.taken += 1
        observation, reward, *others = super().step(action)
        if self.taken == 13:
            if self._what == "error":
                raise RuntimeError("broken")
            reward = {"reward nan": np.nan, "reward inf": np.inf}.get(self._what, reward)
            if self._what.startswith("observation"):
                observation[1] = np.nan if self._what.endswith("nan") else -np.inf
        return observation, reward, *others


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("what", ["reward nan", "reward inf", "observation nan", "observation inf"])
def test_numbers_that_are_none_stop_the_training_as_by_sb3s_code(what: str) -> None:
    said = []
    for kind in (VecNormalize, SB3s):
        env = kind(make_vec_env(lambda: _Breaks(what), 1, seed=0))
        with pytest.raises(NonFiniteError) as raised:
            model(env).learn(48)
        said.append((str(raised.value), state_of(env)))
    assert said[0] == said[1]


def test_after_an_error_the_statistics_are_those_of_the_last_step() -> None:
    states = []
    for kind in (VecNormalize, SB3s):
        env = kind(make_vec_env(lambda: _Breaks("error"), 1, seed=0))
        with pytest.raises(RuntimeError, match="broken"):
            model(env).learn(48)
        states.append(state_of(env))
    assert states[0] == states[1]
    assert np.isclose(np.frombuffer(states[0]["obs_rms"][2][3])[0], 13.0001)  # reset, 12 steps


def test_steps_begin_only_where_the_object_is_plain() -> None:
    assert NormalizedSteps(VecNormalize(boxes("(3,) float32", 2))).begin() is None
    assert NormalizedSteps(SB3s(boxes("(3,) float32", 2))).begin() == "it is a SB3s"


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "FrozenLake-v1"])
def test_compiled_environments_are_rolled_out_in_one_call(
    env_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ppo_lab.worlds import normalized_rollout

    original, calls = normalized_rollout.roll_out_normalized, []

    def counted(*arguments: Any) -> Any:
        calls.append(len(arguments[2].rewards))
        return original(*arguments)

    monkeypatch.setattr(normalized_rollout, "roll_out_normalized", counted)
    env = make_native_vec_env(env_id, 2, seed=1)
    model(VecNormalize(env, norm_obs=env_id == "Pendulum-v1")).learn(96)
    assert calls == [22, 22]  # of 24 steps all but the first and the last


@pytest.mark.parametrize("make", [make_vec_env, make_native_vec_env])
def test_an_update_under_vec_normalize_is_the_torch_paths_to_1e_5(make: Any) -> None:
    ours, torch = (
        SpecPPO("MlpPolicy", VecNormalize(make("Pendulum-v1", 2, seed=1)), **SMALL, backend=backend)
        for backend in ("compiled", "torch")
    )
    assert_same_updates(ours, torch)
