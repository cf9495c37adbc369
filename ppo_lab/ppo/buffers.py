"""SB3's rollout buffers with the targets and advantages of the specification (Spec 3, 4)."""

from typing import Literal

import numpy as np
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
    """

    advantage_estimator: AdvantageEstimator = "gae"
    n_step: int = 5
    use_baseline: bool = True

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
        """Bring the arrays from (T, K, …) into the shape (T·K, …) that ``get`` samples from."""
        if self.generator_ready:
            return
        for name in FLATTENED:
            setattr(self, name, self.swap_and_flatten(getattr(self, name)))
        self.generator_ready = True


class SpecDictRolloutBuffer(SpecRolloutBuffer, DictRolloutBuffer):
    """The same for dictionary observations."""


def with_estimators(buffer_class: type[RolloutBuffer] | None, is_dict: bool) -> type[RolloutBuffer]:
    """Our class for None or one of SB3's own two, which GAE fills alike; every other as it is."""
    if buffer_class in (None, RolloutBuffer, DictRolloutBuffer):
        return SpecDictRolloutBuffer if is_dict else SpecRolloutBuffer
    assert buffer_class is not None
    return buffer_class
