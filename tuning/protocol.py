"""The protocol of a study: budgets, shapes and seeds, so that no seed that tunes ever judges."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.environment_words import is_atari, is_minigrid
from ppo_lab.runs.execution import Evaluation
from ppo_lab.runs.seeds import BLOCK_SIZE, MAX_SEED, SEED_STRIDE, Block
from reports.statistics.sequential import UntilClear

if TYPE_CHECKING:
    from tuning.base import Base

__all__ = ["Pruner", "Sampler", "TuningProtocol"]

Sampler = Literal["tpe", "gp", "cmaes", "qmc", "random"]
"""Who proposes settings: Optuna's samplers of these names."""
Pruner = Literal["none", "halving", "hyperband", "wilcoxon"]
"""Who stops a trial: on the learning curve of its first seed, or seed by seed."""

ROLLOUT_SAMPLES = 512
"""Samples of a rollout, nearly: small, so that short budgets hold several updates."""
CURVE_PRUNERS = ("halving", "hyperband")
WILCOXON_SEEDS = 4
"""Fewest pairs that can be told apart at Wilcoxon's p < 0.1: one-sided, 1/2⁴ = 0.0625."""


@dataclass(frozen=True)
class TuningProtocol:
    """What every algorithm of a study gets, the same for all.

    Screening trains each trial on ``screen_seeds`` tuning seeds, all trials on the same; the
    default settings and the best ``finalists`` of the others are trained again on ``replicas``
    fresh tuning seeds, and the best mean of those wins (of equal means, the higher lower end of the
    95 % interval, then the default); the winner and the defaults are judged on ``seeds`` test seeds
    of their own.

    Attributes:
        env: Gymnasium's id.
        policy: SB3's policy name for its observations.
        timesteps: of one run, ≥ 1.
        trials: screened settings of each algorithm, ≥ 1.
        seeds: test seeds, the runs behind each row of the final table, ≥ 1.
        seed: 0…9999, decides every other seed.
        finalists: trials that are replicated beside the default settings, ≥ 1.
        replicas: fresh seeds of each finalist, ≥ 1.
        episodes: behind each evaluation, ≥ 1.
        curve_points: evaluations of a judged run.
        window: trial n is proposed, and stopped, by what trials 0 … n − window came to, and by
            nothing else: so neither depends on how many work on the study, or on who is quicker.
            As many trials as this can run at once.
        sampler: who proposes.
        pruner: who stops a trial early.
        screen_seeds: tuning seeds of each trial; ``wilcoxon`` needs 4 or more.
        environment: how environments are made and wrapped, by the names of ``RunConfig``'s fields:
            ``env_kwargs``, ``env_wrapper``, ``normalize``, …
        rungs: points of the learning curve at which ``halving`` and ``hyperband`` may stop it.
        until_clear: judging adds test seeds until every two rows are told apart or given up, up to
            ``seeds``, which must be its ``max_seeds``; None: it has ``seeds``.
        base: the settings that trial 0 is and that hold where the search does not say; None: the
            algorithm's own, under :attr:`shape`.

    Raises:
        ArgumentError: a count below 1, a seed out of range, or an unknown name.
    """

    env: str
    policy: str
    timesteps: int = 3000
    trials: int = 24
    seeds: int = 10
    seed: int = 0
    finalists: int = 4
    replicas: int = 10
    episodes: int = 100
    curve_points: int = 4
    n_envs: int = 8
    n_epochs: int = 10
    window: int = 8
    sampler: Sampler = "tpe"
    pruner: Pruner = "none"
    screen_seeds: int = 1
    rungs: int = 4
    environment: Mapping[str, Any] = field(default_factory=dict)
    base: "Base | None" = None
    until_clear: UntilClear | None = None

    def __post_init__(self) -> None:
        counts = ("timesteps", "trials", "seeds", "finalists", "replicas", "episodes")
        for name in (*counts, "n_envs", "window", "screen_seeds", "rungs"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name}={getattr(self, name)}: expected at least 1")
        for name, most in (("n_envs", SEED_STRIDE), ("seeds", BLOCK_SIZE)):
            if getattr(self, name) > most:
                raise ArgumentError(f"{name}={getattr(self, name)}: expected at most {most}")
        if self.screen_seeds + self.replicas > BLOCK_SIZE:
            raise ArgumentError(
                f"screen_seeds={self.screen_seeds} and replicas={self.replicas}: expected at most "
                f"{BLOCK_SIZE} together"
            )
        if self.until_clear is not None and self.seeds != self.until_clear.max_seeds:
            raise ArgumentError(
                f"seeds={self.seeds} with until_clear: expected its max_seeds, "
                f"{self.until_clear.max_seeds}"
            )
        if not 0 <= self.seed <= MAX_SEED:
            raise ArgumentError(f"seed={self.seed}: expected 0 to {MAX_SEED}")
        if self.timesteps < self.n_envs:
            raise ArgumentError(
                f"timesteps={self.timesteps} is too small for one update: {self.n_envs} "
                "environments take a step each; raise --timesteps or lower --n-envs"
            )
        self._check_names()

    def _check_names(self) -> None:
        for name, choices in (("sampler", get_args(Sampler)), ("pruner", get_args(Pruner))):
            if getattr(self, name) not in choices:
                raise ArgumentError(
                    f"{name}={getattr(self, name)!r}: expected one of {', '.join(choices)}"
                )
        if self.pruner == "wilcoxon" and self.screen_seeds < WILCOXON_SEEDS:
            raise ArgumentError(
                f"screen_seeds={self.screen_seeds} with pruner='wilcoxon', which compares trials "
                f"seed by seed: expected at least {WILCOXON_SEEDS} (--screen-seeds)"
            )

    @property
    def shape(self) -> dict[str, int]:
        """n_steps, batch_size and n_epochs: rollouts of about 512 samples in four minibatches.

        The rollouts divide the budget, so that no run gets more steps than it was promised
        (but for rounding up to one step of every environment).
        """
        rollouts = max(1, round(self.timesteps / ROLLOUT_SAMPLES))
        n_steps = -(-self.timesteps // (rollouts * self.n_envs))
        return {
            "n_steps": n_steps,
            "batch_size": max(2, n_steps * self.n_envs // 4),
            "n_epochs": self.n_epochs,
        }

    @property
    def replicated(self) -> int:
        """Settings that are trained again, at most: the default and the best trials."""
        return 1 + min(self.finalists, self.trials)

    @property
    def tuning_runs(self) -> int:
        """Runs of tuning of each algorithm, at most: pruners and equal settings spare some."""
        return self.trials * self.screen_seeds + self.replicated * self.replicas

    @property
    def base_word(self) -> str:
        """What the report files the runs of the base under."""
        return "default" if self.base is None else self.base.word

    def run_seed(self, block: Block, index: int) -> int:
        """Seed of the index-th run, 0 ≤ index < 1000, of a block; all of them differ."""
        return ((self.seed * len(Block) + block) * BLOCK_SIZE + index) * SEED_STRIDE

    @property
    def screening_seeds(self) -> list[int]:
        """The tuning seeds that every trial is screened on."""
        return [self.run_seed(Block.TUNING, i) for i in range(self.screen_seeds)]

    @property
    def replica_seeds(self) -> list[int]:
        """The tuning seeds that screening did not use."""
        first = self.screen_seeds
        return [self.run_seed(Block.TUNING, first + i) for i in range(self.replicas)]

    @property
    def judge_evaluation_seeds(self) -> list[int]:
        """From which the runs of the test seeds are evaluated, in their order."""
        return [self.run_seed(Block.TEST_EVALUATION, i) for i in range(self.seeds)]

    @property
    def judge_seeds(self) -> list[int]:
        """The test seeds, which no tuning run uses."""
        return [self.run_seed(Block.TEST, i) for i in range(self.seeds)]

    def evaluation(self, judging: bool, index: int) -> Evaluation:
        """Tuning scores the final policy, and the curve where a pruner reads it.

        Judging also draws the learning curve. As in the zoo, Atari's and MiniGrid's policies draw
        their actions. Each seed's runs are played from an evaluation seed
        of their own, the same for all settings and algorithms: with one for all seeds their errors
        would be common, and no interval over runs would see them (Spec 16.2).

        Args:
            judging: whether the run's seed is the index-th test seed, not a tuning seed.
            index: of the run's seed in its block; screening has the first, replicas follow.
        """
        block = Block.TEST_EVALUATION if judging else Block.TUNING_EVALUATION
        screening = self.rungs + 1 if self.pruner in CURVE_PRUNERS else 1
        points = self.curve_points if judging else screening
        drawn = is_atari(self.env) or is_minigrid(self.env)
        seed = self.run_seed(block, index)
        return Evaluation(self.episodes, seed, points, deterministic=not drawn)

    def fixed(self) -> Mapping[str, Any]:
        """What must not change while a study goes on: all but the numbers of trials and seeds.

        More of either are more of the same: a study that is gone on with comes to what it would
        have come to if all had been asked for at once.
        """
        settings = asdict(self)
        del settings["seeds"], settings["trials"]
        if not self.environment:  # as of the studies before it
            del settings["environment"]
        for name in ("base", "until_clear"):
            if getattr(self, name) is None:
                del settings[name]
        settings["evaluation_seeds"] = "one for each seed"  # studies before it had one for all
        return settings
