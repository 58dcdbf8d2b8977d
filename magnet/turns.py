"""Turns: of several vertexes that speak at the same time one is heard, and what the others say waits."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import IO

from magnet.events import SolveStatus

LONGEST_WAIT = 1 << 16
"""Bytes that wait in memory for one speaker, about; what is more waits in a file."""

_COST = 200
"""What an event takes in memory, besides what was printed."""

Hear = Callable[[str, SolveStatus], None]


class Spool:
    """Where events wait that are too many for memory: one temporary file, which is made when it is needed."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._count = 0

    def put(self, events: list[SolveStatus]) -> tuple[int, int]:
        """Keep events; what is returned says where they are."""
        import pickle  # few runs have so much waiting
        import tempfile

        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="magnet-")  # noqa: SIM115 - it is gone with this object
        data = pickle.dumps(events, pickle.HIGHEST_PROTOCOL)
        at = self._file.seek(0, 2)
        self._file.write(data)
        self._count += 1
        return at, len(data)

    def take(self, where: tuple[int, int]) -> list[SolveStatus]:
        """The events that were kept there; they are kept no longer."""
        import pickle

        assert self._file is not None
        at, length = where
        self._file.seek(at)
        events: list[SolveStatus] = pickle.loads(self._file.read(length))
        self._count -= 1
        if not self._count:
            self._file.truncate(0)
        return events


class Waiting:
    """The events of one speaker that are still to be heard: first in, first out."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._first: deque[SolveStatus] = deque()
        self._spooled: deque[tuple[int, int]] = deque()
        self._last: list[SolveStatus] = []
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._first or self._spooled or self._last)

    def add(self, status: SolveStatus) -> None:
        """Let events wait."""
        self._last.append(status)
        self._size += _COST * (len(status.vertexes) + len(status.statuses) + len(status.warnings) + len(status.logs))
        for log in status.logs:
            self._size += len(log.data)
        if self._size > LONGEST_WAIT:
            self._spooled.append(self._spool.put(self._last))
            self._last = []
            self._size = 0

    def pop(self) -> SolveStatus:
        """The next events; they wait no longer."""
        if not self._first:
            if self._spooled:
                self._first.extend(self._spool.take(self._spooled.popleft()))
            else:
                self._first.extend(self._last)
                self._last = []
                self._size = 0
        return self._first.popleft()


class Turns:
    """Gives each speaker its turn, and hands what is said to `hear`, speaker by speaker.

    `speaker` names the speaker of a vertex, which is a vertex too; none, if what is said of it is to be left out. Who
    speaks first has the first turn, and keeps it until it has ended. It gives it to another for a while if it waits for
    that one: if that is one of its inputs, or is a part of it, or if one that it waits for waits for that one in turn.
    """

    def __init__(self, speaker: Callable[[str], str | None], hear: Hear, spool: Spool) -> None:
        self._speaker = speaker
        self._hear = hear
        self._spool = spool
        self._waiting: dict[str, Waiting] = {}
        self._asking: dict[str, None] = {}
        self._stack: list[str] = []
        self._ended: set[str] = set()
        self._inputs: dict[str, tuple[str, ...]] = {}
        self._heard_inputs: dict[str, tuple[str, ...]] = {}
        self._parts: dict[str, dict[str, None]] = {}
        self._is_paused = False

    def update(self, status: SolveStatus) -> None:
        """Take in events, and hear what can be heard."""
        for speaker, part in _by_speaker(status, self._speaker):
            self._note(speaker, part)
            if self._is_heard(speaker):
                self._tell(speaker, part)
                continue
            waiting = self._waiting.get(speaker)
            if waiting is None:
                waiting = self._waiting[speaker] = Waiting(self._spool)
            waiting.add(part)
            if _says(part) or speaker in self._stack:
                self._asking.setdefault(speaker)
        self._go()

    def pause(self) -> None:
        """Hear nothing from now on."""
        self._is_paused = True

    def resume(self) -> None:
        """Hear again, and first what was not heard meanwhile."""
        self._is_paused = False
        self._go()

    def finish(self) -> None:
        """Hear everything that is left: no more will come, and nobody is waited for any longer."""
        self.resume()
        while self._asking:
            self._stack.pop()
            self._go()

    def _go(self) -> None:
        while not self._is_paused and (speaker := self._turn()) is not None:
            waiting = self._waiting[speaker]
            status = waiting.pop()
            if not waiting:
                del self._asking[speaker], self._waiting[speaker]
            self._tell(speaker, status)

    def _tell(self, speaker: str, status: SolveStatus) -> None:
        for vertex in status.vertexes:
            if vertex.digest == speaker:
                self._heard_inputs[speaker] = vertex.inputs
                (self._ended.discard if vertex.completed is None else self._ended.add)(speaker)
        self._hear(speaker, status)

    def _is_heard(self, speaker: str) -> bool:
        """Whether it has the turn: then nothing of it waits, unless in a pause."""
        return not self._is_paused and self._stack[-1:] == [speaker]

    def _turn(self) -> str | None:
        """Who is to be heard now; nobody, if whose turn it is says nothing."""
        while self._stack and self._stack[-1] in self._ended and self._stack[-1] not in self._asking:
            self._stack.pop()
        if not self._asking:
            return None
        if not self._stack:
            self._stack.append(next(iter(self._asking)))
        while len(self._asking) > (self._stack[-1] in self._asking) and (other := self._awaited(self._stack[-1])):
            self._stack.append(other)
        return self._stack[-1] if self._stack[-1] in self._asking else None

    def _awaited(self, speaker: str) -> str | None:
        """The first with something to say that the speaker waits for, as far as the speaker itself has been heard."""
        links: list[str] = [*self._heard_inputs.get(speaker, ()), *self._parts.get(speaker, ())]
        seen = {speaker}
        while links:
            one = links.pop(0)
            if one in seen:
                continue
            seen.add(one)
            if one in self._asking and one not in self._stack:
                return one
            links += (*self._inputs.get(one, ()), *self._parts.get(one, ()))
        return None

    def _note(self, speaker: str, status: SolveStatus) -> None:
        """Note who waits for whom."""
        for vertex in status.vertexes:
            if vertex.digest == speaker:
                self._inputs[speaker] = vertex.inputs
                if vertex.parent:
                    self._parts.setdefault(vertex.parent, {}).setdefault(speaker)


def _says(status: SolveStatus) -> bool:
    """Whether there is something to be heard; that a vertex begins is not."""
    if status.logs or status.statuses or status.warnings:
        return True
    return any(vertex.completed is not None for vertex in status.vertexes)


def _by_speaker(status: SolveStatus, speaker: Callable[[str], str | None]) -> Iterator[tuple[str, SolveStatus]]:
    """The events, apart by speaker."""
    speakers = dict.fromkeys(map(speaker, _vertexes(status)))
    for one in speakers:
        if one is not None:
            yield one, status if len(speakers) == 1 else _of(one, status, speaker)


def _vertexes(status: SolveStatus) -> list[str]:
    """The vertex of each event."""
    found = [one.digest for one in status.vertexes] if status.vertexes else []
    for events in (status.statuses, status.logs, status.warnings):
        if events:
            found += [one.vertex for one in events]
    return found


def _of(one: str, status: SolveStatus, speaker: Callable[[str], str | None]) -> SolveStatus:
    """What there is of one speaker."""
    return SolveStatus(
        vertexes=tuple(event for event in status.vertexes if speaker(event.digest) == one),
        statuses=tuple(event for event in status.statuses if speaker(event.vertex) == one),
        logs=tuple(event for event in status.logs if speaker(event.vertex) == one),
        warnings=tuple(event for event in status.warnings if speaker(event.vertex) == one),
    )
