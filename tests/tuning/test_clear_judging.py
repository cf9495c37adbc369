"""Judging until it is clear: test seeds are added as long as a pair of rows needs them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from ppo_lab.errors import ArgumentError
from reports.logs.looks_file import LOOKS, read_looks
from reports.statistics.sequential import UntilClear
from tests.tuning.test_stages import MadeUp, Silent
from tests.tuning.test_study import PROTOCOL, SPACE, opened
from tuning.candidates import Candidate, Tuned
from tuning.protocol import TuningProtocol
from tuning.shift import Resources
from tuning.stages import judge
from tuning.study import AlgorithmStudy, study_settings
from tuning.trial_runs import TrialResult, TrialRuns
from tuning.work_list import WorkList

DESIGN = UntilClear(max_seeds=9, first=3, step=3)
CLEAR = replace(PROTOCOL, trials=4, seeds=9, until_clear=DESIGN)


def resources(study: AlgorithmStudy, result: Callable[[TrialRuns], TrialResult]) -> Any:
    def companion(name: str) -> WorkList:
        storage = study.work_list.storage
        made = optuna.create_study(study_name=name, storage=storage, load_if_exists=True)
        return WorkList(made, storage, study.work_list.heart)

    return Resources(MadeUp(set(), result=result), Silent(), 120, companion)


def tuned(trial: int = 2, keeps_default: bool = False) -> list[Tuned]:
    settings = {"clip_range": 0.1 * trial}
    return [Tuned("spec_ppo", (Candidate(trial, settings, 0.0, (1.0,), keeps_default),))]


def gap(size: float) -> Callable[[TrialRuns], TrialResult]:
    def result(trial: TrialRuns) -> TrialResult:
        _, run = trial.runs[0]
        noise = float(np.random.default_rng([run.seed, run.settings == "tuned"]).normal())
        return TrialResult(scores=(noise + size * (run.settings == "tuned"),))

    return result


def judged(study: AlgorithmStudy, made: Any, outcome: list[Tuned]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for folder in judge(made, [study], outcome, None):
        counts[folder.parent.name] = counts.get(folder.parent.name, 0) + 1
    return counts


def test_rows_that_are_clear_at_once_take_the_first_looks_seeds(tmp_path: Path) -> None:
    study = opened(tmp_path / "clear", CLEAR)
    assert judged(study, resources(study, gap(50.0)), tuned()) == {
        "spec_ppo-tuned": 3,
        "spec_ppo-default": 3,
    }
    looks = read_looks(study.folder / "judge" / LOOKS)
    assert [pair.verdict for pair in looks.decided] == ["higher"]
    assert looks.plan is not None
    assert looks.plan["winners"] == {"spec_ppo": "2"}


def test_rows_that_differ_little_take_more_and_a_second_call_none(tmp_path: Path) -> None:
    study = opened(tmp_path / "close", replace(CLEAR, until_clear=replace(DESIGN, futility=0)))
    whole = {"spec_ppo-tuned": 9, "spec_ppo-default": 9}
    assert judged(study, resources(study, gap(0.1)), tuned()) == whole
    before = (study.folder / "judge" / LOOKS).read_bytes()
    again = resources(study, gap(50.0))
    assert judged(study, again, tuned()) == whole
    assert again.executor.begun == []
    assert (study.folder / "judge" / LOOKS).read_bytes() == before


def test_another_machine_comes_to_the_same_looks_without_a_run_of_its_own(tmp_path: Path) -> None:
    study = opened(tmp_path / "one", CLEAR)
    made = judged(study, resources(study, gap(1.5)), tuned())
    elsewhere = replace(study, folder=tmp_path / "elsewhere")
    other = resources(study, gap(50.0))
    assert judged(elsewhere, other, tuned()) == made
    assert other.executor.begun == []
    first, second = (read_looks(s.folder / "judge" / LOOKS) for s in (study, elsewhere))
    assert first == second


def test_a_default_that_is_kept_alone_is_judged_on_the_first_seeds(tmp_path: Path) -> None:
    study = opened(tmp_path / "alone", CLEAR)
    kept = tuned(0, keeps_default=True)
    assert judged(study, resources(study, gap(0.0)), kept) == {"spec_ppo-default": 3}


def test_another_winner_is_judged_anew_and_what_was_decided_of_the_former_is_kept(
    tmp_path: Path,
) -> None:
    study = opened(tmp_path / "anew", CLEAR)
    judged(study, resources(study, gap(50.0)), tuned(2))
    judged(study, resources(study, gap(-50.0)), tuned(3))
    assert read_looks(study.folder / "judge" / LOOKS).decided[0].verdict == "lower"
    former = read_looks(study.folder / "former" / "looks-1.json")
    assert former.decided[0].verdict == "higher"


def test_the_plan_is_part_of_what_must_not_change_and_older_studies_have_none() -> None:
    with_plan, without = (study_settings("ppo", p, SPACE) for p in (CLEAR, PROTOCOL))
    assert with_plan["until_clear"] == {
        "max_seeds": 9,
        "first": 3,
        "step": 3,
        "error": 0.05,
        "futility": 0.1,
    }
    assert "until_clear" not in without
    with pytest.raises(ArgumentError, match="seeds=10 with until_clear: expected its max_seeds, 9"):
        TuningProtocol("E", "MlpPolicy", until_clear=DESIGN)
