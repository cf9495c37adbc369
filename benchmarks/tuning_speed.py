"""Trials per hour and core: ``ppo_lab.tune`` against ``rl_zoo3.train --optimize-hyperparameters``.

``python -m benchmarks.tuning_speed`` runs both commands, start-up and end included, one after the
other on the same cores. The space and the shapes are the zoo's. Ours goes first, with settings
drawn at random; the very same settings are queued in the zoo's study, so that trial by trial both
do the same: steps, environments, minibatches, epochs, networks, one evaluation of as many
episodes. Then ours runs once more as a user would, in its own default space, where network and
minibatches are fixed: as many trials, steps and evaluations. Ours also replicates, judges and
writes its report in that time: runs that are not counted as trials. Exits with 1 if a goal is
missed.

Each side's time is kept in ``--log-folder``, and measured again only if its file is gone.
"""

from benchmarks import before_numpy  # noqa: F401 - first

# isort: split

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import TrialState

from benchmarks.comparison import verdict
from benchmarks.machine import described
from benchmarks.page_marks import Printed

ROOT = Path(__file__).resolve().parent.parent
GOALS = {"CartPole-v1": 15.0, "ppo_lab/GridWorld-v0": 30.0}
N_ENVS = 8
EPISODES = 5
"""The zoo's default."""
NETWORKS = {"tiny": [64], "small": [64, 64], "medium": [256, 256]}
LARGEST_ROLLOUT = 2048
"""The zoo's own 4096 steps would exceed the budget of 20,000 on 8 environments."""
SPACE: Mapping[str, Any] = {
    "n_steps": {"low": 32, "high": LARGEST_ROLLOUT, "scale": "power_of_two"},
    "batch_size": {"low": 4, "high": 1024, "scale": "power_of_two"},
    "n_epochs": [1, 5, 10, 20],
    "net_arch": {"choices": list(NETWORKS.values())},
    "gamma": {"low": 0.97, "high": 0.9999, "scale": "one_minus_log"},
    "gae_lambda": {"low": 0.9, "high": 0.9999, "scale": "one_minus_log"},
    "learning_rate": {"low": 1e-5, "high": 0.002, "scale": "log"},
    "ent_coef": {"low": 1e-8, "high": 0.1, "scale": "log"},
    "clip_range": [0.1, 0.2, 0.3, 0.4],
    "max_grad_norm": {"low": 0.3, "high": 2.0, "scale": "linear"},
    "critic_learning_rate": "default",
    "vf_coef": "default",
    "target_kl": "default",
}
"""The zoo's space for PPO, without its second activation function, in our words."""
SIDES = {
    "zoo": "rl_zoo3 --optimize, PPO",
    "ours": "ppo_lab.tune, SpecPPO, the same settings",
    "own": "ppo_lab.tune, SpecPPO, its own space",
}


@dataclass(frozen=True)
class Timing:
    """What a command took.

    Attributes:
        trials: finished ones.
        failed: of them.
        wall: seconds.
        cpu: seconds of processor time of the command and all its processes.
        cores: that it was given.
    """

    trials: int
    failed: int
    wall: float
    cpu: float
    cores: int

    @property
    def rate(self) -> float:
        """Trials per hour and core."""
        return self.trials / self.wall / self.cores * 3600

    @property
    def cpu_rate(self) -> float:
        """Trials per hour of processor time: what a busy machine disturbs least."""
        return self.trials / self.cpu * 3600


@dataclass(frozen=True)
class Plan:
    """One comparison."""

    env: str
    trials: int
    timesteps: int
    jobs: int
    folder: Path

    def ours(self, side: str) -> list[str]:
        """Our command: in the zoo's space (``ours``), or in its default one (``own``)."""
        numbers = {
            "trials": self.trials,
            "timesteps": self.timesteps,
            "n-envs": N_ENVS,
            "episodes": EPISODES,
            "finalists": 1,
            "replicas": 1,
            "seeds": 1,
            "jobs": self.jobs,
        }
        flags = [word for name, value in numbers.items() for word in (f"--{name}", str(value))]
        files = ["--space", "wide", str(self.folder / "space.yml"), "--sampler", "random"]
        where = ["--log-folder", str(self.folder), "--study-name", side]
        return [
            "-m",
            "ppo_lab.tune",
            "--env",
            self.env,
            "--algo",
            "spec_ppo",
            *flags,
            *(files if side == "ours" else []),
            *where,
        ]

    def zoo(self) -> list[str]:
        """The zoo's."""
        flags = {
            "--algo": "ppo",
            "--env": self.env,
            "--n-trials": self.trials,
            "--n-jobs": self.jobs,
            "--n-timesteps": self.timesteps,
            "--n-evaluations": 1,
            "--eval-episodes": EPISODES,
            "--sampler": "random",
            "--pruner": "none",
            "--storage": self.storage,
            "--study-name": "zoo",
            "--conf-file": self.folder / "zoo.yml",
            "--log-folder": self.folder / "zoo",
            "--num-threads": 1,
            "--device": "cpu",
            "--verbose": 0,
            "--gym-packages": "ppo_lab",
        }
        words = [str(word) for pair in flags.items() for word in pair]
        return ["-m", "rl_zoo3.train", "--optimize-hyperparameters", "--no-optim-plots", *words]

    @property
    def storage(self) -> str:
        """Of the zoo's study, which holds the settings to try."""
        return f"sqlite:///{self.folder / 'zoo.db'}"


def measure(plan: Plan, side: str) -> Timing:
    """Time one side, or take its time from the log folder."""
    kept = plan.folder / f"{side}.json"
    if not kept.exists():
        _prepare(plan, side)
        cpu, started = _cpu_of_children(), time.perf_counter()
        command = plan.zoo() if side == "zoo" else plan.ours(side)
        with (plan.folder / f"{side}.log").open("w", encoding="utf-8") as log:
            subprocess.run(
                [sys.executable, *command], cwd=ROOT, env=_environment(), check=True,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        wall, cpu = time.perf_counter() - started, _cpu_of_children() - cpu
        states = [trial.state for trial in _trials(plan, side)]
        failed = sum(state != TrialState.COMPLETE for state in states)
        timing = Timing(len(states), failed, wall, cpu, plan.jobs)
        kept.write_text(json.dumps(asdict(timing), indent=1), encoding="utf-8")
    return Timing(**json.loads(kept.read_text(encoding="utf-8")))


def _prepare(plan: Plan, side: str) -> None:
    if side != "zoo":
        shutil.rmtree(plan.folder / side, ignore_errors=True)
        (plan.folder / "space.yml").write_text(yaml.safe_dump(dict(SPACE)), encoding="utf-8")
        return
    (plan.folder / "zoo.db").unlink(missing_ok=True)
    settings = {"n_envs": N_ENVS, "n_timesteps": plan.timesteps, "policy": "MlpPolicy"}
    (plan.folder / "zoo.yml").write_text(yaml.safe_dump({plan.env: settings}), encoding="utf-8")
    study = optuna.create_study(study_name="zoo", storage=plan.storage, direction="maximize")
    for trial in _trials(plan, "ours"):
        study.enqueue_trial(zoo_parameters(trial.user_attrs["hyperparameters"]))


def zoo_parameters(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Our settings as the zoo's sampler suggests them."""
    network = settings["policy_kwargs"]["net_arch"]
    return {
        "batch_size_pow": settings["batch_size"].bit_length() - 1,
        "n_steps_pow": settings["n_steps"].bit_length() - 1,
        "one_minus_gamma": 1 - settings["gamma"],
        "one_minus_gae_lambda": 1 - settings["gae_lambda"],
        "net_arch": next(name for name, sizes in NETWORKS.items() if sizes == network),
        "activation_fn": "tanh",
        **{
            name: settings[name]
            for name in ("learning_rate", "ent_coef", "clip_range", "n_epochs", "max_grad_norm")
        },
    }


def _trials(plan: Plan, side: str) -> list[optuna.trial.FrozenTrial]:
    if side == "zoo":
        study = optuna.load_study(study_name="zoo", storage=plan.storage)
        return [t for t in study.trials if t.state.is_finished()]
    storage = f"sqlite:///{plan.folder / side / 'study.db'}"
    study = optuna.load_study(study_name=f"{side}-spec_ppo", storage=storage)
    trials = [t for t in study.trials if t.state.is_finished() and "number" in t.user_attrs]
    return sorted(trials, key=lambda trial: int(trial.user_attrs["number"]))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), *filter(None, sys.path)))}


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(plan: Plan, say: Printed) -> bool:
    """Measure and print both sides; whether the goal is met."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    sides = {side: measure(plan, side) for side in ("ours", "zoo", "own")}
    say(
        f"\n{plan.env}: {plan.trials} trials of {plan.timesteps:,} steps, {N_ENVS} environments, "
        f"1 evaluation of {EPISODES} episodes, {plan.jobs} worker(s)"
    )
    heads = ("trials/h/core", "s/trial", "wall s", "cpu s", "failed")
    say(f"{'':42}" + "".join(f"{head:>15}" for head in heads))
    for side, name in SIDES.items():
        timing = sides[side]
        each = timing.wall / timing.trials
        say(
            f"{name:42}{timing.rate:15,.0f}{each:15.2f}{timing.wall:15.1f}{timing.cpu:15.1f}"
            f"{timing.failed:15}"
        )
    met = [ratio_met(say, plan, side, sides[side], sides["zoo"]) for side in ("ours", "own")]
    same = all(timing.trials == plan.trials for timing in sides.values())
    if not same:
        counts = [timing.trials for timing in sides.values()]
        say(f"not comparable: {counts} of {plan.trials} trials")
    return same and all(met)


def ratio_met(say: Printed, plan: Plan, side: str, ours: Timing, zoo: Timing) -> bool:
    """Print a side's ratio to the zoo; whether the goal is met."""
    ratio, goal = ours.cpu_rate / zoo.cpu_rate, GOALS.get(plan.env)
    told = f"goal ≥ {goal:.0f}: {verdict(ratio, goal)}" if goal else "no goal"
    say(
        f"{SIDES[side]}: ratio of CPU time {ratio:.1f} ({told}); of wall time "
        f"{ours.rate / zoo.rate:.1f}; one run of each side"
    )
    return goal is None or ratio >= goal


def _warm_up(env: str, folder: Path, jobs: int) -> None:
    """Compile the kernels: numba keeps them, and a user compiles them once."""
    warm = Plan(env, max(4, jobs), N_ENVS * LARGEST_ROLLOUT, jobs, folder / "warm-up")
    warm.folder.mkdir(parents=True, exist_ok=True)
    (warm.folder / "ours.json").unlink(missing_ok=True)
    measure(warm, "ours")
    shutil.rmtree(warm.folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments choose; 0 if every goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--envs", nargs="+", default=list(GOALS))
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--timesteps", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=1, help="workers and cores of both sides")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put it on this page too")
    parser.add_argument("--log-folder", type=Path, default=Path("logs/tuning-speed"))
    options = parser.parse_args(arguments)
    if options.timesteps < N_ENVS * LARGEST_ROLLOUT:
        parser.error(
            f"--timesteps {options.timesteps}: expected {N_ENVS * LARGEST_ROLLOUT} or more"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))[-options.jobs :]
        os.sched_setaffinity(0, cores)
    say = Printed()
    for line in described(("rl_zoo3", "optuna")):
        say(line)
    met = []
    for env in options.envs:
        folder = options.log_folder.resolve() / env.replace("/", "-")
        if not (folder / "ours.json").exists():
            _warm_up(env, folder, options.jobs)
        met.append(compare(Plan(env, options.trials, options.timesteps, options.jobs, folder), say))
    say("\nEvery goal is met." if all(met) else "\nA goal is missed.")
    say.write(options.write, "tuning")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
