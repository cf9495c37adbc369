"""Compiling ahead: every kernel that a training run of a layout will call."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ppo_lab.kernels import advantages as adv
from ppo_lab.kernels.acting import act, predict_values
from ppo_lab.kernels.compiling import on_compiling
from ppo_lab.kernels.layout import Layout
from ppo_lab.kernels.settings import AdamSettings, UpdateSettings
from ppo_lab.kernels.update import Adam, Rollout, rollout_kl, update

__all__ = ["warm_up"]


def warm_up(layout: Layout, say: Callable[[], None] | None = None) -> float:
    """Load every kernel from the disk's cache, or compile it where it is not there.

    Code depends on the head's kind of actions only, not on sizes: two layouts of Discrete actions
    share it, and so do Discrete and MultiDiscrete.

    Args:
        layout: of the policy that will train.
        say: called once, before the first kernel is compiled, and not at all if none must be; for
            a line such as "compiling …".

    Returns:
        Seconds that it took.
    """
    started = time.perf_counter()
    said: list[bool] = []

    def say_once(_folder: Path) -> None:
        if say is not None and not said:
            said.append(True)
            say()

    with on_compiling(say_once):
        _call_everything(layout)
    return time.perf_counter() - started


def _call_everything(layout: Layout) -> None:
    params = np.zeros(layout.n_parameters, np.float32)
    work = layout.workspace(2)
    rollout = Rollout(
        np.zeros((2, layout.inputs), np.float32),
        np.zeros((2, layout.n_actions), layout.action_dtype),
        *(np.zeros(2, np.float32) for _ in range(4)),
    )
    noise = np.zeros((2, layout.n_actions))
    act(
        params,
        layout.plan,
        rollout.observations,
        noise,
        work,
        rollout.actions,
        rollout.old_values,
        rollout.old_log_probs,
    )
    predict_values(params, layout.plan, rollout.observations, work, rollout.old_values)
    table, row = np.zeros((2, 1), np.float32), np.zeros(1, np.float32)
    start = (table, table, row, table, row, 0.99)
    adv.gae(*start, 0.95, table.copy(), table.copy())
    adv.monte_carlo(*start, table.copy())
    adv.td0(*start, table.copy())
    adv.n_step(*start, 2, table.copy())
    order = np.zeros((1, 2), np.int64)
    adam, settings = AdamSettings(), UpdateSettings()
    update(layout, params, Adam.zeros(layout), rollout, order, 2, settings, adam, adam)
    rollout_kl(
        params,
        layout.plan,
        rollout.observations,
        rollout.actions,
        rollout.old_log_probs,
        work,
    )
