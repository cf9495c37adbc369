"""The environments' ids. Cheap to import: entry points are strings, resolved when one is made."""

from typing import Any

import gymnasium as gym

MAX_EPISODE_STEPS = 100

# id → (module and class; the vector form is the same name with "Vector", fixed arguments)
ENVIRONMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ppo_lab/GridWorld-v0": ("envs.gridworld:GridWorld", {}),
    "ppo_lab/NoisyGridWorld-v0": ("envs.gridworld:GridWorld", {"noise": 0.2}),
    "ppo_lab/CliffGrid-v0": ("envs.cliffgrid:CliffGrid", {}),
    "ppo_lab/CostCliffGrid-v0": ("envs.costcliff:CostCliffGrid", {}),
    "ppo_lab/FourRooms-v0": ("envs.fourrooms:FourRooms", {}),
    "ppo_lab/Crawler-v0": ("envs.crawler:Crawler", {}),
    "ppo_lab/CrawlerContinuous-v0": ("envs.crawler_continuous:CrawlerContinuous", {}),
}


def register_environments() -> None:
    """Register every ``ppo_lab/…`` id with Gymnasium, each with its vector form.

    Calling it again changes nothing and warns of nothing, so that a reload is harmless.
    """
    for env_id, (entry_point, arguments) in ENVIRONMENTS.items():
        if env_id not in gym.registry:
            gym.register(
                id=env_id,
                entry_point=entry_point,
                vector_entry_point=f"{entry_point}Vector",
                max_episode_steps=MAX_EPISODE_STEPS,
                kwargs=arguments,
            )
