"""One log file per target, complete, in a directory per run (`runs.py`).

A file is: a header of fields (Name, Digest, Cached, Started, Completed), `-----`, all that the target printed and the
engine said, `-----`, and what became of the vertex. The header is written when the target starts and once more,
in its place, when it has ended. A target in another has a file as well, which names that of the outer one (`Parent:`),
and is named there where it began (`Child:`).
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import quote

from magnet.events import SolveStatus, Vertex, because
from magnet.values import frozen

LATEST = "latest"

Keep = Callable[[BinaryIO, int], None]
"""Takes what a vertex printed: a file that is read from where it stands, and how many bytes there are to read."""

_NOT_YET = "<nil>"
_STAMP_LENGTH = len("2026-11-23 16:30:02.123456789 +0000 UTC")
_LONGEST_NAME = 200


def file_name(name: str) -> str:
    """A name for the log of a target that is safe on every file system and in an archive, and not hidden.

    >>> file_name("docker:build"), file_name("../x"), file_name("build(tag=1)")
    ('docker%3Abuild', '%2E.%2Fx', 'build(tag=1)')
    """
    safe = quote(name, safe="-_.()=, +@", errors="surrogateescape")[:_LONGEST_NAME]
    return f"%{ord(safe[0]):X}{safe[1:]}" if safe.startswith(".") or safe == LATEST else safe


def timestamp(nanoseconds: int) -> str:
    """A time as the log shows it.

    >>> timestamp(1_595_478_390_730_309_484)
    '2020-07-23 04:26:30.730309484 +0000 UTC'
    """
    whole, part = divmod(nanoseconds, 10**9)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(whole))}.{part:09d} +0000 UTC"


@frozen
class Counts:
    """How many targets there were, how many of them were cached, and how many failed by themselves."""

    targets: int = 0
    cached: int = 0
    failed: int = 0


class LogFiles:
    """A sink that writes every vertex's log file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[str, BinaryIO] = {}
        self._restored: dict[str, bytes] = {}
        self._keepers: dict[str, Keep] = {}
        self._paths: dict[str, str] = {}
        self._inner: dict[str, list[str]] = {}
        self._told_within: dict[str, set[str]] = {}
        self._bodies: dict[str, tuple[int, int]] = {}
        self._printed: set[str] = set()
        self._ended: dict[str, Vertex] = {}
        self._late: dict[str, tuple[Vertex, BinaryIO]] = {}
        self._cached = 0
        self._failed = 0

    def restore(self, vertex: str, log: bytes) -> None:
        """Put what a vertex printed when it was run into its log, once it has ended. From any thread."""
        self._restored[vertex] = log

    def keep(self, vertex: str, keep: Keep) -> None:
        """Hand over what a vertex has printed, if it ends well. From any thread, before it ends."""
        self._keepers[vertex] = keep

    def path(self, vertex: str) -> Path | None:
        """The log of a vertex that has ended, if it printed anything."""
        return Path(self._paths[vertex]) if vertex in self._printed else None

    @property
    def counts(self) -> Counts:
        """What became of the targets so far."""
        return Counts(len(self._paths), self._cached, self._failed)

    def update(self, status: SolveStatus) -> None:
        """Write what is new."""
        ended = {vertex.digest: vertex for vertex in status.vertexes if vertex.completed is not None}
        for vertex in status.vertexes:
            if vertex.digest not in self._files and vertex.completed is None:
                if not vertex.is_target:
                    continue  # the steps of an engine stand in the log of their target
                if vertex.digest in ended and not status.logs:
                    self._write(ended.pop(vertex.digest))
                else:
                    self._files[vertex.digest] = self._open(vertex)
        for log in status.transcript or status.logs:
            # A body that does not heed an interrupt may still print when its log is closed.
            if file := self._files.get(log.vertex) or self._reopened(log.vertex):
                file.write(log.data)
        for vertex in ended.values():
            if file := self._files.pop(vertex.digest, None):
                self._close(file, vertex)

    def refresh(self) -> None:
        """Let readers of the files see what is written."""
        for file in (*self._files.values(), *(file for _, file in self._late.values())):
            file.flush()

    def done(self) -> None:
        """Close the files of vertexes that never ended, and end those in which there is more than they had printed."""
        for file in self._files.values():
            file.close()
        for vertex, file in self._late.values():
            with file:
                _end_line(file)
                file.write(_trailer(vertex))

    def _open(self, vertex: Vertex) -> BinaryIO:
        file = os.fdopen(self._make(vertex), "r+b")
        file.write(self._header(vertex))
        if outer := self._files.get(vertex.parent):
            self._inner.setdefault(vertex.parent, []).append(vertex.digest)
            _end_line(outer)
            outer.write(f"Child: {self._name(vertex.digest)}\n".encode())
        return file

    def _header(self, vertex: Vertex) -> bytes:
        return _header(vertex, self._name(vertex.parent) if vertex.parent in self._paths else "")

    def _name(self, vertex: str) -> str:
        """The name of a vertex's file."""
        return os.path.basename(self._paths[vertex])

    def _write(self, vertex: Vertex) -> None:
        """Write the log of a vertex that began and ended at once, without a body; there may be a thousand of them."""
        self._count(vertex)
        log = self._restored.pop(vertex.digest, b"")
        end = b"\n" if log and not log.endswith(b"\n") else b""
        file = self._make(vertex)
        try:
            left = memoryview(self._header(vertex) + log + end + _trailer(vertex))
            while left:
                left = left[os.write(file, left) :]
        finally:
            os.close(file)

    def _reopened(self, vertex: str) -> BinaryIO | None:
        """The log of a vertex that has ended well or badly, for what containers print that it left running."""
        if ended := self._ended.pop(vertex, None):
            file = open(self._paths[vertex], "r+b")  # noqa: SIM115 - closed when all has been printed
            file.seek(-len(_trailer(ended)), os.SEEK_END)
            file.truncate()
            self._late[vertex] = (ended, file)
        return self._late[vertex][1] if vertex in self._late else None

    def _count(self, vertex: Vertex) -> None:
        self._cached += vertex.cached
        if vertex.error and not vertex.canceled:
            self._failed += vertex.error not in self._told_within.get(vertex.digest, ())
            self._told_within.setdefault(vertex.parent, set()).add(because(vertex.name, vertex.error))

    def _make(self, vertex: Vertex) -> int:
        name = file_name(vertex.name)
        number = 1
        while True:
            path = os.path.join(self._directory, name if number == 1 else f"{name}-{number}")
            with suppress(FileExistsError):
                self._paths[vertex.digest] = path
                return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666)
            number += 1

    def _close(self, file: BinaryIO, vertex: Vertex) -> None:
        self._count(vertex)
        with file:
            file.write(self._restored.pop(vertex.digest, b""))
            begin = len(self._header(vertex))
            if file.tell() > begin:
                self._printed.add(vertex.digest)
                _end_line(file)
            end = file.tell()
            if not vertex.canceled:
                self._ended[vertex.digest] = vertex
            file.write(_trailer(vertex))
            keep = self._keepers.pop(vertex.digest, None)
            self._bodies[vertex.digest] = (begin, end)
            if keep and not vertex.error:
                self._hand_over(keep, file, vertex.digest)
            file.seek(0)
            file.write(self._header(vertex))

    def _hand_over(self, keep: Keep, file: BinaryIO, vertex: str) -> None:
        """Hand over what a vertex printed, and after that what those in it did, each under the name of its file."""
        begin, end = self._bodies[vertex]
        file.seek(begin)
        inner = list(self._all_in(vertex))
        if not inner:
            keep(file, end - begin)
            return
        from tempfile import TemporaryFile  # most targets have none in them

        with TemporaryFile() as whole:
            _copy(file, end - begin, whole)
            for one in inner:
                whole.write(f"\n==> {self._name(one)} <==\n".encode())
                begin, end = self._bodies[one]
                with open(self._paths[one], "rb") as log:
                    log.seek(begin)
                    _copy(log, end - begin, whole)
            size = whole.tell()
            whole.seek(0)
            keep(whole, size)

    def _all_in(self, vertex: str) -> Iterator[str]:
        """The targets in one that have a log, and those in them, as they began."""
        for one in self._inner.get(vertex, ()):
            if one in self._bodies:
                yield one
                yield from self._all_in(one)


def _end_line(file: BinaryIO) -> None:
    """End the last line, at which the file stands."""
    file.seek(-1, os.SEEK_END)
    if file.read(1) != b"\n":
        file.write(b"\n")


def _copy(file: BinaryIO, count: int, to: IO[bytes]) -> None:
    """Copy so many bytes from where a file stands."""
    while count and (data := file.read(min(count, 1 << 20))):
        to.write(data)
        count -= len(data)


def _header(vertex: Vertex, parent: str) -> bytes:
    """The header; its length is the same before and after the vertex has ended."""
    completed = _NOT_YET if vertex.completed is None else timestamp(vertex.completed)
    fields = (
        f"Name: {vertex.name}",
        f"Digest: {vertex.digest}",
        *([f"Parent: {parent}"] if parent else []),
        f"Cached: {'true' if vertex.cached else 'false':<5}",
        f"Started: {timestamp(vertex.started or 0)}",
        f"Completed: {completed:<{_STAMP_LENGTH}}",
        "-----",
    )
    return "".join(f"{line}\n" for line in fields).encode(errors="surrogateescape")


def _trailer(vertex: Vertex) -> bytes:
    completed = vertex.completed or 0
    fields = ["-----", f"Vertex: Completed {_NOT_YET} -> {timestamp(completed)}"]
    fields.append(f"Vertex: Duration {(completed - (vertex.started or completed)) / 1e9:.9f}s")
    if vertex.canceled:
        fields.append("Vertex: Canceled")
    if vertex.skipped:
        fields.append(f"Vertex: Skipped {vertex.skipped}")
    if vertex.error:
        fields.append(f"Vertex: Error {vertex.error}")
    return "".join(f"{line}\n" for line in (*fields, "-----")).encode(errors="surrogateescape")
