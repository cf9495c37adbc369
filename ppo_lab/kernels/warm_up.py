"""Compiling ahead: the kernels that a training run will call."""

import time
from typing import Literal

import numpy as np

from ppo_lab.kernels.acting import act, predict_values
from ppo_lab.kernels.advantages import estimate_advantages
from ppo_lab.kernels.divergence import rollout_kl
from ppo_lab.kernels.layout import Layout
from ppo_lab.kernels.settings import AdamSettings, UpdateSettings
from ppo_lab.kernels.typing import Rollout, Trajectories
from ppo_lab.kernels.update import Adam, update

__all__ = ["warm_up"]


def warm_up(
    layout: Layout,
    advantage_estimator: Literal["gae", "mc", "td0", "nstep"] = "gae",
    measures_rollout_kl: bool = False,
) -> float:
    """Load a run's kernels from the disk's cache, or compile them where they are not there.

    Code depends on the head's kind of actions only, not on sizes: two layouts of Discrete actions
    share it, and so do Discrete and MultiDiscrete.

    Args:
        layout: of the policy that will train.
        advantage_estimator: as of ``SpecPPO``.
        measures_rollout_kl: whether the run also measures k3 over whole rollouts (Spec 7.6).

    Returns:
        Seconds that it took.
    """
    started = time.perf_counter()
    params, work = np.zeros(layout.n_parameters, np.float32), layout.workspace(2)
    rollout = Rollout(
        np.zeros((2, layout.inputs), np.float32),
        np.zeros((2, layout.n_actions), layout.action_dtype),
        *(np.zeros(2, np.float32) for _ in range(4)),
    )
    seen, taken, values, log_probs, *_ = rollout
    act(params, layout, seen, np.zeros((2, layout.n_actions)), work, taken, values, log_probs)
    predict_values(params, layout, seen, work, values)
    table, row = np.zeros((2, 1), np.float32), np.zeros(1, np.float32)
    trajectories = Trajectories(table, table, row, table, row)
    estimate_advantages(
        advantage_estimator, trajectories, 0.99, 0.95, 2, table.copy(), table.copy()
    )
    order = np.zeros((1, 2), np.int64)
    adam, settings = AdamSettings(), UpdateSettings()
    update(layout, params, Adam.zeros(layout), rollout, order, 2, settings, adam, adam)
    if measures_rollout_kl:
        rollout_kl(params, layout, seen, taken, log_probs, work)
    return time.perf_counter() - started
