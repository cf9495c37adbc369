"""Which callbacks a rollout may pass over."""

import functools
from typing import Any

import pytest
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    ConvertCallback,
    EvalCallback,
    EventCallback,
    EveryNTimesteps,
    ProgressBarCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env

from ppo_lab.compiled.callback_needs import needs_every_step
from ppo_lab.ppo.callbacks import AfterUpdateEvalCallback, FiniteGuard


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


class _DerivedFromDeclared(_Declared):
    def _on_step(self) -> bool:
        self.count = 2
        return True


class _PassesOn(_Nothing):
    def update_child_locals(self, locals_: dict[str, Any]) -> None:
        self.latest = locals_


class _Watches(_Nothing):
    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)


class _CountsItself(_Nothing):
    @property
    def num_timesteps(self) -> int:  # type: ignore[override]
        return self._steps

    @num_timesteps.setter
    def num_timesteps(self, value: int) -> None:
        self._steps = value


class _Decorated(_Nothing):
    @functools.wraps(_Nothing._on_step)
    def _on_step(self) -> bool:
        return self.n_calls < 5


def _patched(name: str, kind: type[BaseCallback] = _Nothing) -> BaseCallback:
    callback = kind([]) if kind is CallbackList else kind()  # type: ignore[call-arg]
    setattr(callback, name, lambda *_: True)
    return callback


def _said_by_the_object(callback: BaseCallback, value: bool) -> BaseCallback:
    callback.every_step = value  # type: ignore[attr-defined]
    return callback


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
    CallbackList([]),
    _said_by_the_object(_Something(), False),
    AfterUpdateEvalCallback(make_vec_env("CartPole-v1", 1)),
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
    _DerivedFromDeclared(),
    _PassesOn(),
    _Watches(),
    _CountsItself(),
    _Decorated(),
    _patched("_on_step"),
    _patched("_on_step", _Declared),
    _patched("_on_step", CallbackList),
    _patched("on_step"),
    _patched("update_locals"),
    _patched("update_child_locals"),
    _said_by_the_object(_Nothing(), True),
    EvalCallback(make_vec_env("CartPole-v1", 1)),
    StopTrainingOnRewardThreshold(1.0),
]


def _name(callback: Any) -> str:
    return type(callback).__name__


@pytest.mark.parametrize("callback", PASSED_OVER, ids=_name)
def test_a_callback_without_effect_between_steps_is_passed_over(callback: BaseCallback) -> None:
    assert not needs_every_step(callback)


@pytest.mark.parametrize("callback", NEEDED, ids=_name)
def test_a_callback_that_does_something_at_steps_is_called_at_each(callback: BaseCallback) -> None:
    assert needs_every_step(callback)
