"""Copies of a game of several agents that compiled code steps, while nobody looks into them."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from ppo_lab.multi_agent.game import GameStep
from ppo_lab.multi_agent.vec_env import ParallelVecEnv
from ppo_lab.multi_agent.views import OBSERVATION, STATE
from ppo_lab.vec_env.shared import GOING_ON, STATISTICS_DIGITS
from ppo_lab.worlds.as_written import Snapshot

if TYPE_CHECKING:
    from ppo_lab.kernels.layout import Layout
    from ppo_lab.worlds.games import GameWorld
    from ppo_lab.worlds.rollout import RolloutArrays, RolloutOutcome

__all__ = ["CompiledParallelVecEnv"]

SECONDS = 6
"""That compiling a game takes on one core."""
UNCHANGING = (int, float, str, bytes, bool, type(None), np.generic)
"""What whoever gets it cannot change in the game."""


class CompiledParallelVecEnv(ParallelVecEnv):
    """A :class:`ParallelVecEnv` that steps its games by compiled code, to the same bits.

    The games' objects begin each ``reset`` and then stand still. Whoever asks for one, or calls or
    sets something of it, finds it where its copy stands, and it is stepped in Python from then on;
    so it is where an action is none of the game's, and where a class of the game was changed.

    Args:
        games: just made, and nobody else's.
        world: what restates them.
        **options: of :class:`ParallelVecEnv`.
    """

    def __init__(self, games: Sequence[Any], world: "GameWorld", **options: Any) -> None:
        from ppo_lab.worlds.rollout import Copies

        self._copies: Copies | None = None
        super().__init__(games, **options)
        self._world, self._unchanged = world, Snapshot(world.namespaces)
        shown, n_columns = world.parameters.shown, self.num_envs
        rows = np.zeros((n_columns, shown.row), np.float32)
        self._flat, self._last = shown.flat, np.zeros_like(rows)
        self._endings = np.zeros((n_columns, 3))
        self._is_box = isinstance(self.action_space, spaces.Box)
        self._copies = Copies(
            world=world.parameters,
            limit=0,
            states=np.zeros((len(games), world.n_numbers)),
            episodes=np.zeros((n_columns, 2)),
            streams=np.zeros((len(games), 4), np.uint64),
            observations=rows,
            dones=np.zeros(n_columns, np.bool_),
        )
        self.why_in_python = None

    # ------------------------------------------------------------------ in the games' place

    @property
    def may_be_unsampled(self) -> bool:
        """Whether there can be rows without a sample: compiled games' agents all stay."""
        return self.why_in_python is not None

    @property
    def games(self) -> list[Any]:
        """The copies' environments, which are stepped in Python from here on."""
        self._hand_over("somebody asked for the games themselves")
        return self._envs

    def reset(self) -> VecEnvObs:
        """As of :class:`ParallelVecEnv`: the games' objects begin, and their copies with them."""
        self._check_unchanged()
        self._put_in_place()  # without a seed, a game's random numbers go on
        return super().reset()

    def _begin(
        self, copy: int, rows: Any, seed: int | None, options: dict[str, Any] | None
    ) -> None:
        super()._begin(copy, rows, seed, options)
        if (copies := self._copies) is None:
            return
        columns = self._columns[copy]
        copies.states[copy], copies.streams[copy] = self._world.read(self._envs[copy])
        copies.episodes[columns], copies.world.shown.teams[copy] = 0.0, 0.0
        own = rows[OBSERVATION] if self.view.has_state else rows
        copies.observations[columns, : self._flat] = own[columns]
        if self.view.has_state:
            copies.observations[columns, self._flat : 2 * self._flat] = own[columns]
            copies.observations[columns, 2 * self._flat :] = rows[STATE][columns]

    def step_wait(self) -> VecEnvStepReturn:
        """As of :class:`ParallelVecEnv`."""
        self._check_unchanged()
        step = self._step() if self._copies is not None and self._has_begun else None
        return super().step_wait() if step is None else step

    def _step(self) -> VecEnvStepReturn | None:
        """A step of all games; None, and nothing has moved, where Python must take it."""
        from ppo_lab.kernels.compile_notice import announced
        from ppo_lab.worlds.game_stepping import step_games

        copies, moves = self._copies, self._moves()
        assert copies is not None
        n_ended = -1
        rewards = np.empty(self.num_envs, np.float32)
        if moves is not None:
            with announced(f"the steps of {self._games[0]}", SECONDS):
                n_ended = step_games(
                    copies.world, 0, copies.states, copies.episodes, copies.streams, moves,
                    copies.observations, rewards, copies.dones, self._endings, self._last,
                )  # fmt: skip
        if n_ended < 0:
            self._hand_over("an action was none that the game takes")
            return None
        self._check_paid(rewards)
        infos: list[dict[str, Any]] = [GOING_ON] * self.num_envs
        if n_ended:
            self._describe_ends(infos)
        return self.observations_of(copies.observations), rewards, copies.dones.copy(), infos

    def _moves(self) -> npt.NDArray[Any] | None:
        """The actions kept as the kernels take them, (N, …); None: they are of another type."""
        given, shape = self._actions, (self.num_envs, *(self.action_space.shape or ()))
        if not isinstance(given, np.ndarray) or given.shape != shape:
            return None
        fits = given.dtype == np.float32 if self._is_box else np.can_cast(given.dtype, np.int64)
        if not fits or given.dtype == np.bool_:
            return None
        dtype = np.float32 if self._is_box else np.int64
        return np.ascontiguousarray(given, dtype).reshape(self.num_envs, -1)

    def _check_paid(self, rewards: npt.NDArray[np.float32]) -> None:
        """Refuse a reward that is no number, as where two agents stand in one point."""
        for column in np.flatnonzero(~np.isfinite(rewards)).tolist():
            copy, agent = divmod(column, len(self.agents))
            game = self._games[copy]
            game._reward({self.agents[agent]: float(rewards[column])}, agent)

    def _describe_ends(self, infos: list[dict[str, Any]]) -> None:
        """Put the infos of the games that are over in their places."""
        n_agents, last = len(self.agents), self.observations_of(self._last)
        assert self._copies is not None
        for copy, columns in enumerate(self._columns):
            if not self._copies.dones[columns.start]:
                continue
            endings = self._endings[columns]
            self._returns[columns], self._lengths[columns] = endings[:, 0], endings[:, 1]
            self._team_returns[copy] = self._copies.world.shown.teams[copy, 1]
            self._team_lengths[copy] = endings[0, 1]
            cut = endings[:, 2] == 1.0
            step = GameStep([], endings[:, 0], ~cut, cut, [{}] * n_agents, is_over=True)
            self._describe(infos, copy, columns, step, last)
            self.reset_infos[columns] = [{} for _ in range(n_agents)]

    def observations_of(self, rows: npt.NDArray[Any]) -> Any:
        """The observations of rows (…, W), as the space has them; new arrays."""
        own = rows[..., : self._flat].copy()
        if not self.view.has_state:
            return own
        return {OBSERVATION: own, STATE: rows[..., 2 * self._flat :].copy()}

    # ------------------------------------------------------------------ handing over

    def _check_unchanged(self) -> None:
        if self._copies is None or self._unchanged.holds:
            return
        if (reason := self._world.why_changed()) is not None:
            self._hand_over(reason)
        self._unchanged = Snapshot(self._world.namespaces)

    def _hand_over(self, reason: str) -> None:
        """Step the games in Python from here on, from where their copies stand."""
        if self._copies is not None:
            self._put_in_place()
            self._copies, self.why_in_python = None, reason

    def _put_in_place(self) -> None:
        """Let the games' objects, and what Python notes of them, stand where their copies do."""
        if (copies := self._copies) is None or not self._has_begun:
            return
        for copy, game in enumerate(self._games):
            n_steps = int(copies.episodes[self._columns[copy].start, 0])
            self._world.write(game.env, copies.states[copy], copies.streams[copy], n_steps)
            game.stand_at(n_steps)
        self._rows = self.observations_of(copies.observations)
        self._lengths[:], self._returns[:] = copies.episodes.T
        self._team_returns[:] = copies.world.shown.teams[:, 0]
        self._team_lengths[:] = self._lengths[:: len(self.agents)]

    def __getstate__(self) -> dict[str, Any]:
        """Of a copy, whose games are stepped in Python."""
        self._put_in_place()
        left_out = dict.fromkeys(("_copies", "_world", "_unchanged"))
        return {**vars(self), **left_out, "why_in_python": "their environment is a copy"}

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """As of :class:`ParallelVecEnv`; what can be changed in the game hands it over."""
        if self._copies is None or attr_name in ("observation_space", "action_space"):
            return super().get_attr(attr_name, indices)
        self._put_in_place()
        found = super().get_attr(attr_name, indices)
        if not all(isinstance(value, UNCHANGING) for value in found):
            self._hand_over(f"somebody asked for the attribute {attr_name!r} of their objects")
        return found

    # ------------------------------------------------------------------ whole rollouts

    def rolls_out(self, layout: "Layout", critic_only: Sequence[str]) -> bool:
        """Whether ``rollout`` serves a policy of this layout and with these keys at present."""
        self._check_unchanged()
        if self._copies is None or not self._has_begun:
            return False
        shown = self._copies.world.shown
        judged = shown.flat + shown.told if shown.told else None
        found = layout.inputs, layout.critic_inputs, layout.masked, tuple(critic_only)
        return found == (shown.flat, judged, False, (STATE,) if shown.told else ())

    def rollout(
        self,
        layout: "Layout",
        params: npt.NDArray[np.float32],
        arrays: "RolloutArrays",
        episode_starts: npt.NDArray[Any],
        noise: npt.NDArray[np.float64],
        gamma: float,
    ) -> "RolloutOutcome":
        """Roll out T steps of all games in one compiled call.

        As ``CompiledVecEnv.rollout``, whose arguments these are; ``rolls_out`` holds of the layout.
        """
        from ppo_lab.kernels.compile_notice import announced
        from ppo_lab.worlds import rollout as whole

        copies = self._copies
        assert copies is not None
        T, K = len(arrays.rewards), self.num_envs
        starts = np.asarray(episode_starts, np.float32)
        seen = spaces.Box(-np.inf, np.inf, (layout.inputs,))
        policy = whole.ClippedPolicy.of(
            layout, params, seen, self.action_space, K, layout.critic_inputs
        )
        arrays.check(copies, layout, starts, noise)
        ended, failure = np.empty((T * K, 5)), np.empty(3, np.int64)
        cut, cut_value = np.zeros_like(copies.observations[:1]), np.empty(1, np.float32)
        with announced(f"rollouts of {self._games[0]}", SECONDS):
            n_ended = whole.roll_out(
                copies, policy, arrays, starts, noise, float(gamma), False,
                ended, cut, cut_value, failure,
            )  # fmt: skip
        seconds, rows = round(time.time() - self._began, STATISTICS_DIGITS), ended[:n_ended]
        cause, step, column = failure.tolist()
        was_cut = bool((rows[:, 4] == 1.0).any())
        return whole.RolloutOutcome(
            last_observations=self.observations_of(copies.observations),
            last_rewards=None,
            dones=copies.dones.copy(),
            episodes=[
                self._noted(int(ended_column), total, length, seconds)
                for ended_column, total, length in rows[:, 1:4].tolist()
            ],
            ended_at=rows[:, :2].astype(np.int64),
            truncated=rows[:, 4] == 1.0,
            cut=(self.observations_of(cut), cut_value) if was_cut else None,
            failure=None if cause < 0 else whole.RolloutFailure(whole.CAUSES[cause], step, column),
        )

    def _noted(self, column: int, total: float, length: float, seconds: float) -> dict[str, Any]:
        """Monitor's record of an agent's episode, written to its file too."""
        episode = self._statistics(total, int(length), seconds)
        if self._files:
            self._files.write(column, episode)
        return episode
