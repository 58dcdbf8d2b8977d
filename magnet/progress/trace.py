"""The state of a run, folded from its events, and the lines that show it. Pure: time and width are arguments."""

import re
from collections import deque

from magnet.events import SolveStatus, Vertex, VertexLog

TAIL_LINES = 20
"""How many of a vertex's last lines are kept, and shown where it fails."""

# ECMA-48: control sequences, strings as those of titles and links, other escapes, and control characters.
_CONTROL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


class Trace:
    """All vertexes seen so far, in order of appearance, and the last lines of each."""

    def __init__(self) -> None:
        self.vertexes: dict[str, Vertex] = {}
        self.tails: dict[str, deque[str]] = {}

    def update(self, status: SolveStatus) -> None:
        """Take in events."""
        for vertex in status.vertexes:
            self.vertexes[vertex.digest] = vertex
        for log in status.logs:
            self.tails.setdefault(log.vertex, deque(maxlen=TAIL_LINES)).extend(lines(log)[-TAIL_LINES:])

    @property
    def failed(self) -> list[Vertex]:
        """The vertexes that failed by themselves."""
        return [vertex for vertex in self.vertexes.values() if vertex.error and not vertex.canceled]


def lines(log: VertexLog) -> list[str]:
    """The lines of a log entry as a terminal may show them: decoded, without control sequences."""
    text = log.data.decode(errors="replace")
    # Of a line that was overwritten with \r, the last state is what one would see.
    return [_CONTROL.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in text.removesuffix("\n").split("\n")]


def seconds(nanoseconds: int) -> str:
    """A duration as BuildKit shows it.

    >>> seconds(2_240_000_000)
    '2.2s'
    """
    return f"{max(nanoseconds, 0) / 1e9:.1f}s"


def summary(trace: Trace, now: int, width: int) -> list[str]:
    """The summary line and a line for each vertex, with its time at the right edge."""
    vertexes = list(trace.vertexes.values())
    done = [vertex for vertex in vertexes if vertex.completed is not None]
    begun = min((vertex.started for vertex in vertexes if vertex.started is not None), default=now)
    ended = max((vertex.completed or 0 for vertex in done), default=now) if len(done) == len(vertexes) else now
    finished = " FINISHED" if len(done) == len(vertexes) else ""
    head = f"[+] Building {seconds(ended - begun)} ({len(done)}/{len(vertexes)}){finished}"
    return [head, *(_row(vertex, now, width) for vertex in vertexes)]


def board(trace: Trace, now: int, width: int, height: int, tail: int = 4) -> list[str]:
    """The summary of a run that goes on, with the last lines of what runs; at most `height` lines."""
    head, *rows = summary(trace, now, width)
    shown = []
    for vertex, row in zip(trace.vertexes.values(), rows, strict=True):
        last = list(trace.tails.get(vertex.digest, ()))[-tail:] if vertex.completed is None else []
        shown.append([row, *(f" => => {line}"[:width] for line in last)])
    # What has ended gives way first, the oldest of it; the counter still counts it.
    over = 1 + sum(map(len, shown)) - height
    for index, vertex in enumerate(trace.vertexes.values()):
        if over > 0 and vertex.completed is not None:
            over -= len(shown[index])
            shown[index] = []
    return [head, *(line for block in shown for line in block)][:height]


def failure(vertex: Vertex, trace: Trace) -> list[str]:
    """The last lines of a failed vertex, as BuildKit frames them."""
    return ["------", f" > {vertex.name}:", *trace.tails.get(vertex.digest, ()), "------"]


def _row(vertex: Vertex, now: int, width: int) -> str:
    state = "CANCELED " if vertex.canceled else "ERROR " if vertex.error else "CACHED " if vertex.cached else ""
    time = seconds((vertex.completed or now) - (vertex.started or now))
    room = width - len(time) - 1
    if room < 1:
        return time[:width]
    return f"{_fitted(f' => {state}{vertex.name}', room)} {time}"


def _fitted(text: str, width: int) -> str:
    """The text in just so many columns of a terminal."""
    if text.isascii():
        return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"
    from rich.cells import cell_len, set_cell_size  # few names have characters of another width than one

    return set_cell_size(text, width) if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…"
