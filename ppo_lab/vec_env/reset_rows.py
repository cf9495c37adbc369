"""Rows of a vector environment's steps that only reset a copy: who must know of them."""

from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env import (
    VecCheckNan,
    VecEnv,
    VecExtractDictObs,
    VecTransposeImage,
)

from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.buffers import SpecRolloutBuffer
from ppo_lab.vec_env.gymnasium import GymnasiumVecEnv
from ppo_lab.vec_env.sampled_normalize import SampledVecNormalize

__all__ = ["leave_out_resets"]

INDIFFERENT = (VecTransposeImage, VecExtractDictObs, VecCheckNan, SampledVecNormalize)
"""Wrappers whose work a row without a sample does not change."""


def leave_out_resets(env: VecEnv, buffer: RolloutBuffer, n_steps: int) -> None:
    """Let a buffer leave out the rows in which an environment only resets a copy, if it has any.

    Args:
        env: an algorithm's.
        buffer: its buffer.
        n_steps: of a rollout.

    Raises:
        ArgumentError: there are such rows, and a wrapper around the environment or the buffer would
            take them for samples.
    """
    inner = env.unwrapped
    has_such = isinstance(inner, GymnasiumVecEnv) and inner.resets_by_steps
    if not isinstance(buffer, SpecRolloutBuffer):
        if has_such:
            raise ArgumentError(
                f"{inner} resets by steps that are no samples (AutoresetMode.NEXT_STEP), and the "
                f"rollout buffer is a {type(buffer).__name__}, which would keep them: leave "
                "rollout_buffer_class out"
            )
        return
    if not has_such:
        buffer.leave_out(None)
        return
    while env is not inner:
        if type(env) not in INDIFFERENT:
            raise ArgumentError(
                f"{type(env).__name__} counts every row of a step, and this environment resets by "
                "steps that are no samples (AutoresetMode.NEXT_STEP): "
                + INSTEAD.get(type(env).__name__, "make it with AutoresetMode.SAME_STEP")
            )
        env = env.venv  # type: ignore[attr-defined]
    if n_steps < 2:
        raise ArgumentError(
            "n_steps=1 may hold nothing but resets in an environment that resets by steps "
            "(AutoresetMode.NEXT_STEP): expected at least 2"
        )
    buffer.leave_out(inner.sampled_rows)  # type: ignore[attr-defined]


INSTEAD = {
    "VecNormalize": "use ppo_lab.vec_env.SampledVecNormalize, which leaves them out",
    "VecMonitor": "leave it out, GymnasiumVecEnv notes episodes itself",
}
