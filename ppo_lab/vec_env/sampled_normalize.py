"""SB3's ``VecNormalize`` over an environment some of whose rows are no samples."""

from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env.autoreset import rows_of
from ppo_lab.vec_env.partly_sampled import PartlySampledVecEnv

__all__ = ["SampledVecNormalize"]


class SampledVecNormalize(VecNormalize):
    """``VecNormalize`` whose statistics pass over what is no sample; SB3's arguments.

    The observations' statistics take every observation once, as over an environment that resets
    on the same step: the last of an episode is in none of them, the first is taken where it is
    shown. The rewards' take the rewards of samples.

    Raises:
        ArgumentError: there is no :class:`PartlySampledVecEnv` beneath.
    """

    def __init__(self, venv: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(venv, *arguments, **named)
        _sampled_beneath(self)

    def set_venv(self, venv: Any) -> None:
        """SB3's; used when it is loaded."""
        super().set_venv(venv)
        _sampled_beneath(self)

    def reset(self) -> npt.NDArray[Any] | dict[str, npt.NDArray[Any]]:
        """Normalised first observations."""
        inner = _sampled_beneath(self)
        observations = self.venv.reset()
        assert isinstance(observations, np.ndarray | dict)
        self.old_obs, self.returns = observations, np.zeros(self.num_envs)
        if self.training and self.norm_obs:
            self._take(rows_of(observations, inner.shown))
        return self.normalize_obs(observations)

    def step_wait(self) -> VecEnvStepReturn:
        """Normalised observations and rewards, dones, infos."""
        inner = _sampled_beneath(self)
        if not inner.may_be_unsampled:
            return super().step_wait()
        observations, rewards, dones, infos = self.venv.step_wait()
        assert isinstance(observations, np.ndarray | dict)
        sampled = inner.sampled
        self.old_obs, self.old_reward = observations, rewards
        if self.training and self.norm_obs:
            self._take(rows_of(observations, inner.shown))
        if self.training:
            self.returns[:] = np.where(sampled, self.returns * self.gamma + rewards, self.returns)
            _update(self.ret_rms, self.returns[sampled])
        for index in np.flatnonzero(dones).tolist():
            last = infos[index]["terminal_observation"]
            infos[index]["terminal_observation"] = self.normalize_obs(last)
        self.returns[dones] = 0
        return self.normalize_obs(observations), self.normalize_reward(rewards), dones, infos

    def _take(self, observations: Any) -> None:
        statistics: Any = self.obs_rms
        if isinstance(statistics, dict):
            for key, of_key in statistics.items():
                _update(of_key, observations[key])
        else:
            _update(statistics, observations)


def _update(statistics: RunningMeanStd, rows: npt.NDArray[Any]) -> None:
    if len(rows):
        statistics.update(rows)


def _sampled_beneath(env: VecNormalize) -> PartlySampledVecEnv:
    inner: Any = env.unwrapped
    if not isinstance(inner, PartlySampledVecEnv):
        raise ArgumentError(
            f"SampledVecNormalize is around a {type(inner).__name__}, whose every row is a sample: "
            "use SB3's VecNormalize"
        )
    return inner
