"""Items 4, 7, 15 and 24 (stepping) of issue 13. Run from the root of a checkout."""

import os
import sys
import warnings

sys.path.insert(0, os.getcwd())
warnings.simplefilter("ignore")

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from gymnasium.envs.classic_control.acrobot import AcrobotEnv
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

import ppo_lab
from ppo_lab import SpecPPO
from ppo_lab.runs.environments import inspect_environment
from ppo_lab.vec_env import make_native_vec_env
from ppo_lab.vec_env.compiled import CompiledVecEnv, has_world

print("ppo_lab of", os.path.dirname(ppo_lab.__file__))
th.set_num_threads(1)
SMALL = {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "device": "cpu", "seed": 0}
failed = 0


def show(name, check):
    global failed
    try:
        ok, said = check(), ""
        ok, said = ok if isinstance(ok, tuple) else (ok, "")
    except Exception as error:
        ok, said = False, f"{type(error).__name__}: {' '.join(str(error).split())[:90]}"
    failed += not ok
    print("PASS" if ok else "FAIL", name, said)


def refuses(call, words=""):
    def check():
        try:
            call()
        except Exception as error:
            return words in str(error), " ".join(str(error).split())[:110]
        return False, "nothing was said"

    return check


def registered(factory, **kwargs):
    name = f"show/E{len(gym.registry)}-v0"
    gym.register(name, factory, max_episode_steps=500, **kwargs)
    return name


def changed(kind, name, value):
    def make():
        env = kind()
        setattr(env, name, value)
        return env

    return make


print("--- 4. replaced physics")
for kind, name, value in [
    (CartPoleEnv, "gravity", 60.0), (CartPoleEnv, "tau", 0.05), (CartPoleEnv, "kinematics_integrator", "semi"),
    (CartPoleEnv, "x_threshold", 1.0), (PendulumEnv, "m", 2.0), (AcrobotEnv, "book_or_nips", "nips"),
    (AcrobotEnv, "torque_noise_max", 1.0), (CartPoleEnv, "step", lambda a: None),
]:  # fmt: skip
    show(
        f"a factory's {kind.__name__}.{name}",
        lambda: not has_world(registered(changed(kind, name, value))),
    )


def scored():
    env_id = registered(changed(CartPoleEnv, "gravity", 60.0))
    from ppo_lab.runs.config import Evaluation, RunConfig
    from ppo_lab.runs.sb3_training import training_recipe

    config = RunConfig("spec_ppo", env_id, 0, 64, 2, "MlpPolicy", {}, Evaluation(2, 0))
    env = training_recipe(config).make(2, 3)
    truth = changed(CartPoleEnv, "gravity", 60.0)()
    env.reset(), truth.reset(seed=3)
    return bool(np.array_equal(env.step(np.array([1, 1]))[0][0], truth.step(1)[0]))


show("a run on CartPole under gravity 60 steps that CartPole", scored)


def patched_class():
    original = CartPoleEnv.step
    CartPoleEnv.step = lambda self, action: original(self, 1 - action)
    try:
        return not has_world("CartPole-v1")
    finally:
        CartPoleEnv.step = original


show("CartPoleEnv.step patched", patched_class)


def later():
    env = CompiledVecEnv("CartPole-v1", 2, seed=0)
    env.reset()
    env.get_attr("unwrapped")[0].gravity = 60.0
    env.step(np.array([0, 1]))


show("gravity changed after the making", refuses(later, "gravity"))


def varied():
    gravities = iter([9.8, 9.8, 60.0, 60.0, 60.0, 60.0])
    return CompiledVecEnv(registered(lambda: changed(CartPoleEnv, "gravity", next(gravities))()), 4)


show("a factory that varies", refuses(varied, "gravity"))
show(
    "random maps differ",
    refuses(lambda: CompiledVecEnv("FrozenLake-v1", 5, map_name=None), "differ"),
)

print("--- 7. callbacks")


class Keys(BaseCallback):
    def _on_training_start(self):
        self.keys = {}

    def _on_step(self):
        return True

    def _on_rollout_end(self):
        self.keys = {
            k: tuple(v.shape) if hasattr(v, "shape") else None for k, v in self.locals.items()
        }
        self.keys["pos"] = self.model.rollout_buffer.pos


class EveryKeys(Keys):
    def _on_step(self):
        buffer = self.model.rollout_buffer
        self.model.at = getattr(self.model, "at", [])
        self.model.at.append(
            (
                buffer.pos,
                np.array(self.model._last_obs).sum(),
                tuple(self.locals["obs_tensor"].shape),
            )
        )
        return True


def same_keys(make, env_id, kind):
    def check():
        cut = {"max_episode_steps": 5}
        ours, theirs = kind(), kind()
        theirs_model = PPO("MlpPolicy", make_vec_env(env_id, 2, env_kwargs=cut), **SMALL)
        theirs_model.learn(32, theirs)
        env = (
            make_native_vec_env(env_id, 2, **cut)
            if make
            else make_vec_env(env_id, 2, env_kwargs=cut)
        )
        model = SpecPPO("MlpPolicy", env, backend="compiled", **SMALL).learn(32, ours)
        wrong = {
            k for k in theirs.keys if k != "tb_log_name" and ours.keys.get(k, 0) != theirs.keys[k]
        }
        if kind is EveryKeys and [a[0] for a in model.at] != [a[0] for a in theirs_model.at]:
            wrong.add("pos at each step")
        if kind is EveryKeys and [a[2] for a in model.at] != [a[2] for a in theirs_model.at]:
            wrong.add("obs_tensor at each step")
        return not wrong, str(sorted(wrong)) if wrong else ""

    return check


for env_id in ("CartPole-v1", "FrozenLake-v1"):
    for native in (False, True):
        for kind in (Keys, EveryKeys):
            show(
                f"{env_id}, native={native}, {kind.__name__}: all of SB3's locals",
                same_keys(native, env_id, kind),
            )


class Fills(BaseCallback):
    def _on_step(self):
        with th.no_grad():
            self.model.policy.value_net.weight.zero_()
            self.model.policy.value_net.bias.fill_(float(self.n_calls))
        return True


def in_place():
    model = SpecPPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", 1),
        backend="compiled",
        **{**SMALL, "batch_size": 16},
    )
    model.learn(16, Fills())
    return model.rollout_buffer.values.ravel()[1:].tolist() == [float(n) for n in range(1, 16)]


show("parameters changed inside _on_step", in_place)


class Stops(BaseCallback):
    def _on_step(self):
        self.expected = self.newest if self.n_calls > 1 else np.array(self.model._last_obs)
        self.newest = np.array(self.locals["new_obs"])
        return self.n_calls < 7


def goes_on(algorithm, env, **kwargs):
    """SB3 goes on from the observation before the last step: the newest of the step before."""
    model = algorithm("MlpPolicy", env, **SMALL, **kwargs)
    model.learn(64, stops := Stops())
    model.learn(32, reset_num_timesteps=False)
    first = model.rollout_buffer.observations.reshape(2, 16, -1)[:, 0]
    return np.array_equal(first, stops.expected)


for make in (make_vec_env, make_native_vec_env):
    show("(SB3's PPO: a stop and learn again)", lambda: goes_on(PPO, make("CartPole-v1", 2)))
    show(
        "a stop and learn again",
        lambda: goes_on(SpecPPO, make("CartPole-v1", 2), backend="compiled"),
    )


def patched_on_step():
    seen = []
    keys = Keys()
    keys._on_step = lambda: seen.append(1) or True
    SpecPPO("MlpPolicy", make_vec_env("CartPole-v1", 2), backend="compiled", **SMALL).learn(
        32, keys
    )
    return len(seen) == 16, f"called {len(seen)} times of 16"


show("_on_step patched on the object", patched_on_step)


class Env(gym.Env):
    def __init__(self, seen=spaces.Box(-9, 9, (3,)), done=spaces.Discrete(2), odd=None, last=None):
        self.observation_space, self.action_space, self.odd, self.last = seen, done, odd, last

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(np.asarray(action)) or True
        self.at += 1
        shown = {3: self.odd, 5: self.last}.get(self.at)
        return (
            self.observation_space.sample() if shown is None else shown,
            1.0,
            False,
            self.at == 5,
            {},
        )


print("--- 15. Discrete(start)")
for what, kwargs in {
    "actions": {"done": spaces.Discrete(3, start=1)},
    "observations": {"seen": spaces.Discrete(3, start=1)},
    "MultiDiscrete": {"done": spaces.MultiDiscrete([2, 3], start=[0, 2])},
}.items():
    for backend in ("torch", "auto"):
        show(
            f"{what} elsewhere are refused at construction ({backend})",
            refuses(
                lambda: SpecPPO(
                    "MlpPolicy", make_vec_env(lambda: Env(**kwargs), 2), backend=backend, **SMALL
                ),
                "starts at",
            ),
        )
    env_id = registered(lambda: Env(**kwargs))
    for algo in ("spec_ppo", "ppo"):
        show(
            f"{what}: the commands refuse it ({algo})",
            refuses(lambda: inspect_environment(env_id, {}, algo), "starts at"),
        )

print("--- 24. stepping")
for what, kwargs, words in [
    ("a cut at another shape", {"last": np.zeros(2, np.float32)}, "shape"),
    ("a cut at a longer shape", {"last": np.zeros(9, np.float32)}, "shape"),
    ("Discrete -1", {"seen": spaces.Discrete(5), "odd": -1}, "environment"),
    ("Discrete n", {"seen": spaces.Discrete(5), "odd": 5}, "environment"),
    ("Discrete -1 at a cut", {"seen": spaces.Discrete(5), "last": -1}, "environment"),
]:
    for backend in ("torch", "compiled"):
        show(
            f"{what} ({backend})",
            refuses(
                lambda: SpecPPO(
                    "MlpPolicy", make_vec_env(lambda: Env(**kwargs), 2), backend=backend, **SMALL
                ).learn(64),
                words,
            ),
        )

print(f"{failed} failed")
sys.exit(bool(failed))
