"""Environments for the pool's tests: of any spaces, and with troubles."""

import os
import signal
import time
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

SMALL = spaces.Box(-1.0, 1.0, (3,), np.float32)


class Echo(gym.Env[Any, Any]):
    """Random observations of any space; infos that show what the action was like.

    Args:
        observations: their space.
        actions: likewise.
        length: steps of an episode: by turns it terminates, is truncated, and both.
        says: an info has something in it at every so many steps.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - as Gymnasium has it

    def __init__(
        self,
        observations: spaces.Space[Any] = SMALL,
        actions: spaces.Space[Any] = SMALL,
        length: int = 5,
        says: int = 3,
        render_mode: str | None = None,
    ) -> None:
        # Of its own: a space has a generator, which several environments would share here.
        self.observation_space, self.action_space = deepcopy(observations), deepcopy(actions)
        self.length, self.says, self.render_mode = length, says, render_mode
        self.episodes, self.taken = 0, 0
        self.kept: list[Any] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.taken = 0
        self.episodes += 1
        return self.observation_space.sample(), {"options": options, "episodes": self.episodes}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.taken += 1
        self.kept = [*self.kept[-1:], action]
        reward = float(self.np_random.normal()) / 3.0 + float(np.sum(self.kept[0]))
        over = self.taken == self.length
        info: dict[str, Any] = {}
        if self.taken % self.says == 0:
            info = {"action": action, "type": str(getattr(action, "dtype", type(action)))}
        ends = (over and self.episodes % 3 != 1, over and self.episodes % 3 != 2)
        return self.observation_space.sample(), reward, *ends, info

    def render(self) -> Any:
        return np.full((4, 6, 3), self.taken, np.uint8)

    def pid(self) -> int:
        return os.getpid()

    def refuse(self, what: str) -> None:
        raise KeyError(what)

    def end(self) -> None:
        os._exit(5)


class Troubled(Echo):
    """One that has a trouble on its third step, or when it is made.

    Args:
        trouble: ``raise``, ``kill``, ``exit``, ``interrupt``, ``hang``, ``unsendable``, or none.
        at_once: whether it has it when it is made.
    """

    def __init__(self, trouble: str = "", at_once: bool = False) -> None:
        super().__init__(length=100)
        self.trouble = trouble
        if at_once:
            self._have()

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        *out, info = super().step(action)
        if self.taken == 3:
            info |= self._have()
        return *out, info  # type: ignore[return-value]

    def _have(self) -> dict[str, Any]:
        if self.trouble == "raise":
            raise ZeroDivisionError("the world has ended")
        if self.trouble == "interrupt":
            raise KeyboardInterrupt
        if self.trouble == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.trouble == "exit":
            os._exit(7)
        if self.trouble == "hang":
            time.sleep(600.0)
        return {"lock": (x for x in "ab")} if self.trouble == "unsendable" else {}


class Waiting(Echo):
    """One whose steps wait for something outside."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        time.sleep(0.003)
        return super().step(action)


class Careless(Echo):
    """One that draws from NumPy's global generator."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, _, *rest = super().step(action)
        return observation, np.random.random(), *rest  # type: ignore[return-value]  # noqa: NPY002
