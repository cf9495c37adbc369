"""One torch thread: the networks are too small for more, and runs then repeat bit for bit."""

import torch as th

th.set_num_threads(1)
