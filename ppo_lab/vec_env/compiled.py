"""Environments restated in compiled code behind SB3's ``VecEnv``: one call a step."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.error import InvalidAction, ResetNeeded
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from envs.finite import has_own_masks
from ppo_lab.errors import ArgumentError, NoWorldError
from ppo_lab.kernels.layout import Layout
from ppo_lab.vec_env.as_made import AsMade
from ppo_lab.vec_env.copies_of_one import CopiesOfOne
from ppo_lab.vec_env.monitor_files import MonitorFiles
from ppo_lab.vec_env.shared import GOING_ON, STATISTICS_DIGITS
from ppo_lab.vec_env.world_by_id import has_world, world_by_id

__all__ = ["CompiledVecEnv", "has_world"]


ROLLOUT_SECONDS = EVALUATION_SECONDS = 6
"""That compiling an environment into a whole rollout, or into an evaluation, takes on one core."""


class CompiledVecEnv(CopiesOfOne):
    """K copies of an environment that has a compiled world, behind SB3's ``VecEnv``.

    What ``make_vec_env(env_id, n_envs, seed)`` of SB3 returns step by step, this returns, with the
    same seed the same numbers: each copy has its own stream, that of the environment it restates.
    Episodes begin anew on the step that ends them; that step's info has ``terminal_observation``,
    ``TimeLimit.truncated`` and ``episode`` (``r`` return, ``l`` length, ``t`` seconds since this
    object was made). All other infos are one read-only dict, as in
    :class:`~ppo_lab.vec_env.GymnasiumVecEnv`. What an environment itself writes into its infos
    (toy text's ``prob`` and ``action_mask``) is left out.

    The first object of a world compiles it, or loads what an earlier process compiled.

    Args:
        env_id: Gymnasium's id; see :func:`has_world`.
        n_envs: K ≥ 1.
        seed: of the first ``reset``; copy i gets ``seed + i``.
        monitor: False leaves ``episode`` out and answers no to ``env_is_wrapped(Monitor)``.
        monitor_dir: folder for SB3's ``0.monitor.csv``, one file a copy; None: no files.
        **kwargs: for ``gymnasium.make``.

    Attributes:
        env: one environment as ``gymnasium.make`` makes it: it has the attributes that all copies
            share and plays no part in stepping.
        states: (K, s) float64; ``steps`` and ``returns`` (K,) of the present episodes.

    Raises:
        ArgumentError: K below 1, reset options, which a world does not take, or ``env`` was changed
            after it was made, which its copies would not follow.
        NoWorldError: no world.
        gymnasium.error.ResetNeeded: ``step`` before ``reset``.
        gymnasium.error.InvalidAction: actions of wrong shape or outside the space.
    """

    def __init__(
        self,
        env_id: str,
        n_envs: int = 1,
        seed: int | None = None,
        monitor: bool = True,
        monitor_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        if n_envs < 1:
            raise ArgumentError(f"n_envs={n_envs}: expected at least 1")
        try:
            world = world_by_id(env_id, kwargs, n_envs)
        except NoWorldError as error:
            raise NoWorldError(error.reason, error.altered, f"{env_id!r} with {kwargs}") from error
        from ppo_lab.kernels.compile_notice import announced
        from ppo_lab.worlds.randomness import new_stream
        from ppo_lab.worlds.stepping import allow_all, begin_all, step_all

        self.env = world.env
        with ExitStack() as on_failure:
            on_failure.callback(self.env.close)
            super().__init__(n_envs, self.env.observation_space, self.env.action_space)
            self.monitor = monitor
            self._files = MonitorFiles(Path(monitor_dir), n_envs, env_id) if monitor_dir else None
            self.spec = self.env.spec
            self.metadata = {**self.env.metadata, **self.metadata}
            self.max_episode_steps = world.max_episode_steps
            self._begin_all, self._step_all, self._new_stream = begin_all, step_all, new_stream
            self._allow_all = allow_all
            self._announced, self._what = announced, type(self.env.unwrapped).__name__
            self._world = world.parameters
            self._as_made = AsMade(world, n_envs)
            self._is_index = isinstance(self.observation_space, spaces.Discrete)
            self._make_arrays(world.n_numbers)
            self._began = time.time()
            self.seed(seed)
            on_failure.pop_all()

    def _make_arrays(self, n_numbers: int) -> None:
        K, space = self.num_envs, self.action_space
        shape = (1,) if self._is_index else self.observation_space.shape
        self.states = np.zeros((K, n_numbers))
        self._episodes = np.zeros((K, 2))
        self._streams = np.stack([self._new_stream(None) for _ in range(K)])
        self._observations = np.zeros((K, *(shape or ())), self.observation_space.dtype)
        self._dones = np.ones(K, np.bool_)
        self._endings = np.zeros((K, 3))
        self._last = np.zeros_like(self._observations)
        self._action_dtype = np.dtype(np.float32 if isinstance(space, spaces.Box) else np.int64)
        self._action_shape = (K, *(space.shape or ()))
        self._begun = False
        self._actions: npt.NDArray[Any] = np.zeros((K, 1), self._action_dtype)

    # ------------------------------------------------------------------ stepping

    def reset(self) -> VecEnvObs:
        """Begin K episodes, with the seeds that ``seed`` gave, which are used once.

        Raises:
            ArgumentError: ``set_options`` gave options.
        """
        if any(self._options):
            raise ArgumentError(
                f"reset options {self._options} were given, which a compiled environment does not "
                "take: use SB3's make_vec_env"
            )
        self._as_made.check()
        for copy, seed in enumerate(self._seeds):
            if seed is not None:
                self._streams[copy] = self._new_stream(seed)
        self._begin_all(self._world, self.states, self._episodes, self._streams, self._observations)
        self._dones[:] = True
        self._begun = True
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return self._shown(self._observations)

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Keep the actions, (K, …), for ``step_wait``."""
        given = np.asarray(actions)
        if given.shape != self._action_shape or not np.can_cast(
            given.dtype, self._action_dtype, "same_kind"
        ):
            raise InvalidAction(
                f"The actions have shape {given.shape} and dtype {given.dtype}; pass "
                f"{self._action_shape} that cast to {self._action_dtype}, one row an environment."
            )
        self._actions = np.ascontiguousarray(given, self._action_dtype).reshape(self.num_envs, -1)

    def step_wait(self) -> VecEnvStepReturn:
        """Step all copies with the actions kept.

        Returns:
            Observations (K, …), rewards (K,) float32, dones (K,) bool, K infos.
        """
        if not self._begun:
            raise ResetNeeded("step was called before the first reset; call reset first.")
        self._as_made.check_layers()
        rewards = np.empty(self.num_envs, np.float32)
        n_ended = self._step_all(
            self._world, self.max_episode_steps, self.states, self._episodes, self._streams,
            self._actions, self._observations, rewards, self._dones, self._endings, self._last,
        )  # fmt: skip
        infos: list[dict[str, Any]] = [GOING_ON] * self.num_envs
        if n_ended:
            if n_ended < 0:
                copy = -1 - n_ended
                raise InvalidAction(
                    f"Action {self._actions[copy].tolist()} of environment {copy} is out of range "
                    f"of {self.action_space}."
                )
            self._describe_ends(infos)
        return self._shown(self._observations), rewards, self._dones.copy(), infos

    @property
    def has_masks(self) -> bool:
        """Whether the masks of each copy are known: those of the environment's class."""
        return has_own_masks(self.env.unwrapped)

    def _masks(self) -> npt.NDArray[np.bool_]:
        masks = np.empty((self.num_envs, int(self.action_space.n)), np.bool_)  # type: ignore[attr-defined]
        self._allow_all(self._world, self.states, masks)
        return masks

    def _shown(self, observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A new array of observations (K, D) as the space has them."""
        copied = observations.copy()
        return copied.reshape(-1) if self._is_index else copied

    def _describe_ends(self, infos: list[dict[str, Any]]) -> None:
        """Put the infos of the episodes that ended in their places."""
        last = self._shown(self._last)
        seconds = self._seconds()
        for copy in np.flatnonzero(self._dones).tolist():
            total, length, cut = self._endings[copy].tolist()
            info = {"TimeLimit.truncated": cut == 1.0, "terminal_observation": last[copy]}
            if self.monitor:
                info["episode"] = self._noted(copy, total, length, seconds)
            infos[copy] = info
            self.reset_infos[copy] = {}

    def _seconds(self) -> float:
        return round(time.time() - self._began, STATISTICS_DIGITS)

    def _noted(self, copy: int, total: float, length: float, seconds: float) -> dict[str, Any]:
        """Monitor's record of an episode, written to its file too."""
        episode = {"r": round(total, STATISTICS_DIGITS), "l": int(length), "t": seconds}
        if self._files:
            self._files.write(copy, episode)
        return episode

    def close(self) -> None:
        """Close the environment that holds the shared attributes, and the monitor files."""
        self.env.close()
        if self._files:
            self._files.close()

    # ------------------------------------------------------------------ whole rollouts

    def rollout(
        self,
        layout: Layout,
        params: npt.NDArray[np.float32],
        arrays: Any,
        episode_starts: npt.NDArray[Any],
        noise: npt.NDArray[np.float64],
        gamma: float,
        normalized: tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]] | None = None,
    ) -> Any:
        """Roll out T steps of all copies in one compiled call.

        The copies go on from where they stand and end where stepping them would. Without
        ``normalized`` observations are taken as they are: not for use under a wrapper.

        Args:
            layout: of ``params``.
            params: (P,) float32, actor and critic.
            arrays: :class:`~ppo_lab.worlds.rollout.RolloutArrays` of T steps, written in place.
            episode_starts: (K,), whether the present observations begin an episode.
            noise: (T, K, ``layout.n_actions``) float64: uniforms in [0, 1), or standard normals
                for a Gaussian.
            gamma: γ, of the terminal values.
            normalized: the statistics of a ``VecNormalize`` around this and what it now shows, of
                :class:`~ppo_lab.worlds.normalized_rollout.Normalization`; both are moved on.

        Returns:
            :class:`~ppo_lab.worlds.rollout.RolloutOutcome`.

        Raises:
            gymnasium.error.ResetNeeded: before the first ``reset``.
            ArgumentError: an array of another shape or type, a layout of other spaces, or of a
                policy under masks that the environment does not have.
        """
        from ppo_lab.worlds import rollout as whole

        if not self._begun:
            raise ResetNeeded("rollout was called before the first reset; call reset first.")
        self._as_made.check()
        self._check_masks(layout)
        T, K = len(arrays.rewards), self.num_envs
        copies, starts = self._copies(), np.asarray(episode_starts, np.float32)
        seen, space = self.observation_space, self.action_space
        policy = whole.ClippedPolicy.of(layout, params, seen, space, K)
        arrays.check(copies, layout, starts, noise)
        ended, failure = np.empty((T * K, 5)), np.empty(3, np.int64)
        cut, cut_value = np.zeros_like(self._observations[:1]), np.empty(1, np.float32)
        rules = copies, policy, arrays, starts, noise, float(gamma), self._is_index
        written = ended, cut, cut_value, failure
        with self._announced(f"rollouts of {self._what}", ROLLOUT_SECONDS):
            if normalized is None:
                n_ended, rewards = whole.roll_out(*rules, *written), None
            else:
                from ppo_lab.worlds.normalized_rollout import Normalization, roll_out_normalized

                moved = Normalization.of(*normalized, self._observations)
                n_ended, rewards = roll_out_normalized(*rules, *written, moved), moved.rewards
        seconds, rows = self._seconds(), ended[:n_ended]
        cause, step, copy = failure.tolist()
        return whole.RolloutOutcome(
            last_observations=self._shown(self._observations),
            last_rewards=rewards,
            dones=self._dones.copy(),
            episodes=[
                self._noted(int(copy), total, length, seconds)
                for copy, total, length in rows[:, 1:4].tolist()
            ],
            ended_at=rows[:, :2].astype(np.int64),
            truncated=rows[:, 4] == 1.0,
            cut=(self._shown(cut), cut_value) if (rows[:, 4] == 1.0).any() else None,
            failure=None if cause < 0 else whole.RolloutFailure(whole.CAUSES[cause], step, copy),
        )

    def evaluate(
        self, layout: Layout, params: npt.NDArray[np.float32], n_episodes: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """SB3's ``evaluate_policy`` with the likeliest actions, in one compiled call.

        Begins with ``reset`` (and the seeds of ``seed``), and shares the episodes between the
        copies as SB3 does.

        Args:
            layout: of ``params``.
            params: (P,) float32.
            n_episodes: E ≥ 1.

        Returns:
            Returns (E,) and lengths (E,), in the order in which the episodes ended.

        Raises:
            ArgumentError: no time limit, under which a policy might play for ever; no episode; or
                parameters and a layout that are not of these spaces.
        """
        from ppo_lab.worlds.evaluation import play
        from ppo_lab.worlds.rollout import ClippedPolicy

        if not self.max_episode_steps:
            raise ArgumentError(
                f"{self.env} has no time limit, and a policy may never end its episode: pass "
                "max_episode_steps"
            )
        self._check_masks(layout)
        if n_episodes < 1:
            raise ArgumentError(f"n_episodes={n_episodes}: expected at least 1")
        K = self.num_envs
        seen, space = self.observation_space, self.action_space
        policy = ClippedPolicy.of(layout, params, seen, space, K)
        self.reset()
        wanted = np.array([(n_episodes + copy) // K for copy in range(K)], np.int64)
        actions = np.empty((K, layout.n_actions), self._action_dtype)
        played = np.empty((n_episodes, 2))
        with self._announced(f"evaluation in {self._what}", EVALUATION_SECONDS):
            play(self._copies(), policy, wanted, self._is_index, actions, played)
        return played[:, 0].copy(), played[:, 1].astype(np.int64)

    def _check_masks(self, layout: Layout) -> None:
        """Refuse a policy under masks that this environment does not have."""
        if layout.masked and not self.has_masks:
            raise ArgumentError(
                f"the policy takes masks, and {self.env} has no action_masks() that its compiled "
                "copies know: use SB3's make_vec_env"
            )

    def _copies(self) -> Any:
        from ppo_lab.worlds.rollout import Copies

        return Copies(
            self._world,
            self.max_episode_steps,
            self.states,
            self._episodes,
            self._streams,
            self._observations,
            self._dones,
        )
