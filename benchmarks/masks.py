"""How fast SpecPPO trains under masks beside sb3-contrib's MaskablePPO.

``taskset -c 0 python -m benchmarks.masks`` trains in turns in one process: on PPO Lab's grid world,
whose masks leave out moves against walls, and on FrozenLake with its border forbidden by a wrapper.
It prints each side's steps per second of CPU time and how many times MaskablePPO's that is, where
the rounds stand apart. Exits with 1 if a goal is missed.
"""

from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Any

from benchmarks import before_numpy  # noqa: F401 - first
from benchmarks.cases import SHAPES
from benchmarks.clocks import ratio, ratio_of, rounds_of
from benchmarks.page_marks import Printed
from benchmarks.printed_rounds import printed_rounds

import gymnasium as gym  # isort: skip

GRID, LAKE = "ppo_lab/GridWorld-v0", "FrozenLake-v1"
CASES = ((GRID, "a"), (GRID, "b"), (GRID, "c"), (LAKE, "a"))
THEIRS = "MaskablePPO"
TORCH, STEPPED, WHOLE = "SpecPPO by torch", "SpecPPO compiled", "the same, whole rollouts"
GOALS = {(GRID, "a", WHOLE): 15.0, (GRID, "a", STEPPED): 15.0}
MARK = "masks"


class InsideTheBorder(gym.Wrapper[Any, Any, Any, Any]):
    """FrozenLake whose moves against the border are forbidden."""

    def action_masks(self) -> list[bool]:
        """Left, down, right, up."""
        row, column = divmod(int(self.get_wrapper_attr("s")), 4)
        return [column > 0, row < 3, column < 3, row > 0]


def one_rollout(side: str, env_id: str, shape: Mapping[str, int]) -> Callable[[], object]:
    """What trains a side for one rollout and its update."""
    from sb3_contrib import MaskablePPO
    from stable_baselines3.common.env_util import make_vec_env

    from ppo_lab import SpecPPO
    from ppo_lab.vec_env.compiled import CompiledVecEnv

    settings: dict[str, Any] = {**shape, "seed": 0, "device": "cpu"}
    n_envs = settings.pop("n_envs")
    wrapper = InsideTheBorder if env_id == LAKE else None
    if side == WHOLE:
        env: Any = CompiledVecEnv(env_id, n_envs, seed=0)
    else:
        env = make_vec_env(env_id, n_envs, seed=0, wrapper_class=wrapper)
    if side == THEIRS:
        model: Any = MaskablePPO("MlpPolicy", env, **settings)
    else:
        settings["backend"] = "torch" if side == TORCH else "compiled"
        model = SpecPPO("MlpPolicy", env, mask_actions=True, **settings)
    return partial(model.learn, n_envs * settings["n_steps"])


def main() -> int:
    """Measure; 0 if every goal is met."""
    with printed_rounds(__doc__, MARK, ("sb3-contrib",)) as (say, rounds):
        return 0 if measured(say, rounds) else 1


def measured(say: Printed, n_rounds: int) -> bool:
    """Say what was measured; whether every goal is met."""
    is_met = True
    for env_id, name in CASES:
        shape = SHAPES[name]
        sides = [THEIRS, TORCH, STEPPED, *([WHOLE] if env_id == GRID else [])]
        steps = shape["n_envs"] * shape["n_steps"]
        timed = rounds_of([one_rollout(side, env_id, shape) for side in sides], n_rounds)
        say(f"\n{env_id}, {name}: {shape['n_envs']} × {shape['n_steps']}, minibatch "
            f"{shape['batch_size']}, {shape['n_epochs']} epochs; steps a CPU second, median of "
            f"{n_rounds} rounds")  # fmt: skip
        for side, seconds in zip(sides, timed, strict=True):
            times = "" if side == THEIRS else f"times {ratio(timed[0], seconds)}"
            if (goal := GOALS.get((env_id, name, side))) is not None:
                reached = (ratio_of(timed[0], seconds) or 0.0) >= goal
                is_met = is_met and reached
                times += f", goal ≥ {goal:g}: {'met' if reached else 'MISSED'}"
            say(f"  {side:26} {steps / median(seconds):9,.0f}  {times}")
    return is_met


if __name__ == "__main__":
    raise SystemExit(main())
