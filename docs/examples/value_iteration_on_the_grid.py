"""Value iteration on the noisy reference map: the table of Spec 10.2, and a picture of it.

``python docs/examples/value_iteration_on_the_grid.py`` prints V* with the optimal moves for noise
0 and 0.2 and writes ``grid_values.png`` (V* and arrows) and ``grid_q_values.png`` (Q*).
"""

import matplotlib.image
import numpy as np

from envs.grid_rendering import draw_grid, text_table
from envs.gridworld import GridWorld
from envs.planning import action_values, optimal_return, random_return, value_iteration

GAMMA = 0.9


def main() -> None:
    """Solve, print, draw."""
    for noise in (0.0, 0.2):
        env = GridWorld(noise=noise)
        values, policy = value_iteration(env.mdp, GAMMA)
        print(f"V* and the optimal moves, noise {noise}, γ = {GAMMA}\n")
        print(text_table(env.grid, values, policy))
        print(
            f"undiscounted return of 100 steps: optimum {optimal_return(env.mdp, 100):.3f}, "
            f"random policy {random_return(env.mdp, 100):.3f}\n"
        )
    env = GridWorld(noise=0.2, render_mode="rgb_array")
    env.draw(values=values, policy=policy)
    matplotlib.image.imsave("grid_values.png", np.asarray(env.render()))
    env.draw(q_values=action_values(env.mdp, values, GAMMA))
    matplotlib.image.imsave("grid_q_values.png", draw_grid(env.grid, overlay=env.overlay))
    print("drawn: grid_values.png, grid_q_values.png")


if __name__ == "__main__":
    main()
