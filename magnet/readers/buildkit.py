"""BuildKit's plain lines, from docker 20.10 to today's buildx.

The source of the format is util/progress/progressui/printer.go of moby/buildkit:

    #5 [2/3] RUN make
    #5 0.245 a line
    #5 transferring context: 2.10MB / 5.00MB 0.1s
    #5 DONE 0.2s

Lines of a step that was left for another (`#5 ...`) follow its name once more. What failed is repeated at the end.
"""

import re
from collections.abc import Iterable, Iterator

from magnet.events import VertexStatus, VertexWarning
from magnet.readers.steps import CANCELED, LineReader, Steps, size, text
from magnet.values import replace

_SECOND = 10**9

# The lines of one step that were printed at one time; the last may be no whole line.
_LOGS = re.compile(rb"#(\d{1,9}) (\d{1,9}\.\d{1,3}) [^\n]*(?:\n|\Z)(?:#\1 \2 [^\n]*(?:\n|\Z))*")
_LINE = re.compile(rb"#(\d{1,9}) ([^\n]*?)\r?\n?")
_DONE = re.compile(r"DONE(?: (\d{1,9}\.\d)s)?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_STATUS = re.compile(
    r"(?P<id>.*?)"
    r"(?: (?P<current>\d[\d.]*)(?P<unit>[kMGTPE]?B)(?: / (?P<total>\d[\d.]*)(?P<total_unit>[kMGTPE]?B))?)?"
    r"(?: (?P<time>\d{1,9}\.\d)s)?(?P<done> done)?"
)
_CLIPPED = re.compile(rb"\[output clipped, log limit ([^\]\n]+) reached\]")
_SUMMARY = re.compile(r" ?\d+ warnings? found.*:")
_SUMMED_UP = re.compile(r" +- (.+)")


class BuildKitReader(LineReader):
    """Reads BuildKit's plain lines."""

    def __init__(self, target: str, number: int) -> None:
        super().__init__(target, number)
        self._numbers: dict[int, str] = {}
        self._begun: dict[tuple[str, str], int] = {}
        self._ending = Ending(self.steps)
        self._named = 0
        self._erring = ""
        self._cut = ""

    def _take(self, stream: int, data: bytes, now: int) -> None:
        at = self._rest_of_line(stream, data, now)
        while at < len(data):
            logs = None if self._ending.is_here else _LOGS.match(data, at)
            if logs and int(logs[1]) in self._numbers:
                self._log(self._numbers[int(logs[1])], stream, logs[0], logs[2], now)
                at = logs.end()
                continue
            end = data.find(b"\n", at) + 1 or len(data)
            self._line(stream, data[at:end], now)
            at = end

    def _rest_of_line(self, stream: int, data: bytes, now: int) -> int:
        """Take in what is left of a line that was too long, and return where it ends."""
        if not self._cut:
            return 0
        end = data.find(b"\n") + 1 or len(data)
        self.steps.log(self._cut, stream, data[:end], now)
        self._cut = "" if data[:end].endswith(b"\n") else self._cut
        return end

    def _log(self, digest: str, stream: int, data: bytes, offset: bytes, now: int) -> None:
        """Take in lines of output that begin with the same number and time."""
        prefix = data[: data.index(offset) + len(offset) + 1]
        data = data[len(prefix) :].replace(b"\n" + prefix, b"\n")
        time = (self.steps.vertexes[digest].started or now) + round(float(offset) * _SECOND)
        warn_of_clipping(self.steps, digest, data)
        at = 0
        # 20.10 ends no line that a step has left open: `#5 0.200 no newline#5 DONE 0.2s`.
        for glued in _glued(prefix[: prefix.index(b" ") + 1], data):
            self.steps.log(digest, stream, data[at : glued.start()], time)
            self._understood(digest, text(glued[1]), now)
            at = glued.end()
        self.steps.log(digest, stream, data[at:], time)
        self._cut = "" if data.endswith(b"\n") else digest

    def _line(self, stream: int, line: bytes, now: int) -> None:
        match = None if self._ending.is_here else _LINE.fullmatch(line)
        if match is None:
            self._unnumbered(stream, line, now)
            return
        number, said = int(match[1]), text(match[2])
        self._erring = ""
        if number == 0:  # what buildx says before it begins
            self.steps.log(self.steps.target, stream, line.partition(b" ")[2], now)
        elif number not in self._numbers:
            self._numbers[number] = self.steps.begin(str(number), said, now)
            self._named = number
        elif said == self.steps.vertexes[self._numbers[number]].name:
            self._resumed(self._numbers[number])
            self._named = number
        elif number != self._named or not _DIGEST.fullmatch(said):  # 20.10 tells the digest below each name
            self._named = 0
            self._understood(self._numbers[number], said, now)

    def _resumed(self, digest: str) -> None:
        """A step that is named once more after its end goes on, as a FROM does whose layers are wanted after all."""
        if self.steps.vertexes[digest].completed is not None:
            self.steps.put(replace(self.steps.vertexes[digest], completed=None, cached=False, error="", canceled=False))

    def _understood(self, digest: str, said: str, now: int) -> None:
        """Take in what is said of a step that is no output of its own."""
        if done := _DONE.fullmatch(said):
            # When it began is not told, but how long it took.
            took = round(float(done[1]) * _SECOND) if done[1] else None
            self.steps.complete(digest, now, started=None if took is None else now - took)
        elif said == "CACHED":
            self.steps.complete(digest, now, cached=True)
        elif said == "CANCELED":
            self.steps.complete(digest, now, error=CANCELED, canceled=True)
        elif said.startswith("ERROR: "):
            self.steps.complete(digest, now, error=said.removeprefix("ERROR: "))
            self._erring = digest
        elif said.startswith("WARN: "):
            self._ending.warn(digest, said.removeprefix("WARN: "))
        elif said != "...":
            self._status(digest, said, now)

    def _status(self, digest: str, said: str, now: int) -> None:
        match = _STATUS.fullmatch(said)
        part = match["id"] if match else said
        begun = self._begun.setdefault((digest, part), now)
        if match is None:
            self.steps.report(VertexStatus(part, digest, timestamp=now, started=begun))
            return
        if match["time"]:
            begun = self._begun[digest, part] = now - round(float(match["time"]) * _SECOND)
        self.steps.report(
            VertexStatus(
                part,
                digest,
                current=size(match["current"] or "0", match["unit"] or "B"),
                total=size(match["total"] or "0", match["total_unit"] or "B"),
                timestamp=now,
                started=begun,
                completed=now if match["done"] else None,
            )
        )

    def _unnumbered(self, stream: int, line: bytes, now: int) -> None:
        said = text(line.rstrip(b"\r\n"))
        if said == "------":
            self._erring = ""
        if self._erring and said:
            # The command that failed may have several lines.
            erring = self.steps.vertexes[self._erring]
            self.steps.put(replace(erring, error=f"{erring.error}\n{said}"))
        elif not self._ending.knows(said):
            self.steps.log(self.steps.target, stream, line, now)

    def _finish(self, now: int, error: str, canceled: bool) -> None:
        self.steps.finish(now, culprit=next(reversed(self.steps.open), None), error=error, canceled=canceled)


class Ending:
    """What docker's clients print when a build has ended: what failed, once more, and the warnings."""

    def __init__(self, steps: Steps) -> None:
        self.is_here = False
        self._steps = steps
        self._until = ""
        self._warned: set[str] = set()
        self._is_summary = False

    def knows(self, line: str) -> bool:
        """Take in a line; whether it says nothing that is not told already, or is told from now on."""
        if self._until:
            self._until = "" if line == self._until else self._until
            return True
        if self._is_warning(line):
            return True
        if self._steps.failed and line in ("------", "-" * 20):
            self.is_here, self._until = True, line
            return True
        return not line or (self._steps.failed != "" and _repeats(line, self._steps.errors))

    def warn(self, vertex: str, short: str) -> None:
        """Tell a warning, once."""
        if short not in self._warned:
            self._warned.add(short)
            self._steps.warn(VertexWarning(vertex, short))

    def take(self, warning: VertexWarning) -> None:
        """Tell a warning that is known in full; the summary has it once more."""
        self._warned.add(warning.short)
        self._steps.warn(warning)

    def _is_warning(self, line: str) -> bool:
        if _SUMMARY.fullmatch(line):
            self._is_summary = True
        elif self._is_summary and (match := _SUMMED_UP.fullmatch(line)):
            self.warn(self._steps.target, match[1])
        else:
            self._is_summary = False
        return self._is_summary


def warn_of_clipping(steps: Steps, digest: str, data: bytes) -> None:
    """Tell that BuildKit has thrown away output, if it says so in a log.

    The source of the names is util/progress/logs/logs.go of moby/buildkit.
    """
    if b"[output clipped" in data and (match := _CLIPPED.search(data)):
        short = (
            f"docker clipped the output, beyond {text(match[1])}: BUILDKIT_STEP_LOG_MAX_SIZE=-1 and "
            "BUILDKIT_STEP_LOG_MAX_SPEED=-1 in the environment of its daemon, or of the builder, lift the limit"
        )
        steps.warn(VertexWarning(digest, short))


def _glued(number: bytes, data: bytes) -> Iterator[re.Match[bytes]]:
    """Where a line of output ends in what is said of its step."""
    if number + b"DONE " not in data:
        return iter(())
    return re.finditer(rb"(?<=[^\n])" + number + rb"(DONE \d{1,9}\.\ds)(?:\n|\Z)", data)


def _repeats(line: str, errors: Iterable[str]) -> bool:
    """Whether a line says what a step has said when it failed, or where that stands."""
    if re.fullmatch(r"\S.*:\d+", line):
        return True
    for error in errors:
        first, *others = error.split("\n")
        if line.endswith(first) or line in others:
            return True
    return False
