"""The state of a run, folded from its events. Pure: it knows of no clock, no terminal and no file."""

from magnet.events import SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning
from magnet.printing import plain_lines as plain_lines  # displays take it from here

TAIL_LINES = 20
"""How many of a vertex's last lines are shown where it fails."""

_TAIL_BYTES = 1 << 15


class Node:
    """A vertex, where it stands, and what is known of it: parts, statuses, warnings, its last output.

    `number` counts vertexes from 1 in order of appearance.
    """

    def __init__(self, vertex: Vertex, number: int) -> None:
        self.vertex = vertex
        self.number = number
        self.children: list[Node] = []
        self.statuses: dict[str, VertexStatus] = {}
        self.warnings: list[VertexWarning] = []
        self._ends = 0
        self._tail = b""

    def add(self, data: bytes) -> None:
        """Take in output."""
        self._ends += data.count(b"\n")
        self._tail = (self._tail + data)[-_TAIL_BYTES:] if len(data) < _TAIL_BYTES else data[-_TAIL_BYTES:]

    def tail(self, count: int) -> list[str]:
        """The last lines that it printed, as a terminal may show them; at most so many."""
        if not self._tail or not count:
            return []
        end = len(self._tail) - self._tail.endswith(b"\n")
        start = end
        for _ in range(count):
            start = self._tail.rfind(b"\n", 0, start)
            if start < 0:
                break
        return plain_lines(self._tail[start + 1 : end])

    @property
    def line_count(self) -> int:
        """How many lines it printed, the last of which may not have ended."""
        return self._ends + bool(self._tail and not self._tail.endswith(b"\n"))

    @property
    def is_running(self) -> bool:
        """Whether it has begun and not ended."""
        return self.vertex.started is not None and self.vertex.completed is None


class Trace:
    """All vertexes seen so far, by digest, in order of appearance."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.targets: list[Node] = []

    def update(self, status: SolveStatus) -> None:
        """Take in events. What is said of a vertex that has not been named is left out."""
        for vertex in status.vertexes:
            if node := self.nodes.get(vertex.digest):
                node.vertex = vertex
            else:
                self._add(vertex)
        for one in status.statuses:
            if node := self.nodes.get(one.vertex):
                node.statuses[one.id] = one
        for log in status.logs:
            if node := self.nodes.get(log.vertex):
                node.add(log.data)
        for warning in status.warnings:
            if node := self.nodes.get(warning.vertex):
                node.warnings.append(warning)

    @property
    def failed(self) -> list[Node]:
        """The targets that failed by themselves."""
        return [node for node in self.targets if node.vertex.error and not node.vertex.canceled]

    def target(self, digest: str) -> Node:
        """The target that a vertex is, or is a part of."""
        node = self.nodes[digest]
        while parent := self.nodes.get(node.vertex.parent):
            node = parent
        return node

    def _add(self, vertex: Vertex) -> None:
        node = self.nodes[vertex.digest] = Node(vertex, len(self.nodes) + 1)
        parent = self.nodes.get(vertex.parent)
        (parent.children if parent else self.targets).append(node)


def lines(log: VertexLog) -> list[str]:
    """The lines of a log entry as a terminal may show them: decoded, without control sequences."""
    return plain_lines(log.data.removesuffix(b"\n"))


def seconds(nanoseconds: int) -> str:
    """A duration as BuildKit shows it.

    >>> seconds(2_240_000_000)
    '2.2s'
    """
    return f"{max(nanoseconds, 0) / 1e9:.1f}s"


def duration(node: Node, now: int) -> int:
    """The nanoseconds that a vertex took, or takes until now."""
    vertex = node.vertex
    return max((vertex.completed or now) - (vertex.started or vertex.completed or now), 0)


def mark(vertex: Vertex) -> str:
    """What stands before the name of a vertex: what became of it, unless it just succeeded or runs."""
    if vertex.canceled or vertex.error:
        return "CANCELED" if vertex.canceled else "ERROR"
    return "CACHED" if vertex.cached else "SKIPPED" if vertex.skipped else ""
