"""One setting for several environments: chosen on fresh tuning seeds of all, judged on test seeds.

The protocol is that of a single environment: of the settings that screening tried everywhere the
best few and the default are trained again on fresh tuning seeds, the best mean over environments
and seeds wins, and it is judged on test seeds. What differs is the score, a mean over environments
of scores normalised by :class:`~tuning.across.Scale`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from ppo_lab.runs.config import RunConfig, environment_folder_name
from ppo_lab.runs.execution import RunResult
from ppo_lab.runs.references import ReferenceScores, as_record
from tuning.across import Scale, ranked_across
from tuning.finalists import same_settings
from tuning.search import Search
from tuning.stages import StudyError

__all__ = ["ONE", "OneSetting", "choose_one", "judge_one", "judged_scores"]

ONE = "one for all"
"""What the report files its runs under."""

Execute = Callable[[str, Mapping[Path, RunConfig]], Iterable[tuple[Path, RunResult]]]
"""Makes the runs of a stage of this name that are not made yet."""


@dataclass(frozen=True)
class OneSetting:
    """One algorithm's setting for all environments.

    Attributes:
        algo: the algorithm's name.
        trial: the number of the trial that had it; None: the default.
        hyperparameters: the algorithm's arguments.
        replicated: name of each finalist → its mean normalised score on the fresh seeds, the best
            first.
        failed: names of the finalists that failed on a fresh seed.
    """

    algo: str
    trial: int | None
    hyperparameters: Mapping[str, Any]
    replicated: Mapping[str, float]
    failed: tuple[str, ...] = ()

    @property
    def is_default(self) -> bool:
        """Whether no trial beat the default settings."""
        return self.trial is None

    @property
    def words(self) -> str:
        """How it was chosen, as a sentence."""
        best, *others = (f"{name} {mean:.3f}" for name, mean in self.replicated.items())
        there = f" (the other finalists there: {', '.join(others)})" if others else ""
        lost = f"; {', '.join(self.failed)} failed on a fresh seed" if self.failed else ""
        return (
            f"{self.algo} ({ONE}) is {best} on the fresh seeds of all environments, normalised by "
            f"the trials' 5th and 95th percentile{there}{lost}."
        )


def choose_one(
    searches: Mapping[str, Search],
    trials: Mapping[str, Sequence[FrozenTrial]],
    scales: Mapping[str, Scale],
    folder: Path,
    execute: Execute,
) -> OneSetting:
    """Train the default and the settings that were best across environments on fresh seeds.

    Args:
        searches: environment → the algorithm's search there.
        trials: environment → its trials of screening.
        scales: environment → its scale.
        folder: of the runs.
        execute: makes runs.

    Raises:
        StudyError: no finalist finished on every fresh seed of every environment.
    """
    first = next(iter(searches.values()))
    default = first.default_hyperparameters
    finalists: dict[str, tuple[int | None, Mapping[str, Any]]] = {"the default": (None, default)}
    of_first = next(iter(trials.values()))
    for number, _ in ranked_across(trials):
        settings = of_first[number].user_attrs["hyperparameters"]
        known = any(same_settings(settings, other) for _, other in finalists.values())
        if len(finalists) <= first.protocol.finalists and not known:
            finalists[f"trial {number + 1}"] = number, settings
    runs, owners = {}, {}
    for name, (_, settings) in finalists.items():
        for env, search in searches.items():
            for index in range(search.protocol.replicas):
                run = search.run("replicate", index, settings)
                place = folder / "replicate" / first.algo / name.replace(" ", "_")
                place /= f"{environment_folder_name(env)}_{index + 1}"
                runs[place], owners[place] = run, (name, env)
    scores: dict[str, dict[str, list[float]]] = {}
    failed = []
    for place, result in execute(f"replicate {ONE}", runs):
        name, env = owners[place]
        if result.score is None:
            failed.append(name)
        else:
            scores.setdefault(name, {}).setdefault(env, []).append(result.score)
    means = {
        name: float(np.mean([_mean(scores[name][env], scales[env]) for env in searches]))
        for name in finalists
        if name not in failed
    }
    if not means:
        raise StudyError(f"no setting of {first.algo} finished on every fresh seed of --envs")
    # The default is first: of equal means it is kept.
    ordered = dict(sorted(means.items(), key=lambda each: -each[1]))
    chosen, best = finalists[next(iter(ordered))]
    return OneSetting(first.algo, chosen, best, ordered, tuple(dict.fromkeys(failed)))


def _mean(scores: Sequence[float], scale: Scale) -> float:
    # Sorted: runs come back in any order, and a sum's last digit must not depend on it.
    return float(scale.normalised(np.array(sorted(scores))).mean())


def judge_one(
    searches: Mapping[str, Search],
    one: OneSetting,
    references: Mapping[str, ReferenceScores | None],
    folder: Path,
    execute: Execute,
    *,
    with_default: bool,
) -> list[str]:
    """Train the one setting on the test seeds of every environment; once where it is the default.

    Args:
        searches: environment → the algorithm's search there.
        one: what :func:`choose_one` chose.
        references: environment → what the report normalises by.
        folder: of the runs, which go below ``judge`` there.
        execute: makes runs.
        with_default: judge the default too, which no other study does.

    Returns:
        Why runs failed, one line each.
    """
    wanted: dict[str, Mapping[str, Any]] = {}
    if with_default:
        wanted["default"] = next(iter(searches.values())).default_hyperparameters
    if not one.is_default:
        wanted[ONE] = one.hyperparameters
    runs = {}
    for word, settings in wanted.items():
        for env, search in searches.items():
            for index in range(search.protocol.seeds):
                run = search.run("judge", index, settings)
                run = replace(run, settings=word, reference=as_record(references[env]))
                place = folder / "judge" / f"{one.algo}-{word.replace(' ', '-')}"
                runs[place / f"{environment_folder_name(env)}_{index + 1}"] = run
    return [result.reason for _, result in execute(f"judge {ONE}", runs) if result.reason]


def judged_scores(
    runs: Mapping[tuple[str, str], Sequence[float]], algo: str, envs: Sequence[str], each: bool
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Environment → ``default``, ``one``, ``tuned`` → judged scores.

    Where the one setting, or an environment's own, is the default, its runs are the default's.

    Args:
        runs: (label, environment) → scores.
        algo: the algorithm's name.
        envs: the environments.
        each: whether every environment was tuned for itself.
    """
    words = {"default": "default", "one": ONE, **({"tuned": "tuned"} if each else {})}
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for env in envs:
        default = runs.get((f"{algo} (default)", env), ())
        of_env = {n: runs.get((f"{algo} ({word})", env), default) for n, word in words.items()}
        if all(of_env.values()):
            found[env] = {name: np.array(scores) for name, scores in of_env.items()}
    return found
