"""Many runs over processes: one core and one torch thread each, nothing shared."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import gymnasium as gym

from ppo_lab.environment_classes import gymnasium_id
from ppo_lab.errors import ArgumentError
from ppo_lab.runs.execution import (
    RunConfig,
    RunResult,
    Watcher,
    execute_run,
    finished_run,
    record_failure,
)
from ppo_lab.runs.executor import Death, Executor, Retrying, as_completed
from ppo_lab.runs.worker_pool import WorkerPool, time_limit

__all__ = [
    "check_survives",
    "execute_run_within",
    "execute_runs",
    "local_executor",
    "record_death",
]

T = TypeVar("T")


def local_executor(jobs: int, run_timeout: float | None = None) -> Executor[T]:
    """This machine's worker processes; a task whose worker dies is tried once more, alone.

    Args:
        jobs: worker processes, ≥ 1.
        run_timeout: seconds of one run; None: no limit.
    """
    return Retrying(WorkerPool(jobs, run_timeout))


def record_death(
    runs: Sequence[tuple[Path, RunConfig]], death: Death, run_timeout: float | None
) -> RunResult:
    """Leave the folder of the run that was under way: its process could not.

    Args:
        runs: (run folder, run) of the task, one after another.
        death: what it came to.
        run_timeout: seconds; None: no limit.
    """
    folder, config = next((run for run in runs if finished_run(run[1], run[0]) is None), runs[-1])
    return record_failure(config, folder, death.reason(config.env, run_timeout))


def execute_runs(
    configs: Mapping[Path, RunConfig],
    jobs: int,
    run_timeout: float | None = None,
    waiting: Callable[[str, float], None] | None = None,
    executor: Executor[RunResult] | None = None,
) -> Iterator[tuple[Path, RunResult]]:
    """Execute runs in worker processes and yield each result as it arrives.

    A run whose worker dies is tried once more, alone, and then counts as failed, with a folder
    that says so. Closing the iterator, or an exception such as Ctrl-C in the consumer, kills the
    workers; what they had not finished leaves no run folder.

    Args:
        configs: run folder → run.
        jobs: worker processes, ≥ 1.
        run_timeout: seconds after which a run is ended and counts as failed; None: no limit.
        waiting: told which run has been at work for longest, and for how many seconds.
        executor: of this ``run_timeout``, in the place of ``jobs`` processes; whoever made it
            closes it.

    Yields:
        (run folder, result), in the order in which the runs finish.

    Raises:
        ArgumentError: a folder holds a finished run of another configuration.
        OSError: a run folder cannot be written, or is gone.
    """
    pending: dict[Path, RunConfig] = {}
    for folder, config in configs.items():
        result = finished_run(config, folder)
        if result is None:
            pending[folder] = config
        else:
            yield folder, result
    own: Executor[RunResult] | None = None if executor else local_executor(jobs, run_timeout)
    executor = executor or own
    assert executor is not None
    with closing(own) if own else nullcontext():
        for folder, config in pending.items():
            executor.submit(folder, execute_run_within, run_timeout, config, folder)
        for key, outcome in as_completed(executor, waiting):
            assert isinstance(key, Path)
            if isinstance(outcome, Death):
                outcome = record_death([(key, pending[key])], outcome, run_timeout)
            yield key, outcome
    for folder in configs:
        if not (folder / "run.json").is_file():
            raise FileNotFoundError(
                f"{folder} was removed while the runs were made; the same command makes it again"
            )


def execute_run_within(
    run_timeout: float | None, config: RunConfig, folder: Path, watcher: Watcher | None = None
) -> RunResult:
    """``execute_run`` in a worker process, which ends if the run takes longer.

    Args:
        run_timeout: seconds; None: no limit.
        config: the run.
        folder: its run folder.
        watcher: may stop the run at one of its evaluations.
    """
    if run_timeout is not None:
        import ppo_lab.runs.sb3_training  # noqa: F401 - starting a worker is not the run's time
    with time_limit(run_timeout):
        return execute_run(config, folder, watcher=watcher)


def check_survives(
    env_id: str, env_kwargs: Mapping[str, Any], run_timeout: float | None = None
) -> None:
    """Make an environment in a worker process, before this process makes it.

    An environment that ends its process would end the command without a word. Gymnasium's and
    ours, and those that only this process knows, are not tried.

    Args:
        env_id: Gymnasium's id.
        env_kwargs: for ``gymnasium.make``.
        run_timeout: seconds that it may take.

    Raises:
        ArgumentError: the worker process died.
    """
    spec = gym.registry.get(env_id)
    origin = spec.entry_point if spec else (env_id if ":" in env_id else None)
    if not isinstance(origin, str) or origin.startswith(("gymnasium.", "envs.")):
        return
    executor: Executor[None] = local_executor(1, run_timeout)
    with closing(executor):
        executor.submit(env_id, _make_once, run_timeout, env_id, dict(env_kwargs))
        for _, outcome in as_completed(executor):
            if isinstance(outcome, Death):
                raise ArgumentError(
                    f"environment {env_id!r} cannot be made: {outcome.reason(env_id, run_timeout)}"
                )


def _make_once(run_timeout: float | None, env_id: str, env_kwargs: Mapping[str, Any]) -> None:
    with time_limit(run_timeout):
        try:
            gym.make(gymnasium_id(env_id), disable_env_checker=True, **env_kwargs).close()
        except BaseException:
            return  # the check that follows in the command's own process says what is wrong
