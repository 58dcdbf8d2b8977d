"""What a dry run prints."""

from typing import TextIO

from magnet.events import SolveStatus
from magnet.progress.trace import Trace, lines


class DryRun:
    """The commands of a dry run as a script: those of one target together, other lines as comments."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._trace = Trace()
        self._last = ""

    def update(self, status: SolveStatus) -> None:
        """Print what is new."""
        self._trace.update(status)
        for log in status.logs:
            if log.vertex != self._last:
                self._last = log.vertex
                print(f"# {self._trace.nodes[log.vertex].path}", file=self._out)
            for line in lines(log):
                print(line, file=self._out)

    def refresh(self) -> None:
        """Nothing: what is printed stays."""

    def suspend(self, vertex: str) -> None:
        """Nothing: no vertex takes the terminal in a dry run."""

    def resume(self, vertex: str) -> None:
        """Nothing."""

    def abandon(self) -> None:
        """Nothing: a script takes no terminal."""

    def done(self) -> None:
        """Nothing: a script has no summary."""
