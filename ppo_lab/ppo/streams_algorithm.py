"""An algorithm of SB3's with a bonus for what is new, and a limit on costs (Spec 15.1, 15.2)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import MaybeCallback, Schedule
from stable_baselines3.common.utils import FloatSchedule, update_learning_rate
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.advantages import normalize_advantages
from ppo_lab.ppo.buffers import SpecRolloutBuffer
from ppo_lab.ppo.constraints import constrained_advantages, next_multiplier
from ppo_lab.ppo.diagnostics import UpdateDiagnostics
from ppo_lab.ppo.reward_streams import COST, Estimates, StreamRecorder, stream_estimates
from ppo_lab.ppo.rnd import INTRINSIC_REWARD, RandomNetworkDistillation, VecRND, find_rnd
from ppo_lab.ppo.schedules import as_schedule
from ppo_lab.ppo.side_critic import Observations, SideCritic
from ppo_lab.ppo.watched_algorithm import WatchedAlgorithm

__all__ = ["StreamsAlgorithm"]

SAVED = {"intrinsic": ("intrinsic_critic", "rnd"), "cost": ("cost_critic",)}
"""The modules of a stream, each of which has an ``optimizer``."""


class StreamsAlgorithm(WatchedAlgorithm):
    """SB3's ``OnPolicyAlgorithm`` whose actor follows up to two more streams of rewards.

    The arguments are ``SpecPPO``'s; with none of them set nothing here runs.

    Attributes:
        intrinsic_coef: weight c of Â_I in Â_E + c Â_I; 0: no RND (Spec 15.1).
        intrinsic_gamma: γ of the non-episodic intrinsic returns.
        rnd_kwargs: of :class:`~ppo_lab.ppo.rnd.RandomNetworkDistillation`.
        cost_limit: d, the most that an episode may cost on average; None: no constraint
            (Spec 15.2).
        cost_gamma: γ of the costs; None: ``gamma``.
        cost_learning_rate: the cost critic's; None: the critic's.
        lambda_lr: η, the multiplier's own learning rate.
        lagrangian_multiplier_init: the first λ.
        lagrangian_multiplier: λ as it now is.
        rnd: the networks of RND, in a model with ``intrinsic_coef``.
        intrinsic_critic: V of the intrinsic returns, likewise.
        cost_critic: V of the costs, in a model with ``cost_limit``.
    """

    normalize_advantage: bool
    normalize_advantage_over: str
    intrinsic_coef: float = 0.0
    intrinsic_gamma: float = 0.99
    rnd_kwargs: Mapping[str, Any] | None = None
    cost_limit: float | None = None
    cost_gamma: float | None = None
    cost_learning_rate: float | str | Schedule | None = None
    lambda_lr: float = 0.05
    lagrangian_multiplier_init: float = 0.0
    lagrangian_multiplier: float | None = None
    rnd: RandomNetworkDistillation
    intrinsic_critic: SideCritic
    cost_critic: SideCritic
    critic_lr_schedule: Schedule
    _rnd_space: spaces.Space[Any] | None = None
    _cost_lr_schedule: Schedule
    _recorder: StreamRecorder
    _estimates: dict[str, Estimates]
    _seen: Observations

    # ------------------------------------------------------------------ what there is

    @property
    def streams(self) -> tuple[str, ...]:
        """The further streams that are on: of ``intrinsic`` and ``cost``."""
        on = {"intrinsic": self.intrinsic_coef > 0, "cost": self.cost_limit is not None}
        return tuple(name for name, is_on in on.items() if is_on)

    def _setup_streams(self) -> None:
        """Make the networks of the streams that are on, after the policy."""
        if "intrinsic" in self.streams:
            wrapper = find_rnd(self.env)
            if wrapper is not None:
                self._rnd_space = wrapper.observation_space
                self.rnd = wrapper.rnd
            else:
                self._rnd_space = self._rnd_space or _place_of_rnd(self.env, self.observation_space)
                self.rnd = RandomNetworkDistillation(self._rnd_space, **(self.rnd_kwargs or {}))
            self.rnd.move_to(self.device)
            self.intrinsic_critic = SideCritic(self.policy, "intrinsic")
        if "cost" in self.streams:
            self.cost_critic = SideCritic(self.policy, "cost")
            rate = self.cost_learning_rate
            self._cost_lr_schedule = (
                self.critic_lr_schedule
                if rate is None
                else FloatSchedule(as_schedule("cost_learning_rate", rate))
            )
            if self.lagrangian_multiplier is None:
                self.lagrangian_multiplier = float(self.lagrangian_multiplier_init)

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> tuple[int, BaseCallback]:
        if "intrinsic" in self.streams:
            self._wrap_in_rnd()
        return super()._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )

    def _wrap_in_rnd(self) -> None:
        """Let the bonus come with every step: here, so that who only plays is not slowed down."""
        assert self.env is not None
        wrapper = find_rnd(self.env)
        if wrapper is None:
            self.env = _with_rnd(self.env, self.intrinsic_gamma, self.rnd)
            return
        if wrapper.gamma != self.intrinsic_gamma:
            raise ArgumentError(
                f"intrinsic_gamma={self.intrinsic_gamma} and a VecRND with gamma={wrapper.gamma}: "
                "expected one discount of the bonus, given to both"
            )
        wrapper.rnd = self.rnd

    def _guards(self) -> list[BaseCallback]:
        """What stops at numbers that are not finite, and what notes the streams that are on."""
        if not self.streams:
            return super()._guards()
        keys = {"intrinsic": INTRINSIC_REWARD, "cost": COST}
        noted = tuple(keys[name] for name in self.streams)
        if getattr(self, "_recorder", None) is None or self._recorder.keys != noted:
            self._recorder = StreamRecorder(noted)  # else episodes may go on where they stopped
        return [*super()._guards(), self._recorder]

    # ------------------------------------------------------------------ the update

    @property
    def normalizes_minibatch(self) -> bool:
        """Whether advantages are normalised over each minibatch (Spec 4.3)."""
        return self.normalize_advantage and self.normalize_advantage_over == "minibatch"

    def _prepare_advantages(self, diagnostics: UpdateDiagnostics) -> None:
        """Take in further streams, log the advantages, then normalise them if asked (Spec 4.3)."""
        self._add_streams(diagnostics)
        buffer = self.rollout_buffer
        if isinstance(buffer, SpecRolloutBuffer) and buffer.sampled is not None:
            buffer.flatten()  # drops what is no sample
        advantages = self.rollout_buffer.advantages
        diagnostics.add_advantages(advantages)
        over_rollout = self.normalize_advantage and self.normalize_advantage_over == "rollout"
        if over_rollout and advantages.size > 1:
            normalized = normalize_advantages(th.as_tensor(advantages))
            self.rollout_buffer.advantages = normalized.numpy()

    def _add_streams(self, diagnostics: UpdateDiagnostics) -> None:
        """Let the rollout's advantages be those of all streams together (Spec 15.1, 15.2)."""
        if not self.streams:
            return
        buffer = self.rollout_buffer
        self._seen = _flat_in_time(buffer.observations, buffer.n_envs)
        self._estimates = {}
        advantages = th.as_tensor(buffer.advantages)
        if "intrinsic" in self.streams:
            estimates = self._estimate("intrinsic", INTRINSIC_REWARD, self.intrinsic_gamma)
            advantages = advantages + self.intrinsic_coef * estimates.advantages
            paid = self._recorder.rewards[INTRINSIC_REWARD]
            self.logger.record("rollout/intrinsic_reward_mean", float(paid.mean()))
        if "cost" in self.streams:
            gamma = self.gamma if self.cost_gamma is None else self.cost_gamma
            estimates = self._estimate("cost", COST, gamma)
            multiplier = self._follow_cost()
            diagnostics.add(lagrangian_multiplier=multiplier)
            advantages = constrained_advantages(advantages, estimates.advantages, multiplier)
        buffer.advantages = advantages.numpy()

    def _follow_cost(self) -> float:
        """Move λ by the episodes that the rollout finished; where it finished none, λ stays."""
        assert self.cost_limit is not None
        assert self.lagrangian_multiplier is not None
        finished = self._recorder.sums[COST].finished
        if finished:
            mean = float(np.mean(finished))
            self.logger.record("rollout/ep_cost_mean", mean)
            self.lagrangian_multiplier = next_multiplier(
                self.lagrangian_multiplier, mean, self.cost_limit, self.lambda_lr
            )
        return self.lagrangian_multiplier

    def _estimate(self, name: str, key: str, gamma: float) -> Estimates:
        """Â and R̂ of one stream over the rollout, by its critic as it now is."""
        critic: SideCritic = getattr(self, f"{name}_critic")
        recorder, buffer = self._recorder, self.rollout_buffer
        shape = buffer.buffer_size, buffer.n_envs
        cut_values = th.zeros(shape)
        if name == "cost":  # intrinsic returns go on over the ends of episodes
            for step, index, last in recorder.cuts:
                cut_values[step, index] = critic.values(self._as_batch(last))[0]
        self._estimates[name] = stream_estimates(
            recorder.rewards[key],
            critic.values(self._seen).reshape(shape),
            critic.values(self._last_obs),  # type: ignore[arg-type]  # an array, or a dictionary
            recorder.ends if name == "cost" else None,
            gamma,
            self.gae_lambda,
            cut_values,
        )
        return self._estimates[name]

    def _as_batch(self, observation: Any) -> Observations:
        if isinstance(observation, Mapping):
            return {key: np.asarray(part)[None] for key, part in observation.items()}
        return np.asarray(observation)[None]

    def _fit_streams(self, diagnostics: UpdateDiagnostics, n_epochs: int, batch_size: int) -> None:
        """Train the streams' critics on the rollout, and RND's predictor on what was reached."""
        if not self.streams:
            return
        sampled = getattr(self.rollout_buffer, "sampled", None)
        kept = slice(None) if sampled is None else sampled.reshape(-1)
        schedules = {"intrinsic": self.critic_lr_schedule}
        if "cost" in self.streams:
            schedules["cost"] = self._cost_lr_schedule
        seen = self._seen
        if isinstance(seen, Mapping):
            seen = {key: part[kept] for key, part in seen.items()}
        else:
            seen = seen[kept]
        for name, estimates in self._estimates.items():
            critic: SideCritic = getattr(self, f"{name}_critic")
            rate = schedules[name](self._current_progress_remaining)
            update_learning_rate(critic.optimizer, rate)
            returns = estimates.returns.reshape(-1)[kept]
            loss = critic.fit(seen, returns, n_epochs, batch_size, self.max_grad_norm)
            diagnostics.add(**{f"{name}_value_loss": loss, f"{name}_critic_learning_rate": rate})
        wrapper = find_rnd(self.env)
        if "intrinsic" in self.streams and wrapper is not None:
            diagnostics.add(rnd_loss=wrapper.learn(batch_size))

    # ------------------------------------------------------------------ saving and loading

    def _excluded_save_params(self) -> list[str]:
        temporary = ["_recorder", "_estimates", "_seen", "_cost_lr_schedule"]
        modules = [name for names in SAVED.values() for name in names]
        return [*super()._excluded_save_params(), *temporary, *modules]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        state_dicts, variables = super()._get_torch_save_params()
        return [*state_dicts, *self._stream_states(self.streams)], variables

    @staticmethod
    def _stream_states(streams: tuple[str, ...]) -> list[str]:
        modules = [name for stream in streams for name in SAVED[stream]]
        return [state for name in modules for state in (name, f"{name}.optimizer")]

    def set_parameters(
        self, load_path_or_dict: Any, exact_match: bool = True, device: th.device | str = "auto"
    ) -> None:
        """SB3's; a stream that was turned on or off since begins anew, or is left out."""
        parameters = load_path_or_dict
        if not isinstance(parameters, dict):
            _, parameters, _ = load_from_zip_file(parameters, device=device, load_data=False)
        every = self._stream_states(tuple(SAVED))
        mine = self._stream_states(self.streams)
        present = super().get_parameters() if any(name not in parameters for name in mine) else {}
        fitting = {key: state for key, state in parameters.items() if key not in every}
        fitting |= {name: parameters.get(name, present.get(name)) for name in mine}
        super().set_parameters(fitting, exact_match, device)


def _place_of_rnd(env: VecEnv | None, shown: spaces.Space[Any]) -> spaces.Space[Any]:
    """The observations that RND would see: below a ``VecNormalize``, else the model's own."""
    normalize = _innermost_normalize(env)
    return shown if normalize is None else normalize.venv.observation_space


def _with_rnd(env: VecEnv, gamma: float, rnd: RandomNetworkDistillation) -> VecEnv:
    """Put ``VecRND`` below a ``VecNormalize``, whose statistics move, else around everything."""
    normalize = _innermost_normalize(env)
    if normalize is None:
        return VecRND(env, gamma, rnd)
    normalize.venv = VecRND(normalize.venv, gamma, rnd)
    return env


def _innermost_normalize(env: VecEnv | None) -> VecNormalize | None:
    found = None
    while isinstance(env, VecEnvWrapper):
        if isinstance(env, VecNormalize):
            found = env
        env = env.venv
    return found


def _flat_in_time(observations: Any, n_envs: int) -> Observations:
    """(T, N, …) observations as (T·N, …)."""
    if isinstance(observations, dict):
        return {key: _flat_in_time(part, n_envs) for key, part in observations.items()}  # type: ignore[misc]
    return np.reshape(observations, (-1, *observations.shape[2:]))
