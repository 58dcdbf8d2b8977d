"""What all readers share: the steps as far as they are known, the lines they are found in, and how they end."""

from abc import ABC, abstractmethod

from blake3 import blake3

from magnet.events import SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning
from magnet.values import replace

LONGEST_LINE = 1 << 20
"""A line that is longer is taken in pieces."""

CONTEXT = "[internal] load build context"
TRANSFER = "transferring context:"
EXPORT = "exporting to image"
"""BuildKit's names, for what other engines do as well."""

CANCELED = "canceled"


class Steps:
    """The steps of one command, below the vertex of a target, and what is new of them.

    Two commands of a target have different numbers, so that their steps are not taken for the same.
    """

    def __init__(self, target: str, number: int) -> None:
        self.target = target
        self.vertexes: dict[str, Vertex] = {}
        self._seed = f"{target}\0{number}\0"
        self._changed: list[Vertex] = []
        self._statuses: list[VertexStatus] = []
        self._logs: list[tuple[tuple[str, int, int], list[bytes]]] = []
        self._warnings: list[VertexWarning] = []
        self._warned: set[VertexWarning] = set()

    def digest(self, key: str) -> str:
        """The digest of a step, by what the engine calls it."""
        return f"blake3:{blake3((self._seed + key).encode(errors='surrogateescape')).hexdigest()}"

    def put(self, vertex: Vertex) -> None:
        """Tell where a step stands."""
        self.vertexes[vertex.digest] = vertex
        self._changed.append(vertex)

    def begin(self, key: str, name: str, now: int) -> str:
        """Tell that a step has begun, and return its digest."""
        digest = self.digest(key)
        self.put(Vertex(digest, name, started=now, parent=self.target))
        return digest

    def complete(
        self,
        digest: str,
        now: int,
        *,
        started: int | None = None,
        cached: bool = False,
        error: str = "",
        canceled: bool = False,
    ) -> None:
        """Tell that a step has ended; `started` is when it began, where that was found out later."""
        known = self.vertexes[digest]
        begun = known.started if started is None else started
        # The clock of a daemon elsewhere may be ahead of ours.
        ended = max(now, begun or now)
        self.put(replace(known, started=begun, completed=ended, cached=cached, error=error, canceled=canceled))

    def log(self, vertex: str, stream: int, data: bytes, now: int) -> None:
        """Tell what a step, or the target, has printed."""
        if not data:
            return
        if self._logs and self._logs[-1][0] == (vertex, stream, now):
            self._logs[-1][1].append(data)
        else:
            self._logs.append(((vertex, stream, now), [data]))

    def report(self, status: VertexStatus) -> None:
        """Tell how far a part of a step is."""
        self._statuses.append(status)

    def warn(self, warning: VertexWarning) -> None:
        """Tell what a user should know, once."""
        if warning not in self._warned:
            self._warned.add(warning)
            self._warnings.append(warning)

    @property
    def open(self) -> list[str]:
        """The steps that have begun and not ended, in order of appearance."""
        return [one.digest for one in self.vertexes.values() if one.started is not None and one.completed is None]

    @property
    def errors(self) -> list[str]:
        """What the steps that failed said."""
        return [one.error for one in self.vertexes.values() if one.error and not one.canceled]

    @property
    def failed(self) -> str:
        """The name of the first step that failed."""
        return next((one.name for one in self.vertexes.values() if one.error and not one.canceled), "")

    def finish(self, now: int, *, culprit: str | None = None, error: str = "", canceled: bool = False) -> None:
        """Complete what is open; with an error, the culprit fails, if nothing has failed, and others are canceled."""
        if error and not canceled and culprit is not None and not self.failed:
            self.complete(culprit, self.vertexes[culprit].completed or now, error=error)
        for digest in self.open:
            if error or canceled:
                self.complete(digest, now, error=CANCELED, canceled=True)
            else:
                self.complete(digest, now, cached=self.vertexes[digest].cached)

    def news(self, *transcript: VertexLog) -> SolveStatus:
        """What is new since the last call."""
        logs = (VertexLog(vertex, stream, b"".join(parts), now) for (vertex, stream, now), parts in self._logs)
        status = SolveStatus(
            tuple(self._changed), tuple(self._statuses), tuple(logs), tuple(self._warnings), transcript
        )
        self._changed, self._statuses, self._logs, self._warnings = [], [], [], []
        return status


class LineReader(ABC):
    """A reader that looks at whole lines, and whose transcript is what the engine printed, byte by byte."""

    def __init__(self, target: str, number: int) -> None:
        self.steps = Steps(target, number)
        self._rests: dict[int, bytes] = {}

    def read(self, stream: int, data: bytes, now: int) -> SolveStatus:
        """Take in what was printed."""
        whole = self._whole(stream, data)
        if whole:
            self._take(stream, whole, now)
        return self.steps.news(VertexLog(self.steps.target, stream, data, now))

    def end(self, now: int, *, error: str = "", canceled: bool = False) -> SolveStatus:
        """Complete all steps that are open."""
        for stream, rest in self._rests.items():
            if rest:
                self._take(stream, rest, now)
        self._rests.clear()
        self._finish(now, error, canceled)
        return self.steps.news()

    @property
    def failed(self) -> str:
        """The name of the step that failed."""
        return self.steps.failed

    def _whole(self, stream: int, data: bytes) -> bytes:
        """The lines that are whole now, or all that there is of one that is too long."""
        data = self._rests.pop(stream, b"") + data
        if data.endswith(b"\n"):
            return data
        end = data.rfind(b"\n") + 1
        if len(data) - end > LONGEST_LINE:
            return data
        self._rests[stream] = data[end:]
        return data[:end]

    @abstractmethod
    def _take(self, stream: int, data: bytes, now: int) -> None:
        """Understand whole lines; what is not understood is somebody's log."""

    @abstractmethod
    def _finish(self, now: int, error: str, canceled: bool) -> None:
        """Complete what is open, when the command has ended."""


def text(data: bytes) -> str:
    """Bytes of an engine's as a name, from which the bytes can be had again."""
    return data.decode(errors="surrogateescape")


def step_name(stage: str, number: int, total: int, instruction: str) -> str:
    """A step's name as BuildKit gives it.

    >>> step_name("builder", 2, 3, "run make"), step_name("", 2, 10, "FROM debian:13 AS base")
    ('[builder 2/3] RUN make', '[ 2/10] FROM debian:13')
    """
    keyword, _, rest = instruction.strip().partition(" ")
    keyword = keyword.upper()
    if keyword == "FROM":
        rest = split_from(rest)[0]
    place = f"{stage} " if stage else ""
    return f"[{place}{number:>{len(str(total))}}/{total}] {keyword} {rest}".rstrip()


def split_from(rest: str) -> tuple[str, str]:
    """What a FROM begins with, and the name that it gives its stage, in lower case, as BuildKit has it.

    >>> split_from("debian:13 as Base"), split_from("debian:13")
    (('debian:13', 'base'), ('debian:13', ''))
    """
    words = rest.split()
    if len(words) > 2 and words[-2].upper() == "AS":
        return " ".join(words[:-2]), words[-1].lower()
    return rest.strip(), ""


_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15, "EB": 10**18}


def size(amount: str, unit: str) -> int:
    """Bytes as docker shows them, as a number.

    >>> size("2.10", "MB")
    2100000
    """
    try:
        return round(float(amount) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        return 0
