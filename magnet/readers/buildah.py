"""What podman and buildah print while they build, from podman 4.3 and buildah 1.28 to 5.4 and 1.39.

    [1/2] STEP 2/3: RUN make
    a line
    --> 2576b914472
    [2/2] COMMIT app:1
    Successfully tagged localhost/app:1

Where there is one stage only, it is not told. Buildah tells no ids; a step that is cached has `--> Using cache` and
the whole id below it. A step's output stands among these lines as it was printed, so that a line is taken for the
engine's only if it fits what came before; if the output has no line end, the engine's next line stands behind it.
"""

import re

from magnet.events import VertexWarning
from magnet.readers.steps import EXPORT, LineReader, split_from, step_name, text

# Each begins with a word that is quick to look for.
_STEP = re.compile(rb"STEP (?P<number>\d{1,9})/(?P<total>\d{1,9}): (?P<instruction>[^\n]*)\n")
_COMMIT = re.compile(rb"COMMIT(?: [^\n]*)?\n")
_ID = re.compile(rb"--> (?:(?P<cached>Using cache [0-9a-f]{64})|[0-9a-f]{11,12})\n")
_WARNING = re.compile(rb"\[Warning\] (?P<short>one or more build args were not consumed: [^\n]*)\n")
_LINES = {b"STEP ": _STEP, b"COMMIT": _COMMIT, b"--> ": _ID, b"[Warning] ": _WARNING}
_PLACE = re.compile(rb"\[(\d{1,9})/(\d{1,9})\] \Z")
_LONGEST_PLACE = len("[123456789/123456789] ")
_ERROR = b"Error: "
_EXIT = re.compile(r"exit status (\d+)$")


class _Stage:
    """A stage of the Dockerfile, and the step that it has come to; `is_sure` unless output may have looked so."""

    def __init__(self, name: str, total: int) -> None:
        self.name = name
        self.total = total
        self.number = 0
        self.step = ""
        self.is_sure = True

    @property
    def is_at_end(self) -> bool:
        return self.number == self.total


class BuildahReader(LineReader):
    """Reads what podman and buildah print."""

    def __init__(self, target: str, number: int) -> None:
        super().__init__(target, number)
        self._count: int | None = None
        self._stages: dict[int, _Stage] = {}
        self._instructions: dict[str, str] = {}
        self._open: list[str] = []
        self._ended: dict[str, int] = {}
        self._printed: set[str] = set()
        self._cached: set[str] = set()
        self._export = ""
        self._tells_ids = False
        self._reason = ""

    def _take(self, stream: int, data: bytes, now: int) -> None:
        if stream != 1:
            self._log(stream, data, now)
            self._note_reason(data)
            return
        at = 0
        for line in _likely(data):
            if line.start() < at:  # it is a part of what comes before
                continue
            place = _PLACE.search(data, max(at, line.start() - _LONGEST_PLACE), line.start())
            begin = place.start() if place and line.re in (_STEP, _COMMIT) else line.start()
            self._log(stream, data[at:begin], now)
            at = begin
            if self._is_fit(line, place, is_whole=data[begin - 1 : begin] in (b"", b"\n")):
                self._follow(line, place, now)
                at = line.end()
        self._log(stream, data[at:], now)

    @property
    def _current(self) -> str:
        """The step that runs: it has begun last of those that have not ended. Nothing, if there is none."""
        return next((step for step in reversed(self._open) if step not in self._ended), "")

    def _log(self, stream: int, data: bytes, now: int) -> None:
        if not data:
            return
        step = self._current
        if not step and self._open:
            step = self._open[-1]
            if stream == 1:  # it goes on: what looked like its id was its output
                del self._ended[step]
        self._printed.add(step)
        self.steps.log(step or self.steps.target, stream, data, now)

    def _note_reason(self, data: bytes) -> None:
        if (at := data.rfind(_ERROR)) >= 0:
            self._reason = text(data[at + len(_ERROR) :].partition(b"\n")[0])

    # Whether a line is the engine's own.

    def _is_fit(self, line: re.Match[bytes], place: re.Match[bytes] | None, *, is_whole: bool) -> bool:
        if line.re is _ID:
            return self._current != "" and not (line["cached"] and self._current in self._printed)
        if line.re is _WARNING:
            return self._export != "" and is_whole
        number, count = _numbers(place)
        if number > count or self._count not in (None, count):
            return False
        stage = self._stages.get(number)
        if line.re is _COMMIT:
            return number == count and stage is not None and stage.is_at_end
        return self._is_next(line, stage)

    def _is_next(self, line: re.Match[bytes], stage: _Stage | None) -> bool:
        number, total = int(line["number"]), int(line["total"])
        # Where ids are told, one stands between the output of a RUN and the next step.
        is_possible = number <= total and (self._is_between or not self._tells_ids)
        if stage is None:
            return is_possible and number == 1 and line["instruction"].upper().startswith(b"FROM ")
        # A step is told once: if it is told again, what was taken for it was output.
        is_after = number == stage.number + 1 or (number == stage.number and not stage.is_sure)
        return is_possible and is_after and total == stage.total

    @property
    def _is_between(self) -> bool:
        """Whether nothing runs that prints what it likes."""
        return not self._instructions.get(self._current, "").upper().startswith("RUN")

    # What follows from it.

    def _follow(self, line: re.Match[bytes], place: re.Match[bytes] | None, now: int) -> None:
        if line.re is _STEP:
            self._begin_step(line, *_numbers(place), now)
        elif line.re is _COMMIT:
            self._complete(self._open, now)
            self._export = self._begin(EXPORT, EXPORT, now)
        elif line.re is _WARNING:
            self.steps.warn(VertexWarning(self.steps.target, text(line["short"])))
        elif line["cached"]:
            self._cached.add(self._current)
        else:
            self._tells_ids = True
            self._ended[self._current] = now

    def _begin_step(self, line: re.Match[bytes], place: int, count: int, now: int) -> None:
        self._count = count
        number, instruction = int(line["number"]), text(line["instruction"])
        stage = self._stages.get(place)
        if stage is None:
            name = split_from(instruction)[1] or f"stage-{place - 1}"
            stage = self._stages[place] = _Stage(name if count else "", int(line["total"]))
        stage.is_sure = self._is_between
        self._complete([step for step in self._open if self._is_over(step, stage, number)], now)
        stage.number = number
        stage.step = self._begin(f"{place} {number}", step_name(stage.name, number, stage.total, instruction), now)
        self._instructions[stage.step] = instruction

    def _is_over(self, step: str, stage: _Stage, number: int) -> bool:
        """Whether a step has ended when this one of that stage begins."""
        if step == stage.step:
            return number != stage.number
        return step in self._ended or any(step == one.step and one.is_at_end for one in self._stages.values())

    def _begin(self, key: str, name: str, now: int) -> str:
        digest = self.steps.begin(key, name, now)
        self._open = [step for step in self._open if step != digest]
        self._open.append(digest)
        self._ended.pop(digest, None)
        return digest

    def _complete(self, steps: list[str], now: int) -> None:
        for step in steps:
            self.steps.complete(step, self._ended.pop(step, now), cached=step in self._cached)
        self._open = [step for step in self._open if step not in steps]

    def _finish(self, now: int, error: str, canceled: bool) -> None:
        if error or canceled:
            step, why = self._blamed()
            self.steps.finish(now, culprit=step, error=why or error, canceled=canceled)
        else:
            self._complete(self._open, now)

    def _blamed(self) -> tuple[str | None, str]:
        """Which step the engine says has failed, and why; else the one that runs."""
        for step, instruction in reversed(self._instructions.items()):
            blame = f'building at STEP "{instruction}": '
            if self._reason.startswith(blame):
                return step, _plain(self._reason.removeprefix(blame))
        return self._current or next(reversed(self._open), None), _plain(self._reason)


def _likely(data: bytes) -> list[re.Match[bytes]]:
    """What may be lines of the engine's, in order."""
    found = [line for word, pattern in _LINES.items() if word in data for line in pattern.finditer(data)]
    return sorted(found, key=re.Match.start)


def _numbers(place: re.Match[bytes] | None) -> tuple[int, int]:
    """A stage's number, and how many there are; 0 where that is not told."""
    return (int(place[1]), int(place[2])) if place else (0, 0)


def _plain(reason: str) -> str:
    """The reason in BuildKit's words, where it is an exit code."""
    code = _EXIT.search(reason)
    return f"exit code: {code[1]}" if code else reason
