"""Measure the random policy of Gymnasium's environments, for ``reports/logs/reference_scores.yml``.

Needs ``gymnasium[box2d,mujoco]`` for those families; an environment that cannot be made is named
and skipped. Prints the section ``measured`` of the table, in the order in which measurements end.
``CarRacing-v3`` takes some forty minutes of one core, all others together about ten.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import PackageNotFoundError, version

import gymnasium as gym
import numpy as np
import yaml

MODULES = ("classic_control", "box2d", "mujoco")
PHYSICS = {"box2d": "box2d", "mujoco": "mujoco"}


def environment_ids() -> list[str]:
    """The registered ids of the three families, without those that only raise an error."""
    return sorted(
        spec.id
        for spec in gym.registry.values()
        if isinstance(spec.entry_point, str)
        and any(f".envs.{module}." in spec.entry_point for module in MODULES)
    )


def random_return(env_id: str, episodes: int, seed: int) -> dict[str, object] | str:
    """Mean return of uniformly random actions, or why it could not be measured."""
    try:
        env = gym.make(env_id, disable_env_checker=True)
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    env.action_space.seed(seed)
    returns = []
    for episode in range(episodes):
        env.reset(seed=seed if episode == 0 else None)
        total, over = 0.0, False
        while not over:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total += float(reward)
            over = terminated or truncated
        returns.append(total)
    spec = env.spec
    env.close()
    assert spec is not None
    return {
        "low": float(f"{np.mean(returns):.6g}"),
        "standard_error": float(f"{np.std(returns, ddof=1) / np.sqrt(episodes):.3g}"),
        "high": None if spec.reward_threshold is None else float(spec.reward_threshold),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--env", nargs="+", default=None, help="these ids alone")
    parser.add_argument("--without", nargs="+", default=[], help="leave these ids out")
    options = parser.parse_args()
    ids = [env for env in options.env or environment_ids() if env not in options.without]
    print(f"# {options.episodes} episodes, seed {options.seed}, {_versions()}")
    with ProcessPoolExecutor(options.jobs) as pool:
        asked = {
            pool.submit(random_return, env_id, options.episodes, options.seed): env_id
            for env_id in ids
        }
        for done in as_completed(asked):
            env_id, measured = asked[done], done.result()
            if isinstance(measured, str):
                print(f"{env_id}: {measured}", file=sys.stderr)
            else:
                print(yaml.safe_dump({env_id: measured}, sort_keys=False), end="", flush=True)
    return 0


def _versions() -> str:
    found = []
    for package in ("gymnasium", "mujoco", "box2d"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


if __name__ == "__main__":
    sys.exit(main())
