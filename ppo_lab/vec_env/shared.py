"""What every vector environment here has in common."""

from typing import Any, NoReturn

from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices

__all__ = ["GOING_ON", "STATISTICS_DIGITS", "chosen_copies"]

STATISTICS_DIGITS = 6
"""SB3's Monitor rounds an episode's return and time to so many decimals."""


class _GoingOn(dict[str, Any]):
    """The info of every environment whose episode goes on: one object for all, so read-only.

    Making 1,024 dicts takes longer than stepping 1,024 grid worlds. Copies are ordinary dicts.
    """

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(
            "this info is shared by all environments whose episode goes on and cannot be written "
            "to; put a copy in its place: infos[i] = dict(infos[i])"
        )

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


GOING_ON = _GoingOn({"TimeLimit.truncated": False})


def chosen_copies(env: VecEnv, indices: VecEnvIndices) -> list[int]:
    """The copies that ``indices`` name, each in ``range(K)``; None: all.

    Args:
        env: of K copies.
        indices: one or more; negative ones count from the end, as with ``DummyVecEnv``.

    Raises:
        IndexError: there is no such copy.
    """
    everyone = range(env.num_envs)
    return [*everyone] if indices is None else [everyone[i] for i in env._get_indices(indices)]
