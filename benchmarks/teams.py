"""IPPO and MAPPO in games with an exact team optimum: what docs/multi_agent.md shows.

Ten seeds each on the reference map, which both are to solve, and on ``luck``, which is built so
that a critic of an agent's own observation learns from noise. Scores are exact: 0 is the random
team, 1 the team's optimum.

    taskset -c 0 python -m benchmarks.teams
    taskset -c 0 python -m benchmarks.teams backends --seeds 24

``backends`` trains MAPPO on ``luck`` by torch and by the kernels, and looks at every update.
"""

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch as th

from envs.team_grid import TeamGrid
from ppo_lab import SpecPPO
from ppo_lab.multi_agent import make_parallel_vec_env, normalized_team_return

SETTINGS: Mapping[str, Any] = {
    "n_steps": 32,
    "batch_size": 128,
    "n_epochs": 10,
    "learning_rate": 1e-3,
    "ent_coef": 0.01,
    "device": "cpu",
}
N_ENVS = 8
SOLVED = 0.99
"""From there on a team is at the optimum."""
TASKS: Mapping[str, tuple[dict[str, Any], int]] = {
    "reference": ({"map": "reference"}, 20_000),
    "luck": ({"map": "luck", "observation": "own"}, 16_000),
}
"""Name → arguments of the game, and steps of agents to train for."""


def score(task: str, critic: Any, seed: int) -> float:
    """The normalised exact return of a team that was trained with one seed."""
    arguments, steps = TASKS[task]
    env = make_parallel_vec_env(TeamGrid, N_ENVS, critic=critic, **arguments)
    how: dict[str, Any] = {}
    if critic == "central":  # by torch, as the page's table was made
        how = {"policy_kwargs": {"critic_only": ["state"]}, "backend": "torch"}
    model = SpecPPO("MlpPolicy", env, seed=seed, **SETTINGS, **how)
    model.learn(steps)
    return normalized_team_return(model, TeamGrid(**arguments))


def scores_of_updates(backend: Any, seed: int) -> list[float]:
    """The normalised exact return of MAPPO's team on ``luck`` after each update."""
    arguments, steps = TASKS["luck"]
    env = make_parallel_vec_env(TeamGrid, N_ENVS, critic="central", **arguments)
    how: dict[str, Any] = {"policy_kwargs": {"critic_only": ["state"]}, "backend": backend}
    model = SpecPPO("MlpPolicy", env, seed=seed, **SETTINGS, **how)
    scores, game = [], TeamGrid(**arguments)
    while model.num_timesteps < steps:
        model.learn(1, reset_num_timesteps=False)
        scores.append(normalized_team_return(model, game))
    return scores


def backends(n_seeds: int) -> None:
    """Print how often MAPPO's team misses the optimum of ``luck``, by backend."""
    print("| MAPPO on `luck` by | mean | least | seeds below 1 | later half's updates below 1 |")
    print("|---|---|---|---|---|")
    notes: list[str] = []
    for backend in ("torch", "compiled"):
        scores = np.array([scores_of_updates(backend, seed) for seed in range(n_seeds)])
        last, later = scores[:, -1], scores[:, scores.shape[1] // 2 :]
        cells = [
            f"{last.mean():.2f}", f"{last.min():.2f}", f"{(last < SOLVED).sum()} of {n_seeds}",
            f"{(later < SOLVED).sum()} of {later.size}",
        ]  # fmt: skip
        print(f"| {backend} | {' | '.join(cells)} |", flush=True)
        before = (later[:, :-1] >= SOLVED).sum(axis=1)
        notes += [
            f"{backend}, seed {seed}: {last[seed]:.2f} at the end, at the optimum after "
            f"{before[seed]} of the {later.shape[1] - 1} updates before"
            for seed in np.flatnonzero(last < SOLVED)
        ]
    print(*notes, sep="\n")


def critics(n_seeds: int) -> None:
    """Print what IPPO and MAPPO reach in each game."""
    print("| game | IPPO | MAPPO | MAPPO − IPPO |")
    print("|---|---|---|---|")
    for task in TASKS:
        own, central = (
            np.array([score(task, critic, seed) for seed in range(n_seeds)])
            for critic in ("own", "central")
        )
        cells = [f"{of.mean():.2f} ({of.min():.2f} … {of.max():.2f})" for of in (own, central)]
        print(
            f"| `{task}` | {cells[0]} | {cells[1]} | {central.mean() - own.mean():+.2f} |",
            flush=True,
        )


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("critics", "backends"), default="critics")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    th.set_num_threads(1)
    if options.part == "backends":
        backends(options.seeds)
    else:
        critics(options.seeds)


if __name__ == "__main__":
    main()
