"""PPO against value iteration and Q-learning on the crawler (Spec 6, 9.1, 9.6, 11).

``python docs/examples/ppo_against_both.py`` trains SpecPPO and Q-learning with three seeds each,
measures every policy on the way exactly, prints a table and writes ``ppo_against_both.png``.
"""

from collections.abc import Callable, Sequence

import gymnasium as gym
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback

from envs.learning import q_learning
from envs.mdp import TabularMDP
from envs.planning import (
    greedy_policy,
    one_hot,
    optimal_return,
    policy_return,
    random_return,
    value_iteration,
)
from ppo_lab import SpecPPO
from ppo_lab.exact import model_policy
from ppo_lab.hyperparams.sources import committed_settings
from ppo_lab.vec_env import make_native_vec_env

ENV_ID, HORIZON = "ppo_lab/Crawler-v0", 100
EPISODES = (1, 2, 5, 10, 20, 50, 100, 200)

Distance = Callable[[np.ndarray], float]
Curve = tuple[Sequence[int], np.ndarray]


class ExactReturn(BaseCallback):
    """Note the exact distance of the most likely actions before each rollout and at the end."""

    def __init__(self, env: gym.Env, distance: Distance) -> None:
        super().__init__()
        self.env, self.distance = env, distance
        self.steps: list[int] = []
        self.distances: list[float] = []

    def _on_rollout_start(self) -> None:
        self.steps.append(self.model.num_timesteps)
        self.distances.append(self.distance(model_policy(self.model, self.env)))

    _on_training_end = _on_rollout_start

    def _on_step(self) -> bool:
        return True


def learn_ppo(env: gym.Env, distance: Distance, seeds: int, timesteps: int | None) -> Curve:
    """SpecPPO with its committed settings: steps (P,) and distances (seeds, P)."""
    settings = committed_settings("spec_ppo", ENV_ID)
    curves = []
    for seed in range(seeds):
        train_env = make_native_vec_env(ENV_ID, settings.n_envs)
        model = SpecPPO(
            settings.policy, train_env, seed=seed, device="cpu", **settings.hyperparameters
        )
        noted = ExactReturn(env, distance)
        model.learn(timesteps or settings.n_timesteps, noted)
        curves.append(noted.distances)
    return noted.steps, np.array(curves)


def learn_q(env: gym.Env, distance: Distance, seeds: int) -> Curve:
    """Q-learning: steps (P,) and distances of its greedy policies (seeds, P)."""
    n_actions = env.action_space.n  # type: ignore[attr-defined]
    curves = [
        [
            distance(
                one_hot(
                    greedy_policy(q_learning(env, 0.9, episodes, epsilon_decay=0.99, seed=seed)),
                    n_actions,
                )
            )
            for episodes in EPISODES
        ]
        for seed in range(seeds)
    ]
    return [episodes * HORIZON for episodes in EPISODES], np.array(curves)


def planned(mdp: TabularMDP, distance: Distance, gamma: float) -> float:
    """What value iteration's greedy policy makes."""
    return distance(one_hot(value_iteration(mdp, gamma).policy, mdp.n_actions))


def main(seeds: int = 3, timesteps: int | None = None) -> None:
    """Solve, learn, print, draw."""
    mpl.use("Agg")
    th.set_num_threads(1)  # the networks are too small to share
    env = gym.make(ENV_ID)
    mdp = env.unwrapped.mdp  # type: ignore[attr-defined]

    def distance(policy: np.ndarray) -> float:
        return policy_return(mdp, policy, HORIZON)

    best, chance = optimal_return(mdp, HORIZON), random_return(mdp, HORIZON)
    learned = {
        "SpecPPO": learn_ppo(env, distance, seeds, timesteps),
        "Q-learning, γ = 0.9": learn_q(env, distance, seeds),
    }
    rows = [("optimum of 100 steps", 0, [best])]
    rows += [
        (f"value iteration, γ = {gamma}", 0, [planned(mdp, distance, gamma)])
        for gamma in (0.99, 0.9)
    ]
    rows += [(name, steps[-1], curves[:, -1]) for name, (steps, curves) in learned.items()]
    rows += [("random policy", 0, [chance])]
    print(f"distance in {HORIZON} steps, exact; learners: {seeds} seeds")
    print(f"{'':26}   steps     mean      min      max   of the optimum")
    for name, steps, results in rows:
        share = (np.mean(results) - chance) / (best - chance)
        print(
            f"{name:26} {steps:7} {np.mean(results):8.3f} {min(results):8.3f} "
            f"{max(results):8.3f}   {share:14.3f}"
        )
    _draw(learned, {name: results[0] for name, steps, results in rows if not steps})
    print("drawn: ppo_against_both.png")


def _draw(learned: dict[str, Curve], exact: dict[str, float]) -> None:
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name, (steps, curves) in learned.items():
        (line,) = axis.plot(
            steps, curves.mean(axis=0), label=f"{name}, mean of {len(curves)} seeds"
        )
        axis.fill_between(
            steps, curves.min(axis=0), curves.max(axis=0), alpha=0.25, color=line.get_color()
        )
    for (name, distance), style in zip(exact.items(), ("--", "-.", ":", (0, (1, 5))), strict=True):
        axis.axhline(distance, color="black", linestyle=style, linewidth=1, label=name)
    axis.set_xscale("symlog", linthresh=100)
    axis.set(xlabel="environment steps", ylabel=f"distance in {HORIZON} steps", xlim=(0, None))
    axis.legend(fontsize="small")
    figure.savefig("ppo_against_both.png", dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
