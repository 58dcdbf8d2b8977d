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

_LINE = re.compile(
    rb"(?:\[(?P<place>\d{1,9})/(?P<places>\d{1,9})\] )?"
    rb"(?:STEP (?P<number>\d{1,9})/(?P<total>\d{1,9}): (?P<instruction>[^\n]*)|(?P<commit>COMMIT)(?: [^\n]*)?)\n"
    rb"|--> (?:(?P<cached>Using cache [0-9a-f]{64})|(?P<id>[0-9a-f]{11,12}))\n"
    rb"|\[Warning\] (?P<warning>one or more build args were not consumed: [^\n]*)\n"
)
_WORDS = (b"STEP ", b"COMMIT", b"--> ", b"[Warning] ")
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
        self._places: int | None = None
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
        # To look for the words is ten times as fast as for the lines, which most output has none of.
        if any(words in data for words in _WORDS):
            for line in _LINE.finditer(data):
                if self._is_fit(line, data[at : line.start()]):
                    self._log(stream, data[at : line.start()], now)
                    self._follow(line, now)
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

    def _is_fit(self, line: re.Match[bytes], before: bytes) -> bool:
        if line["cached"]:
            return not before and self._current != "" and self._current not in self._printed
        if line["id"]:
            return self._current != ""
        if line["warning"]:
            return self._export != "" and not before
        places = int(line["places"] or 0)
        if self._places not in (None, places):
            return False
        return self._is_last(int(line["place"] or 0), places) if line["commit"] else self._is_next(line)

    def _is_last(self, place: int, places: int) -> bool:
        return place == places and place in self._stages and self._stages[place].is_at_end

    def _is_next(self, line: re.Match[bytes]) -> bool:
        number, total = int(line["number"]), int(line["total"])
        stage = self._stages.get(int(line["place"] or 0))
        if number > total or int(line["place"] or 0) > int(line["places"] or 0):
            return False
        # Where ids are told, one stands between the output of a RUN and the next step.
        is_possible = self._is_between or not self._tells_ids
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

    def _follow(self, line: re.Match[bytes], now: int) -> None:
        if line["cached"]:
            self._cached.add(self._current)
        elif line["id"]:
            self._tells_ids = True
            self._ended[self._current] = now
        elif line["warning"]:
            self.steps.warn(VertexWarning(self.steps.target, text(line["warning"])))
        elif line["commit"]:
            self._complete(self._open, now)
            self._export = self._begin(EXPORT, EXPORT, now)
        else:
            self._begin_step(line, now)

    def _begin_step(self, line: re.Match[bytes], now: int) -> None:
        self._places = int(line["places"] or 0)
        place, number, instruction = int(line["place"] or 0), int(line["number"]), text(line["instruction"])
        stage = self._stages.get(place)
        if stage is None:
            name = split_from(instruction)[1] or f"stage-{place - 1}"
            stage = self._stages[place] = _Stage(name if place else "", int(line["total"]))
        at_end = {other.step for other in self._stages.values() if other.is_at_end}
        ended = [step for step in self._open if step in self._ended or step in at_end or step == stage.step]
        stage.is_sure = self._is_between
        self._complete([step for step in ended if number != stage.number or step != stage.step], now)
        stage.number = number
        stage.step = self._begin(f"{place} {number}", step_name(stage.name, number, stage.total, instruction), now)
        self._instructions[stage.step] = instruction

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


def _plain(reason: str) -> str:
    """The reason in BuildKit's words, where it is an exit code."""
    code = _EXIT.search(reason)
    return f"exit code: {code[1]}" if code else reason
