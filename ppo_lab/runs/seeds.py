"""Which seeds train, which judge: disjoint by construction (design: honest comparisons)."""

from enum import IntEnum

__all__ = ["BLOCK_SIZE", "MAX_SEED", "SEED_STRIDE", "Block"]

SEED_STRIDE = 100
"""A run's parallel environments take the seeds that follow its own: this many are kept free."""
BLOCK_SIZE = 1000
"""Runs of one block that can have a seed."""
MAX_SEED = 9999
"""Largest study seed whose seeds fit SB3's 32 bits."""


class Block(IntEnum):
    """Disjoint ranges of seeds: what draws from one never meets the numbers of another."""

    TUNING = 0
    TEST = 1
    TUNING_EVALUATION = 2
    TEST_EVALUATION = 3
