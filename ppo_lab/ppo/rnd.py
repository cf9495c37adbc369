"""Random network distillation: a bonus for what was seldom seen (Spec 15.1; Burda et al. 2019)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.preprocessing import (
    get_flattened_obs_dim,
    is_image_space,
    is_image_space_channels_first,
    preprocess_obs,
)
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn
from torch import nn

from ppo_lab.errors import ArgumentError, NonFiniteError
from ppo_lab.ppo.callbacks import check_finite
from ppo_lab.ppo.torch_internals import no_compiler_import

__all__ = ["INTRINSIC_REWARD", "RandomNetworkDistillation", "RunningMoments", "VecRND", "find_rnd"]

INTRINSIC_REWARD = "intrinsic_reward"
"""Where ``VecRND`` puts the bonus in each step's info."""
CLIP = 5.0
"""Whitened observations are clipped to ±5."""
MOST_STATES = 4096
"""Of a Discrete space whose errors are computed all at once."""


class RunningMoments(nn.Module):
    """Running mean and variance (Chan et al. 1983), float64, saved with the module it is in.

    Args:
        shape: of one sample.

    Attributes:
        mean: ``shape``.
        variance: ``shape``, of the samples as a population; 1 before the first.
        count: of samples.
    """

    mean: th.Tensor
    variance: th.Tensor
    count: th.Tensor

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.register_buffer("mean", th.zeros(shape, dtype=th.float64))
        self.register_buffer("variance", th.ones(shape, dtype=th.float64))
        self.register_buffer("count", th.zeros((), dtype=th.float64))

    def update(self, samples: NDArray[Any]) -> None:
        """Take in (B, …) samples."""
        samples = np.asarray(samples, np.float64)
        n, count = len(samples), self.count.item()
        total = count + n
        # On NumPy: a step of few environments would spend its time in starting torch's operations.
        old, variance = (part.cpu().numpy() for part in (self.mean, self.variance))
        delta = samples.mean(axis=0) - old
        squares = samples.var(axis=0) * n + variance * count
        self.variance.copy_(th.as_tensor((squares + delta**2 * (count * n / total)) / total))
        self.mean.copy_(th.as_tensor(old + delta * (n / total)))
        self.count.fill_(total)


class RandomNetworkDistillation(nn.Module):
    """Two networks of observations and the statistics that make their distance a reward.

    f is random and stays as it is; f̂ is trained towards it on what was visited, so that
    ‖f̂(s') − f(s')‖² is large where little was (Spec 15.1). Observations are whitened by running
    statistics and clipped to ±5; Discrete ones are one-hot before.

    Args:
        observation_space: of one observation.
        output_size: K of f: S → R^K, ≥ 1.
        net_arch: hidden sizes; f̂ has one layer of ``net_arch[-1]`` more.
        learning_rate: of f̂, > 0.
        n_epochs: passes of an update over what was visited since the last, ≥ 1.

    Attributes:
        observations: statistics of what was seen (D,).
        returns: statistics of the bonus's discounted sum, a scalar.
        optimizer: moves f̂.

    Raises:
        ArgumentError: an argument is out of range.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        output_size: int = 64,
        net_arch: Sequence[int] = (64, 64),
        learning_rate: float = 1e-3,
        n_epochs: int = 1,
    ) -> None:
        for name, number in (("output_size", output_size), ("n_epochs", n_epochs)):
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise ArgumentError(f"{name}={number!r} of RND: expected an integer ≥ 1")
        if not 0.0 < learning_rate < float("inf"):
            raise ArgumentError(f"learning_rate={learning_rate!r} of RND: expected a number > 0")
        if not net_arch or any(not isinstance(size, int) or size < 1 for size in net_arch):
            raise ArgumentError(f"net_arch={net_arch!r} of RND: expected layer sizes ≥ 1")
        super().__init__()
        self.space, self.n_epochs = observation_space, n_epochs
        self._known: tuple[list[tuple[th.Tensor, int]], NDArray[np.float64]] | None = None
        n_inputs = get_flattened_obs_dim(observation_space)
        self.observations, self.returns = RunningMoments((n_inputs,)), RunningMoments()
        self.target = _network(observation_space, n_inputs, net_arch, output_size)
        self.predictor = _network(
            observation_space, n_inputs, [*net_arch, net_arch[-1]], output_size
        )
        self.target.requires_grad_(False)
        with no_compiler_import():
            self.optimizer = th.optim.Adam(self.predictor.parameters(), lr=learning_rate)

    def move_to(self, device: th.device) -> None:
        """Compute on another device from now on, with all that was learnt."""
        self.to(device)
        # torch leaves an optimiser's moments behind; loading brings them to their parameters.
        self.optimizer.load_state_dict(self.optimizer.state_dict())
        self._known = None

    def errors(self, observations: Any) -> th.Tensor:
        """‖f̂(s) − f(s)‖² of (B, …) observations, (B,), attached to f̂'s graph."""
        seen = self._whitened(self._vectors(observations))
        difference: th.Tensor = self.predictor(seen) - self.target(seen)
        return difference.square().sum(dim=-1)

    @th.no_grad()
    def bonus(self, observations: Any, carry: NDArray[np.float64], gamma: float) -> Any:
        """The normalised bonus of one step's observations; their discounted sum is taken in first.

        Args:
            observations: (N, …) s', finite.
            carry: (N,) discounted sums of the bonus so far, over the ends of episodes too; moved
                on in place.
            gamma: their discount.

        Returns:
            (N,) float64: the bonus over the running std of its discounted sum. 0 before the first
            :meth:`fit`, which is when there are statistics to whiten observations with.

        Raises:
            NonFiniteError: the bonus is NaN or infinite.
        """
        if not self.observations.count:
            return np.zeros(len(carry))
        raw = self._errors_now(observations)
        if not np.isfinite(raw).all():
            raise NonFiniteError("RND's bonus is NaN or infinite: lower its learning_rate")
        carry *= gamma
        carry += raw
        self.returns.update(carry)
        return raw / np.sqrt(self.returns.variance.item() + 1e-8)

    def _errors_now(self, observations: Any) -> NDArray[np.float64]:
        """:meth:`errors` as an array; of few states all at once, until something changes them."""
        if not isinstance(self.space, spaces.Discrete) or self.space.n > MOST_STATES:
            return self.errors(observations).double().cpu().numpy()
        known = self._known
        if known is None or any(part._version != version for part, version in known[0]):
            networks = (*self.predictor.parameters(), *self.target.parameters())
            parts = [*networks, *self.observations.buffers()]
            every = self.errors(np.arange(self.space.n)).double().cpu().numpy()
            # torch counts the changes of a tensor in place
            known = self._known = [(part, part._version) for part in parts], every
        found: NDArray[np.float64] = known[1][np.asarray(observations).reshape(-1)]
        return found

    def fit(self, observations: Any, batch_size: int) -> float:
        """Take (B, …) observations into the statistics, then train f̂ towards f on them.

        Returns:
            The mean of ‖f̂ − f‖² while at it.
        """
        vectors = self._vectors(observations).cpu().numpy()
        self.observations.update(vectors)
        self._known = None
        losses, count = [], len(vectors)
        for _ in range(self.n_epochs):
            order = np.random.permutation(count)  # noqa: NPY002 - SB3's generator
            for start in range(0, count, batch_size):
                loss = self.errors(_rows(observations, order[start : start + batch_size])).mean()
                self.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()
                losses.append(loss.item())
        return float(np.mean(losses))

    def _vectors(self, observations: Any) -> th.Tensor:
        """(B, …) observations as vectors (B, D) of numbers, the parts of a Dict side by side."""
        tensors: Any = obs_as_tensor(observations, self.observations.mean.device)
        seen = preprocess_obs(tensors, self.space, normalize_images=False)
        parts = seen.values() if isinstance(seen, dict) else [seen]
        return th.cat([part.flatten(start_dim=1) for part in parts], dim=1)

    def _whitened(self, vectors: th.Tensor) -> th.Tensor:
        spread = (self.observations.variance + 1e-8).sqrt()
        whitened = (vectors - self.observations.mean) / spread
        return whitened.clamp(-CLIP, CLIP).float()


class VecRND(VecEnvWrapper):
    """Puts RND's bonus for the state reached into ``info["intrinsic_reward"]`` of every step.

    Observations, rewards and ends pass unchanged. ``SpecPPO(intrinsic_coef=…)`` makes one by
    itself and trains it; another algorithm may read the infos and call :meth:`learn`. Before the
    first ``learn`` the bonus is 0: what is new is not known before something is old.

    Args:
        venv: below any ``VecNormalize``, whose statistics would move what RND sees.
        gamma: discount of the bonus, in [0, 1).
        rnd: networks and statistics to go on with; None: new ones.
        **rnd_kwargs: of :class:`RandomNetworkDistillation`.

    Attributes:
        rnd: the networks.

    Raises:
        ArgumentError: an argument is out of range, or what is wrapped does not fit.
    """

    changes_nothing = True
    """Said to who compares the environments of training and of evaluation."""

    def __init__(
        self,
        venv: VecEnv,
        gamma: float = 0.99,
        rnd: RandomNetworkDistillation | None = None,
        **rnd_kwargs: Any,
    ) -> None:
        if not 0.0 <= gamma < 1.0:
            raise ArgumentError(
                f"gamma={gamma!r} of VecRND: expected a number in [0, 1), since intrinsic returns "
                "never end"
            )
        _check_below(venv)
        super().__init__(venv)
        self.gamma = gamma
        self.rnd = rnd or RandomNetworkDistillation(venv.observation_space, **rnd_kwargs)
        self._carry = np.zeros(venv.num_envs)
        self._reached: list[Any] = []
        self._steps = 0

    def reset(self) -> VecEnvObs:
        """As the environment's; the intrinsic returns go on."""
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """As the environment's, with the bonus in new infos."""
        observations, rewards, dones, infos = self.venv.step_wait()
        self._steps += self.num_envs
        reached = _with_last_observations(observations, dones, infos)
        check_finite("observation", reached, self._steps)
        bonus = self.rnd.bonus(reached, self._carry, self.gamma)
        self._reached.append(reached)
        infos = [
            {**info, INTRINSIC_REWARD: float(each)} for info, each in zip(infos, bonus, strict=True)
        ]
        return observations, rewards, dones, infos

    def learn(self, batch_size: int) -> float:
        """Train f̂ on what was reached since the last call, in minibatches.

        Returns:
            The mean loss; 0 where nothing was reached.
        """
        reached, self._reached = self._reached, []
        if not reached:
            return 0.0
        if isinstance(reached[0], Mapping):
            together: Any = {
                key: np.concatenate([each[key] for each in reached]) for key in reached[0]
            }
        else:
            together = np.concatenate(reached)
        return self.rnd.fit(together, batch_size)


def find_rnd(env: VecEnv | None) -> VecRND | None:
    """The ``VecRND`` around an environment; None where there is none."""
    while isinstance(env, VecEnvWrapper):
        if isinstance(env, VecRND):
            return env
        env = env.venv
    return None


def _check_below(venv: VecEnv) -> None:
    if find_rnd(venv) is not None:
        raise ArgumentError("VecRND around a VecRND: expected one around an environment")
    inner: VecEnv = venv
    while isinstance(inner, VecEnvWrapper):
        if isinstance(inner, VecNormalize) and inner.norm_obs:
            raise ArgumentError(
                "VecRND around a VecNormalize, whose moving statistics would change what RND has "
                "learnt to know: put VecNormalize around VecRND, which whitens for itself"
            )
        inner = inner.venv


def _with_last_observations(
    observations: VecEnvObs, dones: NDArray[np.bool_], infos: Sequence[Mapping[str, Any]]
) -> Any:
    """A copy of a step's observations, those of ended episodes in place of the next one's first."""
    reached: Any = (
        {key: np.array(part) for key, part in observations.items()}
        if isinstance(observations, dict)
        else np.array(observations)
    )
    for index in np.flatnonzero(dones).tolist():
        last = infos[index].get("terminal_observation")
        if last is None:
            continue
        if isinstance(reached, dict):
            for key, part in reached.items():
                part[index] = last[key]
        else:
            reached[index] = last
    return reached


def _rows(observations: Any, chosen: NDArray[np.int64]) -> Any:
    if isinstance(observations, Mapping):
        return {key: part[chosen] for key, part in observations.items()}
    return observations[chosen]


def _network(
    space: spaces.Space[Any], n_inputs: int, net_arch: Sequence[int], output_size: int
) -> nn.Sequential:
    """Layers from vectors (B, D) to (B, K); convolutions before them where D are pixels."""
    layers: list[nn.Module] = []
    if isinstance(space, spaces.Box) and is_image_space(space):
        layers += _convolutions(space)
        with th.no_grad():
            n_inputs = nn.Sequential(*layers)(th.zeros(1, n_inputs)).shape[1]
    for size in net_arch:
        layers += [nn.Linear(n_inputs, size), nn.ReLU()]
        n_inputs = size
    network = nn.Sequential(*layers, nn.Linear(n_inputs, output_size))
    for layer in network:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.orthogonal_(layer.weight, gain=np.sqrt(2))
            nn.init.constant_(layer.bias, 0.0)  # type: ignore[arg-type]  # each has one
    return network


class _Image(nn.Module):
    """Vectors (B, D) as images (B, C, H, W)."""

    def __init__(self, space: spaces.Box) -> None:
        super().__init__()
        self.shape, self.first = space.shape, is_image_space_channels_first(space)

    def forward(self, vectors: th.Tensor) -> th.Tensor:
        images = vectors.reshape(len(vectors), *self.shape)
        return images if self.first else images.permute(0, 3, 1, 2)


def _convolutions(space: spaces.Box) -> list[nn.Module]:
    """The three layers of Mnih et al. 2015, as SB3's ``NatureCNN`` has them."""
    channels = space.shape[0] if is_image_space_channels_first(space) else space.shape[-1]
    return [
        _Image(space),
        nn.Conv2d(channels, 32, kernel_size=8, stride=4),
        nn.ReLU(),
        nn.Conv2d(32, 64, kernel_size=4, stride=2),
        nn.ReLU(),
        nn.Conv2d(64, 64, kernel_size=3, stride=1),
        nn.ReLU(),
        nn.Flatten(),
    ]
