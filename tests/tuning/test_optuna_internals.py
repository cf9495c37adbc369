"""Names that Optuna may take away: what is done without each."""

from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from tests.tuning.test_work_list import NAMES, finish, take, work_list_in
from tuning.optuna_internals import calls_of_cache, own_attributes, trial_id
from tuning.patience import Patience, PatientDatabase, make_patient

CALLS = calls_of_cache()


def without_id(trial: FrozenTrial) -> FrozenTrial:
    del trial.__dict__["_trial_id"]
    return trial


@pytest.mark.parametrize("kind", ["database", "memory"])
def test_trials_id_is_the_storages_with_the_name_and_without(kind: str, tmp_path: Path) -> None:
    storage: BaseStorage = InMemoryStorage()
    if kind == "database":
        storage = RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    optuna.create_study(study_name="other", storage=storage).ask()
    study = optuna.create_study(study_name="study", storage=storage)
    study.ask()
    study.add_trial(create_trial(state=TrialState.WAITING))
    for number, frozen in enumerate(study.get_trials()):
        own = trial_id(storage, "study", frozen)
        assert storage.get_trial(own).number == number
        assert trial_id(storage, "study", without_id(frozen)) == own


def test_items_are_shared_out_where_trials_bear_no_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_list = work_list_in(tmp_path)
    read = work_list.study.get_trials

    def get_trials(deepcopy: bool = True) -> list[FrozenTrial]:
        return [without_id(trial) for trial in read(deepcopy=True)]

    monkeypatch.setattr(work_list.study, "get_trials", get_trials)
    done = []
    while claim := take(work_list):
        assert finish(work_list, claim)
        done.append(claim.item)
    assert done == NAMES


@pytest.mark.parametrize("name", CALLS)
def test_call_that_optuna_no_longer_has_is_left_out_and_the_others_are_patient(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for base in RDBStorage.__mro__:
        if name in vars(base):
            monkeypatch.delattr(base, name)

    class Database(RDBStorage):
        patience = Patience(0)

    others = [other for other in CALLS if other != name]
    assert calls_of_cache() == others
    make_patient(Database, calls_of_cache())
    assert set(vars(Database)) & set(CALLS) == set(others)


def test_every_call_is_patient_today() -> None:
    assert len(CALLS) == 5
    assert set(CALLS) <= set(vars(PatientDatabase))


def test_enqueued_settings_are_no_attribute_of_a_trials_own() -> None:
    study = optuna.create_study()
    study.enqueue_trial({"x": 0.5})
    study.ask()
    (trial,) = study.get_trials()
    assert trial.system_attrs == {"fixed_params": {"x": 0.5}}
    assert own_attributes({**trial.system_attrs, "completed_rung_0": 1.0}) == {
        "completed_rung_0": 1.0
    }
