"""``python -m ppo_lab.train``: one run, its folder, and how it goes on."""

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import ppo_lab  # registers the environments
from ppo_lab.commands.options import TrainOptions
from ppo_lab.commands.shared import (
    CommandParser,
    add_environment_flags,
    check_least,
    parse,
    run_command,
)
from reports.text import duration

__all__ = ["main"]

PROGRAM = "ppo_lab.train"
LEAST = {"timesteps": 1, "n_envs": 1, "eval_episodes": 1, "eval_freq": 0, "save_freq": 0, "seed": 0}
"""The smallest numbers that the flags take."""


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog=f"python -m {PROGRAM}",
        description="Train once, evaluate, and leave a run folder in RL Zoo's layout: "
        "LOGS/ALGO/ENV_1, …. The same command finds its run again: it names a finished one, and "
        "says how to go on with one that was stopped.",
        epilog="--resume unpickles the model's file: only give it one that you trust.",
    )
    _add_what(parser)
    _add_records(parser)
    add_environment_flags(parser)
    parser.add_argument("--version", action="version", version=ppo_lab.__version__)
    return parser


def _add_what(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--env", help="Gymnasium's id, module:id, module:Class or file.py:Class (CartPole-v1)")
    add("--algo", help="spec_ppo, or another algorithm of SB3's that compare knows (spec_ppo)")
    add("--timesteps", type=int, metavar="N", help="environment steps (the settings', or 50000)")
    add("--seed", type=int, help="of the algorithm, its environments and its evaluations (0)")
    add("--n-envs", type=int, metavar="N", help="parallel environments (the settings', or 1)")
    add(
        "--conf",
        type=Path,
        metavar="FILE.yml",
        help="settings in RL Zoo's format; its entry "
        "for the environment, or 'default' (those that come with PPO Lab, or SB3's)",
    )
    add("--preset", metavar="NAME", help="named settings of spec_ppo, on top of --conf")
    add(
        "-P",
        "--hyperparams",
        nargs="+",
        metavar="NAME:VALUE",
        help="single ones, on top of all: "
        "numbers, texts, lists, None, and dict(net_arch=[64]) for policy_kwargs; no code is run",
    )


def _add_records(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--progress", action="store_true", help="show SB3's progress bar")
    add("--verbose", action="store_true", help="print SB3's table of every rollout")
    add("--tensorboard", type=Path, metavar="DIR", help="log to TensorBoard in DIR/ALGO/ENV_1, …")
    add("--log-folder", type=Path, default=Path("logs"), metavar="DIR", help="(default: logs)")
    add(
        "--eval-freq",
        type=int,
        metavar="N",
        help="evaluate about every N steps, and at both "
        "ends; 0: at the end only (a tenth of --timesteps)",
    )
    add("--eval-episodes", type=int, metavar="N", help="of each evaluation (20)")
    add(
        "--save-freq",
        type=int,
        metavar="N",
        help="keep a checkpoint every N steps; 0: none "
        "(one every tenth of --timesteps, of which the newest is kept until the run is finished)",
    )
    add(
        "--save-replay-buffer",
        action="store_true",
        help="keep it with the checkpoints and the final model, for --resume (dqn, sac, …); it may "
        "take gigabytes",
    )
    add(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on from a run folder, or from the "
        "checkpoints of a stopped run; --timesteps is then the total",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default ``sys.argv``'s; the exit codes are ``run_command``'s."""
    options = parse(_parser(), TrainOptions, arguments)
    return run_command(PROGRAM, partial(_train, options))


def _train(options: TrainOptions) -> None:
    check_least(options, LEAST)
    # Heavy imports after the parser: --help and a mistyped flag answer at once.
    from ppo_lab.commands.training import FinishedRun, plan_run, train_planned, with_scale
    from ppo_lab.runs.off_policy import starts_empty
    from ppo_lab.runs.saved_model import trust

    run = plan_run(options)
    if isinstance(run, FinishedRun):
        print(run.in_words)
        return
    config = run.config
    if run.start is None:
        print(f"Training {config.algo} on {config.env}, {config.origin}, into {run.folder}/")
        run = with_scale(run)
    else:
        print(f"Going on from {run.start}, into {run.folder}/")
        print(f"{PROGRAM}: {trust(run.start)}", file=sys.stderr)
        if starts_empty(config.algo, run.start):
            print("Its replay buffer was not kept (--save-replay-buffer): it is filled anew first")
    started = time.perf_counter()
    score = train_planned(run, options)
    print(f"Mean return of the final policy: {run.score_in_words(score)}")
    print(f"Run: {run.folder} ({duration(time.perf_counter() - started)})")
    print(f"python -m ppo_lab.evaluate {run.folder}")


if __name__ == "__main__":
    sys.exit(main())
