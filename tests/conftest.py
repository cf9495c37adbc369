"""One torch thread: the networks are too small for more, and runs then repeat bit for bit."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # results are the CPU's, and warnings errors

from collections.abc import Iterator

import pytest
import torch as th
from hypothesis import settings

from ppo_lab.kernels.numba_internals import on_compiling

th.set_num_threads(1)
# A deadline measures how busy the machine is, and nothing of ours.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session", autouse=True)
def _one_compiler() -> Iterator[None]:
    """What is missing on disk is compiled by one process, which knows what kernels share."""
    with on_compiling(lambda _folder: None):
        yield
