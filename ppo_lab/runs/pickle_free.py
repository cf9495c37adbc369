"""A saved policy without a pickle: its parameters as tensors, its networks from the settings."""

import io
import json
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.save_util import data_to_json
from stable_baselines3.common.utils import get_device
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.errors import ArgumentError, CommandError
from ppo_lab.hyperparams.reading import constructor_arguments
from ppo_lab.model_files import MAX_ENTRIES_BYTES
from ppo_lab.ppo.action_masks import with_masks
from ppo_lab.registry import algorithm_class
from ppo_lab.runs.named_code import load_class
from ppo_lab.runs.saved_model import SavedRun, check_kind, zero_rate

__all__ = ["check_plain", "load_policy"]

POLICY = "MlpPolicy"
PARAMETERS = "policy.pth"
MAX_PARAMETER_BYTES = 1_000_000_000
SPACE_FACTS = ("dtype", "_shape", "n", "start", "nvec", "low", "high")
"""What SB3 writes of a space in words, beside its pickle."""


def check_plain(run: SavedRun, env_given: bool) -> None:
    """Check that a run can be played without opening a pickle or importing what it names.

    Args:
        run: the run.
        env_given: whether its environment's id comes from the user and not from the folder.

    Raises:
        ArgumentError: it cannot; says why.
    """
    if run.normalized or (run.folder / run.name / "vecnormalize.pkl").exists():
        raise ArgumentError(
            f"--no-pickle: {run.folder} is normalised, and the statistics of VecNormalize lie in a "
            "pickle alone; without them its policy is another one"
        )
    if ":" in run.env and not env_given:
        raise ArgumentError(
            f"--no-pickle: {run.folder} names the environment {run.env!r}, whose module would be "
            f"imported; --env {run.env} says that you trust it"
        )
    if run.policy != POLICY:
        raise ArgumentError(
            f"--no-pickle: {run.folder} has the policy {run.policy!r}; only {POLICY} is built "
            "without one"
        )


def load_policy(run: SavedRun, env: VecEnv, file: Path, device: str = "cpu") -> BasePolicy:
    """Build a run's ``MlpPolicy`` from its settings and fill it; nothing is unpickled or evaluated.

    Args:
        run: the run, which :func:`check_plain` has passed.
        env: its environments, whose spaces are the policy's.
        file: of the model.
        device: torch's, or ``auto``.

    Raises:
        ArgumentError: the settings hold what cannot be read without evaluating it.
        CommandError: the file is damaged, another algorithm's, or does not match ``env``.
    """
    _check_spaces(check_kind(file, run.algo), env, file)
    given = run.hyperparameters.get("policy_kwargs") or {}
    named = partial(load_class, run.packages)
    keywords = constructor_arguments({"policy_kwargs": given}, named)["policy_kwargs"]
    if run.hyperparameters.get("use_sde"):
        keywords = {**keywords, "use_sde": True}
    if run.hyperparameters.get("normalize_value"):
        keywords = {**keywords, "normalize_value": True}
    kind = algorithm_class(run.algo).policy_aliases[POLICY]
    if run.masks and run.algo == "spec_ppo":  # the other's takes masks by itself
        kind = with_masks(kind, env.action_space)
    try:
        policy: BasePolicy = kind(env.observation_space, env.action_space, zero_rate, **keywords)
        policy.load_state_dict(_parameters(file))
        policy.to(get_device(device))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise CommandError(
            f"{file} does not fit the policy that {run.folder}'s settings describe: "
            f"{type(error).__name__}: {reason}"
        ) from error
    return policy


def _parameters(file: Path) -> Mapping[str, Any]:
    with zipfile.ZipFile(file) as archive:
        if archive.getinfo(PARAMETERS).file_size > MAX_PARAMETER_BYTES:
            raise ValueError(f"{PARAMETERS} unfolds to more than {MAX_PARAMETER_BYTES:,} bytes")
        stored = io.BytesIO(archive.read(PARAMETERS))
    # torch's own reader of tensors: it knows them and plain containers, and calls nothing else.
    state: Mapping[str, Any] = th.load(stored, map_location="cpu", weights_only=True)
    return state


def _check_spaces(entries: Mapping[str, Any], env: VecEnv, file: Path) -> None:
    """Compare the spaces as SB3 writes them in words; their pickles stay closed."""
    if not entries:
        raise CommandError(f"{file}: its entries are more than {MAX_ENTRIES_BYTES:,} bytes")
    for name in ("observation_space", "action_space"):
        stored, own = entries.get(name), _in_words(getattr(env, name))
        if not isinstance(stored, dict):
            raise CommandError(f"{file} is damaged or no model: it has no {name}")
        differing = [key for key in own if stored.get(key) != own[key]]
        if differing:
            key = differing[0]
            raise CommandError(
                f"{file} was trained on other spaces than the environment has: {name}, "
                f"{key.strip('_')} {stored.get(key)!s:.60} and {own[key]!s:.60}"
            )


def _in_words(space: object) -> dict[str, object]:
    written = json.loads(data_to_json({"space": space}))["space"]
    return {key: written[key] for key in SPACE_FACTS if key in written}
