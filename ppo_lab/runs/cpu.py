"""Which CPU computes, as far as the last bits of a result may hang on it."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from reports.logs.reading import read_json
from reports.logs.records import UnusableError

__all__ = ["cpus_of_runs", "differing_cpus", "this_cpu"]

_OF_ARITHMETIC = ("avx", "fma", "sse4", "f16c", "amx", "neon", "sve", "dotprod")
"""How the names of features begin by which compiled code and libraries choose their arithmetic."""


@cache
def this_cpu() -> dict[str, Any]:
    """LLVM's name of this machine's CPU, and its features for arithmetic, sorted."""
    from llvmlite import binding  # a sixth of a second where no kernel has loaded it yet

    features = binding.get_host_cpu_features()
    there = [name for name, is_there in features.items() if is_there]
    return {
        "name": binding.get_host_cpu_name(),
        "features": sorted(name for name in there if name.startswith(_OF_ARITHMETIC)),
    }


def cpus_of_runs(folders: Iterable[Path]) -> dict[str, Mapping[str, Any]]:
    """Run folder → the CPU that it was made on, of those whose ``run.json`` says so."""
    cpus: dict[str, Mapping[str, Any]] = {}
    for folder in folders:
        try:
            cpu = read_json(folder / "run.json").get("cpu")
        except UnusableError:
            continue
        if isinstance(cpu, Mapping) and isinstance(cpu.get("features"), list) and "name" in cpu:
            cpus[f"{folder.parent.name}/{folder.name}"] = cpu
    return cpus


def differing_cpus(cpus: Mapping[str, Mapping[str, Any]]) -> str | None:
    """A warning where machines may compute other last bits.

    Args:
        cpus: machine → what :func:`this_cpu` said there.

    Returns:
        One line; None where all are alike.
    """
    kinds: dict[tuple[str, Sequence[str]], list[str]] = {}
    for machine, cpu in cpus.items():
        kinds.setdefault((cpu["name"], tuple(cpu["features"])), []).append(machine)
    if len(kinds) < 2:
        return None
    shared = set.intersection(*(set(features) for _, features in kinds))
    parts = []
    for (name, features), machines in kinds.items():
        own = [feature for feature in features if feature not in shared]
        few = ", ".join(machines[:3]) + (f" and {len(machines) - 3} more" if machines[3:] else "")
        parts.append(f"{name}{f' with {chr(32).join(own)}' if own else ''} ({few})")
    return (
        f"! the CPUs differ: {'; '.join(parts)}: compiled results may then differ in the last "
        "bits, and a run made again elsewhere in its score"
    )
