"""A run as events, for displays."""

import io
from collections.abc import Callable

from magnet.events import Clock, SolveStatus, Vertex, VertexLog
from magnet.progress.display import Display
from magnet.progress.trace import Trace

SECOND = 10**9
START = 1_595_478_390 * SECOND


def at(time: float) -> int:
    """The moment so many seconds after the run's start."""
    return START + round(time * SECOND)


def begin(digest: str, name: str, time: float = 0) -> SolveStatus:
    return SolveStatus(vertexes=(Vertex(digest, name, started=at(time)),))


def end(
    digest: str, name: str, begun: float, ended: float, *, cached: bool = False, error: str = "", canceled: bool = False
) -> SolveStatus:
    return SolveStatus(vertexes=(Vertex(digest, name, (), at(begun), at(ended), cached, error, canceled),))


def log(digest: str, data: bytes, time: float = 0) -> SolveStatus:
    return SolveStatus(logs=(VertexLog(digest, 1, data, at(time)),))


EVENTS = (
    begin("1", "base"),
    log("1", b"one\n", 0.245),
    begin("2", "app", 1),
    log("2", b"two\nthree\n", 1.5),
    log("1", b"four", 1.6),
    end("1", "base", 0, 2.24),
    log("2", b"\x1b[31mred\x1b[0m \xff\n", 2.5),
    end("2", "app", 1, 3, error="exit code 2"),
    begin("3", "test", 3),
    end("3", "test", 3, 3, error="`app` failed", canceled=True),
    begin("4", "lint", 3),
    end("4", "lint", 3, 3.04, cached=True),
)


def shown(display: Callable[[io.StringIO, Clock], Display], *events: SolveStatus) -> str:
    out = io.StringIO()
    made = display(out, lambda: at(9))
    made.refresh()
    for status in events:
        made.update(status)
        made.refresh()
    made.done()
    return out.getvalue()


def folded(*events: SolveStatus) -> Trace:
    """The state after the events."""
    trace = Trace()
    for status in events:
        trace.update(status)
    return trace


FAILURE = """\
------
 > app:
two
three
red \ufffd
------
"""
