"""The errors that PPO Lab raises on purpose: one sentence each, that says what to do."""

from collections.abc import Mapping

__all__ = [
    "ArgumentError",
    "CommandError",
    "EndlessEpisodeError",
    "NoWorldError",
    "NonFiniteError",
    "ObservationError",
    "UnknownArgumentError",
    "WorkerError",
    "broken_distribution",
    "broken_update",
]


class ArgumentError(ValueError, AssertionError):
    """An argument, or a combination of arguments, that cannot work.

    Also an ``AssertionError``: that is what SB3 raises in these places, and what code written for
    SB3 catches.
    """


class UnknownArgumentError(ArgumentError, TypeError):
    """A keyword that a constructor has not; a ``TypeError`` too, as Python's own is."""


class NoWorldError(ArgumentError):
    """No compiled code restates an environment, so that Python has to step it.

    Args:
        reason: to be read after "because".
        altered: whether it is one that compiled code restates, but with something replaced.
        what: the environment, for the message.
    """

    def __init__(self, reason: str, altered: bool = False, what: str = "the environment") -> None:
        super().__init__(
            f"{what} has no compiled world, because {reason}: use SB3's make_vec_env, or "
            "ppo_lab.vec_env.make_native_vec_env, which takes whatever is fastest"
        )
        self.reason, self.altered = reason, altered


class NonFiniteError(ArithmeticError):
    """A reward, observation, loss or gradient is NaN or infinite; the message says where.

    Training stops before the number reaches the parameters, which stay as they were.
    """


class ObservationError(ValueError):
    """An environment gave an observation that is not of its space; the message says which one."""


class EndlessEpisodeError(RuntimeError):
    """An episode of an evaluation does not end; the message says what to do."""


class WorkerError(RuntimeError):
    """An environment in a process of a pool failed, or its process died or hangs.

    Its ``__cause__`` shows the environment's own traceback, where there is one.

    Args:
        message: which environment, and what became of it.
        index: the environment's; None: the process died while none was at work.
    """

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


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
    measured = ", ".join(f"{name} {value}" for name, value in norms.items())
    return NonFiniteError(
        f"the loss of the update at step {step} is {loss} with {measured}: training stopped, the "
        "parameters of the last gradient step are kept; lower the learning rate or scale the "
        "rewards (VecNormalize)"
    )


class CommandError(RuntimeError):
    """A command could not do its work; the message is its one line."""
