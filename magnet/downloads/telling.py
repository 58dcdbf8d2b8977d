"""What is told of a download: a vertex below its target, its lines, and how far it is."""

import threading
from collections.abc import Callable

from magnet.events import Clock, SolveStatus, Vertex, VertexLog, VertexWarning
from magnet.meter import Meter
from magnet.values import replace


class Telling:
    """The vertex of a download, from its begin to its end, which is told once."""

    def __init__(self, vertex: Vertex, emit: Callable[[SolveStatus], None], clock: Clock) -> None:
        self._vertex = replace(vertex, started=clock())
        self._emit = emit
        self._clock = clock
        self._lock = threading.Lock()
        self._has_ended = False
        self.measure = Meter(vertex.digest, self._tell, clock)
        emit(SolveStatus(vertexes=(self._vertex,), transcript=(self._line(vertex.parent, vertex.name),)))

    def say(self, line: str) -> None:
        """Print a line, which is in the log of the target as well."""
        own, target = (self._line(vertex, line) for vertex in (self._vertex.digest, self._vertex.parent))
        self._tell(SolveStatus(logs=(own,), transcript=(target,)))

    def warn(self, line: str) -> None:
        """Say what a user should know though nothing has failed."""
        warning = VertexWarning(self._vertex.digest, line)
        self._tell(SolveStatus(warnings=(warning,), transcript=(self._line(self._vertex.parent, f"WARN: {line}"),)))

    def end(self, *, error: str = "", canceled: bool = False, cached: bool = False, took: int | None = None) -> None:
        """Tell what came of it, if that is not told yet."""
        completed = self._clock()
        ended = replace(
            self._vertex,
            completed=completed,
            error=error,
            canceled=canceled,
            cached=cached,
            took=took if cached else None,
        )
        with self._lock:
            if not self._has_ended:
                self._has_ended = True
                self._emit(SolveStatus(vertexes=(ended,)))

    def _line(self, vertex: str, line: str) -> VertexLog:
        return VertexLog(vertex, 1, f"{line}\n".encode(errors="surrogateescape"), self._clock())

    def _tell(self, status: SolveStatus) -> None:
        # What goes on in a thread that nobody waits for any longer has nothing to add.
        with self._lock:
            if not self._has_ended:
                self._emit(status)
