"""A run that somebody watches: told of every evaluation, stopped at one of them."""

from collections.abc import Callable

from stable_baselines3.common.callbacks import BaseCallback, EvalCallback

__all__ = ["StoppedError", "WatchCallback", "Watcher"]

Watcher = Callable[[int, float], str | None]
"""Called after each evaluation with the steps and the score; a reason to stop stops the run."""


class StoppedError(Exception):
    """A run is stopped by its watcher: (reason, score, steps)."""


class WatchCallback(BaseCallback):
    """Tells the watcher of every evaluation; for ``EvalCallback``'s ``callback_after_eval``."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self._watcher = watcher

    def _on_step(self) -> bool:
        assert isinstance(self.parent, EvalCallback)
        steps, score = self.parent.num_timesteps, self.parent.last_mean_reward
        reason = self._watcher(steps, float(score))
        if reason is not None:
            raise StoppedError(reason, float(score), steps)
        return True
