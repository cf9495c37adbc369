"""Whole studies by real training runs on ``ppo_lab/NoisyGridWorld-v0``.

Our side is ``run_study``, what ``python -m ppo_lab.tune`` calls. The zoo's protocol is given our
runs: ``SpecPPO`` scored *after* its last update over the same evaluation episodes (the zoo's own
tuner scores before it). Each study's finding is kept as a file, so a second call goes on.
"""

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from honesty_synthetic import Budget, Finding

import ppo_lab  # noqa: F401 - registers the environment
from ppo_lab.runs.execution import Evaluation, RunConfig, RunResult
from ppo_lab.runs.workers import execute_runs
from tuning.proposals import quiet
from tuning.protocol import TuningProtocol
from tuning.run_study import run_study
from tuning.spaces import SPACES, convert, distributions

ENV = "ppo_lab/NoisyGridWorld-v0"
ALGO = "spec_ppo"
SPACE = SPACES["core"][ALGO]
TRUTH_SEEDS = 40
NOISE_CONFIGURATIONS, NOISE_SEEDS = 40, 10
FRESH = 4_000_000_000
"""The protocol's seeds all lie below."""
ZOO, TRUTH, NOISE, EVALUATION = (FRESH + part * 70_000_000 for part in range(4))
STRIDE = 100
"""A run's environments take the seeds after its own."""


class _Silent:
    """A progress that shows nothing."""

    def stage(self, _name: str, _total: int) -> AbstractContextManager["_Silent"]:
        return nullcontext(self)

    def advance(self, _result: RunResult, _label: str = "", _elsewhere: bool = False) -> None:
        pass

    def running(self, _count: int) -> None:
        pass


@dataclass(frozen=True)
class Noise:
    """What randomly proposed settings are like, in returns.

    Attributes:
        seed: standard deviation over seeds of one configuration (root mean square over them).
        spread: standard deviation of true quality between configurations.
        mean: of all.
    """

    seed: float
    spread: float
    mean: float


@dataclass(frozen=True)
class Setting:
    """What every study here has in common.

    Attributes:
        budget: ours; the zoo gets as many runs of one seed each.
        timesteps: of a run.
        sampler: ``random`` or ``tpe``, of both.
        folder: where findings lie.
        jobs: worker processes.
    """

    budget: Budget
    timesteps: int
    sampler: Any
    folder: Path
    jobs: int

    def protocol(self, index: int) -> TuningProtocol:
        """The project's own, of one study."""
        return TuningProtocol(
            env=ENV,
            policy="MlpPolicy",
            timesteps=self.timesteps,
            trials=self.budget.trials,
            finalists=self.budget.finalists,
            replicas=self.budget.replicas,
            seeds=self.budget.seeds,
            seed=index,
            sampler=self.sampler,
        )

    def run(self, index: int, seed: int, settings: Mapping[str, Any], fresh: bool) -> RunConfig:
        """A run; ``fresh``: evaluated on random numbers of its own too, else on tuning's."""
        protocol = self.protocol(index)
        tuning = protocol.evaluation(judging=False, index=0)
        evaluation = Evaluation(tuning.episodes, EVALUATION + seed % 70_000_000)
        return RunConfig(
            algo=ALGO,
            env=ENV,
            seed=seed,
            timesteps=self.timesteps,
            n_envs=protocol.n_envs,
            policy=protocol.policy,
            hyperparameters=settings,
            evaluation=evaluation if fresh else tuning,
        )

    def scores(self, runs: Sequence[RunConfig], place: Path) -> list[float]:
        """Their scores; NaN where one failed. Run folders lie below ``place``."""
        folders = {place / f"run_{i}": run for i, run in enumerate(runs)}
        results = dict(execute_runs(folders, self.jobs))
        scores = [results[folder].score for folder in folders]
        return [math.nan if score is None else score for score in scores]


def study_pair(setting: Setting, index: int) -> tuple[Finding, Finding]:
    """The zoo's and our study of one index, in returns; taken from disk where they are."""
    path = setting.folder / f"study-{index}.json"
    if not path.exists():
        place = setting.folder / f"study-{index}"
        zoo_settings, zoo_promise = _zoo(setting, index, place)
        our_settings, our_promise, tested = _ours(setting, index, place)
        zoo_truth, our_truth = (
            _truth(setting, index, settings, place / name)
            for name, settings in (("zoo-truth", zoo_settings), ("our-truth", our_settings))
        )
        findings = (
            Finding(zoo_truth, zoo_promise, math.nan),
            Finding(our_truth, our_promise, tested),
        )
        _write(path, [asdict(finding) for finding in findings])
        shutil.rmtree(place)
    zoo, ours = json.loads(path.read_text(encoding="utf-8"))
    return Finding(**zoo), Finding(**ours)


def noise_of(setting: Setting) -> Noise:
    """The seed noise, measured once on settings proposed at random."""
    path = setting.folder / "noise.json"
    if not path.exists():
        rng = np.random.default_rng(0)
        proposals = [_drawn(setting, rng) for _ in range(NOISE_CONFIGURATIONS)]
        runs = [
            setting.run(0, NOISE + (c * NOISE_SEEDS + s) * STRIDE, settings, fresh=True)
            for c, settings in enumerate(proposals)
            for s in range(NOISE_SEEDS)
        ]
        place = setting.folder / "noise"
        scores = np.reshape(setting.scores(runs, place), (NOISE_CONFIGURATIONS, NOISE_SEEDS))
        within = scores.var(axis=1, ddof=1)
        between = scores.mean(axis=1).var(ddof=1) - within.mean() / NOISE_SEEDS
        noise = Noise(
            float(np.sqrt(within.mean())), float(np.sqrt(max(0.0, between))), float(scores.mean())
        )
        _write(path, asdict(noise))
        shutil.rmtree(place)
    return Noise(**json.loads(path.read_text(encoding="utf-8")))


def repeat(
    setting: Setting, studies: int, say: Callable[[str], None]
) -> tuple[list[Finding], list[Finding]]:
    """The zoo's findings and ours in units of the seed noise, study by study."""
    setting.folder.mkdir(parents=True, exist_ok=True)
    noise = noise_of(setting)
    pairs = []
    for index in range(studies):
        pairs.append(study_pair(setting, index))
        say(f"{ENV}: {index + 1} of {studies} studies")
    zoo, ours = zip(*pairs, strict=True)
    return [_scaled(each, noise) for each in zoo], [_scaled(each, noise) for each in ours]


def describe(setting: Setting, studies: int) -> str:
    """A sentence on the real studies."""
    noise = noise_of(setting)
    return (
        f"- NoisyGridWorld: {studies} pairs of studies of real runs of {setting.timesteps} steps, "
        f"proposals by {setting.sampler}, the core space of {ALGO}; our side is `run_study`, the "
        f"zoo's protocol gets the same runs and scores. Over {NOISE_CONFIGURATIONS} random "
        f"settings the seed noise is {noise.seed:.3f} in returns (root mean square of the standard "
        f"deviations over seeds), the true qualities' spread {noise.spread:.3f}, their mean "
        f"{noise.mean:.3f}, which is 0 in the table. True quality: the mean over {TRUTH_SEEDS} "
        "fresh seeds."
    )


def _scaled(finding: Finding, noise: Noise) -> Finding:
    return Finding(*((value - noise.mean) / noise.seed for value in asdict(finding).values()))


def _drawn(setting: Setting, rng: np.random.Generator) -> dict[str, Any]:
    """Settings proposed at random from the space that both search."""
    with quiet():
        study = optuna.create_study(
            sampler=optuna.samplers.RandomSampler(seed=int(rng.integers(2**31)))
        )
        params = study.ask(distributions(SPACE)).params
    return convert(SPACE, params, setting.protocol(0).shape, setting.protocol(0).n_envs)


def _zoo(setting: Setting, index: int, place: Path) -> tuple[dict[str, Any], float]:
    """Every run settings of its own, on a seed of its own; the best score wins."""
    rng = np.random.default_rng((index, 1))
    proposals = [_drawn(setting, rng) for _ in range(setting.budget.runs)]
    runs = [
        setting.run(index, ZOO + (index * 1000 + i) * STRIDE, settings, fresh=False)
        for i, settings in enumerate(proposals)
    ]
    scores = setting.scores(runs, place / "zoo")
    best = int(np.nanargmax(scores))
    return proposals[best], scores[best]


def _ours(setting: Setting, index: int, place: Path) -> tuple[dict[str, Any], float, float]:
    """What ``python -m ppo_lab.tune`` does: the pick, its replication figure, its test figure."""
    outcome = run_study(
        {ALGO: setting.protocol(index)},
        place / "ours",
        storage=None,
        jobs=setting.jobs,
        progress=_Silent(),
        say=lambda _: None,
        spaces={ALGO: SPACE},
    )
    winner = outcome.tuned[0].winner
    judged = [
        json.loads(path.read_text(encoding="utf-8"))["score"]
        for path in sorted(outcome.judged.glob(f"{ALGO}-tuned/*/run.json"))
    ]
    return dict(winner.hyperparameters), winner.mean, float(np.mean(judged))


def _truth(setting: Setting, index: int, settings: Mapping[str, Any], place: Path) -> float:
    """The mean over fresh seeds, with fresh evaluation episodes for each."""
    runs = [
        setting.run(index, TRUTH + (index * 1000 + i) * STRIDE, settings, fresh=True)
        for i in range(TRUTH_SEEDS)
    ]
    return float(np.nanmean(setting.scores(runs, place)))


def _write(path: Path, content: object) -> None:
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
