"""Rates beside SuperSuit and SB3's PPO, and learning curves of IPPO and MAPPO in simple_spread.

    taskset -c 0 python -m benchmarks.multi_agent rates --page docs/multi_agent.md
    taskset -c 0 python -m benchmarks.multi_agent curve --out curve.json --page docs/multi_agent.md

Rates are agent-steps per second of this process's CPU time, medians of turns that alternate. A
curve's points are kept in ``--out`` as they come; the same command goes on with the seeds missing.
``--page`` writes what is printed between a page's marks, and the curves' picture beside it.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

from benchmarks.page_marks import write_between_marks
from ppo_lab import SpecPPO
from ppo_lab.multi_agent import make_parallel_vec_env
from ppo_lab.multi_agent.making import game_maker

GAME = "simple_spread_v3"
N_GAMES = 8
SETTINGS: dict[str, Any] = {"n_steps": 128, "batch_size": 256, "n_epochs": 10, "device": "cpu"}
CENTRAL: dict[str, Any] = {"policy_kwargs": {"critic_only": ["state"]}}
N_CURVE_GAMES = 32
CURVE: dict[str, Any] = {
    "n_steps": 100,
    "batch_size": 600,
    "n_epochs": 10,
    "learning_rate": 7e-4,
    "ent_coef": 0.01,
    "normalize_value": True,
    "device": "cpu",
}
CRITICS = {"own": "IPPO", "central": "MAPPO"}
N_POINTS, N_JUDGED = 5, 300
"""Of a curve, and games that each is the mean of."""


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


def rates(game: str, turns: int) -> list[str]:
    """The table of rates."""
    models = sides(game)
    steps = SETTINGS["n_steps"] * models["IPPO"].n_envs
    spent: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(turns):
        for name, model in models.items():
            spent[name].append(cpu_seconds(lambda m=model: m.learn(steps)))  # type: ignore[misc]
    first = statistics.median(next(iter(spent.values())))
    lines = ["| side | agent-steps/s | times |", "|---|---|---|"]
    for name, seconds in spent.items():
        middle = statistics.median(seconds)
        lines.append(f"| {name} | {steps / middle:,.0f} | {first / middle:.1f} |")
    env = make_parallel_vec_env(game, N_GAMES, seed=0)
    env.reset()
    actions = np.zeros(env.num_envs, int)
    env.step(actions)
    alone = [cpu_seconds(lambda: [env.step(actions) for _ in range(128)]) for _ in range(turns)]
    rate = 128 * env.num_envs / statistics.median(alone)
    return [*lines, f"| stepping our games alone | {rate:,.0f} | |"]


def curve(steps: int, n_seeds: int, out: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Train every seed that is missing: (seeds, points, 3) a critic, as of :func:`trained`."""
    points: dict[str, list[list[float]]] = json.loads(out.read_text()) if out.is_file() else {}
    for seed in range(n_seeds):
        for critic in CRITICS:
            key = f"{critic} {steps} {seed}"
            if key not in points:
                points[key] = trained(critic, steps, seed)
                beside = out.with_suffix(".tmp")
                beside.write_text(json.dumps(points))
                beside.replace(out)
    return {
        critic: np.array([points[f"{critic} {steps} {seed}"] for seed in range(n_seeds)])
        for critic in CRITICS
    }


def trained(critic: Any, steps: int, seed: int) -> list[list[float]]:
    """Agent-steps, and the mean team return by actions that are drawn and by the likeliest."""
    env = make_parallel_vec_env(GAME, N_CURVE_GAMES, critic=critic)
    kind: dict[str, Any] = CENTRAL if critic == "central" else {}
    model = SpecPPO("MlpPolicy", env, seed=seed, **CURVE, **kind)
    judge = make_parallel_vec_env(GAME, 50, critic=critic, training=False)
    points = []
    for point in range(N_POINTS + 1):
        if point:
            model.learn(steps // N_POINTS, reset_num_timesteps=False)
        means = []
        for likeliest in (False, True):
            judge.seed(10_000 + seed)
            episodes = N_JUDGED * len(judge.agents)
            mean, _ = evaluate_policy(model, judge, episodes, deterministic=likeliest)
            means.append(float(mean))
        points.append([float(model.num_timesteps), *means])
    return points


def on_papers_scale(team_return: Any) -> Any:
    """A team return of three agents by the reward of the MAPPO paper's program.

    There every agent is paid the sum over agents of −Σ d − c: d a landmark's distance from the
    nearest agent, c how many touch the agent, *itself included*. Here the team is paid the mean
    over agents of −½ Σ d − ½ (c − 1). Over 25 steps theirs is 6 · ours − 3 · 25.
    """
    return 6 * team_return - 75


def curve_table(of: dict[str, npt.NDArray[np.float64]]) -> list[str]:
    """Team returns against steps, mean (least … greatest) over seeds, on both scales."""
    lines = [
        "| agent-steps | IPPO | MAPPO | IPPO, paper's scale | MAPPO, paper's scale |",
        "|---|---|---|---|---|",
    ]
    rows = [(f"{taken:,.0f}", row, 1) for row, taken in enumerate(of["own"][0, :, 0])]
    rows.append(("the last, likeliest actions", -1, 2))
    for name, row, column in rows:
        returns = [of[critic][:, row, column] for critic in CRITICS]
        cells = [f"{of_one.mean():.2f}" for of_one in returns]
        cells += [
            f"{of_one.mean():.1f} ({of_one.min():.1f} … {of_one.max():.1f})"
            for of_one in map(on_papers_scale, returns)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def draw(of: dict[str, npt.NDArray[np.float64]], picture: Path) -> None:
    """The curves on the paper's scale: means, and between them the least and the greatest seed."""
    from matplotlib.figure import Figure

    figure = Figure((6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for critic, name in CRITICS.items():
        steps, returns = of[critic][0, :, 0], on_papers_scale(of[critic][:, :, 1])
        axes.plot(steps / 1e6, returns.mean(axis=0), label=name)
        axes.fill_between(steps / 1e6, returns.min(axis=0), returns.max(axis=0), alpha=0.2)
    axes.set_xlabel("agent-steps, millions")
    axes.set_ylabel("team return, the paper's scale")
    axes.legend()
    figure.savefig(picture, dpi=120, metadata={"Software": None})


def main() -> None:
    """One of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("rates", "curve"))
    parser.add_argument("--game", default=GAME, help="of the rates")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1_000_000, help="of agents, a curve")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("multi_agent_curve.json"))
    parser.add_argument("--page", type=Path, help="to write the table to")
    options = parser.parse_args()
    th.set_num_threads(1)
    if options.part == "rates":
        name, lines = f"rates {options.game}", rates(options.game, options.turns)
    else:
        name, of = "curve", curve(options.steps, options.seeds, options.out)
        lines = curve_table(of)
    print(*lines, sep="\n")
    if options.page is not None:
        write_between_marks(options.page, name, "\n".join(lines))
        if options.part == "curve":
            draw(of, options.page.parent / "figures" / "simple_spread.png")


if __name__ == "__main__":
    main()
