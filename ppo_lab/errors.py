"""The errors that PPO Lab raises on purpose: one sentence each, that says what to do."""

from collections.abc import Mapping

__all__ = [
    "ArgumentError",
    "EndlessEpisodeError",
    "NonFiniteError",
    "broken_distribution",
    "broken_update",
]


class ArgumentError(ValueError, AssertionError):
    """An argument, or a combination of arguments, that cannot work.

    Also an ``AssertionError``: that is what SB3 raises in these places, and what code written for
    SB3 catches.
    """


class NonFiniteError(ArithmeticError):
    """A reward, observation, loss or gradient is NaN or infinite; the message says where.

    Training stops before the number reaches the parameters, which stay as they were.
    """


class EndlessEpisodeError(RuntimeError):
    """An episode of an evaluation does not end; the message says what to do."""


def broken_distribution(step: int, said: str | None = None) -> NonFiniteError:
    """The error of a policy whose logits, means or scales are NaN or infinite.

    Args:
        step: at which it was to act.
        said: by whom it was noticed, in that library's words.
    """
    return NonFiniteError(
        f"the policy's distribution broke down at step {step}, its parameters being too large to "
        "act on: training stopped; lower the learning rate or scale the rewards (VecNormalize)"
        + (f". torch says: {said}" if said else "")
    )


def broken_update(step: int, loss: float, norms: Mapping[str, float]) -> NonFiniteError:
    """The error of a loss or a gradient that is NaN or infinite.

    Args:
        step: the environment steps taken before this update.
        loss: of the minibatch.
        norms: of the gradients, by name.
    """
    found = ", ".join(f"{name} {value}" for name, value in norms.items())
    return NonFiniteError(
        f"the loss of the update at step {step} is {loss} with {found}: training stopped, the "
        "parameters of the last gradient step are kept; lower the learning rate or scale the "
        "rewards (VecNormalize)"
    )
