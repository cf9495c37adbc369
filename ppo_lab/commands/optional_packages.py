"""Packages that only some users need, and the line that installs them."""

from importlib.util import find_spec

from ppo_lab.errors import CommandError

__all__ = ["EXTRA_OF", "missing_package", "require"]

EXTRA_OF = {
    "rl_zoo3": "zoo",
    "requests": "zoo",  # rl_zoo3.enjoy imports it without declaring it
    "moviepy": "video",
    "plotly": "plots",
    "pygame": "render",
    "tensorboard": "tensorboard",
    "tqdm": "progress",
    "wandb": "integrations",
    "shtab": "completion",
    "ray": "ray",
}
"""Top-level module → extra of ``ppo-lab``."""


def require(module: str, purpose: str) -> None:
    """Check that an optional package is there before work starts that would need it at its end.

    Args:
        module: a key of :data:`EXTRA_OF`.
        purpose: what needs it, for the error.

    Raises:
        CommandError: it is missing; names the ``pip install`` line.
    """
    if find_spec(module) is None:
        raise CommandError(missing_package(module, purpose))


def missing_package(module: str, purpose: str) -> str:
    """One line that says what is missing and how to get it."""
    return f'{purpose} needs {module}, which is missing: pip install "ppo-lab[{EXTRA_OF[module]}]"'
