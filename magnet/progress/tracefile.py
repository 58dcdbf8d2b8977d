"""A run in the Trace Event Format, which Perfetto and chrome://tracing open. Pure.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU. Every target has a lane, as
a thread has in a program, and as many more as it has steps at the same time.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from magnet.events import VertexStatus
from magnet.progress.spans import span
from magnet.progress.trace import Node, Trace
from magnet.values import frozen

_PROCESS = 1


@frozen
class Piece:
    """Something that took its time: a target, a step of one, or a transfer that was a part of either.

    `path` are the numbers of the pieces that it is a part of, the outermost first, and its own.
    """

    name: str
    kind: str
    begin: int
    end: int
    path: tuple[int, ...]
    about: Mapping[str, object]


def trace_events(trace: Trace, now: int) -> str:
    """The run as JSON; times are microseconds from its begin."""
    begin = min((span(node, now)[0] for node in trace.targets), default=now)
    events = [_meta("process_name", 0, {"name": "magnet"})]
    lanes = 0
    for target in trace.targets:
        for number, lane in enumerate(in_lanes(pieces(trace, target, now))):
            lanes += 1
            name = target.vertex.name if number == 0 else f"{target.vertex.name} ({number + 1})"
            events.append(_meta("thread_name", lanes, {"name": _text(name)}))
            events.append(_meta("thread_sort_index", lanes, {"sort_index": lanes}))
            events += [_complete(piece, lanes, begin) for piece in lane]
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin // 10**9))
    found = {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"started": started}}
    return f"{json.dumps(found, indent=1)}\n"


def pieces(trace: Trace, node: Node, now: int, above: tuple[int, ...] = ()) -> Iterator[Piece]:
    """A vertex and all its parts, each before its own."""
    vertex = node.vertex
    path = (*above, node.number)
    about = {
        "digest": vertex.digest,
        "cached": vertex.cached,
        "canceled": vertex.canceled,
        "error": _text(vertex.error),
        "inputs": [_text(trace.nodes[one].vertex.name) for one in vertex.inputs if one in trace.nodes],
    }
    if vertex.skipped:
        about["skipped"] = _text(vertex.skipped)
    if vertex.took is not None:
        about["took"] = vertex.took // 1000
    yield Piece(
        _text(vertex.name), "step" if above and not vertex.is_child else "target", *span(node, now), path, about
    )
    for number, status in enumerate(node.statuses.values()):
        if (status.current or status.total) and (status.started or status.timestamp):
            yield _transfer(status, (*path, -number - 1), now)
    for child in node.children:
        yield from pieces(trace, child, now, path)


def in_lanes(found: Iterable[Piece]) -> list[list[Piece]]:
    """The pieces so that those of one lane do not overlap, save with what they are parts of."""
    lanes: list[list[Piece]] = []
    open_: list[list[Piece]] = []
    # Of those that begin together, an outer one is the longer one, or comes first.
    for piece in sorted(found, key=lambda one: (one.begin, -one.end)):
        number = next((number for number, stack in enumerate(open_) if _has_room(stack, piece)), len(lanes))
        if number == len(lanes):
            lanes.append([])
            open_.append([])
        lanes[number].append(piece)
        open_[number].append(piece)
    return lanes


def _has_room(stack: list[Piece], piece: Piece) -> bool:
    """Whether a piece can follow in a lane, after those of the stack, each within the one before it."""
    while stack and stack[-1].end <= piece.begin:
        stack.pop()
    if not stack:
        return True
    last = stack[-1]
    return piece.path[: len(last.path)] == last.path and piece.end <= last.end


def _transfer(status: VertexStatus, path: tuple[int, ...], now: int) -> Piece:
    begin = status.started or status.timestamp
    end = max(status.completed or status.timestamp or now, begin)
    return Piece(_text(status.id), "transfer", begin, end, path, {"bytes": status.current, "total": status.total})


def _complete(piece: Piece, lane: int, begin: int) -> dict[str, Any]:
    # Both ends are rounded alike, or what touches would overlap.
    at, end = ((time - begin) // 1000 for time in (piece.begin, piece.end))
    return {
        "ph": "X", "name": piece.name, "cat": piece.kind, "ts": at, "dur": end - at, "pid": _PROCESS, "tid": lane,
        "args": piece.about,
    }  # fmt: skip


def _meta(name: str, lane: int, about: Mapping[str, object]) -> dict[str, Any]:
    return {"ph": "M", "name": name, "pid": _PROCESS, "tid": lane, "args": about}


def _text(text: str) -> str:
    """The text, with escapes for bytes that are none."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
