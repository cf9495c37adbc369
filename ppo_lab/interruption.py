"""Whose exception it is: the user's Ctrl-C, or whatever an environment raises."""

import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

__all__ = ["by_user", "one_line", "raise_if_stopped", "stop_signals"]

_received = threading.Event()


@contextmanager
def stop_signals() -> Iterator[None]:
    """While it lasts, Ctrl-C and SIGTERM raise KeyboardInterrupt, and are remembered."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python hears of signals in its main thread alone
        return
    numbers = [signal.SIGTERM, signal.SIGINT]
    # A shell's background job ignores Ctrl-C; it stays so.
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    _received.clear()
    for number in before:
        signal.signal(number, _receive)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _received.clear()


def by_user(error: BaseException) -> bool:
    """Whether the user has stopped the process; else an exception is of the code that raised it.

    A KeyboardInterrupt is the user's where Python's own handler raises it, as in a notebook, or
    where a signal was received. An environment may turn it into something else on the way.

    Args:
        error: what was caught.
    """
    if _received.is_set():
        return True
    own = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, KeyboardInterrupt) and own


def raise_if_stopped() -> None:
    """Raise KeyboardInterrupt where a signal was received and its exception got lost.

    Python drops an exception that is raised inside a finaliser or a callback of the garbage
    collector or of C code, and an environment may catch everything. Loops ask here each turn.
    """
    if _received.is_set():
        raise KeyboardInterrupt


def one_line(error: BaseException) -> str:
    """An exception's name and message in one line."""
    if isinstance(error, SystemExit):
        return f"SystemExit: sys.exit({'' if error.code is None else repr(error.code)}) was called"
    if isinstance(error, KeyboardInterrupt) and not str(error):
        return "KeyboardInterrupt: raised without Ctrl-C"
    try:
        text = " ".join(str(error).split())
    except Exception as second:
        text = f"its message cannot be read ({type(second).__name__})"
    return f"{type(error).__name__}: {text or _place(error)}"


def _place(error: BaseException) -> str:
    """Where an exception without a message was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "without a message"
    last = frames[-1]
    return f"without a message, in {last.name}, {Path(last.filename).name} line {last.lineno}"


def _receive(_signal: int, _frame: FrameType | None) -> None:
    _received.set()
    raise KeyboardInterrupt
