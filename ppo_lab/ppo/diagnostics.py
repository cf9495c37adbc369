"""What one update logs (Spec 8.2): averages over every minibatch of the update."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat

from ppo_lab.ppo import objectives as obj

__all__ = ["UpdateDiagnostics"]

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
            there = series[~np.isnan(series)]
            if there.size:
                self._values[name].extend(there.tolist())
        if self.wants_histogram:
            self._ratios.append(th.from_numpy(ratios))

    def record(self) -> None:
        """Write every mean, and the histogram of the ratios where TensorBoard listens."""
        for name, values in self._values.items():
            self.logger.record(f"train/{name}", float(np.mean(values)))
        if self._ratios:
            ratios = th.cat(self._ratios)
            self.logger.record("train/ratio", ratios, exclude=_SCALAR_FORMATS)
