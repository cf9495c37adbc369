"""Compiling ahead: the kernels that a training run will call."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ppo_lab.kernels import advantages as adv
from ppo_lab.kernels.acting import act, predict_values
from ppo_lab.kernels.compiling import on_compiling
from ppo_lab.kernels.divergence import rollout_kl
from ppo_lab.kernels.layout import Layout
from ppo_lab.kernels.settings import AdamSettings, UpdateSettings
from ppo_lab.kernels.update import Adam, Rollout, update

__all__ = ["warm_up"]


def warm_up(
    layout: Layout,
    advantage_estimator: str = "gae",
    adaptive: bool = False,
    say: Callable[[], None] | None = None,
) -> float:
    """Load a run's kernels from the disk's cache, or compile them where they are not there.

    Code depends on the head's kind of actions only, not on sizes: two layouts of Discrete actions
    share it, and so do Discrete and MultiDiscrete.

    Args:
        layout: of the policy that will train.
        advantage_estimator: "gae", "mc", "td0" or "n_step".
        adaptive: whether the run also measures k3 over whole rollouts (Spec 7.6).
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
        _call_all(layout, advantage_estimator, adaptive)
    return time.perf_counter() - started


def _call_all(layout: Layout, advantage_estimator: str, adaptive: bool) -> None:
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
        layout,
        rollout.observations,
        noise,
        work,
        rollout.actions,
        rollout.old_values,
        rollout.old_log_probs,
    )
    predict_values(params, layout, rollout.observations, work, rollout.old_values)
    table, row = np.zeros((2, 1), np.float32), np.zeros(1, np.float32)
    start = (table, table, row, table, row, 0.99)
    if advantage_estimator == "gae":
        adv.gae(*start, 0.95, table.copy(), table.copy())
    elif advantage_estimator == "mc":
        adv.monte_carlo(*start, table.copy())
    elif advantage_estimator == "td0":
        adv.td0(*start, table.copy())
    else:
        adv.n_step(*start, 2, table.copy())
    order = np.zeros((1, 2), np.int64)
    adam, settings = AdamSettings(), UpdateSettings()
    update(layout, params, Adam.zeros(layout), rollout, order, 2, settings, adam, adam)
    if adaptive:
        seen, taken, known = rollout.observations, rollout.actions, rollout.old_log_probs
        rollout_kl(params, layout, seen, taken, known, work)
