"""A curriculum: the environment's difficulty follows success (Spec 15.4)."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from ppo_lab.errors import ArgumentError

__all__ = ["Curriculum"]

STATE = "curriculum_state"
"""The attribute of a model that its curriculum's state is saved under, by SB3 itself."""


class Curriculum(BaseCallback):
    """Moves an attribute of the training environments up and down a list of levels with success.

    Of the episodes that ended at the present level the last ``window`` count. Once there are that
    many, a success rate of at least ``raise_at`` moves one level up and one of at most
    ``lower_at`` one down, and counting begins anew: between the two nothing moves, and no two moves
    are fewer than ``window`` episodes apart. A move happens between two rollouts: the attribute is
    set in every environment, and all begin a new episode. For every algorithm of SB3's.

    The state (level, episodes counted, moves made) is kept in ``model.curriculum_state``, which
    SB3 saves with the model: a model that is loaded goes on where it was.

    Args:
        attribute: set by Gymnasium's ``set_wrapper_attr`` in each environment; it must exist.
        levels: its values, the easiest first, at least two.
        raise_at: success rate, in (0, 1], that moves up.
        lower_at: success rate, in [0, 1), that moves down; below ``raise_at``. 0 moves down only
            where nothing succeeds.
        window: episodes, at least 1.
        success_return: an episode with at least this return is a success; None: one whose last
            info has ``is_success``.

    Attributes:
        level: index of the present level.
        moves: (timesteps, level) of every move, the start's included.

    Raises:
        ArgumentError: an argument is out of range, the environments have no such attribute or
            cannot change it, or an ended episode does not say whether it succeeded.
    """

    moves_environments = True
    """Said to who makes the environments: compiled copies cannot be changed."""

    def __init__(
        self,
        attribute: str,
        levels: Sequence[Any],
        raise_at: float = 0.8,
        lower_at: float = 0.2,
        window: int = 50,
        success_return: float | None = None,
    ) -> None:
        super().__init__()
        _check(levels, raise_at, lower_at, window)
        self.attribute = attribute
        self.levels = list(levels)
        self.raise_at, self.lower_at = raise_at, lower_at
        self.window = window
        self.success_return = success_return
        self.level = 0
        self.moves: list[tuple[int, int]] = []
        self._successes: deque[bool] = deque(maxlen=window)

    @property
    def success_rate(self) -> float | None:
        """Of the episodes that count; None where none ended yet."""
        return float(np.mean(self._successes)) if self._successes else None

    def _on_training_start(self) -> None:
        saved = getattr(self.model, STATE, None)
        if saved is not None:
            self._take(saved)
        self._set_level(self.level, moved=not self.moves)

    def _on_step(self) -> bool:
        ended = np.flatnonzero(self.locals["dones"]).tolist()
        for index in ended:
            self._successes.append(self._succeeded(self.locals["infos"][index], index))
        if ended:
            self._keep()
        return True

    def _on_rollout_start(self) -> None:
        rate = self.success_rate
        if rate is not None and len(self._successes) == self.window:
            if rate >= self.raise_at and self.level + 1 < len(self.levels):
                self._set_level(self.level + 1, moved=True)
            elif rate <= self.lower_at and self.level > 0:
                self._set_level(self.level - 1, moved=True)
        self.logger.record("curriculum/level", self.level)
        if rate is not None:
            self.logger.record("curriculum/success_rate", rate)

    def _set_level(self, level: int, moved: bool) -> None:
        env = self.training_env
        value = self.levels[level]
        try:
            env.get_attr(self.attribute)
            env.env_method("set_wrapper_attr", self.attribute, value)
            taken = all(_equal(now, value) for now in env.get_attr(self.attribute))
        except AttributeError as error:
            raise ArgumentError(
                f"the environments have no attribute {self.attribute!r} that can be set in each "
                f"of them apart ({error}): name one that they have, in SB3's DummyVecEnv or "
                "SubprocVecEnv"
            ) from error
        if not taken:
            raise ArgumentError(
                f"{self.attribute!r} of the environments did not become {value!r}: expected an "
                "attribute that can be set"
            )
        self.level = level
        if moved:
            self.moves.append((self.model.num_timesteps, level))
            self._successes.clear()
        self._begin_episodes()
        self._keep()

    def _begin_episodes(self) -> None:
        """Let every environment begin an episode, which the model then goes on from."""
        model: Any = self.model
        model._last_obs = self.training_env.reset()
        model._last_episode_starts = np.ones(self.training_env.num_envs, dtype=bool)
        normalizer = model.get_vec_normalize_env()
        if normalizer is not None:
            model._last_original_obs = normalizer.get_original_obs()

    def _succeeded(self, info: Mapping[str, Any], index: int) -> bool:
        if self.success_return is None:
            if "is_success" not in info:
                raise ArgumentError(
                    f"the episode that ended in environment {index} has no info['is_success']: "
                    "give the curriculum success_return, the return that counts as a success"
                )
            return bool(info["is_success"])
        if "episode" not in info:
            raise ArgumentError(
                f"the episode that ended in environment {index} has no info['episode']: put SB3's "
                "Monitor around the environments"
            )
        return bool(info["episode"]["r"] >= self.success_return)

    def _keep(self) -> None:
        state = {
            "attribute": self.attribute,
            "levels": self.levels,
            "level": self.level,
            "successes": list(self._successes),
            "moves": [list(move) for move in self.moves],
        }
        setattr(self.model, STATE, state)

    def _take(self, saved: Mapping[str, Any]) -> None:
        """Go on from what was saved with the model.

        Raises:
            ArgumentError: it is another curriculum's.
        """
        mine = self.attribute, self.levels
        if (saved["attribute"], list(saved["levels"])) != mine:
            raise ArgumentError(
                f"the model's curriculum moved {saved['attribute']!r} over {saved['levels']}, this "
                f"one {self.attribute!r} over {self.levels}: give the same, or set "
                f"model.{STATE} = None to begin anew"
            )
        self.level = int(saved["level"])
        self.moves = [(int(steps), int(level)) for steps, level in saved["moves"]]
        self._successes = deque(map(bool, saved["successes"]), maxlen=self.window)


def _equal(one: Any, other: Any) -> bool:
    return bool(np.array_equal(np.asarray(one), np.asarray(other)))


def _check(levels: Sequence[Any], raise_at: float, lower_at: float, window: int) -> None:
    if isinstance(levels, str) or len(levels) < 2:
        raise ArgumentError(f"levels={levels!r}: expected at least two values, the easiest first")
    if not 0.0 <= lower_at < raise_at <= 1.0:
        raise ArgumentError(
            f"lower_at={lower_at!r} and raise_at={raise_at!r}: expected 0 ≤ lower_at < raise_at ≤ "
            "1, so that no success rate moves both ways"
        )
    if not isinstance(window, int) or isinstance(window, bool) or window < 1:
        raise ArgumentError(f"window={window!r}: expected an integer ≥ 1")
