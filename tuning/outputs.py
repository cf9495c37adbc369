"""What a study leaves on disk beside its runs: the table of trials, the best settings as YAML."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from optuna.trial import FrozenTrial, TrialState

from ppo_lab.runs.execution import RunConfig
from ppo_lab.runs.folder import to_json
from ppo_lab.runs.leftovers import discard, move_into_place, new_folder_beside
from tuning.protocol import TuningProtocol

__all__ = ["former_settings", "restore_run", "settings_yaml", "trials_table"]

ZOO_WORDS = (
    *("normalize", "env_wrapper", "vec_env_wrapper", "frame_stack", "env_kwargs"),
    *("monitor_kwargs", "callback"),
)
"""Of the environments and callbacks, what RL Zoo reads in a file of settings."""
_STATES = {
    TrialState.COMPLETE: "completed",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
}


def restore_run(folder: Path, config: RunConfig, trial: FrozenTrial) -> None:
    """Make a run folder of a run of another machine, from what the study's storage keeps of it.

    It holds ``run.json``, marked ``restored``, and ``evaluations.npz``, which a report reads; not
    the model.

    Args:
        folder: where it belongs; left alone if there is one.
        config: the run.
        trial: its trial.
    """
    record, evaluations = trial.user_attrs.get("record"), trial.user_attrs.get("evaluations")
    if folder.exists() or not record or record.get("seed") != config.seed:
        return
    partial = new_folder_beside(folder)
    if evaluations:
        steps, returns = evaluations
        np.savez(partial / "evaluations.npz", timesteps=np.array(steps), results=np.array(returns))
    record = {**record, "restored": True}
    (partial / "run.json").write_text(to_json(record) + "\n", encoding="utf-8")
    if folder.exists():  # another machine was faster, in a folder that both see
        discard(partial)
    else:
        move_into_place(partial, folder)


def former_settings(place: Path, hyperparameters: Mapping[str, Any] | None) -> str | None:
    """A short name of the settings that the runs in a folder were made with.

    Args:
        place: the folder.
        hyperparameters: those that belong there now; None: none do.

    Returns:
        None where there are none, or they are these.
    """
    for path in sorted(place.glob("*/run.json")):
        try:
            recorded = json.loads(path.read_text(encoding="utf-8"))["hyperparameters"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if _canonical(recorded) != _canonical(hyperparameters):
            return hashlib.sha256(_canonical(recorded).encode()).hexdigest()[:8]
        return None
    return None


def settings_yaml(
    protocol: TuningProtocol,
    policy: str,
    hyperparameters: Mapping[str, Any],
    comments: Sequence[str],
) -> str:
    """Settings in RL Zoo's format: environment → hyperparameters.

    Args:
        protocol: environment, parallel environments and budget.
        policy: SB3's name.
        hyperparameters: the algorithm's arguments.
        comments: lines at the top, without their ``#``.
    """
    settings = {
        "n_envs": protocol.n_envs,
        "n_timesteps": protocol.timesteps,
        "policy": policy,
        **{word: protocol.environment[word] for word in ZOO_WORDS if word in protocol.environment},
        **hyperparameters,
    }
    env = protocol.env.split(":")[-1]
    text: str = yaml.safe_dump({env: settings}, sort_keys=False, allow_unicode=True)
    return "".join(f"# {line}\n" for line in comments) + "\n" + text


def trials_table(outcomes: Mapping[int, FrozenTrial], decisions: Mapping[int, str]) -> str:
    """The trials as CSV: number from 1, state, score, steps, what was decided, and the settings."""
    rows = []
    for number, trial in sorted(outcomes.items()):
        settings = trial.user_attrs.get("hyperparameters", {})
        rows.append(
            {
                "trial": number + 1,
                "state": _STATES[trial.state],
                "score": "" if trial.value is None else trial.value,
                "steps": trial.user_attrs.get("steps", 0),
                "decision": decisions[number],
                **{
                    key: json.dumps(value) if isinstance(value, dict | list) else value
                    for key, value in settings.items()
                },
            }
        )
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _canonical(settings: object) -> str:
    return json.dumps(settings, sort_keys=True)
