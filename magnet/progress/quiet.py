"""Silence, but for what failed."""

from typing import TextIO

from magnet.events import SolveStatus
from magnet.progress.ci import Service
from magnet.progress.ending import failure, warnings
from magnet.progress.trace import Trace


class Quiet:
    """Prints nothing while a run goes on, and at its end the last lines of what failed, with the warnings of that."""

    def __init__(self, out: TextIO, *, ci: Service | None = None) -> None:
        self._out = out
        self._ci = ci
        self._trace = Trace()
        self._seen: set[str] = set()

    def update(self, status: SolveStatus) -> None:
        """Take in what is new."""
        self._trace.update(status)

    def refresh(self) -> None:
        """Nothing."""

    def suspend(self, vertex: str) -> None:
        """Take note that the vertex shows its output itself."""
        self._seen.add(vertex)

    def resume(self, vertex: str) -> None:
        """Nothing."""

    def abandon(self) -> None:
        """Nothing: there is nothing on the terminal."""

    def done(self) -> None:
        """Print the last lines of what failed, unless they were seen."""
        failed = [node for node in self._trace.failed if node.vertex.digest not in self._seen]
        lines = [line for node in failed for line in failure(node)]
        lines += [line for node in failed for one in (node, *node.children) for line in warnings(self._trace, one)]
        text = "".join(f"{line}\n" for line in lines)
        self._out.write(self._ci.shielded(text) if self._ci else text)
        self._out.flush()
