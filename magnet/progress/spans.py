"""When vertexes ran, and when they only waited. Pure."""

from collections.abc import Iterable

from magnet.progress.trace import Node, Trace

Span = tuple[int, int]
"""Begin and end, in nanoseconds since 1970."""


def span(node: Node, now: int) -> Span:
    """When a vertex ran, until now if it has not ended; one that never began takes no time."""
    vertex = node.vertex
    end = now if vertex.completed is None else vertex.completed
    return (end, end) if vertex.started is None else (vertex.started, max(end, vertex.started))


def waits(trace: Trace, node: Node, now: int) -> list[Span]:
    """When a vertex waited for its inputs, in order, with gaps between them."""
    return _merged([span(one, now) for one in _inputs(trace, node)], *span(node, now))


def _inputs(trace: Trace, node: Node) -> list[Node]:
    return [trace.nodes[one] for one in node.vertex.inputs if one in trace.nodes]


def _merged(spans: Iterable[Span], at: int, end: int) -> list[Span]:
    """The spans as far as they are between two times, in order, with gaps between them."""
    found: list[Span] = []
    for begin, stop in sorted(spans):
        begin, stop = max(begin, at), min(stop, end)
        if begin < stop:
            before = found.pop()[0] if found and found[-1][1] == begin else begin
            found.append((before, stop))
            at = stop
    return found


def own_time(trace: Trace, node: Node, now: int) -> int:
    """The nanoseconds that a target took without those in which it waited for its inputs, or one in it ran."""
    begin, end = span(node, now)
    others = [span(one, now) for one in (*_inputs(trace, node), *node.child_targets)]
    return end - begin - sum(stop - start for start, stop in _merged(others, begin, end))


def parts(node: Node) -> list[Node]:
    """All parts of a vertex, and their parts, each before its own."""
    return [one for child in node.children for one in (child, *parts(child))]
