"""What a run is told: everything that decides its result."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan
from typing import Any, Literal, get_args

from ppo_lab.errors import ArgumentError
from ppo_lab.registry import asks_for_masks

__all__ = [
    "NO_PART",
    "VEC_ENVS",
    "Evaluation",
    "RunConfig",
    "Trained",
    "VecEnvKind",
    "environment_folder_name",
]

VecEnvKind = Literal["dummy", "subproc", "pool", "auto", "vector", "envpool"]
VEC_ENVS = get_args(VecEnvKind)

NO_PART = ("reference",)
"""Entries that decide nothing of a run's result: what somebody measured to normalise it by."""
SETTINGS = (
    *("hyperparameters", "normalize", "env_kwargs", "eval_env_kwargs", "env_wrapper"),
    *("vec_env_wrapper", "monitor_kwargs", "callback"),
)
"""Entries that a user gives as text, and that hold numbers."""


@dataclass(frozen=True)
class Evaluation:
    """How a run's policy is scored.

    Attributes:
        episodes: episodes behind each mean return, ≥ 1.
        seed: of the evaluation environments, set anew before each evaluation: every policy of
            the run plays from the same random numbers. Other runs have seeds of their own, or
            their errors would be common, and no interval would see them (Spec 16.2).
        points: evaluations over the run, ≥ 1; 1 is the final policy alone, more also score the
            untrained policy and the ones between.
        deterministic: the most likely action, as SB3 and the zoo evaluate.
    """

    episodes: int
    seed: int
    points: int = 1
    deterministic: bool = True

    @property
    def in_words(self) -> str:
        """What a report says of a study's scores."""
        return (
            "A score is what the policy after its last update is worth: its exact expected return "
            "where the environment is a small finite MDP with a time limit, elsewhere its mean "
            f"return over {self.episodes} episodes, which begin from an evaluation seed of the "
            "run's own, the same in every row for the runs of one seed."
        )


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's result, and the words that a report files it under.

    Attributes:
        algo: a name in :data:`ppo_lab.registry.ALGORITHMS`.
        env: Gymnasium's id, ``module:id``, ``module:Class`` or ``file.py:Class``.
        seed: of the algorithm and the training environments (seed, seed + 1, … one each).
        timesteps: budget in environment steps; rollouts are whole, so a few more may be taken.
        n_envs: parallel environments.
        policy: SB3's policy name.
        hyperparameters: the algorithm's keyword arguments, plain YAML values.
        evaluation: how it is scored.
        env_kwargs: for ``gymnasium.make``.
        settings: where the hyperparameters come from: ``tuned``, ``default``, ….
        stage: what the run is for: ``screen``, ``replicate``, ``judge``.
        reference: see :class:`ppo_lab.runs.references.ReferenceScores`; None if not known or not
            needed. No part of what makes two runs the same.
        normalize: the zoo's keyword: SB3's ``VecNormalize`` around the environments, or its
            arguments.
        origin: what ``settings`` stands for, in words: a file and its entry.
        env_wrapper: the zoo's keyword: wrappers' dotted names, the innermost first, or
            ``{name: arguments}`` each.
        vec_env_wrapper: likewise, around the vector environment.
        frame_stack: the zoo's keyword: observations stacked; 0: none.
        monitor_kwargs: the zoo's keyword: for SB3's ``Monitor``.
        callback: the zoo's keyword: callbacks' dotted names, or ``{name: arguments}`` each.
        eval_env_kwargs: for ``gymnasium.make`` in evaluation; None: ``env_kwargs``.
        vec_env: how the training's environments are stepped; see
            :class:`~ppo_lab.runs.recipe.EnvironmentRecipe`.
        env_packages: packages that the names may be imported from.
        asked_device: SB3's ``device``; ``run.json`` says in ``device`` what was trained on.
        env_sha256: of the file that ``env`` names; empty: it names none.
    """

    algo: str
    env: str
    seed: int
    timesteps: int
    n_envs: int
    policy: str
    hyperparameters: Mapping[str, Any]
    evaluation: Evaluation
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    settings: str = "given"
    stage: str = "run"
    reference: Mapping[str, Any] | None = field(default=None, compare=False)
    normalize: bool | Mapping[str, Any] = False
    origin: str = ""
    env_wrapper: Sequence[Any] = ()
    vec_env_wrapper: Sequence[Any] = ()
    frame_stack: int = 0
    monitor_kwargs: Mapping[str, Any] = field(default_factory=dict)
    callback: Sequence[Any] = ()
    eval_env_kwargs: Mapping[str, Any] | None = None
    vec_env: VecEnvKind = "dummy"
    env_packages: Sequence[str] = ()
    asked_device: str = "auto"
    env_sha256: str = ""

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ArgumentError: one of their numbers is NaN, which every comparison would let pass.
        """
        for name in SETTINGS:
            if where := _place_of_nan(getattr(self, name), name):
                raise ArgumentError(f"{where} is NaN: expected a number")

    @property
    def evaluation_kwargs(self) -> Mapping[str, Any]:
        """For ``gymnasium.make`` in evaluation."""
        return self.env_kwargs if self.eval_env_kwargs is None else self.eval_env_kwargs

    @property
    def masks(self) -> bool:
        """Whether it acts under the masks of its environments (Spec 13)."""
        return asks_for_masks(self.algo, self.hyperparameters)

    def as_dict(self) -> dict[str, Any]:
        """As ``run.json`` holds it."""
        return asdict(self)


def _place_of_nan(value: Any, place: str) -> str | None:
    """Where in nested settings a NaN stands, such as ``normalize.clip_obs``; None: nowhere."""
    if isinstance(value, Mapping):
        parts = ((f"{place}.{key}", part) for key, part in value.items())
        return next(filter(None, (_place_of_nan(part, name) for name, part in parts)), None)
    if isinstance(value, list | tuple):
        return next(filter(None, (_place_of_nan(part, place) for part in value)), None)
    return place if isinstance(value, float) and isnan(value) else None


@dataclass(frozen=True)
class Trained:
    """What a trainer hands back.

    Attributes:
        score: mean return of the final policy over the evaluation episodes, or its expectation.
        steps: environment steps taken.
        facts: more entries for ``run.json``, plain JSON values.
    """

    score: float
    steps: int
    facts: Mapping[str, Any] = field(default_factory=dict)


def environment_folder_name(env_id: str) -> str:
    """The zoo's file name for an id: ``ppo_lab/GridWorld-v0`` is ``ppo_lab-GridWorld-v0``."""
    return env_id.split(":")[-1].replace("/", "-")
