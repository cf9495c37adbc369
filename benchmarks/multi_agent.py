"""Rates beside SuperSuit and SB3's PPO, and learning curves of IPPO and MAPPO in simple_spread.

    taskset -c 0 python -m benchmarks.multi_agent rates
    taskset -c 0 python -m benchmarks.multi_agent curve --steps 1000000 --seeds 5 --out curve.json

Rates are agent-steps per second of this process's CPU time, medians of turns that alternate. A
curve's points are kept in ``--out`` as they come; the same command goes on with the seeds missing.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

from ppo_lab import SpecPPO
from ppo_lab.multi_agent import make_parallel_vec_env
from ppo_lab.multi_agent.making import game_maker

GAME = "simple_spread_v3"
N_GAMES = 8
SETTINGS: dict[str, Any] = {"n_steps": 128, "batch_size": 256, "n_epochs": 10, "device": "cpu"}
CENTRAL: dict[str, Any] = {"policy_kwargs": {"critic_only": ["state"]}}
CURVE: dict[str, Any] = {
    **SETTINGS,
    "learning_rate": 7e-4,
    "ent_coef": 0.01,
    "normalize_value": True,
}


def supersuit(game: str) -> Any:
    """The games as users wire them today."""
    from supersuit import concat_vec_envs_v1, pettingzoo_env_to_vec_env_v1

    single = pettingzoo_env_to_vec_env_v1(game_maker(game)())
    return concat_vec_envs_v1(single, N_GAMES, num_cpus=0, base_class="stable_baselines3")


def sides(game: str) -> dict[str, Any]:
    """A model a side, warmed up."""
    central = make_parallel_vec_env(game, N_GAMES, seed=0, critic="central")
    models = {
        "SuperSuit + SB3's PPO": PPO("MlpPolicy", supersuit(game), **SETTINGS),
        "SB3's PPO on our games": PPO(
            "MlpPolicy", make_parallel_vec_env(game, N_GAMES, seed=0), **SETTINGS
        ),
        "IPPO": SpecPPO("MlpPolicy", make_parallel_vec_env(game, N_GAMES, seed=0), **SETTINGS),
        "MAPPO": SpecPPO("MultiInputPolicy", central, **SETTINGS, **CENTRAL),
    }
    for model in models.values():
        model.learn(1)
    return models


def cpu_seconds(work: Callable[[], object]) -> float:
    """What a call costs this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def rates(game: str, turns: int) -> None:
    """Print the table of rates."""
    models = sides(game)
    steps = SETTINGS["n_steps"] * models["IPPO"].n_envs
    spent: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(turns):
        for name, model in models.items():
            spent[name].append(cpu_seconds(lambda m=model: m.learn(steps)))  # type: ignore[misc]
    first = statistics.median(next(iter(spent.values())))
    print("| side | agent-steps/s | times |\n|---|---|---|")
    for name, seconds in spent.items():
        middle = statistics.median(seconds)
        print(f"| {name} | {steps / middle:,.0f} | {first / middle:.1f} |")
    env = make_parallel_vec_env(game, N_GAMES, seed=0)
    env.reset()
    actions = np.zeros(env.num_envs, int)
    seconds = [cpu_seconds(lambda: [env.step(actions) for _ in range(128)]) for _ in range(turns)]
    print(
        f"| stepping our games alone | {128 * env.num_envs / statistics.median(seconds):,.0f} | |"
    )


def curve(steps: int, n_seeds: int, out: Path) -> None:
    """Train every seed that is missing, and print the table."""
    points: dict[str, list[list[float]]] = json.loads(out.read_text()) if out.is_file() else {}
    for seed in range(n_seeds):
        for critic in ("own", "central"):
            key = f"{critic} {steps} {seed}"
            if key not in points:
                points[key] = trained(critic, steps, seed)
                beside = out.with_suffix(".tmp")
                beside.write_text(json.dumps(points))
                beside.replace(out)
    print("| agent-steps | IPPO | MAPPO |\n|---|---|---|")
    of = {
        c: np.array([points[f"{c} {steps} {s}"] for s in range(n_seeds)])
        for c in ("own", "central")
    }
    for row, taken in enumerate(of["own"][0, :, 0]):
        cells = [
            f"{of[c][:, row, 1].mean():.1f} ({of[c][:, row, 1].min():.1f} … "
            f"{of[c][:, row, 1].max():.1f})"
            for c in ("own", "central")
        ]
        print(f"| {taken:,.0f} | {' | '.join(cells)} |")


def trained(critic: Any, steps: int, seed: int, n_points: int = 5) -> list[list[float]]:
    """Agent-steps and the mean team return over 50 games, before and during training."""
    env = make_parallel_vec_env(GAME, N_GAMES, critic=critic)
    kind: dict[str, Any] = CENTRAL if critic == "central" else {}
    model = SpecPPO("MlpPolicy", env, seed=seed, **CURVE, **kind)
    judge = make_parallel_vec_env(GAME, 50, critic=critic, training=False)
    points = []
    for point in range(n_points + 1):
        if point:
            model.learn(steps // n_points, reset_num_timesteps=False)
        judge.seed(10_000 + seed)
        returns, _ = evaluate_policy(model, judge, 150)
        points.append([float(model.num_timesteps), float(returns)])
    return points


def main() -> None:
    """One of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("rates", "curve"))
    parser.add_argument("--game", default=GAME, help="of the rates")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("multi_agent_curve.json"))
    options = parser.parse_args()
    th.set_num_threads(1)
    if options.part == "rates":
        rates(options.game, options.turns)
    else:
        curve(options.steps, options.seeds, options.out)


if __name__ == "__main__":
    main()
