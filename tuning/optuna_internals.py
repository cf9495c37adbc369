"""Names of Optuna's that it does not promise, and what is done without them."""

from collections.abc import Mapping
from typing import Any

from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial

__all__ = ["calls_of_cache", "own_attributes", "trial_id"]

_CALLS_OF_CACHE = (
    "_create_new_trial",
    "_get_best_trial_id",
    "_get_trials",
    "_set_trial_param",
    "_get_stale_trial_ids",
)
_ENQUEUED = "fixed_params"


def calls_of_cache() -> list[str]:
    """What Optuna's cache before a database calls of it beside a storage's public methods.

    A name that is not there is called by nobody: the cache then has a public one in its place.
    """
    return [name for name in _CALLS_OF_CACHE if hasattr(RDBStorage, name)]


def trial_id(storage: BaseStorage, study_name: str, trial: FrozenTrial) -> int:
    """A storage's id of a trial: the one that the trial bears, else asked for by its number."""
    own: int | None = getattr(trial, "_trial_id", None)
    if own is not None:
        return own
    study_id = storage.get_study_id_from_name(study_name)
    return storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)


def own_attributes(system_attrs: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's system attributes without the settings that it was enqueued with.

    Under another name they would be kept as an attribute more, which no sampler reads.
    """
    return {key: content for key, content in system_attrs.items() if key != _ENQUEUED}
