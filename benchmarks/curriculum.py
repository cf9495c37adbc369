"""Is a curriculum worth it? FourRooms of several sizes, growing beside fixed ones (Spec 15.4).

``python -m benchmarks.curriculum`` trains both on five seeds a size and prints the table of
docs/curriculum.md: the exact expected return in the largest rooms of the final policy as it
samples. ``--jobs`` processes; ``--write FILE`` puts it between the marks ``curriculum`` of a page.
"""

import time
from typing import Any, NamedTuple

import gymnasium as gym

from benchmarks.exact_scores import final_policy, markdown, mean_and_interval, print_table
from envs.planning import optimal_return
from envs.registration import MAX_EPISODE_STEPS

ENVIRONMENT = "ppo_lab/FourRooms-v0"
SIZES = 11, 15, 21
SMALLEST = 5
N_ENVS = 16
TIMESTEPS = 200_000
SETTINGS: dict[str, Any] = {
    "n_steps": 128,
    "batch_size": 512,
    "n_epochs": 4,
    "learning_rate": 1e-3,
    "ent_coef": 0.01,
}


class Outcome(NamedTuple):
    """One run's numbers."""

    kind: str
    size: int
    seed: int
    expected_return: float
    cpu_seconds: float


def train(kind: str, size: int, seed: int) -> Outcome:
    """Train in rooms that are ``growing`` up to a size, or ``fixed`` at it."""
    from stable_baselines3.common.env_util import make_vec_env

    from ppo_lab import Curriculum, SpecPPO
    from ppo_lab.vec_env import make_native_vec_env

    began = time.process_time()
    kwargs = {"size": size, "observation": "coordinates"}
    env: Any = (
        make_vec_env(ENVIRONMENT, N_ENVS, seed=seed, env_kwargs=kwargs)
        if kind == "growing"  # what is compiled cannot be moved
        else make_native_vec_env(ENVIRONMENT, N_ENVS, seed=seed, **kwargs)
    )
    model = SpecPPO("MlpPolicy", env, seed=seed, device="cpu", **SETTINGS)
    levels = list(range(SMALLEST, size + 1, 2))
    growing = Curriculum("size", levels, success_return=1.0, window=100)
    model.learn(TIMESTEPS, growing if kind == "growing" else None)
    value = final_policy(model, ENVIRONMENT, **kwargs).expected_return
    return Outcome(kind, size, seed, value, time.process_time() - began)


def table(outcomes: list[Outcome]) -> str:
    """Markdown: a row a size."""
    import ppo_lab  # noqa: F401 - registers the environment

    rows = []
    for size in SIZES:
        single: Any = gym.make(ENVIRONMENT, size=size).unwrapped
        columns = [
            [each.expected_return for each in outcomes if (each.kind, each.size) == (kind, size)]
            for kind in ("fixed", "growing")
        ]
        best = optimal_return(single.mdp, MAX_EPISODE_STEPS)
        found = [f"{sum(value >= 0.9 * best for value in of)} of {len(of)}" for of in columns]
        cells = zip(map(mean_and_interval, columns), found, strict=True)
        rows.append((f"{size} × {size}", f"{best:.3f}", *(cell for pair in cells for cell in pair)))
    header = "rooms", "optimum", "fixed", "≥ 0.9 of it", "growing", "≥ 0.9 of it"
    told = f"Exact return after {TIMESTEPS:,} steps, mean ± 95 % t-interval over seeds:"
    return f"{told}\n\n{markdown(header, rows)}"


def tasks(seeds: int) -> list[tuple[str, int, int]]:
    """What is trained."""
    return [
        (kind, size, seed)
        for size in SIZES
        for kind in ("fixed", "growing")
        for seed in range(seeds)
    ]


if __name__ == "__main__":
    print_table(__doc__, "curriculum", train, tasks, table, seeds=5)
