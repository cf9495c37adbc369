"""The flags of ``python -m ppo_lab.tune``."""

from ppo_lab.commands.executors import GRACE, add_cluster_flags
from ppo_lab.commands.options import TuneOptions
from ppo_lab.commands.parsing import any_case, whole
from ppo_lab.commands.shared import CommandParser, add_environment_flags
from ppo_lab.commands.shared_flags import add_shared, add_version
from ppo_lab.commands.until_clear import add_until_clear_flags

__all__ = ["DEFAULT_ENV", "PROGRAM", "tune_parser"]

PROGRAM = "ppo_lab.tune"
DEFAULT_ENV = "CartPole-v1"


def tune_parser() -> CommandParser:
    """The parser of ``python -m ppo_lab.tune``."""
    parser = CommandParser(
        TuneOptions,
        prog=f"python -m {PROGRAM}",
        description="Tune each algorithm, judge the tuned and the default settings on seeds that "
        "no tuning run used, and report the comparison. The same command goes on where it was "
        "stopped; the same --seed gives the same table.",
        examples=(
            ("the main job: SpecPPO and SB3's PPO on CartPole", f"python -m {PROGRAM}"),
            (
                "forty trials from RL Zoo's settings on, the discount searched too",
                f"python -m {PROGRAM} --env Pendulum-v1 --base zoo --n-trials 40 "
                "--set gamma=0.9:0.99",
            ),
        ),
    )
    _add_what(parser)
    _add_budget(parser)
    _add_search(parser)
    _add_making(parser)
    _add_where(parser)
    add_until_clear_flags(parser)
    add_environment_flags(parser)
    add_cluster_flags(parser)
    add_version(parser)
    return parser


def _add_what(parser: CommandParser) -> None:
    group = parser.add_argument_group("what is tuned")
    add = group.add_argument
    add_shared(group, "--env", default=DEFAULT_ENV)
    add(
        "--envs",
        nargs="+",
        metavar="ENV",
        help="several environments in place of --env: each is tuned for itself, and one setting "
        "for all is found and judged beside them",
    )
    add(
        "--one-setting",
        action="store_true",
        help="with --envs: find the one setting for all alone; no environment is tuned for itself",
    )
    add(
        "--algo",
        nargs="+",
        default=["spec_ppo", "ppo"],
        metavar="NAME",
        help="algorithms to compare: spec_ppo, ppo, a2c, trpo, ppo_lstm, ppo_mask (default: "
        "spec_ppo ppo)",
    )
    add(
        "--base",
        default="default",
        metavar="SETTINGS",
        help="what the search starts from, and what all is that it does not search: default, zoo "
        "(RL Zoo's), committed (PPO Lab's), or a file in RL Zoo's format (default: default)",
    )


def _add_budget(parser: CommandParser) -> None:
    group = parser.add_argument_group("the budget")
    add = group.add_argument
    add(
        "--strategy",
        type=any_case,
        choices=("optuna", "pbt"),
        default="optuna",
        help="optuna: settings that stay; pbt: also a population that trains side by side, whose "
        "worst copy the best and change their settings on the way (Spec 15.3), judged beside as "
        "many trials of settings that stay (default: optuna)",
    )
    numbers: dict[str, tuple[int | None, str]] = {
        "population": (8, "members of --strategy pbt, each trained for --timesteps"),
        "generations": (
            None,
            "parts of their training, between which the worst copy the best (default: 10, or as "
            "many as there are rollouts)",
        ),
        "trials": (24, "settings that Optuna proposes, per algorithm; more of them go on later"),
        "screen-seeds": (1, "tuning seeds that each trial is trained on"),
        "finalists": (
            4,
            "best trials, which are trained again on fresh tuning seeds, beside the default "
            "settings, which always are",
        ),
        "replicas": (10, "fresh tuning seeds of each finalist"),
        "seeds": (
            None,
            "test seeds behind each row of the table (default: 10, or as --until-clear finds)",
        ),
    }
    add_shared(group, "--timesteps", "the base's, or 3000")
    add_shared(group, "--n-envs", "the base's, or 8")
    for name, (default, meaning) in numbers.items():
        shown = meaning if default is None else f"{meaning} (default: %(default)s)"
        add(f"--{name}", type=whole, default=default, metavar="N", help=shown)
    add_shared(group, "--episodes", default=100)
    add_shared(group, "--seed", default=0)


def _add_search(parser: CommandParser) -> None:
    add = parser.add_argument_group("the search").add_argument
    add(
        "--space",
        nargs="+",
        default=["core"],
        metavar="SPACE",
        help="what is searched: core (clip range, lambda, learning rates), wide, ppo-continuous, "
        "ppo-discrete, atari, and files of YAML that change it (default: core)",
    )
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=...",
        help="change the space: NAME=VALUE fixes, NAME=LOW:HIGH or LOW:HIGH:log searches, "
        "NAME=A,B,C chooses, NAME=default leaves alone; ALGO.NAME for one algorithm",
    )
    add(
        "--sampler",
        type=any_case,
        metavar="NAME",
        help="tpe, gp, cmaes, qmc or random (default: tpe, or qmc with --envs, which needs one of "
        "the last two)",
    )
    add(
        "--pruner",
        type=any_case,
        default="none",
        metavar="NAME",
        help="stops bad trials early: none, halving, hyperband, or wilcoxon (with --screen-seeds) "
        "(default: none)",
    )
    add(
        "--window",
        type=whole,
        default=8,
        metavar="N",
        help="trial n knows the trials up to n - WINDOW; as many can run at once (default: 8)",
    )


def _add_making(parser: CommandParser) -> None:
    group = parser.add_argument_group("how it is made")
    add_shared(group, "--jobs", "all cores")
    add_shared(group, "--run-timeout", "no limit")
    add_shared(group, "--storage", "an SQLite file in the study's folder")
    add_shared(group, "--grace", default=GRACE)


def _add_where(parser: CommandParser) -> None:
    group = parser.add_argument_group("what is shown and kept")
    add = group.add_argument
    add_shared(group, "--explain")
    add(
        "--plots",
        action="store_true",
        help="draw Optuna's plots of the trials, HTML and PNG, into the study's folder; on a "
        "finished study that is all that is done",
    )
    add(
        "--study-name", metavar="NAME", help="folder and study (default: made from the environment)"
    )
    add_shared(group, "--log-folder")
