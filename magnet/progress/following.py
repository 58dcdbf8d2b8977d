"""What is told of a run when it is over: a report, and files that show when its targets and steps ran."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from magnet.errors import UsageError
from magnet.events import Clock, Sink, SolveStatus
from magnet.progress.trace import Trace
from magnet.settings import Settings


class Told:
    """What the settings ask to be told of a run, and the sinks that follow it for that.

    UsageError where it cannot be told: no file can be written, or nothing is run.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.sinks: list[Sink] = []
        self._clock = clock
        self._summary = Following() if settings.summary else None
        if settings.dry_run or settings.explain or settings.files:
            raise UsageError(
                "--summary, --trace and --timeline are about a run, and nothing is run here", hint="leave them out"
            )
        if self._summary:
            self.sinks.append(self._summary)
        if settings.trace:
            from magnet.progress.tracefile import trace_events  # each only where it is asked for

            self.sinks.append(Saved(writable(settings.trace, "--trace"), trace_events, clock))
        if settings.timeline:
            from magnet.progress.timeline import timeline

            self.sinks.append(Saved(writable(settings.timeline, "--timeline"), timeline, clock))

    def print(self, out: TextIO) -> None:
        """Print the report, if one is asked for."""
        if self._summary and self._summary.trace.targets:
            from magnet.progress.ending import columns
            from magnet.progress.report import report

            for line in report(self._summary.trace, self._clock(), columns(out)):
                print(line, file=out)


class Following:
    """A sink that keeps the state of a run; of what is printed it keeps nothing."""

    def __init__(self) -> None:
        self.trace = Trace()

    def update(self, status: SolveStatus) -> None:
        """Take in what is new."""
        if status.vertexes or status.statuses:
            self.trace.update(SolveStatus(vertexes=status.vertexes, statuses=status.statuses))

    def refresh(self) -> None:
        """Nothing: it is all told at the end."""

    def done(self) -> None:
        """Nothing: it is asked."""


class Saved(Following):
    """A sink that writes a picture of the run into a file when it is over, in its place at once."""

    def __init__(self, path: Path, render: Callable[[Trace, int], str], clock: Clock) -> None:
        super().__init__()
        self._path = path
        self._render = render
        self._clock = clock

    def done(self) -> None:
        """Write the file."""
        new = _beside(self._path)
        try:
            new.write_text(self._render(self.trace, self._clock()), encoding="utf-8")
            new.replace(self._path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise


def writable(path: Path, option: str) -> Path:
    """Where the file of an option is to be written, wherever links lead; UsageError if it cannot be."""
    if str(path) == "-":
        raise UsageError(f"{option} writes a file, and not to stdout", hint=f"name a file, as in `{option} FILE`")
    place = Path(os.path.realpath(path))
    if not place.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no directory `{place.parent}`", hint="make it first")
    try:
        is_file = stat.S_ISREG(os.stat(place).st_mode)
    except FileNotFoundError:
        is_file = True
    if not is_file:
        raise UsageError(f"{option} {path}: it is no regular file", hint="name a file that may be overwritten")
    try:
        # It is tried, for there is more that can be in the way than permissions tell.
        os.close(os.open(_beside(place), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        os.unlink(_beside(place))
    except OSError as error:
        raise UsageError(
            f"{option} {path}: it cannot be written: {error.strerror}", hint="name another file"
        ) from error
    return place


def _beside(path: Path) -> Path:
    """Where a file is written that is to be in its place at once."""
    return path.with_name(f".{path.name}-{os.getpid()}")
