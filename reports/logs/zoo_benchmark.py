"""RL Zoo's benchmark: ``LABEL-ENV/0.monitor.csv`` beside a ``benchmark.md``.

``rl_zoo3.benchmark`` plays trained models and logs every episode: these monitor files are an
evaluation of the final policy, not of training, and ``benchmark.md`` states its training steps.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from reports.logs.episodes import Episodes, read_episodes
from reports.logs.monitors import left_out
from reports.logs.names import told_by_names
from reports.logs.opening import read_text
from reports.logs.records import EVALUATION, Run, SetAside, UnusableError, named
from reports.logs.run_folders import must_agree, task_name

TABLE = "benchmark.md"

_STEPS = re.compile(r"(\d{1,6})(k|M)")
_UNSTATED = f"{TABLE} does not say for how many steps it was trained: 0 stands for it."


def is_benchmark(folder: Path) -> bool:
    """Whether a folder of monitor files is one that RL Zoo's benchmark wrote."""
    if not (folder.parent / TABLE).is_file():
        return False
    names = [path.name for path in folder.iterdir()]
    # A run that was trained there keeps a model, evaluations or its settings.
    return all(name.endswith("monitor.csv") for name in names)


def read_benchmark_folder(
    folder: Path, name: str, parts: Sequence[str], monitors: Sequence[str]
) -> tuple[Run, list[SetAside]]:
    """Read one evaluation.

    Args:
        folder: on disk.
        name: in the report.
        parts: names of the folders down to this one.
        monitors: names of its monitor files, at least one.

    Raises:
        UnusableError: a file cannot be read, or no episode was finished.
    """
    files = [read_episodes(folder / monitor) for monitor in monitors]
    returns = np.concatenate([file.returns for file in files])
    if not len(returns):
        raise UnusableError("the monitor files hold no finished episode")
    env_id = next((file.env_id for file in files if file.env_id), None)
    names = told_by_names(parts, env_id)
    trained = _trained_steps(folder.parent / TABLE).get(parts[-1])
    score = float(returns.mean())
    run = Run(
        folder=name,
        algo=named(names.algo, "unnamed"),
        settings="",
        task=task_name(names.env, None),
        seed=None,
        steps=trained or 0,
        score=score,
        evaluation_episodes=len(returns),
        evaluation_steps=np.array([trained or 0], np.int64),
        evaluation_returns=np.array([score]),
        # Its episodes follow from the steps that it plays, alike for every model.
        must_agree=must_agree(None, "as RL Zoo's benchmark evaluates", EVALUATION),
        kind="zoo_benchmark",
        success_rate=_success_rate(files),
        tuning="unknown: RL Zoo's trained agents",
        remarks=() if trained else (_UNSTATED,),
    )
    return run, left_out(monitors, files, name)


def _success_rate(files: Sequence[Episodes]) -> float | None:
    logged = [file.successes for file in files if file.successes is not None]
    return float(np.concatenate(logged).mean()) if len(logged) == len(files) else None


def _trained_steps(table: Path) -> Mapping[str, int]:
    """Steps that each ``LABEL-ENV`` was trained for, as far as the table states them."""
    try:
        return _parsed(read_text(table))
    except UnusableError:
        return {}


@lru_cache(maxsize=4)
def _parsed(text: str) -> Mapping[str, int]:
    """The table's rows; its steps are rounded down to thousands, or millions, as it was written."""
    steps: dict[str, int] = {}
    header: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if "n_timesteps" in cells:
            header = cells
        elif len(cells) == len(header):
            row = dict(zip(header, cells, strict=True))
            env = re.sub(r"^\[(.*?)\]\(.*\)$", r"\1", row.get("env_id", ""))
            if stated := _STEPS.fullmatch(row["n_timesteps"]):
                thousands = {"k": 1_000, "M": 1_000_000}[stated[2]]
                steps[f"{row.get('algo', '')}-{env}"] = int(stated[1]) * thousands
    return steps
