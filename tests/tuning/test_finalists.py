"""The default settings always get fresh seeds, and are kept where no trial beats them there."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from tests.tuning.test_stages import MadeUp, through
from tests.tuning.test_study import PROTOCOL, opened, screened
from tuning.candidates import Candidate, Tuned, ranked
from tuning.finalists import finalists, same_settings
from tuning.parameters import Choice, Real
from tuning.stages import judge, replicate, replications
from tuning.study import AlgorithmStudy
from tuning.trial_runs import TrialResult, TrialRuns
from tuning.wording import decisions, headline, notes_of
from tuning.work_list import WorkList

SMALL = replace(PROTOCOL, trials=8, finalists=2, replicas=3, seeds=2)
CLIP = (Real("clip_range", 0.05, 0.5),)
DEFAULT_CLIP = 0.2


def score(value: Callable[[float], float | None]) -> Callable[[TrialRuns], TrialResult]:
    """A made-up result by the clip range; None: failed."""

    def result(trial: TrialRuns) -> TrialResult:
        (_, config), *_ = trial.runs
        of_clip = value(config.hyperparameters["clip_range"])
        steps = sum(run.timesteps for _, run in trial.runs)
        if of_clip is None:
            return TrialResult(reason="NonFiniteError: reward is nan", steps=steps)
        return TrialResult(scores=(of_clip,) * len(trial.runs), steps=steps)

    return result


def default_is_worst(clip: float) -> float:
    """The further from the default, the better."""
    return abs(clip - DEFAULT_CLIP)


def default_is_best(clip: float) -> float:
    """The nearer to the default, the better."""
    return -abs(clip - DEFAULT_CLIP)


def default_fails(clip: float) -> float | None:
    """The default alone diverges."""
    return None if clip == DEFAULT_CLIP else clip


def default_is_stopped(trial: TrialRuns) -> TrialResult:
    """The default alone is stopped by a pruner."""
    if trial.runs[0][1].hyperparameters["clip_range"] == DEFAULT_CLIP:
        return TrialResult(reason="stopped", stopped=True, points={1: 0.0})
    return score(default_is_worst)(trial)


def made(folder: Path, result: Callable[[TrialRuns], TrialResult], space: Any = CLIP) -> Any:
    """A study that is screened with these scores."""
    screened(study := opened(folder, SMALL, space), result=result)
    return study


def replicated(
    study: AlgorithmStudy, result: Callable[[TrialRuns], TrialResult]
) -> tuple[Tuned, WorkList, MadeUp]:
    executor = MadeUp(set(), result=result)
    resources = through(executor, _no_run, study)  # type: ignore[arg-type]
    (tuned,) = replicate(resources, [study])
    return tuned, resources.companion("spec_ppo-replicate"), executor


def judged(
    study: AlgorithmStudy, tuned: Tuned, result: Callable[[TrialRuns], TrialResult]
) -> Mapping[Path, Any]:
    resources = through(MadeUp(set(), result=result), _no_run, study)  # type: ignore[arg-type]
    return judge(resources, [study], [tuned], None)


def _no_run(*_: Any) -> Any:
    raise AssertionError("made-up results need no run")


def notes(study: AlgorithmStudy, tuned: Tuned, again: WorkList, runs: Mapping[Path, Any]) -> str:
    again.refresh()
    replications_of = {"spec_ppo": replications(study, again)}
    return "\n".join(notes_of(study.protocol, [study], [tuned], runs, replications_of))


def test_default_is_a_finalist_beside_the_best_others_however_bad_it_screened(
    tmp_path: Path,
) -> None:
    study = made(tmp_path / "a", score(default_is_worst))
    first, *others = finalists(study)
    assert (first.trial, first.is_default, first.screened) == (0, True, 0.0)
    assert first.hyperparameters == study.default_hyperparameters
    assert [each.trial for each in others] == [number for number, _ in study.best(2)]
    assert 0 not in [each.trial for each in others]


@pytest.mark.parametrize("result", [score(default_fails), default_is_stopped])
def test_default_is_a_finalist_though_its_trial_failed_or_was_stopped(
    result: Callable[[TrialRuns], TrialResult], tmp_path: Path
) -> None:
    study = made(tmp_path / "a", result)
    assert study.outcomes()[0].state in (TrialState.FAIL, TrialState.PRUNED)
    first = finalists(study)[0]
    assert (first.trial, first.is_default, first.screened) == (0, True, None)
    tuned, _, _ = replicated(study, score(default_is_best))
    assert tuned.keeps_default
    assert "the default settings; replicated: 0.000 on the fresh" in decisions(study, tuned)[0]


def test_default_outside_the_space_is_a_finalist_that_no_trial_was(tmp_path: Path) -> None:
    study = made(tmp_path / "a", score(lambda clip: -clip), (Real("clip_range", 0.3, 0.5),))
    first, second, _ = finalists(study)
    assert (first.trial, first.name, first.folder_name) == (None, "default", "default")
    assert first.hyperparameters["clip_range"] == DEFAULT_CLIP
    # Trial 0 is what is nearest in the space, and the best by this score.
    assert (second.trial, second.hyperparameters["clip_range"]) == (0, 0.3)
    tuned, _, executor = replicated(study, score(default_is_best))
    assert (tuned.winner.trial, tuned.keeps_default) == (None, True)
    assert {name for _, name in executor.begun} >= {"default/1", "default/2", "default/3", "0/1"}
    folders = {study.place(1, "judge", f"spec_ppo-{name}").parent for name in ("default", "tuned")}
    assert {run.parent for run in judged(study, tuned, score(default_is_best))} < folders


def test_no_settings_are_two_finalists(tmp_path: Path) -> None:
    study = made(tmp_path / "a", score(default_is_worst), (Choice("clip_range", (0.2, 0.4)),))
    assert {each.hyperparameters["clip_range"] for each in finalists(study)} == {0.2, 0.4}
    assert len(finalists(study)) == 2
    tuned, _, executor = replicated(study, score(default_is_worst))
    assert len(executor.begun) == 2 * 3
    said = decisions(study, tuned)
    assert sum("the same settings as " in text for text in said.values()) == 8 - 2


def test_default_that_no_trial_beats_is_kept_and_judged_once(tmp_path: Path) -> None:
    study = made(tmp_path / "a", score(default_is_worst))
    tuned, again, _ = replicated(study, score(default_is_best))
    assert tuned.winner.hyperparameters == study.default_hyperparameters
    runs = judged(study, tuned, score(default_is_best))
    assert {folder.parent.name for folder in runs} == {"spec_ppo-default"}
    assert len(runs) == SMALL.seeds
    text = notes(study, tuned, again, runs)
    assert "spec_ppo: the default was kept, for no trial beat it: screened at 0.000, 0" in text
    assert "(tuned)" not in text
    assert headline(SMALL, tuned)[0].startswith("spec_ppo, the default settings: ")


def test_row_of_tuned_settings_that_are_the_default_leaves_the_report_of_an_older_study(
    tmp_path: Path,
) -> None:
    # Earlier versions judged the default twice where it won, once as tuned.
    study = replace(made(tmp_path / "a", score(default_is_worst)), folder=tmp_path / "judged")
    row = study.folder / "judge" / "spec_ppo-tuned"
    (row / "env_1").mkdir(parents=True)
    record = {"hyperparameters": study.default_hyperparameters}
    (row / "env_1" / "run.json").write_text(json.dumps(record))
    tuned, _, _ = replicated(study, score(default_is_best))
    judged(study, tuned, score(default_is_best))
    assert not row.exists()
    assert len(list((study.folder / "former").glob("*/env_1/run.json"))) == 1


def test_trial_that_beats_the_default_is_judged_beside_it(tmp_path: Path) -> None:
    study = made(tmp_path / "a", score(default_is_worst))
    tuned, again, _ = replicated(study, score(default_is_worst))
    assert not tuned.keeps_default
    runs = judged(study, tuned, score(default_is_worst))
    assert sorted({folder.parent.name for folder in runs}) == ["spec_ppo-default", "spec_ppo-tuned"]
    assert "(the other finalists there: trial " in notes(study, tuned, again, runs)
    assert "the default 0.000)" in notes(study, tuned, again, runs)


def test_default_that_fails_on_a_fresh_seed_cannot_win_and_that_is_said(tmp_path: Path) -> None:
    study = made(tmp_path / "a", score(default_is_worst))
    tuned, again, _ = replicated(study, score(default_fails))
    assert not any(candidate.is_default for candidate in tuned.candidates)
    said = "The default of spec_ppo failed on 3 fresh seeds and could not win: NonFiniteError"
    assert said in notes(study, tuned, again, {})
    assert decisions(study, tuned)[0] == (
        "the default settings; replicated: failed on a fresh seed"
    )


def test_of_equal_finalists_the_default_wins() -> None:
    scores = (1.0, 2.0)
    default, other = Candidate(None, {}, None, scores, is_default=True), Candidate(0, {}, 0, scores)
    assert ranked([other, default])[0] is default
    later = Candidate(5, {}, 0.0, scores, is_default=True)
    assert ranked([other, later])[0] is later
    assert ranked([Candidate(7, {}, 0.0, (2.0, 2.0)), default])[0].trial == 7


def test_runs_of_the_default_are_counted_in_the_budget_and_said(tmp_path: Path) -> None:
    study = made(tmp_path / "a", score(default_is_worst))
    assert SMALL.tuning_runs == 8 * 1 + (2 + 1) * 3 == 17
    assert replace(SMALL, screen_seeds=4).tuning_runs == 8 * 4 + (2 + 1) * 3
    tuned, again, executor = replicated(study, score(default_is_worst))
    assert len(study.outcomes()) + len(executor.begun) == SMALL.tuning_runs
    text = notes(study, tuned, again, {})
    assert "at most 8 × 1 + (2 + 1) × 3 = 17 runs of tuning" in text
    # Every run has 3,000 steps.
    assert "9 replications (3 of them of the default settings), 51000 steps of tuning" in text


def test_fresh_seeds_of_the_default_are_those_of_the_others_and_no_other_stages(
    tmp_path: Path,
) -> None:
    study = made(tmp_path / "a", score(default_is_worst), (Real("clip_range", 0.3, 0.5),))
    seeds: dict[float, list[int]] = {}

    def noted(trial: TrialRuns) -> TrialResult:
        (_, config), *_ = trial.runs
        seeds.setdefault(config.hyperparameters["clip_range"], []).append(config.seed)
        return TrialResult(scores=(1.0,))

    replicated(study, noted)
    assert seeds[DEFAULT_CLIP] == SMALL.replica_seeds
    assert all(of_settings == SMALL.replica_seeds for of_settings in seeds.values())
    assert not set(SMALL.replica_seeds) & {*SMALL.screening_seeds, *SMALL.judge_seeds}


def test_study_that_goes_on_makes_no_run_of_the_default_again(tmp_path: Path) -> None:
    study = made(tmp_path / "a", score(default_is_worst))
    replicated(study, score(default_is_worst))
    _, _, executor = replicated(study, score(default_is_worst))
    assert executor.begun == []
    larger = replace(study, protocol=replace(SMALL, trials=12))
    screened(larger, result=score(default_is_worst))
    _, _, executor = replicated(larger, score(default_is_worst))
    assert not any(name.startswith("0/") for _, name in executor.begun)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"gamma": 1 - (1 - 0.9)}, {"gamma": 0.9}, True),
        ({"gamma": 0.9}, {"gamma": 0.9 + 1e-6}, False),
        ({"gamma": 0.9}, {"gae_lambda": 0.9}, False),
        (
            {"policy_kwargs": {"net_arch": [64, 64]}},
            {"policy_kwargs": {"net_arch": (64, 64)}},
            True,
        ),
        ({"policy_kwargs": {"net_arch": [64]}}, {"policy_kwargs": {"net_arch": [64, 64]}}, False),
        ({"target_kl": None}, {"target_kl": 0.0}, False),
        ({"use_sde": True}, {"use_sde": 1}, False),
        ({"learning_rate": "lin_3e-4"}, {"learning_rate": 3e-4}, False),
    ],
)
def test_settings_are_the_same_but_for_the_last_digits(one: Any, other: Any, same: bool) -> None:
    assert same_settings(one, other) is same
    assert same_settings(other, one) is same
