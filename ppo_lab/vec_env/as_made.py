"""Whether an environment still is what its compiled copies restate."""

from typing import TYPE_CHECKING

from envs.gymnasium_internals import layers_of
from ppo_lab.errors import ArgumentError, NoWorldError

if TYPE_CHECKING:
    from ppo_lab.worlds.registry import CompiledWorld

__all__ = ["AsMade"]


class AsMade:
    """Sees when the environment of a world, or a class or module behind it, is changed.

    Args:
        world: just made.
        n_envs: K, for the message.
    """

    def __init__(self, world: "CompiledWorld", n_envs: int) -> None:
        self._world, self._n_envs = world, n_envs
        self._note()

    def check_layers(self) -> None:
        """As :meth:`check`, of the environment and its wrappers only: microseconds, every step."""
        if not self._layers.holds:
            self.check()

    def check(self) -> None:
        """Check that the environment and its classes are what the copies restate.

        Raises:
            ArgumentError: something in them was changed since.
        """
        if self._everything.holds:
            return
        from ppo_lab.worlds.registry import world_of

        env, reason = self._world.env, None
        try:
            if not world_of(env, is_new=False).is_as(self._world):
                reason = "a parameter of it is another"
        except NoWorldError as error:
            reason = error.reason
        if reason is not None:
            raise ArgumentError(
                f"{env} was changed after it was made, and its {self._n_envs} compiled "
                f"copies do not follow, because {reason}: use SB3's DummyVecEnv, whose "
                "environments are apart"
            )
        self._note()

    def _note(self) -> None:
        from ppo_lab.worlds.alterations import namespaces_of
        from ppo_lab.worlds.as_written import Snapshot

        self._layers = Snapshot(layers_of(self._world.env))
        self._everything = Snapshot(namespaces_of(self._world.env), deep=True)
