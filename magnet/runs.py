"""The runs of a project: where each has its logs, what became of it, and how many are kept.

`_build/logs/STAMP/` holds one log for each target and the record of the run, `.run`: lines of `Field: value`, the first
of which are written when the run begins, the others when it has ended. As long as it goes on, the record is locked; the
kernel releases the lock when its holder dies. A record that is neither locked nor complete is that of a run that died.
"""

import fcntl
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from magnet.logs import LATEST, Counts, timestamp
from magnet.values import frozen
from magnet.workspace import try_lock

KEPT = 50
"""How many runs are kept where the project does not say."""

RECORD = ".run"
"""The name of a run's record; no log has a name that begins with a point."""

Result = Literal["succeeded", "failed", "interrupted"]

_STAMP = re.compile(r"(\d{14})(?:-(\d+))?")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@+%")


class Run:
    """A run that goes on: its directory of logs, whose record is locked until the run or its process ends."""

    def __init__(self, directory: Path, record: int) -> None:
        self.directory = directory
        self._record = record

    def end(self, result: Result, exit_code: int, now: int, counts: Counts) -> None:
        """Complete the record; on a full disk the run will look as if it had died."""
        fields = {
            "Completed": timestamp(now),
            "Targets": counts.targets,
            "Cached": counts.cached,
            "Failed": counts.failed,
            "Exit": exit_code,
            "Result": result,
        }
        with suppress(OSError):
            _write(self._record, fields)
        os.close(self._record)


def begin(build_directory: Path, now: int, words: Sequence[str], *, version: str = "", keep: int = KEPT) -> Run:
    """Make the directory of a run's logs, named by the time in UTC, and let `latest` lead to it.

    `words` are those of the command line, without secrets. Of older runs those that are too many are removed.
    """
    logs = build_directory / "logs"
    logs.mkdir(exist_ok=True)
    directory, record = _claim(logs, time.strftime("%Y%m%d%H%M%S", time.gmtime(now // 10**9)))
    _write(record, {"Started": timestamp(now), "Command": _quoted(("magnet", *words)), "Version": version})
    link = logs / f".{LATEST}-{directory.name}"
    link.symlink_to(directory.name)
    link.replace(logs / LATEST)
    for old in find(logs)[keep:]:
        _remove(old)
    return Run(directory, record)


@frozen
class Past:
    """A run as its directory tells of it. Where it has no complete record, what that would say is None.

    `result` is that of the record, or `running`, or `died`. Times are in nanoseconds since 1970.
    """

    directory: Path
    result: str
    started: int | None = None
    completed: int | None = None
    exit_code: int | None = None
    targets: int | None = None
    cached: int | None = None
    failed: int | None = None
    command: str = ""
    version: str = ""


def find(logs: Path) -> list[Path]:
    """The directories of the runs, the latest first."""
    try:
        found = [(match, name) for name in os.listdir(logs) if (match := _STAMP.fullmatch(name))]
    except FileNotFoundError:
        return []
    found.sort(key=lambda one: (one[0][1], int(one[0][2] or 1)), reverse=True)
    return [logs / name for _, name in found]


def is_running(directory: Path) -> bool:
    """Whether the run of a directory goes on."""
    try:
        record = os.open(directory / RECORD, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(record, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(record)
    return False


def read(directory: Path) -> Past:
    """What is known of a run."""
    is_on = is_running(
        directory
    )  # asked first: a run that ends meanwhile has a record, and is not taken for a dead one
    fields = _read_fields(directory)
    return Past(
        directory,
        result=fields.get("Result") or ("running" if is_on else "died"),
        started=_nanoseconds(fields.get("Started", "")),
        completed=_nanoseconds(fields.get("Completed", "")),
        exit_code=_number(fields.get("Exit", "")),
        targets=_number(fields.get("Targets", "")),
        cached=_number(fields.get("Cached", "")),
        failed=_number(fields.get("Failed", "")),
        command=fields.get("Command", ""),
        version=fields.get("Version", ""),
    )


def _claim(logs: Path, stamp: str) -> tuple[Path, int]:
    """The first of the numbered directories that did not exist, made, and its record, locked."""
    number = 1
    while True:
        directory = logs / (stamp if number == 1 else f"{stamp}-{number}")
        with suppress(FileExistsError):
            directory.mkdir()
            record = os.open(directory / RECORD, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666)
            fcntl.flock(record, fcntl.LOCK_EX)
            if os.fstat(record).st_nlink:
                return directory, record
            os.close(record)  # before it was locked, another magnet took it for that of a dead run
        number += 1


def _remove(directory: Path) -> None:
    """Remove the directory of a run, unless the run goes on, or somebody else removes it, or put something there."""
    try:
        record = os.open(directory / RECORD, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return  # just being made or removed, or none of ours
    try:
        if directory.is_symlink() or not try_lock(record):
            return
        with os.scandir(directory) as found:
            entries = list(found)
        if any(entry.is_dir(follow_symlinks=False) for entry in entries):
            return
        # The record goes last, so that what is begun here is ended by the next run.
        for entry in sorted(entries, key=lambda entry: entry.name == RECORD):
            os.unlink(entry.path)
        os.rmdir(directory)
    except OSError:
        return
    finally:
        os.close(record)


def _write(record: int, fields: Mapping[str, object]) -> None:
    text = "".join(f"{name}: {value}\n" for name, value in fields.items())
    os.write(record, text.encode(errors="surrogateescape"))


def _read_fields(directory: Path) -> dict[str, str]:
    """The fields of a run's record, as far as they are written."""
    try:
        text = (directory / RECORD).read_bytes().decode(errors="surrogateescape")
    except OSError:
        return {}
    whole, _, _ = text.rpartition("\n")
    pairs = (line.partition(": ") for line in whole.split("\n"))
    return {name: value for name, _, value in pairs}


def _quoted(words: Sequence[str]) -> str:
    """The words as a shell takes them, on one line."""
    if all(word and _PLAIN.issuperset(word) for word in words):
        return " ".join(words)
    from shlex import join  # costs 0.4 ms, and most command lines are plain

    return join(words).replace("\n", "'$'\\n''")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.lstrip("-").isdigit() else None


def _nanoseconds(text: str) -> int | None:
    """The time that `timestamp` wrote."""
    from calendar import timegm  # as strptime, costs more than a run has for all of its record

    whole, _, part = text.removesuffix(" +0000 UTC").partition(".")
    try:
        return timegm(time.strptime(whole, "%Y-%m-%d %H:%M:%S")) * 10**9 + int(part)
    except ValueError:
        return None
