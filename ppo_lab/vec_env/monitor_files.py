"""The ``*.monitor.csv`` files of environments that have no ``Monitor`` around them."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stable_baselines3.common.monitor import ResultsWriter

__all__ = ["MonitorFiles"]


class MonitorFiles:
    """One file an environment, as SB3's ``make_vec_env(…, monitor_dir=…)`` leaves them.

    Args:
        folder: where ``0.monitor.csv``, ``1.monitor.csv``, … go.
        n_envs: how many.
        env_id: written into their first line.
    """

    def __init__(self, folder: Path, n_envs: int, env_id: str) -> None:
        header: dict[str, float | str] = {"t_start": time.time(), "env_id": env_id}
        self._writers = [ResultsWriter(str(folder / str(i)), header) for i in range(n_envs)]

    def write(self, environment: int, episode: Mapping[str, Any]) -> None:
        """Add an episode's ``r``, ``l`` and ``t``."""
        self._writers[environment].write_row(dict(episode))

    def close(self) -> None:
        """Close all files."""
        for writer in self._writers:
            writer.close()
