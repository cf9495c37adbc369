"""SB3's ``VecNormalize`` of one step, each operation in NumPy's order: every bit is SB3's.

NumPy sums a column of a table (K, D) row after row, and a vector, or a table of one column, in
eight partial sums, which it does so for at most 128 numbers. It computes in single precision where
the observations are single, and in double precision otherwise.

The statistics of one ``VecNormalize`` lie in one vector of doubles: its flags and numbers at the
places named below, then mean (D,), variance (D,) and discounted returns (K,).

Source: T. F. Chan, G. H. Golub, R. J. LeVeque, Algorithms for Computing the Sample Variance (1983),
as in Stable-Baselines3's ``RunningMeanStd``; P. van der Walt et al., NumPy's ``pairwise_sum``.
"""

import numpy as np
from numpy.typing import NDArray

from ppo_lab.kernels.compiling import exact_entry_kernel, exact_kernel
from ppo_lab.kernels.typing import Doubles, Floats, Floats2D

__all__ = ["MOMENTS", "MOST", "normalize_step"]

TRAINING, NORM_OBS, NORM_REWARD = 0, 1, 2
GAMMA, EPSILON, CLIP_OBS, CLIP_REWARD = 3, 4, 5, 6
OBS_COUNT, RET_MEAN, RET_VAR, RET_COUNT = 7, 8, 9, 10
MOMENTS = 11
"""Where the mean begins: D numbers; then the variance, D, and the returns, K."""
LANES, MOST = 8, 128
"""NumPy's partial sums, and the most numbers that it gives them before it halves a vector."""

Table = NDArray[np.float32 | np.float64]


@exact_entry_kernel
def normalize_step(
    statistics: Doubles,
    observations: Table,
    rewards: Table,
    dones: NDArray[np.bool_],
    batch: Table,
    shown: Floats2D,
    paid: Floats,
) -> None:
    """``VecNormalize.step_wait`` after its environments have been stepped.

    Args:
        statistics: (11 + 2 D + K,); written while the training flag is not 0.
        observations: (K, D) of any number type.
        rewards: (K,) float32 or float64; K ≤ ``MOST``.
        dones: (K,): whose discounted return begins anew.
        batch: (2, D) scratch, float32 of float32 observations, else float64.
        shown: (K, D), written where observations are normalised.
        paid: (K,), written.
    """
    k, d = observations.shape
    mean, var = statistics[MOMENTS : MOMENTS + d], statistics[MOMENTS + d : MOMENTS + 2 * d]
    returns = statistics[MOMENTS + 2 * d :]
    training = statistics[TRAINING] != 0.0
    if statistics[NORM_OBS] != 0.0:
        if training:
            batch_moments(observations, batch)
            statistics[OBS_COUNT] = update_moments(batch, k, mean, var, statistics[OBS_COUNT])
        normalize(observations, mean, var, statistics[EPSILON], statistics[CLIP_OBS], shown)
    if training:
        for i in range(k):
            returns[i] = returns[i] * statistics[GAMMA] + rewards[i]
        update_return_moments(statistics, returns)
    pay(statistics, rewards, paid)
    for i in range(k):
        if dones[i]:
            returns[i] = 0.0


@exact_kernel
def batch_moments(observations: Table, batch: Table) -> None:
    """Mean and variance of each column, into the rows of ``batch`` (2, D)."""
    k, d = observations.shape
    if d > 1:
        column_moments(observations, batch)
        return
    column = np.empty(k, batch.dtype)
    for i in range(k):
        column[i] = observations[i, 0]
    vector_moments(column, batch[:, 0])


@exact_kernel
def column_moments(observations: Table, batch: Table) -> None:
    """The same of more than one column, row after row."""
    k, d = observations.shape
    batch[:] = 0
    for i in range(k):
        for j in range(d):
            batch[0, j] += observations[i, j]
    for j in range(d):
        batch[0, j] /= k
    for i in range(k):
        for j in range(d):
            away = observations[i, j] - batch[0, j]
            batch[1, j] += away * away
    for j in range(d):
        batch[1, j] /= k


@exact_kernel
def vector_moments(numbers: Table, moments: Table) -> None:
    """Mean and variance of a vector, into ``moments`` (2,); the vector is overwritten."""
    k = numbers.size
    moments[0] = pairwise_sum(numbers)
    moments[0] /= k
    for i in range(k):
        away = numbers[i] - moments[0]
        numbers[i] = away * away
    moments[1] = pairwise_sum(numbers)
    moments[1] /= k


@exact_kernel
def pairwise_sum(numbers: Table) -> float:
    """The sum of at most ``MOST`` numbers, added as NumPy adds a vector."""
    n = numbers.size
    total: float = numbers[0]
    if n < LANES:
        for i in range(1, n):
            total += numbers[i]
        return total
    a, b, c, d = numbers[0], numbers[1], numbers[2], numbers[3]
    e, f, g, h = numbers[4], numbers[5], numbers[6], numbers[7]
    whole = n - n % LANES
    for i in range(LANES, whole, LANES):
        a += numbers[i]
        b += numbers[i + 1]
        c += numbers[i + 2]
        d += numbers[i + 3]
        e += numbers[i + 4]
        f += numbers[i + 5]
        g += numbers[i + 6]
        h += numbers[i + 7]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for i in range(whole, n):
        total += numbers[i]
    return total


@exact_kernel
def update_moments(batch: Table, k: int, mean: Doubles, var: Doubles, count: float) -> float:
    """``RunningMeanStd.update_from_moments`` with a batch of k rows; returns the new count."""
    total: float = count + k
    for j in range(mean.size):
        delta = batch[0, j] - mean[j]
        batch[1, j] *= k  # in the batch's precision, as NumPy
        squares = var[j] * count + batch[1, j] + delta * delta * count * k / total
        mean[j] += delta * k / total
        var[j] = squares / total
    return total


@exact_kernel
def update_return_moments(statistics: Doubles, returns: Doubles) -> None:
    """The same of the discounted returns (K,)."""
    moments = np.empty((2, 1))
    vector_moments(returns.copy(), moments[:, 0])
    mean, var = statistics[RET_MEAN : RET_MEAN + 1], statistics[RET_VAR : RET_VAR + 1]
    count = statistics[RET_COUNT]
    statistics[RET_COUNT] = update_moments(moments, returns.size, mean, var, count)


@exact_kernel
def normalize(
    observations: Table, mean: Doubles, var: Doubles, epsilon: float, bound: float, shown: Floats2D
) -> None:
    """``VecNormalize.normalize_obs``, into ``shown`` (K, D) float32."""
    for j in range(mean.size):
        deviation = np.sqrt(var[j] + epsilon)
        for i in range(observations.shape[0]):
            shown[i, j] = within((observations[i, j] - mean[j]) / deviation, bound)


@exact_kernel
def pay(statistics: Doubles, rewards: Table, paid: Floats) -> None:
    """``VecNormalize.normalize_reward``, into ``paid`` (K,) float32."""
    deviation = np.sqrt(statistics[RET_VAR] + statistics[EPSILON])
    for i in range(rewards.size):
        if statistics[NORM_REWARD] != 0.0:
            paid[i] = within(rewards[i] / deviation, statistics[CLIP_REWARD])
        else:
            paid[i] = rewards[i]


@exact_kernel
def within(value: float, bound: float) -> float:
    """``numpy.clip`` to [−bound, bound]; NaN stays NaN."""
    cut = -bound if value < -bound else value
    return bound if cut > bound else cut
