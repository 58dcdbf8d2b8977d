"""What happens in a run, in BuildKit's schema.

The source of the format is client/graph.go of moby/buildkit. Times are integers, nanoseconds since 1970.
Streams are file descriptors: 1 for stdout, 2 for stderr.
"""

from collections.abc import Callable
from typing import Protocol

from magnet.values import frozen


@frozen
class Vertex:
    """A node of the build graph and where it stands; a later Vertex of one digest replaces an earlier one."""

    digest: str
    name: str
    inputs: tuple[str, ...] = ()
    started: int | None = None
    completed: int | None = None
    cached: bool = False
    error: str = ""
    canceled: bool = False


@frozen
class VertexLog:
    """Bytes that a vertex printed: whole lines, save where a line is longer than the reader's buffer."""

    vertex: str
    stream: int
    data: bytes
    timestamp: int


@frozen
class SolveStatus:
    """Events that belong together, in order."""

    vertexes: tuple[Vertex, ...] = ()
    logs: tuple[VertexLog, ...] = ()


Clock = Callable[[], int]
"""Nanoseconds since 1970."""


class Sink(Protocol):
    """Something that follows a run: a display, the log files."""

    def update(self, status: SolveStatus) -> None:
        """Take in events. Called from one thread, in order, with no event left out."""

    def refresh(self) -> None:
        """Draw what is known. Called several times a second, from the same thread."""

    def done(self) -> None:
        """Say what came of it all; called once, after the last event."""
