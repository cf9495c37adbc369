"""One torch thread: the networks are too small for more, and runs then repeat bit for bit."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # results are the CPU's, and warnings errors

import torch as th
from hypothesis import settings

th.set_num_threads(1)
# A deadline measures how busy the machine is, and nothing of ours.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
