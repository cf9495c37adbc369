"""Settings that change on the way: as SB3's own schedules do it, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import yaml
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize
from torch.nn.utils import parameters_to_vector

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.runs.scheduled_settings import NAME, ScheduledSettings, change_settings
from ppo_lab.train import main as train

SMALL: dict[str, Any] = {
    "n_steps": 32,
    "batch_size": 32,
    "n_epochs": 2,
    "seed": 3,
    "learning_rate": 0.01,  # so that clipping binds
}
STEPS = 128


def piecewise(early: float, late: float) -> Callable[[float], float]:
    """SB3's schedule with one value before the middle and another after it.

    SB3 asks for it after a rollout: the second of four ends where half remains.
    """
    return lambda progress: early if progress >= 0.5 else late


def parameters(model: Any) -> Any:
    return parameters_to_vector(model.policy.parameters()).detach().numpy()


def trained(kind: Any, callback: Any = None, **more: Any) -> Any:
    env = make_vec_env("CartPole-v1", 1, seed=3)
    model = kind("MlpPolicy", env, device="cpu", **{**SMALL, **more})
    return parameters(model.learn(STEPS, callback))


@pytest.mark.parametrize(
    ("kind", "more"),
    [(PPO, {}), (SpecPPO, {"backend": "compiled"})],
    ids=["ppo", "compiled"],
)
@pytest.mark.parametrize(
    ("name", "early", "late"), [("learning_rate", 1e-3, 1e-4), ("clip_range", 0.05, 0.001)]
)
def test_pieces_are_what_a_schedule_of_sb3s_gives_bit_for_bit(
    kind: Any, more: dict[str, Any], name: str, early: float, late: float
) -> None:
    pieces = ScheduledSettings([0, STEPS // 2], [{name: early}, {name: late}])
    ours = trained(kind, pieces, **more)
    np.testing.assert_array_equal(ours, trained(kind, **more, **{name: piecewise(early, late)}))
    assert not np.array_equal(ours, trained(kind, **more, **{name: early}))


def test_the_critics_learning_rate_follows_its_own_pieces() -> None:
    more = {"backend": "torch", "critic_learning_rate": 1e-2}
    pieces = [{"critic_learning_rate": 1e-2}, {"critic_learning_rate": 1e-3}]
    ours = trained(SpecPPO, ScheduledSettings([0, STEPS // 2], pieces), **more)
    theirs = trained(SpecPPO, backend="torch", critic_learning_rate=piecewise(1e-2, 1e-3))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("backend", [pytest.param("torch", marks=pytest.mark.slow), "compiled"])
def test_every_setting_that_can_change_is_the_one_that_the_update_uses(backend: str) -> None:
    """From step 0 on it is a run that was told so at once; the discount in the buffer too."""
    for settings in (
        {"gamma": 0.9, "gae_lambda": 0.5},
        {"ent_coef": 0.1, "vf_coef": 0.1, "max_grad_norm": 0.01},
        {"n_epochs": 3, "batch_size": 16},
        {"target_kl": 1e-9},
        {"clip_range_vf": 0.1, "critic_max_grad_norm": 0.01},
    ):
        changed = trained(SpecPPO, ScheduledSettings([0], [settings]), backend=backend)
        np.testing.assert_array_equal(changed, trained(SpecPPO, backend=backend, **settings))
        assert not np.array_equal(changed, trained(SpecPPO, backend=backend))


def test_sb3s_other_algorithms_change_too() -> None:
    env = make_vec_env("CartPole-v1", 1, seed=3)
    model = A2C("MlpPolicy", env, device="cpu", seed=3)
    change_settings(model, {"gae_lambda": 0.8, "learning_rate": "lin_0.001", "gamma": 0.9})
    assert (model.gae_lambda, model.rollout_buffer.gae_lambda) == (0.8, 0.8)
    assert (model.gamma, model.rollout_buffer.gamma) == (0.9, 0.9)
    assert model.lr_schedule(0.5) == pytest.approx(0.0005)


def test_the_normaliser_discounts_as_the_algorithm_does() -> None:
    env = VecNormalize(make_vec_env("CartPole-v1", 1, seed=3), gamma=0.99)
    model = PPO("MlpPolicy", env, device="cpu", **SMALL)
    change_settings(model, {"gamma": 0.9})
    assert env.gamma == 0.9


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (PPO, {"n_steps": 64}, r"n_steps cannot change while PPO trains; what can: learning_rate"),
        (PPO, {"critic_learning_rate": 0.1}, r"critic_learning_rate cannot change while PPO"),
        (SpecPPO, {"gamma": 2.0}, r"gamma=2.0: expected a number in 0…1"),
        (SpecPPO, {"clip_range": -1}, r"clip_range=-1: expected a finite number ≥ 0"),
        (SpecPPO, {"batch_size": 64}, r"batch_size=64 is larger than the rollout"),
    ],
)
def test_what_cannot_change_is_refused(kind: Any, settings: Any, message: str) -> None:
    model = kind("MlpPolicy", gym.make("CartPole-v1"), device="cpu", **SMALL)
    with pytest.raises(ArgumentError, match=message):
        change_settings(model, settings)


@pytest.mark.parametrize(
    ("steps", "settings", "message"),
    [
        ([], [], r"steps=\[\]: expected 0, then ascending"),
        ([5], [{}], r"steps=\[5\]: expected 0"),
        ([0, 9, 9], [{}] * 3, r"expected 0, then ascending"),
        ([0, 0.5], [{}] * 2, r"expected 0, then ascending whole numbers"),
        ([0, 9], [{}], r"expected a mapping for each of the 2 steps"),
        ([0], [3], r"expected a mapping for each of the 1 steps"),
        ([0, 9], [{"gamma": 0.9}, {"vf_coef": 1.0}], r"the same names in every piece"),
    ],
)
def test_pieces_that_do_not_fit_together_are_refused(
    steps: Any, settings: Any, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        ScheduledSettings(steps, settings)


def test_a_file_of_settings_names_it_and_a_resumed_run_has_its_step_s_piece(
    tmp_path: Path,
) -> None:
    pieces = {"steps": [0, 100, 200], "settings": [{"clip_range": c} for c in (0.3, 0.2, 0.1)]}
    entry = {"n_steps": 50, "batch_size": 50, "n_epochs": 1, "callback": [{NAME: pieces}]}
    file = tmp_path / "own.yml"
    file.write_text(yaml.safe_dump({"CartPole-v1": entry}))
    once = ["--algo", "ppo", "--env", "CartPole-v1", "--conf", str(file), "--eval-episodes", "1"]
    logs = ["--log-folder", str(tmp_path)]
    assert train([*once, "--timesteps", "100", "--eval-freq", "0", *logs]) == 0
    first = tmp_path / "ppo" / "CartPole-v1_1"
    assert PPO.load(first / "CartPole-v1.zip").clip_range(1.0) == 0.3
    assert train(["--resume", str(first), "--timesteps", "150", *logs]) == 0
    second = tmp_path / "ppo" / "CartPole-v1_2"
    assert PPO.load(second / "CartPole-v1.zip").clip_range(1.0) == 0.2


@pytest.mark.parametrize("how", ["short", "unknown"])
def test_a_file_with_bad_pieces_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    pieces = {"steps": [0, 9] if how == "short" else [0], "settings": [{"n_steps": 3}]}
    file = tmp_path / "own.yml"
    file.write_text(yaml.safe_dump({"CartPole-v1": {"callback": [{NAME: pieces}]}}))
    once = ["--algo", "ppo", "--env", "CartPole-v1", "--conf", str(file), "--timesteps", "10"]
    assert train([*once, "--log-folder", str(tmp_path)]) == (2 if how == "short" else 1)
    said = capsys.readouterr().err.splitlines()
    assert ("a mapping for each" if how == "short" else "n_steps cannot change") in said[-1]
