"""Evaluation after updates for a policy that has to be told which actions are possible."""

from sb3_contrib.common.maskable.callbacks import MaskableEvalCallback

from ppo_lab.ppo.callbacks import AfterUpdateEvalCallback
from ppo_lab.runs.compiled_evaluation import CompiledEvalCallback

__all__ = ["MaskedAfterUpdateEvalCallback", "MaskedCompiledEvalCallback", "evaluator_under_masks"]


class MaskedAfterUpdateEvalCallback(AfterUpdateEvalCallback, MaskableEvalCallback):
    """When: as ``AfterUpdateEvalCallback``. How: as sb3-contrib's ``MaskableEvalCallback``."""


class MaskedCompiledEvalCallback(CompiledEvalCallback, MaskedAfterUpdateEvalCallback):
    """The same episodes, played by compiled code while it can."""


def evaluator_under_masks(compiled: bool) -> type[MaskedAfterUpdateEvalCallback]:
    """Who evaluates; ``compiled``: whether compiled code can."""
    return MaskedCompiledEvalCallback if compiled else MaskedAfterUpdateEvalCallback
