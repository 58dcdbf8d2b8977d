"""Events as BuildKit's plain lines, as its clients print them where there is no terminal.

The source of the format is util/progress/progressui/printer.go of moby/buildkit:

    #1 build
    #1 0.245 a line
    #1 transferring context: 2.10MB / 5.00MB 0.1s
    #1 WARN: a warning
    #1 DONE 2.2s

A block ends where its vertex does, or with `#1 ...` where another is taken up before that; then the name stands once
more when there is more of it. Numbers count vertexes in the order in which they are first printed.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Protocol

from magnet.events import WITHIN, SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning
from magnet.turns import Spool, Turns, Waiting
from magnet.values import replace

STATUS_PROGRESS = 0.05
STATUS_DELAY = 5 * 10**9
"""A status is printed again when it is that part of its total further, or that many nanoseconds later."""

Write = Callable[[str], None]


class Frame(Protocol):
    """What stands around the block of a target, and how lines have to stand in it; all are whole lines, or nothing."""

    def before(self, target: Vertex) -> str:
        """What stands before the target's lines."""

    def after(self, target: Vertex) -> str:
        """What stands after them."""

    def shielded(self, text: str) -> str:
        """The lines so that they are nothing but text."""


class Printer:
    """Prints events as plain lines: a block for each target, one after the other, and in it one for each step.

    Where several targets print at the same time, one has its turn, and what the others print waits for theirs; so it
    is with the steps of a target. With `interleave` lines are printed as they come instead, and no frame is around
    them. What is written are whole lines, in which names may hold bytes that are no UTF-8, as `surrogateescape` has
    them.
    """

    def __init__(self, write: Write, *, interleave: bool = False, frame: Frame | None = None) -> None:
        self._roots: dict[str, str] = {}
        self._vertexes: dict[str, Vertex] = {}
        self._names: dict[str, str] = {}
        self._steps: dict[str, Turns] = {}
        self._spool = Spool()
        self._held: Waiting | None = None
        self._page = _Page(write, frame) if interleave else _Blocks(write, frame, self._target_of)
        self._targets = None if interleave else Turns(self._roots.get, self._print_target, self._spool)

    def update(self, status: SolveStatus) -> None:
        """Print what can be printed now. What is said of a vertex that has not been named is left out."""
        for vertex in status.vertexes:
            root = self._roots.setdefault(vertex.digest, self._roots.get(vertex.parent, vertex.digest))
            if root == vertex.digest:
                self._vertexes[root] = vertex
            elif vertex.is_child:
                self._names[vertex.digest] = (
                    f"{self._names.get(vertex.parent, self._vertexes[root].name)}{WITHIN}{vertex.name}"
                )
        if any(vertex.is_child for vertex in status.vertexes):
            status = replace(status, vertexes=tuple(map(self._named, status.vertexes)))
        if status.transcript:
            status = replace(status, transcript=())
        if self._targets is not None:
            self._targets.update(status)
        elif self._held is not None:
            self._held.add(status)
        else:
            self._page.print(status)

    def pause(self) -> None:
        """Print nothing from now on, however often it is said."""
        self._page.leave()
        if self._targets is not None:
            self._targets.pause()
        elif self._held is None:
            self._held = Waiting(self._spool)

    def resume(self) -> None:
        """Print again, and first what was not printed meanwhile."""
        held, self._held = self._held, None
        while held:
            self._page.print(held.pop())
        if self._targets is not None:
            self._targets.resume()

    def done(self) -> None:
        """Print all that is left."""
        self.resume()
        if self._targets is not None:
            self._targets.finish()
        for steps in self._steps.values():
            steps.finish()
        self._page.leave()

    def _named(self, vertex: Vertex) -> Vertex:
        """A vertex; one of a target in another is called by the names of both."""
        return replace(vertex, name=self._names[vertex.digest]) if vertex.digest in self._names else vertex

    def _print_target(self, target: str, status: SolveStatus) -> None:
        """Print what is said of a target whose turn it is, and of its steps."""
        steps = self._steps.get(target)
        if steps is None:
            steps = self._steps[target] = Turns(lambda digest: digest, self._print_step, self._spool)
        steps.update(status)
        if any(vertex.digest == target and vertex.completed is not None for vertex in status.vertexes):
            # Nothing more is to come, whatever steps are open.
            steps.finish()
            del self._steps[target]

    def _print_step(self, step: str, status: SolveStatus) -> None:
        self._page.print(status)

    def _target_of(self, digest: str) -> Vertex:
        """The target of a vertex, as it stands, which may be later than what is printed."""
        return self._vertexes[self._roots[digest]]


class _Lane:
    """A vertex as far as it is printed; its number is 0 before that. `told` is how it was when its outcome was."""

    def __init__(self, vertex: Vertex) -> None:
        self.vertex = vertex
        self.number = 0
        self.told: Vertex | None = None
        self._shown: dict[str, VertexStatus] = {}

    def wants(self, status: VertexStatus) -> bool:
        """Whether a status is worth a line, after those that had one."""
        last = self._shown.get(status.id)
        if last is not None and not _is_news(status, last):
            return False
        self._shown[status.id] = status
        return True

    def end(self) -> None:
        """Take note that the outcome is told, and forget what is not needed then."""
        self.told = self.vertex
        self._shown.clear()


class _Page:
    """Lines as they come; a vertex is named before its first line."""

    def __init__(self, write: Write, frame: Frame | None) -> None:
        self._write = write if frame is None else lambda text: write(frame.shielded(text))
        self._lanes: dict[str, _Lane] = {}
        self._count = 0

    def print(self, status: SolveStatus) -> None:
        """Print what is new in the events."""
        lanes = {}
        for vertex in status.vertexes:
            lane = self._lanes.get(vertex.digest)
            if lane is None:
                lane = self._lanes[vertex.digest] = _Lane(vertex)
            lane.vertex = vertex
            lanes[vertex.digest] = lane
            if vertex.started is not None:
                self._announce(lane)
        for one in status.statuses:
            if (lane := self._lanes.get(one.vertex)) and lane.wants(one):
                self._line(lane, _progress(one))
        for warning in status.warnings:
            if lane := self._lanes.get(warning.vertex):
                self._line(lane, f"WARN: {_warning(warning)}")
        for log in status.logs:
            if lane := self._lanes.get(log.vertex):
                self._log(lane, log)
        for lane in lanes.values():
            # An engine may say twice that a step has ended.
            if lane.vertex.completed is not None and lane.vertex != lane.told:
                self._line(lane, _outcome(lane.vertex))
                self._end(lane)

    def leave(self) -> None:
        """Let others write."""

    def _announce(self, lane: _Lane) -> None:
        """Take note that a vertex has begun."""
        self._take_up(lane)

    def _take_up(self, lane: _Lane) -> None:
        """See to it that a line of the vertex can stand here."""
        if not lane.number:
            self._name(lane)

    def _end(self, lane: _Lane) -> None:
        """Take note that the last line of a vertex is printed."""
        lane.end()

    def _name(self, lane: _Lane) -> None:
        if not lane.number:
            self._count += 1
            lane.number = self._count
        self._write(_prefixed(f"#{lane.number} ", plain(lane.vertex.name)))

    def _line(self, lane: _Lane, text: str) -> None:
        self._take_up(lane)
        self._write(_prefixed(f"#{lane.number} ", plain(text)))

    def _log(self, lane: _Lane, log: VertexLog) -> None:
        if log.data:
            self._take_up(lane)
            time = _time(log.timestamp - (lane.vertex.started or log.timestamp))
            self._write(_prefixed(f"#{lane.number} {time} ", plain_text(log.data.removesuffix(b"\n"))))


class _Blocks(_Page):
    """Lines in blocks, of what is handed over vertex by vertex."""

    def __init__(self, write: Write, frame: Frame | None, target: Callable[[str], Vertex]) -> None:
        super().__init__(write, frame)
        self._frame = frame
        self._write_frame = write
        self._target = target
        self._open: _Lane | None = None
        self._framed = ""

    def leave(self) -> None:
        """Close the frame around a target's block, if it has one."""
        if self._framed:
            self._break_off()
            self._end_frame()

    def _announce(self, lane: _Lane) -> None:
        """Nothing: a block begins when there is something to print."""

    def _take_up(self, lane: _Lane) -> None:
        if self._open is lane:
            return
        self._break_off()
        if self._frame is None or self._framed == self._target(lane.vertex.digest).digest:
            self._write("\n" if self._count else "")
        else:
            self._end_frame()
            self._begin_frame(self._frame, self._target(lane.vertex.digest))
        self._open = lane
        self._name(lane)

    def _end(self, lane: _Lane) -> None:
        super()._end(lane)
        self._open = None
        if lane.vertex.digest == self._framed:
            self._end_frame()

    def _break_off(self) -> None:
        """Leave the block that is open, if one is."""
        if self._open:
            self._write(f"#{self._open.number} ...\n")
            self._open = None

    def _begin_frame(self, frame: Frame, target: Vertex) -> None:
        self._framed = target.digest
        self._write_frame(frame.before(target))

    def _end_frame(self) -> None:
        if self._frame and self._framed:
            self._write_frame(self._frame.after(self._target(self._framed)))
            self._framed = ""


def plain_text(data: bytes) -> str:
    """Output as a terminal may show it: decoded, without control sequences; each line stays one."""
    return _decoded(data, "replace")


def plain_lines(data: bytes) -> list[str]:
    """The lines of some output, whose last has no line end, as a terminal may show them."""
    return plain_text(data).split("\n")


def plain(text: str) -> str:
    """The text as a terminal may show it."""
    if text.isprintable():
        return text
    return _decoded(text.encode(errors="surrogateescape"), "surrogateescape")


def _decoded(data: bytes, errors: str) -> str:
    """The text without control sequences; of a line that was overwritten after a carriage return, its last state."""
    # To delete them all and to see whether it is shorter is much quicker than to look for one.
    cleared = data.translate(None, _CONTROLS)
    if len(cleared) < len(data):
        data = data.replace(b"\r\n", b"\n")
        if b"\r" in data:
            data = b"\n".join([line.rstrip(b"\r").rpartition(b"\r")[2] for line in data.split(b"\n")])
        cleared = (_sequence().sub(b"", data) if b"\x1b" in data else data).translate(None, _CONTROLS)
    text = cleared.decode(errors=errors)
    # Taken out of the text, not of the bytes: of these, what stood around one might become one.
    return _long_sequence().sub("", text) if _long_control().search(cleared) else text


_CONTROLS = bytes({*range(32), 127} - {*b"\t\n"})


@cache
def _sequence() -> re.Pattern[bytes]:
    """What ECMA-48 makes of the escape: control sequences, strings as those of titles and links, other escapes."""
    return re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]*[0-~])")


@cache
def _long_control() -> re.Pattern[bytes]:
    """The control characters that UTF-8 has in two bytes."""
    return re.compile(rb"\xc2[\x80-\x9f]")


@cache
def _long_sequence() -> re.Pattern[str]:
    """The same that begins with a character of its own."""
    return re.compile("\x9b[0-?]*[ -/]*[@-~]|[\x80-\x9f]")


def size(count: int) -> str:
    """Bytes as BuildKit shows them.

    >>> size(31), size(2_100_000)
    ('31B', '2.10MB')
    """
    amount, unit = float(count), 0
    while abs(amount) >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.2f}{_UNITS[unit]}" if unit else f"{count}B"


_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def _prefixed(prefix: str, text: str) -> str:
    """The lines of the text, each with the prefix, which ends in a space; an empty one without that."""
    if not text or "\n\n" in text or text[0] == "\n" or text[-1] == "\n":
        lines = text.split("\n")
        return "".join([f"{prefix}{line}\n" if line else f"{prefix[:-1]}\n" for line in lines])
    return f"{prefix}{text.replace(chr(10), chr(10) + prefix)}\n"


def _time(nanoseconds: int) -> str:
    """The time since a vertex began, in at most five characters as long as that goes.

    >>> _time(245_000_000), _time(12_345_000_000), _time(123_450_000_000)
    ('0.245', '12.35', '123.5')
    """
    seconds = max(nanoseconds, 0) / 1e9
    return f"{seconds:.{3 if seconds < 10 else 2 if seconds < 100 else 1}f}"


def _is_news(status: VertexStatus, last: VertexStatus) -> bool:
    if status.completed is not None:
        return last.completed is None or status.started != last.started
    if status.total and (status.current - last.current) / status.total >= STATUS_PROGRESS:
        return True
    return status.timestamp - last.timestamp >= STATUS_DELAY


def _progress(status: VertexStatus) -> str:
    """A status in words: what, how much of how much, how long."""
    words = [status.id]
    if status.total:
        words.append(f"{size(status.current)} / {size(status.total)}")
    elif status.current:
        words.append(size(status.current))
    ended = status.timestamp if status.completed is None else status.completed
    if status.started is not None and ended - status.started > 10**7:
        words.append(f"{(ended - status.started) / 1e9:.1f}s")
    if status.completed is not None:
        words.append("done")
    return " ".join(words)


def _warning(warning: VertexWarning) -> str:
    """A warning, and where the source has it, unless it tells itself."""
    if not warning.file or not warning.range or "(line " in warning.short:
        return warning.short
    return f"{warning.short} ({warning.file}:{warning.range[0].start})"


def _outcome(vertex: Vertex) -> str:
    if vertex.canceled:
        return "CANCELED"
    if vertex.error:
        return f"ERROR: {vertex.error}"
    if vertex.cached:
        return "CACHED"
    if vertex.skipped:
        return f"SKIPPED: {vertex.skipped}"
    return f"DONE {max((vertex.completed or 0) - (vertex.started or vertex.completed or 0), 0) / 1e9:.1f}s"
