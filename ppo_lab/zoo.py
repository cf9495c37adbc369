"""``python -m ppo_lab.zoo``: RL Zoo's own scripts, with ``spec_ppo`` among the algorithms."""

import argparse
import importlib
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ppo_lab  # registers the environments
from ppo_lab.commands.options import ZooOptions
from ppo_lab.commands.shared import CommandParser, parse, run_command
from ppo_lab.commands.shared_flags import add_version
from ppo_lab.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import optuna

__all__ = ["main", "register_with_zoo"]

PROGRAM = "ppo_lab.zoo"
ALGORITHM = "spec_ppo"
SCRIPTS: Mapping[str, tuple[str, str | None]] = {
    "train": ("rl_zoo3.train", "train"),
    "enjoy": ("rl_zoo3.enjoy", "enjoy"),
    "plot_train": ("rl_zoo3.plots", "plot_train"),
    "plot_from_file": ("rl_zoo3.plots", "plot_from_file"),
    "all_plots": ("rl_zoo3.plots", "all_plots"),
    "record_video": ("rl_zoo3.record_video", None),
}
"""Script → (module, function); None: the module itself, run as a program."""


# ------------------------------------------------------------------ what the zoo gets from us


def sample_spec_ppo(
    trial: "optuna.Trial",
    n_actions: int,  # noqa: ARG001 - the zoo's signature
    n_envs: int,  # noqa: ARG001
    additional_args: Mapping[str, Any],  # noqa: ARG001
) -> dict[str, Any]:
    """Propose SpecPPO's hyperparameters from the ``core`` space of tune, as the zoo asks."""
    from tuning.parameters import Real
    from tuning.spaces import SPACES

    ranges = {p.key: p.distribution for p in SPACES["core"][ALGORITHM] if isinstance(p, Real)}
    return convert_spec_ppo(
        {key: trial.suggest_float(key, r.low, r.high, log=r.log) for key, r in ranges.items()}
    )


def convert_spec_ppo(sampled: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's parameters as the algorithm's keyword arguments."""
    from tuning.spaces import SPACES, convert

    return convert(SPACES["core"][ALGORITHM], sampled, shape={}, n_envs=1)


def register_with_zoo() -> None:
    """Make ``spec_ppo`` an algorithm of ``rl_zoo3``, with our sampler; more than once does no harm.

    The dictionaries are the zoo's own, which its modules share: they are filled, never replaced.
    Call it before a function of the zoo parses its command line.

    Raises:
        ModuleNotFoundError: ``rl_zoo3`` is not installed.
    """
    from rl_zoo3 import ALGOS
    from rl_zoo3.exp_manager import ExperimentManager
    from rl_zoo3.hyperparams_opt import HYPERPARAMS_CONVERTER, HYPERPARAMS_SAMPLER

    ALGOS[ALGORITHM] = ppo_lab.SpecPPO
    HYPERPARAMS_SAMPLER[ALGORITHM] = sample_spec_ppo
    HYPERPARAMS_CONVERTER.update({ALGORITHM: convert_spec_ppo})  # type: ignore[dict-item]
    setattr(ExperimentManager, "trial_id", _TrialNumber())  # noqa: B010 - mypy reads an attribute


class _TrialNumber:
    """``ExperimentManager.trial_id``, where 0 counts as given.

    The zoo asks ``if … and self.trial_id`` and so ignores ``--trial-id 0``.
    """

    class _Given(int):
        def __bool__(self) -> bool:
            return True

    def __set__(self, manager: Any, value: int | None) -> None:
        vars(manager)["trial_id"] = None if value is None else self._Given(value)

    def __get__(self, manager: Any, _owner: type | None = None) -> int | None:
        trial: int | None = vars(manager)["trial_id"]
        return trial


# ------------------------------------------------------------------ the command


def _parser() -> CommandParser:
    parser = CommandParser(
        examples=(
            (
                "rl_zoo3's training of spec_ppo",
                f"python -m {PROGRAM} train --algo spec_ppo --env CartPole-v1",
            ),
            (
                "rl_zoo3's player of the run",
                f"python -m {PROGRAM} enjoy --algo spec_ppo --env CartPole-v1 -f logs --no-render",
            ),
        ),
        prog=f"python -m {PROGRAM}",
        description="RL Zoo's scripts with spec_ppo beside its own algorithms. Every flag after "
        "the script's name goes to rl_zoo3 as it is; SCRIPT --help lists them. Training spec_ppo "
        "without -conf takes the settings that come with PPO Lab, and the zoo's of ppo for an "
        "environment that has none there.",
        note="The zoo loads models and VecNormalize statistics by unpickling them and evaluates "
        "-params as Python: only give it files and flags that you trust. "
        f"'python -X dev -m {PROGRAM} …' shows the traceback of an error.",
    )
    parser.add_argument("script", choices=tuple(SCRIPTS), metavar="SCRIPT", help=", ".join(SCRIPTS))
    parser.add_argument("flags", nargs=argparse.REMAINDER, help="rl_zoo3's own")
    add_version(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default ``sys.argv``'s; the exit codes are ``run_command``'s."""
    options = parse(_parser(), ZooOptions, arguments)
    return run_command(PROGRAM, partial(_run, options.script, options.flags), exits=True)


def _run(script: str, flags: Sequence[str]) -> None:
    from ppo_lab.errors import ArgumentError, NonFiniteError
    from ppo_lab.interruption import by_user, one_line

    try:
        _call(script, flags)
    except ModuleNotFoundError as error:
        raise CommandError(_missing(script, error)) from error
    except KeyboardInterrupt as stop:
        if by_user(stop):  # what the scripts leave is theirs: nothing is said of going on
            raise KeyboardInterrupt(f"{script} is stopped") from None
        raise
    except SystemExit as end:
        if end.code or not {"-h", "--help"}.isdisjoint(flags):
            raise
        raise CommandError(f"{script}: ended by the environment: {one_line(end)}") from end
    except (ArgumentError, CommandError, NonFiniteError):
        raise
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        raise CommandError(_in_one_line(script, error)) from error


def _call(script: str, flags: Sequence[str]) -> None:
    register_with_zoo()
    if script in ("enjoy", "record_video") and _plays_another_moment(flags):
        print(
            f"{PROGRAM}: the zoo plays every model of a normalised run with the VecNormalize "
            "statistics of the end of training; 'python -m ppo_lab.evaluate RUN --checkpoint best' "
            "takes the best model's own",
            file=sys.stderr,
        )
    module, function = SCRIPTS[script]
    with as_file(files("ppo_lab") / "hyperparams" / f"{ALGORITHM}.yml") as packaged:
        if script == "train":
            flags = [*flags, *_settings_flags(flags, packaged)]
        with _command_line(f"python -m {PROGRAM} {script}", *flags), _masks_where_asked_for():
            if function is None:
                runpy.run_module(module, run_name="__main__")
            else:
                run: Callable[[], None] = getattr(importlib.import_module(module), function)
                run()


def _plays_another_moment(flags: Sequence[str]) -> bool:
    """Whether another model than the last is asked for; argparse takes shortened flags too."""
    wanted = ("--load-best", "--load-checkpoint", "--load-last-checkpoint")
    given = [flag.partition("=")[0] for flag in flags]
    return any(len(f) > len("--load-") and w.startswith(f) for f in given for w in wanted)


@contextmanager
def _masks_where_asked_for() -> "Iterator[None]":
    """Let ``EvalCallback``, which the zoo's two evaluations are, play masked models under masks."""
    from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_masked
    from stable_baselines3.common import callbacks

    plain: Any = vars(callbacks)["evaluate_policy"]  # SB3 does not export it from there

    def evaluate(model: Any, *arguments: Any, **options: Any) -> Any:
        play: Any = evaluate_masked if getattr(model, "mask_actions", False) else plain
        return play(model, *arguments, **options)

    vars(callbacks)["evaluate_policy"] = evaluate
    try:
        yield
    finally:
        vars(callbacks)["evaluate_policy"] = plain


@contextmanager
def _command_line(*words: str) -> "Iterator[None]":
    """Put these words in ``sys.argv``, which is where the zoo's functions read their flags."""
    before = sys.argv
    sys.argv = list(words)
    try:
        yield
    finally:
        sys.argv = before


def _settings_flags(flags: Sequence[str], packaged: Path) -> list[str]:
    """The ``-conf`` that the user left out; nothing for an algorithm of the zoo's.

    SpecPPO takes every setting of ``ppo``, with the same meaning: the zoo's serve where ours have
    none, the ``default`` that they hold included.
    """
    import rl_zoo3

    from reports.logs.reading import plain_yaml

    ours = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    ours.add_argument("--algo")
    ours.add_argument("--env", default="CartPole-v1")
    ours.add_argument("-conf", "--conf-file")
    try:
        given, _ = ours.parse_known_args(flags)
    except argparse.ArgumentError:
        return []  # a flag without its value: the zoo says so
    if given.algo != ALGORITHM or given.conf_file is not None:
        return []
    if given.env in plain_yaml(packaged.read_text(encoding="utf-8"), packaged.name):
        return ["-conf", str(packaged)]
    return ["-conf", str(Path(rl_zoo3.__file__).parent / "hyperparams" / "ppo.yml")]


# ------------------------------------------------------------------ its errors, in one line


def _missing(script: str, error: ModuleNotFoundError) -> str:
    from ppo_lab.commands.optional_packages import EXTRA_OF, missing_package

    name = (error.name or "").partition(".")[0]
    return missing_package(name, f"'{script}'") if name in EXTRA_OF else f"{script}: {error}"


def _in_one_line(script: str, error: Exception) -> str:
    text = " ".join(str(error).split()) or "no message"
    if "moviepy" in text.lower():
        from ppo_lab.commands.optional_packages import missing_package

        return missing_package("moviepy", f"'{script}'")
    hint = (
        "; rl_zoo3 plots from a file only where every algorithm has two runs or more"
        if script == "plot_from_file" and isinstance(error, TypeError | ValueError)
        else ""
    )
    plain = isinstance(error, ValueError | AssertionError | OSError)
    return f"{script}: {text if plain else f'{type(error).__name__}: {text}'}{hint}"


if __name__ == "__main__":
    sys.exit(main())
