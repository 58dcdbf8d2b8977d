"""Child processes: argv in, bytes out, and none of them left behind.

The only importer of `sh`, and that late: it costs more to import than a build in which nothing changed.
"""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magnet.errors import Canceled, CommandFailed, TimedOut
from magnet.events import Clock, Reader, SolveStatus
from magnet.meter import Measure, Meter
from magnet.model import Command
from magnet.procfs import Process, end
from magnet.values import frozen, replace

if TYPE_CHECKING:
    import subprocess

Write = Callable[[int, bytes], None]
"""Takes a stream (1 stdout, 2 stderr) and what came on it: whole lines, or a piece of a very long one."""

TAIL_BYTES = 1 << 15
"""How much of each stream of a command is kept, for its error message and the id that it prints last."""

SHOWN_LINES = 8
"""How many of a command's last lines its error message shows."""

_READ_BYTES = 1 << 16
_LONGEST_LINE = 1 << 20
_NAP = 0.05
_NOT_RUN = 124  # as timeout(1) says of what it has ended
_PATIENCE = 1.0  # seconds to read on when the child is gone and others hold its pipes
_ANSI = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


@frozen
class Completed:
    """How a command ended: its exit code (negative: killed by that signal) and what it printed last."""

    returncode: int
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines of both streams that are not blank, stderr's last."""
        text = _ANSI.sub(b"", self.stdout + b"\n" + self.stderr).decode(errors="replace")
        return tuple(line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip())


def ending(returncode: int) -> str:
    """How a program ended, as a verb: its exit code, or the signal that killed it.

    >>> ending(3), ending(-9)
    ('failed with exit code 3', 'was ended by SIGKILL')
    """
    if returncode >= 0:
        return f"failed with exit code {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:  # a real-time signal
        return f"was ended by signal {-returncode}"


def render(command: Command) -> str:
    """The command as one can paste it into a shell, after the variables it sets, as the log shows it."""
    from shlex import join, quote

    line = f"Exec:  {join(command.argv)}"
    if not command.env:
        return line
    variables = " ".join(f"{name}={quote(value)}" for name, value in command.env.items())
    return f"Env:  {variables}  {line}"


def render_script(command: Command) -> str:
    """The command as a line of a shell script."""
    from shlex import join, quote

    variables = [f"{name}={quote(value)}" for name, value in command.env.items()]
    return " ".join((*variables, join(command.argv)))


def ask(command: Command, *, timeout: float = 60, cwd: Path | None = None) -> Completed:
    """Ask a short question: run the command, unseen and without input, and return all that it says.

    A program that is missing or cannot be started answers with exit code 127, as in a shell.
    """
    with asking(command, timeout=timeout, cwd=cwd) as answer:
        return answer()


@contextmanager
def asking(command: Command, *, timeout: float = 60, cwd: Path | None = None) -> Iterator[Callable[[], Completed]]:
    """Begin to ask as `ask` does; what is yielded waits for the answer. Unanswered at the end, it is not asked on."""
    import subprocess  # costs 3 ms, and docker's daemon is asked without

    try:
        child = subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **command.env},
            cwd=cwd,
            # Its own group, so that Ctrl-C reaches magnet alone, which decides what becomes of its children.
            process_group=0,
        )
    except OSError as error:
        reason = str(error).encode()
        yield lambda: Completed(127, stderr=reason)
        return

    def answer() -> Completed:
        try:
            out, err = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _end_at_once(child)
            return Completed(124, stderr=f"no answer within {timeout:g} seconds".encode())
        return Completed(child.returncode, out, err)

    with child:
        try:
            yield answer
        finally:
            if child.returncode is None:
                _end_at_once(child)


def _end_at_once(child: "subprocess.Popen[bytes]") -> None:
    end([Process(child.pid, lambda: child.poll() is None)], at_once=True)


def import_what_watches() -> None:
    """Begin to import what it takes to watch a child: 50 ms, in which an engine can answer questions."""
    threading.Thread(target=import_module, args=("sh",), daemon=True).start()


class Children:
    """The programs that run now, each in a process group of its own, and the means to stop them all.

    `record` notes a child for as long as it runs, where a later run of magnet finds it if this one dies suddenly.
    Children `within` others, by whom they are recorded, can be ended apart from the rest.
    """

    def __init__(
        self,
        record: Callable[[Process], AbstractContextManager[object]] = nullcontext,
        *,
        within: "Children | None" = None,
    ) -> None:
        self._record = record
        self._within = within
        self._lock = threading.Lock()
        self._children: dict[int, Process] = {}
        self._stopping = threading.Event()
        self._expired = ""

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called; no new child starts after that."""
        return self._stopping.is_set() or bool(self._within and self._within.is_stopping)

    @property
    def expired(self) -> str:
        """The time that these children had, if it is over; no new child starts after that. Else nothing."""
        return self._expired or (self._within.expired if self._within else "")

    @property
    def must_end(self) -> bool:
        """Whether no new child starts any more, for one reason or the other: then there is nothing to wait for."""
        return self.is_stopping or bool(self.expired)

    def some(self) -> "Children":
        """Children that are among these, and can be ended apart from the rest."""
        return Children(self._registered, within=self)

    @contextmanager
    def limited(self, seconds: float) -> Iterator["Children"]:
        """Children of which those that run are ended when the time is over; they, and later ones, raise TimedOut.

        When the block ends, none of those that were ended is alive.
        """
        from magnet.durations import spelled  # few targets have a limit

        limited = self.some()
        timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), limited.expire, [spelled(seconds)])
        timer.daemon = True
        timer.start()
        try:
            yield limited
        finally:
            timer.cancel()
            timer.join()

    def expire(self, limit: str) -> None:
        """End every child as `stop` does, because the time that they had, `limit`, is over."""
        self._expired = limit
        self._end_all(at_once=False)

    def wait(self, seconds: float) -> None:
        """Let time pass; Canceled where `stop` is called meanwhile, and TimedOut where no child could run any more."""
        until = time.monotonic() + seconds
        while True:
            self._check()
            if (left := until - time.monotonic()) <= 0:
                return
            time.sleep(min(left, _NAP))

    def watch(
        self, command: Command, write: Write, *, cwd: Path, env: Mapping[str, str], stdin: int | None = None
    ) -> int:
        """Run the command to its end, handing on what it prints as it comes, and return its exit code.

        A negative code is the signal that killed it. Raises Canceled where `stop` was called meanwhile, whatever
        the exit code says: podman 4.3 ends with 0 when a build of its is told to stop.
        """
        import sh

        self._check()
        environment = {**env, **command.env}
        program = _find(command.argv[0], cwd, environment)
        with _pipe() as (out_read, out_write), _pipe() as (err_read, err_write), _input(stdin) as input_fd:
            # sh's own pty, decoding and line callbacks are left out: it is given the ends of pipes, and we read.
            start: Any = sh.Command(program)
            try:
                running = start(
                    [_Word(word) for word in command.argv[1:]],
                    _bg=True,
                    _bg_exc=False,
                    _return_cmd=True,
                    _new_session=True,
                    _preexec_fn=_default_signals,
                    _in=input_fd,
                    _out=out_write.fileno(),
                    _err=err_write.fileno(),
                    _tty_in=False,
                    _tty_out=False,
                    _decode_errors="surrogateescape",
                    _cwd=str(cwd),
                    _env=environment,
                )
            except sh.ForkException as error:
                # Its text is the traceback of what went wrong between fork and exec.
                reason = re.search(r"^\s*(?:\w+Error: )(?:\[Errno \d+\] )?(.+?)(?:: b?'.*)?$", str(error), re.MULTILINE)
                raise _cannot_start(command.argv[0], reason[1] if reason else "") from error
            out_write.close()
            err_write.close()
            child = Process(running.pid, running.is_alive, command.stop_steps_first)
            with self._registered(child):
                try:
                    _read({out_read.fileno(): 1, err_read.fileno(): 2}, write, running.is_alive)
                except BaseException:
                    # Nobody takes its output any more.
                    end([child], at_once=True)
                    raise
                returncode: int = running.process.wait()
        self._check(command, returncode)
        return returncode

    def attach(self, command: Command, *, cwd: Path, env: Mapping[str, str]) -> int:
        """Run the command on magnet's own terminal, in its process group, and return its exit code."""
        self._check()
        environment = {**env, **command.env}
        program = _find(command.argv[0], cwd, environment)
        import subprocess

        try:
            child = subprocess.Popen(command.argv, executable=program, cwd=cwd, env=environment)
        except OSError as error:
            raise _cannot_start(command.argv[0], error.strerror or str(error)) from error
        with self._registered(Process(child.pid, lambda: child.poll() is None, command.stop_steps_first)):
            returncode = child.wait()
        self._check(command, returncode)
        return returncode

    def stop(self, *, at_once: bool = False) -> None:
        """End every child: a TERM to its group, and after a grace period a KILL; `at_once` leaves out the grace.

        Returns when none of those running at the call, nor of their descendants, is alive.
        """
        self._stopping.set()
        self._end_all(at_once=at_once)

    def _end_all(self, *, at_once: bool) -> None:
        with self._lock:
            children = list(self._children.values())
        end(children, at_once=at_once)

    def _check(self, ended: Command | None = None, returncode: int = _NOT_RUN) -> None:
        """Raise where these children are to end, or were: of one that `ended` its exit code tells nothing then."""
        if self.is_stopping:
            raise Canceled
        if self.expired:
            what = f"timed out after {self.expired}"
            how = ending(returncode) if returncode < 0 else f"ended with exit code {returncode}"
            raise TimedOut(f"`{ended.argv[0]}` {what} and {how}" if ended else what, returncode=returncode)

    @contextmanager
    def _registered(self, child: Process) -> Iterator[None]:
        with self._lock:
            self._children[child.pid] = child
        # A stop between the check at the start and this line did not know of the child, and nobody waits for it.
        if self.is_stopping or self._expired:
            end([child], at_once=True)
        try:
            with self._record(child):
                yield
        finally:
            with self._lock:
                del self._children[child.pid]


class _Tails:
    """The last bytes of both streams of a command."""

    def __init__(self) -> None:
        self._tails = {1: b"", 2: b""}

    def add(self, stream: int, data: bytes) -> None:
        self._tails[stream] = data[-2 * TAIL_BYTES :] if len(data) >= 2 * TAIL_BYTES else self._tails[stream] + data
        if len(self._tails[stream]) > 2 * TAIL_BYTES:
            self._tails[stream] = self._tails[stream][-TAIL_BYTES - 1 :]

    def completed(self, code: int) -> Completed:
        return Completed(code, *(_whole_lines(self._tails[stream]) for stream in (1, 2)))


def _whole_lines(tail: bytes) -> bytes:
    """The last bytes of a tail, from the beginning of a line, if that can be."""
    if len(tail) <= TAIL_BYTES:
        return tail
    last = tail[-TAIL_BYTES:]
    return last.partition(b"\n")[2] or last


@frozen
class Shell:
    """Where a target's commands run: they are printed into its log, then run there, or only printed.

    `write` takes what they print; `echo` shows the command first; `terminal` makes the display leave the terminal
    for the length of a block. `follow` takes events, which are about parts of `vertex`, the target.
    """

    children: Children
    write: Write
    echo: Callable[[Command], None]
    cwd: Path
    env: Mapping[str, str]
    terminal: Callable[[], AbstractContextManager[object]]
    dry_run: bool = False
    vertex: str = ""
    follow: Callable[[SolveStatus], None] = lambda _: None
    clock: Clock = time.time_ns

    def run(self, command: Command, *, write: Write | None = None, stdin: int | None = None) -> Completed:
        """Print the command, run it, and return how it ended with the last lines that it printed."""
        self.echo(command)
        if self.dry_run:
            return Completed(0)
        tails = _Tails()
        sink = write or self.write

        def keep_tail(stream: int, data: bytes) -> None:
            tails.add(stream, data)
            sink(stream, data)

        try:
            code = self.children.watch(command, keep_tail, cwd=self.cwd, env=self.env, stdin=stdin)
        except TimedOut as error:
            error.detail = error.detail or tails.completed(error.returncode).tail[-SHOWN_LINES:]
            raise
        return tails.completed(code)

    def run_steps(self, command: Command, reader: Reader) -> Completed:
        """Print the command and run it as `run` does, with what it prints understood by the reader as steps."""
        self.echo(command)
        if self.dry_run:
            return Completed(0)
        tails = _Tails()

        def follow(status: SolveStatus) -> None:
            for log in status.transcript:
                tails.add(log.stream, log.data)
            self.follow(status)

        def read(stream: int, data: bytes) -> None:
            follow(reader.read(stream, data, self.clock()))

        try:
            code = self.children.watch(command, read, cwd=self.cwd, env=self.env)
        except BaseException:
            follow(reader.end(self.clock(), canceled=True))
            raise
        follow(reader.end(self.clock(), error="" if code == 0 else ending(code)))
        return tails.completed(code)

    def attach(self, command: Command) -> Completed:
        """Print the command and run it on the terminal, which the display leaves to it meanwhile."""
        self.echo(command)
        if self.dry_run:
            return Completed(0)
        with self.terminal():
            return Completed(self.children.attach(command, cwd=self.cwd, env=self.env))

    @contextmanager
    def limited(self, seconds: float) -> Iterator["Shell"]:
        """The shell, for commands that have no more time than this together; see `Children.limited`."""
        with self.children.limited(seconds) as children:
            yield replace(self, children=children)

    def say(self, line: str) -> None:
        """Print a line among what the commands print."""
        self.write(1, f"{line}\n".encode(errors="surrogateescape"))

    def clean(self, command: Command) -> None:
        """Print and run a command that tidies up, even where all others are being stopped."""
        self.echo(command)
        if not self.dry_run:
            done = ask(command, cwd=self.cwd)
            if done.returncode != 0:
                self.write(2, b"".join(f"{line}\n".encode() for line in done.tail))

    @property
    def measure(self) -> Measure:
        """Measures work on many bytes that is done for the target."""
        return Meter(self.vertex, self.follow, self.clock)

    def ask(self, command: Command) -> Completed:
        """Ask a short question, unseen, dry run or not."""
        return ask(command, cwd=self.cwd)

    def asking(self, command: Command) -> AbstractContextManager[Callable[[], Completed]]:
        """Begin to ask a short question, as the function of that name does."""
        return asking(command, cwd=self.cwd)


def _find(program: str, cwd: Path, env: Mapping[str, str]) -> str:
    """The path of a program, which a shell in that directory and environment would start."""
    from shutil import which  # costs 3 ms, and a build that is found done starts nothing

    if "/" in program:
        path = which(cwd / program)
    else:
        path = which(program, path=os.pathsep.join(str(cwd / one) for one in _search_path(env)))
    if path is None:
        raise CommandFailed(
            f"`{program}` is not an executable program here",
            returncode=127,
            hint=f"install `{program}`, or add its directory to PATH",
        )
    return path


def _search_path(env: Mapping[str, str]) -> list[str]:
    return env.get("PATH", os.defpath).split(os.pathsep)


def _cannot_start(program: str, why: str) -> CommandFailed:
    return CommandFailed(
        f"`{program}` cannot be started{': ' if why else ''}{why}",
        returncode=126,
        hint="see whether it is made for this machine, and whether the interpreter that its first line names is here",
    )


class _Word(str):
    """An argument that need not be UTF-8: sh encodes those in a list by this method, and strictly."""

    def encode(self, *_: str) -> bytes:
        return str.encode(self, "utf-8", "surrogateescape")


def _default_signals() -> None:
    # sh lets a background child ignore HUP, and what is ignored stays so in the engine and its containers.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def _pipe() -> Iterator[tuple[FileIO, FileIO]]:
    read, write = os.pipe()
    with FileIO(read, "r") as reader, FileIO(write, "w") as writer:
        yield reader, writer


@contextmanager
def _input(stdin: int | None) -> Iterator[int]:
    fd = os.open(os.devnull, os.O_RDONLY) if stdin is None else os.dup(stdin)
    try:
        yield fd
    finally:
        os.close(fd)


def _readable(fd: int) -> int:
    """How many bytes wait in a pipe."""
    from fcntl import ioctl
    from termios import FIONREAD

    return int.from_bytes(ioctl(fd, FIONREAD, bytes(4)), sys.byteorder)


def _read(streams: Mapping[int, int], write: Write, is_alive: Callable[[], bool]) -> None:
    """Hand on whole lines from every stream until all have ended.

    A grandchild may hold a stream open long after the child is gone; it is not waited for.
    """
    rest = dict.fromkeys(streams, b"")
    unread: dict[int, int] = {}  # what the child itself has left in the pipes
    gone_since: float | None = None
    asked = time.monotonic()
    from selectors import EVENT_READ, DefaultSelector

    with DefaultSelector() as selector:
        for fd in streams:
            selector.register(fd, EVENT_READ)
        while selector.get_map():
            ready = selector.select(timeout=_PATIENCE / 5)
            now = time.monotonic()
            if gone_since is None and now - asked > _PATIENCE / 5:
                asked = now
                if not is_alive():
                    gone_since = now
                    unread = {fd: _readable(fd) for fd in streams}
            is_read = not ready or all(left <= 0 for left in unread.values())
            if gone_since is not None and now - gone_since > _PATIENCE and is_read:
                break
            for key, _ in ready:
                data = os.read(key.fd, _READ_BYTES)
                if gone_since is not None:
                    unread[key.fd] -= len(data)
                if not data:
                    selector.unregister(key.fd)
                    continue
                whole, newline, partial = (rest[key.fd] + data).rpartition(b"\n")
                if len(partial) > _LONGEST_LINE:
                    whole, newline, partial = whole + newline + partial, b"", b""
                rest[key.fd] = partial
                if whole or newline:
                    write(streams[key.fd], whole + newline)
    for fd, partial in rest.items():
        if partial:
            write(streams[fd], partial)
