"""Environments in worker processes, several a process, with arrays that all of them share."""

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import cloudpickle
import gymnasium as gym
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn
from stable_baselines3.common.vec_env.util import dict_to_obs

from ppo_lab.cores import usable_cores
from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env.pool_arrays import ActionForm, SharedArrays, SharedFile
from ppo_lab.vec_env.pool_crew import Crew
from ppo_lab.vec_env.pool_processes import WorkerProcess, start_method_of
from ppo_lab.vec_env.pool_worker import STEP, STEP_NOTED
from ppo_lab.vec_env.shared import chosen_copies

__all__ = ["Noted", "PoolVecEnv"]

Noted = list[tuple[int, dict[str, Any]]]
"""(environment, info) each."""


class PoolVecEnv(VecEnv):
    """N environments in W worker processes: for those whose steps take long.

    What ``DummyVecEnv`` of the same environments returns, this returns, number by number, for any
    W, as far as the environments draw from ``self.np_random`` and share nothing with each other.
    Observations, actions, rewards and ends lie in memory that the processes share; infos are sent
    where there is something in them. What was returned is the caller's own.

    An environment that raises in ``reset`` or ``step``, and one whose process dies or hangs, is
    named by a :class:`~ppo_lab.errors.WorkerError`, and the pool is closed. What an attribute or a
    method called by ``env_method`` raises, is raised as it is, and the pool goes on.

    Args:
        env_fns: each makes an environment, in its process; cloudpickle sends it there.
        n_workers: W, 1…N; None: one for each core that this process may use. Environments that
            wait for something (a simulator, a network) deserve more.
        start_method: ``forkserver``, ``spawn`` or ``fork``; None: as ``SubprocVecEnv``,
            ``forkserver`` where there is one. The first two need scripts to have an
            ``if __name__ == "__main__":``.
        timeout: seconds for one step, reset or call of all environments, and for making one of
            them; None: no limit.

    Raises:
        ArgumentError: an argument or a space that cannot work.
        WorkerError: an environment could not be made.
    """

    def __init__(
        self,
        env_fns: Sequence[Callable[[], gym.Env[Any, Any]]],
        n_workers: int | None = None,
        start_method: str | None = None,
        timeout: float | None = None,
    ) -> None:
        shares = _shares(len(env_fns), n_workers)
        if timeout is not None and not timeout > 0.0:
            raise ArgumentError(f"timeout={timeout!r}: expected seconds above 0, or None")
        method, makers = start_method_of(start_method), _packed(env_fns)
        file = SharedFile()
        try:
            self._crew = Crew(method, makers, shares, file, timeout)
            try:
                observations, actions = self._lay_out(len(env_fns), file)
                super().__init__(len(env_fns), observations, actions)
            except BaseException:
                self._crew.close()
                raise
        finally:
            file.close()
        self._form: ActionForm | None = None

    def _lay_out(self, n_envs: int, file: SharedFile) -> Any:
        """Make the arrays, and let every worker find them; the spaces of the first environment."""
        workers = self._crew.workers
        (spaces,) = self._crew.call("own_spaces", lambda _: (), workers[:1], fatal=True)
        what = (n_envs, len(workers), *spaces)
        self._arrays = SharedArrays(*what)
        self._arrays.allocate(file)
        self._crew.call("attach", lambda _: what, fatal=True)
        self._arrays.attach(file)
        self._crew.at_work = self._arrays.at_work
        return spaces

    # ------------------------------------------------------------------ stepping

    def reset(self) -> VecEnvObs:
        """Begin N episodes with the seeds and options of ``seed`` and ``set_options``, used once.

        A step that nobody has waited for is waited for, and lost.

        Raises:
            WorkerError: an environment failed; the pool is closed.
        """
        if self._crew.is_stepping:
            self._crew.take_step()

        def own(worker: WorkerProcess) -> Any:
            each = worker.environments
            return [self._seeds[i] for i in each], [self._options[i] for i in each]

        infos = self._crew.call("reset", own, fatal=True)
        self.reset_infos = [info for part in infos for info in part]
        self._reset_seeds()
        self._reset_options()
        return self._observations()

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Let all workers begin a step.

        Args:
            actions: (N, …).

        Raises:
            ArgumentError: they have another shape, or are no numbers.
            RuntimeError: a step is under way already.
            WorkerError: the pool is closed.
        """
        self._begin(actions, STEP)

    def step_wait(self) -> VecEnvStepReturn:
        """Wait for the step that ``step_async`` began.

        Returns:
            Observations (N, …), rewards (N,) float32, dones (N,) bool, N infos.

        Raises:
            RuntimeError: there is none.
            WorkerError: an environment failed; the pool is closed.
        """
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]
        for index, info in self._finish():
            infos[index] = info
        arrays = self._arrays
        return self._observations(), arrays.rewards.copy(), arrays.dones.copy(), infos

    def step_noted(
        self, actions: npt.NDArray[Any]
    ) -> tuple[Any, npt.NDArray[np.float32], npt.NDArray[np.bool_], Noted]:
        """Step, for a caller who reads few infos, and copies the arrays that he keeps.

        Args:
            actions: (N, …).

        Returns:
            Observations (N, …), of a Dict an array a key, rewards (N,) float32 and dones (N,) bool,
            which hold until the next step; the infos of episodes that ended and those with an
            ``episode`` in the midst of one.
        """
        self._begin(actions, STEP_NOTED)
        noted = self._finish()
        arrays = self._arrays
        seen = dict_to_obs(self.observation_space, arrays.observations)
        return seen, arrays.rewards, arrays.dones, noted

    def _begin(self, actions: npt.NDArray[Any], command: bytes) -> None:
        if self._crew.is_stepping:
            self._crew.check_open()
            raise RuntimeError(
                "a step is under way already: call step_wait, or reset, before another one"
            )
        actions = np.asarray(actions)
        if ActionForm.of(actions) != self._form or len(actions) != self.num_envs:
            self._take_actions_as(actions)
        self._shared_actions[...] = actions
        self._crew.begin_step(command)

    def _take_actions_as(self, actions: npt.NDArray[Any]) -> None:
        """Tell the workers of what type and shape actions are: they come to them as given."""
        form = ActionForm.of(actions)
        whole = actions.ndim > 0 and len(actions) == self.num_envs and not actions.dtype.hasobject
        if not whole or form.size > self._arrays.action_bytes:
            raise ArgumentError(
                f"actions of shape {actions.shape} and type {actions.dtype}: expected "
                f"{(self.num_envs, *(self.action_space.shape or ()))} of {self.action_space.dtype}"
            )
        self._crew.call("take_actions_as", lambda _: (form,), fatal=True)
        self._form, self._shared_actions = form, self._arrays.actions(form)

    def _finish(self) -> Noted:
        """Wait for the step that was begun; the infos that were sent."""
        if not self._crew.is_stepping:
            self._crew.check_open()
            raise RuntimeError("no step is under way: call step_async before step_wait")
        noted: Noted = []
        for answer in self._crew.take_step():
            for index, info, reset_info in answer or ():
                noted.append((index, info))
                if reset_info is not None:
                    self.reset_infos[index] = reset_info
        return noted

    def _observations(self) -> VecEnvObs:
        copies = {key: array.copy() for key, array in self._arrays.observations.items()}
        return dict_to_obs(self.observation_space, copies)

    def close(self) -> None:
        """Close all environments and end their processes; may be called again."""
        self._crew.close()

    # ------------------------------------------------------------------ the environments

    def get_images(self) -> Sequence[npt.NDArray[Any] | None]:
        """One picture (height, width, 3) uint8 an environment, where they have ``rgb_array``."""
        if self.render_mode != "rgb_array":
            warnings.warn(
                f"The render mode is {self.render_mode}, but pictures need `rgb_array`.",
                stacklevel=2,
            )
            return [None] * self.num_envs
        return self._of_each("render", None)

    def has_attr(self, attr_name: str) -> bool:
        """Whether all environments have an attribute, which need not be one that can be sent."""
        return all(self._called("has_attr", None, attr_name))

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The attribute of each chosen environment.

        Raises:
            AttributeError: there is none of that name.
        """
        return self._of_each("get_attr", indices, attr_name)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set the attribute of each chosen environment."""
        self._called("set_attr", indices, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of each chosen environment.

        Raises:
            Exception: whatever it raises.
        """
        return self._of_each("env_method", indices, method_name, method_args, kwargs)

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Whether each chosen environment is in such a wrapper."""
        return self._of_each("is_wrapped", indices, wrapper_class)

    def _called(self, name: str, indices: VecEnvIndices, *arguments: Any) -> list[Any]:
        """The answers of the workers that have a chosen environment."""
        chosen = chosen_copies(self, indices)
        own = {w: [i for i in chosen if i in w.environments] for w in self._crew.workers}
        asked = [worker for worker, each in own.items() if each]
        return self._crew.call(name, lambda worker: (own[worker], *arguments), asked)

    def _of_each(self, name: str, indices: VecEnvIndices, *arguments: Any) -> list[Any]:
        """What each chosen environment answered, in the order in which they were chosen."""
        chosen = chosen_copies(self, indices)
        owners = [w.number for i in chosen for w in self._crew.workers if i in w.environments]
        answers = self._called(name, chosen, *arguments)
        parts = dict(zip(sorted(set(owners)), map(iter, answers), strict=True))
        return [next(parts[owner]) for owner in owners]


def _shares(n_envs: int, n_workers: int | None) -> list[range]:
    """Whose environments are whose: as even as can be, in order."""
    if n_envs < 1:
        raise ArgumentError("no environments were given: expected one at least")
    count = min(n_envs, usable_cores()) if n_workers is None else n_workers
    if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 1:
        raise ArgumentError(f"n_workers={n_workers!r}: expected 1 or more")
    count = min(int(count), n_envs)
    bounds = [n_envs * i // count for i in range(count + 1)]
    return [range(begin, end) for begin, end in pairwise(bounds)]


def _packed(env_fns: Sequence[Callable[[], gym.Env[Any, Any]]]) -> list[bytes]:
    makers = []
    for index, make in enumerate(env_fns):
        try:
            makers.append(cloudpickle.dumps(make))
        except Exception as error:
            raise ArgumentError(
                f"what makes environment {index} cannot be sent to another process: "
                f"{type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
    return makers
