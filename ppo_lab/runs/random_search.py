"""sb3-contrib's ARS, as a run needs it: its steps are seen, and what is loaded goes on."""

from typing import Any

import sb3_contrib
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from torch.nn.utils import parameters_to_vector

from ppo_lab.ppo.episode_bound import MAX_EPISODE_STEPS, check_length, longest_episode

__all__ = ["ARS"]


class ARS(sb3_contrib.ARS):
    """Augmented random search (Mania, Guy and Recht 2018); sb3-contrib's numbers, bit for bit.

    Callbacks are told what each step gave, as other algorithms tell them: without it nobody sees
    a reward that is NaN, which would end in weights that are, and an action that is always the
    first. An episode that does not end is an error, as in evaluation.
    """

    _longest_episode = MAX_EPISODE_STEPS

    def evaluate_candidates(self, *args: Any, **kwargs: Any) -> th.Tensor:
        """As sb3-contrib's, of episodes that end."""
        assert self.env is not None
        self._longest_episode = longest_episode(self.env)
        return super().evaluate_candidates(*args, **kwargs)

    def _trigger_callback(
        self,
        _locals: dict[str, Any],
        _globals: dict[str, Any],
        callback: BaseCallback,
        n_envs: int,
    ) -> None:
        check_length(_locals, self._longest_episode)
        told = {name: _locals[name] for name in ("rewards", "dones", "infos")}
        callback.update_locals({**told, "new_obs": _locals["new_observations"]})
        super()._trigger_callback(_locals, _globals, callback, n_envs)

    def set_parameters(
        self,
        load_path_or_dict: Any,
        exact_match: bool = True,
        device: th.device | str = "auto",
    ) -> None:
        """As SB3's, and the search goes on around these parameters.

        sb3-contrib's own goes on around those of a model that was just built: zeros.
        """
        super().set_parameters(load_path_or_dict, exact_match, device)
        found = parameters_to_vector(self.policy.parameters()).detach()
        self.weights = found  # type: ignore[assignment]  # sb3-contrib types it as None
