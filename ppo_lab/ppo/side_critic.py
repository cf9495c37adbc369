"""The value of one more stream of rewards, such as costs or a bonus for what is new (Spec 15)."""

from collections.abc import Mapping
from functools import partial
from math import isfinite, sqrt
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.torch_layers import FlattenExtractor, MlpExtractor
from stable_baselines3.common.utils import obs_as_tensor
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its customary name

from ppo_lab.errors import NonFiniteError
from ppo_lab.ppo.torch_internals import no_compiler_import

__all__ = ["Observations", "SideCritic"]

Observations = NDArray[Any] | Mapping[str, NDArray[Any]]
"""(B, …), or a dictionary of such."""
CHUNK = 4096
"""Observations valued at once, which bounds the memory of a large rollout."""


class SideCritic(nn.Module):
    """A value network shaped like a policy's critic, with an optimiser of its own.

    Args:
        policy: whose features, layers, activation and optimiser it takes the form of; it shares no
            weights with it.
        name: of the stream, for errors.

    Attributes:
        optimizer: moves these parameters alone; its rate is set at every update.
    """

    def __init__(self, policy: ActorCriticPolicy, name: str) -> None:
        super().__init__()
        self.name = name
        self._space, self._normalize_images = policy.observation_space, policy.normalize_images
        self.features_extractor = policy.make_features_extractor()
        layers = MlpExtractor(
            self.features_extractor.features_dim, policy.net_arch, policy.activation_fn
        )
        self.layers = layers.value_net
        self.head = nn.Linear(layers.latent_dim_vf, 1)
        if policy.ortho_init:
            self.layers.apply(partial(policy.init_weights, gain=sqrt(2)))
            self.head.apply(partial(policy.init_weights, gain=1.0))
        self.to(policy.device)
        with no_compiler_import():
            self.optimizer = policy.optimizer_class(
                self.parameters(),
                lr=1e-3,  # type: ignore[call-arg]  # set before every use
                **policy.optimizer_kwargs,
            )

    def forward(self, observations: Any) -> th.Tensor:
        """(B, …) observations to their values (B,)."""
        values: th.Tensor = self.head(self._latent(observations))
        return values.flatten()

    def _latent(self, observations: Any) -> th.Tensor:
        is_flat = type(self.features_extractor) is FlattenExtractor
        if isinstance(self._space, spaces.Discrete) and is_flat and len(self.layers):
            # The first layer of a one-hot vector is a column of its weights: no product is needed.
            first = self.layers[0]
            index = observations.long().flatten()
            return self.layers[1:](F.embedding(index, first.weight.T) + first.bias)
        seen = preprocess_obs(observations, self._space, normalize_images=self._normalize_images)
        latent: th.Tensor = self.layers(self.features_extractor(seen))
        return latent

    @th.no_grad()
    def values(self, observations: Observations) -> th.Tensor:
        """V (B,) of B observations, without a graph, on the CPU."""
        parts = [
            self(self._tensors(_rows(observations, slice(start, start + CHUNK))))
            for start in range(0, _count(observations), CHUNK)
        ]
        return th.cat(parts).cpu()

    def fit(
        self,
        observations: Observations,
        returns: th.Tensor,
        n_epochs: int,
        batch_size: int,
        max_grad_norm: float,
    ) -> float:
        """Regress V on its targets over shuffled minibatches (Spec 3, 6.3).

        Args:
            observations: (B, …).
            returns: (B,) R̂.
            n_epochs: passes over them.
            batch_size: of a minibatch.
            max_grad_norm: clips this network's gradient norm.

        Returns:
            The mean loss.

        Raises:
            NonFiniteError: a loss or a gradient is NaN or infinite.
        """
        losses = []
        returns = returns.to(next(self.parameters()).device)
        for _ in range(n_epochs):
            order = np.random.permutation(len(returns))  # noqa: NPY002 - SB3's generator
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                values = self(self._tensors(_rows(observations, chosen)))
                loss = F.mse_loss(values, returns[th.as_tensor(chosen, device=returns.device)])
                self.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                norm = nn.utils.clip_grad_norm_(self.parameters(), max_grad_norm)
                losses.append(loss.item())
                if not isfinite(losses[-1] + norm.item()):
                    raise NonFiniteError(
                        f"the {self.name} critic's loss is {losses[-1]} with gradient norm "
                        f"{norm.item()}: training stopped; lower its learning rate or the scale "
                        "of what it predicts"
                    )
                self.optimizer.step()
        return float(np.mean(losses))

    def _tensors(self, observations: Observations) -> Any:
        device = next(self.parameters()).device
        return obs_as_tensor(observations, device)  # type: ignore[arg-type]  # SB3 asks for a dict


def _rows(observations: Observations, chosen: slice | NDArray[np.int64]) -> Any:
    if isinstance(observations, Mapping):
        return {key: part[chosen] for key, part in observations.items()}
    return observations[chosen]


def _count(observations: Observations) -> int:
    if isinstance(observations, Mapping):
        return len(next(iter(observations.values())))
    return len(observations)
