"""Plain lines, for what is no terminal."""

import io
from typing import TextIO

from magnet.events import Clock, SolveStatus
from magnet.printing import Printer
from magnet.progress.ci import Service
from magnet.progress.ending import PLAIN_WIDTH, print_end
from magnet.progress.trace import Trace
from magnet.values import replace


class Plain:
    """Lines, in BuildKit's form: a block for each target, or with `interleave` as they come; the summary at the end.

    Where a service of `ci` takes the lines, blocks are folds, and nothing that a build prints is a command to it.
    """

    def __init__(self, out: TextIO, clock: Clock, *, interleave: bool = False, ci: Service | None = None) -> None:
        self._out = out
        self._clock = clock
        self._trace = Trace()
        self._ci = ci
        self._printer = Printer(self._write, interleave=interleave, frame=ci)
        self._suspended: set[str] = set()
        self._seen: set[str] = set()

    def update(self, status: SolveStatus) -> None:
        """Print what is new."""
        self._trace.update(status)
        if self._suspended:
            # What a vertex prints on the terminal is seen already.
            status = replace(status, logs=tuple(log for log in status.logs if log.vertex not in self._suspended))
        self._printer.update(status)
        self._out.flush()

    def refresh(self) -> None:
        """Nothing: what is printed stays."""

    def suspend(self, vertex: str) -> None:
        """Hold back what other vertexes print; this one's output is seen already."""
        self._suspended.add(vertex)
        self._seen.add(vertex)
        self._printer.pause()
        self._out.flush()

    def resume(self, vertex: str) -> None:
        """Print what was held back."""
        self._suspended.discard(vertex)
        if not self._suspended:
            self._printer.resume()
            self._out.flush()

    def abandon(self) -> None:
        """Nothing: there is no terminal to be put back."""

    def done(self) -> None:
        """Print the summary, and the last lines of what failed."""
        self._printer.done()
        end = io.StringIO()
        print_end(self._trace, self._seen, end, self._clock(), PLAIN_WIDTH)
        self._write(self._ci.shielded(end.getvalue()) if self._ci else end.getvalue())
        if self._ci:
            for warning in (one for node in self._trace.nodes.values() for one in node.warnings):
                self._write(self._ci.warning_annotation(warning))
        self._out.flush()

    def _write(self, text: str) -> None:
        self._out.write(text)
