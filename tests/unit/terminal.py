"""A terminal that can be looked at: an emulator, with the ways in which real ones take a change of their size."""

import io
import os
import termios
from collections import defaultdict
from typing import Any, Literal

import pyte
from pyte.screens import Char, StaticDefaultDict

Kind = Literal["cut", "wrap", "push"]
"""What a change of size does: `cut` cuts rows off, as xterm and the console of Linux do. Others wrap lines anew: `wrap`
keeps the row of the cursor on the screen, as VTE does; `push` keeps the last rows there, blank ones too, as tmux does."""

KINDS: tuple[Kind, ...] = ("cut", "wrap", "push")

_Row = tuple[list[Char], bool]
"""Cells without the blanks at the end, and whether the row goes on with the line of the row above."""


class Emulator(pyte.Screen):
    """A screen with scrollback, which knows what rows are of one line, and can change its size as terminals do."""

    def __init__(self, columns: int, lines: int, kind: Kind) -> None:
        self.kind = kind
        self.past: list[_Row] = []
        self.goes_on: list[bool] = []
        self._is_drawing = False
        super().__init__(columns, lines)

    def reset(self) -> None:
        super().reset()
        self.goes_on = [False] * self.lines

    def draw(self, data: str) -> None:
        self._is_drawing = True
        super().draw(data)
        self._is_drawing = False

    def index(self) -> None:
        if self.cursor.y == self.lines - 1:
            self.past.append(self._row(0))
            self.goes_on = [*self.goes_on[1:], False]
        super().index()
        if self._is_drawing:
            self.goes_on[self.cursor.y] = True

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        super().erase_in_line(how, private)
        if how != 1:
            self.goes_on[self.cursor.y + 1 : self.cursor.y + 2] = [False] * (self.cursor.y < self.lines - 1)

    def erase_in_display(self, how: int = 0, *args: Any, **kwargs: Any) -> None:
        if self.kind == "push" and how == 0 and (self.cursor.y, self.cursor.x) == (0, 0):
            self.past += [
                row for row in map(self._row, range(self.lines)) if row[0]
            ]  # tmux takes it for a whole screen
        super().erase_in_display(how, *args, **kwargs)
        first = self.cursor.y + 1 if how == 0 else 0
        self.goes_on[first:] = [False] * (self.lines - first)

    @property
    def visible(self) -> list[str]:
        """The rows on the screen down to the last that is not blank, each without blanks at its end."""
        return _stripped([_text(self._row(y)).rstrip() for y in range(self.lines)])

    @property
    def written(self) -> list[str]:
        """All lines, those that scrolled off the screen included."""
        lines: list[str] = []
        for row in (*self.past, *map(self._row, range(self.lines))):
            if row[1] and lines:
                lines[-1] += _text(row)
            else:
                lines.append(_text(row))
        return _stripped(lines)

    def change(self, columns: int, lines: int) -> None:
        """Change the size."""
        rows = [*self.past, *map(self._row, range(self.lines))]
        cursor = (len(self.past) + self.cursor.y, min(self.cursor.x, self.columns - 1))
        if self.kind == "cut":
            rows = [(cells[:columns], False) for cells, _ in rows]
            cursor = (cursor[0], min(cursor[1], columns - 1))
            top = max(len(self.past), cursor[0] + 1 - lines)
        elif self.kind == "wrap":
            rows, cursor = _wrapped(rows, cursor, columns)
            last = max([cursor[0], *(index for index, row in enumerate(rows) if row[0])])
            top = min(max(last + 1 - lines, 0), cursor[0])
        else:
            rows, cursor = _wrapped(rows, cursor, columns)
            top = len(rows) - self.lines
            cursor = cursor if cursor[0] >= top else (top, 0)
            top = max(top - max(lines - self.lines, 0), cursor[0] + 1 - lines, 0)
        self.past, shown = rows[:top], rows[top : top + lines]
        self._show(shown, columns, lines)
        self.cursor.y, self.cursor.x = max(cursor[0] - top, 0), cursor[1]

    def _show(self, rows: list[_Row], columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.set_margins()
        self.tabstops = set(range(8, columns, 8))
        self.buffer: Any = defaultdict(lambda: StaticDefaultDict(self.default_char))
        for y, (cells, _) in enumerate(rows):
            self.buffer[y].update(enumerate(cells))
        self.goes_on = [goes_on for _, goes_on in rows] + [False] * (lines - len(rows))

    def _row(self, y: int) -> _Row:
        cells = [self.buffer[y][x] for x in range(self.columns)]
        if not any(self.goes_on[y + 1 : y + 2]):
            while cells and cells[-1].data == " ":
                cells.pop()
        return cells, self.goes_on[y]


def _wrapped(rows: list[_Row], cursor: tuple[int, int], columns: int) -> tuple[list[_Row], tuple[int, int]]:
    """The rows of another width, and where the cursor is then: at the same character."""
    made: list[_Row] = []
    place = (0, 0)
    for index, (cells, goes_on) in enumerate(rows):
        before, starts = made.pop() if goes_on and made else ([], False)
        first = len(made)
        made += _split([*before, *cells], columns, starts)
        if index == cursor[0]:
            down, x = divmod(len(before) + cursor[1], columns)
            place = (first + down, x)
            made += [([], True)] * (place[0] + 1 - len(made))
    return made, place


def _split(cells: list[Char], columns: int, goes_on: bool) -> list[_Row]:
    rows: list[_Row] = [(cells[:columns], goes_on)]
    rows += [(cells[at : at + columns], True) for at in range(columns, len(cells), columns)]
    return rows


def _text(row: _Row) -> str:
    return "".join(cell.data for cell in row[0])


def _stripped(lines: list[str]) -> list[str]:
    while lines and not lines[-1]:
        lines.pop()
    return lines


class Terminal(io.StringIO):
    """What a program writes to: a pseudoterminal for its size, and an emulator for what is to be seen."""

    def __init__(self, columns: int = 40, lines: int = 10, kind: Kind = "wrap") -> None:
        super().__init__()
        self.leader, self._follower = os.openpty()
        self.screen = Emulator(columns, lines, kind)
        self.said = ""
        self.writes = 0
        self._stream = pyte.Stream(self.screen)
        self.resize(columns, lines)

    def resize(self, columns: int, lines: int) -> None:
        termios.tcsetwinsize(self._follower, (lines, columns))
        self.screen.change(columns, lines)

    def fileno(self) -> int:
        return self._follower

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.said += text
        self.writes += 1
        self._stream.feed(text.replace("\n", "\r\n"))
        return len(text)

    def close(self) -> None:
        if not self.closed:
            os.close(self.leader)
            os.close(self._follower)
        super().close()

    @property
    def shows_cursor(self) -> bool:
        return not self.screen.cursor.hidden
