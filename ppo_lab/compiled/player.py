"""The packed policy as it acts in K environments, beside SB3's loop."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import obs_as_tensor
from torch import nn

from ppo_lab.compiled.packed_policy import PackedPolicy
from ppo_lab.compiled.rows import Observations, write_observations
from ppo_lab.errors import broken_distribution
from ppo_lab.kernels.acting import predict_values, run_act
from ppo_lab.kernels.boundary import check_array, check_network
from ppo_lab.kernels.compile_notice import announced
from ppo_lab.kernels.layout import Layout
from ppo_lab.kernels.stepping import SERVED, StepArrays, load_step, run_step, step_arrays
from ppo_lab.ppo.action_masks import MaskSource
from ppo_lab.ppo.buffers import SpecRolloutBuffer
from ppo_lab.ppo.callbacks import check_finite, check_rollout
from ppo_lab.ppo.space_checks import check_indices, check_shape
from ppo_lab.ppo.torch_internals import copy_all, live_parts
from ppo_lab.vec_env.compiled import CompiledVecEnv
from ppo_lab.vec_env.games import GamesVecEnv, rolled_out
from ppo_lab.worlds.rollout import RolloutArrays, RolloutOutcome

__all__ = ["Player", "step_types"]


class Player:
    """The packed policy in K environments for T steps, with all its random numbers drawn before.

    Args:
        model: its policy is the one packed.
        packed: read.
        buffer: just reset; its observations, values and log-probabilities are written by ``act``.
        n_steps: T.

    Attributes:
        actions: (T, K, n_actions) int64, or float32 before they are clipped to their Box.
        noise: (T, K, n_actions) float64, what decides them.
        layout: of the policy.
        is_packed: False once somebody exchanged the policy's parameters, modules or hooks.
    """

    def __init__(
        self,
        model: OnPolicyAlgorithm,
        packed: PackedPolicy,
        buffer: SpecRolloutBuffer,
        n_steps: int,
    ) -> None:
        layout, n_envs = packed.layout, buffer.n_envs
        self._model, self._packed, self._buffer = model, packed, buffer
        self._binding, self.is_packed = _binding_of(packed, model.policy), True
        self.noise = draw_noise(packed, n_steps, n_envs)
        self.actions = np.zeros(self.noise.shape, layout.action_dtype)
        self._params, self.layout, self._work = packed.params, layout, layout.workspace(n_envs)
        check_network(layout, self._params, self._work)
        check_array("values", buffer.values, (buffer.buffer_size, n_envs), written=True)
        check_array("log_probs", buffer.log_probs, (buffer.buffer_size, n_envs), written=True)
        self._space, action_space = model.observation_space, model.action_space
        self._counts = int(self._space.n) if isinstance(self._space, spaces.Discrete) else 0
        self._shape = (n_envs, *(self._space.shape or ()))
        self._source = _mask_source(model, layout)
        shape = () if isinstance(action_space, spaces.Discrete) else action_space.shape or ()
        self._moves = self.actions.reshape(n_steps, n_envs, *shape)
        self._box = action_space if isinstance(action_space, spaces.Box) else None
        self._clipped, self._bounds = self._moves, np.zeros((2, 0), layout.action_dtype)
        if self._box is not None:
            # A place for each step's: an environment may keep the action that it was given.
            dtype = bounds_type(self._box)
            self._clipped = np.empty(self._moves.shape, dtype)
            bounds = self._box.low.ravel(), self._box.high.ravel()
            self._bounds = np.stack(bounds).astype(dtype)

    @cached_property
    def _arrays(self) -> StepArrays | None:
        """What a step's one call takes, checked once; None where it does not serve the buffer."""
        seen, layout = self._buffer.observations, self.layout
        if isinstance(seen, dict):
            return None
        is_float = seen.dtype.kind == "f"
        # One state alone would look like a number.
        if seen.dtype not in SERVED or not (is_float or self._counts > 1):
            return None
        if not seen.flags.c_contiguous:
            return None
        n_envs = self._buffer.n_envs
        arrays = StepArrays(
            self._params, layout.plan, self._work,
            seen.reshape(len(seen), n_envs, -1), np.zeros((n_envs, layout.row), np.float32),
            self.noise, self.actions, self._buffer.values, self._buffer.log_probs,
            self._bounds, self._clipped.reshape(self.actions.shape),
        )  # fmt: skip
        with announced("a rollout's step", 5):
            load_step(arrays.seen.dtype, arrays.actions.dtype, arrays.bounds.dtype)
        return step_arrays(layout, arrays)

    def read(self) -> None:
        """Take the parameters as they now are; other networks than the ones packed act by torch."""
        self.is_packed = self.is_packed and self._binding.holds
        if self.is_packed:
            self._binding.read()
            self._packed.scale_value()

    def act(self, step: int, observations: Any) -> NDArray[Any]:
        """Choose the actions of one step, and write what belongs to it into the buffer.

        Args:
            step: which.
            observations: (K, …) as the environments give them.

        Returns:
            (K, …) actions as the environments take them.

        Raises:
            NonFiniteError: see :func:`collect`; ObservationError: not of the space.
        """
        arrays, seen = self._arrays, self._buffer.observations
        if arrays is None:
            self._check(observations)
            write_observations(seen, step, observations)
            is_served = False
        else:
            if observations.shape != self._shape or self._counts:
                self._check(observations)
            # NumPy's own cast into the buffer's dtype, as by RolloutBuffer.add.
            is_row = observations.ndim < seen.ndim - 1
            seen[step] = observations[:, np.newaxis] if is_row else observations
            is_served = not self._counts or observations.dtype == seen.dtype
        masks = self._masks()
        if arrays is not None and is_served:
            if masks is not None:
                arrays.inputs[:, self.layout.inputs :] = masks
            bad = run_step(step, *arrays)
        else:
            bad = self._act_on(step, self._encoded(observations, masks))
            self.for_the_environment(step)
        if bad >= 0:
            self._refuse(step, observations)
        self.keep_masks(step)
        moves: NDArray[Any] = self._clipped[step]
        return moves

    def takes_rows_of(self, observations: Any) -> bool:
        """Whether ``act_on_row`` serves observations that are such: no mask, check or encoding."""
        return (
            self._arrays is not None
            and self._source is None
            and not self._counts
            and self._buffer.sampled is None
            and observations.shape == self._shape == self._buffer.observations.shape[1:]
        )

    def put(self, step: int, observations: Any) -> None:
        """Write the (K, …) observations of a step into the buffer.

        Raises:
            ObservationError: not of the space.
        """
        self._check(observations)
        write_observations(self._buffer.observations, step, observations)

    def act_on_row(self, step: int) -> NDArray[Any]:
        """As ``act``, where the buffer holds the step's observations already.

        Raises:
            NonFiniteError: see :func:`collect`.
        """
        assert self._arrays is not None
        bad = run_step(step, *self._arrays)
        if bad >= 0:
            self._refuse(step, self._buffer.observations[step])
        moves: NDArray[Any] = self._clipped[step]
        return moves

    def _masks(self) -> NDArray[np.bool_] | None:
        """(K, A) of the states that the environments are in; None where there are none."""
        return None if self._source is None else self._source()

    def keep_masks(self, step: int) -> None:
        """Write the masks that a step's actions were chosen under into the buffer, if there are."""
        if self._source is not None:
            self._buffer.action_masks[step] = self._source.take()  # type: ignore[attr-defined]

    def _act_on(self, step: int, inputs: NDArray[np.float32]) -> int:
        """Choose the actions of a step for (K, I) ``inputs``, whatever the buffer holds."""
        kept = self._buffer.values[step], self._buffer.log_probs[step]
        rows = self.noise[step], self._work, self.actions[step], *kept
        return run_act(self._params, self.layout.plan, inputs, *rows)

    def choose(
        self, step: int, observations: Any
    ) -> tuple[NDArray[Any], NDArray[Any], th.Tensor, th.Tensor]:
        """Choose the actions of one step, as SB3's policy would be asked for them.

        Returns:
            (K, …) actions, the same within their bounds, V (K, 1) and log π (K,); the buffer is
            not written to, not even by ``keep_masks``.

        Raises:
            NonFiniteError, ObservationError: as ``act``.
        """
        self._check(observations)
        if not self.is_packed:
            return self._choose_by_torch(step, observations)
        n_envs, inputs = self._buffer.n_envs, self._encoded(observations, self._masks())
        values, log_probs = np.empty(n_envs, np.float32), np.empty(n_envs, np.float32)
        chosen, noise = self.actions[step], self.noise[step]
        plan = self.layout.plan
        bad = run_act(self._params, plan, inputs, noise, self._work, chosen, values, log_probs)
        if bad >= 0:
            self._refuse(step, observations)
        value = th.from_numpy(values).reshape(-1, 1)
        return self._moves[step], self.for_the_environment(step), value, th.from_numpy(log_probs)

    def _choose_by_torch(
        self, step: int, observations: Any
    ) -> tuple[NDArray[Any], NDArray[Any], th.Tensor, th.Tensor]:
        with th.no_grad():
            tensors = obs_as_tensor(observations, self._model.device)
            actions, values, log_probs = self._model.policy(tensors)
        self._moves[step][:] = actions.numpy()
        return self._moves[step], self.for_the_environment(step), values, log_probs

    def value(self, observations: Any) -> NDArray[np.float32]:
        """V of (K, …) observations: (K,) float32."""
        if not self.is_packed:
            with th.no_grad():
                tensors = obs_as_tensor(observations, self._model.device)
                valued = self._model.policy.predict_values(tensors)
            return valued.numpy().reshape(-1)
        inputs = self._packed.rows(observations)
        values = np.empty(len(inputs), np.float32)
        predict_values(self._params, self.layout, inputs, self._work, values)
        return values

    def roll_out(
        self,
        env: CompiledVecEnv | GamesVecEnv,
        arrays: RolloutArrays,
        stop: int,
        normalized: tuple[NDArray[np.float64], NDArray[np.float32]] | None = None,
    ) -> RolloutOutcome:
        """Steps 1 to ``stop`` of a compiled environment in one call, into ``arrays`` of these."""
        model, starts = self._model, self._model._last_episode_starts
        assert starts is not None
        layout, noise = self._packed.layout, self.noise[1:stop]
        rules = layout, self._params, arrays, starts, noise, model.gamma
        if isinstance(env, GamesVecEnv):
            return env.rollout(*rules)
        outcome: RolloutOutcome = env.rollout(*rules, normalized)
        return outcome

    def for_the_environment(self, step: int) -> NDArray[Any]:
        """The actions of a step, (K, …), within the bounds of their space."""
        moves: NDArray[Any] = self._moves[step]
        clipped: NDArray[Any] = self._clipped[step]
        if self._box is None:
            return moves
        np.maximum(moves, self._box.low, out=clipped)
        np.minimum(clipped, self._box.high, out=clipped)
        return clipped

    def _check(self, observations: Any) -> None:
        if isinstance(self._space, spaces.Dict):
            for key, space in self._space.spaces.items():
                shape = (self._buffer.n_envs, *(space.shape or ()))
                check_shape(observations[key], shape, self._model.num_timesteps)
            check_indices(observations, self._space, self._model.num_timesteps)
            return
        if observations.shape != self._shape:
            check_shape(observations, self._shape, self._model.num_timesteps)
        if self._counts and not _within(observations, self._counts):
            check_indices(observations, self._space, self._model.num_timesteps)

    def _encoded(
        self, observations: Observations, masks: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """As SB3's policy sees them: a Discrete's as whole numbers, others as they were given."""
        if self._counts:
            assert isinstance(observations, np.ndarray)
            observations = observations.astype(self._buffer.observations.dtype, copy=False)
        return self._packed.rows(observations, masks)

    def _refuse(self, step: int, observations: Observations) -> NoReturn:
        model, buffer = self._model, self._buffer
        check_rollout(buffer, step, model.num_timesteps - step * buffer.n_envs)
        check_finite("observation", observations, model.num_timesteps)
        raise broken_distribution(model.num_timesteps)


def _mask_source(model: OnPolicyAlgorithm, layout: Layout) -> MaskSource | None:
    """Where a rollout's masks come from; None: they are not asked for."""
    if not layout.masked:
        return None
    source = model.policy.mask_source
    assert isinstance(source, MaskSource)  # as of MaskingAlgorithm.collect_rollouts
    return source


def bounds_type(space: spaces.Box) -> np.dtype[Any]:
    """The dtype in which actions are clipped to their space."""
    return np.result_type(np.float32, space.low)


def step_types(
    model: OnPolicyAlgorithm, layout: Layout
) -> tuple[np.dtype[Any], np.dtype[Any]] | None:
    """The dtypes by which ``run_step`` will be compiled; None: it is not for this model.

    A rollout of compiled environments takes its steps in a kernel of their own.
    """
    seen, space = model.rollout_buffer.observations, model.action_space
    env = model.get_env()
    if isinstance(seen, dict):
        return None
    inner = None if env is None else env.unwrapped
    if seen.dtype not in SERVED or isinstance(inner, CompiledVecEnv) or rolled_out(type(inner)):
        return None
    if isinstance(space, spaces.Box):
        return seen.dtype, bounds_type(space)
    return seen.dtype, np.dtype(layout.action_dtype)


def _within(indices: NDArray[Any], counts: int) -> bool:
    """Whether all are surely in 0 … counts − 1; quick for int64, which negative ones leave."""
    return indices.dtype == np.int64 and bool(indices.view(np.uint64).max() < counts)


class _Binding:
    """A packed policy's networks, and the quickest way to read their parameters.

    Args:
        packed: its vectors are written.
        policy: the one that is packed.
    """

    def __init__(self, packed: PackedPolicy, policy: nn.Module) -> None:
        self._parameters: list[th.Tensor] = [*packed.parameters]
        self._vectors = packed.views()
        shown: list[Mapping[Any, Any]] = [vars(policy)]
        self._is_shown = True
        for module in policy.modules():
            parts = live_parts(module)
            self._is_shown = self._is_shown and parts is not None
            shown += parts or []
        self._parts = [(part, dict(part)) for part in shown]

    @property
    def holds(self) -> bool:
        """Whether the policy surely is made of the same modules, parameters and hooks still."""
        if not self._is_shown:
            return False
        for now, then in self._parts:  # noqa: SIM110 - a generator would take twice as long
            if now != then:
                return False
        return True

    def read(self) -> None:
        """Copy the parameters as they now are into the vectors."""
        with th.no_grad():
            copy_all(self._vectors, self._parameters)


_bindings: WeakKeyDictionary[PackedPolicy, _Binding] = WeakKeyDictionary()


def _binding_of(packed: PackedPolicy, policy: nn.Module) -> _Binding:
    binding = _bindings.get(packed)
    if binding is None or not binding.holds:
        binding = _bindings[packed] = _Binding(packed, policy)
    return binding


def draw_noise(packed: PackedPolicy, n_steps: int, n_envs: int) -> NDArray[np.float64]:
    """(T, K, n_actions) random numbers for actions, from torch's generator as the torch path's.

    Uniforms in [0, 1), or standard normals of a Gaussian.
    """
    shape = (n_steps, n_envs, packed.layout.n_actions)
    draw = th.randn if packed.layout.head == "gaussian" else th.rand
    noise: NDArray[np.float64] = draw(shape, dtype=th.float64).numpy()
    return noise
