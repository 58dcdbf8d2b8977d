"""`--watch`: run, wait until something changes that the run looked at, and begin anew.

Each run is a process of its own, though always the same one: it replaces itself, so that the next run finds nothing of
the last one, neither modules of the magnetfile nor threads.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from magnet.errors import MagnetfileError, UsageError
from magnet.failures import report
from magnet.globs import Selection
from magnet.interrupts import heard
from magnet.skipping import modules
from magnet.values import frozen
from magnet.watch import Watch

AGAIN = "_MAGNET_WATCHES"
"""The variable of the environment that tells the process which it names that it is not at its first run."""

PAUSE = 0.25
"""Seconds between two looks at the files, if they take no more than a tenth of that."""

SHARE = 10
"""A look may take one part in so many of the time."""

SETTLED = 0.1
"""Seconds in which nothing more may change before the next run begins."""


@frozen
class Start:
    """What the process was given, for the one that is to replace it."""

    directory: str
    environ: Mapping[str, str]
    stdout: int
    is_first: bool

    @classmethod
    def taken(cls, environ: Mapping[str, str]) -> "Start":
        """That of this process, before anything is done in it."""
        is_first = os.environ.pop(AGAIN, "") != str(os.getpid())
        return cls(os.getcwd(), dict(environ), os.dup(1), is_first)

    def anew(self) -> NoReturn:
        """Replace the process by one that does the same."""
        import atexit

        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os.chdir(self.directory)
        os.dup2(self.stdout, 1)
        words = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, words, {**self.environ, AGAIN: str(os.getpid())})


def run(once: Callable[[Watch], int], start: Start, magnetfile: Path | None, *, is_quiet: bool) -> int:
    """Run once, and begin anew when something has changed; the exit code where it was interrupted.

    A magnetfile that cannot be loaded is an error that is shown, and watched. So is a command line that does not fit it
    any more; one that never did is raised.
    """
    watch = Watch(magnetfile.parent if magnetfile else Path.cwd())
    watch.note([] if magnetfile is None else [magnetfile, magnetfile.with_name("pyproject.toml")])
    with heard():
        try:
            code = once(watch)
        except UsageError as error:
            if start.is_first and not isinstance(error, MagnetfileError):
                raise
            report(error, sys.stderr)
            code = error.exit_code
            _note_code(watch, magnetfile, error.__cause__)
        watch.note(map(Path, modules()))
        if not watch.is_interrupted:
            _wait(watch, (lambda _: None) if is_quiet else _say)
            start.anew()
        return code


def _wait(watch: Watch, say: Callable[[str], None]) -> None:
    sys.stdout.flush()  # a script that is printed is to be seen now
    count = watch.count
    say(f"Watching {count} file{'' if count == 1 else 's'}. Ctrl-C ends it.")
    first, *more = until_changed(watch)
    say(f"Changed: {first}{f' and {len(more)} more' if more else ''}")


def until_changed(watch: Watch) -> list[str]:
    """Wait until something has changed, and then for nothing more to change; the paths that did."""
    while True:
        began = time.monotonic()
        now = watch.look()
        if watch.changed(now) and (changed := watch.changed(_settled(watch, now))):
            return changed
        time.sleep(max(PAUSE, SHARE * (time.monotonic() - began)))


def _settled(watch: Watch, now: Mapping[str, str]) -> Mapping[str, str]:
    while True:
        time.sleep(SETTLED)
        then, now = now, watch.look()
        if then == now:
            return now


def _note_code(watch: Watch, magnetfile: Path | None, cause: BaseException | None) -> None:
    """Watch all modules beside a magnetfile that cannot be loaded, and where one that is missing may come to be."""
    if magnetfile is None:
        return
    found = Selection(magnetfile.parent, ("*.py", "*/*.py"), hidden=("**/__pycache__",)).walk().entries
    watch.note(Path(os.fsdecode(entry.source)) for entry in found)
    if isinstance(cause, ImportError) and cause.name:
        place = magnetfile.parent.joinpath(*cause.name.split("."))
        watch.note([place.with_name(f"{place.name}.py"), place / "__init__.py"])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
