"""Production's executors over many machines, for the contract's tests."""

import base64
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

import ppo_lab
from benchmarks.ray_cluster import RayCluster
from ppo_lab.runs.cluster.driver import ClusterSettings
from ppo_lab.runs.cluster.executor import ClusterExecutor
from ppo_lab.runs.executor import Death, Executor, Retrying
from ppo_lab.runs.worker_pool import WorkerPool
from tests.ppo_lab.runs.cluster.without_ray import serve
from tests.ppo_lab.runs.executors import light_worker
from tuning.heart import Heart
from tuning.shared_executor import SharedExecutor
from tuning.storage import file_url, open_storage, open_study
from tuning.work_list import WorkList


@contextmanager
def on_a_cluster(cluster: RayCluster, run_timeout: float | None) -> Iterator[Executor[Any]]:
    """All of a cluster's nodes."""
    settings = ClusterSettings(cluster.address, 1.0, 0.0, (), ppo_lab.__version__)
    yield ClusterExecutor(settings, None, (), run_timeout)


@contextmanager
def without_ray(run_timeout: float | None) -> Iterator[Executor[Any]]:
    """A cluster's executor whose nodes are processes of this machine."""
    settings = ClusterSettings("", 1.0, 0.0, (), ppo_lab.__version__)
    yield ClusterExecutor(settings, None, (), run_timeout, driver=serve)


@contextmanager
def sharing(folder: Path, run_timeout: float | None) -> Iterator[Executor[Any]]:
    """Two workers of this machine, which share what they do through an SQLite file."""
    url = file_url(folder / "shared.db")
    storage = open_storage(url, grace=4)
    work_list = WorkList(open_study("shared", storage, url, {}), storage, Heart(storage), 4)
    pool: Executor[Any] = Retrying(WorkerPool(2, run_timeout, light_worker))
    yield SharedExecutor(pool, work_list, AnyNotes())
    storage.engine.dispose()  # type: ignore[attr-defined]


class AnyNotes:
    """Writes any outcome down, for tests: production knows which runs it shares."""

    def name(self, key: object) -> str:
        return str(key)

    def writing(self, arguments: tuple[Any, ...], outcome: Any) -> dict[str, Any]:
        return {"outcome": base64.b64encode(pickle.dumps(outcome)).decode()}

    def ended(
        self, arguments: tuple[Any, ...], death: Death, run_timeout: float | None
    ) -> dict[str, Any]:
        return {"reason": death.reason("the task", run_timeout)}

    def reading(self, arguments: tuple[Any, ...], trial: FrozenTrial) -> Any:
        return pickle.loads(base64.b64decode(trial.user_attrs["outcome"]))
