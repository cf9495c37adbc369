"""Several environments: one setting for all, what tuning each buys, what matters."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy import stats

from ppo_lab.errors import ArgumentError
from ppo_lab.runs.config import RunConfig
from ppo_lab.runs.execution import RunResult
from tests.tuning.test_stages import Silent
from tests.tuning.test_study import PROTOCOL, SPACE, opened, proposals, screened
from tuning.across import Bought, Scale, bought, importances, ranked_across, scale_of
from tuning.one_setting import ONE, choose_one, judge_one, judged_scores
from tuning.run_across import run_across
from tuning.search import Search
from tuning.sensitivity import sentences, write_sensitivity
from tuning.stages import StudyError
from tuning.trial_runs import TrialResult, TrialRuns

ENVS = ("ppo_lab/GridWorld-v0", "ppo_lab/NoisyGridWorld-v0")


def trial(value: float | None, x: float, y: float = 0.5) -> FrozenTrial:
    searched = FloatDistribution(0, 1)
    return create_trial(
        state=TrialState.COMPLETE if value is not None else TrialState.FAIL,
        value=value,
        params={"x": x, "y": y},
        distributions={"x": searched, "y": searched},
        user_attrs={"hyperparameters": {"x": x, "y": y}},
    )


def test_a_score_is_measured_by_the_trials_5th_and_95th_percentile() -> None:
    scale = scale_of([trial(float(n), 0.1) for n in range(101)] + [trial(None, 0.1)])
    assert (scale.low, scale.span) == (5.0, 90.0)
    assert scale.normalised(np.array([5.0, 50.0, 95.0])) == pytest.approx([0, 0.5, 1])
    assert scale_of([trial(3.0, 0.1)] * 2).span == 1.0


def test_the_best_setting_across_is_that_of_the_best_mean_and_of_every_environment() -> None:
    settings = [0.1, 0.2, 0.3, 0.4]
    small = [trial(v, x) for v, x in zip([0.0, 1.0, 0.9, 0.2], settings, strict=True)]
    large = [trial(v, x) for v, x in zip([0.0, -500.0, 900.0, 1000.0], settings, strict=True)]
    ranked = ranked_across({"small": small, "large": large})
    # Each on its own scale, small 0.03 to 0.985, large -425 to 985, 0.3 is nearly the best on both:
    # means (0.911 + 0.940)/2, (0.178 + 1.011)/2, (1.016 - 0.053)/2 and (-0.031 + 0.301)/2.
    assert [number for number, _ in ranked] == [2, 3, 1, 0]
    lost = [*small[:2], trial(None, 0.3), small[3]]
    assert [number for number, _ in ranked_across({"small": lost, "large": large})] == [3, 1, 0]
    other = [*small[:2], trial(0.9, 0.35), small[3]]
    assert [number for number, _ in ranked_across({"small": other, "large": large})] == [3, 1, 0]


def test_what_tuning_buys_is_welchs_difference_stratified_by_environment() -> None:
    rng = np.random.default_rng(0)
    one, tuned = rng.normal(size=(2, 8)), 1 + rng.normal(size=(2, 8))
    scores = {
        env: {"default": one[n] - 1, "one": 10 * one[n] + 3, "tuned": 10 * tuned[n] + 3}
        for n, env in enumerate("ab")
    }
    rows = bought(scores, {"a": Scale(3, 10), "b": Scale(3, 10)})
    assert [row.env for row in rows] == ["a", "b", ""]
    known = stats.ttest_ind(tuned[0], one[0], equal_var=False)
    assert rows[0].difference == pytest.approx(tuned[0].mean() - one[0].mean())
    assert (rows[0].low, rows[0].high) == pytest.approx(tuple(known.confidence_interval(0.95)))
    assert rows[2].difference == pytest.approx(tuned.mean() - one.mean())
    assert rows[2].tuned == pytest.approx(tuned.mean())
    same = bought({"a": dict.fromkeys(("default", "one", "tuned"), one[0])}, {"a": Scale(0, 1)})
    assert (same[0].difference, same[0].low) == (0.0, None)
    alone = bought({"a": {"default": one[0], "one": one[1]}}, {"a": Scale(0, 1)})
    assert (alone[0].tuned, alone[0].difference) == (None, None)


def test_what_matters_is_what_makes_a_trial_one_of_the_better_ones() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.random((60, 2))
    by_x = [trial(float(-abs(x - 0.2)), float(x), float(y)) for x, y in drawn]
    found = importances({"by x": by_x, "few": by_x[:2]})
    assert list(found) == ["by x"]
    assert found["by x"]["x"] > 3 * found["by x"]["y"]
    assert sum(found["by x"].values()) == pytest.approx(1)


def searches() -> dict[str, Search]:
    protocol = replace(PROTOCOL, sampler="qmc", finalists=2, replicas=3, seeds=4)
    return {env: Search("spec_ppo", replace(protocol, env=env), SPACE) for env in ENVS}


class Made:
    """Makes runs at once, of scores by clip range, and remembers them."""

    def __init__(self, failing: float = -1.0) -> None:
        self.runs: list[tuple[str, Path, RunConfig]] = []
        self.failing = failing

    def __call__(
        self, stage: str, runs: Mapping[Path, RunConfig]
    ) -> Iterable[tuple[Path, RunResult]]:
        for place, run in reversed(runs.items()):
            self.runs.append((stage, place, run))
            clip = run.hyperparameters["clip_range"]
            if clip == self.failing:
                yield place, RunResult(None, "blew up", 1.0)
            else:
                yield place, RunResult(clip * (1 if run.env == ENVS[0] else 1000), None, 1.0)


def tried(clips: Iterable[float]) -> dict[str, list[FrozenTrial]]:
    return {
        env: [
            create_trial(value=clip, user_attrs={"hyperparameters": {"clip_range": clip}})
            for clip in clips
        ]
        for env in ENVS
    }


SCALES = {ENVS[0]: Scale(0.0, 1.0), ENVS[1]: Scale(0.0, 1000.0)}


def test_the_one_setting_is_chosen_on_fresh_seeds_of_all_and_judged_on_test_seeds(
    tmp_path: Path,
) -> None:
    made, by_env = Made(), searches()
    one = choose_one(by_env, tried([0.3, 0.25, 0.4, 0.1]), SCALES, tmp_path, made)
    assert (one.trial, one.hyperparameters) == (2, {"clip_range": 0.4})
    # The default, whose clip range is 0.2, and the best two: of each three seeds and two places.
    assert one.replicated == pytest.approx({"trial 3": 0.4, "trial 1": 0.3, "the default": 0.2})
    assert len(made.runs) == 3 * 3 * 2
    assert {run.stage for _, _, run in made.runs} == {"replicate"}
    replicated = {run.seed for _, _, run in made.runs}
    made.runs.clear()
    references = dict.fromkeys(ENVS)
    assert judge_one(by_env, one, references, tmp_path, made, with_default=True) == []
    assert {run.settings for _, _, run in made.runs} == {"default", ONE}
    assert len(made.runs) == 2 * 4 * 2
    judged = {run.seed for _, _, run in made.runs}
    assert judged == set(by_env[ENVS[0]].protocol.judge_seeds)
    assert not judged & replicated
    assert all(tmp_path / "judge" in place.parents for _, place, _ in made.runs)


def test_the_default_is_kept_where_nothing_beats_it_and_a_finalist_that_fails_is_none(
    tmp_path: Path,
) -> None:
    made, by_env = Made(failing=0.4), searches()
    one = choose_one(by_env, tried([0.4, 0.1]), SCALES, tmp_path, made)
    assert one.is_default
    assert one.failed == ("trial 1",)
    assert "trial 1 failed on a fresh seed" in one.words
    made.runs.clear()
    judge_one(by_env, one, dict.fromkeys(ENVS), tmp_path, made, with_default=False)
    assert made.runs == []
    with pytest.raises(StudyError, match="no setting of spec_ppo finished"):
        choose_one(by_env, tried([0.2]), SCALES, tmp_path, Made(failing=0.2))


def test_where_the_default_was_kept_its_runs_stand_for_the_others() -> None:
    label = "ppo ({})".format
    runs = {(label("default"), "a"): [1.0], (label("default"), "b"): [2.0]}
    runs[label("tuned"), "b"] = [3.0]
    runs[label(ONE), "a"] = runs[label(ONE), "b"] = [4.0]
    found = judged_scores(runs, "ppo", ["a", "b"], each=True)
    assert found == {
        "a": {"default": [1.0], "one": [4.0], "tuned": [1.0]},
        "b": {"default": [2.0], "one": [4.0], "tuned": [3.0]},
    }
    assert "tuned" not in judged_scores(runs, "ppo", ["a"], each=False)["a"]
    assert judged_scores({}, "ppo", ["a"], each=True) == {}


@pytest.mark.parametrize("sampler", ["qmc", "random"])
def test_proposals_are_the_same_whatever_the_trials_scored(tmp_path: Path, sampler: Any) -> None:
    protocol = replace(PROTOCOL, trials=7, sampler=sampler)

    def otherwise(task: TrialRuns) -> TrialResult:
        return TrialResult(scores=(float(task.runs[0][1].hyperparameters["learning_rate"]),))

    screened(first := opened(tmp_path / "a", protocol))
    screened(second := opened(tmp_path / "b", protocol), result=otherwise)
    assert proposals(first) == proposals(second)


def test_a_sampler_that_follows_scores_is_refused(tmp_path: Path) -> None:
    protocols = {env: {"spec_ppo": replace(PROTOCOL, env=env)} for env in ENVS}
    spaces = {env: {"spec_ppo": SPACE} for env in ENVS}
    with pytest.raises(ArgumentError, match="sampler='tpe' proposes for each environment what"):
        run_across(protocols, spaces, tmp_path, jobs=1, progress=Silent(), say=print, each=True)


ROWS = {
    "ppo": (
        Bought("a", 0.1, 0.5, 0.75, 0.25, 0.1, 0.4),
        Bought("", 0.1, 0.5, 0.75, 0.25, None, None),
    ),
    "a2c": (Bought("a", 0.1, 0.5, None), Bought("", 0.1, 0.5, None)),
}


def test_tables_plot_and_sentences_say_what_was_bought(tmp_path: Path) -> None:
    shares = {"ppo": {"a": {"x": 0.75, "y": 0.25}}}
    said = sentences(ROWS, shares)
    assert said[0] == (
        "ppo on a: default 0.100, one for all 0.500, tuned for each 0.750; tuning for each buys "
        "0.250 [0.100, 0.400]."
    )
    assert said[2] == "What matters to ppo, mean over environments: x 75%, y 25%."
    assert said[3] == "a2c on a: default 0.100, one for all 0.500."
    files = write_sensitivity(ROWS, shares, tmp_path)
    first = {file.name: file.read_bytes() for file in files}
    assert list(first) == [
        *("sensitivity.csv", "importances.csv", "sensitivity.png", "sensitivity.svg")
    ]
    with (tmp_path / "sensitivity.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert rows[0]["difference_high"] == "0.4"
    assert [row["environment"] for row in rows] == ["a", "all environments"] * 2
    assert rows[2]["tuned_for_each"] == ""
    write_sensitivity(ROWS, shares, tmp_path)
    assert {file.name: file.read_bytes() for file in files} == first


@pytest.fixture(autouse=True)
def _no_figures_left() -> Iterator[None]:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    yield
    assert plt.get_fignums() == before
