"""Plain lines, for what is no terminal."""

from typing import TextIO

from magnet.events import Clock, SolveStatus, Vertex, VertexLog
from magnet.progress.ending import PLAIN_WIDTH, print_end
from magnet.progress.trace import Trace, lines, seconds


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
        vertex = self._trace.nodes[log.vertex].vertex
        at = max(log.timestamp - (vertex.started or log.timestamp), 0) / 1e9
        for line in lines(log):
            self._print(f"#{self._numbers[log.vertex]} {at:.3f} {line}".rstrip())

    def _print(self, line: str) -> None:
        if self._suspended:
            self._held.append(line)
        else:
            print(line, file=self._out, flush=True)


def _outcome(vertex: Vertex) -> str:
    if vertex.canceled:
        return "CANCELED"
    if vertex.error:
        return f"ERROR: {vertex.error}"
    return "CACHED" if vertex.cached else f"DONE {seconds((vertex.completed or 0) - (vertex.started or 0))}"
