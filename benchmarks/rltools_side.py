"""RLtools' PPO (C++, its products by MKL) as a side of ``compiled.py``.

The networks are SB3's (two hidden layers of 64 and tanh), so are Adam's step size and the loss's
settings where its Python interface has them. It differs: Gaussian policies alone, gradients not
clipped by their norm, actions as drawn and not within bounds, the value loss not weighted, an
observation layer that could standardise and does not. Pendulum is its own C++ environment;
HalfCheetah is Gymnasium's, called from C++,
without SB3's ``Monitor`` and ``DummyVecEnv``. Needs ``rltools``, ``mkl``, ``mkl-include`` and a C++
compiler. PyTorch must not be loaded in the process, as its interface asks.
"""

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["rltools_trainer"]

PENDULUM = Path(__file__).resolve().parent / "rltools_pendulum"
UNLIMITED = 10**9
"""Rollouts before it would stop by itself."""


def rltools_trainer(
    env_id: str, n_envs: int, *, fast_tanh: bool, n_steps: int, batch_size: int, n_epochs: int
) -> Callable[[int], None]:
    """A function that trains for so many rollouts; C++ is compiled here, once for each setting."""
    import rltools

    activation = "FAST_TANH" if fast_tanh else "TANH"
    name = f"{env_id}_{n_envs}_{n_steps}_{batch_size}_{n_epochs}_{activation}"
    environment: Any = {"path": str(PENDULUM)}
    if env_id != "Pendulum-v1":
        import gymnasium as gym

        environment = lambda: gym.make(env_id)  # noqa: E731 - what its interface takes
    with contextlib.redirect_stdout(io.StringIO()):
        module = rltools.PPO(
            environment,
            enable_evaluation=False,
            interface_name="".join(c if c.isalnum() else "_" for c in name),
            N_ENVIRONMENTS=n_envs,
            ON_POLICY_RUNNER_STEPS_PER_ENV=n_steps,
            BATCH_SIZE=batch_size,
            N_EPOCHS=n_epochs,
            STEP_LIMIT=UNLIMITED,
            ACTOR_ACTIVATION_FUNCTION=activation,
            CRITIC_ACTIVATION_FUNCTION=activation,
            INITIAL_ACTION_STD=1.0,
            ACTION_ENTROPY_COEFFICIENT=0.0,
            OPTIMIZER_ALPHA=3e-4,
        )
    # Its loop reports to standard output, past Python's.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    state = module.State(0)

    def train(rollouts: int) -> None:
        for _ in range(rollouts):
            state.step()

    return train
