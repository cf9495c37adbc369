"""What one update logs (Spec 8.2): averages over every minibatch of the update."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import explained_variance

from ppo_lab.ppo import objectives as obj

__all__ = ["UpdateDiagnostics", "record_fit", "record_spreads"]

_SCALAR_FORMATS = ("stdout", "log", "json", "csv")


class UpdateDiagnostics:
    """Collects one update's numbers and writes their means to SB3's logger.

    SB3 averages some over the update and others over its last epoch; here all cover the whole
    update, so that an early stop or a bad first epoch shows.

    Args:
        logger: where :meth:`record` writes to.

    Attributes:
        wants_histogram: whether somebody draws the ratios themselves.
    """

    def __init__(self, logger: Logger) -> None:
        self.logger = logger
        self.wants_histogram = any(
            isinstance(output, TensorBoardOutputFormat) for output in logger.output_formats
        )
        self._values: defaultdict[str, list[float]] = defaultdict(list)
        self._ratios: list[th.Tensor] = []

    def add(self, **values: float | th.Tensor) -> None:
        """Add one minibatch's scalars, by the name they are logged under (``train/<name>``)."""
        for name, value in values.items():
            self._values[name].append(float(value))

    def add_losses(self, losses: obj.Losses, approx_kl: float, clip_range: float) -> None:
        """Add what one minibatch's losses say (Spec 8.2).

        Args:
            losses: of the minibatch.
            approx_kl: its k3.
            clip_range: ε, beyond which a ratio counts as clipped.
        """
        ratio = losses.ratio.detach()
        self.add(
            policy_gradient_loss=-losses.objective.detach(),
            value_loss=losses.value_loss.detach(),
            entropy_loss=-losses.entropy.detach(),
            loss=losses.total.detach(),
            approx_kl=approx_kl,
            clip_fraction=obj.clip_fraction(ratio, clip_range),
            ratio_mean=ratio.mean(),
            effective_sample_size=obj.effective_sample_size(ratio),
        )
        if self.wants_histogram:
            self._ratios.append(ratio)

    def add_minibatches(
        self, values: Mapping[str, NDArray[np.float64]], ratios: NDArray[np.float32]
    ) -> None:
        """Add what the kernels say of a whole update.

        Args:
            values: name → (minibatches,), as :meth:`add` would have been given them one by one;
                NaN where a minibatch has none.
            ratios: of all samples of all minibatches, or none.
        """
        for name, series in values.items():
            numbers = series[~np.isnan(series)]
            if numbers.size:
                self._values[name].extend(numbers.tolist())
        if self.wants_histogram:
            self._ratios.append(th.from_numpy(ratios))

    def add_advantages(self, advantages: NDArray[np.float32]) -> None:
        """Add a rollout's advantages (T, N) as they are before any normalisation (Spec 8.2)."""
        # In double precision: the squares of large ones overflow in single.
        self.add(
            advantage_mean=advantages.mean(dtype=np.float64),
            advantage_std=advantages.std(dtype=np.float64),
        )

    def record(self) -> None:
        """Write every mean, and the histogram of the ratios where TensorBoard listens."""
        for name, values in self._values.items():
            self.logger.record(f"train/{name}", float(np.mean(values)))
        if self._ratios:
            ratios = th.cat(self._ratios)
            self.logger.record("train/ratio", ratios, exclude=_SCALAR_FORMATS)


def record_fit(logger: Logger, buffer: RolloutBuffer, policy: ActorCriticPolicy) -> None:
    """Write how much of its returns' variance a rollout's values explain, and the policy's std."""
    explained = explained_variance(buffer.values.flatten(), buffer.returns.flatten())
    logger.record("train/explained_variance", explained)
    if hasattr(policy, "log_std"):
        logger.record("train/std", th.exp(policy.log_std).mean().item())


def record_spreads(logger: Logger, episodes: Sequence[Mapping[str, float]]) -> None:
    """Write the standard deviations of the latest episodes' returns and lengths.

    Args:
        logger: SB3's.
        episodes: Monitor's ``r`` and ``l`` of each; none are written where there are none.
    """
    if episodes and episodes[0]:
        for key, name in (("r", "ep_rew_std"), ("l", "ep_len_std")):
            spread = float(np.std([episode[key] for episode in episodes]))
            logger.record(f"rollout/{name}", spread)
