"""What a node of a cluster is told, and what it answers; pickled between equal versions alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ppo_lab.runs.config import RunConfig

__all__ = ["Need", "Orders", "Reply", "needs_of"]


@dataclass(frozen=True)
class Need:
    """An environment that a node must be able to make.

    Attributes:
        env: Gymnasium's id, ``module:Class`` or ``file.py:Class``.
        env_kwargs: for ``gymnasium.make``.
        packages: that are imported first.
        sha256: of the file that ``env`` names; empty: it names none.
    """

    env: str
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    sha256: str = ""


def needs_of(configs: Iterable[RunConfig]) -> tuple[Need, ...]:
    """The environments of some runs, each once."""
    needs: list[Need] = []
    for run in configs:
        need = Need(run.env, dict(run.env_kwargs), tuple(run.env_packages), run.env_sha256)
        if need not in needs:
            needs.append(need)
    return tuple(needs)


@dataclass(frozen=True)
class Orders:
    """The same for every task of a command.

    Attributes:
        home: the folder below which the run folders lie, on the machine of the command; None:
            paths travel as they are.
        token: a file in it: where a node sees it, the file system is shared.
        folder: in which the command was started.
        command: its words, without secrets.
        run_timeout: seconds of one run; None: no limit.
        needs: the environments.
    """

    home: str | None
    token: str
    folder: str
    command: tuple[str, ...]
    run_timeout: float | None
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True)
class Reply:
    """What became of one call.

    Attributes:
        outcome: what the function gave back, an :class:`~ppo_lab.runs.executor.Death`, or what it
            raised.
        raised: whether it is what it raised.
        folders: place → the run folder that it left, packed; without those that the machine of the
            command sees itself or has sent.
        seconds: that it took on the node.
    """

    outcome: Any
    raised: bool
    folders: Mapping[str, bytes]
    seconds: float
