"""Several learners that play one game: each runs until it waits for what the others do."""

from collections.abc import Callable
from threading import Condition, Thread

__all__ = ["StoppedByAnotherError", "Turns"]


class StoppedByAnotherError(Exception):
    """Another learner ended, and the game needs all of them."""


class Turns:
    """Runs tasks in threads of which one at a time has the turn, in a fixed order.

    Whoever waits for the others passes the turn on, so that random generators, which the tasks
    share, are drawn from in the same order whenever the same is run again.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._running: list[int] = []
        self._turn = -1
        self._is_over = True

    @property
    def is_running(self) -> bool:
        """Whether tasks are being run."""
        return not self._is_over

    def run(self, tasks: list[Callable[[], None]]) -> None:
        """Run all tasks; once one has ended, the others end at their next wait for it.

        Raises:
            BaseException: what a task raised first, or an interruption by the user.
        """
        raised: list[BaseException] = []
        self._running, self._turn, self._is_over = list(range(len(tasks))), 0, False
        threads = [
            Thread(target=self._run_one, args=(number, task, raised), daemon=True)
            for number, task in enumerate(tasks)
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            self._end()
            for thread in threads:
                thread.join()
            raise
        if raised:
            raise raised[0]

    def wait_for_others(self, me: int, has_come: Callable[[], bool]) -> None:
        """Let every other task run until what this one waits for has come.

        Raises:
            StoppedByAnotherError: one of them has ended.
        """
        with self._changed:
            while not has_come():
                if self._is_over:
                    raise StoppedByAnotherError
                self._pass_on(me)
                self._changed.wait_for(lambda: self._turn == me)

    def _run_one(self, me: int, task: Callable[[], None], raised: list[BaseException]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._turn == me)
        try:
            task()
        except StoppedByAnotherError:
            pass
        except BaseException as error:
            raised.append(error)
        finally:
            self._end()
            with self._changed:
                self._pass_on(me)
                self._running.remove(me)

    def _end(self) -> None:
        with self._changed:
            self._is_over = True

    def _pass_on(self, me: int) -> None:
        place = self._running.index(me)
        self._turn = self._running[(place + 1) % len(self._running)]
        self._changed.notify_all()
