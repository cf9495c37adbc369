"""Many workers that offer and do the same tasks at the same moment."""

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from tuning.heart import Heart
from tuning.storage import open_storage, open_study
from tuning.work_list import WorkList


def work(url: str, names: Sequence[str], count: int, meet: Callable[[], Any]) -> None:
    """Do so many tasks of one study after another, beginning each when all workers do."""
    wanted = [str(number) for number in range(count)]
    for name in names:
        meet()
        storage = open_storage(url, grace=30)
        work_list = WorkList(
            open_study(name, storage, url, {"name": name}), storage, Heart(storage)
        )
        work_list.offer(wanted)
        work_list.refresh()
        while any(work_list.outcome(task) is None for task in wanted):
            claim = work_list.claim(wanted, lambda _: True)
            if claim is not None:
                work_list.finish(
                    claim, TrialState.COMPLETE, 1.0, attributes={}, system_attributes={}, points={}
                )
            work_list.refresh()
        work_list.close_duplicates()
        work_list.heart.stop()
        storage.engine.dispose()  # type: ignore[attr-defined]


def in_threads(workers: int, url: str, names: Sequence[str], count: int) -> None:
    """Every worker a thread with connections of its own."""
    barrier = threading.Barrier(workers)
    threads = [
        threading.Thread(target=work, args=(url, names, count, barrier.wait))
        for _ in range(workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_processes(workers: int, url: str, names: Sequence[str], count: int) -> None:
    """Every worker a process."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers)
    processes = [
        context.Process(target=_meeting, args=(url, names, count, barrier)) for _ in range(workers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0


def _meeting(url: str, names: Sequence[str], count: int, barrier: Any) -> None:
    work(url, names, count, barrier.wait)


def check(url: str, names: Sequence[str], count: int) -> None:
    """Each task once, in one trial; nothing waits, and nothing else is left in the storage."""
    storage = open_storage(url)
    for name in names:
        trials = optuna.load_study(study_name=name, storage=storage).get_trials()
        states = Counter(trial.state.name for trial in trials)
        assert states == {"COMPLETE": count}, (name, states)
        assert sorted(t.user_attrs["task"] for t in trials) == sorted(map(str, range(count)))
    assert sorted(optuna.get_all_study_names(storage)) == sorted(names)
    storage.engine.dispose()  # type: ignore[attr-defined]
