"""What happens in a run, in BuildKit's schema.

The source of the format is client/graph.go of moby/buildkit. Times are integers, nanoseconds since 1970.
Streams are file descriptors: 1 for stdout, 2 for stderr. What BuildKit's schema has not is said to be magnet's.
"""

from collections.abc import Callable
from typing import Protocol

from magnet.values import frozen

WITHIN = " > "
"""What stands between the names of a target and of one in it, where a line of text tells both."""


@frozen
class Vertex:
    """A node of the build graph and where it stands; a later Vertex of one digest replaces an earlier one.

    `inputs` are the digests of the vertexes that it waits for, or has waited for. Magnet's own are `canceled`, which
    BuildKit writes into `error`; `parent`, the vertex that this one is a part of: a target's for a step of an engine,
    and for a target in it, which then `is_child`; `took`, for what is cached: the nanoseconds that it took when it was
    done, where that is known; and `skipped`: why a target was not run here and now, though nothing failed.
    """

    digest: str
    name: str
    inputs: tuple[str, ...] = ()
    started: int | None = None
    completed: int | None = None
    cached: bool = False
    error: str = ""
    canceled: bool = False
    parent: str = ""
    took: int | None = None
    is_child: bool = False
    skipped: str = ""

    @property
    def is_target(self) -> bool:
        """Whether it is a target, also one in another, and no step of an engine."""
        return self.is_child or not self.parent


def because(name: str, error: str) -> str:
    """The error of a target that failed because one in it did.

    >>> because("lint", because("python", "exit code 1"))
    '`lint`: `python`: exit code 1'
    """
    return f"`{name}`: {error}"


@frozen
class VertexStatus:
    """How far a part of a vertex's work is, in bytes where `total` or `current` is not 0.

    `id` names the part, and is what a display shows of it: `transferring context`. A later status of one id replaces
    an earlier one. `total` is 0 where it is not known.
    """

    id: str
    vertex: str
    name: str = ""
    current: int = 0
    total: int = 0
    timestamp: int = 0
    started: int | None = None
    completed: int | None = None


@frozen
class VertexLog:
    """Bytes that a vertex printed: whole lines, save where a line is longer than the reader's buffer."""

    vertex: str
    stream: int
    data: bytes
    timestamp: int


@frozen
class Range:
    """Lines of a source, from 1, both included."""

    start: int
    end: int


@frozen
class VertexWarning:
    """What a user should know of a vertex that has not failed.

    `short` is a line of text, `detail` more of it. `file` and `range` are where the source has what is warned of.
    """

    vertex: str
    short: str
    detail: tuple[str, ...] = ()
    url: str = ""
    level: int = 1
    file: str = ""
    range: tuple[Range, ...] = ()


@frozen
class SolveStatus:
    """Events that belong together, in order.

    `transcript` is magnet's: what an engine printed, as it is to stand in the log file of its target, where the other
    fields are what was understood of it. With a transcript, log files take that and leave `logs` alone.
    """

    vertexes: tuple[Vertex, ...] = ()
    statuses: tuple[VertexStatus, ...] = ()
    logs: tuple[VertexLog, ...] = ()
    warnings: tuple[VertexWarning, ...] = ()
    transcript: tuple[VertexLog, ...] = ()


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


class Reader(Protocol):
    """Understands what an engine prints during one command, as steps of the vertex that it was made for.

    It is used from one thread, and holds nothing back but what must be seen whole: what was printed is in the
    `transcript` of what `read` returns, if not at once, then with a later piece or at the end.
    """

    def read(self, stream: int, data: bytes, now: int) -> SolveStatus:
        """Take in what was printed: whole lines, or a piece of a very long one."""

    def end(self, now: int, *, error: str = "", canceled: bool = False) -> SolveStatus:
        """Complete all steps that are open: well, or with the error, or as canceled."""

    @property
    def failed(self) -> str:
        """The name of the step that failed, once it is known to have; else nothing."""
