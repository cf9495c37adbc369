"""What a callback sees at each of SB3's places, on every path: SB3's own PPO is the oracle."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecCheckNan, VecEnv

from ppo_lab import SpecPPO
from ppo_lab.vec_env import make_native_vec_env

N_ENVS, N_STEPS = 2, 12
SMALL: dict[str, Any] = {
    "n_steps": N_STEPS,
    "batch_size": N_STEPS * N_ENVS,
    "n_epochs": 1,
    "device": "cpu",
    "seed": 0,
}
OURS_ALONE = {"callback"}
"""SpecPPO puts its guard before the user's callback, in a list."""


class _Boxes(gym.Env[Any, Any]):
    """Two-dimensional observations and actions; cut after 5 steps."""

    observation_space = spaces.Box(-9, 9, (2, 3), np.float64)
    action_space = spaces.Box(-1, 1, (2, 2), np.float64)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._at = 0
        return self.np_random.normal(size=(2, 3)), {}

    def step(self, action: Any) -> Any:
        self._at += 1
        return self.np_random.normal(size=(2, 3)), 1.0, False, self._at == 5, {"told": self._at}


class _Many(_Boxes):
    observation_space = spaces.Box(-9, 9, (2, 3), np.float32)  # type: ignore[assignment]
    action_space = spaces.MultiDiscrete([3, 2])  # type: ignore[assignment]


ENVIRONMENTS: dict[str, Any] = {
    "CartPole-v1": "CartPole-v1",
    "Pendulum-v1": "Pendulum-v1",
    "FrozenLake-v1": "FrozenLake-v1",
    "Box (2, 3) to Box (2, 2)": _Boxes,
    "Box (2, 3) to MultiDiscrete": _Many,
}
LIMIT = {"max_episode_steps": 5}


def made(env: str, native: bool = False) -> VecEnv:
    kind = ENVIRONMENTS[env]
    if not isinstance(kind, str):
        return make_vec_env(kind, N_ENVS, seed=0)
    if native:
        return make_native_vec_env(kind, N_ENVS, seed=0, **LIMIT)
    return make_vec_env(kind, N_ENVS, seed=0, env_kwargs=LIMIT)


def described(value: Any) -> Any:
    """Type, shape and dtype; of containers, those of what is in them."""
    if isinstance(value, np.ndarray | th.Tensor):
        return type(value).__name__, tuple(value.shape), str(value.dtype)
    if isinstance(value, list | tuple) and value and isinstance(value[0], dict):
        return type(value).__name__, len(value)
    return type(value).__name__


class _Looks(BaseCallback):
    """Notes, at each place, what SB3's local variables and model hold."""

    every_step = False
    """Passed over: the first step of a rollout and its end are looked at all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def _note(self, place: str) -> None:
        model, buffer = self.model, self.model.rollout_buffer  # type: ignore[attr-defined]
        names = {
            key: described(value)
            for key, value in self.locals.items()
            if key not in OURS_ALONE | {"self", "env", "rollout_buffer", "tb_log_name"}
        }
        state = {
            "pos": buffer.pos,
            "full": buffer.full,
            "timesteps": (model.num_timesteps, self.num_timesteps, self.n_calls),
            "n_steps": self.locals.get("n_steps"),
            "idx": self.locals.get("idx"),
            "last_obs": described(model._last_obs),
            "starts": described(model._last_episode_starts),
            "beyond pos": bool(buffer.values[buffer.pos :].any()),
            "returns": bool(buffer.returns.any()),
            "is model's": [
                self.locals.get("rollout_buffer") is buffer,
                self.locals["self"] is model,
                self.locals.get("env") is model.env,
            ],
        }
        self.seen.append((place, names | state))

    def _on_training_start(self) -> None:
        self._note("training start")

    def _on_rollout_start(self) -> None:
        self._note("rollout start")

    def _on_step(self) -> bool:
        self._note("step")
        return True

    def _on_rollout_end(self) -> None:
        self._note("rollout end")

    def _on_training_end(self) -> None:
        self._note("training end")


class _LooksAtEveryStep(_Looks):
    every_step = True


WAYS: dict[str, tuple[str, bool, type[_Looks]]] = {
    "torch": ("torch", False, _LooksAtEveryStep),
    "torch, native": ("torch", True, _LooksAtEveryStep),
    "every step": ("compiled", False, _LooksAtEveryStep),
    "every step, native": ("compiled", True, _LooksAtEveryStep),
    "passed over": ("compiled", False, _Looks),
    "whole rollouts": ("compiled", True, _Looks),
}


def _of_sb3(env: str, passed_over: bool) -> list[tuple[str, dict[str, Any]]]:
    looks = _Looks()
    PPO("MlpPolicy", made(env), **SMALL).learn(2 * N_STEPS * N_ENVS, looks)
    if not passed_over:
        return looks.seen
    return [
        (place, seen)
        for place, seen in looks.seen
        if place != "step" or seen["timesteps"][0] in (N_ENVS, (N_STEPS + 1) * N_ENVS)
    ]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_a_callback_sees_what_sb3_shows_it_at_each_place(env: str, way: str) -> None:
    backend, native, kind = WAYS[way]
    looks = kind()
    model = SpecPPO("MlpPolicy", made(env, native), **SMALL, backend=backend)  # type: ignore[arg-type]
    model.learn(2 * N_STEPS * N_ENVS, looks)
    expected = _of_sb3(env, passed_over=kind is _Looks)
    assert [place for place, _ in looks.seen] == [place for place, _ in expected]
    for (place, ours), (_, theirs) in zip(looks.seen, expected, strict=True):
        assert ours == theirs, place
    at_end = looks.seen[[place for place, _ in looks.seen].index("rollout end")][1]
    assert {"terminal_obs", "terminal_value", "values", "infos", "new_obs"} <= at_end.keys()


class _Checks(BaseCallback):
    """Holds what it sees against the policy and the environment's own record of it."""

    def __init__(self, every: bool) -> None:
        super().__init__()
        self.every_step = every
        self.infos: list[Any] = []

    def _values(self, observations: Any) -> th.Tensor:
        with th.no_grad():
            policy: Any = self.model.policy
            return policy.predict_values(policy.obs_to_tensor(observations)[0])

    def _on_step(self) -> bool:
        names, model = self.locals, self.model
        th.testing.assert_close(
            names["values"], self._values(model._last_obs), rtol=1e-4, atol=1e-5
        )
        seen = names["obs_tensor"].numpy()
        np.testing.assert_array_equal(seen, model._last_obs)  # type: ignore[arg-type]
        if isinstance(model.action_space, spaces.Box):
            clipped = np.clip(names["actions"], model.action_space.low, model.action_space.high)
        else:
            clipped = names["actions"]
        np.testing.assert_array_equal(names["clipped_actions"], clipped)
        return True

    def _on_rollout_end(self) -> None:
        names, model = self.locals, self.model
        buffer = model.rollout_buffer  # type: ignore[attr-defined]
        assert names["new_obs"] is model._last_obs
        assert names["dones"] is model._last_episode_starts
        th.testing.assert_close(
            names["values"], self._values(names["new_obs"]), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_array_equal(buffer.rewards[-1], names["rewards"])
        np.testing.assert_array_equal(buffer.actions[-1].ravel(), names["actions"].ravel())
        np.testing.assert_array_equal(buffer.log_probs[-1], names["log_probs"].numpy())
        np.testing.assert_array_equal(
            buffer.observations[-1].ravel(), names["obs_tensor"].numpy().ravel()
        )
        value = self._values(names["terminal_obs"].numpy())[0]
        th.testing.assert_close(names["terminal_value"], value, rtol=1e-4, atol=1e-5)
        self.infos.append([dict(info) for info in names["infos"]])
        # The last value and the targets are of one piece: δ_T = r + γ V(s_T) (1 − done) − V.
        going_on = 1.0 - names["dones"].astype(np.float32)
        last = buffer.rewards[-1] + buffer.gamma * names["values"].numpy().ravel() * going_on
        np.testing.assert_allclose(
            buffer.advantages[-1], last - buffer.values[-1], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_what_it_sees_is_of_one_piece(env: str, native: bool, every: bool) -> None:
    checks = _Checks(every)
    model = SpecPPO("MlpPolicy", made(env, native), **SMALL, backend="compiled")
    model.learn(3 * N_STEPS * N_ENVS, checks)
    assert len(checks.infos) == 3
    # Steps 12, 24 and 36 of episodes of 5: none of these ends one that was cut.
    assert all("TimeLimit.truncated" in info for infos in checks.infos for info in infos)


def test_the_infos_of_the_last_step_are_the_environments_own() -> None:
    seen = []

    class Reads(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            seen.append([info["told"] for info in self.locals["infos"]])

    model = SpecPPO("MlpPolicy", make_vec_env(_Boxes, 2), **SMALL, backend="compiled")
    model.learn(2 * N_STEPS * N_ENVS, Reads())
    assert seen == [[2, 2], [4, 4]]  # steps 12 and 24 of episodes of 5


# ---------------------------------------------------------------- what callbacks change


@pytest.mark.parametrize("native", [False, True])
def test_parameters_changed_at_a_step_play_from_the_next_action_on(native: bool) -> None:
    class Narrows(BaseCallback):
        def _on_step(self) -> bool:
            self.model.policy.log_std.data.fill_(-20.0)  # type: ignore[union-attr, operator]
            with th.no_grad():
                for parameter in self.model.policy.action_net.parameters():  # type: ignore[union-attr]
                    parameter.zero_()
                self.model.policy.value_net.bias.fill_(float(self.n_calls))  # type: ignore[union-attr]
                self.model.policy.value_net.weight.zero_()  # type: ignore[union-attr]
            return True

    model = SpecPPO("MlpPolicy", made("Pendulum-v1", native), **SMALL, backend="compiled")
    model.learn(N_STEPS * N_ENVS, Narrows())
    values = model.rollout_buffer.values.reshape(N_ENVS, N_STEPS)
    np.testing.assert_array_equal(values[:, 1:], [np.arange(1.0, N_STEPS)] * N_ENVS)
    assert abs(model.rollout_buffer.actions.reshape(N_ENVS, N_STEPS)[:, 1:]).max() < 1e-6


@pytest.mark.parametrize("every", [True, False])
def test_a_head_exchanged_at_a_step_plays_from_the_next_action_on(every: bool) -> None:
    class Exchanges(BaseCallback):
        every_step = every

        def _on_step(self) -> bool:
            if self.n_calls == 1:
                fresh = th.nn.Linear(64, 2)
                th.nn.init.zeros_(fresh.weight)
                th.nn.init.constant_(fresh.bias, 0.7)
                self.model.policy.action_net = fresh
                self.model.policy.value_net.bias = th.nn.Parameter(th.tensor([50.0]))  # type: ignore[union-attr]
            return True

    model = SpecPPO("MlpPolicy", made("CartPole-v1", True), **SMALL, backend="compiled")
    _, callback = model._setup_learn(100, Exchanges())
    buffer = model.rollout_buffer
    assert model.collect_rollouts(model.get_env(), callback, buffer, N_STEPS)  # type: ignore[arg-type]
    assert (buffer.pos, model.num_timesteps) == (N_STEPS, N_STEPS * N_ENVS)
    np.testing.assert_allclose(buffer.log_probs[1:], np.log(0.5), rtol=1e-6)  # two equal logits
    assert buffer.values[0].max() < 10.0 < 40.0 < buffer.values[1:].min()


def test_rewards_changed_at_a_step_are_learned_from() -> None:
    class Shapes(BaseCallback):
        def _on_step(self) -> bool:
            self.locals["rewards"] += 100.0
            return True

    model = SpecPPO("MlpPolicy", made("CartPole-v1"), **SMALL, backend="compiled")
    model.learn(N_STEPS * N_ENVS, Shapes())
    assert model.rollout_buffer.rewards.min() > 100.0


# ---------------------------------------------------------------- stopping, and going on


class _Stops(BaseCallback):
    def __init__(self, after: int, every: bool) -> None:
        super().__init__()
        self.after, self.every_step = after, every
        self.seen: list[Any] = []

    def _on_step(self) -> bool:
        self.seen = [np.array(self.locals["new_obs"]), np.array(self.model._last_obs)]
        return self.n_calls < self.after


@pytest.mark.parametrize(
    ("native", "after", "every"),
    [(False, 7, True), (True, 7, True), (False, 1, False), (True, 1, False)],
)
def test_after_a_stop_learning_goes_on_where_sb3_goes_on(
    native: bool, after: int, every: bool
) -> None:
    def stopped(model: Any) -> tuple[Any, ...]:
        model.learn(2 * N_STEPS * N_ENVS, stops := _Stops(after, every))
        new_obs, before = stops.seen
        np.testing.assert_array_equal(model._last_obs, before)  # not the newest: as SB3 leaves it
        moved = not np.array_equal(new_obs, before)
        buffer = model.rollout_buffer
        left = (buffer.pos, buffer.full, model.num_timesteps, model._n_updates, moved)
        model.learn(N_STEPS * N_ENVS, reset_num_timesteps=False)
        first = buffer.observations.reshape(N_ENVS, N_STEPS, -1)[:, 0]
        np.testing.assert_array_equal(first, before.reshape(N_ENVS, -1))
        return (*left, model.num_timesteps, model._n_updates)

    ours = SpecPPO("MlpPolicy", made("CartPole-v1", native), **SMALL, backend="compiled")
    assert stopped(ours) == stopped(PPO("MlpPolicy", made("CartPole-v1"), **SMALL))


# ---------------------------------------------------------------- what is logged


class _Restless(gym.Wrapper[Any, Any, Any, Any]):
    """Goes on by itself where an episode ends, as an outer wrapper may; infos tell of the end."""

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            observation, _ = self.env.reset()
        return observation, reward, False, False, info


@pytest.mark.parametrize("wrap", [lambda env: env, VecCheckNan])
def test_statistics_that_come_in_mid_episode_are_noted(wrap: Callable[[VecEnv], VecEnv]) -> None:
    def one() -> Any:
        return _Restless(gym.wrappers.RecordEpisodeStatistics(gym.make("CartPole-v1", **LIMIT)))

    def noted(algorithm: Any, **kwargs: Any) -> list[float]:
        env = wrap(make_vec_env(one, N_ENVS, seed=0, monitor_dir=None))
        model = algorithm("MlpPolicy", env, **SMALL, **kwargs).learn(4 * N_STEPS * N_ENVS)
        return [float(np.ravel(episode["r"])[0]) for episode in model.ep_info_buffer]

    expected = noted(PPO)
    assert expected == [5.0] * len(expected)
    assert noted(SpecPPO, backend="compiled") == expected != []
