"""The pictures and exact numbers of docs/environments.md: ``python docs/environment_facts.py``.

Prints the table, puts it between the page's marks and writes the pictures into ``docs/figures``.
"""

import re
from pathlib import Path

import gymnasium as gym
import matplotlib.image
import numpy as np

import ppo_lab  # noqa: F401 - registers the environments
from envs.finite import finite_task
from envs.planning import optimal_return, random_return, value_iteration
from envs.registration import ENVIRONMENTS, MAX_EPISODE_STEPS

DOCS = Path(__file__).parent
PAGE = DOCS / "environments.md"
MARKS = re.compile(r"(<!-- exact numbers -->\n).*?(<!-- /exact numbers -->)", re.DOTALL)
GAMMA = 0.99
STEPS = 40
"""Drawn after so many moves: of the optimal policy where there is one."""


def exact_numbers() -> str:
    """The table of exact numbers, as Markdown."""
    lines = [
        f"| environment | states | actions | random policy, {MAX_EPISODE_STEPS} steps "
        f"| optimum, {MAX_EPISODE_STEPS} steps | V* of the start, γ = {GAMMA} |",
        "|:--|--:|--:|--:|--:|--:|",
    ]
    for env_id in ENVIRONMENTS:
        env = gym.make(env_id)
        task = finite_task(env)
        env.close()
        if task is None:
            continue
        mdp, horizon = task.mdp, task.horizon
        start = float(value_iteration(mdp, GAMMA).values @ mdp.start)
        lines.append(
            f"| `{env_id}` | {mdp.n_states} | {mdp.n_actions} "
            f"| {random_return(mdp, horizon):.3f} | {optimal_return(mdp, horizon):.3f} "
            f"| {start:.3f} |"
        )
    return "\n".join(lines) + "\n"


def picture_name(env_id: str) -> str:
    """The picture's file in ``docs/figures``."""
    return f"env-{env_id.removeprefix('ppo_lab/').removesuffix('-v0')}.png"


def picture(env_id: str) -> np.ndarray:
    """An environment as ``render_mode="rgb_array"`` draws it, in the middle of an episode."""
    env = gym.make(env_id, render_mode="rgb_array")
    env.reset(seed=0)
    env.action_space.seed(0)
    task = finite_task(env)
    policy = None if task is None else value_iteration(task.mdp, GAMMA).policy
    moves = 2 if "Crawler" not in env_id else STEPS
    for _ in range(moves):
        action = env.action_space.sample()
        if policy is not None:
            action = int(policy[env.unwrapped.state])  # type: ignore[attr-defined]
        env.step(action)
    frame = np.asarray(env.render())
    env.close()
    return frame


def main() -> None:
    """Print, write, draw."""
    table = exact_numbers()
    print(table)
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(MARKS.sub(lambda m: m[1] + table + m[2], text), encoding="utf-8")
    for env_id in ENVIRONMENTS:
        matplotlib.image.imsave(DOCS / "figures" / picture_name(env_id), picture(env_id))


if __name__ == "__main__":
    main()
