"""The environments' ids. Cheap to import: entry points are strings, resolved when one is made."""

from typing import Any

import gymnasium as gym

ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "ppo_lab/GridWorld-v0": {
        "entry_point": "envs.gridworld:GridWorld",
        "max_episode_steps": 100,
    },
    "ppo_lab/NoisyGridWorld-v0": {
        "entry_point": "envs.gridworld:GridWorld",
        "max_episode_steps": 100,
        "kwargs": {"noise": 0.2},
    },
}


def register_environments() -> None:
    """Register every ``ppo_lab/…`` id with Gymnasium.

    Calling it again changes nothing and warns of nothing, so that a reload is harmless.
    """
    for env_id, spec in ENVIRONMENTS.items():
        if env_id not in gym.registry:
            gym.register(id=env_id, **spec)
