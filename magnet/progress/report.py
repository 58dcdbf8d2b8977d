"""The report on a run: which targets and steps took longest, what was cached, and the time that this saved. Pure."""

from collections.abc import Callable, Sequence

from magnet.progress.rows import shown, timed
from magnet.progress.spans import own_time, parts
from magnet.progress.trace import Node, Trace, duration, mark, seconds

LONGEST = 5
"""How many of the slowest are shown."""

_LEAST = 50_000_000
"""Nanoseconds below which a time would be shown as 0.0s."""


def report(trace: Trace, now: int, width: int) -> list[str]:
    """The lines of the report, none of them wider than that.

    A target's own time is that without the time in which it waited for others, or one in it ran; where the two differ,
    it is `1.2s of 3.4s`. The time saved is what cached targets took when they were done, as far as it is known.
    """
    targets = [node for node, _ in trace.all_targets]
    steps = [one for target in trace.targets for one in parts(target) if not one.vertex.is_child]

    def own(node: Node) -> int:
        return own_time(trace, node, now)

    def target_row(node: Node) -> str:
        times = list(dict.fromkeys((seconds(own(node)), seconds(duration(node, now)))))
        return timed(f"  {_named(node, node.path)}", " of ".join(times), width)

    def step_row(node: Node) -> str:
        name = f"{trace.target(node.vertex.digest).path}: {node.vertex.name}"
        return timed(f"  {_named(node, name)}", seconds(duration(node, now)), width)

    return [
        *_slowest("Slowest targets:"[:width], targets, own, target_row),
        *_slowest("Slowest steps:"[:width], steps, lambda node: duration(node, now), step_row),
        _cached(targets, steps, now)[:width],
    ]


def _slowest(title: str, nodes: Sequence[Node], time: Callable[[Node], int], row: Callable[[Node], str]) -> list[str]:
    slow = sorted((node for node in nodes if time(node) >= _LEAST), key=time, reverse=True)[:LONGEST]
    return [title, *map(row, slow)] if slow else []


def _named(node: Node, name: str) -> str:
    return " ".join(filter(None, (mark(node.vertex), shown(name))))


def _cached(targets: Sequence[Node], steps: Sequence[Node], now: int) -> str:
    counts = ((targets, "target"), (steps, "step"))
    return f"Cached: {', '.join(_count(nodes, what) for nodes, what in counts if nodes or what == 'target')}" + _saved(
        [node for node in targets if node.vertex.cached and not _is_counted(node)], now
    )


def _is_counted(node: Node) -> bool:
    """Whether what a target saved is a part of what the one that it is in did."""
    return node.outer is not None and node.outer.vertex.cached


def _count(nodes: Sequence[Node], what: str) -> str:
    return f"{sum(node.vertex.cached for node in nodes)} of {len(nodes)} {what}{'' if len(nodes) == 1 else 's'}"


def _saved(cached: Sequence[Node], now: int) -> str:
    known = [(node.vertex.took, duration(node, now)) for node in cached if node.vertex.took is not None]
    saved = sum(max(took - now_taken, 0) for took, now_taken in known)
    if saved < _LEAST:
        return ""
    return f"; {'at least ' if len(known) < len(cached) else ''}{seconds(saved)} saved"
