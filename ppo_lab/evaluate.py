"""``python -m ppo_lab.evaluate``: score a run's saved model with an interval, or show it."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ppo_lab.commands.chosen_run import with_chosen_run
from ppo_lab.commands.names import with_evaluate_names
from ppo_lab.commands.options import EvaluateOptions
from ppo_lab.commands.parsing import whole
from ppo_lab.commands.shared import CommandParser, check_least, parse, run_command
from ppo_lab.commands.shared_flags import add_shared, add_version

if TYPE_CHECKING:
    from ppo_lab.commands.evaluation import Evaluated
    from ppo_lab.runs.references import ReferenceScores
    from reports.statistics.intervals import Estimate

__all__ = ["main"]

PROGRAM = "ppo_lab.evaluate"
FEW_EPISODES = 10
"""Below this the report, too, says that an interval may not cover the truth as often as 95 %."""


def _parser() -> CommandParser:
    parser = CommandParser(
        EvaluateOptions,
        prog=f"python -m {PROGRAM}",
        description="Play a saved model of a run folder, of ppo_lab's or of RL Zoo's, and print "
        "its mean return with a 95 % bootstrap interval over the episodes.",
        note="The model's file and its VecNormalize statistics are unpickled, which can run any "
        "code: only evaluate files that you trust, or give --no-pickle.",
        examples=(
            (
                "the final model of a run, over 100 episodes",
                f"python -m {PROGRAM} logs/spec_ppo/CartPole-v1_1",
            ),
            (
                "the best model of the newest run of an algorithm, as in the zoo",
                f"python -m {PROGRAM} --algo ppo --env CartPole-v1 -f logs --load-best --no-render",
            ),
        ),
    )
    group = parser.add_argument_group("which model")
    add = group.add_argument
    add(
        "run",
        type=Path,
        nargs="?",
        metavar="RUN",
        help="run folder, such as logs/spec_ppo/CartPole-v1_1, or a model's file in one",
    )
    add(
        "--checkpoint",
        default="final",
        metavar="NAME|STEPS",
        help="final, best, last (the newest checkpoint), or a checkpoint's steps (default: final)",
    )
    add("--algo", metavar="NAME", help="without RUN: the newest run of this algorithm on --env")
    add_shared(group, "--log-folder")
    _add_playing(parser)
    _add_environment(parser)
    add_version(parser)
    return parser


def _add_playing(parser: CommandParser) -> None:
    playing = parser.add_argument_group("how it is played")
    add = playing.add_argument
    add_shared(playing, "--episodes", default=100)
    add("--seed", type=whole, default=0, help="of environments and sampled actions (default: 0)")
    how = playing.add_mutually_exclusive_group()
    how.add_argument("--deterministic", action="store_true", help="the likeliest actions (default)")
    how.add_argument("--stochastic", action="store_true", help="actions drawn from the policy")
    shown = playing.add_mutually_exclusive_group()
    shown.add_argument("--render", action="store_true", help="show the episodes in a window")
    shown.add_argument("--video", type=Path, metavar="FILE.mp4|DIR", help="record one episode")
    add(
        "--no-pickle",
        action="store_true",
        help="unpickle nothing: an MlpPolicy from its parameters and the run's settings; not for "
        "a normalised run, whose statistics are a pickle",
    )
    add(
        "--device",
        default="cpu",
        help="where the policy is asked: SB3's cpu, cuda, … (default: cpu)",
    )


def _add_environment(parser: CommandParser) -> None:
    add = parser.add_argument_group("environments").add_argument
    add(
        "--env",
        metavar="ID",
        help="another environment than the run's, of the same spaces; without RUN: the run's own",
    )
    add(
        "--env-kwargs",
        nargs="+",
        metavar="NAME:VALUE",
        help="arguments of gymnasium.make, on top of the run's",
    )
    add(
        "--env-packages",
        nargs="+",
        default=[],
        metavar="PACKAGE",
        help="packages that register environments, and whose wrappers the run may name",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default ``sys.argv``'s; the exit codes are ``run_command``'s."""
    options = parse(_parser(), EvaluateOptions, arguments)
    return run_command(PROGRAM, partial(_evaluate, options))


def _evaluate(options: EvaluateOptions) -> None:
    check_least(options, {"episodes": 1, "seed": 0})
    options = with_chosen_run(with_evaluate_names(options))
    # Heavy imports after the names: --help, a mistyped flag or run answers at once.
    from ppo_lab.commands.evaluation import evaluate, scale_of

    evaluated = evaluate(options, print, _warn)
    _print(options, evaluated)
    _print_normalised(evaluated.mean, scale_of(evaluated.run, options))
    _print_episodes(evaluated)


def _warn(line: str) -> None:
    print(f"{PROGRAM}: {line}", file=sys.stderr)


def _print(options: EvaluateOptions, evaluated: "Evaluated") -> None:
    run, mean, episodes = evaluated.run, evaluated.mean, len(evaluated.returns)
    how = "sampled actions" if options.stochastic else "deterministic actions"
    print(
        f"{run.algo} on {run.env}, {_model(options)} of {run.folder}: {episodes} "
        f"episodes from seed {options.seed}, {how}"
    )
    interval = ""
    if mean.low is not None and mean.high is not None:
        interval = f", 95 % bootstrap interval [{mean.low:.4g}, {mean.high:.4g}]"
    print(f"mean return {mean.value:.4g}{interval}")
    if evaluated.expected is not None:
        print(f"expected return {evaluated.expected:.6g}, exact by dynamic programming")
    if not interval:
        print("one episode: no interval can be given")
    elif episodes < FEW_EPISODES:
        print(
            f"fewer than {FEW_EPISODES} episodes: whether the interval covers the true value as "
            "often as it promises depends on the distribution of the returns"
        )


def _model(options: EvaluateOptions) -> str:
    """The model in words."""
    if options.checkpoint in ("final", "best"):
        return f"{options.checkpoint} model"
    return f"checkpoint {options.checkpoint}"


def _print_episodes(evaluated: "Evaluated") -> None:
    print(f"mean length {sum(evaluated.lengths) / len(evaluated.lengths):.1f} steps")
    if successes := evaluated.successes:
        print(f"success rate {sum(successes) / len(successes):.3f} of {len(successes)} episodes")


def _print_normalised(mean: "Estimate", reference: "ReferenceScores | None") -> None:
    """The mean and its interval on the scale of the reference scores, where there is one."""
    if reference is None or reference.high is None:
        return
    span = reference.high - reference.low
    value, *ends = (
        f"{(end - reference.low) / span:.3f}"
        for end in (mean.value, mean.low, mean.high)
        if end is not None
    )
    interval = f" [{', '.join(ends)}]" if ends else ""
    print(f"normalised {value}{interval} ({reference.source})")


if __name__ == "__main__":
    sys.exit(main())
