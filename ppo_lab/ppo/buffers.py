"""SB3's rollout buffers with the targets and advantages of the specification (Spec 3, 4)."""

from collections.abc import Callable, Generator
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch as th
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer

from ppo_lab.ppo import advantages as adv

__all__ = ["AdvantageEstimator", "SpecDictRolloutBuffer", "SpecRolloutBuffer", "with_estimators"]

AdvantageEstimator = Literal["gae", "mc", "td0", "nstep"]
FLATTENED = ("observations", "actions", "values", "log_probs", "advantages", "returns")
"""What SB3's ``get`` flattens."""


class SpecRolloutBuffer(RolloutBuffer):
    """A :class:`RolloutBuffer` whose targets come from :mod:`ppo_lab.ppo.advantages`.

    Attributes:
        advantage_estimator: which of Spec 3.1–3.4 the critic regresses on; the advantage is the
            target minus V (for ``gae``: Spec 4.2, with R̂ = Â + V).
        n_step: n of Spec 3.3, for ``nstep``.
        use_baseline: False leaves V out of the advantage (REINFORCE, Spec 5.1).
        sampled: (n_steps, n_envs) bool, False where an environment spent the step on its reset,
            which is no sample and in no minibatch; None: all are samples.
        flattened: the arrays that minibatches are taken from.
    """

    advantage_estimator: AdvantageEstimator = "gae"
    n_step: int = 5
    use_baseline: bool = True
    sampled: npt.NDArray[np.bool_] | None = None
    flattened: ClassVar[tuple[str, ...]] = FLATTENED
    _sampled_rows: Callable[[], npt.NDArray[np.bool_]] | None = None

    def leave_out(self, sampled_rows: Callable[[], npt.NDArray[np.bool_]] | None) -> None:
        """Leave out of the next rollouts what is no sample.

        Args:
            sampled_rows: asked after each step, (n_envs,) bool; None: all rows are samples.
        """
        self._sampled_rows = sampled_rows

    def reset(self) -> None:
        """Empty the buffer."""
        super().reset()
        shape = self.buffer_size, self.n_envs
        self.sampled = None if self._sampled_rows is None else np.ones(shape, np.bool_)

    def add(self, *row: Any, **named: Any) -> None:
        """Add a step of all environments; SB3's arguments."""
        self.note_samples(self.pos)
        super().add(*row, **named)

    def note_samples(self, step: int) -> None:
        """Note which rows of a step that was just taken are samples."""
        if self._sampled_rows is not None:
            assert self.sampled is not None
            self.sampled[step] = self._sampled_rows()

    def get(self, batch_size: int | None = None) -> Generator[Any, None, None]:
        """Minibatches of the samples in a new order; SB3's argument."""
        if self.sampled is None:
            yield from super().get(batch_size)
            return
        self.flatten()
        n_samples = len(self.returns)
        order = np.random.permutation(n_samples)  # noqa: NPY002 - the generator that SB3 draws from
        size = batch_size or n_samples
        for start in range(0, n_samples, size):
            yield self._get_samples(order[start : start + size])

    def compute_returns_and_advantage(self, last_values: th.Tensor, dones: np.ndarray) -> None:
        """Fill ``advantages`` and ``returns``, each (n_steps, n_envs) float32.

        A truncated step arrives with γ V(s_{t+1}) already added to its reward (SB3's issue 633),
        so from here on it is a termination: nothing else follows from either.

        Args:
            last_values: V of the observation after the last step, n_envs values.
            dones: (n_envs,) whether the last step ended its episode.
        """
        rewards = th.as_tensor(self.rewards)
        values = th.as_tensor(self.values)
        last = last_values.detach().cpu().reshape(1, -1)
        next_values = th.cat([values[1:], last])
        ends = np.concatenate([self.episode_starts[1:], dones[None].astype(np.float32)])
        done = th.as_tensor(ends)

        if self.advantage_estimator == "gae":
            advantages = adv.gae(
                rewards, values, next_values, done, done, self.gamma, self.gae_lambda
            )
            returns = adv.lambda_returns(advantages, values)
        else:
            if self.advantage_estimator == "mc":
                returns = adv.monte_carlo_returns(rewards, next_values, done, done, self.gamma)
            elif self.advantage_estimator == "td0":
                returns = adv.td0_targets(rewards, next_values, done, self.gamma)
            else:
                returns = adv.n_step_returns(
                    rewards, next_values, done, done, self.gamma, self.n_step
                )
            advantages = returns - values
        self.returns = returns.numpy()
        self.advantages = advantages.numpy() if self.use_baseline else self.returns.copy()

    def flatten(self) -> None:
        """Bring the arrays from (T, K, …) into the shape (T·K, …) that ``get`` samples from.

        Of the T·K rows only samples stay.
        """
        if self.generator_ready:
            return
        kept = None if self.sampled is None else self.swap_and_flatten(self.sampled).ravel()
        for name in self.flattened:
            array = getattr(self, name)
            if isinstance(array, dict):
                setattr(self, name, {key: self._flat(part, kept) for key, part in array.items()})
            else:
                setattr(self, name, self._flat(array, kept))
        self.generator_ready = True

    def _flat(self, array: npt.NDArray[Any], kept: npt.NDArray[np.bool_] | None) -> Any:
        flat = self.swap_and_flatten(array)
        return flat if kept is None else flat[kept]


class SpecDictRolloutBuffer(SpecRolloutBuffer, DictRolloutBuffer):
    """The same for dictionary observations."""


def with_estimators(buffer_class: type[RolloutBuffer] | None, is_dict: bool) -> type[RolloutBuffer]:
    """Our class for None or one of SB3's own two, which GAE fills alike; every other as it is."""
    if buffer_class in (None, RolloutBuffer, DictRolloutBuffer):
        return SpecDictRolloutBuffer if is_dict else SpecRolloutBuffer
    assert buffer_class is not None
    return buffer_class
