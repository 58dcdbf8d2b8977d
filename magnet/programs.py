"""A program that a target runs on this machine: what it is given, how often it is tried, and what comes of it."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from magnet.durations import spelled, time_limit
from magnet.errors import CommandFailed, MagnetfileError, TimedOut
from magnet.expansion import expand
from magnet.model import Command, Executed
from magnet.process import SHOWN_LINES, Completed, Shell, Write, ending, render, render_script
from magnet.values import frozen, replace

FIRST_PAUSE = 1.0
"""Seconds before a program is tried again; each further pause is twice as long."""

LONGEST_PAUSE = 30.0

_RELATIVE = "paths are relative to the magnetfile's directory"

Input = str | bytes | Path | None
"""What a program reads: text, bytes, or a file; without any its stdin is empty."""


@frozen
class Program:
    """A program as a target asks for it; each try of it has the `timeout` anew.

    `directory` is where it runs, `place` how that is written, which is nothing where it is the project's.
    """

    command: Command
    directory: Path
    place: str = ""
    stdin: Input = None
    capture: bool = False
    check: bool = True
    timeout: float | None = None
    retry: int = 0


def described(
    words: Iterable[str | Path],
    *,
    project: Path,
    cwd: str | Path,
    env: Mapping[str, object] | None,
    stdin: Input,
    capture: bool,
    check: bool,
    timeout: float | str | None,
    retry: int,
    environ: Mapping[str, str],
    secrets: Iterable[str],
) -> Program:
    """The program, its variables expanded and its paths in the project; MagnetfileError for what cannot be meant."""
    if not isinstance(stdin, Input):
        raise MagnetfileError(f"`stdin` cannot be of type {type(stdin).__name__}", hint="give text, bytes or a Path")
    if type(retry) is not int or retry < 0:
        raise MagnetfileError(f"`retry` cannot be {retry!r}", hint="give the number of further tries, as 2")
    own = {name: str(value) for name, value in (env or {}).items()}
    is_there = os.path.normpath(project / cwd) == os.path.normpath(project)
    return Program(
        Command(expand(words, {**environ, **own}, secrets), own),
        project / cwd,
        "" if is_there else str(cwd),
        project / stdin if isinstance(stdin, Path) else stdin,
        capture,
        check,
        None if timeout is None else time_limit(timeout, "timeout"),
        retry,
    )


def run(program: Program, shell: Shell, show: Callable[[str], None]) -> Executed:
    """Run the program, again where it fails and that is wanted, and return what came of it; `show` prints the command.

    Raises CommandFailed when the last exit code is not 0 and `check` is set, and TimedOut when the last try took too
    long. A program that cannot be started is not tried again, nor is anything after an interrupt.
    """
    if not (shell.dry_run or program.directory.is_dir()):
        raise MagnetfileError(f"the working directory `{program.place}` is not a directory", hint=_RELATIVE)
    line = script(program) if shell.dry_run else shown(program)
    there = replace(shell, cwd=program.directory, echo=lambda _: show(line))
    for number, pause in enumerate(pauses(program.retry), 2):
        failure: CommandFailed
        try:
            done, output = _once(program, there)
            if done.returncode == 0:
                return Executed(0, output)
            failure = _failure(program, done)
        except TimedOut as error:
            if shell.children.expired:  # what is over is not the time of this program alone
                raise
            failure = error
        shell.say(f"{failure.message}. Try {number} of {program.retry + 1} begins in {spelled(pause)}.")
        shell.children.wait(pause)
    done, output = _once(program, there)
    if program.check and done.returncode != 0:
        raise _failure(program, done)
    return Executed(done.returncode, output)


def pauses(retry: int) -> Iterator[float]:
    """The seconds to wait before each further try.

    >>> list(pauses(7))
    [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    """
    pause = FIRST_PAUSE
    for _ in range(retry):
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


def shown(program: Program) -> str:
    """The command as the log has it: where it runs, the variables that it is given, and itself."""
    place = f"Dir:  {quote(program.place)}  " if program.place else ""
    return f"{place}{render(program.command)}{_redirection(program)}"


def script(program: Program) -> str:
    """The command as a line of a shell script, with all that it is given."""
    line = f"{render_script(program.command)}{_redirection(program)}"
    remark = ""
    if isinstance(program.stdin, str | bytes):
        data = _encoded(program.stdin)
        if b"\0" in data:
            remark = f"# The input are {len(data)} bytes that a script cannot hold.\n"
        else:
            line = f"printf %s {quote(os.fsdecode(data))} | {line}"
    return f"{remark}(cd {quote(program.place)} && {line})" if program.place else f"{remark}{line}"


def _redirection(program: Program) -> str:
    if not isinstance(program.stdin, Path):
        return ""
    return f" < {quote(os.path.relpath(program.stdin, program.directory))}"


def _once(program: Program, shell: Shell) -> tuple[Completed, str]:
    """How one try of the program ended, and what it printed on stdout, if that is wanted."""
    out: list[bytes] = []
    write = _collecting(out, shell.write) if program.capture else None
    with _opened(None if shell.dry_run else program.stdin) as stdin:
        if program.timeout is None:
            done = shell.run(program.command, write=write, stdin=stdin)
        else:
            with shell.limited(program.timeout) as limited:
                done = limited.run(program.command, write=write, stdin=stdin)
    return done, b"".join(out).decode(errors="surrogateescape")


def _collecting(out: list[bytes], write: Write) -> Write:
    def collect(stream: int, data: bytes) -> None:
        if stream == 1:
            out.append(data)
        write(stream, data)

    return collect


@contextmanager
def _opened(given: Input) -> Iterator[int | None]:
    """A file descriptor from which the input can be read."""
    if given is None:
        yield None
    elif isinstance(given, Path):
        try:
            file = given.open("rb")
        except OSError as error:
            raise MagnetfileError(f"`stdin` cannot be read from {given}: {error.strerror}", hint=_RELATIVE) from error
        with file:
            yield file.fileno()
    else:
        # In memory, where a secret leaves nothing behind, and however much it is nobody has to wait for its reader.
        with os.fdopen(os.memfd_create("stdin"), "wb+") as memory:
            memory.write(_encoded(given))
            memory.seek(0)
            yield memory.fileno()


def _encoded(text: str | bytes) -> bytes:
    return text.encode(errors="surrogateescape") if isinstance(text, str) else text


def _failure(program: Program, done: Completed) -> CommandFailed:
    return CommandFailed(
        f"`{program.command.argv[0]}` {ending(done.returncode)}",
        returncode=done.returncode,
        detail=done.tail[-SHOWN_LINES:],
    )
