"""What each command is told: its flags under argparse's names; their meaning stands in its help.

Nothing heavy is imported: a command's parser answers before its work is loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ppo_lab.runs.config import VecEnvKind
    from reports.content.document import Engine
    from reports.report import Format

__all__ = [
    "ClusterOptions",
    "CompareOptions",
    "EnvironmentOptions",
    "EvaluateOptions",
    "ReportOptions",
    "TrainOptions",
    "TuneOptions",
    "UntilClearOptions",
    "WarmUpOptions",
    "ZooOptions",
]


@dataclass(frozen=True)
class EnvironmentOptions:
    """How environments are made, and where networks are trained; None: the settings decide."""

    env_kwargs: Sequence[str] | None
    eval_env_kwargs: Sequence[str] | None
    wrapper: Sequence[str] | None
    frame_stack: int | None
    normalize: str | None
    vec_env: "VecEnvKind | None"
    env_packages: Sequence[str]
    device: str
    mask_actions: bool | None


@dataclass(frozen=True)
class ClusterOptions:
    """Which Ray cluster makes the runs, and what of it each takes; no ``cluster``: this machine."""

    cluster: str | None
    cpus_per_run: float
    gpus_per_run: float
    py_modules: Sequence[str]


@dataclass(frozen=True)
class TrainOptions(EnvironmentOptions):
    """Of ``ppo_lab.train``; None where a flag was left out."""

    env: str | None
    algo: str | None
    timesteps: int | None
    seed: int | None
    n_envs: int | None
    conf: Path | None
    preset: str | None
    hyperparams: Sequence[str] | None
    progress: bool | None
    verbose: int
    tensorboard: Path | None
    track: bool
    wandb_project_name: str
    wandb_entity: str | None
    wandb_group: str | None
    wandb_tags: Sequence[str]
    log_folder: Path
    eval_freq: int | None
    eval_episodes: int | None
    save_freq: int | None
    save_replay_buffer: bool
    resume: Path | None


@dataclass(frozen=True)
class EvaluateOptions:
    """Of ``ppo_lab.evaluate``; at most one of two opposite flags is given."""

    run: Path | None
    algo: str | None
    log_folder: Path
    episodes: int
    seed: int
    checkpoint: str
    deterministic: bool
    stochastic: bool
    render: bool
    video: Path | None
    env: str | None
    env_kwargs: Sequence[str] | None
    no_pickle: bool
    env_packages: Sequence[str]
    device: str


@dataclass(frozen=True)
class UntilClearOptions:
    """When a comparison ends; None: the default of ``UntilClear``."""

    until_clear: bool
    max_seeds: int | None
    first: int | None
    step: int | None
    error: float | None
    futility: float | None


@dataclass(frozen=True)
class CompareOptions(UntilClearOptions, EnvironmentOptions, ClusterOptions):
    """Of ``ppo_lab.compare``."""

    algos: Sequence[str]
    envs: Sequence[str]
    seeds: int | None
    timesteps: int
    seed: int
    jobs: int | None
    run_timeout: float | None
    n_envs: int | None
    episodes: int
    points: int
    settings: str
    conf: Sequence[str]
    preset: str | None
    hyperparams: Sequence[str] | None
    explain: bool
    baseline: str | None
    name: str | None
    log_folder: Path
    storage: str | None
    grace: int


@dataclass(frozen=True)
class TuneOptions(UntilClearOptions, EnvironmentOptions, ClusterOptions):
    """Of ``ppo_lab.tune``."""

    env: str
    envs: Sequence[str] | None
    one_setting: bool
    algo: Sequence[str]
    base: str
    strategy: str
    population: int
    generations: int | None
    trials: int
    timesteps: int | None
    n_envs: int | None
    screen_seeds: int
    finalists: int
    replicas: int
    seeds: int | None
    episodes: int
    seed: int
    window: int
    space: Sequence[str]
    set: Sequence[str]
    sampler: str | None
    pruner: str
    jobs: int | None
    run_timeout: float | None
    storage: str | None
    grace: int
    study_name: str | None
    plots: bool
    explain: bool
    log_folder: Path


@dataclass(frozen=True)
class ReportOptions:
    """Of ``ppo_lab.report``."""

    logs: Sequence[str]
    out: Path
    baseline: str | None
    format: Sequence["Format"]
    seed: int
    references: Path | None
    best: bool
    title: str | None
    engine: "Engine"
    verify: bool
    explain: bool


@dataclass(frozen=True)
class WarmUpOptions:
    """Of ``ppo_lab.warm_up``."""

    kinds: Sequence[str]
    all: bool


@dataclass(frozen=True)
class ZooOptions:
    """Of ``ppo_lab.zoo``: a script of RL Zoo's, and the flags that are its own."""

    script: str
    flags: Sequence[str]
