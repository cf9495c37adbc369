"""What an algorithm's study searches and runs, whatever it has come to."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ppo_lab.registry import asks_for_masks
from ppo_lab.runs.execution import RunConfig, check_run
from ppo_lab.runs.games import is_game
from ppo_lab.runs.recipe import EnvironmentRecipe
from tuning.base import check_rollout, first_trial, missing, nearest, surroundings
from tuning.protocol import TuningProtocol
from tuning.spaces import Space, convert, default_suggestion, defaults, own_shape

__all__ = ["Search", "check_base", "check_game", "check_masks"]

_LSTM_POLICIES = {
    "MlpPolicy": "MlpLstmPolicy",
    "CnnPolicy": "CnnLstmPolicy",
    "MultiInputPolicy": "MultiInputLstmPolicy",
}


@dataclass(frozen=True)
class Search:
    """An algorithm under a protocol.

    Attributes:
        algo: the algorithm's name.
        protocol: budgets and seeds, and the base.
        space: what is searched.
    """

    algo: str
    protocol: TuningProtocol
    space: Space

    @property
    def shape(self) -> dict[str, Any]:
        """What a run has where the search does not say.

        The base's settings; without one the protocol's n_steps, batch_size and n_epochs as far as
        the algorithm has them.
        """
        base = self.protocol.base
        return (
            own_shape(self.algo, self.protocol.shape)
            if base is None
            else surroundings(self.algo, base)
        )

    @property
    def policy(self) -> str:
        """SB3's policy name, the recurrent one where the algorithm needs it."""
        policy = self.protocol.policy
        return _LSTM_POLICIES.get(policy, policy) if self.algo == "ppo_lstm" else policy

    def hyperparameters(self, suggested: Mapping[str, Any]) -> dict[str, Any]:
        """The algorithm's arguments for a suggestion; for trial 0's the base to the last digit."""
        if self.protocol.base is not None and suggested == self.first_suggestion:
            return self.default_hyperparameters
        return convert(self.space, suggested, self.shape, self.protocol.n_envs)

    @property
    def default_hyperparameters(self) -> dict[str, Any]:
        """The base, or the algorithm's own under the protocol's shape; and what the space fixes."""
        base = self.protocol.base
        if base is None:
            return defaults(self.algo, self.space, self.shape, self.protocol.n_envs)
        return first_trial(base, self.space, self.protocol.n_envs)

    @property
    def first_suggestion(self) -> dict[str, Any]:
        """What the search is told of trial 0; nothing where the space cannot suggest the base."""
        return {} if self.outside else self.nearest_suggestion

    @property
    def nearest_suggestion(self) -> dict[str, Any]:
        """What the space has that is nearest to the base, or to the algorithm's own settings."""
        base = self.protocol.base
        if base is None:
            return default_suggestion(self.algo, self.space, self.shape)
        return nearest(self.algo, base, self.space, self.policy)

    @property
    def outside(self) -> list[str]:
        """What the base has that the space cannot suggest; without a base it is not asked."""
        base = self.protocol.base
        return [] if base is None else missing(self.algo, base, self.space, self.policy)

    def run(self, stage: str, index: int, hyperparameters: Mapping[str, Any]) -> RunConfig:
        """The run of a stage's index-th seed under the protocol."""
        protocol = self.protocol
        seeds = {
            "screen": protocol.screening_seeds,
            "replicate": protocol.replica_seeds,
            "judge": protocol.judge_seeds,
        }
        place = index + (protocol.screen_seeds if stage == "replicate" else 0)
        return RunConfig(
            algo=self.algo,
            env=self.protocol.env,
            seed=seeds[stage][index],
            timesteps=self.protocol.timesteps,
            n_envs=self.protocol.n_envs,
            policy=self.policy,
            hyperparameters=hyperparameters,
            evaluation=protocol.evaluation(stage == "judge", place),
            settings="trial",
            stage=stage,
            **protocol.environment,
        )


def check_masks(search: Search) -> None:
    """Check that the environment says which actions are possible, where the first trial asks.

    Raises:
        ArgumentError: it does not.
    """
    if asks_for_masks(search.algo, search.default_hyperparameters):
        recipe = EnvironmentRecipe.of_words(search.protocol.env, search.protocol.environment)
        recipe.fitting_policy(search.algo, masked=True)


def check_game(search: Search) -> None:
    """Build what is trained in a game without a base: its state may be none of the actor's.

    Raises:
        ArgumentError: it cannot be built.
    """
    if search.protocol.base is None and is_game(search.protocol.env):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the runs say it again
            check_run(search.run("screen", 0, search.default_hyperparameters))


def check_base(search: Search) -> None:
    """Build what a base is trained with, and the nearest that is searched, before any run begins.

    Raises:
        ArgumentError: they cannot be built, or the budget does not hold a rollout of the base.
    """
    protocol, base = search.protocol, search.protocol.base
    if base is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the runs say it again
        check_run(search.run("screen", 0, base.hyperparameters))
        check_rollout(search.algo, base, search.space, protocol.n_envs, protocol.timesteps)
        if search.space:
            near = convert(search.space, search.nearest_suggestion, search.shape, protocol.n_envs)
            check_run(search.run("screen", 0, near))
