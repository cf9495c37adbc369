"""Logs as RL Zoo and SB3 write them, by the same writers: ``yaml.dump``, ``savez``, ``Monitor``."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from stable_baselines3.common.monitor import ResultsWriter


def write_evaluations(
    folder: Path,
    returns: Sequence[float],
    steps: Sequence[int] | None = None,
    **more: Any,
) -> None:
    """Two episodes an evaluation, one above and one below its mean by 0.5."""
    folder.mkdir(parents=True, exist_ok=True)
    means = np.asarray(returns, dtype=float)
    np.savez(
        folder / "evaluations.npz",
        timesteps=np.asarray(steps if steps is not None else range(500, 500 * len(means) + 1, 500)),
        results=means[:, None] + np.array([-0.5, 0.5]),
        ep_lengths=np.ones((len(means), 2), int),
        **more,
    )


def write_monitor(
    path: Path,
    returns: Sequence[float],
    *,
    lengths: Sequence[int] | None = None,
    env_id: str = "CartPole-v1",
    times: Sequence[float] | None = None,
    **columns: Sequence[object],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = ResultsWriter(
        str(path), header={"t_start": 100.0, "env_id": env_id}, extra_keys=tuple(columns)
    )
    for index, value in enumerate(returns):
        row: dict[str, Any] = {
            "r": value,
            "l": lengths[index] if lengths is not None else 10,
            "t": times[index] if times is not None else float(index),
        }
        writer.write_row(row | {key: values[index] for key, values in columns.items()})
    writer.close()


def write_zoo_run(
    root: Path,
    *,
    algo: str = "ppo",
    env: str = "CartPole-v1",
    number: int = 1,
    seed: int = 1,
    returns: Sequence[float] = (20.0, 100.0, 80.0),
    steps: Sequence[int] | None = None,
    args: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    **more: Any,
) -> Path:
    name = env.replace("/", "-")
    folder = root / algo / f"{name}_{number}"
    (folder / name).mkdir(parents=True)
    write_evaluations(folder, returns, steps, **more)
    write_monitor(folder / "0.monitor.csv", [1.0], env_id=env)
    stated = {"algo": algo, "env": env, "seed": seed, "n_timesteps": 1500, "env_kwargs": None}
    settings = {"n_envs": 8, "n_timesteps": 1e5, "policy": "MlpPolicy", "learning_rate": "lin_0.1"}
    for file, content in (("args", stated | (args or {})), ("config", settings | (config or {}))):
        # As rl_zoo3 does: python/object/apply:collections.OrderedDict.
        text = yaml.dump(OrderedDict(sorted(content.items())))
        (folder / name / f"{file}.yml").write_text(text)
    return folder
