"""Q-learning against value iteration on the crawler (Spec 9.1, 9.6, 11).

``python docs/examples/q_learning_on_the_crawler.py`` learns from growing numbers of episodes with
five seeds, measures each greedy gait exactly, prints a table and writes ``crawler_q_learning.png``.
"""

import gymnasium as gym
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from envs.learning import q_learning
from envs.planning import (
    greedy_policy,
    one_hot,
    optimal_return,
    policy_return,
    random_return,
    value_iteration,
)
from envs.registration import register_environments

GAMMA, HORIZON = 0.9, 100
EPISODES = (1, 2, 5, 10, 20, 50, 100, 200)
SEEDS = range(5)


def main() -> None:
    """Solve, learn, print, draw."""
    mpl.use("Agg")
    register_environments()
    env = gym.make("ppo_lab/Crawler-v0")
    mdp = env.unwrapped.mdp  # type: ignore[attr-defined]

    def gait(policy: np.ndarray) -> float:
        return policy_return(mdp, one_hot(policy, mdp.n_actions), HORIZON)

    best, chance = optimal_return(mdp, HORIZON), random_return(mdp, HORIZON)
    planned = gait(value_iteration(mdp, GAMMA).policy)
    print(f"distance in {HORIZON} steps: optimum {best:.3f}, random policy {chance:.3f}")
    print(f"value iteration, γ = {GAMMA}: {planned:.3f}\n")
    print("Q-learning, α = 0.5, ε = 1 · 0.99 an episode")
    print("episodes     mean      min      max   of the optimum")
    curves = []
    for episodes in EPISODES:
        runs = [
            gait(greedy_policy(q_learning(env, GAMMA, episodes, epsilon_decay=0.99, seed=seed)))
            for seed in SEEDS
        ]
        curves.append(runs)
        share = (np.mean(runs) - chance) / (best - chance)
        print(
            f"{episodes:8} {np.mean(runs):8.2f} {min(runs):8.2f} {max(runs):8.2f}   {share:14.3f}"
        )
    _draw(np.array(curves), best, planned, chance)
    print("drawn: crawler_q_learning.png")


def _draw(curves: np.ndarray, best: float, planned: float, chance: float) -> None:
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    axis.fill_between(EPISODES, curves.min(axis=1), curves.max(axis=1), alpha=0.25)
    axis.plot(EPISODES, curves.mean(axis=1), marker="o", label="Q-learning, mean of 5 seeds")
    axis.axhline(best, color="black", linestyle="--", label="optimum of 100 steps")
    axis.axhline(planned, color="black", linestyle=":", label=f"value iteration, γ = {GAMMA}")
    axis.axhline(chance, color="grey", linestyle="-.", label="random policy")
    axis.set(xscale="log", xlabel="episodes of 100 steps", ylabel="distance in 100 steps")
    axis.legend()
    figure.savefig("crawler_q_learning.png", dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
