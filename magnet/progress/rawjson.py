"""Events as they are, for programs: BuildKit's JSON, one SolveStatus per line.

The source of the format is client/graph.go of moby/buildkit: its names, its order, and what it leaves out where it is
empty. Magnet's additions are `parent`, `took` (nanoseconds), `child` and `skipped` of a vertex. Whoever was canceled
has an error that ends in `context canceled`, which is how BuildKit's clients tell.
"""

import json
import time
from binascii import b2a_base64
from typing import Any, BinaryIO

from magnet.events import SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning

CANCELED = "context canceled"


class RawJson:
    """Writes events to a stream as they come, each line at once."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def update(self, status: SolveStatus) -> None:
        """Write the events."""
        if line := encoded(status):
            self._out.write(line)
            self._out.flush()

    def refresh(self) -> None:
        """Nothing: what is written stays."""

    def suspend(self, vertex: str) -> None:
        """Nothing: no terminal is used."""

    def resume(self, vertex: str) -> None:
        """Nothing."""

    def abandon(self) -> None:
        """Nothing."""

    def done(self) -> None:
        """Nothing: the end of each vertex has been told."""


def encoded(status: SolveStatus) -> bytes:
    """The events as a line of JSON; nothing, if there are none that BuildKit knows of."""
    fields = {
        "vertexes": [_vertex(one) for one in status.vertexes],
        "statuses": [_status(one) for one in status.statuses],
        "logs": [_log(one) for one in status.logs],
        "warnings": [_warning(one) for one in status.warnings],
    }
    filled = _filled(fields)
    return json.dumps(filled, separators=(",", ":"), check_circular=False).encode() + b"\n" if filled else b""


def _vertex(vertex: Vertex) -> dict[str, Any]:
    error = _text(vertex.error)
    if vertex.canceled and not error.endswith(CANCELED):
        error = f"{error}: {CANCELED}" if error else CANCELED
    return _filled(
        {
            "digest": _text(vertex.digest),
            "inputs": [_text(one) for one in vertex.inputs],
            "name": _text(vertex.name),
            "started": _time(vertex.started),
            "completed": _time(vertex.completed),
            "cached": vertex.cached,
            "error": error,
            "parent": _text(vertex.parent),
            "took": vertex.took,
            "skipped": _text(vertex.skipped),
            "child": vertex.is_child,
        }
    )


def _status(status: VertexStatus) -> dict[str, Any]:
    return {
        "id": _text(status.id),
        **_filled({"vertex": _text(status.vertex), "name": _text(status.name), "total": status.total}),
        "current": status.current,
        "timestamp": _time(status.timestamp),
        **_filled({"started": _time(status.started), "completed": _time(status.completed)}),
    }


def _log(log: VertexLog) -> dict[str, Any]:
    return {
        **_filled({"vertex": _text(log.vertex), "stream": log.stream}),
        "data": _base64(log.data),
        "timestamp": _time(log.timestamp),
    }


def _warning(warning: VertexWarning) -> dict[str, Any]:
    return _filled(
        {
            "vertex": _text(warning.vertex),
            "level": warning.level,
            "short": _base64(_bytes(warning.short)),
            "detail": [_base64(_bytes(line)) for line in warning.detail],
            "url": _text(warning.url),
            "sourceInfo": _filled({"filename": _text(warning.file)}),
            "range": [{"start": {"line": one.start}, "end": {"line": one.end}} for one in warning.range],
        }
    )


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields without those that Go's encoder leaves out with `omitempty`."""
    return {name: value for name, value in fields.items() if value}


def _time(nanoseconds: int | None) -> str | None:
    """A time as RFC 3339 has it, in UTC and with all its digits.

    >>> _time(1_595_478_390_730_309_484)
    '2020-07-23T04:26:30.730309484Z'
    """
    if nanoseconds is None:
        return None
    whole, part = divmod(nanoseconds, 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{part:09d}Z"


def _text(text: str) -> str:
    """The text, with U+FFFD in place of bytes that are no text, as Go has it."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")
