"""Population-based training of one algorithm (Spec 15.3): members, generation by generation.

Every part of a member's training is a run folder of its own, and which parts there are follows from
the study's seed and from what the parts before came to. So a population that was stopped goes on
from its folders, and neither the number of processes nor who is quicker changes anything.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ppo_lab.errors import ArgumentError
from ppo_lab.runs.config import RunConfig, environment_folder_name
from ppo_lab.runs.execution import RunResult, finished_run
from ppo_lab.runs.executor import Death, Executor, as_completed
from ppo_lab.runs.generation import Part, execute_part
from ppo_lab.runs.scheduled_settings import CHANGEABLE, NAME
from ppo_lab.runs.seeds import BLOCK_SIZE, Block
from ppo_lab.runs.workers import record_death
from tuning.exploration import exploited, perturbed, random_suggestions
from tuning.parameters import Fixed
from tuning.search import Search
from tuning.spaces import known_names
from tuning.stages import StudyError

__all__ = [
    "Generation",
    "Member",
    "Population",
    "Schedule",
    "best_schedules",
    "rollouts",
    "train_population",
]


@dataclass(frozen=True)
class Member:
    """What one member trains with in one generation.

    Attributes:
        suggested: Optuna's name → value, which are perturbed.
        hyperparameters: the algorithm's arguments.
        parent: the member of the generation before whose weights it begins with; None: the first.
        copied: whether it has taken over another's.
    """

    suggested: Mapping[str, Any]
    hyperparameters: Mapping[str, Any]
    parent: int | None = None
    copied: bool = False


@dataclass(frozen=True)
class Generation:
    """One generation, trained.

    Attributes:
        members: in their order.
        results: theirs, ``score`` None where it failed.
    """

    members: tuple[Member, ...]
    results: tuple[RunResult, ...]

    @property
    def scores(self) -> list[float | None]:
        """Of the members, None where one failed."""
        return [result.score for result in self.results]


@dataclass(frozen=True)
class Population:
    """A population that is to be trained.

    Attributes:
        search: the algorithm, the budget of each member, and what is searched.
        folder: the study's.
        size: members, ≥ 2.
        generations: parts of nearly equal length, ≥ 2; between them the worst copy the best.

    Raises:
        ArgumentError: a count is too small or leaves too few seeds, a part holds no rollout, or
            something is searched that cannot change in the middle of a training.
    """

    search: Search
    folder: Path
    size: int
    generations: int

    def __post_init__(self) -> None:
        for name, count in (("population", self.size), ("generations", self.generations)):
            if count < 2:
                raise ArgumentError(f"--{name} {count}: expected at least 2")
        runs = self._first_seed + self.size * self.generations
        if runs > BLOCK_SIZE:
            raise ArgumentError(
                f"--population {self.size} × --generations {self.generations}: every part has a "
                f"seed of its own, and {runs} are more than the {BLOCK_SIZE} there are"
            )
        fixed = [name for name in self.searched if name not in CHANGEABLE]
        if fixed or not self.searched:
            leave = " ".join(f"{name}=default" for name in fixed)
            raise ArgumentError(
                f"--strategy pbt searches what can change while {self.search.algo} trains, and "
                f"{', '.join(fixed) or 'nothing of it is searched'}"
                + (f" cannot: --set {leave}" if fixed else "")
            )
        if self.generations > rollouts(self.search):
            raise ArgumentError(
                f"--generations {self.generations}: {self.search.protocol.timesteps} steps are "
                f"{rollouts(self.search)} rollouts of {rollout_size(self.search)}, and each "
                "generation takes one at least; raise --timesteps, or lower --generations or "
                "n_steps (--set n_steps=…)"
            )

    @property
    def searched(self) -> list[str]:
        """The settings that are searched, by the algorithm's names."""
        return [p.name for p in self.search.space if not isinstance(p, Fixed)]

    @property
    def ends(self) -> list[int]:
        """The steps at which the generations end: whole rollouts, as evenly as they go."""
        all_of_them, size = rollouts(self.search), rollout_size(self.search)
        between = range(1, self.generations)
        whole = [size * (all_of_them * number // self.generations) for number in between]
        return [*whole, self.search.protocol.timesteps]

    @property
    def _first_seed(self) -> int:
        """The first index of the tuning seeds that neither screening nor replication has."""
        return self.search.protocol.screen_seeds + self.search.protocol.replicas

    def first(self) -> tuple[Member, ...]:
        """The members that begin: the default settings, and others drawn from the space."""
        search = self.search
        default = Member(search.nearest_suggestion, search.default_hyperparameters)
        seed = search.protocol.run_seed(Block.TUNING, self._first_seed)
        drawn = random_suggestions(search.space, self.size - 1, seed)
        return (default, *(Member(each, search.hyperparameters(each)) for each in drawn))

    def following(self, generation: Generation, number: int) -> tuple[Member, ...]:
        """The members of the generation after the number-th, counted from 0 (Spec 15.3)."""
        rng = np.random.default_rng((self.search.protocol.seed, number))
        copies = {each.member: each.donor for each in exploited(generation.scores, rng)}
        members = []
        for index, member in enumerate(generation.members):
            if index in copies:
                donor = generation.members[copies[index]]
                moved = perturbed(self.search.space, donor.suggested, rng)
                settings = self.search.hyperparameters(moved)
                members.append(Member(moved, settings, copies[index], copied=True))
            else:
                members.append(replace(member, parent=index, copied=False))
        return tuple(members)

    def place(self, number: int, member: int) -> Path:
        """The run folder of a member's part."""
        name = environment_folder_name(self.search.protocol.env)
        generation = f"generation_{number + 1}"
        return self.folder / "population" / self.search.algo / generation / f"{name}_{member + 1}"

    def part(self, number: int, index: int, member: Member) -> tuple[RunConfig, Part]:
        """A member's part of the number-th generation as a run, and where it goes on from."""
        protocol = self.search.protocol
        seed = self._first_seed + number * self.size
        where = f"part {number + 1} of {self.generations} of {protocol.timesteps} steps"
        start, changes = None, {}
        if member.parent is not None:
            where += f", from member {member.parent + 1} of the part before"
            name = environment_folder_name(protocol.env)
            start = self.place(number - 1, member.parent) / f"{name}.zip"
            if member.copied:
                changes = {name: member.hyperparameters[name] for name in self.searched}
        config = replace(
            self.search.run("screen", 0, member.hyperparameters),
            seed=protocol.run_seed(Block.TUNING, seed + index),
            timesteps=self.ends[number],
            # The same for all members, who are compared; another one for every generation.
            evaluation=replace(protocol.evaluation(judging=False, index=seed), points=1),
            stage="population",
            origin=where,
        )
        return config, Part(protocol.timesteps, start, changes)


def rollout_size(search: Search) -> int:
    """The steps of one rollout of the default settings, which no member's differs from."""
    settings = {**known_names(search.algo), **search.default_hyperparameters}
    return int(settings.get("n_steps", 1)) * search.protocol.n_envs


def rollouts(search: Search) -> int:
    """How many of them a run takes."""
    return math.ceil(search.protocol.timesteps / rollout_size(search))


def train_population(
    population: Population,
    executor: Executor[RunResult],
    told: Callable[[RunResult], None],
    waiting: Callable[[str, float], None],
) -> list[Generation]:
    """Train every generation; parts that an earlier call finished are taken as they are.

    Args:
        population: the plan.
        executor: carries the parts out; it is closed.
        told: of every part's result.
        waiting: told which part has been at work for longest, and for how many seconds.

    Raises:
        StudyError: every member of a generation failed; gives the first one's reason.
        ArgumentError: a folder holds a finished run of another population.
        OSError: a folder cannot be written.
    """
    trained: list[Generation] = []
    members = population.first()
    with closing(executor):
        for number in range(population.generations):
            results: dict[int, RunResult] = {}
            for index, result in _parts(population, number, members, executor, waiting):
                results[index] = result
                told(result)
            in_order = tuple(results[index] for index in range(population.size))
            generation = Generation(members, in_order)
            if all(score is None for score in generation.scores):
                raise StudyError(
                    f"every member of {population.search.algo} failed, the first with "
                    f"{in_order[0].reason}"
                )
            trained.append(generation)
            members = population.following(generation, number)
    return trained


def _parts(
    population: Population,
    number: int,
    members: Sequence[Member],
    executor: Executor[RunResult],
    waiting: Callable[[str, float], None],
) -> Iterator[tuple[int, RunResult]]:
    """The members of one generation as they come back."""
    begun: dict[object, tuple[int, Path, RunConfig]] = {}
    for index, member in enumerate(members):
        folder = population.place(number, index)
        config, part = population.part(number, index, member)
        result = finished_run(config, folder)
        if result is not None:
            yield index, result
            continue
        begun[folder] = index, folder, config
        executor.submit(folder, execute_part, executor.run_timeout, config, folder, part)
    for key, outcome in as_completed(executor, waiting):
        index, folder, config = begun[key]
        if isinstance(outcome, Death):
            outcome = record_death([(folder, config)], outcome, executor.run_timeout)
        yield index, outcome


@dataclass(frozen=True)
class Schedule:
    """The settings along the line of weights that a member ended with.

    Attributes:
        member: whose, counted from 0.
        score: of that member's last policy, which chose it and is too high for that reason.
        hyperparameters: the algorithm's arguments at step 0.
        steps: where its pieces begin.
        settings: of each piece.
    """

    member: int
    score: float
    hyperparameters: Mapping[str, Any]
    steps: tuple[int, ...]
    settings: tuple[Mapping[str, Any], ...]

    @property
    def callback(self) -> list[Any]:
        """What makes a run follow it, in the zoo's words; nothing where it is constant."""
        pieces = {"steps": [*self.steps], "settings": [dict(piece) for piece in self.settings]}
        return [{NAME: pieces}] if len(self.steps) > 1 else []


def best_schedules(
    population: Population, trained: Sequence[Generation], count: int
) -> list[Schedule]:
    """The schedules of the best members of the last generation, no two the same; best first."""
    scores = trained[-1].scores
    finished = [(index, score) for index, score in enumerate(scores) if score is not None]
    found: list[Schedule] = []
    for index, score in sorted(finished, key=lambda each: (-each[1], each[0])):
        schedule = _schedule(population, trained, index, score)
        known = [(other.steps, other.settings) for other in found]
        if (schedule.steps, schedule.settings) not in known and len(found) < count:
            found.append(schedule)
    return found


def _schedule(
    population: Population, trained: Sequence[Generation], index: int, score: float
) -> Schedule:
    line: list[Member] = []
    place: int | None = index
    for generation in reversed(trained):
        assert place is not None
        line.insert(0, generation.members[place])
        place = line[0].parent
    steps: list[int] = []
    settings: list[dict[str, Any]] = []
    own = known_names(population.search.algo)
    for begin, member in zip([0, *population.ends], line, strict=False):
        piece = {name: member.hyperparameters.get(name, own[name]) for name in population.searched}
        if not settings or piece != settings[-1]:
            steps.append(begin)
            settings.append(piece)
    return Schedule(index, score, line[0].hyperparameters, tuple(steps), tuple(settings))
