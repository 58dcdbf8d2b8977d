"""Which rows show a run: the summary, and the board while it goes on. Pure: time, width and height are arguments."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from magnet.progress.rows import Row, output_row, painted, status_row, vertex_row, warning_row
from magnet.progress.trace import Node, Trace, has_failed, seconds

LAST_LINES = 4
"""How many of the last lines of what runs are shown."""

# Who gives way on a low terminal, the first first. Of one kind, it is who ended first, and the upper of the last lines.
_DONE_PART, _OUTPUT, _NOTE, _DONE_TARGET, _PART, _CHILD, _TARGET = range(7)

_Entry = tuple[tuple[int, int], Callable[[], Row]]
"""When a row gives way, and how to make it: of a thousand that there may be, a screen has room for few."""


def summary(trace: Trace, now: int, width: int, *, colour: bool = False) -> list[str]:
    """The summary line and a line for each target, those in others below these, with the time at the right edge."""
    targets = [node.vertex for node, _ in trace.all_targets]
    is_finished = all(vertex.completed is not None for vertex in targets)
    ended = max((vertex.completed or now for vertex in targets), default=now) if is_finished else now
    head = f"{_head(trace, ended)}{' FINISHED' if is_finished else ''}"[:width]
    rows = (vertex_row(node, depth, now, width) for node, depth in trace.all_targets)
    return [head, *(painted(row) if colour else row.text for row in rows)]


def board(trace: Trace, now: int, width: int, height: int) -> list[Row]:
    """The summary of a run that goes on, with the steps and the last lines of what runs; at most `height` rows."""
    entries = [entry for node in _latest(trace.targets, height) for entry in _target(node, now, width)]
    over = 1 + len(entries) - height
    if over > 0:
        order = sorted(range(len(entries)), key=lambda index: entries[index][0])
        gone = set(order[:over])
        entries = [entry for index, entry in enumerate(entries) if index not in gone]
    return [Row(_head(trace, now)[:width]), *(make() for _, make in entries)][: max(height, 0)]


def _head(trace: Trace, now: int) -> str:
    targets = [node.vertex for node, _ in trace.all_targets]
    done = sum(vertex.completed is not None for vertex in targets)
    begun = min((vertex.started for vertex in targets if vertex.started is not None), default=now)
    return f"[+] Building {seconds(now - begun)} ({done}/{len(targets)})"


def _latest(targets: Sequence[Node], count: int) -> Sequence[Node]:
    """The targets without those that gave way long ago: all that have not ended, and at least so many that have."""
    ends = sorted(node.vertex.completed for node in targets if node.vertex.completed is not None)
    if len(ends) <= count:
        return targets
    first = ends[-max(count, 1)]
    return [node for node in targets if node.vertex.completed is None or node.vertex.completed >= first]


def _target(node: Node, now: int, width: int) -> Iterator[_Entry]:
    completed = node.vertex.completed
    rank = (_TARGET, 0) if completed is None else (_DONE_TARGET, completed)
    yield rank, partial(vertex_row, node, 0, now, width)
    yield from _parts(node, 1, now, width)


def _parts(node: Node, depth: int, now: int, width: int) -> Iterator[_Entry]:
    """What stands below a vertex: all of it while it runs, then the targets in it, and the steps that it failed at."""
    if node.vertex.completed is None:
        yield from _notes(node, depth, now, width)
        yield from (entry for child in node.children for entry in _child(child, depth, now, width))
        if not any(child.is_running for child in node.children):
            lines = [line for line in node.tail(LAST_LINES) if line.strip()]
            for index, line in enumerate(lines, LAST_LINES - len(lines)):
                yield (_OUTPUT, index), partial(output_row, line, depth, width)
    else:
        kept = (one for one in node.children if one.vertex.is_child or (node.vertex.error and has_failed(one)))
        yield from (entry for child in kept for entry in _child(child, depth, now, width))


def _child(node: Node, depth: int, now: int, width: int) -> Iterator[_Entry]:
    if node.vertex.started is None and node.vertex.completed is None:
        return
    rank = _child_rank if node.vertex.is_child else _rank
    yield rank(node.vertex.completed, node.vertex.error), partial(vertex_row, node, depth, now, width)
    if node.vertex.completed is not None:
        yield from _warnings(node, depth + 1, width)
    yield from _parts(node, depth + 1, now, width)


def _notes(node: Node, depth: int, now: int, width: int) -> Iterator[_Entry]:
    for status in node.statuses.values():
        yield _rank(status.completed), partial(status_row, status, depth, now, width)
    yield from _warnings(node, depth, width)


def _warnings(node: Node, depth: int, width: int) -> Iterator[_Entry]:
    for warning in node.warnings:
        yield (_NOTE, 0), partial(warning_row, warning, depth, width)


def _rank(completed: int | None, error: str = "") -> tuple[int, int]:
    return (_PART, 0) if completed is None else (_NOTE if error else _DONE_PART, completed)


def _child_rank(completed: int | None, error: str = "") -> tuple[int, int]:
    return (_CHILD, 0) if completed is None else (_DONE_TARGET, completed)
