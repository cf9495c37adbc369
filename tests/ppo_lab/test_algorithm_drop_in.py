"""Replacing PPO by SpecPPO changes nothing but the class name: SB3's PPO beside it.

By torch, where the same seed gives the same numbers; compiled/test_path.py has the kernels' side.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    EveryNTimesteps,
    ProgressBarCallback,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import configure
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError

Algorithm = type[PPO] | type[SpecPPO]
SMALL: dict[str, Any] = {"n_steps": 32, "batch_size": 32, "n_epochs": 2, "device": "cpu", "seed": 5}


def cartpole(n_envs: int = 2) -> VecEnv:
    return make_vec_env("CartPole-v1", n_envs, seed=2)


def small(algorithm: Algorithm = SpecPPO, env: Any = None, **kwargs: Any) -> Any:
    settings = SMALL | ({"backend": "torch"} if algorithm is SpecPPO else {}) | kwargs
    return algorithm("MlpPolicy", cartpole() if env is None else env, **settings)


def assert_equal_states(actual: Any, expected: Any, where: str = "") -> None:
    """Equal to the last bit, through dictionaries and lists of tensors."""
    assert type(actual) is type(expected), where
    if isinstance(expected, dict):
        assert list(actual) == list(expected), where
        for key, value in expected.items():
            assert_equal_states(actual[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        for index, (one, other) in enumerate(zip(actual, expected, strict=True)):
            assert_equal_states(one, other, f"{where}[{index}]")
    elif isinstance(expected, th.Tensor):
        assert th.equal(actual, expected), where
    else:
        assert actual == expected, where


def test_constructor_begins_with_every_argument_of_ppo_in_its_order_with_its_default() -> None:
    theirs = list(inspect.signature(PPO).parameters.values())
    ours = list(inspect.signature(SpecPPO).parameters.values())
    for expected, actual in zip(theirs, ours, strict=False):
        assert (actual.name, actual.kind) == (expected.name, expected.kind)
        assert actual.default == expected.default, actual.name
    assert all(p.kind is p.KEYWORD_ONLY for p in ours[len(theirs) :])
    assert all(p.default is not p.empty for p in ours[len(theirs) :])


@pytest.mark.parametrize(
    "method", ["learn", "predict", "save", "load", "set_parameters", "set_env"]
)
def test_methods_take_the_arguments_of_ppo(method: str) -> None:
    theirs = inspect.signature(getattr(PPO, method)).parameters
    ours = inspect.signature(getattr(SpecPPO, method)).parameters
    assert list(ours) == [*theirs, *(["action_masks"] if method == "predict" else [])]
    defaults = {n: p.default for n, p in theirs.items() if n != "tb_log_name"}
    assert {n: ours[n].default for n in defaults} == defaults
    assert all(ours[name].default is None for name in ours.keys() - theirs.keys())


class _LocalsKeys(BaseCallback):
    """Records the names that a callback can read at each of its hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, set[str]] = {}
        self.initialised = 0

    def _init_callback(self) -> None:
        self.initialised += 1

    def _on_training_start(self) -> None:
        self.seen["training_start"] = set(self.locals)

    def _on_step(self) -> bool:
        self.seen["step"] = set(self.locals)
        return True

    def _on_rollout_end(self) -> None:
        self.seen["rollout_end"] = set(self.locals)

    def _on_training_end(self) -> None:
        self.seen["training_end"] = set(self.locals)


def test_callbacks_see_the_same_locals_as_with_ppo() -> None:
    theirs, ours = _LocalsKeys(), _LocalsKeys()
    small(PPO).learn(64, theirs)
    small().learn(64, ours)
    assert ours.seen == theirs.seen
    assert {"infos", "rewards", "dones", "new_obs", "actions"} <= ours.seen["step"]


def test_a_callback_is_initialised_once() -> None:
    callback = _LocalsKeys()
    small().learn(64, callback)
    assert callback.initialised == 1


def _evaluation(folder: Path) -> EvalCallback:
    return EvalCallback(
        make_vec_env("CartPole-v1", 1, seed=9),
        eval_freq=32,
        n_eval_episodes=2,
        log_path=str(folder),
        best_model_save_path=str(folder),
        callback_on_new_best=StopTrainingOnRewardThreshold(12.0, verbose=0),
        callback_after_eval=StopTrainingOnNoModelImprovement(1, 1, verbose=0),
        verbose=0,
        warn=False,
    )


def _list(folder: Path) -> list[BaseCallback]:
    return [
        CheckpointCallback(50, str(folder)),
        CallbackList([EveryNTimesteps(100, CheckpointCallback(1, str(folder), "every"))]),
    ]


CALLBACKS: dict[str, Callable[[Path], Any]] = {
    "evaluation that stops training": _evaluation,
    "a list of checkpoints": _list,
    "a function": lambda _: lambda locals_, _: locals_["self"].num_timesteps < 200,
}


@pytest.mark.parametrize("make", CALLBACKS.values(), ids=CALLBACKS.keys())
def test_callbacks_do_the_same_as_with_ppo(make: Callable[[Path], Any], tmp_path: Path) -> None:
    outcome = []
    for algorithm in (PPO, SpecPPO):
        folder = tmp_path / algorithm.__name__
        folder.mkdir()
        model = small(algorithm).learn(640, make(folder))
        files = sorted(path.name for path in folder.iterdir())
        results = folder / "evaluations.npz"
        scores = np.load(results)["results"].tolist() if results.exists() else None
        outcome.append((model.num_timesteps, model._n_updates, files, scores))
    assert outcome[1] == outcome[0]
    # Each did something: it stopped before the end, or it wrote.
    assert outcome[1][0] < 640 or outcome[1][2]


@pytest.mark.filterwarnings("ignore:rich is experimental")
@pytest.mark.parametrize("as_argument", [True, False])
def test_progress_bar_counts_to_the_end(
    as_argument: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if as_argument:
        small().learn(128, progress_bar=True)
    else:
        small().learn(128, ProgressBarCallback())
    assert "128/128" in capsys.readouterr().out


def test_predictions_are_those_of_ppo() -> None:
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    actions = []
    for algorithm in (PPO, SpecPPO):
        model = small(algorithm).learn(64)
        th.manual_seed(0)
        greedy, state = model.predict(observations, deterministic=True)
        sampled, _ = model.predict(observations)
        assert state is None
        actions.append((greedy, sampled))
    np.testing.assert_array_equal(actions[1][0], actions[0][0])
    np.testing.assert_array_equal(actions[1][1], actions[0][1])


def test_the_same_seed_repeats_bit_for_bit() -> None:
    settings: dict[str, Any] = {
        "objective": "adaptive_kl",
        "advantage_estimator": "nstep",
        "critic_learning_rate": 1e-3,
    }
    first, second = (small(**settings).learn(192) for _ in range(2))
    assert_equal_states(second.get_parameters(), first.get_parameters())
    assert second.kl_coef == first.kl_coef


def test_another_seed_gives_other_parameters() -> None:
    first, second = small(seed=5).learn(64), small(seed=6).learn(64)
    ours, others = (m.policy.action_net.weight for m in (first, second))
    assert not th.equal(ours, others)


RESUMED: dict[str, dict[str, Any]] = {
    "PPO's own settings": {},
    "two learning rates": {"critic_learning_rate": "lin_0.002", "critic_max_grad_norm": 0.1},
    "adaptive β": {"objective": "adaptive_kl", "kl_coef": 3.0, "desired_kl": 1e-3},
    "adaptive ε": {"adaptive_clip_range": (0.05, 0.4), "desired_kl": 1e-3},
    "another estimator": {"advantage_estimator": "mc", "use_baseline": False},
}


@pytest.mark.parametrize("settings", RESUMED.values(), ids=RESUMED.keys())
def test_learning_after_a_load_equals_learning_in_one_go(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    whole = small(**settings).learn(192)
    whole.save(tmp_path / "killed.zip")
    loaded = SpecPPO.load(tmp_path / "killed.zip", env=cartpole(), device="cpu")
    assert_equal_states(loaded.get_parameters(), whole.get_parameters())
    whole.set_env(cartpole())
    for model in (whole, loaded):
        # SB3's load seeds the global generators anew; the environments start afresh in both.
        model.set_random_seed(7)
        model.learn(192, reset_num_timesteps=False)
    assert loaded.num_timesteps == 384
    assert_equal_states(loaded.get_parameters(), whole.get_parameters())
    assert loaded.kl_coef == whole.kl_coef
    assert loaded._adapted_clip_range == whole._adapted_clip_range


def test_adapted_beta_and_epsilon_survive_a_save(tmp_path: Path) -> None:
    for settings, name, initial in (
        (RESUMED["adaptive β"], "kl_coef", 3.0),
        (RESUMED["adaptive ε"], "_adapted_clip_range", 0.2),
    ):
        model = small(**settings).learn(192)
        model.save(tmp_path / "model.zip")
        loaded = SpecPPO.load(tmp_path / "model.zip")
        assert getattr(loaded, name) == getattr(model, name) != initial


def test_load_takes_custom_objects_device_and_new_arguments(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    small().learn(64).save(path)
    custom = {"learning_rate": "lin_0.5", "clip_range": 0.3, "lr_schedule": None}
    loaded = SpecPPO.load(path, custom_objects=custom, device="cpu", critic_learning_rate=0.25)
    assert loaded.device == th.device("cpu")
    assert (loaded.lr_schedule(0.5), loaded.critic_lr_schedule(0.5)) == (0.25, 0.25)
    assert loaded.clip_range(0.9) == 0.3
    assert loaded.n_steps == 32


def test_load_refuses_arguments_that_the_constructor_would_refuse(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    small().save(path)
    with pytest.raises(ArgumentError, match="n_step=0"):
        SpecPPO.load(path, n_step=0)


@pytest.mark.parametrize("force_reset", [True, False])
def test_load_resets_the_environment_only_if_told_to(force_reset: bool, tmp_path: Path) -> None:
    env = cartpole()
    model = small(env=env).learn(64)
    model.save(tmp_path / "model.zip")
    loaded = SpecPPO.load(tmp_path / "model.zip", env=env, force_reset=force_reset)
    assert (loaded._last_obs is None) is force_reset


def test_parameters_move_from_one_model_to_another() -> None:
    source, target = small().learn(64), small(seed=6)
    target.set_parameters(source.get_parameters())
    assert_equal_states(target.get_parameters(), source.get_parameters())
    weights = {"policy": small(seed=8).get_parameters()["policy"]}
    with pytest.raises(ValueError, match="do not match"):
        target.set_parameters(weights)
    target.set_parameters(weights, exact_match=False)
    assert_equal_states(target.policy.state_dict(), weights["policy"])


def test_set_env_and_set_logger_work_as_with_ppo(tmp_path: Path) -> None:
    weights = []
    for algorithm in (PPO, SpecPPO):
        model = small(algorithm).learn(64)
        folder = tmp_path / algorithm.__name__
        model.set_logger(configure(str(folder), ["csv"]))
        model.set_env(make_vec_env("CartPole-v1", 2, seed=11))
        model.learn(128, reset_num_timesteps=False)
        assert "train/approx_kl" in (folder / "progress.csv").read_text()
        model.logger.close()
        weights.append(model.policy.state_dict())
    assert_equal_states(weights[1], weights[0])
    with pytest.raises(AssertionError, match="number of environments"):
        model.set_env(cartpole(3))


class _OwnPolicy(ActorCriticPolicy):
    """A user's policy on SB3's base class."""


def test_a_policy_on_sb3s_base_class_trains_as_with_ppo() -> None:
    weights = []
    for algorithm in (PPO, SpecPPO):
        model = algorithm(_OwnPolicy, cartpole(), **SMALL).learn(192)
        weights.append(model.get_parameters())
    assert_equal_states(weights[1], weights[0])


@pytest.mark.parametrize("argument", ["critic_learning_rate", "critic_max_grad_norm"])
def test_the_critics_own_arguments_need_a_policy_with_two_optimisers(argument: str) -> None:
    with pytest.raises(ArgumentError, match=f"{argument} with policy _OwnPolicy.*SpecActorCritic"):
        SpecPPO(_OwnPolicy, cartpole(), **SMALL, **{argument: 0.1})


# ---------------------------------------------------------------- models that SB3's PPO saved

PPO_MODELS: dict[str, dict[str, Any]] = {
    "separate networks": {},
    "a Gaussian's log std": {"env": "Pendulum-v1"},
    "gSDE": {"env": "Pendulum-v1", "use_sde": True},
    "RMSprop": {"policy_kwargs": {"optimizer_class": th.optim.RMSprop}},
    "own networks": {"policy_kwargs": {"net_arch": {"pi": [8], "vf": [16, 4]}}},
    "schedules": {"learning_rate": lambda progress: 1e-3 * progress, "clip_range_vf": 0.3},
}


def _environment(name: str) -> VecEnv:
    env = make_vec_env(name, 2, seed=2)
    return VecNormalize(env) if name == "Pendulum-v1" else env


@pytest.mark.parametrize("way", ["load", "set_parameters of a file", "set_parameters of a model"])
@pytest.mark.parametrize("settings", PPO_MODELS.values(), ids=PPO_MODELS.keys())
def test_a_model_of_ppo_goes_on_learning_bit_for_bit(
    settings: dict[str, Any], way: str, tmp_path: Path
) -> None:
    settings = dict(settings)
    name = settings.pop("env", "CartPole-v1")
    trained = small(PPO, _environment(name), **settings).learn(192)
    path = tmp_path / "ppo.zip"
    trained.save(path)
    reference = PPO.load(path, env=_environment(name), device="cpu")
    if way == "load":
        ours = SpecPPO.load(path, env=_environment(name), device="cpu", backend="torch")
    else:
        ours = small(SpecPPO, _environment(name), **settings)
        ours.set_parameters(path if way.endswith("file") else PPO.load(path).get_parameters())
        ours.num_timesteps, ours._n_updates = reference.num_timesteps, reference._n_updates
    assert_equal_states(ours.policy.state_dict(), reference.policy.state_dict())
    assert len(ours.get_parameters()) == 3  # both optimisers
    for model in (reference, ours):
        model.set_random_seed(7)
        model.learn(128, reset_num_timesteps=False)
    assert_equal_states(ours.policy.state_dict(), reference.policy.state_dict())


def test_loading_ppos_file_makes_the_estimators_and_the_critics_arguments_available(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ppo.zip"
    small(PPO).learn(64).save(path)
    loaded = SpecPPO.load(
        path, env=cartpole(), advantage_estimator="mc", critic_learning_rate=1e-2
    ).learn(64)
    assert loaded.rollout_buffer.advantage_estimator == "mc"
    assert loaded.policy.critic_optimizer.param_groups[0]["lr"] == 1e-2


def test_a_registered_environments_name_is_enough() -> None:
    model = SpecPPO("MlpPolicy", "CartPole-v1", **SMALL).learn(32)
    assert isinstance(model.get_env(), VecEnv)
    assert model.predict(gym.make("CartPole-v1").reset(seed=0)[0])[0] in (0, 1)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch's own
def test_model_with_a_compiled_policy_keeps_both_optimisers_in_its_file(tmp_path: Path) -> None:
    """SB3 #2137: ``torch.compile`` puts the policy in another class (nothing is compiled here)."""
    model = SpecPPO("MlpPolicy", "CartPole-v1", n_steps=64, seed=0, device="cpu").learn(64)
    moments = model.policy.critic_optimizer.state_dict()["state"]
    model.policy = th.compile(model.policy)
    model.save(tmp_path / "compiled.zip")
    loaded = SpecPPO.load(tmp_path / "compiled.zip", device="cpu")
    for index, state in loaded.policy.critic_optimizer.state_dict()["state"].items():
        assert th.equal(state["exp_avg"], moments[index]["exp_avg"])
    assert len(moments) == 6  # two hidden layers and the head, weight and bias each
