"""The report on a run: which targets and steps took longest, what was cached, and the time that this saved. Pure."""

from collections.abc import Callable, Sequence

from magnet.progress.rows import shown, timed
from magnet.progress.spans import own_time, steps
from magnet.progress.trace import Node, Trace, duration, mark, seconds

LONGEST = 5
"""How many of the slowest are shown."""

_LEAST = 50_000_000
"""Nanoseconds below which a time would be shown as 0.0s."""


def report(trace: Trace, now: int, width: int) -> list[str]:
    """The lines of the report, none of them wider than that.

    A target's own time is that without the time in which it waited for others; where the two differ, it is `1.2s of
    3.4s`. The time saved is what cached targets took when they were done, as far as it is known.
    """
    parts = {one.vertex.digest: (target, one) for target in trace.targets for one in steps(target)}

    def own(node: Node) -> int:
        return own_time(trace, node, now)

    def target_row(node: Node) -> str:
        times = list(dict.fromkeys((seconds(own(node)), seconds(duration(node, now)))))
        return timed(f"  {_named(node)}", " of ".join(times), width)

    def step_row(node: Node) -> str:
        target, _ = parts[node.vertex.digest]
        name = " ".join(filter(None, (mark(node.vertex), f"{target.vertex.name}: {node.vertex.name}")))
        return timed(f"  {shown(name)}", seconds(duration(node, now)), width)

    found = [one for _, one in parts.values()]
    return [
        *_slowest("Slowest targets:"[:width], trace.targets, own, target_row),
        *_slowest("Slowest steps:"[:width], found, lambda node: duration(node, now), step_row),
        _cached(trace.targets, found, now)[:width],
    ]


def _slowest(title: str, nodes: Sequence[Node], time: Callable[[Node], int], row: Callable[[Node], str]) -> list[str]:
    slow = sorted((node for node in nodes if time(node) >= _LEAST), key=time, reverse=True)[:LONGEST]
    return [title, *map(row, slow)] if slow else []


def _named(node: Node) -> str:
    return " ".join(filter(None, (mark(node.vertex), shown(node.vertex.name))))


def _cached(targets: Sequence[Node], parts: Sequence[Node], now: int) -> str:
    counts = ((targets, "target"), (parts, "step"))
    return f"Cached: {', '.join(_count(nodes, what) for nodes, what in counts if nodes or what == 'target')}" + _saved(
        [node for node in targets if node.vertex.cached], now
    )


def _count(nodes: Sequence[Node], what: str) -> str:
    return f"{sum(node.vertex.cached for node in nodes)} of {len(nodes)} {what}{'' if len(nodes) == 1 else 's'}"


def _saved(cached: Sequence[Node], now: int) -> str:
    known = [(node.vertex.took, duration(node, now)) for node in cached if node.vertex.took is not None]
    saved = sum(max(took - now_taken, 0) for took, now_taken in known)
    if saved < _LEAST:
        return ""
    return f"; {'at least ' if len(known) < len(cached) else ''}{seconds(saved)} saved"
