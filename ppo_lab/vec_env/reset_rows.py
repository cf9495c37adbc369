"""Rows of a vector environment's steps that are no samples: who must know of them."""

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
from ppo_lab.vec_env.partly_sampled import PartlySampledVecEnv
from ppo_lab.vec_env.sampled_normalize import SampledVecNormalize

__all__ = ["leave_out_resets"]

INDIFFERENT = (VecTransposeImage, VecExtractDictObs, VecCheckNan, SampledVecNormalize)
"""Wrappers whose work a row without a sample does not change."""


def leave_out_resets(env: VecEnv, buffer: RolloutBuffer, n_steps: int) -> None:
    """Let a buffer leave out the rows that are no samples, if the environment has any.

    Args:
        env: an algorithm's.
        buffer: its buffer.
        n_steps: of a rollout.

    Raises:
        ArgumentError: there are such rows, and a wrapper around the environment or the buffer would
            take them for samples.
    """
    inner = env.unwrapped
    has_such = isinstance(inner, PartlySampledVecEnv) and inner.may_be_unsampled
    if not isinstance(buffer, SpecRolloutBuffer):
        if has_such:
            assert isinstance(inner, PartlySampledVecEnv)
            raise ArgumentError(
                f"{inner} {inner.why_unsampled}, and the rollout buffer is a "
                f"{type(buffer).__name__}, which would keep them: leave rollout_buffer_class out"
            )
        return
    if not has_such:
        buffer.leave_out(None)
        return
    assert isinstance(inner, PartlySampledVecEnv)
    while env is not inner:
        if type(env) not in INDIFFERENT:
            if not isinstance(inner, GymnasiumVecEnv):
                buffer.leave_out(None)  # where there is such a row it stops who does not ask
                return
            wrapper = type(env).__name__
            raise ArgumentError(
                f"{wrapper} counts every row of a step, and this environment "
                f"{inner.why_unsampled}: "
                + INSTEAD.get(wrapper, "make it with AutoresetMode.SAME_STEP")
            )
        env = env.venv  # type: ignore[attr-defined]
    if n_steps < 2 and isinstance(inner, GymnasiumVecEnv):
        raise ArgumentError(
            "n_steps=1 may hold nothing but resets in an environment that resets by steps "
            "(AutoresetMode.NEXT_STEP): expected at least 2"
        )
    buffer.leave_out(inner.sampled_rows)


INSTEAD = {
    "VecNormalize": "use ppo_lab.vec_env.SampledVecNormalize, which leaves them out",
    "VecMonitor": "leave it out, the environment notes episodes itself",
}
