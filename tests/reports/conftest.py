"""A factory of real run folders, with the layout that a training run leaves behind."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.content.document import Document
from reports.logs.made_by import MADE_BY, made_by_text
from reports.report import Report, write_report

MakeRun = Callable[..., Path]

STEPS = (2048, 4096, 6144, 8192, 10240)
EPISODES = 20


def write_run(
    root: Path,
    *,
    algo: str = "spec_ppo",
    settings: str = "tuned",
    env: str = "ppo_lab/NoisyGridWorld-v0",
    seed: int = 200000,
    score: float = 0.9,
    returns: Sequence[float] | None = None,
    steps: Sequence[int] = STEPS,
    low: float = -0.1,
    high: float = 1.0,
    folder: str | None = None,
    record: Mapping[str, Any] | None = None,
    **more: Any,
) -> Path:
    """Write one run folder whose evaluations rise to ``score``, or follow ``returns``.

    ``record`` and ``more`` replace entries of run.json. Each evaluation's episodes spread about
    its mean, and the spread sums to zero exactly.
    """
    path = root / (folder or f"{algo}_{settings}/{env.replace('/', '-')}_{seed}")
    path.mkdir(parents=True)
    means = np.asarray(returns if returns is not None else np.linspace(low, score, len(steps)))
    spread = np.tile([-0.25, 0.25], EPISODES // 2)
    np.savez(
        path / "evaluations.npz",
        timesteps=np.asarray(steps),
        results=means[:, None] + spread,
        ep_lengths=np.full((len(steps), EPISODES), 7),
    )
    (path / "0.monitor.csv").write_text('#{"t_start": 0.0}\nr,l,t\n')
    entries = {
        "format": 1,
        "algo": algo,
        "settings": settings,
        "stage": "judge",
        "env": env,
        "env_kwargs": {},
        "seed": seed,
        "timesteps": 10000,
        "steps": int(steps[-1]),
        "n_envs": 8,
        "hyperparameters": {"clip_range": 0.2},
        "evaluation": {"episodes": EPISODES, "seed": seed + 100000, "deterministic": True},
        "score": float((means[-1] + spread).mean()),
        "reference": {"low": low, "high": high, "source": "exact, by dynamic programming"},
        "versions": {},
        "git_commit": None,
        "device": "cpu",
        "status": "completed",
        "reason": None,
        "seconds": 2.1,
    }
    (path / "run.json").write_text(json.dumps({**entries, **more, **(record or {})}))
    return path


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


@pytest.fixture
def make_run(logs: Path) -> MakeRun:
    """Write one run folder below ``logs``; see ``write_run``."""

    def make(**arguments: Any) -> Path:
        return write_run(logs, **arguments)

    return make


def write_four_labels(logs: Path, runs: int = 10) -> None:
    """Write two algorithms × two settings whose scores differ and never tie."""
    generator = np.random.default_rng(0)
    for place, (algo, settings) in enumerate(
        [("ppo", "default"), ("ppo", "tuned"), ("spec_ppo", "default"), ("spec_ppo", "tuned")]
    ):
        for seed in range(200000, 200000 + runs):
            score = 0.5 + 0.12 * place + 0.05 * generator.standard_normal()
            write_run(logs, algo=algo, settings=settings, seed=seed, score=score)


HOSTILE = '=1+1, "<script>alert(1)</script>" & 算法 {$_}'
"""A name that would break CSV, HTML, JSON in HTML, SVG, Markdown, LaTeX, or start a formula."""


MADE = ("python", "-m", "ppo_lab.compare", "--envs", HOSTILE, "-P", "net_arch:[8,  8]")
"""The command that a study notes; two spaces are not one."""


def write_hostile_study(logs: Path) -> None:
    """Write three labels on two tasks, uneven numbers of runs, one failed run, hostile names."""
    generator = np.random.default_rng(1)
    tasks = (("ppo_lab/NoisyGridWorld-v0", -0.1, 1.0), ("../<b>Task</b>|-v0", -1500.0, -150.0))
    for place, (algo, settings) in enumerate(
        [("ppo", "default"), ("spec_ppo", "tuned"), (HOSTILE, "tuned")]
    ):
        for number, (env, low, high) in enumerate(tasks):
            for seed in range(200000, 200006 - place):
                share = 0.4 + 0.15 * place + 0.05 * generator.standard_normal()
                write_run(
                    logs,
                    algo=algo,
                    settings=settings,
                    env=env,
                    seed=seed,
                    score=low + share * (high - low),
                    low=low,
                    high=high,
                    folder=f"{place}/{number}_{seed}",
                )
    write_run(logs, folder="bad <img src=x>", status="failed", reason="<script>alert(2)</script>")


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A whole report of ``write_hostile_study``, written once for all tests."""
    folder = tmp_path_factory.mktemp("report")
    write_hostile_study(folder / "logs")
    (folder / "logs" / MADE_BY).write_text(made_by_text([MADE]))
    return write_report(
        folder / "logs", folder / "out", table_draws=60, curve_draws=40, notes=["A <note>."]
    )


@pytest.fixture(scope="session")
def document(report: Report) -> Document:
    return report.document
