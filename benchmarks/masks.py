"""How fast SpecPPO trains under masks beside sb3-contrib's MaskablePPO, both by torch.

``taskset -c 0 python benchmarks/masks.py`` trains the two in turns in one process, on FrozenLake
with the actions masked that only lead against its border, and prints the median of each side's
steps per second of CPU time and their ratio.
"""

import statistics
import time
from typing import Any

import gymnasium as gym
import torch as th
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from stable_baselines3.common.env_util import make_vec_env

from ppo_lab import SpecPPO

SIZE, TURNS, STEPS = 4, 7, 2048


class InsideTheBorder(gym.Wrapper[Any, Any, Any, Any]):
    """FrozenLake whose moves against the border are forbidden."""

    def action_masks(self) -> list[bool]:
        """Left, down, right, up."""
        row, column = divmod(int(self.get_wrapper_attr("s")), SIZE)
        return [column > 0, row < SIZE - 1, column < SIZE - 1, row > 0]


def model_of(algorithm: type[Any], **own: Any) -> Any:
    """A side's model, once trained."""

    def make() -> gym.Env[Any, Any]:
        env = gym.make("FrozenLake-v1", is_slippery=False)
        assert isinstance(env.action_space, spaces.Discrete)
        return InsideTheBorder(env)

    env = make_vec_env(make, 1, seed=0)
    model = algorithm("MlpPolicy", env, device="cpu", seed=0, n_steps=STEPS, **own)
    return model.learn(STEPS)


def rate(model: Any) -> float:
    """Steps per second of CPU time of one rollout and its update."""
    began = time.process_time()
    model.learn(STEPS, reset_num_timesteps=False)
    return STEPS / (time.process_time() - began)


def main() -> None:
    """Print the rates and their ratio."""
    th.set_num_threads(1)
    theirs, ours = model_of(MaskablePPO), model_of(SpecPPO, mask_actions=True)
    pairs = [(rate(theirs), rate(ours)) for _ in range(TURNS)]
    its, our = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    print(f"MaskablePPO {its:6.0f} steps a CPU second (median of {TURNS} turns of {STEPS} steps)")
    print(f"SpecPPO     {our:6.0f} steps a CPU second, {ratio:.2f} times as many")


if __name__ == "__main__":
    main()
