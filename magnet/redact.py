"""Secret values taken out of what is shown and kept, also where a value comes in pieces."""

import re
import threading
from collections.abc import Iterable

from magnet.events import SolveStatus, VertexLog
from magnet.values import replace

MASK = "***"

_SHORTEST = 4
"""Lines of a secret that are shorter are not looked for alone: they would stand everywhere."""


class Redactor:
    """Hides secret values in events: the values themselves, their lines, and how a shell or JSON quotes them.

    Output comes in pieces: the end of one that may be the beginning of a secret is held back until the next piece of
    that vertex and stream, or its end. Used from one thread, save `text` and `learn`.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms: set[str] = set()
        self._learning = threading.Lock()
        self._needles: list[bytes] = []
        self._pattern: re.Pattern[bytes] | None = None
        self._held: dict[tuple[str, str, int], VertexLog] = {}
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these, too, in all that comes later."""
        forms = {form for secret in secrets for form in _forms(secret)}
        with self._learning:
            if forms <= self._forms:
                return
            self._forms |= forms
            needles = sorted(self._forms, key=lambda one: (-len(one), one))
            # Whoever looks meanwhile finds needles that the pattern has not, and never the other way round.
            self._needles = [needle.encode(errors="surrogateescape") for needle in needles]
            self._pattern = re.compile(b"|".join(map(re.escape, self._needles)))

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._pattern is None:
            return text
        return self._hidden(text.encode(errors="surrogateescape")).decode(errors="surrogateescape")

    def status(self, status: SolveStatus) -> SolveStatus:
        """The events without secrets, and with what was held back of vertexes that end with them."""
        if self._pattern is None:
            return status
        ended = {vertex.digest for vertex in status.vertexes if vertex.completed is not None}
        return SolveStatus(
            vertexes=tuple(
                replace(one, name=self.text(one.name), error=self.text(one.error)) for one in status.vertexes
            ),
            statuses=tuple(replace(one, id=self.text(one.id), name=self.text(one.name)) for one in status.statuses),
            logs=self._logs("logs", status.logs, ended),
            warnings=tuple(
                replace(one, short=self.text(one.short), detail=tuple(map(self.text, one.detail)))
                for one in status.warnings
            ),
            transcript=self._logs("transcript", status.transcript, ended),
        )

    def rest(self) -> SolveStatus | None:
        """What is still held back."""
        if not self._held:
            return None
        return SolveStatus(logs=self._released("logs", None), transcript=self._released("transcript", None))

    def _logs(self, kind: str, logs: Iterable[VertexLog], ended: set[str]) -> tuple[VertexLog, ...]:
        shown = [self._shown(kind, log) for log in logs]
        return (*filter(None, shown), *self._released(kind, ended))

    def _shown(self, kind: str, log: VertexLog) -> VertexLog | None:
        key = (kind, log.vertex, log.stream)
        held = self._held.pop(key, None)
        data = (held.data if held else b"") + log.data
        end = self._certain(data)
        if end < len(data):
            self._held[key] = replace(log, data=data[end:])
        return self._masked(replace(log, data=data[:end])) if end else None

    def _certain(self, data: bytes) -> int:
        """How much of the data is what it is whatever comes after it: what follows may be the beginning of a secret."""
        end = min((_beginning(data, needle) for needle in self._needles), default=len(data))
        # A secret that has been seen whole may end in what is the beginning of another.
        for match in self._pattern.finditer(data) if self._pattern and end < len(data) else ():
            if match.start() < end < match.end():
                return match.start()
        return end

    def _masked(self, log: VertexLog) -> VertexLog:
        return replace(log, data=self._hidden(log.data))

    def _hidden(self, data: bytes) -> bytes:
        # To look for one needle after the other is ten times as fast as for a choice of them.
        if self._pattern is None or not any(needle in data for needle in self._needles):
            return data
        return self._pattern.sub(MASK.encode(), data)

    def _released(self, kind: str, ended: set[str] | None) -> tuple[VertexLog, ...]:
        keys = [key for key in self._held if key[0] == kind and (ended is None or key[1] in ended)]
        return tuple(self._masked(self._held.pop(key)) for key in keys)


def _beginning(data: bytes, needle: bytes) -> int:
    """Where the data ends in a part of the needle that is its beginning; the end of the data, if it does not."""
    at = data.find(needle[:1], max(len(data) - len(needle) + 1, 0))
    while at >= 0 and not needle.startswith(data[at:]):
        at = data.find(needle[:1], at + 1)
    return at if at >= 0 else len(data)


def _forms(secret: str) -> set[str]:
    """The texts that would tell a secret."""
    import json
    from shlex import quote

    lines = {line.strip() for line in secret.splitlines()}
    values = {secret, *(line for line in lines if len(line) >= _SHORTEST)}
    # In a longer word, what a shell's quotes are around is not the secret alone.
    forms = {form for value in values for form in (value, quote(value), _within_quotes(value), json.dumps(value)[1:-1])}
    return {form for form in forms if form.strip()}


def _within_quotes(text: str) -> str:
    return text.replace("'", "'\"'\"'")
