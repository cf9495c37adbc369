"""A comparison's runs: algorithms × environments × seeds, all under one protocol (design)."""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from ppo_lab.commands.options import CompareOptions
from ppo_lab.commands.progress import StageProgress
from ppo_lab.commands.settings_source import SettingsSource, settings_source
from ppo_lab.commands.shared import writable_folder
from ppo_lab.environment_classes import file_digest, plain_id
from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.environment_words import is_atari, is_minigrid
from ppo_lab.registry import ALGORITHMS, asks_for_masks, known_algorithm
from ppo_lab.runs.config import Evaluation, RunConfig, environment_folder_name
from ppo_lab.runs.device import check_device
from ppo_lab.runs.execution import RunResult, check_run, finished_run
from ppo_lab.runs.executor import Executor
from ppo_lab.runs.folder import to_json
from ppo_lab.runs.made_by import note_command, noted_commands
from ppo_lab.runs.named_code import import_packages
from ppo_lab.runs.recipe import EnvironmentRecipe
from ppo_lab.runs.references import ReferenceScores, as_record, reference_scores, stored_reference
from ppo_lab.runs.sb3_training import evaluation_recipe
from ppo_lab.runs.workers import check_survives, execute_runs
from reports.logs.reading import read_json
from reports.logs.records import Command, UnusableError
from reports.whole_files import write_whole

__all__ = [
    "ComparisonPlan",
    "RunGroup",
    "checked_names",
    "execute",
    "note_maker",
    "plan_comparison",
    "run_groups",
    "with_references",
]

MEASURED = "measured-references.json"
"""In a comparison's folder: what the random policy came to, by a digest of the environment."""


@dataclass(frozen=True)
class RunGroup:
    """The runs of one algorithm on one environment.

    Attributes:
        run: each of them, but for the seed.
        tuning: what tuning its settings had, in words.
        warnings: what building it warned of.
    """

    run: RunConfig
    tuning: str
    warnings: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The row of the report."""
        return f"{self.run.algo} ({self.run.settings})"


@dataclass(frozen=True)
class ComparisonPlan:
    """What a comparison runs.

    Attributes:
        groups: algorithms × environments.
        seeds: of each group's runs.
        evaluation_seeds: of each seed's runs, the same in every group.
        folder: where the run folders go: ``<algorithm>-<settings>/<environment>_<number>``.
        first_number: the number of the first seed's runs.
    """

    groups: tuple[RunGroup, ...]
    seeds: tuple[int, ...]
    evaluation_seeds: tuple[int, ...]
    folder: Path
    first_number: int = 1

    @property
    def runs(self) -> dict[Path, RunConfig]:
        """Run folder → run, a seed of every group before the next seed."""
        return {
            self._place(group.run, number): replace(
                group.run, seed=seed, evaluation=replace(group.run.evaluation, seed=evaluation_seed)
            )
            for number, (seed, evaluation_seed) in enumerate(
                zip(self.seeds, self.evaluation_seeds, strict=True), self.first_number
            )
            for group in self.groups
        }

    @property
    def labels(self) -> list[str]:
        """The rows of the report, each once."""
        return list(dict.fromkeys(group.label for group in self.groups))

    @property
    def envs(self) -> list[str]:
        """The environments, each once."""
        return list(dict.fromkeys(group.run.env for group in self.groups))

    def baseline(self, algo: str | None) -> str:
        """The label of the algorithm that the others meet: as named, else ppo, else the first."""
        labels = {group.run.algo: group.label for group in self.groups}
        return labels.get(algo or "ppo", self.groups[0].label)

    def _place(self, run: RunConfig, number: int) -> Path:
        name = f"{environment_folder_name(run.env)}_{number}"
        return self.folder / f"{run.algo}-{run.settings}" / name


def plan_comparison(
    options: CompareOptions, seeds: Sequence[int], evaluation_seeds: Sequence[int]
) -> ComparisonPlan:
    """What the command is to run; nothing is trained.

    Args:
        options: the command's.
        seeds: of the runs.
        evaluation_seeds: one for each of them.

    Raises:
        ArgumentError: the options cannot work, alone or together, or the folder is another
            comparison's.
    """
    algos, envs = checked_names(options)
    check_device(options.device)
    import_packages(options.env_packages, *envs)
    for env in envs:
        check_survives(env, {}, options.run_timeout)
    source = settings_source(options, algos)
    evaluation = Evaluation(options.episodes, evaluation_seeds[0], options.points)
    groups = run_groups(algos, envs, source, options.timesteps, evaluation)
    one = f"-{environment_folder_name(envs[0])}" if len(envs) == 1 else ""
    folder = writable_folder(options.log_folder, options.name or f"compare{one}", "--name")
    plan = ComparisonPlan(groups, tuple(seeds), tuple(evaluation_seeds), folder / "runs")
    _check_folders(plan)
    return plan


def checked_names(options: CompareOptions) -> tuple[list[str], list[str]]:
    """The algorithms and environments, each once.

    Raises:
        ArgumentError: an algorithm is unknown, or the baseline none of them.
    """
    algos = [known_algorithm(name) for name in dict.fromkeys(options.algos)]
    if options.baseline is not None and known_algorithm(options.baseline) not in algos:
        raise ArgumentError(f"--baseline {options.baseline}: it is none of the --algos")
    return algos, list(dict.fromkeys(map(plain_id, options.envs)))


def run_groups(
    algos: Sequence[str],
    envs: Sequence[str],
    source: SettingsSource,
    timesteps: int,
    evaluation: Evaluation,
) -> tuple[RunGroup, ...]:
    """Check every algorithm against every environment and settle what each is trained with.

    Args:
        algos: names, known.
        envs: Gymnasium's ids.
        source: of the hyperparameters.
        timesteps: of every run.
        evaluation: of every run, but for its seed.

    Raises:
        ArgumentError: an algorithm does not fit an environment, or cannot be built with its
            settings; says why.
    """
    _check_names(envs)
    groups = []
    for algo, env in product(algos, envs):
        settings = source.settings(algo, env)
        algorithm = ALGORITHMS[algo]
        recipe = EnvironmentRecipe.of_settings(env, settings, source.packages)
        run = RunConfig(
            algo=algo,
            env=env,
            seed=0,
            timesteps=timesteps,
            n_envs=1 if algorithm.one_environment else settings.n_envs,
            policy=recipe.fitting_policy(
                algo, settings.policy, asks_for_masks(algo, settings.hyperparameters)
            ),
            hyperparameters=settings.hyperparameters,
            evaluation=replace(evaluation, deterministic=not (is_atari(env) or is_minigrid(env))),
            settings=settings.word,
            stage="judge",
            normalize=settings.normalize,
            origin=settings.origin,
            env_packages=source.packages,
            env_sha256=file_digest(env),
            asked_device="auto" if algorithm.tabular else source.device,
            **settings.environment,
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check_run(run)
        said = dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught)
        groups.append(RunGroup(run, settings.tuning, tuple(said)))
    return tuple(groups)


def _check_names(envs: Sequence[str]) -> None:
    """Every environment must have a folder name of its own, on any file system."""
    owners: dict[str, str] = {}
    for env in envs:
        name = environment_folder_name(env)
        other = owners.setdefault(name.casefold(), env)
        if other != env:
            raise ArgumentError(
                f"environments {other!r} and {env!r} would both have run folders {name}_1, …: "
                "compare them in two comparisons, with another --name"
            )


def _check_folders(plan: ComparisonPlan) -> None:
    """Refuse a folder that holds a run, failed ones included, of an environment of a like name."""
    wanted = {environment_folder_name(group.run.env).casefold(): group.run.env
              for group in plan.groups}  # fmt: skip
    for file in sorted(plan.folder.glob("*/*/run.json")):
        env = wanted.get(file.parent.name.rpartition("_")[0].casefold())
        try:
            there = read_json(file)["env"]
        except (UnusableError, KeyError):
            continue
        if env is not None and there != env:
            raise ArgumentError(
                f"{file.parent} holds a run of {there!r}, whose folders have the names of those "
                f"of {env!r}: choose another --name"
            )


def with_references(plan: ComparisonPlan, say: Callable[[str], None]) -> ComparisonPlan:
    """The same runs with what the report normalises their scores by.

    Runs that an earlier call finished keep theirs, and the others take it over. What is neither
    there nor stated is measured, once for each environment, if runs are left to be made.

    Args:
        plan: what to run.
        say: told of what is measured.

    Raises:
        ArgumentError: a folder holds a finished run of another configuration.
    """
    finished: dict[str, list[Path]] = {}
    left: set[str] = set()
    for folder, run in plan.runs.items():
        if finished_run(run, folder) is None:
            left.add(run.env)
        else:
            finished.setdefault(run.env, []).append(folder)
    evaluated = {group.run.env: group.run for group in reversed(plan.groups)}
    references: dict[str, ReferenceScores | None] = {}
    for env in plan.envs:
        stored = (stored_reference(run / "run.json") for run in finished.get(env, ()))
        references[env] = next(filter(None, stored), None)
        if references[env] is None and env in left:
            references[env] = _measured_once(plan.folder.parent, evaluated[env], say)
    groups = tuple(
        replace(group, run=replace(group.run, reference=as_record(references[group.run.env])))
        for group in plan.groups
    )
    return replace(plan, groups=groups)


def _measured_once(
    folder: Path, run: RunConfig, say: Callable[[str], None]
) -> ReferenceScores | None:
    """Stated, or measured and kept in the comparison's folder, should it be stopped meanwhile."""
    words = (run.env, run.env_sha256, run.evaluation_kwargs, run.env_wrapper)
    key = hashlib.sha256(to_json({"words": words}).encode()).hexdigest()[:16]
    file = folder / MEASURED
    if (stored := stored_reference(file, key)) is not None:
        return stored
    wrapper = evaluation_recipe(run).wrapper()
    found = reference_scores(run.env, run.evaluation_kwargs, say, wrapper)
    if found is not None and "random policy over" in found.source:
        write_whole(file, to_json({**_entries(file), key: as_record(found)}) + "\n")
    return found


def _entries(file: Path) -> Mapping[str, object]:
    try:
        return read_json(file)
    except UnusableError:
        return {}


def note_maker(plan: ComparisonPlan, command: Command) -> None:
    """Note the command that is about to make runs, beside them, for the report.

    Args:
        plan: the runs; none of another configuration is in their place.
        command: as given.
    """
    begun = next(plan.folder.glob("*/*/run.json"), None) is not None
    note_command(plan.folder, command, noted_commands(plan.folder) if begun else ())


def execute(
    plan: ComparisonPlan,
    jobs: int,
    run_timeout: float | None,
    progress: StageProgress,
    executor: Executor[RunResult] | None = None,
) -> list[tuple[RunConfig, RunResult]]:
    """Make the runs that are not made yet, and give each run with its result.

    Args:
        plan: the runs.
        jobs: worker processes.
        run_timeout: seconds of one run; None: no limit.
        progress: told of every result.
        executor: see :func:`~ppo_lab.runs.workers.execute_runs`.

    Raises:
        ArgumentError: a folder holds a finished run of another configuration.
        OSError: a folder cannot be written, or is gone.
    """
    runs, results = plan.runs, []
    with progress.stage("train", len(runs)):
        progress.watch(executor)
        made = execute_runs(runs, jobs, run_timeout, progress.waiting, executor)
        for folder, result in made:
            progress.advance(result, elsewhere=result.elsewhere)
            results.append((runs[folder], result))
    return results
