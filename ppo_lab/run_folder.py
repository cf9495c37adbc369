"""What lies in a run folder beside the results."""

import json
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

import ppo_lab
from ppo_lab.leftovers import move_into_place, new_folder_beside
from ppo_lab.run_config import RunConfig
from ppo_lab.storage_url import this_command

__all__ = [
    "circumstances",
    "move_into_place",
    "new_folder_beside",
    "to_json",
    "write_configuration",
]

PACKAGES = ("stable-baselines3", "gymnasium", "torch", "numpy")
WHERE_INSTALLED = ("sb3-contrib", "rl_zoo3")


def write_configuration(config: RunConfig, folder: Path) -> None:
    """Write the zoo's ``config.yml`` and ``args.yml``, in plain YAML, which its loader reads too.

    Args:
        config: the run.
        folder: made; the zoo's place for them is ``<run>/<environment>``.
    """
    folder.mkdir()
    normalize = config.normalize
    hyperparameters = {
        "n_envs": config.n_envs,
        "n_timesteps": config.timesteps,
        "policy": config.policy,
        **(
            {"normalize": dict(normalize) if isinstance(normalize, Mapping) else True}
            if normalize
            else {}
        ),
        **config.hyperparameters,
    }
    arguments = {
        "algo": config.algo,
        "env": config.env,
        "env_kwargs": dict(config.env_kwargs),
        "eval_episodes": config.evaluation.episodes,
        "n_timesteps": config.timesteps,
        "seed": config.seed,
    }
    for file, content in (("config.yml", hyperparameters), ("args.yml", arguments)):
        (folder / file).write_text(yaml.safe_dump(content), encoding="utf-8")


def circumstances() -> dict[str, Any]:
    """What ``run.json`` says of the machine, the versions and the command."""
    return {
        "versions": {"python": platform.python_version(), **_package_versions()},
        "git_commit": _git_commit(),
        "device": "cpu",
        "machine": platform.machine(),
        "command": this_command(),
    }


@cache
def _package_versions() -> dict[str, str]:
    found = {"ppo-lab": ppo_lab.__version__, **{package: version(package) for package in PACKAGES}}
    for package in WHERE_INSTALLED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def _git_commit() -> str | None:
    """The commit of the checkout that this file is part of; None for an installed package."""
    home = Path(__file__).resolve().parent.parent
    if not (home / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ("git", "-C", str(home), "rev-parse", "HEAD"),
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def to_json(record: Mapping[str, Any]) -> str:
    """Sorted, indented, and without NaN.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return json.dumps(record, indent=2, sort_keys=True, allow_nan=False)
