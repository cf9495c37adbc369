"""Many runs over processes: one core and one torch thread each, nothing shared."""

import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future, as_completed
from itertools import islice
from pathlib import Path

from loky import get_reusable_executor

from ppo_lab.runs import RunConfig, RunResult, execute_run, finished_run, record_failure

__all__ = ["IDLE_SECONDS", "WORKER_DIED", "default_jobs", "execute_runs", "initialize_worker"]

WORKER_DIED = "the worker process died twice (killed, or out of memory)"
ORPHAN_CHECK_SECONDS = 1.0
IDLE_SECONDS = 60.0
"""Workers are kept for the next batch of runs: starting one costs as much as a short run."""


def default_jobs() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def execute_runs(configs: Mapping[Path, RunConfig], jobs: int) -> Iterator[tuple[Path, RunResult]]:
    """Execute runs in worker processes and yield each result as it arrives.

    A run whose worker dies is tried once more, alone, and then counts as failed, with a folder
    that says so. Closing the
    iterator, or an exception such as Ctrl-C in the consumer, kills the workers; what they had
    not finished leaves no run folder.

    Args:
        configs: run folder → run.
        jobs: worker processes, ≥ 1.

    Yields:
        (run folder, result), in the order in which the runs finish.

    Raises:
        ArgumentError: a folder holds a finished run of another configuration.
        OSError: a run folder cannot be written.
    """
    pending: dict[Path, RunConfig] = {}
    for folder, config in configs.items():
        known = finished_run(config, folder)
        if known is None:
            pending[folder] = config
        else:
            yield folder, known

    suspects = 0  # of the first that are left: so many may have killed a worker
    while pending:
        batch = dict(islice(pending.items(), 1 if suspects else None))
        executor = get_reusable_executor(
            jobs, timeout=IDLE_SECONDS, initializer=initialize_worker, initargs=(os.getpid(),)
        )
        try:
            futures: dict[Future[RunResult], Path] = {
                executor.submit(execute_run, config, folder): folder
                for folder, config in batch.items()
            }
            for future in as_completed(futures):
                result = future.result()
                del pending[futures[future]]
                yield futures[future], result
            suspects = max(0, suspects - 1)
        except BrokenExecutor:
            if suspects:
                [(culprit, config)] = batch.items()
                del pending[culprit]
                suspects -= 1
                yield culprit, record_failure(config, culprit, WORKER_DIED)
            else:
                # Runs begin in this order, so the ones under way are the first that are left.
                suspects = jobs
        except BaseException:
            executor.shutdown(wait=True, kill_workers=True)
            raise


def initialize_worker(parent: int) -> None:
    """Make a new process a worker: it ends with its parent, and with nobody else."""
    # Ctrl-C reaches the whole process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A quarter of SB3's time per step, and no number changes: what is not finite is looked for
    # where it comes in (FiniteGuard) and where it would be learned from (SpecPPO).
    # Imported here: it takes 1.4 s, for which whoever starts workers need not wait.
    from torch.distributions import Distribution

    Distribution.set_default_validate_args(False)
    # What a constructor warns of is shown once, where the first of many runs is checked.
    warnings.simplefilter("ignore", UserWarning)
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()


def _exit_with(parent: int) -> None:
    """End this worker when its parent has been killed and can no longer end it."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_CHECK_SECONDS)
    os._exit(1)
