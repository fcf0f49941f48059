"""Keeps what can wait within a share of the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class TimeShare:
    """Counts the seconds that something takes of all that have passed since this was made.

    share: of the time, 0 to 1. clock: gives seconds.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._share, self._clock = share, clock
        self._begun = clock()
        self.spent = 0.0
        self.last = 0.0

    def has_room_for(self, seconds: float) -> bool:
        """Whether so many seconds more would stay within the share."""
        passed = self._clock() - self._begun
        return self.spent + seconds <= self._share * (passed + seconds)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """What the context takes counts, and is what `last` says afterwards."""
        before = self._clock()
        try:
            yield
        finally:
            self.last = self._clock() - before
            self.spent += self.last
