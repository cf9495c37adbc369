"""The compiled path: the arithmetic of PPO for small MLP policies, by numba, on the CPU.

Importing this package imports neither numba nor torch; its modules import numba.
"""

from importlib.util import find_spec

__all__ = ["available", "why_not"]


def why_not() -> str | None:
    """Why the compiled path cannot run here, in a few words; None: it can."""
    if find_spec("numba") is None:
        return "numba is not installed (pip install numba)"
    return None


def available() -> bool:
    """Whether the compiled path can run here."""
    return why_not() is None
