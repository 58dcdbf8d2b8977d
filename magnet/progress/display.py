"""Displays: something that follows a run and draws it. A display is used from one thread."""

import os
from collections.abc import Container
from typing import TYPE_CHECKING, Protocol, TextIO

from magnet.events import Clock, Sink, SolveStatus, Vertex, VertexLog
from magnet.progress.trace import Trace, board, failure, lines, seconds, summary

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

FIRST_BOARD = 200_000_000
"""Nanoseconds that a run goes on before a board is drawn."""

PLAIN_WIDTH = 80
"""The width of the summary where there is no terminal to measure."""


class Display(Sink, Protocol):
    """A sink that can leave the terminal to a vertex for a while."""

    def suspend(self, vertex: str) -> None:
        """Draw nothing from now on; the vertex of this digest shows its output itself."""

    def resume(self, vertex: str) -> None:
        """Draw again, and say what was not said meanwhile."""


class Plain:
    """Lines, in BuildKit's form: `#1 build`, `#1 0.245 a line`, `#1 DONE 2.2s`; the summary at the end."""

    def __init__(self, out: TextIO, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self._trace = Trace()
        self._numbers: dict[str, int] = {}
        self._suspended: set[str] = set()
        self._seen: set[str] = set()
        self._held: list[str] = []

    def update(self, status: SolveStatus) -> None:
        """Print what is new."""
        self._trace.update(status)
        for vertex in status.vertexes:
            self._vertex(vertex)
        for log in status.logs:
            if log.vertex not in self._suspended:
                self._log(log)

    def refresh(self) -> None:
        """Nothing: what is printed stays."""

    def suspend(self, vertex: str) -> None:
        """Hold back what other vertexes print; this one's output is seen already."""
        self._suspended.add(vertex)
        self._seen.add(vertex)

    def resume(self, vertex: str) -> None:
        """Print what was held back."""
        self._suspended.discard(vertex)
        if not self._suspended:
            held, self._held = self._held, []
            for line in held:
                self._print(line)

    def done(self) -> None:
        """Print the summary, and the last lines of what failed."""
        print_end(self._trace, self._seen, self._out, self._clock(), PLAIN_WIDTH)

    def _vertex(self, vertex: Vertex) -> None:
        number = self._numbers.get(vertex.digest)
        if number is None:
            number = self._numbers[vertex.digest] = len(self._numbers) + 1
            self._print(f"#{number} {vertex.name}")
        if vertex.completed is not None:
            self._print(f"#{number} {_outcome(vertex)}")

    def _log(self, log: VertexLog) -> None:
        vertex = self._trace.vertexes[log.vertex]
        at = max(log.timestamp - (vertex.started or log.timestamp), 0) / 1e9
        for line in lines(log):
            self._print(f"#{self._numbers[log.vertex]} {at:.3f} {line}".rstrip())

    def _print(self, line: str) -> None:
        if self._suspended:
            self._held.append(line)
        else:
            print(line, file=self._out, flush=True)


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
        begun = min((vertex.started or 0 for vertex in self._trace.vertexes.values()), default=self._clock())
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
        width = self._console.width if self._console else _columns(self._out)
        print_end(self._trace, self._seen, self._out, self._clock(), width)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


class DryRun:
    """The commands of a dry run as a script: those of one target together, other lines as comments."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._trace = Trace()
        self._last = ""

    def update(self, status: SolveStatus) -> None:
        """Print what is new."""
        self._trace.update(status)
        for log in status.logs:
            if log.vertex != self._last:
                self._last = log.vertex
                print(f"# {self._trace.vertexes[log.vertex].name}", file=self._out)
            for line in lines(log):
                print(line, file=self._out)

    def refresh(self) -> None:
        """Nothing: what is printed stays."""

    def suspend(self, vertex: str) -> None:
        """Nothing: no vertex takes the terminal in a dry run."""

    def resume(self, vertex: str) -> None:
        """Nothing."""

    def done(self) -> None:
        """Nothing: a script has no summary."""


def _columns(out: TextIO) -> int:
    """How wide a terminal is, as rich and other programs find it."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(out.fileno()).columns or PLAIN_WIDTH
    except OSError:
        return PLAIN_WIDTH


def print_end(trace: Trace, seen: Container[str], out: TextIO, now: int, width: int) -> None:
    """Print the summary of a run that has ended, then the last lines of what failed in it.

    Left out is a vertex that printed nothing, and one whose output went straight to the terminal: it was `seen` there.
    """
    text = summary(trace, now, width) if trace.vertexes else []
    for vertex in trace.failed:
        if vertex.digest not in seen and vertex.digest in trace.tails:
            text += failure(vertex, trace)
    for line in text:
        print(line, file=out)
    out.flush()


def _outcome(vertex: Vertex) -> str:
    if vertex.canceled:
        return "CANCELED"
    if vertex.error:
        return f"ERROR: {vertex.error}"
    return "CACHED" if vertex.cached else f"DONE {seconds((vertex.completed or 0) - (vertex.started or 0))}"
