"""Named settings of ``SpecPPO``: ``SpecPPO(policy, env, **preset("recommended"))``.

``recommended`` rests on ``docs/additions.md``; ``docs/preset.md`` compares it with SB3's defaults
on seeds that did not choose it.
"""

from importlib.resources import files
from typing import Any

from ppo_lab.errors import ArgumentError
from ppo_lab.registry import closest
from reports.logs.reading import plain_yaml

__all__ = ["preset"]


def preset(name: str) -> dict[str, Any]:
    """The settings of a name, as keyword arguments of ``SpecPPO``.

    Args:
        name: ``sb3``: SB3's defaults, written out; ``recommended``: what is worth changing of
            them everywhere.

    Raises:
        ArgumentError: no preset has this name.
    """
    presets = _presets()
    if name not in presets:
        raise ArgumentError(f"unknown preset {name!r}; closest: {closest(name, presets)}")
    return presets[name]


def _presets() -> dict[str, dict[str, Any]]:
    text = (files("ppo_lab") / "hyperparams" / "presets.yml").read_text(encoding="utf-8")
    presets: dict[str, dict[str, Any]] = plain_yaml(text, "presets.yml")
    return presets
