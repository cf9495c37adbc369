"""Compiling ahead: the kernels that a training run will call."""

import time
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from ppo_lab.kernels.acting import run_act, run_predict_values
from ppo_lab.kernels.advantages import kernel_call
from ppo_lab.kernels.divergence import run_rollout_kl
from ppo_lab.kernels.layout import Layout
from ppo_lab.kernels.losses import Memory
from ppo_lab.kernels.numba_internals import Call, compiled_together
from ppo_lab.kernels.settings import AdamSettings, UpdateSettings
from ppo_lab.kernels.stepping import run_step, step_call
from ppo_lab.kernels.typing import Networks, Rollout, Trajectories
from ppo_lab.kernels.update import Adam, new_report, run_update

__all__ = ["warm_up"]


def warm_up(
    layout: Layout,
    advantage_estimator: Literal["gae", "mc", "td0", "nstep"] = "gae",
    measures_rollout_kl: bool = False,
    step: tuple[np.dtype[Any], np.dtype[Any]] | None = None,
) -> float:
    """Load a run's kernels from the disk's cache, or compile them where they are not there.

    Code depends on the head's kind of actions only, not on sizes: two layouts of Discrete actions
    share it, and so do Discrete and MultiDiscrete. What acts and what updates are compiled side by
    side, where there are two cores.

    Args:
        layout: of the policy that will train.
        advantage_estimator: as of ``SpecPPO``.
        measures_rollout_kl: whether the run also measures k3 over whole rollouts (Spec 7.6).
        step: dtypes of the rollout buffer's observations and of the actions' bounds, where
            ``stepping.run_step`` will act too; None: it will not.

    Returns:
        Seconds that it took.
    """
    started = time.perf_counter()
    acting = [*_acting(layout, step), _targets(advantage_estimator)]
    updating = [*_updating(layout, measures_rollout_kl)]
    with compiled_together(updating, acting):
        # What takes longest last: it is waited for while the others are loaded.
        for kernel, args in (*acting, *updating):
            kernel(*args)
    return time.perf_counter() - started


def _acting(layout: Layout, step: tuple[np.dtype[Any], np.dtype[Any]] | None) -> Iterator[Call]:
    params, work, rollout = _room(layout)
    seen, taken, values, log_probs, *_ = rollout
    networks = params, layout.plan
    noise = np.zeros((2, layout.n_actions))
    yield run_act, (*networks, seen, noise, work, taken, values, log_probs)
    if step is not None:
        observed, bounds = step
        yield run_step, step_call(observed, np.dtype(layout.action_dtype), bounds)
    yield run_predict_values, (*networks, seen, work, values)


def _targets(estimator: Literal["gae", "mc", "td0", "nstep"]) -> Call:
    table, row = np.zeros((2, 1), np.float32), np.zeros(1, np.float32)
    trajectories = Trajectories(table, table, row, table, row)
    return kernel_call(estimator, trajectories, 0.99, 0.95, 2, table.copy(), table.copy())


def _updating(layout: Layout, measures_rollout_kl: bool) -> Iterator[Call]:
    params, _, rollout = _room(layout)
    memory = Memory.of(layout, 2)
    networks, rates = Networks.of(layout, params, memory.work), AdamSettings().packed()
    yield (
        run_update,
        (
            networks,
            Adam.zeros(layout),
            UpdateSettings().packed(),
            np.array([rates, rates]),
            rollout,
            np.zeros((1, 2), np.int64),
            2,
            memory,
            new_report(1, 0),
        ),
    )
    if measures_rollout_kl:
        seen, taken, _, log_probs, *_ = rollout
        yield run_rollout_kl, (networks, seen, taken, log_probs)


def _room(layout: Layout) -> tuple[Any, Any, Rollout]:
    """Parameters and a workspace of zeros, and two transitions."""
    rollout = Rollout(
        np.ones((2, layout.row), np.float32),
        np.zeros((2, layout.n_actions), layout.action_dtype),
        *(np.zeros(2, np.float32) for _ in range(4)),
    )
    return np.zeros(layout.n_parameters, np.float32), layout.workspace(2), rollout
