"""What docker's legacy builder prints, from 20.10 to 26.

    Sending build context to Docker daemon  3.072kB
    Step 2/3 : RUN make
     ---> Running in 436cbb449851
    a line
    Removing intermediate container 436cbb449851
     ---> f2ad5bb9ed6d
    Successfully built f2ad5bb9ed6d

Steps are counted through all stages. A step that is cached has ` ---> Using cache`. A RUN's output stands among these
lines as it was printed, what it printed on stderr between two escape sequences, and ends at the line that names its
container; if the output has no line end, that line stands behind it.
"""

import re

from magnet.events import VertexStatus, VertexWarning
from magnet.readers.steps import CONTEXT, TRANSFER, LineReader, size, split_from, step_name, text

_LINE = re.compile(
    rb"(?:\x1b\[0m)?(?:Removing| ---> Removed) intermediate container (?P<removed>[0-9a-f]{12})\n"
    rb"|^Step (?P<number>\d{1,9})/(?P<total>\d{1,9}) : (?P<instruction>[^\n]*)\n"
    rb"|^ ---> (?:(?P<cached>Using cache)|Running in (?P<running>[0-9a-f]{12})|(?P<id>[0-9a-f]{12}))\n"
    rb"|^\[Warning\] (?P<warning>One or more build-args [^\n]* were not consumed)\n"
    rb"|^(?P<context>Sending build context to Docker daemon [^\n]*)\n",
    re.MULTILINE,
)
_WORDS = (b"Step ", b" ---> ", b" intermediate container ", b"[Warning] ", b"Sending build context ")
_SENT = re.compile(rb"(\d[\d.]*)([kMGTPE]?B)")
_STDERR, _RESET = b"\x1b[91m", b"\x1b[0m"
_COLOURS = re.compile(rb"(\x1b\[91m|\x1b\[0m)")
_EXIT = re.compile(r"returned a non-zero code: (\d+)$")


class LegacyReader(LineReader):
    """Reads what docker's legacy builder prints."""

    def __init__(self, target: str, number: int) -> None:
        super().__init__(target, number)
        self._begun = 0
        self._number = 0
        self._total = 0
        self._stage = -1
        self._stage_name = ""
        self._current = ""
        self._container = b""
        self._is_cached = False
        self._is_stderr = False
        self._reason = ""

    def _take(self, stream: int, data: bytes, now: int) -> None:
        self._begun = self._begun or now
        if stream != 1:  # the client's own words: a step's stderr is among its stdout
            self.steps.log(self._current or self.steps.target, stream, data, now)
            if self._current:
                self._reason = text(data.strip().rpartition(b"\n")[2]) or self._reason
            return
        at = 0
        # To look for the words is ten times as fast as for the lines, which most output has none of.
        if any(words in data for words in _WORDS):
            for line in _LINE.finditer(data):
                if self._is_fit(line):
                    self._log(data[at : line.start()], now)
                    self._follow(line, now)
                    at = line.end()
        self._log(data[at:], now)

    def _log(self, data: bytes, now: int) -> None:
        where = self._current or self.steps.target
        if not self._container or (not self._is_stderr and _STDERR not in data):
            self.steps.log(where, 1, data, now)
            return
        for part in _COLOURS.split(data):
            if part == (_RESET if self._is_stderr else _STDERR):
                self._is_stderr = not self._is_stderr
            else:
                self.steps.log(where, 2 if self._is_stderr else 1, part, now)

    def _is_fit(self, line: re.Match[bytes]) -> bool:
        """Whether a line is the builder's own: while a container runs, only the one that names it is."""
        if self._container:
            return bool(line["removed"] == self._container)
        if line["number"]:
            is_known = self._total in (0, int(line["total"]))
            return is_known and int(line["number"]) == self._number + 1 <= int(line["total"])
        if line["context"]:
            return not self._number
        return line["warning"] is not None or (self._current != "" and not line["removed"])

    def _follow(self, line: re.Match[bytes], now: int) -> None:
        if line["removed"]:
            self._container, self._is_stderr = b"", False
        elif line["running"]:
            self._container = line["running"]
        elif line["cached"]:
            self._is_cached = True
        elif line["id"]:
            self._complete(now)
        elif line["warning"]:
            self.steps.warn(VertexWarning(self.steps.target, text(line["warning"])))
        elif line["context"]:
            self._sent(line["context"], now)
        else:
            self._complete(now)
            self._begin(int(line["number"]), int(line["total"]), text(line["instruction"]), now)

    def _sent(self, line: bytes, now: int) -> None:
        step = self.steps.begin(CONTEXT, CONTEXT, self._begun)
        # The line is written over as it grows, and comes whole.
        amount, unit = _SENT.findall(line)[-1] if _SENT.search(line) else (b"0", b"B")
        sent = size(text(amount), text(unit))
        self.steps.report(VertexStatus(TRANSFER, step, current=sent, timestamp=now, started=self._begun, completed=now))
        self.steps.complete(step, now)

    def _begin(self, number: int, total: int, instruction: str, now: int) -> None:
        self._number, self._total = number, total
        keyword, _, rest = instruction.partition(" ")
        if keyword.upper() == "FROM":
            self._stage += 1
            # Whether there will be a second one is not known at the first.
            self._stage_name = split_from(rest)[1] or (f"stage-{self._stage}" if self._stage else "")
        self._current = self.steps.begin(str(number), step_name(self._stage_name, number, total, instruction), now)

    def _complete(self, now: int) -> None:
        if self._current:
            self.steps.complete(self._current, now, cached=self._is_cached)
        self._current, self._is_cached = "", False

    def _finish(self, now: int, error: str, canceled: bool) -> None:
        code = _EXIT.search(self._reason)
        why = f"exit code: {code[1]}" if code else self._reason or error
        self.steps.finish(now, culprit=self._current or None, error=error and why, canceled=canceled)
