"""One worker process of a pool: it steps the environments that were given to it."""

import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from typing import Any

import cloudpickle
import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env.patch_gym import _patch_env

from ppo_lab.interruption import one_line
from ppo_lab.vec_env.pool_arrays import IDLE, ActionForm, SharedArrays, SharedFile

__all__ = ["ANSWER", "CALL", "DONE", "LEAVE", "STEP", "STEP_NOTED", "Failure", "work"]

STEP, STEP_NOTED, CALL, LEAVE = b"s", b"n", b"c", b"l"
"""What a worker is told, one byte: step; step, but send infos of episodes' ends alone; a call
follows; leave."""
DONE, ANSWER = b".", b"a"
"""What it says, one byte: all that there is to know lies in the arrays; an answer follows."""
ORPHAN_CHECK_SECONDS = 2.0
ORPHAN_GRACE_SECONDS = 3.0
"""For environments to close once the parent is gone."""

Env = gym.Env[Any, Any]


@dataclass(frozen=True)
class Failure:
    """An exception of an environment's.

    Attributes:
        index: the environment's.
        said: the exception's type and message in one line.
        trace: its traceback.
        error: the exception itself, if it can be sent.
    """

    index: int
    said: str
    trace: str
    error: BaseException | None

    @classmethod
    def of(cls, index: int, error: BaseException) -> "Failure":
        """What is to be known of an exception that was caught."""
        trace = "".join(traceback.format_exception(error))
        sendable: BaseException | None = error
        try:
            type_and_text = pickle.loads(pickle.dumps(error))
            if type(type_and_text) is not type(error):
                sendable = None
        except Exception:
            sendable = None
        return cls(index, one_line(error), trace, sendable)


def work(
    first: int,
    number: int,
    makers: Sequence[bytes],
    commands: connection.Connection,
    answers: connection.Connection,
    file: SharedFile,
    inherited: Sequence[connection.Connection],
) -> None:
    """What a worker process does, from its start to its end.

    Args:
        first: index of its first environment.
        number: which worker of the pool it is.
        makers: cloudpickled, each makes one of its environments.
        commands: where it is told what to do.
        answers: where it says what came of it.
        file: memory for the arrays.
        inherited: the parent's ends, where a forked process has them: nobody would see the
            parent's end while a worker holds them.
    """
    # Ctrl-C reaches the whole process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for end in inherited:
        end.close()
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    worker = _Worker(first, number, commands, answers, file)
    try:
        if worker.make(makers):
            worker.serve()
    except (EOFError, BrokenPipeError):
        pass  # the parent is gone
    finally:
        worker.close()


def _leave_with(parent: int) -> None:
    """End this process some time after its parent, whatever an environment hangs in."""
    started_by = parent_process()
    ends = [] if started_by is None else [started_by.sentinel]
    while os.getppid() == parent and not connection.wait(ends, ORPHAN_CHECK_SECONDS):
        if not ends:
            time.sleep(ORPHAN_CHECK_SECONDS)
    time.sleep(ORPHAN_GRACE_SECONDS)
    os._exit(1)


class _Worker:
    def __init__(
        self,
        first: int,
        number: int,
        commands: connection.Connection,
        answers: connection.Connection,
        file: SharedFile,
    ) -> None:
        self._first, self._number, self._file = first, number, file
        self._commands, self._answers = commands, answers
        self._envs: list[Env] = []
        self._at = first
        """The environment at work, while there are no arrays yet."""
        self._arrays: SharedArrays | None = None

    def make(self, makers: Sequence[bytes]) -> bool:
        """Make the environments; say after each that it is made. False: one could not be."""
        for index, maker in enumerate(makers, self._first):
            self._at = index
            self._say(DONE)
            try:
                self._envs.append(_patch_env(cloudpickle.loads(maker)()))
                _check_apart(self._envs)
            except BaseException as error:
                self._send(Failure.of(self._at, error))
                return False
        self._say(DONE)
        return True

    def serve(self) -> None:
        """Do what is asked until there is nobody who asks."""
        read, descriptor = os.read, self._commands.fileno()
        while (command := read(descriptor, 1)) not in (b"", LEAVE):
            if command == CALL:
                name, arguments = pickle.loads(self._commands.recv_bytes())
                self._try(getattr(self, name), *arguments)
            else:
                self._try(self._step, command == STEP_NOTED)

    def close(self) -> None:
        """Close the environments and then the pipe, whose end says that all is closed."""
        for env in self._envs:
            try:
                env.close()
            except BaseException:
                traceback.print_exc()
        self._answers.close()

    # ------------------------------------------------------------------ stepping

    def _step(self, noted_only: bool) -> list[tuple[int, Any, Any]] | None:
        """Step every environment; the infos in which there is something, with those of resets."""
        arrays, first = self._arrays, self._first
        assert arrays is not None
        rewards, dones, write = arrays.rewards, arrays.dones, arrays.write
        only = arrays.observations.get(None)
        at_work, number = arrays.at_work, self._number
        # A copy: an environment may keep its action, and the next step overwrites the array.
        actions = self._actions.copy()
        sent: list[tuple[int, Any, Any]] = []
        for index, env in enumerate(self._envs, first):
            at_work[number] = index
            observation, rewards[index], terminated, truncated, info = env.step(
                actions[index - first]
            )
            done, reset_info = terminated or truncated, None
            info["TimeLimit.truncated"] = cut = truncated and not terminated
            dones[index] = done
            if done:
                info["terminal_observation"] = observation
                observation, reset_info = env.reset()
                sent.append((index, info, reset_info))
            elif "episode" in info if noted_only else (len(info) > 1 or cut):
                sent.append((index, info, None))
            if only is None:
                write(index, observation)
            else:  # what write does, without its loop
                only[index] = observation
        return sent or None

    def reset(
        self, seeds: Sequence[int | None], options: Sequence[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Begin an episode in each environment; their infos."""
        assert self._arrays is not None
        infos = []
        for index, env in self._each():
            seed, given = seeds[index - self._first], options[index - self._first]
            observation, info = env.reset(seed=seed, **({"options": given} if given else {}))
            infos.append(info)
            self._arrays.write(index, observation)
        return infos

    # ------------------------------------------------------------------ calls

    def own_spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        """The spaces of the first environment."""
        return self._envs[0].observation_space, self._envs[0].action_space

    def attach(
        self, n_envs: int, n_workers: int, observations: spaces.Space[Any], actions: Any
    ) -> None:
        """Lay the arrays into the memory."""
        self._arrays = SharedArrays(n_envs, n_workers, observations, actions)
        self._arrays.attach(self._file)
        self._arrays.at_work[self._number] = IDLE

    def take_actions_as(self, form: ActionForm) -> None:
        """From now on actions have this form."""
        assert self._arrays is not None
        stop = self._first + len(self._envs)
        self._actions: np.ndarray[Any, Any] = self._arrays.actions(form)[self._first : stop]

    def render(self, chosen: Sequence[int]) -> list[Any]:
        """A picture of each chosen environment."""
        return [env.render() for _, env in self._each(chosen)]

    def env_method(
        self, chosen: Sequence[int], name: str, arguments: Sequence[Any], keywords: dict[str, Any]
    ) -> list[Any]:
        """Call a method of each chosen environment."""
        return [env.get_wrapper_attr(name)(*arguments, **keywords) for _, env in self._each(chosen)]

    def get_attr(self, chosen: Sequence[int], name: str) -> list[Any]:
        """An attribute of each chosen environment."""
        return [env.get_wrapper_attr(name) for _, env in self._each(chosen)]

    def has_attr(self, chosen: Sequence[int], name: str) -> bool:
        """Whether each chosen environment has an attribute."""
        try:
            self.get_attr(chosen, name)
        except AttributeError:
            return False
        return True

    def set_attr(self, chosen: Sequence[int], name: str, value: Any) -> None:
        """Set an attribute of each chosen environment."""
        for _, env in self._each(chosen):
            setattr(env, name, value)

    def is_wrapped(self, chosen: Sequence[int], wrapper_class: Any) -> list[bool]:
        """Whether each chosen environment is in such a wrapper."""
        return [is_wrapped(env, wrapper_class) for _, env in self._each(chosen)]

    # ------------------------------------------------------------------ saying

    def _each(self, chosen: Sequence[int] | None = None) -> Any:
        """(index, environment) of those chosen, or of all; notes which one is at work."""
        everyone = range(self._first, self._first + len(self._envs))
        for index in everyone if chosen is None else chosen:
            self._at = index
            if self._arrays is not None:
                self._arrays.at_work[self._number] = index
            yield index, self._envs[index - self._first]

    def _try(self, function: Callable[..., Any], *arguments: Any) -> None:
        try:
            answer = function(*arguments)
        except BaseException as error:
            at = IDLE if self._arrays is None else int(self._arrays.at_work[self._number])
            answer = Failure.of(self._at if at == IDLE else at, error)
        if self._arrays is not None:  # before the answer: it may be killed right after
            self._arrays.at_work[self._number] = IDLE
        if answer is None:
            self._say(DONE)
        else:
            self._send(answer)

    def _say(self, what: bytes) -> None:
        os.write(self._answers.fileno(), what)

    def _send(self, answer: Any) -> None:
        try:
            packed = _packed(answer)
        except Exception as error:
            packed = pickle.dumps(self._unsendable(answer, error))
        self._say(ANSWER)
        self._answers.send_bytes(packed)

    def _unsendable(self, answer: Any, error: Exception) -> Failure:
        """The failure of an answer that cannot be sent: its first part that cannot be."""
        at = self._at
        for part in answer if isinstance(answer, list) else ():
            try:
                _packed(part)
            except Exception as cause:
                at, error = part[0] if isinstance(part, tuple) else at, cause
                break
        named = TypeError(f"what the environment gave cannot be sent to another process: {error}")
        return Failure.of(at, named)


def _packed(value: Any) -> bytes:
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception:
        packed: bytes = cloudpickle.dumps(value)  # lambdas, classes of __main__: ten times slower
        return packed


def _check_apart(envs: Sequence[Env]) -> None:
    if any(envs[-1].unwrapped is env.unwrapped for env in envs[:-1]):
        raise ValueError(
            "the function that makes environments returned the same one twice; it must make "
            "a new one at every call"
        )
