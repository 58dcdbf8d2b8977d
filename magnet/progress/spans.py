"""When vertexes ran, and when they only waited. Pure."""

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
    at, end = span(node, now)
    found: list[Span] = []
    for begin, stop in sorted(span(trace.nodes[one], now) for one in node.vertex.inputs if one in trace.nodes):
        begin, stop = max(begin, at), min(stop, end)
        if begin < stop:
            before = found.pop()[0] if found and found[-1][1] == begin else begin
            found.append((before, stop))
            at = stop
    return found


def own_time(trace: Trace, node: Node, now: int) -> int:
    """The nanoseconds that a vertex took without those in which it waited for its inputs."""
    begin, end = span(node, now)
    return end - begin - sum(stop - start for start, stop in waits(trace, node, now))


def steps(node: Node) -> list[Node]:
    """All parts of a vertex, and their parts, each before its own."""
    return [one for child in node.children for one in (child, *steps(child))]
