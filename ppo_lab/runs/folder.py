"""What lies in a run folder beside the results."""

import json
import math
import platform
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

import ppo_lab
from ppo_lab.environment_classes import environment_file
from ppo_lab.registry import ALGORITHMS
from ppo_lab.runs.config import RunConfig, environment_folder_name
from ppo_lab.runs.cpu import this_cpu
from ppo_lab.runs.storage_url import this_command
from reports.logs.evaluations import FILE, read_evaluations
from reports.logs.records import UnusableError

__all__ = [
    "check_writable",
    "circumstances",
    "damage",
    "environment_source",
    "to_json",
    "write_configuration",
]

PACKAGES = ("stable-baselines3", "gymnasium", "torch", "numpy")
STRING_OR_WORD = re.compile(r'"(?:\\.|[^"\\])*"|-?Infinity|NaN')
"""A string of JSON's, or what Python writes of numbers that JSON has no word for."""
WHERE_INSTALLED = ("sb3-contrib", "rl_zoo3")
ENVIRONMENT_WORDS = ("env_wrapper", "vec_env_wrapper", "frame_stack", "monitor_kwargs")


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
        **{
            word: _plain(value)
            for word in (*ENVIRONMENT_WORDS, "callback")
            if (value := getattr(config, word))
        },
    }
    arguments = {
        "algo": config.algo,
        "env": config.env,
        "env_kwargs": dict(config.env_kwargs),
        "eval_env_kwargs": None if config.eval_env_kwargs is None else dict(config.eval_env_kwargs),
        "env_packages": list(config.env_packages),
        "eval_episodes": config.evaluation.episodes,
        "n_timesteps": config.timesteps,
        "seed": config.seed,
        **environment_source(config),
    }
    for file, content in (("config.yml", hyperparameters), ("args.yml", arguments)):
        (folder / file).write_text(yaml.safe_dump(content), encoding="utf-8")


def environment_source(config: RunConfig) -> dict[str, str]:
    """Where the file lies that the environment is written in, and its digest; empty: no file."""
    file = environment_file(config.env)
    if file is None:
        return {}
    return {"env_file": file.resolve().as_posix(), "env_sha256": config.env_sha256}


def _plain(value: Any) -> Any:
    """For the YAML: lists and dictionaries in the place of tuples and mappings."""
    return json.loads(json.dumps(value, default=lambda each: {**each}))


def circumstances() -> dict[str, Any]:
    """What ``run.json`` says of the machine, the versions and the command."""
    return {
        "versions": {"python": platform.python_version(), **_package_versions()},
        "git_commit": _git_commit(),
        "machine": platform.machine(),
        "cpu": this_cpu(),
        "command": this_command(),
    }


@cache
def _package_versions() -> dict[str, str]:
    versions = {
        "ppo-lab": ppo_lab.__version__,
        **{package: version(package) for package in PACKAGES},
    }
    for package in WHERE_INSTALLED:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


@cache
def _git_commit() -> str | None:
    """The commit of the checkout that this file is part of; None for an installed package."""
    home = Path(__file__).resolve().parents[2]
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
    """Sorted and indented; what is infinite (a limit that never bites) is written as 1e999.

    JSON has no word for it, and every reader makes infinity of a number of that size.

    Raises:
        ValueError: a number is NaN.
    """
    return STRING_OR_WORD.sub(_in_json, json.dumps(record, indent=2, sort_keys=True))


def _in_json(found: re.Match[str]) -> str:
    text = found[0]
    if text == "NaN":
        raise ValueError("NaN has no place in a record")
    return text if text.startswith('"') else text.replace("Infinity", "1e999")


def damage(config: RunConfig, folder: Path, record: Mapping[str, Any]) -> str | None:
    """What is wrong with the files of a finished run, by a look that costs milliseconds.

    Args:
        config: the run.
        folder: its run folder.
        record: its ``run.json``.

    Returns:
        One line; None where every file that such a run leaves is there and opens.
    """
    try:
        last = float(read_evaluations(folder / FILE).returns[-1])
    except UnusableError as error:
        return str(error)
    if not math.isclose(last, float(record["score"]), rel_tol=1e-6, abs_tol=1e-9):
        return f"{FILE} ends with another score than run.json states"
    if record.get("restored"):  # from a study's storage, which holds no model
        return None
    name = environment_folder_name(config.env)
    plain = [f"{name}/config.yml", f"{name}/args.yml"]
    if config.normalize:
        plain.append(f"{name}/vecnormalize.pkl")
    for file in plain:
        if not (folder / file).is_file() or not (folder / file).stat().st_size:
            return f"{file} is missing or empty"
    if ALGORITHMS[config.algo].tabular:
        return _broken_archive(folder / f"{name}.npz", set())
    models = (folder / f"{name}.zip", folder / "best_model.zip")
    broken = (_broken_archive(model, {"data", "policy.pth"}) for model in models)
    return next(filter(None, broken), None)


def _broken_archive(file: Path, members: set[str]) -> str | None:
    try:
        with zipfile.ZipFile(file) as archive:
            missing = members - set(archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        return f"{file.name} is damaged or missing ({type(error).__name__})"
    return f"{file.name} is damaged: it lacks {', '.join(sorted(missing))}" if missing else None


def check_writable(folder: Path) -> None:
    """Make a folder and a file in it, to fail before any work is done.

    Raises:
        OSError: it cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
