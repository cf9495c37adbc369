"""Models that version 0.1 saved, whose pickles name modules as they were before the rooms.

``data/spec_ppo_0.1_*.zip`` were saved by commit 031db23, ``…_after.npz`` are the parameters that
the same commit reached when it loaded them and trained 64 steps on.
"""

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab import SpecPPO
from ppo_lab._moved import MOVED

DATA = Path(__file__).parent / "data"
BACKENDS = ("torch", "compiled")


def environments() -> VecEnv:
    return make_vec_env("CartPole-v1", n_envs=2, seed=1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_saved_parameters_and_both_optimizers_are_loaded(backend: str) -> None:
    path = DATA / f"spec_ppo_0.1_{backend}.zip"
    model = SpecPPO.load(path, device="cpu")
    with zipfile.ZipFile(path) as archive:
        for name, state in (
            ("policy", model.policy.state_dict()),
            ("policy.optimizer", model.policy.optimizer.state_dict()["state"]),
            ("policy.critic_optimizer", model.policy.critic_optimizer.state_dict()["state"]),
        ):
            with archive.open(f"{name}.pth") as file:
                saved = th.load(file, weights_only=True)
            saved = saved["state"] if "optimizer" in name else saved
            assert str(saved) == str(state)
            assert len(saved) > 0
    assert model.backend == backend
    assert type(model).__module__ == "ppo_lab.algorithm"
    assert model.policy_class.__module__ == "ppo_lab.ppo.policies"


@pytest.mark.parametrize("backend", BACKENDS)
def test_training_goes_on_as_the_old_version_did(backend: str) -> None:
    model = SpecPPO.load(DATA / f"spec_ppo_0.1_{backend}.zip", env=environments(), device="cpu")
    model.set_random_seed(7)
    model.learn(64)
    with np.load(DATA / f"spec_ppo_0.1_{backend}_after.npz") as after:
        for name, parameter in model.policy.state_dict().items():
            # Another machine's vector width may give other last bits.
            np.testing.assert_allclose(parameter.numpy(), after[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_gives_the_module_itself(old: str) -> None:
    module = importlib.import_module(old)
    assert module is sys.modules[MOVED[old]]
    assert module.__spec__ is not None
    assert module.__spec__.name == MOVED[old]


def test_a_model_is_loaded_where_nothing_else_was_imported() -> None:
    code = f"from ppo_lab import SpecPPO; SpecPPO.load({str(DATA / 'spec_ppo_0.1_torch.zip')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
