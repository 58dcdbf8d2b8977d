"""The one consumer: takes events off the one queue, takes secrets out, and hands them to every sink, without loss."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import ParamSpec

from magnet.events import Sink, SolveStatus
from magnet.progress.display import Display
from magnet.redact import Redactor
from magnet.values import frozen

QUEUE_LENGTH = 256
"""Events that may wait; beyond it whoever emits waits, and with it the child whose output it reads."""

P = ParamSpec("P")

FRAME = 0.1
"""Seconds between two drawings."""


@frozen
class _Suspend:
    vertex: str
    done: threading.Event


@frozen
class _Resume:
    vertex: str


_Item = SolveStatus | _Suspend | _Resume | None


class Consumer:
    """Runs the sinks in a thread of its own, from `start` to `finish`. What they get has no secret in it."""

    def __init__(self, display: Display, others: Sequence[Sink], redactor: Redactor) -> None:
        self._display = display
        self._redactor = redactor
        self._sinks = (*others, display)
        self._queue: queue.SimpleQueue[tuple[_Item, bool]] = queue.SimpleQueue()
        self._room = threading.Semaphore(QUEUE_LENGTH)
        self._thread = threading.Thread(target=self._consume, name="events", daemon=True)
        self._error: BaseException | None = None

    def start(self) -> None:
        """Begin to consume."""
        self._thread.start()

    def emit(self, status: SolveStatus) -> None:
        """Hand in events, from any thread; all but the main one wait where the sinks are behind."""
        self._put(status)

    @contextmanager
    def terminal(self, vertex: str) -> Iterator[None]:
        """Keep the display off the terminal for the length of the block, for the output of this vertex."""
        suspend = _Suspend(vertex, threading.Event())
        self._put(suspend)
        suspend.done.wait()
        try:
            yield
        finally:
            self._put(_Resume(vertex))

    def finish(self, timeout: float | None = None) -> None:
        """Wait until every event is consumed, and let the sinks say their last. An error of a sink is raised here.

        With a `timeout`, in seconds, what is not consumed by then is given up.
        """
        self._queue.put((None, False))
        self._thread.join(timeout)
        if self._error is not None:
            raise self._error

    def _put(self, item: _Item) -> None:
        # Signals are handled in the main thread, and may interrupt it anywhere or emit by themselves: it takes no lock
        # here, which it could leave locked, or wait for for ever. It emits no more than that targets are skipped.
        takes_room = threading.current_thread() is not threading.main_thread()
        if takes_room:
            self._room.acquire()
        self._queue.put((item, takes_room))

    def _consume(self) -> None:
        drawn = 0.0
        while True:
            with suppress(queue.Empty):
                item, takes_room = self._queue.get(timeout=FRAME)
                if takes_room:
                    self._room.release()
                if item is None:
                    break
                self._take(item)
            if time.monotonic() - drawn >= FRAME:
                drawn = time.monotonic()
                for sink in self._sinks:
                    self._guarded(sink.refresh)
        if rest := self._redactor.rest():
            self._hand_on(rest)
        for sink in self._sinks:
            self._guarded(sink.done)

    def _take(self, item: SolveStatus | _Suspend | _Resume) -> None:
        if isinstance(item, _Resume):
            self._guarded(self._display.resume, item.vertex)
        elif isinstance(item, _Suspend):
            self._guarded(self._display.suspend, item.vertex)
            item.done.set()
        else:
            self._hand_on(self._redactor.status(item))

    def _hand_on(self, status: SolveStatus) -> None:
        for sink in self._sinks:
            self._guarded(sink.update, status)

    def _guarded(self, step: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        # A sink that fails, on a full disk or a closed pipe, must leave neither those waiting who emit nor the other
        # sinks without what it failed at.
        try:
            step(*args, **kwargs)
        except Exception as error:
            self._error = self._error or error
