"""Who carries a command's runs out: this machine, a Ray cluster, whoever shares a storage."""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppo_lab.commands.optional_packages import require
from ppo_lab.commands.shared_flags import add_shared
from ppo_lab.errors import ArgumentError

if TYPE_CHECKING:
    from ppo_lab.commands.options import ClusterOptions
    from ppo_lab.runs.config import RunConfig
    from ppo_lab.runs.executor import Executor

__all__ = [
    "GRACE",
    "SHORTEST_GRACE",
    "add_cluster_flags",
    "add_storage_flags",
    "check_cluster",
    "make_executor",
]

SHORTEST_GRACE = 4
"""Seconds: a machine gives a sign of life four times within ``--grace``."""
GRACE = 120
"""Seconds, where ``--grace`` is left out."""
SCHEME = "ray://"


def add_cluster_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of :class:`~ppo_lab.commands.options.ClusterOptions`."""
    add = parser.add_argument_group("a cluster").add_argument
    add(
        "--cluster",
        default=None,
        metavar="ADDRESS",
        help="make the runs on the nodes of a Ray cluster: auto (the one that this machine belongs "
        "to), host:port, or ray://host:10001; needs ppo-lab[ray] (default: on this machine)",
    )
    add(
        "--cpus-per-run",
        type=float,
        default=1.0,
        metavar="N",
        help="CPUs that a run takes there (default: 1)",
    )
    add(
        "--gpus-per-run",
        type=float,
        default=0.0,
        metavar="N",
        help="GPUs that a run takes there (default: 0)",
    )
    add(
        "--py-modules",
        nargs="+",
        default=[],
        metavar="DIR",
        help="folders of packages, such as your environments', that are sent to the nodes",
    )


def add_storage_flags(parser: argparse.ArgumentParser) -> None:
    """``--storage`` and ``--grace``, as ``tune`` has them."""
    group = parser.add_argument_group("many machines")
    add_shared(group, "--storage", "on this machine alone")
    add_shared(group, "--grace", default=GRACE)


def check_cluster(options: "ClusterOptions") -> None:
    """Check what can be checked before any work, and let ``--py-modules`` be imported here too.

    Raises:
        ArgumentError: a number or a folder is impossible, or there is no cluster to use it.
        CommandError: Ray is not installed.
    """
    if not options.cpus_per_run > 0 or options.cpus_per_run == float("inf"):
        raise ArgumentError(f"--cpus-per-run {options.cpus_per_run:g}: expected more than 0")
    if not 0 <= options.gpus_per_run < float("inf"):
        raise ArgumentError(f"--gpus-per-run {options.gpus_per_run:g}: expected at least 0")
    for name in options.py_modules:
        if not (Path(name) / "__init__.py").is_file():
            raise ArgumentError(
                f"--py-modules {name}: expected the folder of a package, with an __init__.py in it"
            )
        parent = str(Path(name).resolve().parent)
        if parent not in sys.path:
            sys.path.append(parent)
    if options.cluster is None:
        for flag, given, usual in (
            ("--cpus-per-run", options.cpus_per_run, 1.0),
            ("--gpus-per-run", options.gpus_per_run, 0.0),
        ):
            if given != usual:
                raise ArgumentError(
                    f"{flag} {given:g} without --cluster: on this machine a run takes a core, and "
                    "--jobs says how many are made at the same time"
                )
        return
    if options.cluster != "auto" and not _is_address(options.cluster.removeprefix(SCHEME)):
        raise ArgumentError(
            "--cluster: expected auto, host:port or ray://host:10001, without a user or a password"
        )
    require("ray", "--cluster")


def _is_address(text: str) -> bool:
    """Whether it is ``host:port``, and nothing else that may be secret."""
    host, _, port = text.rpartition(":")
    plain = bool(host) and not set("/@?#") & set(host)
    return plain and port.isdecimal() and 0 < int(port) < 2**16


def make_executor(
    options: "ClusterOptions",
    home: Path,
    runs: Iterable["RunConfig"],
    jobs: int | None,
    run_timeout: float | None,
    say: Callable[[str], None],
) -> "Executor[Any]":
    """The executor that the flags ask for; whoever takes it closes it.

    Args:
        options: the command's, checked.
        home: the folder below which its run folders lie.
        runs: one of each environment.
        jobs: as given by ``--jobs``.
        run_timeout: seconds of one run; None: no limit.
        say: told of what differs between the nodes.

    Raises:
        ArgumentError: the cluster cannot be used; says why.
    """
    if options.cluster is None:
        from ppo_lab.commands.shared import checked_jobs
        from ppo_lab.runs.workers import local_executor

        return local_executor(checked_jobs(jobs), run_timeout)
    import ppo_lab
    from ppo_lab.runs.cluster.driver import ClusterSettings
    from ppo_lab.runs.cluster.executor import ClusterExecutor
    from ppo_lab.runs.cluster.orders import needs_of

    modules = tuple(str(Path(name).resolve()) for name in options.py_modules)
    settings = ClusterSettings(
        options.cluster, options.cpus_per_run, options.gpus_per_run, modules, ppo_lab.__version__
    )
    return ClusterExecutor(settings, home, needs_of(runs), run_timeout, jobs, say)
