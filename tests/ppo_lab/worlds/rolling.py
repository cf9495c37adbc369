"""A policy for a compiled environment, and SB3's loops over it written with the kernels."""

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer

from ppo_lab.kernels.acting import act, predict_values
from ppo_lab.kernels.layout import Layout

GAMMA = 0.9


def layout_of(env, hidden=(8,)):
    action, observed = env.action_space, env.observation_space
    inputs = observed.n if isinstance(observed, spaces.Discrete) else observed.shape[0]
    discrete = isinstance(action, spaces.Discrete)
    sizes = (int(action.n),) if discrete else action.shape
    head = "categorical" if discrete else "gaussian"
    return Layout(int(inputs), hidden, hidden, "tanh", head, sizes)


def features_of(env, observations):
    if isinstance(env.observation_space, spaces.Discrete):
        return np.eye(env.observation_space.n, dtype=np.float32)[observations]
    return np.ascontiguousarray(observations)


def noise_for(layout, n_steps, n_copies, seed=0):
    rng = np.random.default_rng(seed)
    shape = (n_steps, n_copies, layout.n_actions)
    return rng.standard_normal(shape) if layout.head == "gaussian" else rng.random(shape)


def buffer_for(env, n_steps):
    return RolloutBuffer(
        n_steps, env.observation_space, env.action_space, "cpu", n_envs=env.num_envs
    )


def parameters(layout, scale=0.3):
    rng = np.random.default_rng(5)
    return (scale * rng.standard_normal(layout.n_parameters)).astype(np.float32)


def stepped(env, layout, params, observations, starts, noise, buffer):
    """SB3's collect_rollouts with the kernel's choice of action; the episodes that ended."""
    K = env.num_envs
    work, ended = layout.workspace(K), []
    for t, row in enumerate(noise):
        actions = np.zeros((K, layout.n_actions), layout.action_dtype)
        values, log_probs = np.zeros(K, np.float32), np.zeros(K, np.float32)
        act(
            params, layout, features_of(env, observations), row, work,
            actions, values, log_probs,
        )  # fmt: skip
        if layout.head == "gaussian":
            moves = np.clip(actions, env.action_space.low, env.action_space.high)
        else:
            moves = actions[:, 0]
        buffer.observations[t] = observations.reshape(buffer.observations[t].shape)
        buffer.actions[t], buffer.episode_starts[t] = actions, starts
        buffer.values[t], buffer.log_probs[t] = values, log_probs
        observations, buffer.rewards[t], starts, infos = env.step(moves)
        for copy, info in enumerate(infos):
            if "episode" in info:
                episode, cut = info["episode"], info["TimeLimit.truncated"]
                ended.append((t, copy, episode["r"], episode["l"], cut))
            if info["TimeLimit.truncated"]:
                value = np.zeros(1, np.float32)
                last = features_of(env, info["terminal_observation"][None])
                predict_values(params, layout, last, work, value)
                buffer.rewards[t, copy] += np.float32(GAMMA) * value[0]
    return observations, starts, ended


class Best:
    """The likeliest action by plain NumPy, for SB3's evaluate_policy."""

    def __init__(self, env, layout, params):
        self.env, self.layout, self.params = env, layout, params

    def predict(self, observations, state=None, episode_start=None, deterministic=False):
        assert deterministic
        tensors = {
            place.role: self.params[place.start : place.stop].reshape(place.shape)
            for place in self.layout.places()
        }
        hidden = features_of(self.env, observations)
        for index in range(len(self.layout.actor)):
            weight, bias = (tensors["actor", index, kind] for kind in ("weight", "bias"))
            hidden = np.tanh(hidden @ weight.T + bias)
        last = len(self.layout.actor)
        weight, bias = (tensors["actor", last, kind] for kind in ("weight", "bias"))
        outputs = hidden @ weight.T + bias
        if self.layout.head == "gaussian":
            space = self.env.action_space
            return np.clip(outputs, space.low, space.high), state
        return outputs.argmax(axis=1), state
