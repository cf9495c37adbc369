"""``python -m ppo_lab.train``: one run, its folder, and how it goes on."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ppo_lab.commands.names import with_train_names
from ppo_lab.commands.options import TrainOptions
from ppo_lab.commands.parsing import whole
from ppo_lab.commands.shared import (
    CommandParser,
    add_environment_flags,
    check_least,
    make_console,
    parse,
    run_command,
)
from ppo_lab.commands.shared_flags import add_shared, add_version
from reports.text import duration

if TYPE_CHECKING:
    from reports.logs.records import Command

__all__ = ["main"]

PROGRAM = "ppo_lab.train"
LEAST = {"timesteps": 1, "n_envs": 1, "eval_episodes": 1, "eval_freq": 0, "save_freq": 0, "seed": 0}
"""The smallest numbers that the flags take."""


def _parser() -> CommandParser:
    parser = CommandParser(
        TrainOptions,
        prog=f"python -m {PROGRAM}",
        description="Train once, evaluate, and leave a run folder in RL Zoo's layout: "
        "LOGS/ALGO/ENV_1, …. The same command finds its run again: it names a finished one, and "
        "says how to go on with one that was stopped.",
        note="--resume unpickles the model's file: only give it one that you trust.",
        examples=(
            ("SpecPPO on CartPole, evaluated ten times", f"python -m {PROGRAM} --env CartPole-v1"),
            (
                "SB3's PPO with settings of your own",
                f"python -m {PROGRAM} --algo ppo --env Pendulum-v1 -n 1e5 -P gamma:0.9",
            ),
        ),
    )
    _add_what(parser)
    _add_records(parser)
    _add_logs(parser)
    add_environment_flags(parser)
    add_version(parser)
    return parser


def _add_what(parser: CommandParser) -> None:
    group = parser.add_argument_group("the run")
    add = group.add_argument
    add_shared(group, "--env", "CartPole-v1")
    add("--algo", help="spec_ppo, or another that compare knows too (default: spec_ppo)")
    add_shared(group, "--timesteps", "the settings', or 50000")
    add_shared(group, "--seed", "0")
    add_shared(group, "--n-envs", "the settings', or 1")
    add(
        "--conf",
        type=Path,
        metavar="FILE.yml",
        help="settings in RL Zoo's format: its entry for the environment, or 'default' "
        "(default: those that come with PPO Lab, or SB3's)",
    )
    add_shared(group, "--preset")
    add_shared(group, "-P")


def _add_records(parser: CommandParser) -> None:
    group = parser.add_argument_group("what is kept")
    add = group.add_argument
    add_shared(group, "--log-folder")
    add(
        "--eval-freq",
        type=whole,
        metavar="N",
        help="evaluate about every N steps, and at both ends; 0: at the end only (default: a tenth "
        "of --timesteps)",
    )
    add("--eval-episodes", type=whole, metavar="N", help="of each evaluation (default: 20)")
    add(
        "--save-freq",
        type=whole,
        metavar="N",
        help="keep a checkpoint every N steps; 0: none (default: one every tenth of --timesteps, "
        "of which the newest is kept until the run is finished)",
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
        help="go on from a run folder, or from the checkpoints of a stopped run; --timesteps is "
        "then the total",
    )


def _add_logs(parser: CommandParser) -> None:
    add = parser.add_argument_group("what is shown and logged").add_argument
    add(
        "--progress",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="a bar with the steps and the best score (default: on a terminal)",
    )
    add(
        "--verbose",
        type=whole,
        nargs="?",
        const=1,
        default=0,
        metavar="0|1",
        help="1: print SB3's table of every rollout (default: 0)",
    )
    add("--tensorboard", type=Path, metavar="DIR", help="log to TensorBoard in DIR/ALGO/ENV_1, …")
    add(
        "--track",
        action="store_true",
        help='log to Weights & Biases: pip install "ppo-lab[integrations]"',
    )
    add("--wandb-project-name", default="sb3", metavar="NAME", help="with --track (default: sb3)")
    add("--wandb-entity", metavar="NAME", help="with --track: team or user (default: yours)")
    add("--wandb-group", metavar="NAME", help="with --track: a name for runs that go together")
    add("--wandb-tags", nargs="+", default=(), metavar="TAG", help="with --track: words to find it")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default ``sys.argv``'s; the exit codes are ``run_command``'s."""
    parser = _parser()
    options = parse(parser, TrainOptions, arguments)
    return run_command(PROGRAM, partial(_train, options, parser.command))


def _train(options: TrainOptions, command: "Command") -> None:
    check_least(options, LEAST)
    if options.hyperparams == []:  # the zoo's -P
        options = replace(options, hyperparams=None, progress=True)
    options = with_train_names(options)
    # Heavy imports after the names: --help, a mistyped flag or id answers at once.
    from ppo_lab.commands.training import FinishedRun, plan_run, train_planned, with_scale
    from ppo_lab.runs.off_policy import starts_empty
    from ppo_lab.runs.saved_model import trust

    console = make_console()
    run = plan_run(options)
    if isinstance(run, FinishedRun):
        console.print(run.in_words, soft_wrap=True)
        return
    config = run.config
    if run.start is None:
        console.print(
            f"Training {config.algo} on {config.env}, {config.origin}, into {run.folder}/",
            soft_wrap=True,
        )
        run = with_scale(run)
    else:
        console.print(f"Going on from {run.start}, into {run.folder}/", soft_wrap=True)
        print(f"{PROGRAM}: {trust(run.start)}", file=sys.stderr)
        if starts_empty(config.algo, run.start):
            print("Its replay buffer was not kept (--save-replay-buffer): it is filled anew first")
    started = time.perf_counter()
    score = train_planned(run, options, console, command)
    said = (
        f"Mean return of the final policy: {run.score_in_words(score)}",
        f"Run: {run.folder} ({duration(time.perf_counter() - started)})",
        f"python -m ppo_lab.evaluate {run.folder}",
    )
    for line in said:
        console.print(line, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
