"""The protocol of a study: budgets, shapes and seeds, so that no seed that tunes ever judges."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

from ppo_lab.errors import ArgumentError
from ppo_lab.runs import Evaluation

__all__ = ["MAX_SEED", "Block", "Protocol"]

SEED_STRIDE = 100
"""A run's parallel environments take the seeds that follow its own: this many are kept free."""
BLOCK_SIZE = 1000
"""Runs of one block that can have a seed."""
ROLLOUT_SAMPLES = 512
"""Samples of a rollout, nearly: small, so that short budgets hold several updates."""
MAX_SEED = 9999
"""Largest study seed whose seeds fit SB3's 32 bits."""


class Block(IntEnum):
    """Disjoint ranges of seeds: what draws from one never meets the numbers of another."""

    TUNING = 0
    TEST = 1
    TUNING_EVALUATION = 2
    TEST_EVALUATION = 3


@dataclass(frozen=True)
class Protocol:
    """What every algorithm of a study gets, the same for all.

    Screening trains each trial on one tuning seed; the best ``finalists`` are trained again on
    ``replicas`` fresh tuning seeds, and the best mean of those wins; the winner and the defaults
    are judged on ``seeds`` test seeds of their own.

    Attributes:
        env: Gymnasium's id.
        policy: SB3's policy name for its observations.
        timesteps: of one run, ≥ 1.
        trials: screened settings of each algorithm, ≥ 1.
        seeds: test seeds, the runs behind each row of the final table, ≥ 1.
        seed: 0…9999, decides every other seed.
        finalists: trials that are replicated.
        replicas: fresh seeds of each finalist.
        episodes: behind each evaluation.
        curve_points: evaluations of a judged run.
        batch: trials proposed together; fixed, so that the proposals do not depend on ``jobs``.
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
    batch: int = 8

    def __post_init__(self) -> None:
        for name in ("timesteps", "trials", "seeds"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name}={getattr(self, name)}: expected at least 1")
        if self.seeds > BLOCK_SIZE:
            raise ArgumentError(f"seeds={self.seeds}: expected at most {BLOCK_SIZE}")
        if not 0 <= self.seed <= MAX_SEED:
            raise ArgumentError(f"seed={self.seed}: expected 0 to {MAX_SEED}")

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

    def run_seed(self, block: Block, index: int) -> int:
        """Seed of the index-th run, 0 ≤ index < 1000, of a block; all of them differ."""
        return ((self.seed * len(Block) + block) * BLOCK_SIZE + index) * SEED_STRIDE

    @property
    def screen_seed(self) -> int:
        """The one tuning seed that every trial is screened on."""
        return self.run_seed(Block.TUNING, 0)

    @property
    def replica_seeds(self) -> list[int]:
        """The tuning seeds that screening did not use."""
        return [self.run_seed(Block.TUNING, 1 + i) for i in range(self.replicas)]

    @property
    def judge_seeds(self) -> list[int]:
        """The test seeds, which no tuning run uses."""
        return [self.run_seed(Block.TEST, i) for i in range(self.seeds)]

    def evaluation(self, judging: bool) -> Evaluation:
        """Tuning scores the final policy alone; judging also draws the learning curve."""
        block = Block.TEST_EVALUATION if judging else Block.TUNING_EVALUATION
        points = self.curve_points if judging else 1
        return Evaluation(self.episodes, self.run_seed(block, 0), points)

    def fixed(self) -> Mapping[str, Any]:
        """What must not change while a study goes on: all but the number of test seeds."""
        settings = asdict(self)
        del settings["seeds"]
        return settings
