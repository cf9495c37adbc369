"""What a saved model's file says of itself: whose it is, read without unpickling anything."""

import json
import zipfile
from collections.abc import Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from stable_baselines3.common.save_util import open_path

from ppo_lab.errors import ArgumentError

__all__ = ["MAX_ENTRIES_BYTES", "check_algorithm", "kind_of_model", "model_entries"]

MAX_ENTRIES_BYTES = 256_000_000
"""A model's entries are some kilobytes; beyond this they are not looked at."""
POLICY_MODULES = {
    "sb3_contrib.common.recurrent": "RecurrentPPO",
    "sb3_contrib.common.maskable": "MaskablePPO",
    "sb3_contrib.qrdqn": "QRDQN",
    "sb3_contrib.tqc": "TQC",
    "sb3_contrib.crossq": "CrossQ",
    "sb3_contrib.ars": "ARS",
    "stable_baselines3.dqn": "DQN",
    "stable_baselines3.sac": "SAC",
    "stable_baselines3.td3": "TD3 or DDPG",
    "sbx.": "SBX",
}
"""Where a policy's class comes from → whose models have it."""
TELLING = {
    "advantage_estimator": "SpecPPO",
    "n_epochs": "PPO",
    "cg_max_steps": "TRPO",
    "exploration_fraction": "DQN",
    "top_quantiles_to_drop_per_net": "TQC",
    "target_entropy": "SAC",
    "policy_delay": "TD3 or DDPG",
    "n_delta": "ARS",
    "gae_lambda": "A2C",
}
"""An entry that only these models hold, or also those above it, where the policy is a user's."""

ModelFile = str | Path | BufferedIOBase


def model_entries(file: ModelFile) -> Mapping[str, Any]:
    """The entries of a model's file, as JSON; what is pickled among them stays text.

    Args:
        file: a path as ``load`` takes it, with or without ``.zip``, or an open file, whose
            position is left as it was.

    Returns:
        Name → value; empty where they are too many to be looked at.

    Raises:
        ArgumentError: it is damaged, or no SB3 model.
        OSError: it cannot be opened.
    """
    stream = open_path(file, "r", suffix="zip")
    before = stream.tell()
    try:
        with zipfile.ZipFile(stream) as archive:
            if "data" not in archive.namelist():
                raise ArgumentError(f"{_named(file)} is damaged or no model: it holds no 'data'")
            if archive.getinfo("data").file_size > MAX_ENTRIES_BYTES:
                return {}
            entries = json.loads(archive.read("data"))
    except ArgumentError:
        raise
    except Exception as error:  # damaged bytes can make the decoders raise anything
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ArgumentError(f"{_named(file)} is damaged or no model: {reason}") from error
    finally:
        if stream is file:
            stream.seek(before)
        else:
            stream.close()
    if not isinstance(entries, dict):
        raise ArgumentError(f"{_named(file)} is damaged or no model: its 'data' holds no entries")
    return entries


def kind_of_model(entries: Mapping[str, Any]) -> str:
    """The algorithm whose model has these entries: ``PPO``, ``A2C``, …; empty if none is known."""
    policy = entries.get("policy_class")
    module = str(policy.get("__module__", "")) if isinstance(policy, dict) else ""
    for package, kind in POLICY_MODULES.items():
        if module.startswith(package):
            return kind
    return next((kind for name, kind in TELLING.items() if name in entries), "")


def check_algorithm(file: ModelFile, loader: str) -> None:
    """Refuse another algorithm's model before anything of it is unpickled.

    SB3 would load it without a word, as A2C's, or end in an error about something else.

    Args:
        file: as ``load`` takes it.
        loader: the class that is to load it, ``SpecPPO`` or one derived from it.

    Raises:
        ArgumentError: it is neither SpecPPO's nor SB3's PPO's, or is damaged.
        OSError: it cannot be opened.
    """
    entries = model_entries(file)
    kind = kind_of_model(entries)
    if entries and kind not in ("SpecPPO", "PPO"):
        what = f"a model of {kind}" if kind else "no model of an algorithm that is known here"
        raise ArgumentError(
            f"{_named(file)} is {what}: {loader}.load takes SpecPPO's and those of SB3's PPO"
        )


def _named(file: object) -> str:
    return str(file) if isinstance(file, str | Path) else "the file"
