"""The torch side of the kernels' tests: the same networks, losses and steps through autograd."""

from dataclasses import dataclass

import numpy as np
import torch as th
from sb3_contrib.common.maskable.distributions import MaskableCategorical
from torch import nn

from ppo_lab.kernels.layout import Layout
from ppo_lab.kernels.settings import AdamSettings, UpdateSettings
from ppo_lab.kernels.typing import Rollout
from ppo_lab.ppo import objectives as obj
from ppo_lab.ppo.advantages import normalize_advantages


class Reference(nn.Module):
    """A separate actor and critic of plain torch modules, in a layout's order."""

    def __init__(self, layout: Layout, params: np.ndarray, dtype: th.dtype = th.float32) -> None:
        super().__init__()
        self.layout = layout
        self.tensors = nn.ParameterDict()
        for place in layout.places():
            values = params[place.start : place.stop].reshape(place.shape).copy()
            self.tensors[self._key(place.role)] = nn.Parameter(th.as_tensor(values).to(dtype))

    @staticmethod
    def _key(role: tuple[str, int, str]) -> str:
        return "_".join(map(str, role))

    def network(self, name: str, depth: int, inputs: th.Tensor) -> th.Tensor:
        activation = th.tanh if self.layout.activation == "tanh" else th.relu
        for index in range(depth + 1):
            if index == 0:
                inputs = self.seen_by(name, inputs)
            weight = self.tensors[self._key((name, index, "weight"))]
            inputs = nn.functional.linear(
                inputs, weight, self.tensors[self._key((name, index, "bias"))]
            )
            if index < depth:
                inputs = activation(inputs)
        return inputs

    def seen_by(self, name: str, rows: th.Tensor) -> th.Tensor:
        """A network's part of rows (B, W)."""
        layout = self.layout
        if name == "actor" or layout.critic_inputs is None:
            return rows[:, : layout.inputs]
        return rows[:, layout.inputs : layout.inputs + layout.critic_inputs]

    def distributions(self, observations: th.Tensor) -> list[th.distributions.Distribution]:
        outputs = self.network("actor", len(self.layout.actor), observations)
        if self.layout.masked:
            masks = observations[:, -self.layout.n_outputs :]
            parts = zip(
                *(th.split(x, list(self.layout.action_sizes), 1) for x in (outputs, masks)),
                strict=True,
            )
            return [MaskableCategorical(logits=logits, masks=mask.bool()) for logits, mask in parts]
        if self.layout.head == "gaussian":
            log_std = self.tensors[self._key(("actor", len(self.layout.actor), "log_std"))]
            return [th.distributions.Normal(outputs, log_std.exp().expand_as(outputs))]
        parts = th.split(outputs, list(self.layout.action_sizes), dim=1)
        return [th.distributions.Categorical(logits=part) for part in parts]

    def evaluate(
        self, observations: th.Tensor, actions: th.Tensor
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """V, log π(a|s) and H, each (B,)."""
        values = self.network("critic", len(self.layout.critic), observations).flatten()
        parts = self.distributions(observations)
        if self.layout.head == "gaussian":
            return values, parts[0].log_prob(actions).sum(1), parts[0].entropy().sum(1)
        log_prob = sum(part.log_prob(actions[:, j]) for j, part in enumerate(parts))
        return values, log_prob, sum(part.entropy() for part in parts)

    def named(self, network: str) -> list[nn.Parameter]:
        places = (place.role for place in self.layout.places() if place.role[0] == network)
        return [self.tensors[self._key(role)] for role in places]

    def flat(self, gradients: bool = False) -> np.ndarray:
        tensors = [*self.named("actor"), *self.named("critic")]
        return np.concatenate(
            [(t.grad if gradients else t).detach().numpy().flatten() for t in tensors]
        )


def losses(
    model: Reference, rollout: Rollout, indices: np.ndarray, settings: UpdateSettings
) -> obj.Losses:
    """What ``SpecPPO._losses`` computes, from the same pure functions, for one minibatch."""
    dtype = next(model.parameters()).dtype

    def take(array: np.ndarray) -> th.Tensor:
        chosen = th.as_tensor(array[indices])
        return chosen.to(dtype) if chosen.is_floating_point() else chosen

    values, log_prob, entropies = model.evaluate(take(rollout.observations), take(rollout.actions))
    advantages, old_log_prob = take(rollout.advantages), take(rollout.old_log_probs)
    if settings.normalize_advantage and len(advantages) > 1:
        advantages = normalize_advantages(advantages)
    log_ratio = log_prob - old_log_prob
    ratio = obj.probability_ratio(log_prob, old_log_prob)
    if settings.objective == "clip":
        objective = obj.clipped_surrogate(ratio, advantages, settings.clip_range)
    elif settings.objective == "vanilla":
        objective = obj.policy_gradient(log_prob, advantages)
    else:
        penalty = settings.kl_coef * obj.kl_k3(log_ratio)
        objective = obj.surrogate(ratio, advantages) - penalty
    value_loss = obj.value_loss(
        values, take(rollout.returns), take(rollout.old_values), settings.clip_range_vf
    )
    entropy = obj.entropy_estimate(entropies, log_prob)
    total = obj.total_loss(objective, value_loss, entropy, settings.vf_coef, settings.ent_coef)
    return obj.Losses(objective, value_loss, entropy, total, log_ratio, ratio)


@dataclass
class Stepped:
    """What a torch update did."""

    diagnostics: list[list[float]]
    epochs: int
    stopped: bool
    optimizers: list[th.optim.Optimizer]


def torch_update(
    model: Reference,
    rollout: Rollout,
    permutations: np.ndarray,
    batch_size: int,
    settings: UpdateSettings,
    actor: AdamSettings,
    critic: AdamSettings,
) -> Stepped:
    """``SpecPPO.train`` over given permutations."""
    networks = [model.named("actor"), model.named("critic")]
    optimizers = [
        th.optim.Adam(ps, lr=s.learning_rate, betas=(s.beta1, s.beta2), eps=s.eps)
        for ps, s in zip(networks, (actor, critic), strict=True)
    ]
    rows: list[list[float]] = []
    for epoch, permutation in enumerate(permutations):
        for first in range(0, len(permutation), batch_size):
            found = losses(model, rollout, permutation[first : first + batch_size], settings)
            kl = obj.kl_k3(found.log_ratio).item()
            ratio = found.ratio.detach()
            row = [-found.objective, found.value_loss, -found.entropy, found.total, kl]
            row += [
                obj.clip_fraction(ratio, settings.clip_range),
                ratio.mean(),
                obj.effective_sample_size(ratio),
            ]
            rows.append([float(th.as_tensor(x).detach()) for x in row])
            if settings.kl_limit is not None and kl > settings.kl_limit:
                return Stepped(rows, epoch + 1, True, optimizers)
            for optimizer in optimizers:
                optimizer.zero_grad()
            found.total.backward()
            rows[-1] += [float(nn.utils.get_total_norm([p.grad for p in ps])) for ps in networks]
            if settings.critic_max_grad_norm is None:
                nn.utils.clip_grad_norm_([*networks[0], *networks[1]], settings.max_grad_norm)
            else:
                nn.utils.clip_grad_norm_(networks[0], settings.max_grad_norm)
                nn.utils.clip_grad_norm_(networks[1], settings.critic_max_grad_norm)
            for optimizer in optimizers:
                optimizer.step()
    return Stepped(rows, len(permutations), False, optimizers)


def make_rollout(
    layout: Layout, params: np.ndarray, n: int, seed: int, drift: float = 0.2
) -> Rollout:
    """A rollout whose old policy and old values differ a little from those of ``params``."""
    rng = np.random.default_rng(seed)
    observations = rng.standard_normal((n, layout.row)).astype(np.float32)
    masks = random_masks(layout, n, rng)
    observations[:, layout.row - masks.shape[1] :] = masks
    model = Reference(layout, params)
    with th.no_grad():
        if layout.head == "gaussian":
            (normal,) = model.distributions(th.as_tensor(observations))
            noise = rng.standard_normal((n, layout.n_actions)).astype(np.float32)
            actions: np.ndarray = normal.mean.numpy() + normal.stddev.numpy() * noise
        else:
            columns = [rng.integers(size, size=n) for size in layout.action_sizes]
            if layout.masked:
                ends = np.cumsum(layout.action_sizes)[:-1]
                parts = np.split(masks, ends, axis=1)
                columns = [np.argmax(part * rng.random(part.shape), axis=1) for part in parts]
            actions = np.stack(columns, axis=1)
        values, log_probs, _ = model.evaluate(th.as_tensor(observations), th.as_tensor(actions))

    def near(x: th.Tensor) -> np.ndarray:
        return (x.numpy() + drift * rng.standard_normal(n)).astype(np.float32)

    advantages = rng.standard_normal(n).astype(np.float32) + np.float32(0.3)
    returns = (2.0 * rng.standard_normal(n)).astype(np.float32)
    return Rollout(observations, actions, near(values), near(log_probs), advantages, returns)


def random_masks(layout: Layout, n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, O) of 0 and 1, the first row with one action allowed in each part, the second with all.

    (n, 0) where the layout has no masks.
    """
    if not layout.masked:
        return np.zeros((n, 0), np.float32)
    parts = []
    for size in layout.action_sizes:
        allowed = rng.random((n, size)) < 0.5
        allowed[0] = False
        allowed[1:2] = True
        allowed[np.arange(n), rng.integers(size, size=n)] = True
        parts.append(allowed)
    return np.concatenate(parts, axis=1).astype(np.float32)


def random_params(layout: Layout, seed: int, scale: float = 0.5) -> np.ndarray:
    """Weights of size scale/√in, biases and log std of size scale."""
    rng = np.random.default_rng(seed)
    params = np.empty(layout.n_parameters, np.float32)
    for place in layout.places():
        size = scale / np.sqrt(place.shape[-1]) if place.role[2] == "weight" else scale
        params[place.start : place.stop] = size * rng.standard_normal(place.stop - place.start)
    return params
