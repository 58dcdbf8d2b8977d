"""A live board on a terminal."""

from typing import TYPE_CHECKING, TextIO

from magnet.events import Clock, SolveStatus
from magnet.progress.board import board
from magnet.progress.ending import columns, print_end
from magnet.progress.trace import Trace

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

FIRST_BOARD = 200_000_000
"""Nanoseconds that a run goes on before a board is drawn."""


class Tty:
    """A live board on a terminal, which folds into the summary at the end.

    What ends at once is summed up without a board: rich costs as much to import as a short build takes.
    """

    def __init__(self, out: TextIO, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self._trace = Trace()
        self._console: Console | None = None
        self._live: Live | None = None
        self._suspended: set[str] = set()
        self._seen: set[str] = set()

    def update(self, status: SolveStatus) -> None:
        """Take in what is new; `refresh` draws it."""
        self._trace.update(status)

    def refresh(self) -> None:
        """Draw the board in place of the last one."""
        begun = min((node.vertex.started or 0 for node in self._trace.targets), default=self._clock())
        if self._suspended or self._clock() - begun < FIRST_BOARD:
            return
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._console is None:
            self._console = Console(file=self._out, highlight=False, markup=False, emoji=False, soft_wrap=False)
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        rows = board(self._trace, self._clock(), self._console.width, self._console.height - 1)
        self._live.update(Text("\n".join(rows), no_wrap=True, overflow="ellipsis"), refresh=True)

    def suspend(self, vertex: str) -> None:
        """Take the board off the terminal."""
        self._suspended.add(vertex)
        self._seen.add(vertex)
        self._stop()

    def resume(self, vertex: str) -> None:
        """Let the board be drawn again."""
        self._suspended.discard(vertex)

    def done(self) -> None:
        """Put the summary in place of the board."""
        self._stop()
        width = self._console.width if self._console else columns(self._out)
        print_end(self._trace, self._seen, self._out, self._clock(), width)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
