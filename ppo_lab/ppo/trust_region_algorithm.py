"""An algorithm of SB3's whose β and ε follow schedules or the KL of updates (Spec 7.2–7.5)."""

from collections.abc import Callable

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import Schedule

from ppo_lab.ppo.diagnostics import UpdateDiagnostics
from ppo_lab.ppo.objectives import Objective
from ppo_lab.ppo.trust_region import adapt_clip_range, adapt_kl_coef

__all__ = ["TrustRegionAlgorithm"]


class TrustRegionAlgorithm(OnPolicyAlgorithm):
    """SB3's ``OnPolicyAlgorithm`` with the trust region's settings, and what moves them.

    Attributes:
        clip_range: ε, a schedule once the model is set up.
        clip_range_vf: likewise the value's; None: not clipped.
        objective: the name of the loss.
        kl_coef: β.
        desired_kl: the KL that β and ε are steered to.
        adaptive_clip_range: (lowest, highest) ε; None: ε follows its schedule.
    """

    clip_range: float | str | Schedule
    clip_range_vf: float | str | Schedule | None
    objective: Objective
    kl_coef: float
    desired_kl: float
    adaptive_clip_range: tuple[float, float] | None
    _adapted_clip_range: float | None

    def _clip_ranges(self) -> tuple[float, float | None]:
        """ε of this update, and the value's clip range: schedules, or the adapted ε (Spec 7.5)."""
        progress = self._current_progress_remaining
        clip_range = self.clip_range(progress)  # type: ignore[operator]
        if self.adaptive_clip_range is not None and self._adapted_clip_range is not None:
            clip_range = self._adapted_clip_range
        if self.clip_range_vf is None:
            return clip_range, None
        return clip_range, self.clip_range_vf(progress)  # type: ignore[operator]

    @property
    def measures_rollout_kl(self) -> bool:
        """Whether β or ε follows the KL of whole updates (Spec 7.2, 7.5)."""
        return self.objective == "adaptive_kl" or self.adaptive_clip_range is not None

    def _adapt_trust_region(
        self, diagnostics: UpdateDiagnostics, clip_range: float, rollout_kl: Callable[[], float]
    ) -> None:
        """Move β and ε by the KL of the whole update (Spec 7.2, 7.5), measured where needed."""
        if self.objective in ("kl", "adaptive_kl"):
            diagnostics.add(kl_coef=self.kl_coef)
        if not self.measures_rollout_kl:
            return
        kl = rollout_kl()
        diagnostics.add(rollout_kl=kl)
        if self.objective == "adaptive_kl":
            self.kl_coef = adapt_kl_coef(self.kl_coef, kl, self.desired_kl)
        if self.adaptive_clip_range is not None:
            self._adapted_clip_range = adapt_clip_range(
                clip_range, kl, self.desired_kl, self.adaptive_clip_range
            )
