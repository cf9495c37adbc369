"""Evaluation after updates for a policy that has to be told which actions are possible."""

from sb3_contrib.common.maskable.callbacks import MaskableEvalCallback

from ppo_lab.ppo.callbacks import AfterUpdateEvalCallback

__all__ = ["MaskedAfterUpdateEvalCallback"]


class MaskedAfterUpdateEvalCallback(AfterUpdateEvalCallback, MaskableEvalCallback):
    """When: as ``AfterUpdateEvalCallback``. How: as sb3-contrib's ``MaskableEvalCallback``."""
