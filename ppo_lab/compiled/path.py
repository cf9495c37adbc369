"""The compiled path of one model: rollouts and updates by the kernels, in SB3's places.

:mod:`ppo_lab.compiled.choice` says when it may stand in for torch.
"""

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.compiled.collecting import collect
from ppo_lab.compiled.normalized_steps import why_by_its_own_code
from ppo_lab.compiled.packed_policy import PackedPolicy
from ppo_lab.compiled.player import step_types
from ppo_lab.errors import ArgumentError, broken_update
from ppo_lab.kernels.advantages import estimate_advantages
from ppo_lab.kernels.compile_notice import announced
from ppo_lab.kernels.divergence import rollout_kl
from ppo_lab.kernels.layout import Layout
from ppo_lab.kernels.losses import PORTION, Memory
from ppo_lab.kernels.settings import UpdateSettings
from ppo_lab.kernels.typing import Rollout, Trajectories
from ppo_lab.kernels.update import DIAGNOSTICS, update
from ppo_lab.kernels.warm_up import warm_up
from ppo_lab.ppo.buffers import SpecRolloutBuffer
from ppo_lab.ppo.diagnostics import UpdateDiagnostics
from ppo_lab.ppo.policies import SpecActorCriticPolicy

__all__ = ["CompiledPath"]


COMPILING_SECONDS = 15
"""Of the kernels that act and update, on one core."""


class CompiledPath:
    """The kernels bound to one model.

    Args:
        model: one that :func:`ppo_lab.compiled.choice.why_not_compiled` finds nothing against.

    Attributes:
        model: the same.
    """

    def __init__(self, model: OnPolicyAlgorithm) -> None:
        assert isinstance(model.policy, SpecActorCriticPolicy)
        self.model = model
        self._packed = PackedPolicy(model.policy)
        self._work = self._packed.layout.workspace(PORTION)
        self._memory: tuple[int, Memory] | None = None
        self._said: set[str] = set()

    def warm_up(self, measures_rollout_kl: bool) -> None:
        """Load the kernels, or compile them where this machine has not."""
        actions = "continuous" if self._packed.layout.head == "gaussian" else "discrete"
        with announced(f"the kernels of PPO for {actions} actions", COMPILING_SECONDS):
            buffer = self.model.rollout_buffer
            assert isinstance(buffer, SpecRolloutBuffer)
            warm_up(
                self._packed.layout,
                buffer.advantage_estimator,
                measures_rollout_kl,
                step_types(self.model, self._packed.layout),
            )

    def is_of(self, model: OnPolicyAlgorithm) -> bool:
        """Whether this path was made for this model, whose networks are still the same."""
        policy = model.policy
        return (
            model is self.model
            and isinstance(policy, SpecActorCriticPolicy)
            and self._packed.is_of(policy)
        )

    def parameters(self) -> tuple[Layout, NDArray[np.float32]]:
        """The networks' shapes, and a copy of all parameters (P,) as they now act."""
        self._read_to_act()
        return self._packed.layout, self._packed.params.copy()

    def _read_to_act(self) -> None:
        self._packed.read()
        self._packed.scale_value()

    def collect(
        self, env: VecEnv, callback: BaseCallback, buffer: SpecRolloutBuffer, n_steps: int
    ) -> bool:
        """SB3's ``collect_rollouts`` from ``on_rollout_start`` on: fill the buffer and its targets.

        Args:
            env: the model's.
            callback: has been told of the start.
            buffer: just reset.
            n_steps: T.

        Returns:
            False where the callback stopped the training.

        Raises:
            NonFiniteError: see :func:`ppo_lab.compiled.collecting.collect`.
        """
        model = self.model
        self._say_why_slower(why_by_its_own_code(env))
        self._read_to_act()
        loop = collect(model, self._packed, env, callback, buffer, n_steps)
        if loop is None:
            return False
        if loop.normalized is not None:
            self._say_why_slower(loop.normalized.unfit)
        last_values = loop.player.value(model._last_obs)
        self._compute_targets(buffer, last_values)
        loop.names["values"] = th.from_numpy(last_values).reshape(-1, 1)
        callback.update_locals(loop.names)
        callback.on_rollout_end()
        return True

    def _say_why_slower(self, reason: str | None) -> None:
        if reason is not None and reason not in self._said and self.model.verbose >= 1:
            print(f"VecNormalize is stepped by its own code, because {reason}")
            self._said.add(reason)

    def _compute_targets(self, buffer: SpecRolloutBuffer, last_values: NDArray[np.float32]) -> None:
        """Fill ``returns`` and ``advantages`` as the buffer itself does, by the kernels.

        Args:
            buffer: its T steps taken.
            last_values: V of the observations after the last step, (K,).
        """
        dones = self.model._last_episode_starts
        assert dones is not None
        starts, rewards = buffer.episode_starts, buffer.rewards
        estimate_advantages(
            buffer.advantage_estimator,
            Trajectories(rewards, buffer.values, last_values, starts, dones.astype(np.float32)),
            buffer.gamma,
            buffer.gae_lambda,
            buffer.n_step,
            buffer.advantages,
            buffer.returns,
        )
        if not buffer.use_baseline:
            buffer.advantages = buffer.returns.copy()

    def update(
        self,
        settings: UpdateSettings,
        n_epochs: int,
        batch_size: int,
        diagnostics: UpdateDiagnostics,
    ) -> None:
        """All epochs of one update (Spec 6.3); parameters and optimisers of torch move with it.

        Args:
            settings: the loss and its limits.
            n_epochs: passes over the rollout.
            batch_size: samples a minibatch.
            diagnostics: told of every minibatch.

        Raises:
            NonFiniteError: a loss or a gradient is not finite.
        """
        model, packed = self.model, self._packed
        rollout = packed.to_learn(self._rollout())
        n_samples = len(rollout.returns)
        # One draw an epoch from numpy's generator, as the buffer makes them.
        permutations = np.stack(
            [np.random.permutation(n_samples) for _ in range(n_epochs)]  # noqa: NPY002
        )
        packed.read()
        actor, critic = packed.read_adam()
        result = update(
            packed.layout,
            packed.params,
            packed.adam,
            rollout,
            permutations,
            batch_size,
            settings,
            actor,
            critic,
            self._memory_of(batch_size),
            keep_ratios=diagnostics.wants_histogram,
        )
        packed.write()
        if result.failure is not None:
            norms = result.failure._asdict()
            # In single precision as torch has it, where a large one is infinite.
            with np.errstate(over="ignore"):
                loss = float(np.float32(norms.pop("loss")))
            raise broken_update(model.num_timesteps, loss, norms)
        model._n_updates += result.epochs
        columns = dict(zip(DIAGNOSTICS, result.diagnostics.T, strict=True))
        diagnostics.add_minibatches(columns, result.ratios)
        if result.stopped and model.verbose >= 1:
            kl = columns["approx_kl"][-1]
            print(f"Early stopping at epoch {result.epochs - 1}: KL {kl:.4f} is too large")

    def rollout_kl(self) -> float:
        """k3 of the policy as it now is, over every sample of the rollout (Spec 7.6)."""
        self._packed.read()
        params, layout, rollout = self._packed.params, self._packed.layout, self._rollout()
        return rollout_kl(
            params, layout, rollout.observations, rollout.actions, rollout.old_log_probs, self._work
        )

    def _memory_of(self, batch_size: int) -> Memory:
        if self._memory is None or self._memory[0] != batch_size:
            self._memory = batch_size, Memory.of(self._packed.layout, batch_size)
        return self._memory[1]

    def _rollout(self) -> Rollout:
        buffer = self.model.rollout_buffer
        assert isinstance(buffer, SpecRolloutBuffer)
        if not buffer.full:
            raise ArgumentError(
                f"the rollout buffer holds {buffer.pos} of {buffer.buffer_size} steps, and an "
                "update needs them all: n_steps cannot be changed once a model is made"
            )
        buffer.flatten()
        actions: NDArray[np.int64 | np.float32] = buffer.actions.astype(
            self._packed.layout.action_dtype, copy=False
        )
        return Rollout(
            self._packed.rows(buffer.observations, getattr(buffer, "action_masks", None)),
            actions,
            # A callback may have put numbers of another type in an array's place.
            *(
                np.ascontiguousarray(array, np.float32).ravel()
                for array in (buffer.values, buffer.log_probs, buffer.advantages, buffer.returns)
            ),
        )
