"""An algorithm of SB3's that stops at the first number that is not finite, and logs its updates."""

from typing import TypeVar

from stable_baselines3.common.callbacks import BaseCallback, CallbackList, ConvertCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import MaybeCallback

from ppo_lab.ppo.callbacks import FiniteGuard, named_refusal
from ppo_lab.ppo.diagnostics import UpdateDiagnostics, record_fit, record_spreads
from ppo_lab.ppo.normalized_space import warn_of_cut_observations

__all__ = ["WatchedAlgorithm"]

SelfWatched = TypeVar("SelfWatched", bound="WatchedAlgorithm")


class WatchedAlgorithm(OnPolicyAlgorithm):
    """SB3's ``OnPolicyAlgorithm`` with :class:`FiniteGuard` before every callback, and its logs."""

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        if isinstance(callback, list):
            callback = CallbackList(callback)
        elif not isinstance(callback, BaseCallback):
            callback = ConvertCallback(callback)
        return super()._init_callback([*self._guards(), callback], progress_bar)

    def _guards(self) -> list[BaseCallback]:
        """What sees every step before the user's callbacks do."""
        return [FiniteGuard()]

    def _record(
        self, diagnostics: UpdateDiagnostics, clip_range: float, clip_range_vf: float | None
    ) -> None:
        diagnostics.record()
        record_fit(self.logger, self.rollout_buffer, self.policy)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/clip_range", clip_range)
        if clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", clip_range_vf)

    def dump_logs(self, iteration: int = 0) -> None:
        """SB3's log of a rollout, with the spread of the returns and lengths beside their means."""
        record_spreads(self.logger, self.ep_info_buffer or ())
        super().dump_logs(iteration)

    def learn(
        self: SelfWatched,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "SpecPPO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> SelfWatched:
        """Train for at least ``total_timesteps``, in whole rollouts; SB3's arguments."""
        warn_of_cut_observations(self)
        with named_refusal(self):
            return super().learn(
                total_timesteps,
                callback,
                log_interval,
                tb_log_name,
                reset_num_timesteps,
                progress_bar,
            )
