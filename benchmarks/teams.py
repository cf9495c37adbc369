"""IPPO and MAPPO in games with an exact team optimum: what docs/multi_agent.md shows.

Ten seeds each on the reference map, which both are to solve, and on ``luck``, which is built so
that a critic of an agent's own observation learns from noise. Scores are exact: 0 is the random
team, 1 the team's optimum.

    taskset -c 0 python -m benchmarks.teams
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
TASKS: Mapping[str, tuple[dict[str, Any], int]] = {
    "reference": ({"map": "reference"}, 20_000),
    "luck": ({"map": "luck", "observation": "own"}, 16_000),
}
"""Name → arguments of the game, and steps of agents to train for."""


def score(task: str, critic: Any, seed: int) -> float:
    """The normalised exact return of a team that was trained with one seed."""
    arguments, steps = TASKS[task]
    env = make_parallel_vec_env(TeamGrid, N_ENVS, critic=critic, **arguments)
    kwargs = {"critic_only": ["state"]} if critic == "central" else None
    model = SpecPPO("MlpPolicy", env, seed=seed, policy_kwargs=kwargs, **SETTINGS)
    model.learn(steps)
    return normalized_team_return(model, TeamGrid(**arguments))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    n_seeds = parser.parse_args().seeds
    th.set_num_threads(1)
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


if __name__ == "__main__":
    main()
