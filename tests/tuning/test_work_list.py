"""Tasks are shared out: none is lost, none counts twice."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from tuning import work_list as module
from tuning.heart import Heart
from tuning.storage import open_storage
from tuning.turns import this_process
from tuning.work_list import Claim, WorkList

NAMES = ["0", "1", "2"]


def work_list_in(folder: Path, grace: int = 120) -> WorkList:
    storage = open_storage(f"sqlite:///{folder / 'study.db'}", grace)
    study = optuna.create_study(
        study_name="tasks", storage=storage, direction="maximize", load_if_exists=True
    )
    listed = WorkList(study, storage, Heart(storage))
    listed.offer(NAMES)
    return listed


def take(work_list: WorkList) -> Claim | None:
    work_list.refresh()
    return work_list.claim(NAMES, lambda _: True)


def finish(work_list: WorkList, claim: Claim, value: float = 1.0) -> bool:
    return work_list.finish(
        claim,
        TrialState.COMPLETE,
        value,
        attributes={},
        system_attributes={},
        points={},
    )


def states(work_list: WorkList) -> list[tuple[str, str]]:
    work_list.refresh()
    return [(t.user_attrs["task"], t.state.name) for t in work_list.study.get_trials()]


def test_two_workers_never_hold_the_same_task(tmp_path: Path) -> None:
    first, second = work_list_in(tmp_path), work_list_in(tmp_path)
    # Neither looks at the storage between claims: the storage itself decides.
    taken = [w.claim(NAMES, lambda _: True) for w in (first, second, first, second)]
    assert sorted(claim.item for claim in taken if claim) == NAMES
    assert len(states(first)) == 3


def test_tasks_offered_twice_count_once(tmp_path: Path) -> None:
    work_list = work_list_in(tmp_path)
    # As two machines do that arrive at the same moment.
    work_list.study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={"task": "0"}))
    done = []
    while claim := take(work_list):
        finish(work_list, claim)
        done.append(claim.item)
    assert done == NAMES


def test_second_offer_of_what_is_being_worked_on_is_left_alone(tmp_path: Path) -> None:
    work_list = work_list_in(tmp_path)
    claim = take(work_list)
    assert claim is not None
    assert claim.item == "0"
    # Another machine offered it at the same moment as this one, and is heard of later.
    work_list.study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={"task": "0"}))
    second, third = take(work_list), take(work_list)
    assert [taken.item for taken in (second, third) if taken] == ["1", "2"]
    assert take(work_list) is None


def test_task_of_a_process_that_has_ended_waits_again_at_once(tmp_path: Path) -> None:
    work_list = work_list_in(tmp_path)
    claim = take(work_list)
    assert claim is not None
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    owner = {**this_process(), "pid": ended.pid}
    work_list.storage.set_trial_user_attr(claim.trial_id, "owner", owner)
    work_list.refresh()
    work_list.retry_lost(0)
    assert states(work_list) == [
        *(("0", "FAIL"), ("1", "WAITING"), ("2", "WAITING")),
        ("0", "WAITING"),
    ]
    again = take(work_list)
    assert again is not None
    assert again.item == "0"


def test_task_of_a_living_process_or_of_another_machine_is_left_to_it(tmp_path: Path) -> None:
    work_list = work_list_in(tmp_path)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    for owner in (
        {"host": socket.gethostname(), "pid": os.getppid()},
        {"host": "x", "pid": 1},
        {**this_process(), "pid": ended.pid, "space": "a container of the same name"},
    ):
        claim = take(work_list)
        assert claim is not None
        work_list.storage.set_trial_user_attr(claim.trial_id, "owner", owner)
    work_list.refresh()
    work_list.retry_lost(0)
    assert [state for _, state in states(work_list)] == ["RUNNING"] * 3


def test_silent_machine_is_taken_for_lost_and_its_late_result_does_not_count(
    tmp_path: Path,
) -> None:
    silent, other = work_list_in(tmp_path, grace=1), work_list_in(tmp_path, grace=1)
    silent.heart.stop()
    claim = take(silent)
    assert claim is not None
    silent.storage.set_trial_user_attr(claim.trial_id, "owner", {"host": "elsewhere", "pid": 1})
    deadline = time.monotonic() + 30
    while ("0", "FAIL") not in states(other):
        assert time.monotonic() < deadline
        time.sleep(0.1)
        other.retry_lost(0)
    again = take(other)
    assert again is not None
    assert again.item == "0"
    assert finish(other, again, 2.0)
    assert not finish(silent, claim, 3.0)
    other.refresh()
    outcome = other.outcome("0")
    assert outcome is not None
    assert outcome.value == 2.0


@pytest.mark.slow
def test_machine_that_beats_is_not_taken_for_lost(tmp_path: Path) -> None:
    beating, other = work_list_in(tmp_path, grace=4), work_list_in(tmp_path, grace=4)
    claim = take(beating)
    assert claim is not None
    beating.storage.set_trial_user_attr(claim.trial_id, "owner", {"host": "elsewhere", "pid": 1})
    time.sleep(6)
    other.refresh()
    other.retry_lost(0)
    assert ("0", "RUNNING") in states(other)
    beating.heart.stop()


def test_released_task_waits_for_another_and_loses_nothing(tmp_path: Path) -> None:
    work_list = work_list_in(tmp_path)
    for _ in range(6):
        claim = take(work_list)
        assert claim is not None
        assert claim.item == "0"
        work_list.release(claim)
    work_list.refresh()
    assert work_list.outcome("0") is None


def test_task_that_loses_worker_after_worker_is_tried_again_and_again(tmp_path: Path) -> None:
    work_list = work_list_in(tmp_path)
    for _ in range(6):
        claim = take(work_list)
        assert claim is not None
        assert claim.item == "0"
        work_list.storage.set_trial_state_values(claim.trial_id, state=TrialState.FAIL)
        module.retry(work_list.study, work_list.study.get_trials()[claim_number(work_list, claim)])
    work_list.refresh()
    assert work_list.outcome("0") is None


@pytest.mark.parametrize(
    "reason", [None, "the worker process died twice (killed, or out of memory)"]
)
def test_task_that_a_killed_process_or_an_earlier_version_left_failed_is_offered_again(
    tmp_path: Path, reason: str | None
) -> None:
    work_list = work_list_in(tmp_path)
    claim = take(work_list)
    assert claim is not None
    if reason:
        work_list.storage.set_trial_user_attr(claim.trial_id, "reason", reason)
    work_list.storage.set_trial_state_values(claim.trial_id, state=TrialState.FAIL)
    work_list.offer(NAMES)
    assert sorted(states(work_list)) == [
        *(("0", "FAIL"), ("0", "WAITING"), ("1", "WAITING"), ("2", "WAITING"))
    ]


def claim_number(work_list: WorkList, claim: Claim) -> int:
    return next(t.number for t in work_list.study.get_trials() if t._trial_id == claim.trial_id)


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED])
def test_finished_task_is_not_offered_or_claimed_again(tmp_path: Path, state: TrialState) -> None:
    work_list = work_list_in(tmp_path)
    claim = take(work_list)
    assert claim is not None
    work_list.storage.set_trial_state_values(claim.trial_id, state, [1.0])
    work_list.offer(NAMES)
    assert len(states(work_list)) == 3
    following = take(work_list)
    assert following is not None
    assert following.item == "1"
