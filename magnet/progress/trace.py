"""The state of a run, folded from its events. Pure: it knows of no clock, no terminal and no file."""

from collections.abc import Iterator

from magnet.events import WITHIN, SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning, because
from magnet.printing import plain_lines as plain_lines  # displays take it from here

TAIL_LINES = 20
"""How many of a vertex's last lines are shown where it fails."""

_TAIL_BYTES = 1 << 15


class Node:
    """A vertex, where it stands, and what is known of it: parts, statuses, warnings, its last output.

    `outer` is what it is a part of, and `child_targets` are those of its parts that are targets. `number` counts
    vertexes from 1 in order of appearance.
    """

    def __init__(self, vertex: Vertex, number: int, outer: "Node | None" = None) -> None:
        self.vertex = vertex
        self.outer = outer
        self.number = number
        self.children: list[Node] = []
        self.child_targets: list[Node] = []
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
    def path(self) -> str:
        """The name of a target, after those of the targets that it is in."""
        return f"{self.outer.path}{WITHIN}{self.vertex.name}" if self.outer else self.vertex.name

    @property
    def is_running(self) -> bool:
        """Whether it has begun and not ended."""
        return self.vertex.started is not None and self.vertex.completed is None


class Trace:
    """All vertexes seen so far, by digest, in order of appearance; `targets` are those that are in no other."""

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
    def all_targets(self) -> list[tuple[Node, int]]:
        """All targets, those in others behind these, and in how many others each is."""
        return [found for node in self.targets for found in _nested(node, 0)]

    @property
    def failed(self) -> list[Node]:
        """The targets that failed by themselves, and neither for one that they need nor for one in them."""
        return [node for node, _ in self.all_targets if has_failed(node) and not _is_told_within(node)]

    def target(self, digest: str) -> Node:
        """The target that a vertex is, or is a part of."""
        node = self.nodes[digest]
        while node.outer and not node.vertex.is_child:
            node = node.outer
        return node

    def _add(self, vertex: Vertex) -> None:
        parent = self.nodes.get(vertex.parent)
        node = self.nodes[vertex.digest] = Node(vertex, len(self.nodes) + 1, parent)
        (parent.children if parent else self.targets).append(node)
        if parent and vertex.is_child:
            parent.child_targets.append(node)


def has_failed(node: Node) -> bool:
    """Whether it ended with an error that is its own or that of a part of it."""
    return bool(node.vertex.error) and not node.vertex.canceled


def _is_told_within(node: Node) -> bool:
    """Whether the error of a target is that of one in it."""
    return any(node.vertex.error == because(one.vertex.name, one.vertex.error) for one in node.child_targets)


def _nested(node: Node, depth: int) -> Iterator[tuple[Node, int]]:
    yield node, depth
    for child in node.child_targets:
        yield from _nested(child, depth + 1)


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
