"""How far work on many bytes is, as statuses of the target that it is done for."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from magnet.events import Clock, SolveStatus, VertexStatus
from magnet.values import replace

Advance = Callable[[int], None]
"""Is told how many more bytes are done; from any thread."""

Measure = Callable[[str, int], AbstractContextManager[Advance]]
"""Begins to measure a work: what it is, as a display shows it, and how many bytes there are to do."""

FIRST = 200_000_000
"""Nanoseconds that a work takes before it is worth telling of."""

STEP = 100_000_000
"""Nanoseconds between two statuses."""


def unmeasured(what: str, total: int) -> AbstractContextManager[Advance]:
    """Measures nothing."""
    return nullcontext(lambda size: None)


class Meter:
    """Measures works of one vertex, and emits what it measures as its statuses."""

    def __init__(self, vertex: str, emit: Callable[[SolveStatus], None], clock: Clock) -> None:
        self._vertex = vertex
        self._emit = emit
        self._clock = clock

    @contextmanager
    def __call__(self, what: str, total: int) -> Iterator[Advance]:
        """Measure a work for the length of the block; one that is done soon is not told of."""
        started = self._clock()
        status = VertexStatus(what, self._vertex, total=total, timestamp=started, started=started)
        told, lock = started + FIRST - STEP, threading.Lock()

        def advance(size: int) -> None:
            nonlocal status, told
            with lock:
                now = self._clock()
                status = replace(status, current=status.current + size, timestamp=now)
                if now - told >= STEP:
                    told = now
                    self._emit(SolveStatus(statuses=(status,)))

        try:
            yield advance
        finally:
            if told >= started + FIRST:
                now = self._clock()
                self._emit(SolveStatus(statuses=(replace(status, timestamp=now, completed=now),)))
