"""Which run's model a command means: a folder, a model's file, or the zoo's algorithm and id."""

import re
from dataclasses import replace
from pathlib import Path

from ppo_lab.commands.options import EvaluateOptions
from ppo_lab.errors import ArgumentError
from ppo_lab.runs.config import environment_folder_name

__all__ = ["is_alone", "with_chosen_run"]


def with_chosen_run(options: EvaluateOptions) -> EvaluateOptions:
    """The options with a run folder, and the name of the model in it; nothing is opened.

    ``RUN/best_model.zip`` is the run's best model, ``RUN/ENV`` lies in the run. Without RUN the
    newest of ``LOGS/ALGO/ENV_1``, ``ENV_2``, … is meant, as by ``rl_zoo3.enjoy``. A model's file
    that lies in no run folder stays as it is: see :func:`is_alone`.

    Raises:
        ArgumentError: there is no such run, or nothing says which.
    """
    if options.run is None:
        return replace(options, run=_newest(options), env=None, algo=None)
    run = options.run
    if not run.exists():
        zipped = run.with_name(f"{run.name}.zip")
        if not zipped.is_file():
            raise ArgumentError(f"{run} is no run: there is no such folder")
        run = zipped  # SB3's load takes the name without its ending too
    if run.is_file():
        folder = _folder_around(run)
        if folder is None:
            return replace(options, run=run, checkpoint=run.name)
        return replace(options, run=folder, checkpoint=run.name, algo=None)
    if (run / "args.yml").is_file():
        run = run.parent
    return replace(options, run=run, algo=None)


def is_alone(run: Path) -> bool:
    """Whether it is a model's file that lies in no run folder."""
    return run.is_file()


def _folder_around(file: Path) -> Path | None:
    """The run folder that a model's file lies in."""
    for folder in (file.parent, file.parent.parent):
        if any(folder.glob("*/args.yml")):
            return folder
    return None


def _newest(options: EvaluateOptions) -> Path:
    """The run of the highest number of an algorithm on an environment."""
    if options.env is None or options.algo is None:
        raise ArgumentError(
            "expected RUN, a run folder or a model's file; or --algo and --env, whose newest run "
            "in --log-folder is then meant"
        )
    folder = options.log_folder / options.algo
    name = environment_folder_name(options.env)
    runs = [
        (int(found[1]), path)
        for path in folder.glob(f"{_plain(name)}_*")
        if (found := re.fullmatch(rf"{re.escape(name)}_(\d+)", path.name)) and path.is_dir()
    ]
    if not runs:
        raise ArgumentError(f"{folder} holds no run {name}_1, …: --log-folder DIR, or give RUN")
    return max(runs)[1]


def _plain(name: str) -> str:
    """A name in which a pattern's characters stand for themselves."""
    return re.sub(r"([*?[])", r"[\1]", name)
