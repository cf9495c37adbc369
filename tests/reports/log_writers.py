"""Logs as RL Zoo and SB3 write them, by the same writers: ``yaml.dump``, ``savez``, ``Monitor``."""

import json
import struct
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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


CLEANRL_SETTINGS = {"exp_name": "ppo", "cuda": False, "total_timesteps": 1500, "gamma": 0.99}


def write_events(
    folder: Path,
    tag: str,
    values: Sequence[float],
    steps: Sequence[int],
    settings: Mapping[str, object] | None = None,
) -> Path:
    """Write an event file by TensorBoard's own writer; ``settings`` as CleanRL logs them."""
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    if settings is not None:
        rows = "\n".join(f"|{name}|{value}|" for name, value in settings.items())
        text = TensorProto(dtype=7, string_val=[f"|param|value|\n|-|-|\n{rows}".encode()])
        value = Summary.Value(tag="hyperparameters/text_summary", tensor=text)
        writer.add_event(Event(summary=Summary(value=[value])))
    for step, number in zip(steps, values, strict=True):
        shown = [Summary.Value(tag=tag, simple_value=number)]
        writer.add_event(Event(step=step, summary=Summary(value=shown)))
    writer.close()
    (path,) = folder.glob("*.tfevents.*")
    return path


def write_wandb(
    folder: Path, config: Mapping[str, object], rows: Sequence[Mapping[str, object]]
) -> Path:
    """Write a ``.wandb`` file: W&B's messages in the frame of a LevelDB log."""
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    run, logged = Record(), []
    for name, value in config.items():
        run.run.config.update.add(key=name, value_json=json.dumps(value))
    for number, row in enumerate(rows):
        record = Record()
        record.history.step.num = number
        for name, value in row.items():
            record.history.item.add(nested_key=[name], value_json=json.dumps(value))
        logged.append(record)
    data = bytearray(b":W&B\xe1\xbe\x00")
    for record in (run, *logged):
        _append(data, record.SerializeToString())
    folder.mkdir(parents=True)
    path = folder / "run-abc123.wandb"
    path.write_bytes(data)
    return path


def _append(data: bytearray, record: bytes, block: int = 32_768) -> None:
    first = True
    while first or record:
        left = block - len(data) % block
        if left < 7:
            data += bytes(left)
            continue
        piece, record = record[: left - 7], record[left - 7 :]
        kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[
            first, not record
        ]
        crc = zlib.crc32(piece, zlib.crc32(bytes([kind])))
        data += struct.pack("<IHB", crc, len(piece), kind) + piece
        first = False


def write_zoo_benchmark(
    root: Path,
    layout: Mapping[str, Sequence[str]],
    returns: Sequence[float] = (1.0, 2.0),
    steps: Sequence[str] = ("1M",),
) -> None:
    """Write the folders and table that ``rl_zoo3.benchmark`` leaves; ``layout``: algo to envs."""
    columns = "algo|env_id|mean_reward|std_reward|n_timesteps|eval_timesteps|eval_episodes"
    rows = [f"|{columns}|", "|--|--|--:|--:|--|--:|--:|"]
    for algo, envs in layout.items():
        for number, env in enumerate(envs):
            folder = root / f"{algo}-{env}"
            folder.mkdir(parents=True)
            write_monitor(folder / "0.monitor.csv", returns, env_id=env)
            trained = steps[number % len(steps)]
            rows.append(f"|{algo}|{env}|{np.mean(returns)}|0|{trained}|1|{len(returns)}|")
    (root / "benchmark.md").write_text(
        "\n".join(["## Performance of trained agents", "", *rows, ""])
    )
