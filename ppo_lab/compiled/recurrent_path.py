"""RecurrentPPO's rollouts and updates by the kernels."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch as th
from numpy.typing import NDArray
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.buffers import RecurrentRolloutBuffer
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.common.recurrent.type_aliases import RNNStates

from ppo_lab.compiled.recurrent_policy import PackedRecurrentPolicy, why_not_compiled
from ppo_lab.compiled.rows import encode
from ppo_lab.errors import broken_distribution, broken_update
from ppo_lab.kernels.boundary import check_actions, check_array
from ppo_lab.kernels.compile_notice import announced
from ppo_lab.kernels.losses import N_DIAGNOSTICS
from ppo_lab.kernels.recurrent import (
    FAILED,
    STOPPED,
    RecurrentMemory,
    act_once,
    load,
    take_step,
)
from ppo_lab.kernels.settings import UpdateSettings
from ppo_lab.kernels.typing import Networks, Rollout
from ppo_lab.kernels.update import DIAGNOSTICS

__all__ = ["RecurrentPath"]

STATES = ("hidden_states_pi", "cell_states_pi", "hidden_states_vf", "cell_states_vf")
FLATTENED = (
    *("observations", "actions", "values", "log_probs", "advantages", "returns"),
    *(*STATES, "episode_starts"),
)
"""What the buffer's ``get`` flattens."""
KERNELS = "the kernels of RecurrentPPO", 40
"""In words, and how many seconds they take to compile on one core."""


class RecurrentPath:
    """The kernels bound to one model.

    Args:
        model: one that :func:`~ppo_lab.compiled.recurrent_policy.why_not_compiled` finds nothing
            against.

    Attributes:
        model: the same.
        packed: its parameters.
    """

    def __init__(self, model: RecurrentPPO) -> None:
        assert isinstance(model.policy, RecurrentActorCriticPolicy)
        self.model, self.packed = model, PackedRecurrentPolicy(model.policy)
        self._memories: dict[int, RecurrentMemory] = {}
        self._acts: bool | None = None

    def _memory(self, rows: int) -> tuple[RecurrentMemory, Networks]:
        packed = self.packed
        if rows not in self._memories:
            made = RecurrentMemory.of(packed.layout, len(packed.params), rows)
            self._memories[rows] = made
        memory = self._memories[rows]
        behind = packed.params[packed.behind_from :]
        return memory, Networks.of(packed.layout, behind, memory.behind.work)

    @property
    def batch_size(self) -> int:
        """Samples of a minibatch."""
        return self.model.batch_size or self._buffer.buffer_size * self._buffer.n_envs

    @property
    def _buffer(self) -> RecurrentRolloutBuffer:
        buffer = self.model.rollout_buffer
        assert isinstance(buffer, RecurrentRolloutBuffer)
        return buffer

    # ------------------------------------------------------------------ acting

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Within the block the policy's ``forward`` is this object's."""
        own = vars(self.model.policy)
        self._acts, own["forward"] = None, self.forward
        try:
            yield
        finally:
            del own["forward"]

    def _may_act(self, n_envs: int) -> bool:
        """Take the parameters as they are at the first step: a callback may have changed them."""
        policy = self.model.policy
        own = vars(policy)
        forward = own.pop("forward")
        try:
            with th.enable_grad():  # which a rollout goes without
                reason = why_not_compiled(self.model)
            is_same = reason is None and self.packed.is_of(policy)  # type: ignore[arg-type]
        finally:
            own["forward"] = forward
        if is_same:
            self.packed.read()
            load(self.packed.params, self.packed.inputs, self._memory(n_envs)[0])
        return is_same

    def forward(
        self, seen: th.Tensor, states: RNNStates, starts: th.Tensor, deterministic: bool = False
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor, RNNStates]:
        """The policy's ``forward`` in a rollout: actions, V, log π and the states after.

        Raises:
            NonFiniteError: V or log π is not finite.
        """
        with announced(*KERNELS):
            if self._acts is None:
                self._acts = self._may_act(len(starts))
            if deterministic or not self._acts:
                policy: Any = self.model.policy
                answer: Any = type(policy).forward(policy, seen, states, starts, deterministic)
                return answer  # type: ignore[no-any-return]
            return self._act(seen, states, starts)

    def _act(
        self, seen: th.Tensor, states: RNNStates, starts: th.Tensor
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor, RNNStates]:
        layout, k = self.packed.layout, len(starts)
        memory, behind = self._memory(k)
        x = encode(seen.numpy(), self.model.observation_space)
        kept = (1.0 - starts).reshape(1, k, 1)
        before: Any = tuple((kept * state)[0].numpy() for state in (*states.pi, *states.vf))
        draw = th.randn if layout.head == "gaussian" else th.rand
        noise = draw((k, layout.n_actions), dtype=th.float64).numpy()
        actions = np.empty((k, layout.n_actions), layout.action_dtype)
        values, log_probs = np.empty(k, np.float32), np.empty(k, np.float32)
        if act_once(x, np.array([k]), before, self.packed.params, behind, noise, memory, actions,
                    values, log_probs) >= 0:  # fmt: skip
            raise broken_distribution(self.model.num_timesteps)
        after = [
            th.from_numpy(table[None, :k].copy())
            for lstm in (memory.actor, memory.critic)
            for table in (lstm.h, lstm.c)
        ]
        shape = (k, *(self.model.action_space.shape or ()))
        return (
            th.from_numpy(actions.reshape(shape)),
            th.from_numpy(values).reshape(-1, 1),
            th.from_numpy(log_probs),
            RNNStates((after[0], after[1]), (after[2], after[3])),
        )

    # ------------------------------------------------------------------ the update

    def update(self, settings: UpdateSettings) -> tuple[dict[str, NDArray[np.float64]], int, bool]:
        """All epochs of one update; parameters and optimiser of torch move with it.

        Returns:
            What was logged of each minibatch, by name, epochs begun, and whether the KL stopped it.

        Raises:
            NonFiniteError: a loss or a gradient is not finite; what came before it is kept.
        """
        model, packed = self.model, self.packed
        flatten(self._buffer)
        self._check_buffer()
        packed.read()
        rates = np.array(packed.read_adam().packed())
        options, rows, outcome, epochs = settings.packed(), [], 0, 0
        for _ in range(model.n_epochs):
            epochs += 1
            for samples, begins in minibatches(self._buffer, self.batch_size):
                row = np.full(N_DIAGNOSTICS, np.nan)
                with announced(*KERNELS):
                    outcome = self._take_step(samples, begins, options, rates, row)
                rows.append(row)
                if outcome in (STOPPED, FAILED):
                    break
            if outcome in (STOPPED, FAILED):
                break
        packed.write()
        columns = dict(zip(DIAGNOSTICS, np.array(rows).T, strict=True))
        if outcome == FAILED:
            norm = float(np.linalg.norm(self._memory(self.batch_size)[0].gradient))
            raise broken_update(
                model.num_timesteps, float(columns["loss"][-1]), {"grad_norm": norm}
            )
        return columns, epochs, outcome == STOPPED

    def _check_buffer(self) -> None:
        """Check what goes into the kernels, which a callback may have exchanged.

        Raises:
            ArgumentError: an array of another shape, or an action that there is not.
        """
        buffer, layout = self._buffer, self.packed.layout
        n = buffer.buffer_size * buffer.n_envs
        check_actions(layout, buffer.actions.astype(layout.action_dtype), n)
        for name in ("values", "log_probs", "advantages", "returns", "episode_starts"):
            array = np.ascontiguousarray(getattr(buffer, name), np.float32)
            check_array(name, array, (n, 1))
        for name in STATES:
            array = np.ascontiguousarray(getattr(buffer, name), np.float32)
            check_array(name, array, (n, 1, self.packed.width))

    def _take_step(
        self, samples: Any, begins: Any, options: Any, rates: Any, row: NDArray[np.float64]
    ) -> int:
        model, packed = self.model, self.packed
        buffer = self._buffer
        by_step, first, counts = sorted_by_step(begins)
        chosen, begin = samples[by_step], samples[first]
        memory, behind = self._memory(self.batch_size)
        kept = 1.0 - buffer.episode_starts[begin]
        states: Any = tuple(
            np.ascontiguousarray(getattr(buffer, name)[begin, 0] * kept, np.float32)
            for name in STATES
        )
        flat = (buffer.values, buffer.log_probs, buffer.advantages, buffer.returns)
        rollout = Rollout(
            memory.rows[: len(chosen)],
            buffer.actions[chosen].astype(packed.layout.action_dtype),
            *(np.ascontiguousarray(array.ravel()[chosen], np.float32) for array in flat),
        )
        x = encode(buffer.observations[chosen], model.observation_space)
        outcome: int = take_step(
            x, counts, states, packed.params, behind, packed.m, packed.v, packed.n_steps + 1,
            options, rates, rollout, memory, row,
        )  # fmt: skip
        packed.n_steps += outcome not in (STOPPED, FAILED)
        return outcome


def flatten(buffer: RecurrentRolloutBuffer) -> None:
    """Bring the buffer's arrays into the order that its ``get`` brings them into."""
    if buffer.generator_ready:
        return
    for name in STATES:
        setattr(buffer, name, getattr(buffer, name).swapaxes(1, 2))
    for name in FLATTENED:
        setattr(buffer, name, buffer.swap_and_flatten(getattr(buffer, name)))
    buffer.generator_ready = True


def minibatches(buffer: RecurrentRolloutBuffer, batch_size: int) -> Iterator[tuple[Any, Any]]:
    """The samples of each minibatch of an epoch, and which begin a sequence, as the buffer's.

    They are in the rollout's order, begun at a random place: one draw from NumPy's generator.
    """
    starts = buffer.episode_starts.ravel() > 0
    starts[:: buffer.buffer_size] = True  # another environment
    n = len(starts)
    order = np.roll(np.arange(n), -np.random.randint(n))  # noqa: NPY002 - SB3 draws from it
    for first in range(0, n, batch_size):
        samples = order[first : first + batch_size]
        begins = starts[samples]
        begins[0] = True
        yield samples, begins


def sorted_by_step(
    begins: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Samples one after the other as the kernels take them, and which begin the sequences.

    Args:
        begins: (n,), which begin a sequence.

    Returns:
        (n,) samples by step and by falling length of their sequence, (R,) the first sample of
        each sequence by falling length, (T,) how many sequences have each step.
    """
    first = np.flatnonzero(begins)
    lengths = np.diff([*first, len(begins)])
    first, lengths = (array[np.argsort(-lengths, kind="stable")] for array in (first, lengths))
    counts = len(lengths) - np.searchsorted(lengths[::-1], np.arange(lengths[0]), side="right")
    rows = [first[:count] + step for step, count in enumerate(counts.tolist())]
    return np.concatenate(rows), first, counts
