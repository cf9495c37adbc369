"""Runs over processes on environments that are solved exactly, and tables of what they came to."""

import argparse
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.page_marks import write_between_marks
from envs.planning import policy_return
from envs.registration import MAX_EPISODE_STEPS

__all__ = ["Final", "final_policy", "markdown", "mean_and_interval", "print_table"]


class Final(NamedTuple):
    """A trained model's policy, as it samples its actions.

    Attributes:
        env: the environment that it is judged in, unwrapped.
        policy: (S, A) probabilities.
        expected_return: exact, of one episode.
    """

    env: Any
    policy: NDArray[np.float64]
    expected_return: float


def final_policy(model: Any, environment: str, **kwargs: Any) -> Final:
    """Solve a model's policy exactly in an environment of PPO Lab's with a finite MDP."""
    from ppo_lab.exact import model_policy

    single = gym.make(environment, **kwargs)
    inner: Any = single.unwrapped
    policy = model_policy(model, single, deterministic=False)
    return Final(inner, policy, policy_return(inner.mdp, policy, MAX_EPISODE_STEPS))


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table, each cell as it is written."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def mean_and_interval(values: Sequence[float]) -> str:
    """The mean ± half of a 95 % t-interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.3f} ± {half:.3f}"


def _announced(given: tuple[Callable[..., Any], tuple[Any, ...]]) -> Any:
    import torch as th

    import ppo_lab  # noqa: F401 - registers the environments

    th.set_num_threads(1)
    train, task = given
    outcome = train(*task)
    print(*outcome, flush=True)
    return outcome


def print_table(
    words: str | None,
    mark: str,
    train: Callable[..., Any],
    tasks: Callable[[int], Sequence[tuple[Any, ...]]],
    table: Callable[[list[Any]], str],
    seeds: int = 10,
) -> None:
    """What such a benchmark's command does: train all, print the table, put it on a page.

    Args:
        words: what it is.
        mark: between which of a page's marks the table stands.
        train: of one task; returns a tuple, which is printed as soon as it is there.
        tasks: of a number of seeds.
        table: of all outcomes, in the tasks' order.
        seeds: unless told.
    """
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put it on this page too")
    options = parser.parse_args()
    given = [(train, task) for task in tasks(options.seeds)]
    with get_context("spawn").Pool(options.jobs) as pool:
        text = table(pool.map(_announced, given, chunksize=1))
    print(text)
    if options.write is not None:
        write_between_marks(options.write, mark, text)
