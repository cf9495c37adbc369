"""On a GPU: SB3's numbers to the bit, the CPU's to rounding, files and commands that go both ways.

Skipped without one. The other tests hide it, so that it is asked for by

    CUDA_VISIBLE_DEVICES=0 python -m pytest tests/ppo_lab/test_gpu.py
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from sb3_contrib import RecurrentPPO as TorchRecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import FakeImageEnv, SimpleMultiObsEnv

from ppo_lab import RecurrentPPO, SpecPPO
from ppo_lab.compare import main as compare
from ppo_lab.evaluate import main as evaluate
from ppo_lab.rnd import VecRND
from ppo_lab.train import main as train
from tests.ppo_lab.compiled.test_critic_only import KEYS, Hidden
from tests.ppo_lab.compiled.test_path import (
    OPTIONS,
    SMALL,
    assert_close,
    assert_same_updates,
    in_spaces,
    model,
)
from tests.ppo_lab.compiled.test_streams import STREAMS, costly
from tests.ppo_lab.ppo.masked import BITS, VECTOR, Masked
from tests.ppo_lab.test_algorithm_drop_in import assert_equal_states

pytestmark = [
    pytest.mark.skipif(not th.cuda.is_available(), reason="no GPU, or it is hidden"),
    pytest.mark.filterwarnings("ignore:You are trying to run"),
    pytest.mark.filterwarnings("ignore:batch_size=40 does not divide the rollout"),
]
ON_GPU: dict[str, Any] = {"device": "cuda", "backend": "torch"}
LEARNT: dict[str, dict[str, Any]] = {
    "defaults": {},
    "two rates": {"critic_learning_rate": 3e-3, "critic_max_grad_norm": 0.7},
    "value normalisation": {"normalize_value": True},
    **STREAMS,
}
"""Settings with state of their own in a saved file."""


# -------------------------------------------------------------------------------- SB3's, to the bit


class Pictures(FakeImageEnv):
    """Small ones, which the seed decides."""

    def __init__(self, discrete: bool = True) -> None:
        super().__init__(
            discrete=discrete, screen_height=36, screen_width=36, n_channels=3, action_dim=2
        )

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if seed is not None:
            self.observation_space.seed(seed)
        return super().reset(seed=seed, options=options)


WORLDS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "CartPole": ("MlpPolicy", "CartPole-v1", {}),
    "Pendulum": ("MlpPolicy", "Pendulum-v1", {}),
    "gSDE": ("MlpPolicy", "Pendulum-v1", {"use_sde": True, "sde_sample_freq": 4}),
    "pictures": ("CnnPolicy", Pictures, {}),
    "pictures and a Box": ("CnnPolicy", lambda: Pictures(discrete=False), {}),
    "Dict": ("MultiInputPolicy", SimpleMultiObsEnv, {}),
    "a KL that stops": ("MlpPolicy", "CartPole-v1", {"target_kl": 1e-3, "clip_range_vf": 0.1}),
}


@pytest.mark.parametrize(("policy", "world", "how"), WORLDS.values(), ids=WORLDS.keys())
def test_the_torch_path_is_sb3s_ppo_bit_for_bit(policy: str, world: Any, how: Any) -> None:
    settings = {**SMALL, "batch_size": 48, "device": "cuda", **how}
    theirs = PPO(policy, make_vec_env(world, 2, seed=1), **settings).learn(192)
    ours = SpecPPO(policy, make_vec_env(world, 2, seed=1), backend="torch", **settings).learn(192)
    assert ours.device.type == "cuda"
    assert_equal_states(ours.policy.state_dict(), theirs.policy.state_dict())


@pytest.mark.parametrize("actions", [spaces.Discrete(5), VECTOR, BITS], ids=str)
def test_under_masks_it_is_maskable_ppo_bit_for_bit(actions: spaces.Space[Any]) -> None:
    settings = {**SMALL, "batch_size": 48, "device": "cuda"}
    env = make_vec_env(lambda: Masked(actions), 2, seed=1)
    theirs = MaskablePPO("MlpPolicy", env, **settings).learn(192)
    env = make_vec_env(lambda: Masked(actions), 2, seed=1)
    ours = SpecPPO("MlpPolicy", env, mask_actions=True, backend="torch", **settings).learn(192)
    assert_equal_states(ours.policy.state_dict(), theirs.policy.state_dict())


def test_recurrence_is_sb3_contribs_bit_for_bit() -> None:
    settings = {**SMALL, "device": "cuda", "policy_kwargs": {"lstm_hidden_size": 64}}
    kinds: tuple[Any, ...] = (TorchRecurrentPPO, RecurrentPPO)
    theirs, ours = (
        kind("MlpLstmPolicy", make_vec_env("CartPole-v1", 2, seed=1), **settings).learn(192)
        for kind in kinds
    )
    assert ours.device.type == "cuda"
    assert_equal_states(ours.policy.state_dict(), theirs.policy.state_dict())


# ------------------------------------------------------------------------ the CPU's, to rounding


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("space", ["Box to Discrete", "Box to Box"])
def test_an_update_is_the_kernels_to_1e_5(options: dict[str, Any], space: str) -> None:
    ours = model(in_spaces(space), "compiled", **options)
    assert_same_updates(ours, model(in_spaces(space), **{**ON_GPU, **options}))


@pytest.mark.parametrize("options", STREAMS.values(), ids=STREAMS.keys())
def test_an_update_with_further_streams_is_the_kernels(options: dict[str, Any]) -> None:
    ours = model(costly(), "compiled", **options)
    assert_same_updates(ours, model(costly(), **{**ON_GPU, **options}))


@pytest.mark.parametrize("actions", [spaces.Discrete(5), VECTOR, BITS], ids=str)
def test_an_update_under_masks_is_the_kernels(actions: spaces.Space[Any]) -> None:
    def made(**how: Any) -> SpecPPO:
        return model(make_vec_env(lambda: Masked(actions), 2, seed=1), mask_actions=True, **how)

    assert_same_updates(made(), made(**ON_GPU))


def test_an_update_whose_critic_sees_more_is_the_kernels() -> None:
    def made(**how: Any) -> SpecPPO:
        return model(make_vec_env(Hidden, 2, seed=1), **{**KEYS, **how})

    assert_same_updates(made(), made(**ON_GPU))


# ------------------------------------------------------------------------------------ both ways


@pytest.mark.parametrize("options", LEARNT.values(), ids=LEARNT.keys())
@pytest.mark.parametrize(("made_on", "loaded_to"), [("cpu", "cuda"), ("cuda", "auto")])
def test_a_file_goes_to_the_other_device_whole(
    options: dict[str, Any], made_on: str, loaded_to: str, tmp_path: Path
) -> None:
    saved = model(costly(), "auto", device=made_on, **options).learn(192)
    assert saved.device.type == made_on
    saved.save(tmp_path / "model.zip")
    loaded = SpecPPO.load(tmp_path / "model.zip", costly(), device=loaded_to)
    assert loaded.device.type == {"cuda": "cuda", "auto": "cpu"}[loaded_to]
    assert_close(loaded.get_parameters(), saved.get_parameters())
    seen = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    with th.no_grad():
        of_both = [
            each.policy.predict_values(each.policy.obs_to_tensor(seen)[0])
            for each in (loaded, saved)
        ]
    assert_close(*of_both)
    before = loaded.num_timesteps
    loaded.learn(96, reset_num_timesteps=False)
    assert loaded.num_timesteps == before + 96
    assert all(bool(th.isfinite(p).all()) for p in loaded.policy.parameters())
    loaded.set_parameters(saved.get_parameters(), device=loaded.device)
    assert_close(loaded.get_parameters(), saved.get_parameters())


def test_a_bonus_learnt_on_the_cpu_goes_on_on_the_gpu() -> None:
    env = VecRND(costly(), 0.99)
    for _ in range(2):
        SpecPPO("MlpPolicy", env, intrinsic_coef=1.0, **SMALL).learn(96)
        on_gpu = {**SMALL, "device": "cuda"}
        trained = SpecPPO("MlpPolicy", env, intrinsic_coef=1.0, **on_gpu).learn(96)
        assert next(trained.rnd.parameters()).device.type == "cuda"


def test_auto_is_the_cpu_for_what_the_kernels_serve_and_sb3s_choice_for_all_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    how = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "verbose": 1}
    assert SpecPPO("MlpPolicy", "CartPole-v1", **how).device.type == "cpu"
    assert (
        "Using cpu device, where the kernels run, in the place of cuda" in capsys.readouterr().out
    )
    seen = SpecPPO("CnnPolicy", make_vec_env(Pictures, 2), **how).learn(32)
    assert seen.device.type == "cuda"
    assert "Using the torch path, because" in capsys.readouterr().out
    asked = SpecPPO("MlpPolicy", "CartPole-v1", device="cuda", **how).learn(32)
    assert "the model is on cuda, and the kernels run on the CPU" in capsys.readouterr().out
    assert asked.device.type == "cuda"
    recurrent = {"policy_kwargs": {"lstm_hidden_size": 64}, **how}
    assert RecurrentPPO("MlpLstmPolicy", "CartPole-v1", **recurrent).device.type == "cpu"


# -------------------------------------------------------------------------------- the commands

QUICK = ["--eval-freq", "64", "--eval-episodes", "2", "--seed", "1"]
RUNS: dict[str, list[str]] = {
    "vectors": ["--env", "CartPole-v1"],
    "normalised": ["--env", "Pendulum-v1", "--normalize", "true"],
    "a process each": ["--env", "CartPole-v1", "--n-envs", "2", "--vec-env", "subproc"],
    "a pool": ["--env", "CartPole-v1", "--n-envs", "2", "--vec-env", "pool"],
    "a bonus": ["--env", "CartPole-v1", "-P", "intrinsic_coef:0.5"],
    "SB3's": ["--env", "CartPole-v1", "--algo", "ppo"],
    "off-policy": ["--env", "CartPole-v1", "--algo", "dqn", "-P", "learning_starts:50"],
}


@pytest.mark.parametrize("flags", RUNS.values(), ids=RUNS.keys())
def test_a_run_is_trained_evaluated_and_gone_on_with_there(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = ["--log-folder", str(tmp_path)]
    small = [] if "dqn" in flags else ["-P", "n_steps:32", "-P", "batch_size:32"]
    given = [*flags, *small, *QUICK, *logs]
    assert train([*given, "--timesteps", "128", "--device", "cuda"]) == 0
    (run,) = (path.parent for path in tmp_path.rglob("run.json"))
    stored = json.loads((run / "run.json").read_text())
    assert (stored["asked_device"], stored["device"]) == ("cuda", "cuda")
    shown = []
    for device in ("cpu", "cuda"):
        capsys.readouterr()
        assert evaluate([str(run), "--episodes", "2", "--device", device]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    for more, flags in (("192", []), ("256", ["--device", "cpu"])):
        assert train(["--resume", str(run), "--timesteps", more, *flags, *logs]) == 0
        run = max(tmp_path.rglob("run.json"), key=lambda path: path.stat().st_mtime_ns).parent
        stored = json.loads((run / "run.json").read_text())
        assert stored["steps"] >= int(more)
        assert stored["device"] == ("cpu" if flags else "cuda")


def test_a_comparison_in_several_processes_there(tmp_path: Path) -> None:
    flags = ["--envs", "CartPole-v1", "--timesteps", "128", "--seeds", "2", "--n-jobs", "2"]
    assert compare([*flags, "--log-folder", str(tmp_path), "--device", "cuda"]) == 0
    stored = [json.loads(path.read_text()) for path in tmp_path.rglob("run.json")]
    assert len(stored) >= 4
    assert {each["device"] for each in stored} == {"cuda"}
    by_algo: dict[str, list[float]] = {}
    for each in sorted(stored, key=lambda each: each["seed"]):
        by_algo.setdefault(each["algo"], []).append(each["score"])
    assert by_algo["spec_ppo"] == by_algo["ppo"]  # the same torch operations
