"""Steps of environments under SB3's ``VecNormalize``, whose arithmetic one compiled call does."""

from typing import Any

from numpy.typing import NDArray
from stable_baselines3.common import running_mean_std
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvWrapper

from ppo_lab.compiled.env_steps import Step, is_untouched, quickest_steps
from ppo_lab.compiled.normalizer import Normalizer, Raw, Statistics, step_by_sb3
from ppo_lab.vec_env.compiled import CompiledVecEnv
from ppo_lab.worlds.as_written import Snapshot, changed_module, replaced_on
from ppo_lab.worlds.rollout import RolloutOutcome

__all__ = ["NormalizedSteps", "why_by_its_own_code"]


class NormalizedSteps:
    """A ``VecNormalize`` stepped as its own code steps it, with the kernel in NumPy's place.

    Between ``begin`` and ``end`` the statistics are the kernel's. Numbers, and what anybody finds
    in the object's attributes afterwards, are SB3's.

    Args:
        env: of any class.
    """

    def __init__(self, env: VecNormalize) -> None:
        self._env, self._normalizer = env, Normalizer(env)
        self._latest: tuple[NDArray[Any], NDArray[Any]] | None = None

    def begin(self) -> str | None:
        """Take over.

        Returns:
            Why the object's own code must step it, to be read after "because"; None: this may.
        """
        reason = _why_altered(self._env) or self._normalizer.take()
        if reason is None:
            self._latest, self._fits = None, True
            self._steps = quickest_steps(self._env.venv, is_wrapped=True)
        return reason

    def step(self, actions: NDArray[Any]) -> Step:
        """Step with (K, …) actions within the bounds; the arrays hold until the next step."""
        step = self._steps.step(actions)
        env, normalizer = self._env, self._normalizer
        if not (self._fits and normalizer.normalize(step.observations, step.rewards, step.dones)):
            return self._by_sb3(step)
        self._latest = step.observations, step.rewards
        ended = [info for index, info in step.noted if step.dones[index]]
        if ended:
            normalizer.write()
            for info in ended:
                if "terminal_observation" in info:
                    info["terminal_observation"] = env.normalize_obs(info["terminal_observation"])
        observations = normalizer.shown if env.norm_obs else step.observations
        return Step(observations, normalizer.paid, step.dones, step.noted)

    def end(self) -> None:
        """Hand over to the object: its attributes are as after its own steps."""
        self._normalizer.write()
        if self._latest is not None:
            observations, rewards = self._latest
            self._env.old_obs, self._env.old_reward = observations.copy(), rewards.copy()
            self._latest = None

    @property
    def unfit(self) -> str | None:
        """Why some steps were left to the object's own code; None: none were."""
        return self._normalizer.unfit

    # ------------------------------------------------------------------ whole rollouts

    @property
    def venv(self) -> VecEnv:
        """The environments under it."""
        return self._env.venv

    @property
    def statistics(self) -> Statistics:
        """What ``CompiledVecEnv.rollout`` moves on."""
        return self._normalizer.arrays

    def take_whole(self, observations: Any) -> bool:
        """Whether ``venv`` can be rolled out in one call, which begins with (K, …) observations."""
        return is_untouched(self.venv, CompiledVecEnv) and self._normalizer.begin_with(observations)

    def rolled_out(self, outcome: RolloutOutcome) -> NDArray[Any]:
        """Note how a rollout ended; its last observations as the policy sees them."""
        assert outcome.last_rewards is not None
        self._latest = outcome.last_observations, outcome.last_rewards
        seen = self._normalizer.shown if self._env.norm_obs else outcome.last_observations
        return seen.copy()

    # ------------------------------------------------------------------ step by step

    def _by_sb3(self, step: Step) -> Step:
        self.end()
        infos: list[dict[str, Any]] = [{} for _ in range(len(step.dones))]
        for index, info in step.noted:
            infos[index] = info
        raw = Raw(step.observations.copy(), step.rewards.copy(), step.dones, infos)
        observations, rewards, dones, _ = step_by_sb3(self._env, raw)
        self._fits = self._normalizer.read() is None
        return Step(observations, rewards, dones, step.noted)

    def step_watched(self, actions: NDArray[Any]) -> Raw:
        """``VecNormalize.step``: all arrays are new, and the attributes are as after it."""
        env, normalizer = self._env, self._normalizer
        if self.begin() is not None:
            return Raw(*env.step(actions))  # type: ignore[arg-type]
        env.venv.step_async(actions)
        raw = Raw(*env.venv.step_wait())  # type: ignore[arg-type]
        if not normalizer.normalize(raw.observations, raw.rewards, raw.dones):
            return step_by_sb3(env, raw)
        normalizer.write()
        env.old_obs, env.old_reward = raw.observations, raw.rewards
        for index in raw.dones.nonzero()[0].tolist():
            info = raw.infos[index]
            if "terminal_observation" in info:
                info["terminal_observation"] = env.normalize_obs(info["terminal_observation"])
        seen = normalizer.shown if env.norm_obs else raw.observations
        return Raw(seen.copy(), normalizer.paid.copy(), raw.dones, raw.infos)


def why_by_its_own_code(env: VecEnv) -> str | None:
    """Why a ``VecNormalize`` in an environment is stepped by its own code.

    Returns:
        To be read after "because"; None: there is none, or the kernel steps it.
    """
    layer = env
    while isinstance(layer, VecEnvWrapper):
        if isinstance(layer, VecNormalize):
            if layer is not env:
                return f"a {type(env).__name__} is around it"
            return _why_altered(layer) or Normalizer(layer).take()
        layer = layer.venv
    return None


def _why_altered(env: VecNormalize) -> str | None:
    if type(env) is not VecNormalize:
        return f"it is a {type(env).__name__}"
    if (method := replaced_on(env)) is not None:
        return f"it has a {method} of its own"
    if not is_untouched(env, VecNormalize) or not _moments_as_written():
        return "VecNormalize or RunningMeanStd was changed since its import"
    return None


_snapshots: list[Snapshot] = []
"""``RunningMeanStd`` as it was found to be what its source says."""


def _moments_as_written() -> bool:
    if _snapshots and _snapshots[0].holds:
        return True
    if changed_module(RunningMeanStd.__module__) is not None:
        return False
    _snapshots[:] = [Snapshot([RunningMeanStd, running_mean_std])]
    return True
