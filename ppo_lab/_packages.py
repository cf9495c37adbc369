"""The guard of our three packages with common names: ``envs``, ``tuning`` and ``reports``."""

import importlib.util
from pathlib import Path

__all__ = ["check_own_packages"]

_OWN = ("envs", "tuning", "reports")


def check_own_packages() -> None:
    """Make sure that the packages beside this one are the ones that Python would import.

    Raises:
        ImportError: another package of the same name comes first on ``sys.path``.
    """
    home = Path(__file__).resolve().parent.parent
    for name in _OWN:
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        if found is None or found.parent.parent != home:
            raise ImportError(
                f"ppo_lab needs its own package {name!r} from {home / name}, but Python finds "
                f"{found or 'none'}: run `python -P -m …` so that the current folder is not "
                "searched first, or rename the other package"
            )
