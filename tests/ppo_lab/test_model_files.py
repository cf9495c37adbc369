"""Whose model a file holds, told before anything of it is unpickled."""

import base64
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib import TRPO, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.model_files import kind_of_model, model_entries


class Trap:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def set_trap(file: Path, folder: Path) -> None:
    """Replace every pickle in a model's file."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    entries = json.loads(members["data"])
    trapped = base64.b64encode(pickle.dumps(Trap(folder))).decode()
    for value in entries.values():
        if isinstance(value, dict) and ":serialized:" in value:
            value[":serialized:"] = trapped
    members["data"] = json.dumps(entries).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


class Masked(gym.Wrapper):  # type: ignore[type-arg]
    def action_masks(self) -> np.ndarray:
        return np.ones(2, bool)


@pytest.mark.parametrize(
    ("algorithm", "policy", "env"),
    [
        (A2C, "MlpPolicy", "CartPole-v1"),
        (DQN, "MlpPolicy", "CartPole-v1"),
        (SAC, "MlpPolicy", "Pendulum-v1"),
        (TRPO, "MlpPolicy", "CartPole-v1"),
        (RecurrentPPO, "MlpLstmPolicy", "CartPole-v1"),
        (MaskablePPO, "MlpPolicy", "CartPole-v1"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_model_of_another_algorithm_is_refused_by_name_and_stays_pickled(
    algorithm: type[BaseAlgorithm], policy: str, env: str, tmp_path: Path
) -> None:
    made = Masked(gym.make(env)) if algorithm is MaskablePPO else gym.make(env)
    algorithm(policy, made, device="cpu").save(tmp_path / "model.zip")
    set_trap(tmp_path / "model.zip", tmp_path / "sprung")
    message = f"is a model of {algorithm.__name__}: SpecPPO.load takes SpecPPO's and those of SB3's"
    with pytest.raises(ArgumentError, match=message):
        SpecPPO.load(tmp_path / "model.zip", device="cpu")
    assert not (tmp_path / "sprung").exists()


def test_ppos_model_loads_in_every_form_that_sb3_takes(tmp_path: Path) -> None:
    model = PPO("MlpPolicy", "CartPole-v1", seed=1, device="cpu")
    model.save(tmp_path / "model")
    observation = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    stream = io.BytesIO((tmp_path / "model.zip").read_bytes())
    for form in (tmp_path / "model", str(tmp_path / "model.zip"), stream):
        loaded = SpecPPO.load(form, device="cpu")
        np.testing.assert_array_equal(
            loaded.predict(observation, deterministic=True)[0],
            model.predict(observation, deterministic=True)[0],
        )
    # The stream stands where it stood, and serves again.
    stream.seek(5)
    assert kind_of_model(model_entries(stream)) == "PPO"
    assert stream.tell() == 5
    assert SpecPPO.load(stream, device="cpu").n_steps == 2048


def test_damaged_file_is_one_precise_error(tmp_path: Path) -> None:
    PPO("MlpPolicy", "CartPole-v1", device="cpu").save(tmp_path / "model.zip")
    whole = (tmp_path / "model.zip").read_bytes()
    for content in (b"", b"no zip", whole[: len(whole) // 2]):
        (tmp_path / "model.zip").write_bytes(content)
        with pytest.raises(ArgumentError, match=r"model\.zip is damaged or no model: "):
            SpecPPO.load(tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("readme.txt", "no model")
    with pytest.raises(ArgumentError, match="is damaged or no model: it holds no 'data'"):
        SpecPPO.load(tmp_path / "model.zip")
    with pytest.raises(FileNotFoundError):
        SpecPPO.load(tmp_path / "none")
