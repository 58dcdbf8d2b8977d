"""The place of a board on a terminal: below all that is printed, drawn anew as a whole, gone without remains.

The control functions are those of ECMA-48 and of DEC's terminals, which every emulator has.
"""

import os
import threading
from collections.abc import Callable, Sequence
from typing import TextIO

from magnet.progress.streams import divert

USUAL_SIZE = (80, 24)
"""Columns and lines where there is no terminal to measure."""

_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_ERASE_LINE = "\x1b[K"
_ERASE_BELOW = f"{_ERASE_LINE}\x1b[C\x1b[J\r"
"""Erases from the beginning of a row, where the cursor stays. What is erased from the upper left corner itself, tmux
keeps in its history."""

_WAITING = 1 << 16
"""Characters that may wait to be printed above a frame."""

_PATIENCE = 1.0
"""Seconds that `abandon` waits for a frame that is being written."""


class Screen:
    """Draws frames in place of each other. What is written to it never fails: a terminal may go away.

    Between two frames the cursor stands, hidden, at the beginning of the frame, not below it. Terminals keep the cursor
    with the text that it stands at when their size changes, whether or not they wrap lines anew; how many rows the
    frame takes then, which no program can know, does not matter.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._is_gone = False
        self._is_up = False
        self._is_midline = False
        self._above = ""
        self._undivert: Callable[[], None] | None = None

    def size(self) -> tuple[int, int]:
        """Columns and lines: those of COLUMNS and LINES, unless the terminal has fewer."""
        try:
            columns, lines = os.get_terminal_size(self._out.fileno())
        except OSError:
            columns, lines = 0, 0
        return _least("COLUMNS", columns) or USUAL_SIZE[0], _least("LINES", lines) or USUAL_SIZE[1]

    def draw(self, rows: Sequence[str]) -> None:
        """Draw a frame in place of the last one, below what was printed meanwhile."""
        with self._lock:
            if self._is_gone:
                return
            begin = "" if self._is_up else f"{self._fresh_line()}{_HIDE}"
            above, self._above = _whole_lines(self._above)
            room = f"{_ERASE_BELOW}{above}" if above else ""
            *upper, last = rows
            body = "".join(f"{_ERASE_LINE}{row}\r\n" for row in upper)
            back = f"\x1b[{len(upper)}A" if upper else ""
            # Should a character be wider than it was taken for, its row is cut, and not wrapped.
            self._write(f"{begin}\r{room}{_NO_WRAP}{body}{_ERASE_BELOW}{last}\r{back}{_WRAP}")
            self._is_up = True
            if self._undivert is None:
                self._undivert = divert(self._out, self._put)

    def leave(self) -> None:
        """Take the frame off, and leave the terminal to who may not end what he prints with the end of a line."""
        with self._lock:
            self._clear()
            self._is_midline = True

    def end(self) -> None:
        """Take the frame off; what is printed from now on begins on a line of its own."""
        with self._lock:
            self._clear()
            if begin := self._fresh_line():
                self._write(begin)

    def abandon(self) -> None:
        """Take the frame off at once, and draw no more; from any thread, and any number of times."""
        if self._undivert:
            self._undivert()
        if self._lock.acquire(timeout=_PATIENCE):
            try:
                self._clear()
            finally:
                self._is_gone = True
                self._lock.release()
        self._is_gone = True

    @property
    def is_gone(self) -> bool:
        """Whether nothing is shown any more: the terminal has gone, or was abandoned."""
        return self._is_gone

    def _clear(self) -> None:
        if self._undivert:
            self._undivert()
            self._undivert = None
        if self._is_up:
            self._is_up = False
            self._write(f"\r{_ERASE_BELOW}{self._above}{_SHOW}")
            self._is_midline = bool(self._above) and not self._above.endswith("\n")
            self._above = ""

    def _put(self, text: str) -> bool:
        """Print a text above the frame, with the next one, or at once if it is much; False if there is no frame."""
        with self._lock:
            if not self._is_up or self._is_gone:
                return False
            self._above += text
            if len(self._above) > _WAITING:
                above, self._above = _whole_lines(self._above)
                self._write(f"\r{_ERASE_BELOW}{above}")
            return True

    def _fresh_line(self) -> str:
        """What puts the cursor at the beginning of a line, the next one if there is something in this."""
        if not self._is_midline:
            return ""
        self._is_midline = False
        # So many blanks lead to the end of this line, or else into the next one. Shells do so before a prompt.
        return f"{' ' * self.size()[0]}\r{_ERASE_LINE}"

    def _write(self, text: str) -> None:
        if self._is_gone:
            return
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):  # ValueError: it is closed
            self._is_gone = True


def _whole_lines(text: str) -> tuple[str, str]:
    """The lines of a text that have an end, and the rest."""
    whole, newline, rest = text.rpartition("\n")
    return whole + newline, rest


def _least(variable: str, actual: int) -> int:
    """What a variable of the environment gives, and what the terminal has, whichever is less; 0 if neither is known."""
    given = os.environ.get(variable, "")
    sizes = [int(given) if given.isdecimal() else 0, actual]
    return min((one for one in sizes if one > 0), default=0)
