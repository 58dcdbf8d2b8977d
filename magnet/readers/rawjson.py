"""BuildKit's events as JSON, which buildx prints with `--progress=rawjson`, since 0.13.

One SolveStatus after the other, as client/graph.go of moby/buildkit has it: each over many lines, as buildx 0.13 prints
it, or on one. What failed stands between them as text. The transcript is for people: plain lines, as BuildKit's.
"""

import json
import re
from base64 import b64decode
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from magnet.events import Range, SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning
from magnet.printing import Printer
from magnet.readers.buildkit import Ending, warn_of_clipping
from magnet.readers.steps import CANCELED, LineReader, text
from magnet.values import replace

_SECOND = 10**9
_SKEW = 2 * _SECOND
"""A daemon whose times differ by more has another clock, and its times are put right."""

_LONGEST_LOG_LINE = 1 << 16
_LONGEST_DOCUMENT = 1 << 26
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_FIELDS = frozenset({"vertexes", "statuses", "logs", "warnings"})
_NOT_SO = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


class RawJSONReader(LineReader):
    """Reads BuildKit's events."""

    def __init__(self, target: str, number: int) -> None:
        super().__init__(target, number)
        self._ending = Ending(self.steps)
        self._document: list[bytes] = []
        self._length = 0
        self._unended: dict[tuple[str, int], VertexLog] = {}
        self._skew: int | None = None
        self._told: list[SolveStatus] = []
        self._transcript: list[VertexLog] = []
        self._printed: list[str] = []
        # As they come, for the log can be followed.
        self._printer = Printer(self._printed.append, interleave=True)

    def read(self, stream: int, data: bytes, now: int) -> SolveStatus:
        """Take in what was printed."""
        whole = self._whole(stream, data)
        if whole:
            self._take(stream, whole, now)
        return self._all_told()

    def end(self, now: int, *, error: str = "", canceled: bool = False) -> SolveStatus:
        """Complete all steps that are open."""
        super().end(now, error=error, canceled=canceled)
        return self._all_told()

    def _take(self, stream: int, data: bytes, now: int) -> None:
        for line in data.splitlines(keepends=True) if b"\r" not in data else re.findall(rb"[^\n]*\n|[^\n]+", data):
            self._line(stream, line, now)
        self._tell(stream, now)

    def _finish(self, now: int, error: str, canceled: bool) -> None:
        self._give_up(2, now)
        for vertex, stream in list(self._unended):
            self._end_line(vertex, stream)
        self.steps.finish(now, culprit=next(reversed(self.steps.open), None), error=error, canceled=canceled)
        self._tell(2, now)
        self._printer.done()

    # Documents among lines.

    def _line(self, stream: int, line: bytes, now: int) -> None:
        if self._document and line[:1] not in (b" ", b"}"):
            self._give_up(stream, now)
        begins = line[:1] == b"{" and not self._document
        if not begins and not self._document:
            self._text(stream, line, now)
            return
        self._document.append(line)
        self._length += len(line)
        if line.rstrip().endswith(b"}") and line[:1] in (b"{", b"}"):
            self._read_document(stream, now)
        elif self._length > _LONGEST_DOCUMENT or (begins and line.strip() != b"{"):
            self._give_up(stream, now)

    def _read_document(self, stream: int, now: int) -> None:
        try:
            found = json.loads(b"".join(self._document))
            if not found.keys() <= _FIELDS:
                raise KeyError(*found)
            status = self._understood(found, now)
        except _NOT_SO:
            self._give_up(stream, now)
            return
        self._document, self._length = [], 0
        self._follow(status)

    def _give_up(self, stream: int, now: int) -> None:
        """What was taken for a document is text."""
        lines, self._document, self._length = self._document, [], 0
        for line in lines:
            self._text(stream, line, now)

    def _text(self, stream: int, line: bytes, now: int) -> None:
        self._tell(stream, now)
        self._transcript.append(VertexLog(self.steps.target, stream, line, now))
        if not self._ending.knows(text(line.rstrip(b"\r\n"))):
            self._told.append(SolveStatus(logs=(VertexLog(self.steps.target, stream, line, now),)))

    # What a document says.

    def _understood(self, found: Any, now: int) -> SolveStatus:
        return SolveStatus(
            tuple(self._vertex(one, now) for one in found.get("vertexes") or ()),
            tuple(self._status(one, now) for one in found.get("statuses") or ()),
            tuple(self._log(one, now) for one in found.get("logs") or ()),
            tuple(self._warning(one) for one in found.get("warnings") or ()),
        )

    def _vertex(self, one: Any, now: int) -> Vertex:
        error = _string(one.get("error", ""))
        canceled = error.endswith("context canceled")
        return Vertex(
            self.steps.digest(_string(one["digest"])),
            _string(one.get("name", "")),
            tuple(self.steps.digest(_string(digest)) for digest in one.get("inputs") or ()),
            self._time(one.get("started"), now),
            self._time(one.get("completed"), now),
            bool(one.get("cached")),
            CANCELED if canceled else error,
            canceled,
            self.steps.target,
        )

    def _status(self, one: Any, now: int) -> VertexStatus:
        return VertexStatus(
            _string(one["id"]),
            self.steps.digest(_string(one["vertex"])),
            _string(one.get("name", "")),
            int(one.get("current", 0)),
            int(one.get("total", 0)),
            self._time(one.get("timestamp"), now) or now,
            self._time(one.get("started"), now),
            self._time(one.get("completed"), now),
        )

    def _log(self, one: Any, now: int) -> VertexLog:
        data, stream = b64decode(one["data"]), 2 if one.get("stream") == 2 else 1
        stamp = self._time(one.get("timestamp"), now) or now
        return VertexLog(self.steps.digest(_string(one["vertex"])), stream, data, stamp)

    def _warning(self, one: Any) -> VertexWarning:
        return VertexWarning(
            self.steps.digest(_string(one["vertex"])),
            b64decode(one.get("short", "")).decode(errors="replace"),
            tuple(b64decode(line).decode(errors="replace") for line in one.get("detail") or ()),
            _string(one.get("url", "")),
            int(one.get("level", 1)),
            _string((one.get("sourceInfo") or {}).get("filename", "")),
            tuple(Range(int(at["start"]["line"]), int(at["end"]["line"])) for at in one.get("range") or ()),
        )

    def _time(self, stamp: Any, now: int) -> int | None:
        """Nanoseconds since 1970, by the clock that ours is."""
        if stamp is None:
            return None
        match = _STAMP.fullmatch(stamp)
        if match is None:
            raise ValueError(stamp)
        whole = datetime.fromisoformat(f"{match[1]}{match[3].replace('Z', '+00:00')}").timestamp()
        time = int(whole) * _SECOND + int((match[2] or "0").ljust(9, "0"))
        if self._skew is None:
            self._skew = now - time if abs(now - time) > _SKEW else 0
        return time + self._skew

    # What follows from it.

    def _follow(self, status: SolveStatus) -> None:
        for vertex in status.vertexes:
            # What is planned is named in the order of the plan, from its end.
            if vertex.started is not None:
                self.steps.put(vertex)
        for one in status.statuses:
            self.steps.report(one)
        for warning in status.warnings:
            self._ending.take(warning)
        for log in status.logs:
            self._add_log(log)
        for vertex in status.vertexes:
            if vertex.completed is not None:
                self._end_line(vertex.digest, 1)
                self._end_line(vertex.digest, 2)

    def _add_log(self, log: VertexLog) -> None:
        """Tell whole lines; what has no line end waits for it."""
        before = self._unended.pop((log.vertex, log.stream), None)
        data = (before.data if before else b"") + log.data
        end = len(data) if len(data) > _LONGEST_LOG_LINE else data.rfind(b"\n") + 1
        if end < len(data):
            self._unended[log.vertex, log.stream] = replace(log, data=data[end:])
        if end:
            warn_of_clipping(self.steps, log.vertex, data[:end])
            self.steps.log(log.vertex, log.stream, data[:end], log.timestamp)

    def _end_line(self, vertex: str, stream: int) -> None:
        if log := self._unended.pop((vertex, stream), None):
            self.steps.log(vertex, stream, log.data, log.timestamp)

    def _tell(self, stream: int, now: int) -> None:
        """Print what is new; of what came at once about a vertex or a part of it, the last counts."""
        status = self.steps.news()
        status = replace(
            status,
            vertexes=tuple({one.digest: one for one in status.vertexes}.values()),
            statuses=tuple({(one.vertex, one.id): one for one in status.statuses}.values()),
        )
        self._told.append(status)
        self._printer.update(status)
        printed = "".join(self._printed).encode(errors="surrogateescape")
        self._printed.clear()
        if printed:
            self._transcript.append(VertexLog(self.steps.target, stream, printed, now))

    def _all_told(self) -> SolveStatus:
        told, self._told = self._told, []
        transcript, self._transcript = self._transcript, []
        return SolveStatus(
            _joined(one.vertexes for one in told),
            _joined(one.statuses for one in told),
            _joined(one.logs for one in told),
            _joined(one.warnings for one in told),
            tuple(transcript),
        )


def _joined(parts: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(one for part in parts for one in part)


def _string(value: Any) -> str:
    """A string that can be written: JSON can have halves of characters."""
    if not isinstance(value, str):
        raise TypeError(value)
    return value if value.isascii() else value.encode(errors="replace").decode()
