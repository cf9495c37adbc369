"""What the measured KL does: it stops an update, and moves β and ε between them (Spec 7)."""

import math

__all__ = ["CLIP_RANGE_STEP", "KL_COEF_BOUNDS", "adapt_clip_range", "adapt_kl_coef", "kl_limit"]

EARLY_STOP_FACTOR = 1.5
"""An update stops when its KL estimate passes this many times ``target_kl`` (Spec 7.3)."""

CLIP_RANGE_STEP = 0.1
"""Largest change of log ε in one update: the step size of the dual ascent of Spec 7.5."""

KL_COEF_BOUNDS = (1e-6, 1e6)
"""Where β stops: without bounds a long stretch of one kind takes it to 0 or infinity for good."""


def kl_limit(target_kl: float | None) -> float | None:
    """The KL at which an update stops, 1.5 · ``target_kl`` (Spec 7.3); None: it never does."""
    return None if target_kl is None else EARLY_STOP_FACTOR * target_kl


def adapt_kl_coef(kl_coef: float, kl: float, desired_kl: float) -> float:
    """β ← β/2 if d < d_target/1.5, β ← 2β if d > 1.5·d_target (Spec 7.2).

    Schulman et al. 2017, section 4. β then stays within :data:`KL_COEF_BOUNDS`.

    Args:
        kl_coef: β > 0 of the update that was just made.
        kl: d, the measured KL(π_old‖π) of that update.
        desired_kl: d_target > 0.

    Returns:
        β of the next update.
    """
    if kl < desired_kl / 1.5:
        return max(KL_COEF_BOUNDS[0], kl_coef / 2)
    if kl > desired_kl * 1.5:
        return min(KL_COEF_BOUNDS[1], kl_coef * 2)
    return kl_coef


def adapt_clip_range(
    clip_range: float, kl: float, desired_kl: float, bounds: tuple[float, float]
) -> float:
    """Move ε by its KL: log ε ← log ε + step · clip(1 − d/d_target, −1, 1) (Spec 7.5).

    Dual ascent with ε in the multiplier's place: ε grows while the KL is under its target and
    shrinks while it is over; then it is put into its bounds.

    Args:
        clip_range: ε > 0 of the update that was just made.
        kl: d ≥ 0, the measured KL of that update.
        desired_kl: d_target > 0.
        bounds: (lowest, highest) ε.

    Returns:
        ε of the next update.
    """
    slack = max(-1.0, min(1.0, 1.0 - kl / desired_kl))
    moved = clip_range * math.exp(CLIP_RANGE_STEP * slack)
    return max(bounds[0], min(bounds[1], moved))
