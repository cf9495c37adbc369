"""The sign of life of a process that has claimed trials."""

import threading

from optuna.storages import BaseStorage, RDBStorage

__all__ = ["Heart"]


class Heart:
    """Tells the storage, from a thread of its own, that this process is at work on its claims.

    Args:
        storage: only a database that Optuna itself talks to hears it; a proxy does not.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage if isinstance(storage, RDBStorage) else None
        interval = self._storage.get_heartbeat_interval() if self._storage else None
        self._interval = interval or 0
        self._claimed: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        if self._interval:
            self._thread.start()

    def begin(self, trial_id: int) -> None:
        """Beat for a trial from now on; before it is claimed, so that it is never without."""
        if self._storage is not None:
            self._storage.record_heartbeat(trial_id)
        self._claimed.add(trial_id)

    def end(self, trial_id: int) -> None:
        """Beat for it no longer."""
        self._claimed.discard(trial_id)

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._interval:
            self._thread.join()

    def _beat(self) -> None:
        assert self._storage is not None
        while not self._stop.wait(self._interval):
            for trial_id in tuple(self._claimed):
                try:
                    # Its own patience would hold up the command's end.
                    RDBStorage.record_heartbeat(self._storage, trial_id)
                except Exception:
                    # The command meets the same failure at its next claim, and reports it.
                    break
