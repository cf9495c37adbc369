"""Normalisation where nobody states a good score."""

import math
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from reports.logs.loading import Run
from reports.logs.records import NoRunsError
from reports.logs.references import (
    FALLBACK,
    LOWEST,
    UNIT_SCALE,
    fill_references,
    known_references,
    load_references,
)


def run(label: str, score: float, high: float = math.nan, low: float = 0.0) -> Run:
    return Run(
        folder=f"{label}-{score}",
        algo=label,
        settings="tuned",
        task="Task-v0",
        seed=0,
        steps=10,
        score=score,
        low=low,
        high=high,
        source="low: random",
        evaluation_episodes=1,
        evaluation_steps=np.array([10]),
        evaluation_returns=np.array([score]),
        must_agree=(),
        hyperparameters="{}",
    )


def test_best_mean_score_of_a_label_becomes_one() -> None:
    runs = [run("a", 2.0), run("a", 4.0), run("b", 1.0)]
    filled = fill_references(runs)
    assert [r.high for r in filled] == [3.0, 3.0, 3.0]  # (2 + 4) / 2
    assert sum(r.normalised_score for r in filled[:2]) / 2 == pytest.approx(1.0)
    assert filled[2].normalised_score == pytest.approx(1 / 3)
    assert all(FALLBACK in r.source for r in filled)


def test_stated_high_scores_stay() -> None:
    stated = run("a", 2.0, high=10.0)
    assert fill_references([stated]) == (stated,)


def test_tasks_do_not_mix() -> None:
    other = replace(run("a", 8.0), task="Other-v0")
    assert [r.high for r in fill_references([run("a", 2.0), other])] == [2.0, 8.0]


def test_where_no_label_beats_the_random_policy_the_scale_stays_the_rewards() -> None:
    (filled,) = fill_references([run("a", -3.0)])
    assert filled.high == 1.0
    assert filled.normalised_score == -3.0
    assert UNIT_SCALE in filled.source


def unknown(label: str, score: float, task: str = "Task-v0", first: float = 0.0) -> Run:
    """A run whose logs state no reference."""
    return replace(
        run(label, score),
        task=task,
        low=math.nan,
        source="",
        evaluation_steps=np.array([5, 10]),
        evaluation_returns=np.array([first, score]),
        must_agree=(("step budget", "9"), ("reference scores", "unknown")),
    )


def test_one_run_that_states_both_scores_scales_the_whole_task() -> None:
    stated = run("a", 2.0, high=10.0, low=-10.0)
    _, filled = fill_references([stated, unknown("b", 5.0)])
    assert (filled.low, filled.high, filled.source) == (-10.0, 10.0, "low: random")
    assert filled.normalised_score == 0.75  # (5 + 10)/20
    assert filled.must_agree == (("step budget", "9"), ("reference scores", "-10.0 to 10.0"))


def test_a_known_environment_is_scaled_by_the_table() -> None:
    known = known_references()["CartPole-v1"]
    (filled,) = fill_references([unknown("a", 475.0, "CartPole-v1")])
    assert (filled.low, filled.high) == (known.low, 475.0)
    assert filled.normalised_score == 1.0
    assert "reward_threshold" in filled.source
    assert "random actions" in filled.source
    # With keyword arguments it is another environment.
    (other,) = fill_references([unknown("a", 475.0, 'CartPole-v1 {"x": 1}')])
    assert FALLBACK in other.source


def test_where_nothing_is_known_the_report_scales_itself_and_says_so() -> None:
    filled = fill_references([unknown("a", 4.0, first=-1.0), unknown("b", 2.0, first=-2.0)])
    assert [(r.low, r.high) for r in filled] == [(-2.0, 4.0), (-2.0, 4.0)]
    assert filled[0].source == f"{LOWEST}; {FALLBACK}"
    (alone,) = fill_references([unknown("a", 3.0, first=3.0)])
    assert (alone.normalised_score, alone.high) == (0.0, 4.0)


def test_the_users_file_overrules_everything(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("Task-v0: {low: 0, high: 8, source: a paper}\nOther-v0: {low: 0, high: 1}\n")
    given = load_references(path)
    filled = fill_references([run("a", 2.0, high=10.0), unknown("b", 4.0, "Other-v0")], given)
    assert [(r.low, r.high, r.source) for r in filled] == [
        (0.0, 8.0, "a paper"),
        (0.0, 1.0, "given in mine.yml"),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A: {low: 1}", "mine.yml: A: high is None, expected a number"),
        ("A: {low: true, high: 2}", "low is True"),
        ("A: {low: .nan, high: 2}", "low is nan"),
        ("A: {low: 2, high: 2}", "low must lie below"),
        ("A: 3", "low is None"),
        ("A: {", "not valid YAML"),
        ("A: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ],
)
def test_a_file_of_references_that_is_none_is_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(text)
    with pytest.raises(NoRunsError) as error:
        load_references(path)
    assert reason in str(error.value)


def test_the_table_is_whole_and_the_documentation_shows_it() -> None:
    known = known_references()
    assert {"CartPole-v1", "LunarLander-v3", "HalfCheetah-v5", "Walker2d-v2"} <= set(known)
    for env_id, reference in known.items():
        assert reference.low < reference.high, env_id
        assert "None" not in reference.source, env_id
    docs = Path(__file__).parents[3] / "docs" / "references.md"
    rows: dict[bool, list[str]] = {True: [], False: []}
    for env_id, of in known.items():
        if not env_id.endswith("NoFrameskip-v4"):
            rows[env_id.startswith("ALE/")].append(f"| `{env_id}` | {of.low:g} | {of.high:g} |\n")
    for listed in rows.values():
        table = "".join(["| environment | low | high |\n", "|:--|--:|--:|\n", *listed])
        assert table in docs.read_text(encoding="utf-8")


def test_ataris_games_have_a_random_agents_and_a_humans_score_under_both_names() -> None:
    known = known_references()
    games = [env_id for env_id in known if env_id.startswith("ALE/")]
    assert len(games) == 56  # the 57 of Mnih et al. 2015 without Video Pinball
    assert "ALE/VideoPinball-v5" not in known
    # DQN Zoo, dqn_zoo/atari_data.py.
    for game, low, high in (("Pong", -20.7, 14.6), ("Breakout", 1.7, 30.5)):
        for env_id in (f"ALE/{game}-v5", f"{game}NoFrameskip-v4"):
            assert (known[env_id].low, known[env_id].high) == (low, high)
    assert "human" in known["ALE/Pong-v5"].source


def test_high_scores_are_the_registrys_thresholds() -> None:
    for env_id, reference in known_references().items():
        spec = gymnasium.registry.get(env_id)
        if spec is not None and spec.reward_threshold is not None:
            assert reference.high == spec.reward_threshold, env_id
