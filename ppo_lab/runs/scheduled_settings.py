"""Settings that change while a run trains, at steps that are known beforehand (Spec 15.3)."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import FloatSchedule

from ppo_lab.algorithm import SpecPPO
from ppo_lab.arguments import check_arguments, check_rollout_shape
from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.schedules import as_schedule

__all__ = ["CHANGEABLE", "NAME", "ScheduledSettings", "change_settings"]

NAME = "ppo_lab.runs.scheduled_settings.ScheduledSettings"
"""What a file of settings calls the callback."""
_RATES = ("learning_rate", "critic_learning_rate")
_CLIPS = ("clip_range", "clip_range_vf")
_TARGETS = ("gamma", "gae_lambda")
"""What the rollout buffer knows too."""
_READ_AT_EVERY_UPDATE = (
    *("ent_coef", "vf_coef", "max_grad_norm", "critic_max_grad_norm", "target_kl", "n_epochs"),
    *("batch_size", "desired_kl", "n_critic_updates", "cg_max_steps"),
)
CHANGEABLE = (*_RATES, *_CLIPS, *_TARGETS, *_READ_AT_EVERY_UPDATE)
"""Settings of algorithms that learn from rollouts which nothing was built from."""


def change_settings(model: BaseAlgorithm, settings: Mapping[str, Any]) -> None:
    """Give a model other settings between two updates; its parameters and optimisers stay.

    ``VecNormalize``'s γ follows ``gamma``, as it does when a run begins.

    Args:
        model: one that learns from rollouts.
        settings: names in :data:`CHANGEABLE` → values as a file of settings holds them.

    Raises:
        ArgumentError: the model has no such setting, or cannot take the value.
    """
    for name, given in settings.items():
        value = given
        if name not in CHANGEABLE or not hasattr(model, name):
            raise ArgumentError(
                f"{name} cannot change while {type(model).__name__} trains; what can: "
                f"{', '.join(each for each in CHANGEABLE if hasattr(model, each))}"
            )
        if name in (*_RATES, *_CLIPS) and value is not None:
            value = as_schedule(name, value)
            value = FloatSchedule(value) if name in _CLIPS else value
        setattr(model, name, value)
        if name in _TARGETS:
            setattr(model.rollout_buffer, name, value)  # type: ignore[attr-defined]
    if any(name in settings for name in _RATES):
        model._setup_lr_schedule()
    normalized = model.get_vec_normalize_env()
    if normalized is not None and "gamma" in settings:
        normalized.gamma = settings["gamma"]
    if isinstance(model, SpecPPO):
        check_arguments(vars(model))
        check_rollout_shape(
            model.n_steps, model.n_envs, model.batch_size, model.normalize_advantage
        )


class ScheduledSettings(BaseCallback):
    """Piecewise constant settings, as population-based training finds them.

    In YAML, in the zoo's manner::

        callback:
          - ppo_lab.runs.scheduled_settings.ScheduledSettings:
              steps: [0, 10000]
              settings: [{clip_range: 0.3}, {clip_range: 0.1}]

    A piece begins with the first rollout that starts at its step or later. A run that goes on from
    a checkpoint has the piece of the step that it goes on from.

    Args:
        steps: where the pieces begin: 0, then ascending.
        settings: of each piece, the same names in each; see :func:`change_settings`.

    Raises:
        ArgumentError: the pieces do not fit together, or, from ``learn``, the model has no such
            setting.
    """

    every_step = False

    def __init__(self, steps: Sequence[int], settings: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        whole = all(isinstance(step, int) and not isinstance(step, bool) for step in steps)
        ascending = whole and all(a < b for a, b in zip(steps, [*steps][1:], strict=False))
        if not steps or not ascending or steps[0] != 0:
            raise ArgumentError(f"steps={steps!r:.100}: expected 0, then ascending whole numbers")
        alike = all(isinstance(piece, Mapping) for piece in settings)
        if len(settings) != len(steps) or not alike:
            raise ArgumentError(
                f"settings: expected a mapping for each of the {len(steps)} steps, found "
                f"{settings!r:.100}"
            )
        if any(set(piece) != set(settings[0]) for piece in settings):
            raise ArgumentError("settings: expected the same names in every piece")
        self._steps, self._settings = [*steps], [dict(piece) for piece in settings]
        self._piece: int | None = None

    def _on_rollout_start(self) -> None:
        piece = bisect_right(self._steps, self.model.num_timesteps) - 1
        if piece != self._piece:
            self._piece = piece
            change_settings(self.model, self._settings[piece])

    def _on_step(self) -> bool:
        return True
