"""Two nodes of one core, and settings so small that a run takes a moment."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.ray_cluster import RayCluster, ray_cluster


@pytest.fixture(scope="package")
def cluster() -> Iterator[RayCluster]:
    """Whoever ends a node of it adds one."""
    with ray_cluster(nodes=2) as made:
        yield made


@pytest.fixture
def conf(tmp_path: Path) -> str:
    """A file for ``--conf``."""
    file = tmp_path / "small.yml"
    file.write_text("default:\n  n_envs: 2\n  n_steps: 16\n  batch_size: 16\n  n_epochs: 1\n")
    return str(file)
