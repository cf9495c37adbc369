"""One copy's part of the infos and observations that a Gymnasium vector environment batches."""

from typing import Any

__all__ = ["FINAL", "entry_of", "info_of"]

FINAL = frozenset({"final_obs", "_final_obs", "final_info", "_final_info"})
"""What the infos of a step say of the episodes that it ended."""


def entry_of(batch: Any, index: int) -> Any:
    """One copy's part of a batch: of an array, or of a dict or tuple of arrays."""
    if isinstance(batch, dict):
        return {key: entry_of(part, index) for key, part in batch.items()}
    if isinstance(batch, tuple):
        return tuple(entry_of(part, index) for part in batch)
    return batch[index]


def info_of(infos: dict[str, Any], index: int) -> dict[str, Any]:
    """One copy's info: of a key's values those that its mask ``_key`` says are this copy's."""
    info = {}
    for key, values in infos.items():
        mask = infos.get(f"_{key}")
        if key in FINAL or key.startswith("_") or not (mask is None or mask[index]):
            continue
        info[key] = info_of(values, index) if isinstance(values, dict) else values[index]
    return info
