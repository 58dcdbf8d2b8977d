"""`magnet logs`: what the targets of a run printed, also as it comes, and what runs there were."""

import os
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import click

from magnet import parameters, runs
from magnet.errors import UsageError, did_you_mean
from magnet.events import WITHIN
from magnet.logs import LATEST
from magnet.owncommands import complete_targets
from magnet.progress.trace import plain_lines, seconds
from magnet.runs import Past
from magnet.values import frozen, replace
from magnet.workspace import BUILD_DIRECTORY

_HELP = """Print the logs of targets.

Without TARGET, all logs of the run, in the order in which the targets began, each under a line with its name. TARGET is
a name as it was typed, a name with its arguments as in `build(tag=x)`, or that of a log's file. `build` alone means
all logs of `build`, whatever its arguments were. The logs of the targets in a target are printed with its own;
`linux`, or `build > linux`, is one of them.

What is printed are the bytes of the files, which are in `_build/logs`; on a terminal, its control sequences are left
out.

\b
Examples:
  magnet logs                       what the last run printed
  magnet logs -f test               what `test` prints, until the run is over
  magnet logs --list                the runs of which there are logs
  magnet logs --run 20261123163002  the logs of one of them
"""

_POLL = 0.1
"""Seconds between two looks at what is new."""

_CHUNK = 1 << 20
_HEADER = re.compile(
    rb"Name: (.*?)\nDigest: [^\n]*\n(?:Parent: ([^\n]*)\n)?Cached: [^\n]*\nStarted: ([^\n]*)\n", re.DOTALL
)
_LONGEST_HEADER = 1 << 16


def run(words: Sequence[str], root: Path, *, as_json: bool = False) -> int:
    """Do what the words say, the first of which is `logs`, for the project at `root`; return the exit code."""
    command = _command(root, as_json=as_json)
    parameters.invoke(command, words)
    return 0


def _command(root: Path, *, as_json: bool) -> click.Command:
    logs = root / BUILD_DIRECTORY / "logs"

    def call(targets: Sequence[str], follow: bool, run_id: str | None, list_runs: bool, json: bool) -> None:
        if list_runs:
            if targets or follow or run_id:
                raise UsageError("--list is about all runs", hint="leave out what is about one of them")
            _list(logs, as_json=json or as_json)
        elif json or as_json:
            raise UsageError("--json goes with --list", hint="leave it out, or add --list")
        else:
            _print_logs(_find_run(logs, run_id or LATEST), targets, follow=follow)

    return make_command(call)


def make_command(callback: Callable[..., None] | None = None) -> click.Command:
    """The `logs` command."""
    return click.Command(
        "logs",
        help=_HELP,
        callback=callback,
        params=[
            click.Argument(["targets"], nargs=-1, metavar="[TARGET]...", shell_complete=complete_targets),
            click.Option(["-f", "--follow"], is_flag=True, help="Print what comes, too, until the run is over."),
            click.Option(
                ["--run", "run_id"],
                metavar="ID",
                help="Of this run, as --list names it; its first digits will do.  [default: latest]",
            ),
            click.Option(["-l", "--list", "list_runs"], is_flag=True, help="List the runs, the latest first."),
            click.Option(["--json"], is_flag=True, help="Print --list as JSON."),
        ],
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _find_run(logs: Path, wanted: str) -> Path:
    """The directory of the run that is wanted."""
    found = runs.find(logs)
    if not found:
        raise UsageError(f"there are no logs in {os.path.relpath(logs)}", hint="run a target: `magnet TARGET`")
    if wanted == LATEST:
        link = logs / LATEST
        return next((one for one in found if link.is_symlink() and one.name == os.readlink(link)), found[0])
    chosen = [one for one in found if one.name == wanted] or [one for one in found if one.name.startswith(wanted)]
    if len(chosen) == 1:
        return chosen[0]
    hint = "`magnet logs --list` shows the runs"
    if chosen:
        raise UsageError(f"`{wanted}` is the beginning of {len(chosen)} runs", hint=hint)
    raise UsageError(f"there is no run `{wanted}`", hint=did_you_mean(wanted, [one.name for one in found]) or hint)


# The logs of a run


@frozen
class _Log:
    """A log; `name` is that of its target, which is not known as long as the header is not written.

    That of a target in another, whose log is `outer`, is a path: the names of both.
    """

    path: Path
    name: str
    started: bytes
    outer: "_Log | None" = None

    def is_meant(self, word: str) -> bool:
        """Whether the word is its name, or that of its file."""
        return word in (self.name, self.path.name)

    def is_in(self, logs: "Collection[_Log]") -> bool:
        """Whether it is one of the logs, or that of a target in one of them."""
        return self in logs or (self.outer is not None and self.outer.is_in(logs))


class _Logs:
    """The logs of a run, as they come to be there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, _Log] = {}

    def all(self) -> list[_Log]:
        """The logs that there are by now, in the order in which the targets began."""
        try:
            names = [name for name in os.listdir(self._directory) if not name.startswith(".")]
        except FileNotFoundError:
            names = []  # it is so old that another run has just removed it
        for name in names:
            self._find(name)
        return sorted(self._known.values(), key=lambda log: (log.started, log.path))

    def _find(self, name: str) -> _Log | None:
        """The log in a file, as soon as its header is written."""
        if name not in self._known and (found := _read_header(self._directory / name)):
            log, parent = found
            self._known[name] = log  # at once: somebody may have written a file that names itself
            if parent and "/" not in parent and (outer := self._find(parent)):
                self._known[name] = replace(log, name=f"{outer.name}{WITHIN}{log.name}", outer=outer)
        return self._known.get(name)

    def chosen(self, words: Sequence[str]) -> tuple[list[_Log], list[str]]:
        """The logs of the targets that the words name, or all; and the words that name none."""
        logs = self.all()
        found = {word: _meant(word, logs) for word in words}
        chosen = [log for word in words for log in logs if log.is_in(found[word])] if words else logs
        chosen = list(dict.fromkeys(chosen))
        return chosen, [word for word in words if not found[word]]

    def none(self, word: str) -> UsageError:
        """The error of a word that names no log."""
        names = [log.name for log in self.all()]
        hint = did_you_mean(word, names) or (f"there are: {', '.join(names[:10])}" if names else None)
        return UsageError(f"there is no log of `{word}` in the run {self._directory.name}", hint=hint)


def _meant(word: str, logs: Iterable[_Log]) -> list[_Log]:
    """The logs that a word names: by their names and files, by names without arguments, or as targets in others."""
    return (
        [log for log in logs if log.is_meant(word)]
        or [log for log in logs if log.outer is None and log.name.startswith(f"{word}(")]
        or [log for log in logs if log.name.endswith(f"{WITHIN}{word}")]
    )


def _read_header(path: Path) -> tuple[_Log, str] | None:
    """A log, and the name of the file of the target that it is in."""
    try:
        with open(path, "rb") as file:
            begin = file.read(_LONGEST_HEADER)
    except OSError:
        return None
    match = _HEADER.match(begin)
    if not begin or (not match and len(begin) < _LONGEST_HEADER and runs.is_running(path.parent)):
        return None
    if not match:
        return _Log(path, path.name, b""), ""
    return _Log(path, os.fsdecode(match[1]), match[3]), os.fsdecode(match[2] or b"")


def _print_logs(directory: Path, targets: Sequence[str], *, follow: bool) -> None:
    logs, told = _Logs(directory), set[str]()
    printer = _Printer(sys.stdout.buffer, is_terminal=sys.stdout.isatty())
    while True:
        # Asked before the logs are read, which are whole if it is over.
        is_on = follow and runs.is_running(directory)
        chosen, missing = logs.chosen(targets)
        if missing and not is_on:
            raise logs.none(missing[0])
        for word in missing:
            if word not in told:
                told.add(word)
                print(f"There is no log of `{word}` yet.", file=sys.stderr)
        printer.has_heads = printer.has_heads or len(chosen) > 1 or (is_on and len(targets) != 1)
        for log in chosen:
            printer.print(log, whole_lines=is_on)
        printer.flush()
        if not is_on:
            return
        time.sleep(_POLL)


class _Printer:
    """Prints what is new in logs, under their names where there are several."""

    def __init__(self, out: BinaryIO, *, is_terminal: bool) -> None:
        self.has_heads = False
        self._out = out
        self._is_terminal = is_terminal
        self._printed: dict[Path, int] = {}
        self._last: _Log | None = None

    def print(self, log: _Log, *, whole_lines: bool) -> None:
        """Print what is new; with `whole_lines`, the beginning of a line waits for its end."""
        at = self._printed.setdefault(log.path, 0)
        for data in _pieces(log.path, at, whole_lines=whole_lines):
            self._head(log)
            self._write(data)
            self._printed[log.path] += len(data)

    def flush(self) -> None:
        """Hand on what is printed."""
        self._out.flush()

    def _head(self, log: _Log) -> None:
        if self.has_heads and log != self._last:
            before = "\n" if self._last else ""
            self._write(f"{before}==> {log.name} <==\n".encode(errors="surrogateescape"))
        self._last = log

    def _write(self, data: bytes) -> None:
        # A log may hold what any program printed; files are as they are, and a terminal is not to be played with.
        self._out.write("\n".join(plain_lines(data)).encode() if self._is_terminal else data)


def _pieces(path: Path, at: int, *, whole_lines: bool) -> Iterator[bytes]:
    """What stands in a file from there on, in pieces that end with a line, where lines are not very long."""
    try:
        file = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        return  # removed meanwhile, as logs of old runs are
    with file:
        file.seek(at)
        while data := file.read(_CHUNK):
            end = data.rfind(b"\n") + 1
            if not end and whole_lines and len(data) < _CHUNK:
                return
            yield data[:end] if end else data
            file.seek(end - len(data) if end else 0, os.SEEK_CUR)


# The list of runs


def _list(logs: Path, *, as_json: bool) -> None:
    found = map(runs.read, runs.find(logs))
    if as_json:
        import json

        json.dump(list(map(_as_record, found)), sys.stdout, indent=2)
        print()
        return
    rows = [_row(past) for past in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    if not rows:
        print("There are no runs.")


def _row(past: Past) -> tuple[str, ...]:
    now = time.time_ns() if past.result == "running" else past.completed
    duration = "" if past.started is None or now is None else seconds(now - past.started)
    (command,) = plain_lines(_text(past.command).encode())
    return past.directory.name, past.result, duration, _targets(past), command


def _targets(past: Past) -> str:
    number = _count(past)
    parts = [f"{count} {what}" for what, count in (("failed", past.failed), ("cached", past.cached)) if count]
    return ", ".join((f"{number} target{'' if number == 1 else 's'}", *parts))


def _count(past: Past) -> int:
    return len(_Logs(past.directory).all()) if past.targets is None else past.targets


def _as_record(past: Past) -> Mapping[str, Any]:
    is_timed = past.started is not None and past.completed is not None
    return {
        "id": past.directory.name,
        "path": os.path.relpath(past.directory),
        "result": past.result,
        "exit": past.exit_code,
        "started": _rfc3339(past.started),
        "completed": _rfc3339(past.completed),
        "seconds": ((past.completed or 0) - (past.started or 0)) / 1e9 if is_timed else None,
        "targets": _count(past),
        "failed": past.failed,
        "cached": past.cached,
        "command": _text(past.command),
        "version": _text(past.version),
    }


def _rfc3339(nanoseconds: int | None) -> str | None:
    if nanoseconds is None:
        return None
    whole, part = divmod(nanoseconds, 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{part:09d}Z"


def _text(text: str) -> str:
    """The text, with escapes for bytes that are none."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
