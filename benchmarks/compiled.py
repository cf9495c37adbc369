"""How fast PPO trains, beside SB3's and others: environment steps a second of CPU time.

``python -m benchmarks.compiled`` trains on CartPole and Pendulum in three shapes, and on
HalfCheetah, Hopper and LunarLander with SB3's defaults, under ``VecNormalize`` and with RL Zoo's
settings. Each side has a process of its own and is measured by that process's CPU time; all share
one core and work in turns. JAX and RLtools take part where they are installed. A ratio whose
rounds overlap is not told, and such a goal is not met. Exits with 1 if one is missed.
"""

import argparse
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from benchmarks import before_numpy  # noqa: F401 - first
from benchmarks.cases import (
    CLASSIC,
    GOALS,
    OURS,
    REAL,
    REAL_CASES,
    SHAPES,
    SIDES,
    case_of,
    missing,
    sides_of,
)
from benchmarks.comparison import goal_lines, memory_line, met, table
from benchmarks.sides import Job, Side, first_update

COLD_SECONDS, WARM_SECONDS = 12.0, 1.0
COMPILED_FIRST = (("CartPole-v1", "compiled"), ("Pendulum-v1", "whole"))
"""Of which the first use is timed: both policy heads, stepped and whole."""
PACKAGES = {"HalfCheetah-v5": "mujoco", "Hopper-v5": "mujoco", "LunarLander-v3": "Box2D"}
MARK = "training"


def main() -> int:
    """Run what the arguments choose; 0 if every goal is met."""
    options = parsed()
    from benchmarks.machine import described, last_core
    from benchmarks.page_marks import Printed

    say, core = Printed(), last_core()
    os.environ["JAX_PLATFORMS"] = "cpu"
    for line in described(("mujoco", "box2d", "rl_zoo3", "jax", "rltools", "mkl")):
        say(line)
    say(core_peak_apart())
    sides = []
    for side in dict.fromkeys(("sb3", *options.sides)):
        if reason := missing(side):
            say(f"{SIDES[side]} is left out: {reason}")
        else:
            sides.append(side)
    goals = []
    for env_id, name in chosen(options):
        if (package := PACKAGES.get(env_id)) and find_spec(package) is None:
            say(f"{env_id} is left out: the package {package} is missing")
            continue
        here = [side for side in sides_of(env_id, name) if side in sides]
        case = case_of(env_id, name)
        measured = compare([Job(side, case, core) for side in here], options)
        lines = goal_lines(measured, GOALS.get((env_id, name), {}), SIDES)
        lines += memory_line(measured, OURS)
        say(f"\n{case.title}; median of {options.rounds} rounds")
        for line in (*table(measured), *lines):
            say(line)
        goals += lines
    if options.first_use:
        lines = first_uses(sides, core)
        say(f"\nhow much longer a first rollout and update take, goals {COLD_SECONDS:g} s, "
            f"{WARM_SECONDS:g} s")  # fmt: skip
        for line in lines:
            say(line)
        goals += lines
    say("\nEvery goal is met." if met(goals) else "\nA goal is missed or not shown.")
    say.write(options.write, MARK)
    return 0 if met(goals) else 1


def parsed() -> argparse.Namespace:
    """What to run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--envs", nargs="+", choices=(*CLASSIC, *REAL), default=[*CLASSIC, *REAL])
    parser.add_argument("--cases", nargs="+", choices=(*SHAPES, *REAL_CASES),
                        default=[*SHAPES, *REAL_CASES])  # fmt: skip
    parser.add_argument(
        "--sides",
        nargs="+",
        choices=SIDES,
        default=[side for side in SIDES if side != "rltools-fast"],
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--round-seconds", type=float, default=0.4, help="one rollout at least")
    parser.add_argument("--no-first-use", dest="first_use", action="store_false",
                        help="leave out what compiling costs")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="one case an environment, 3 rounds")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put it on this page too")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.round_seconds, options.first_use = 3, 0.2, False
        options.cases = [name for name in options.cases if name in ("a", "VecNormalize")]
    return options


def chosen(options: argparse.Namespace) -> list[tuple[str, str]]:
    """The environments and cases to measure."""
    return [
        (env_id, name)
        for env_id in options.envs
        for name in options.cases
        if name in (SHAPES if env_id in CLASSIC else REAL_CASES)
    ]


def compare(jobs: list[Job], options: argparse.Namespace) -> dict:
    """The rounds of every side of one case, measured in turns."""
    sides = [Side(job) for job in jobs]
    for side in sides:
        side.warm_up(options.round_seconds)
    for _ in range(options.rounds):
        for side in sides:
            side.measure()
    return {side.job.side: side.finish() for side in sides}


def first_uses(sides: list[str], core: int | None) -> list[str]:
    """A line for each: seconds with an empty and with a full cache, the verdict last."""
    lines = []
    for env_id, side in COMPILED_FIRST:
        if side not in sides:
            continue
        with tempfile.TemporaryDirectory() as cache:
            os.environ["NUMBA_CACHE_DIR"] = cache
            job = Job(side, case_of(env_id, "a"), core)
            cold, warm = (first_update(job) for _ in range(2))
            del os.environ["NUMBA_CACHE_DIR"]
        said = "met" if cold < COLD_SECONDS and warm < WARM_SECONDS else "MISSED"
        lines.append(f"{env_id}, {SIDES[side]}: cold {cold:.2f} s, warm {warm:.2f} s: {said}")
    return lines


def core_peak_apart() -> str:
    """The core's own rates, of a process of their own."""
    import subprocess

    command = "from benchmarks.peak import core_peak; print(core_peak())"
    path = os.pathsep.join(filter(None, sys.path))
    ran = subprocess.run(
        [sys.executable, "-c", command],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
