"""Which callbacks a rollout may pass over."""

from typing import Any

import pytest
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    ConvertCallback,
    EventCallback,
    EveryNTimesteps,
    ProgressBarCallback,
    StopTrainingOnMaxEpisodes,
)

from ppo_lab.callback_needs import needs_every_step
from ppo_lab.callbacks import FiniteGuard


class _Nothing(BaseCallback):
    def _on_step(self) -> bool:
        """Say yes."""
        return True

    def _on_rollout_end(self) -> None:
        self.model.save("somewhere")


class _Something(_Nothing):
    def _on_step(self) -> bool:
        self.count = 1
        return True


class _Stops(BaseCallback):
    def _on_step(self) -> bool:
        return False


class _Declared(_Something):
    every_step = False


class _Inherits(_Something):
    pass


class _OwnOnStep(_Nothing):
    def on_step(self) -> bool:
        return super().on_step()


PASSED_OVER = [
    _Nothing(),
    _Declared(),
    FiniteGuard(),
    ConvertCallback(None),
    EventCallback(),
    CallbackList([_Nothing(), CallbackList([_Declared()])]),
]
NEEDED = [
    _Something(),
    _Inherits(),
    _Stops(),
    _OwnOnStep(),
    ConvertCallback(lambda _locals, _globals: True),
    CheckpointCallback(10, "somewhere"),
    EveryNTimesteps(10, _Nothing()),
    ProgressBarCallback(),
    StopTrainingOnMaxEpisodes(3),
    CallbackList([_Nothing(), CallbackList([_Something()])]),
]


def _name(callback: Any) -> str:
    return type(callback).__name__


@pytest.mark.parametrize("callback", PASSED_OVER, ids=_name)
def test_a_callback_without_effect_between_steps_is_passed_over(callback: BaseCallback) -> None:
    assert not needs_every_step(callback)


@pytest.mark.parametrize("callback", NEEDED, ids=_name)
def test_a_callback_that_does_something_at_steps_is_called_at_each(callback: BaseCallback) -> None:
    assert needs_every_step(callback)
