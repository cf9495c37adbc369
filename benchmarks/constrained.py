"""PPO with a Lagrange multiplier beside the exact constrained optimum (Spec 15.2).

``python -m benchmarks.constrained`` trains on ten seeds of CostCliffGrid and prints the table of
docs/constrained.md: exact return and cost of the final policy as it samples, over 100 steps.
``--jobs`` processes; about ten seconds of one core a run.
"""

import argparse
import time
from multiprocessing import get_context
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from envs.constrained import constrained_optimum, policy_cost
from envs.planning import policy_return
from envs.registration import MAX_EPISODE_STEPS

ENVIRONMENT = "ppo_lab/CostCliffGrid-v0"
LIMIT = 0.3
N_ENVS = 16
TIMESTEPS = 102_400
SETTINGS: dict[str, Any] = {
    "cost_limit": LIMIT,
    "n_steps": 64,
    "batch_size": 512,
    "n_epochs": 4,
    "learning_rate": "lin_0.002",
    "lambda_lr": 0.01,
    "ent_coef": 0.003,
}
"""Chosen on seed 1000, which no table shows."""


class Outcome(NamedTuple):
    """One run's numbers."""

    seed: int
    expected_return: float
    expected_cost: float
    multiplier: float
    cpu_seconds: float


def train(seed: int, **changed: Any) -> Outcome:
    """Train on one seed, and solve the final policy exactly."""
    import torch as th
    from stable_baselines3.common.env_util import make_vec_env

    import ppo_lab
    from ppo_lab.exact import model_policy

    th.set_num_threads(1)
    began = time.process_time()
    env = make_vec_env(ENVIRONMENT, N_ENVS, seed=seed)
    settings = {**SETTINGS, **changed}
    model = ppo_lab.SpecPPO("MlpPolicy", env, seed=seed, device="cpu", **settings)
    model.learn(TIMESTEPS)
    single = gym.make(ENVIRONMENT)
    grid: Any = single.unwrapped
    policy = model_policy(model, single, deterministic=False)
    return Outcome(
        seed,
        policy_return(grid.mdp, policy, MAX_EPISODE_STEPS),
        policy_cost(grid.mdp, grid.costs, policy, MAX_EPISODE_STEPS),
        float(model.lagrangian_multiplier or 0.0),
        time.process_time() - began,
    )


def _train(seed: int) -> Outcome:
    outcome = train(seed)
    print(*outcome, flush=True)
    return outcome


def table(outcomes: list[Outcome]) -> str:
    """Markdown: the optima of three limits, then a row a seed."""
    import ppo_lab  # noqa: F401 - registers the environment

    grid: Any = gym.make(ENVIRONMENT).unwrapped
    lines = ["| limit | optimal return | its cost | λ* |", "|---|---|---|---|"]
    for limit in (0.0, LIMIT, 10.0):
        best = constrained_optimum(grid.mdp, grid.costs, limit, MAX_EPISODE_STEPS)
        lines.append(f"| {limit} | {best.value:.3f} | {best.cost:.3f} | {best.multiplier:.3f} |")
    best = constrained_optimum(grid.mdp, grid.costs, LIMIT, MAX_EPISODE_STEPS)
    lines += ["", "| seed | return | below the optimum | cost | λ |", "|---|---|---|---|---|"]
    for seed, value, cost, multiplier, _ in sorted(outcomes):
        cells = f"{value:.3f} | {best.value - value:.3f} | {cost:.3f} | {multiplier:.3f}"
        lines.append(f"| {seed} | {cells} |")
    columns = np.array([outcome[1:4] for outcome in outcomes]).T
    value, cost, multiplier = columns.mean(axis=1)
    cells = f"{value:.3f} | {best.value - value:.3f} | {cost:.3f} | {multiplier:.3f}"
    lines.append(f"| mean | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Train all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with get_context("spawn").Pool(options.jobs) as pool:
        print(table(pool.map(_train, range(options.seeds), chunksize=1)))


if __name__ == "__main__":
    main()
