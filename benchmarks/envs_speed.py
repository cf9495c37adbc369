"""How fast the native vector environments are: ratios measured in one run.

``python -m benchmarks.envs_speed`` steps 1,024 noisy grid worlds as arrays, behind Gymnasium's
SyncVectorEnv and behind SB3's DummyVecEnv with Monitor, in turns and by CPU time; a ratio whose
rounds overlap is not told, and shows no goal; then the arrays alone at growing sizes; then value
iteration on four rooms of 100 × 100. Exits with 1 if a goal is missed.
"""

from benchmarks import before_numpy  # noqa: F401 - first

# isort: split

import statistics
import sys
import time
from collections.abc import Callable

import gymnasium as gym
import numpy as np
from stable_baselines3.common.env_util import make_vec_env

from benchmarks.clocks import ratio, ratio_of
from benchmarks.comparison import verdict
from benchmarks.machine import described
from envs.fourrooms import FourRooms
from envs.planning import value_iteration
from envs.registration import register_environments

ENV_ID = "ppo_lab/NoisyGridWorld-v0"
NUM_ENVS = 1024
SIZES = (1, 16, 256, 1024, 4096, 16384, 65536)
ROUNDS = 5
GOAL_SYNC, GOAL_SB3, GOAL_SOLVE = 30.0, 100.0, 2.0


def native(num_envs: int) -> Callable[[int], None]:
    """A function that steps the arrays so many times with random actions."""
    env = gym.make_vec(ENV_ID, num_envs, vectorization_mode="vector_entry_point")
    return stepper(env, num_envs)


def stepper(env: gym.vector.VectorEnv, num_envs: int) -> Callable[[int], None]:
    """The same for any Gymnasium vector environment."""
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(4, size=(64, num_envs))

    def run(steps: int) -> None:
        for step in range(steps):
            env.step(actions[step % 64])

    return run


def sb3_stepper(num_envs: int) -> Callable[[int], None]:
    """The same behind SB3's DummyVecEnv, each environment in a Monitor."""
    env = make_vec_env(ENV_ID, n_envs=num_envs, seed=0)
    env.reset()
    actions = np.random.default_rng(0).integers(4, size=(64, num_envs))

    def run(steps: int) -> None:
        for step in range(steps):
            env.step(actions[step % 64])

    return run


def seconds_a_step(run: Callable[[int], None], steps: int) -> float:
    """Mean CPU seconds of one vector step over ``steps`` of them."""
    begin = time.process_time()
    run(steps)
    return (time.process_time() - begin) / steps


def compare() -> bool:
    """Print the three ways beside each other; whether both goals are met."""
    sync = gym.make_vec(ENV_ID, NUM_ENVS, vectorization_mode="sync")
    ways = {
        "arrays (vector_entry_point)": (native(NUM_ENVS), 400),
        "gymnasium SyncVectorEnv": (stepper(sync, NUM_ENVS), 8),
        "SB3 DummyVecEnv + Monitor": (sb3_stepper(NUM_ENVS), 8),
    }
    for run, steps in ways.values():
        run(steps // 4)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (run, steps) in ways.items():
            taken[name].append(seconds_a_step(run, steps))
    ours, *others = taken.values()
    print(f"\n{NUM_ENVS} × {ENV_ID}, median of {ROUNDS} rounds")
    print(f"{'':30} {'µs a step':>12} {'ns an env step':>15}")
    for name, rounds in taken.items():
        median = statistics.median(rounds)
        print(f"{name:30} {median * 1e6:12.1f} {median / NUM_ENVS * 1e9:15.1f}")
    verdicts = []
    for name, theirs, goal in zip(list(taken)[1:], others, (GOAL_SYNC, GOAL_SB3), strict=True):
        verdicts.append(verdict(ratio_of(theirs, ours), goal))
        print(f"{name} / arrays: {ratio(theirs, ours, 1)}, goal ≥ {goal:g}: {verdicts[-1]}")
    return set(verdicts) == {"met"}


def scale() -> bool:
    """Print the cost at growing sizes; whether an environment's share never grows with N."""
    print(f"\n{'N':>7} {'µs a step':>12} {'ns an env step':>15}")
    shares = {}
    for size in SIZES:
        run, steps = native(size), max(10, 200_000 // (size + 200))
        run(steps)
        median = statistics.median(seconds_a_step(run, steps) for _ in range(ROUNDS))
        shares[size] = median / size
        print(f"{size:7} {median * 1e6:12.1f} {shares[size] * 1e9:15.1f}")
    return all(shares[size] <= shares[NUM_ENVS] for size in SIZES if size > NUM_ENVS)


def solve() -> bool:
    """Print the time of value iteration on 100 × 100 cells; whether all are under the goal."""
    print(f"\n{'FourRooms 100 × 100':30} {'build s':>8} {'solve s':>8} {'goal':>6}")
    times = []
    for gamma, noise in ((0.99, 0.0), (0.99, 0.2), (0.999, 0.2)):
        begin = time.process_time()
        mdp = FourRooms(100, noise=noise).mdp
        built = time.process_time()
        value_iteration(mdp, gamma)
        times.append(time.process_time() - built)
        name = f"γ = {gamma}, noise = {noise}"
        print(f"{name:30} {built - begin:8.2f} {times[-1]:8.2f} {'< 2':>6}")
    return max(times) < GOAL_SOLVE


def main() -> int:
    """Run all three; 0 if every goal is met."""
    register_environments()
    print(*described(("scipy",)), sep="\n")
    met = [compare(), scale(), solve()]
    print("\nEvery goal is met." if all(met) else "\nA goal is missed.")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
