"""The exercise of Spec 10.3: which discount and noise prefer which exit, and by which way.

``python docs/examples/cliff_exercise.py`` solves the four settings exactly, prints the table and
writes ``cliff_exercise.png``, the optimal moves of each setting.
"""

import matplotlib as mpl
import matplotlib.pyplot as plt

from envs.cliff_exercise import cliff_preference
from envs.cliffgrid import CliffGrid
from envs.grid_rendering import Overlay, draw_grid
from envs.planning import value_iteration

SETTINGS = [(gamma, noise) for gamma in (0.1, 0.99) for noise in (0.0, 0.5)]


def main() -> None:
    """Solve, print, draw."""
    mpl.use("Agg")
    figure, axes = plt.subplots(2, 2, figsize=(9, 9), layout="constrained")
    print("   γ  noise   prefers   cliff   P(close)  P(distant)  P(fall)")
    for (gamma, noise), axis in zip(SETTINGS, axes.flat, strict=True):
        found = cliff_preference(gamma, noise)
        way = "risks" if found.risks_cliff else "avoids"
        close, distant, fall = found.chances
        print(
            f"{gamma:4}  {noise:5}  {found.exit:>8}  {way:>6}   {close:8.3f}  {distant:10.3f}  "
            f"{fall:7.3f}"
        )
        env = CliffGrid(noise)
        values, policy = value_iteration(env.mdp, gamma)
        start = int(env.mdp.start.argmax())
        axis.imshow(draw_grid(env.grid, start, Overlay(values=values, policy=policy)))
        axis.set_title(f"γ = {gamma}, noise {noise}: {found.exit} exit, {way} the cliff")
        axis.axis("off")
    figure.savefig("cliff_exercise.png")
    plt.close(figure)
    print("drawn: cliff_exercise.png")


if __name__ == "__main__":
    main()
