"""The errors that PPO Lab raises on purpose: one sentence each, that says what to do."""

__all__ = ["ArgumentError", "NonFiniteError"]


class ArgumentError(ValueError, AssertionError):
    """An argument, or a combination of arguments, that cannot work.

    Also an ``AssertionError``: that is what SB3 raises in these places, and what code written for
    SB3 catches.
    """


class NonFiniteError(ArithmeticError):
    """A reward, observation, loss or gradient is NaN or infinite; the message says where.

    Training stops before the number reaches the parameters, which stay as they were.
    """
