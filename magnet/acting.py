"""What every target can do: print, run programs, and know its project."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magnet.buildfile import Call
from magnet.events import WITHIN, SolveStatus, Vertex, VertexLog
from magnet.model import (
    Command,
    Executed,
    Project,
    Secret,
)
from magnet.process import Shell, Write, render, render_script
from magnet.session import Session
from magnet.values import frozen

if TYPE_CHECKING:
    from magnet.backends.base import Backend
    from magnet.process import Children
    from magnet.programs import Program


Words = str | Path


@frozen
class Blamed:
    """A target in a target in which an error came up: its path and its vertex; `said` is what the outer one tells."""

    error: BaseException
    path: str
    vertex: str
    said: str


class Acting:
    """A running target, as far as it needs neither images nor containers."""

    def __init__(self, call: Call[Any], vertex: Vertex, session: Session, children: "Children | None" = None) -> None:
        self._call = call
        self._vertex = vertex
        self._session = session
        self._children = children or session.children
        self._shell = self._make_shell(session.project.root, session.environ)
        self._skipped: list[bool] = []
        self._took: list[int | None] = []
        self._set_cached: bool | None = None
        self._below: tuple[str, ...] = ()
        self._inner: list[Callable[[], None]] = []
        self._blamed: list[Blamed] = []

    @property
    def name(self) -> str:
        """The target's name, with its arguments; that of a target in a target is its own."""
        return self._below[-1] if self._below else self._call.name

    @property
    def is_cached(self) -> bool:
        """What `set_cached` said; else whether all that this target did was to find its builds done."""
        return self.is_set_cached if self._set_cached is not None else bool(self._skipped) and all(self._skipped)

    @property
    def is_set_cached(self) -> bool:
        """Whether `set_cached` said so."""
        return self._set_cached is True

    @property
    def took(self) -> int | None:
        """The nanoseconds that the builds took that were found done, if there were no others, and it is known."""
        known = [took for took in self._took if took is not None]
        if self.is_set_cached and not known:
            return None
        return sum(known) if self.is_cached and len(known) == len(self._took) else None

    @property
    def project(self) -> Project:
        """The project's root, name and version."""
        return self._session.project

    @property
    def is_dry_run(self) -> bool:
        """Whether commands are printed, and none is run."""
        return self._session.dry_run

    def cache_directory(self, name: str) -> Path:
        """A directory of the project's cache, made if it is not there. It stays, for whoever uses that name next."""
        directory = self._session.workspace.cache / "caches" / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    @property
    def backend(self) -> "Backend":
        """The backend that runs this target's builds and containers."""
        return self._session.backend()

    def set_cached(self, cached: bool = True) -> None:
        """Show this target as CACHED when it succeeds: there was nothing to do. Or, with False, as what was done."""
        self._set_cached = cached

    def print(self, *values: object) -> None:
        """Print a line into the target's log and display, as the built-in print would."""
        text = " ".join(map(str, values))
        self._write(1, f"{text}\n".encode(errors="surrogateescape"))

    def output(self, text: str) -> None:
        """Print a line on magnet's own stdout, for a script that reads it, and into the log."""
        with self._attached() as write:
            write(1, f"{text}\n".encode(errors="surrogateescape"))

    def exec(
        self,
        program: Words,
        *arguments: Words,
        cwd: Words = ".",
        env: Mapping[str, object] | None = None,
        stdin: str | bytes | Path | None = None,
        capture: bool = False,
        check: bool = True,
        timeout: float | str | None = None,
        retry: int = 0,
    ) -> Executed:
        """Run a program on this machine to its end, and return its exit code, with `capture` also its stdout.

        `$NAME` and `${NAME}` in words are variables of `env`, else of the environment; `$$NAME` is left to the program,
        and a Path is taken as it is. `stdin` is text, bytes, or the Path of a file. Raises CommandFailed when the exit
        code is not 0, unless `check` is False, and TimedOut when it takes longer than `timeout`, as 90 or "5m": then it
        is ended with all that it started. It is tried up to `retry` times more where it fails or takes too long.
        """
        from magnet.programs import described  # many targets run none

        wanted = described(
            (program, *arguments), project=self.project.root, cwd=cwd, env=env, stdin=stdin, capture=capture,
            check=check, timeout=timeout, retry=retry, environ=self._session.environ, secrets=self._session.secrets,
        )  # fmt: skip
        return self.run_program(wanted)

    def run_program(self, program: "Program") -> Executed:
        """Run a program on this machine as it is described, with its words as they are."""
        from magnet.programs import run

        self._skipped.append(False)
        return run(program, self._shell, self._show)

    @property
    def _path(self) -> str:
        """The names of the target that was called, and of those in it up to this one."""
        return WITHIN.join((self._call.name, *self._below))

    @property
    def _build_name(self) -> str:
        """What its builds are called in the cache: as `_path`, without arguments."""
        return WITHIN.join((self._call.work, *self._below))

    def _absorb(self, child: "Acting") -> None:
        """Count what a target in this one did as something that this one did."""
        self._skipped.append(child.is_cached)
        self._took.append(child.took)

    def _secrets(self, secrets: Iterable[Secret]) -> tuple[Secret, ...]:
        given = tuple(secrets)
        if not given:
            return ()
        from magnet.secretfiles import located  # most builds and containers have none

        return located(given, self.project.root, self._session.variables)

    def _terminal(self) -> AbstractContextManager[object]:
        """Keep the display off the terminal for the length of a block, in which this target uses it."""
        return self._session.terminal(self._vertex.digest)

    def _write(self, stream: int, data: bytes) -> None:
        log = VertexLog(self._vertex.digest, stream, data, self._session.clock())
        self._session.emit(SolveStatus(logs=(log,)))

    def _echo(self, command: Command) -> None:
        # The log shows what was set and run as its fields do; a dry run is a script.
        self._show(render_script(command) if self._session.dry_run else render(command))

    def _show(self, line: str) -> None:
        if self._session.question is None:
            self.print(line)

    @contextmanager
    def _attached(self) -> Iterator[Write]:
        """What takes output to magnet's own streams, and into the log, for the length of a block."""
        from magnet.redact import Redactor

        sys.stdout.flush()
        own = {1: sys.stdout.buffer, 2: sys.stderr.buffer}
        redactor = Redactor(self._session.secrets)

        def show(status: SolveStatus | None) -> None:
            for log in status.logs if status else ():
                own[log.stream].write(log.data)
                own[log.stream].flush()

        def write(stream: int, data: bytes) -> None:
            status = SolveStatus(logs=(VertexLog(self._vertex.digest, stream, data, self._session.clock()),))
            show(redactor.status(status))
            self._session.emit(status)

        with self._terminal():
            try:
                yield write
            finally:
                show(redactor.rest())

    def _make_shell(self, cwd: Path, env: Mapping[str, str]) -> Shell:
        return Shell(
            children=self._children,
            write=self._write,
            echo=self._echo,
            cwd=cwd,
            env=env,
            terminal=self._terminal,
            dry_run=self._session.dry_run,
            follow=self._session.emit,
            clock=self._session.clock,
            vertex=self._vertex.digest,
        )


def end_children(outer: Acting) -> None:
    """End the targets in one that has ended whose blocks have not, the latest first."""
    for end in reversed(list(outer._inner)):
        end()


def blamed(outer: Acting, error: BaseException) -> Blamed | None:
    """The innermost target in one in which an error came up that has left it."""
    return next((one for one in outer._blamed if one.error is error), None)
