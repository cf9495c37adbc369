"""A population: its parts, its seeds, how it goes on, and the schedule along a line of weights."""

import json
import shutil
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO

from ppo_lab.errors import ArgumentError
from ppo_lab.runs.execution import RunResult
from ppo_lab.runs.executor import Executor
from ppo_lab.runs.scheduled_settings import NAME
from ppo_lab.runs.workers import local_executor
from tests.ppo_lab.runs.executors import AtOnce
from tuning.base import Base
from tuning.exploration import exploited
from tuning.parameters import Fixed, Real
from tuning.population import (
    Generation,
    Member,
    Population,
    best_schedules,
    train_population,
)
from tuning.protocol import TuningProtocol
from tuning.search import Search
from tuning.spaces import SPACES

GRID = "ppo_lab/GridWorld-v0"
PROTOCOL = TuningProtocol(
    GRID,
    "MlpPolicy",
    timesteps=96,
    trials=3,
    seeds=2,
    finalists=2,
    replicas=2,
    episodes=2,
    n_envs=2,
)
SPACE = (
    *SPACES["core"]["ppo"],
    Fixed("n_steps", 16),
    Fixed("batch_size", 16),
    Fixed("n_epochs", 1),
)


def population(folder: Path, **changes: Any) -> Population:
    search = Search("ppo", replace(PROTOCOL, **changes), SPACE)
    return Population(search, folder, size=3, generations=3)


def trained(plan: Population, executor: Executor[RunResult] | None = None) -> list[Generation]:
    return train_population(plan, executor or AtOnce(), lambda _: None, lambda *_: None)


def facts(generations: list[Generation]) -> list[Any]:
    return [
        (member, result.score, result.steps)
        for generation in generations
        for member, result in zip(generation.members, generation.results, strict=True)
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Population:
    plan = population(tmp_path_factory.mktemp("study"))
    trained(plan)
    return plan


def records(plan: Population) -> list[dict[str, Any]]:
    files = plan.folder.glob("population/**/run.json")
    return [json.loads(file.read_text()) for file in files]


def test_every_member_is_trained_in_every_generation_to_where_that_ends(
    finished: Population,
) -> None:
    assert finished.ends == [32, 64, 96]
    steps = [(record["timesteps"], record["steps"]) for record in records(finished)]
    assert sorted(steps) == [(32, 32)] * 3 + [(64, 64)] * 3 + [(96, 96)] * 3
    assert {record["stage"] for record in records(finished)} == {"population"}


def test_rollouts_that_do_not_divide_are_shared_out_whole(tmp_path: Path) -> None:
    plan = population(tmp_path, timesteps=250)  # eight rollouts of 32, the last of which overruns
    assert plan.ends == [64, 160, 250]


def test_no_part_has_a_seed_that_another_part_or_stage_has(finished: Population) -> None:
    protocol = finished.search.protocol
    seeds = [record["seed"] for record in records(finished)]
    # A run's environments take the seeds that follow: two are 100 apart at least.
    others = [*protocol.screening_seeds, *protocol.replica_seeds, *protocol.judge_seeds]
    assert np.diff(sorted(seeds + others)).min() == 100
    evaluated = {record["timesteps"]: set() for record in records(finished)}  # type: ignore[var-annotated]
    for record in records(finished):
        evaluated[record["timesteps"]].add(record["evaluation"]["seed"])
    # The same for all members, who are compared, and another one for every generation.
    assert [len(each) for each in evaluated.values()] == [1, 1, 1]
    judged = {protocol.evaluation(True, i).seed for i in range(protocol.seeds)}
    replicated = {protocol.evaluation(False, 1 + i).seed for i in range(protocol.replicas)}
    everyones = set(chain(*evaluated.values()))
    assert len(everyones) == 3
    assert not everyones & (judged | replicated)


def test_who_copied_begins_with_the_others_weights_and_its_own_settings(
    finished: Population,
) -> None:
    generations = trained(finished)
    number = 1
    members = generations[number].members
    [copied] = [index for index, member in enumerate(members) if member.copied]
    # One of the worst fifth, by the first generation's scores, and one of the best.
    [copy] = exploited(generations[0].scores, np.random.default_rng((0, 0)))
    assert (copied, members[copied].parent) == (copy.member, copy.donor)
    donor = generations[0].members[copy.donor]
    for name in finished.searched:
        ratio = members[copied].hyperparameters[name] / donor.hyperparameters[name]
        at_bound = members[copied].hyperparameters[name] in (0.5, 0.05, 0.8, 0.99, 1e-2, 1e-5)
        assert at_bound or ratio == pytest.approx(0.8) or ratio == pytest.approx(1.2)
    model = PPO.load(finished.place(number, copied) / "ppo_lab-GridWorld-v0.zip", device="cpu")
    own = members[copied].hyperparameters
    assert model.learning_rate == own["learning_rate"]
    assert model.clip_range(1.0) == own["clip_range"]
    assert model.gae_lambda == model.rollout_buffer.gae_lambda == own["gae_lambda"]
    # Two updates of the donor's two rollouts, and two of its own: Adam goes on counting.
    assert model._n_updates == 2
    record = json.loads((finished.place(number, copied) / "run.json").read_text())
    assert record["origin"].endswith(f"from member {copy.donor + 1} of the part before")


def test_schedules_refer_to_the_whole_training(tmp_path: Path) -> None:
    """A learning rate that falls linearly to 0 is at a third, not at 0, after two thirds."""
    settings = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "learning_rate": "lin_0.003"}
    base = Base("given", "own.yml", "not known", settings)
    space = (Real("clip_range", 0.05, 0.5),)
    plan = Population(Search("ppo", replace(PROTOCOL, base=base), space), tmp_path, 2, 3)
    trained(plan)
    model = PPO.load(plan.place(1, 0) / "ppo_lab-GridWorld-v0.zip", device="cpu")
    assert model._current_progress_remaining == pytest.approx(1 - 64 / 96)
    rate = model.policy.optimizer.param_groups[0]["lr"]
    assert rate == pytest.approx(0.003 * (1 - 64 / 96))


@pytest.mark.slow  # two worker processes start
def test_it_repeats_whatever_the_number_of_processes(finished: Population, tmp_path: Path) -> None:
    again = trained(population(tmp_path), local_executor(2))
    assert facts(again) == facts(trained(finished))


def test_another_study_seed_is_another_population(tmp_path: Path) -> None:
    one, other = (population(tmp_path, seed=seed) for seed in (0, 1))
    assert one.first()[0] == other.first()[0]  # the default settings
    assert one.first()[1] != other.first()[1]
    assert one.part(0, 0, one.first()[0])[0].seed != other.part(0, 0, one.first()[0])[0].seed


def test_one_that_was_stopped_in_mid_generation_goes_on_to_the_same(
    finished: Population, tmp_path: Path
) -> None:
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
    plan = population(tmp_path)
    shutil.rmtree(plan.place(2, 0).parent)
    shutil.rmtree(plan.place(1, 1))
    made: list[RunResult] = []
    again = train_population(plan, AtOnce(), made.append, lambda *_: None)
    assert facts(again) == facts(trained(finished))
    assert [result.reused for result in made].count(False) == 4


def test_another_population_in_the_folder_is_refused(finished: Population) -> None:
    plan = replace(finished, generations=2)
    with pytest.raises(ArgumentError, match=r"holds another run \(it differs in .*origin"):
        trained(plan)


def test_the_schedule_is_along_the_line_of_the_weights(tmp_path: Path) -> None:
    def member(rate: float, parent: int | None, copied: bool = False) -> Member:
        settings = {"clip_range": 0.2, "gae_lambda": 0.9, "learning_rate": rate}
        return Member({}, settings, parent, copied)

    def generation(*members: Member, scores: tuple[float | None, ...]) -> Generation:
        return Generation(members, tuple(RunResult(score, None, 0.0) for score in scores))

    plan = population(tmp_path)
    history = [
        generation(member(1e-3, None), member(2e-3, None), member(3e-3, None), scores=(1, 2, 0)),
        generation(member(1e-3, 0), member(2e-3, 1), member(4e-3, 1, True), scores=(0, 2, 3)),
        # Member 1 copies member 3, which came from member 2: 2e-3, 4e-3, 5e-3.
        generation(member(5e-3, 2, True), member(2e-3, 1), member(4e-3, 2), scores=(9, 4, None)),
    ]
    best, second = best_schedules(plan, history, count=5)
    assert (best.member, best.score, best.steps) == (0, 9, (0, 32, 64))
    assert [piece["learning_rate"] for piece in best.settings] == [2e-3, 4e-3, 5e-3]
    assert best.hyperparameters["learning_rate"] == 2e-3
    assert best.callback == [{NAME: {"steps": [0, 32, 64], "settings": list(best.settings)}}]
    # Settings that stayed are one piece, and need no callback.
    assert (second.member, second.steps, second.callback) == (1, (0,), [])
    assert [each.member for each in best_schedules(plan, history, count=1)] == [0]


@pytest.mark.parametrize(
    ("size", "generations", "changes", "space", "message"),
    [
        (1, 3, {}, SPACE, r"--population 1: expected at least 2"),
        (3, 1, {}, SPACE, r"--generations 1: expected at least 2"),
        (40, 30, {}, SPACE, r"--population 40 × --generations 30: .*1203 are more than the 1000"),
        (3, 6, {}, SPACE, r"--generations 6: 96 steps are 3 rollouts of 32, and each"),
        (3, 3, {}, SPACE[3:], r"and nothing of it is searched"),
        (
            3,
            3,
            {"timesteps": 30_000},
            SPACES["wide"]["ppo"],
            r"n_steps, net_arch cannot: --set n_steps=default net_arch=default",
        ),
    ],
)
def test_what_cannot_be_a_population_is_refused(
    tmp_path: Path, size: int, generations: int, changes: Any, space: Any, message: str
) -> None:
    search = Search("ppo", replace(PROTOCOL, **changes), space)
    with pytest.raises(ArgumentError, match=message):
        Population(search, tmp_path, size, generations)
