"""The directory of one run, below the project's cache, and the removal of what dead runs left.

`_build/magnet/<project>/runs/<id>/` holds what a run hands to engines: staged contexts, ignore files, id files. A
lock in it, which the kernel releases when its holder dies, tells a living run from a dead one.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from magnet.procfs import Process, end, start_time

BUILD_DIRECTORY = "_build"
"""Where magnet writes in a project: logs, caches, the directories of runs. It is never in a context."""

_STALE = 600.0
"""Seconds after which nobody makes or removes the directory of a run any more."""

RemoveContainers = Callable[[str, str], None]
"""Removes the containers that a run made: the backend's name, the run's id."""


def prepare_build_directory(root: Path) -> Path:
    """Make the project's build directory, out of git's sight, and return it."""
    directory = root / BUILD_DIRECTORY
    directory.mkdir(exist_ok=True)
    ignore = directory / ".gitignore"
    if not ignore.exists():
        ignore.write_text("# Made by magnet.\n*\n")
    return directory


class Workspace:
    """The directory of this run."""

    def __init__(self, cache: Path, run_id: str) -> None:
        self.run_id = run_id
        self.cache = cache
        self._runs = cache / "runs"
        self._directory = self._runs / run_id
        self._lock: int | None = None
        self._mutex = threading.Lock()
        self._counter = 0

    def open(self) -> None:
        """Make the directory; nothing is on disk before that."""
        with self._mutex:
            if self._lock is not None:
                return
            # Under a hidden name until the lock is held, or a sweep could take it for a dead run's.
            hidden = self._runs / f".{self.run_id}"
            hidden.mkdir(parents=True)
            lock = os.open(hidden / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            hidden.rename(self._directory)
            self._lock = lock

    def note_backend(self, name: str) -> None:
        """Note that this run may make containers with a backend, for the sweep after a sudden death."""
        self.open()
        (self._directory / f"backend-{name}").touch()

    @contextmanager
    def recording(self, child: Process) -> Iterator[None]:
        """Note a child for the length of the block, for the sweep after a sudden death of this run."""
        self.open()
        note = self._directory / f"child-{child.pid}-{start_time(child.pid)}{'-steps' if child.steps_first else ''}"
        note.touch()
        try:
            yield
        finally:
            note.unlink(missing_ok=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A directory for one build, removed at the end of the block."""
        self.open()
        directory = self._directory / self.number()
        directory.mkdir()
        try:
            yield directory
        finally:
            _unstage(directory)

    def number(self) -> str:
        """A number that this run has not used yet."""
        with self._mutex:
            self._counter += 1
            return str(self._counter)

    def close(self) -> None:
        """Remove the directory."""
        with self._mutex:
            if self._lock is not None:
                _remove(self._directory)
                os.close(self._lock)
                self._lock = None

    def sweep(self, remove_containers: RemoveContainers) -> None:
        """Remove what runs left behind that were killed: their children, containers they made, their directories."""
        with suppress(FileNotFoundError):
            for name in os.listdir(self._runs):
                if name.startswith("."):
                    _remove_stale(self._runs / name)
                elif name != self.run_id:
                    self._sweep_one(self._runs / name, remove_containers)

    def dead_runs(self) -> list[str]:
        """The ids of the runs that `sweep` would sweep."""
        dead = []
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._runs)):
                with _claimed(self._runs / name) as is_dead:
                    if is_dead and not name.startswith("."):
                        dead.append(name)
        return dead

    def _sweep_one(self, directory: Path, remove_containers: RemoveContainers) -> None:
        with _claimed(directory) as is_dead:
            if not is_dead:
                return
            end([child for note in directory.glob("child-*") if (child := _noted(note.name)).is_alive()])
            for marker in directory.glob("backend-*"):
                remove_containers(marker.name.removeprefix("backend-"), directory.name)
            _remove(directory)


@contextmanager
def _claimed(directory: Path) -> Iterator[bool]:
    """Whether the run of a directory is dead; then nobody else can claim it within the block."""
    try:
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        # Just being made or removed, or another user's.
        yield False
        return
    try:
        yield try_lock(lock)
    finally:
        os.close(lock)


def try_lock(lock: int) -> bool:
    """Lock an open file, unless somebody else holds it; the kernel lets go of it when the holder dies."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(directory: Path) -> None:
    """Remove the directory of a run; under a hidden name, as its lock goes first."""
    hidden = directory.with_name(f".{directory.name}")
    directory.rename(hidden)
    _unstage(hidden)


def _remove_stale(hidden: Path) -> None:
    """Remove a directory that was not made, or removed, to its end, unless that still goes on."""
    with suppress(FileNotFoundError):
        if time.time() - hidden.stat().st_mtime > _STALE:
            _unstage(hidden)


def _unstage(directory: Path) -> None:
    from magnet.staging import unstage  # costs 15 ms, and a build that is found done has nothing to remove

    unstage(directory)


def _noted(note: str) -> Process:
    """The child that a note of `recording` tells of; it counts as alive only if it is that very process."""
    _, pid, started, *steps = note.split("-")
    return Process(int(pid), lambda: start_time(int(pid)) == started, steps_first=bool(steps))
