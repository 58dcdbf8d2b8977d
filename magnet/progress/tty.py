"""A live board on a terminal."""

import os
from contextlib import suppress
from typing import TextIO

from magnet.events import Clock, SolveStatus
from magnet.progress.board import board
from magnet.progress.ending import print_end
from magnet.progress.rows import painted
from magnet.progress.screen import Screen
from magnet.progress.trace import Trace

FIRST_BOARD = 200_000_000
"""Nanoseconds that a run goes on before a board is drawn: what ends at once is summed up without one."""


class Tty:
    """A live board on a terminal, which folds into the summary at the end."""

    def __init__(self, out: TextIO, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self._trace = Trace()
        self._screen = Screen(out)
        self._is_coloured = not os.environ.get("NO_COLOR")  # see https://no-color.org
        self._is_due = False
        self._suspended: set[str] = set()
        self._seen: set[str] = set()

    def update(self, status: SolveStatus) -> None:
        """Take in what is new; `refresh` draws it."""
        self._trace.update(status)

    def refresh(self) -> None:
        """Draw the board in place of the last one."""
        now = self._clock()
        self._is_due = self._is_due or now - self._begun(now) >= FIRST_BOARD
        if self._suspended or not self._is_due:
            return
        width, height = self._screen.size()
        # A line is left free, so that what was printed last can still be seen.
        rows = board(self._trace, now, width, max(height - 1, 1))
        self._screen.draw([painted(row) if self._is_coloured else row.text for row in rows])

    def _begun(self, now: int) -> int:
        return min((node.vertex.started or 0 for node in self._trace.targets), default=now)

    def suspend(self, vertex: str) -> None:
        """Take the board off the terminal."""
        self._suspended.add(vertex)
        self._seen.add(vertex)
        self._screen.leave()

    def resume(self, vertex: str) -> None:
        """Let the board be drawn again."""
        self._suspended.discard(vertex)

    def done(self) -> None:
        """Put the summary in place of the board."""
        self._screen.end()
        if self._screen.is_gone:
            return
        with suppress(OSError):  # a terminal that goes away must not make a run fail
            width, _ = self._screen.size()
            print_end(self._trace, self._seen, self._out, self._clock(), width, colour=self._is_coloured)

    def abandon(self) -> None:
        """Take the board off the terminal at once, and draw no more; from any thread, and any number of times."""
        self._screen.abandon()
