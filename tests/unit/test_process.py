"""What children are given, what comes of what they print, and that none of them is left behind."""

import hashlib
import os
import queue
import shlex
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from magnet.errors import Canceled, CommandFailed, TimedOut
from magnet.model import Command
from magnet.process import TAIL_BYTES, Children, Completed, Shell, ask, render, render_script
from magnet.procfs import Process, end, start_time

PYTHON = (sys.executable, "-I", "-S", "-c")
HERE = Path("/")
MIB = 1 << 20
UP = "import os, signal, time; print('up', flush=True)\n"
SLEEP = f"{UP}time.sleep(60)"
IGNORE_TERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SLEEP}"
TIDY = f"""{UP}
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), os.write(1, b'tidy\\n'), os._exit(0)))
print('ready', flush=True); time.sleep(60)"""
Printed = list[tuple[int, bytes]]


def python(code: str, *arguments: str, env: Mapping[str, str] | None = None) -> Command:
    return Command((*PYTHON, code, *arguments), env or {})


def watched(command: Command, *, cwd: Path = HERE, stdin: int | None = None) -> tuple[int, bytes, bytes]:
    """The exit code of a command, and all that it printed on either stream."""
    printed: Printed = []
    code = Children().watch(command, lambda *piece: printed.append(piece), cwd=cwd, env=os.environ, stdin=stdin)
    return code, joined(printed, 1), joined(printed, 2)


def joined(printed: Printed, stream: int) -> bytes:
    return b"".join(data for at, data in printed if at == stream)


def wait_until_gone(pid: int) -> None:
    """Return once a process has ended; it was sent its signal, which takes effect when the kernel gets to it."""
    deadline = time.monotonic() + 5
    while start_time(pid) is not None:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            pytest.fail(f"process {pid} still runs")
        time.sleep(0.01)


class Background:
    """Children that run in threads of their own, as those of targets do."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.children = Children()
        self._pool = pool
        self.lines: queue.Queue[str] = queue.Queue()

    def start(self, command: Command, children: Children | None = None) -> Future[int]:
        """Start a command; its lines can be awaited."""
        return self._pool.submit((children or self.children).watch, command, self._write, cwd=HERE, env=os.environ)

    def line(self) -> str:
        """The next line that a child prints, without its end."""
        return self.lines.get(timeout=30)

    def _write(self, stream: int, data: bytes) -> None:
        for line in data.decode().splitlines():
            self.lines.put(line)


@pytest.fixture
def background() -> Iterator[Background]:
    with ThreadPoolExecutor() as pool:
        background = Background(pool)
        try:
            yield background
        finally:
            background.children.stop(at_once=True)


WRITE = """
import os, sys
for word in sys.argv[1:]:
    stream, _, data = word.partition(":")
    os.write(int(stream), bytes.fromhex(data))
"""


@settings(deadline=None, max_examples=40)  # each starts a program
@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=8))
@example([(1, b"no end of line")])
@example([(1, b"\xff\xfe\0"), (2, b"\xc3\n\xa9\n")])
@example([(1, b"10%\r20%\r"), (1, b"done\r\n\n")])
def test_output_arrives_byte_for_byte_in_whole_lines_on_its_own_stream(output: Printed) -> None:
    printed: Printed = []
    words = [f"{stream}:{data.hex()}" for stream, data in output]
    command = python(WRITE, *words)
    assert Children().watch(command, lambda *piece: printed.append(piece), cwd=HERE, env=os.environ) == 0
    for stream in (1, 2):
        assert joined(printed, stream) == joined(output, stream)
        pieces = [data for at, data in printed if at == stream]
        assert all(piece.endswith(b"\n") for piece in pieces[:-1])


@pytest.mark.parametrize("line", [b"x" * 99 + b"\n", b"x" * MIB], ids=["lines", "one line"])
def test_fifty_megabytes_pass_unchanged_and_are_never_all_in_memory(line: bytes) -> None:
    code = "import os, sys\nfor _ in range(50 * 2**20 // len(line)): sys.stdout.buffer.write(line)"
    expected, digest, sizes = hashlib.sha256(), hashlib.sha256(), [0]
    for _ in range(50 * MIB // len(line)):
        expected.update(line)

    def write(stream: int, data: bytes) -> None:
        digest.update(data)
        sizes.append(len(data))

    tracemalloc.start()
    try:
        command = python(f"line = {line[:1]!r} * {line.count(b'x')} + {line[-1:]!r} * {line.count(10)}\n{code}")
        assert Children().watch(command, write, cwd=HERE, env=os.environ) == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert digest.digest() == expected.digest()
    assert max(sizes) < 2 * MIB
    assert peak < 16 * MIB


@pytest.mark.parametrize("code", [0, 1, 2, 125, 126, 127, 255])
def test_the_exit_code_is_the_programs(code: int) -> None:
    assert watched(python(f"print('out', flush=True); raise SystemExit({code})")) == (code, b"out\n", b"")


# HUP and PIPE are the ones that Python or sh ignore, which a child must not inherit.
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGSEGV"])
def test_a_signal_that_kills_is_a_negative_exit_code_after_all_output(name: str) -> None:
    number = signal.Signals[name]
    assert watched(Command(("sh", "-c", f"printf out; kill -{number} $$"))) == (-number, b"out", b"")


@pytest.mark.parametrize("kind", ["missing", "not executable", "directory"])
def test_a_program_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "program"
    if kind == "not executable":
        path.touch(0o644)
    elif kind == "directory":
        path.mkdir()
    with pytest.raises(CommandFailed) as caught:
        watched(Command((str(path),)))
    error = caught.value
    assert (error.message, error.returncode) == (f"`{path}` is not an executable program here", 127)
    assert (error.hint, error.detail) == (f"install `{path}`, or add its directory to PATH", ())


@pytest.mark.parametrize("text", ["#!/no/such/interpreter\n", "\x7fELF"], ids=["no interpreter", "not a program"])
def test_a_program_that_cannot_start_is_an_error_without_a_traceback(tmp_path: Path, text: str) -> None:
    program = tmp_path / "program"
    program.write_text(text)
    program.chmod(0o755)
    with pytest.raises(CommandFailed, match="program"):
        watched(Command((str(program),)))


def test_a_program_that_is_not_there_is_the_same_error_on_the_terminal() -> None:
    with pytest.raises(CommandFailed, match=r"^`no-such-program` is not an executable program here$"):
        Children().attach(Command(("no-such-program",)), cwd=HERE, env=os.environ)


def test_an_argument_need_not_be_utf_8() -> None:
    command = python("import os, sys; os.write(1, os.fsencode(sys.argv[1]))", os.fsdecode(b"\xff\x80"))
    assert watched(command) == (0, b"\xff\x80", b"")


def test_a_relative_program_is_looked_for_where_the_command_runs(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "tool").chmod(0o755)
    assert watched(Command(("./tool",)), cwd=tmp_path) == (0, b"ran\n", b"")


@pytest.fixture
def own_input(tmp_path: Path) -> Iterator[None]:
    """Input of the test program's own, which is not for its children; pytest's is empty."""
    (tmp_path / "own").write_bytes(b"own")
    before = os.dup(0)
    with (tmp_path / "own").open("rb") as file:
        os.dup2(file.fileno(), 0)
    yield
    os.dup2(before, 0)
    os.close(before)


def test_a_child_has_no_input_unless_it_is_given_one(tmp_path: Path, own_input: None) -> None:
    command = python("import os; os.write(1, os.read(0, 99))")
    assert watched(command) == (0, b"", b"")
    assert ask(command) == Completed(0)
    (tmp_path / "input").write_bytes(b"in\xff")
    with (tmp_path / "input").open("rb") as file:
        assert watched(command, stdin=file.fileno()) == (0, b"in\xff", b"")
        assert os.fstat(file.fileno())  # still the caller's


def test_a_child_gets_the_directory_and_environment_and_nothing_else(tmp_path: Path) -> None:
    code = "import os; print(os.getcwd(), os.environ['A'], os.environ['B'], 'HOME' in os.environ, os.getsid(0) == os.getpid())"
    printed: Printed = []
    read, write = os.pipe()
    os.set_inheritable(write, True)
    Children().watch(
        python(f"{code}\ntry: os.fstat({write})\nexcept OSError as error: print(error.strerror)", env={"B": "own"}),
        lambda *piece: printed.append(piece),
        cwd=tmp_path,
        env={"A": "given", "B": "given"},
    )
    os.close(read)
    os.close(write)
    assert joined(printed, 1).decode() == f"{tmp_path} given own False True\nBad file descriptor\n"


def test_a_grandchild_that_holds_the_output_is_not_waited_for() -> None:
    code, out, _ = watched(Command(("sh", "-c", "sleep 60 & echo $!; exit 3")))
    pid = int(out)
    assert start_time(pid) is not None
    os.kill(pid, signal.SIGKILL)
    assert code == 3


def test_a_grandchild_that_goes_on_printing_is_not_waited_for() -> None:
    chatter = "import time\nfor at in range(60): print(at, flush=True); time.sleep(0.05)"
    script = f"{shlex.join((*PYTHON, chatter))} & exit 0"
    assert b"\n59\n" not in watched(Command(("sh", "-c", script)))[1]


def test_stop_ends_every_child_and_no_other_starts(background: Background) -> None:
    ends = [background.start(python(code)) for code in (SLEEP, SLEEP)]
    assert [background.line(), background.line()] == ["up", "up"]
    background.children.stop()
    for done in ends:
        with pytest.raises(Canceled):
            done.result()
    for start in (background.children.attach, partial(background.children.watch, write=lambda *_: None)):
        with pytest.raises(Canceled):
            start(Command(("no-such-program",)), cwd=HERE, env={})


def test_a_child_has_time_to_end_by_itself_and_counts_as_canceled_though_it_ends_with_0(background: Background) -> None:
    done = background.start(python(TIDY))
    assert [background.line(), background.line()] == ["up", "ready"]
    background.children.stop()
    with pytest.raises(Canceled):
        done.result()
    assert background.line() == "tidy"


FAMILIES = {
    "it": IGNORE_TERM,
    "its child": f"import subprocess, sys; subprocess.run([*{PYTHON!r}, sys.argv[1]])",
    "its child in another session": f"import subprocess, sys; subprocess.run([*{PYTHON!r}, sys.argv[1]], "
    "start_new_session=True)",
}
ORPHAN = (
    f"import os, subprocess, sys, time; os.fork() or (subprocess.Popen([*{PYTHON!r}, sys.argv[1]]), os._exit(0)); "
    "time.sleep(60)"
)
PRINT_PID = IGNORE_TERM.replace("'up'", "os.getpid()")


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_stop_ends_all_of_a_family_whatever_ignores_term(
    background: Background, monkeypatch: pytest.MonkeyPatch, family: str, at_once: bool
) -> None:
    monkeypatch.setattr("magnet.procfs.GRACE", None if at_once else 0.3)  # any use of None is an error
    done = background.start(python(FAMILIES[family], PRINT_PID))
    pid = background.line()
    background.children.stop(at_once=at_once)
    with pytest.raises(Canceled):
        done.result()
    if pid != "up":
        wait_until_gone(int(pid))


def test_stop_ends_an_orphan_in_the_group_that_ignores_term(
    background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("magnet.procfs.GRACE", 0.3)
    done = background.start(python(ORPHAN, PRINT_PID))
    pid = int(background.line())
    background.children.stop()
    with pytest.raises(Canceled):
        done.result()
    wait_until_gone(pid)


@pytest.mark.parametrize("family", [*FAMILIES, "an orphan"])
def test_at_the_end_of_its_time_all_of_a_family_is_ended_whatever_ignores_term(
    background: Background, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    monkeypatch.setattr("magnet.procfs.GRACE", 0.3)
    with background.children.limited(60) as limited:
        done = background.start(python({**FAMILIES, "an orphan": ORPHAN}[family], PRINT_PID), limited)
        pid = background.line()
        limited.expire("5m")
        with pytest.raises(TimedOut) as caught:
            done.result()
    code = caught.value.returncode
    assert code in (-signal.SIGTERM, -signal.SIGKILL)
    assert (
        caught.value.message == f"`{sys.executable}` timed out after 5m and was ended by {signal.Signals(-code).name}"
    )
    if pid != "up":
        wait_until_gone(int(pid))


def test_a_child_has_time_to_end_by_itself_when_its_time_is_over_and_its_exit_code_is_kept(
    background: Background,
) -> None:
    with background.children.limited(60) as limited:
        done = background.start(python(TIDY.replace("_exit(0)", "_exit(7)")), limited)
        assert [background.line(), background.line()] == ["up", "ready"]
        limited.expire("5m")
        with pytest.raises(TimedOut) as caught:
            done.result()
    assert background.line() == "tidy"
    assert (caught.value.returncode, caught.value.message) == (
        7,
        f"`{sys.executable}` timed out after 5m and ended with exit code 7",
    )


def test_the_time_of_some_children_goes_by_and_that_of_others_does_not() -> None:
    children = Children()
    sleeping = python("import time; time.sleep(60)")
    with pytest.raises(TimedOut) as caught, children.limited(0.2) as limited:
        limited.watch(sleeping, lambda *_: None, cwd=HERE, env=os.environ)
    assert caught.value.message == f"`{sys.executable}` timed out after 0.2s and was ended by SIGTERM"
    assert children.watch(python("raise SystemExit(3)"), lambda *_: None, cwd=HERE, env=os.environ) == 3


def test_children_that_end_in_time_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[object] = []
    monkeypatch.setattr("magnet.process.end", lambda *given, **_: ended.append(given))
    with Children().limited(60) as limited:
        assert limited.watch(python(""), lambda *_: None, cwd=HERE, env=os.environ) == 0
    assert (ended, limited.expired) == ([], "")


@pytest.mark.parametrize("way", ["watch", "attach", "wait"])
def test_nothing_begins_when_the_time_is_over_also_where_others_have_more(way: str) -> None:
    children = Children()
    with children.limited(60) as outer, outer.limited(50) as inner:
        outer.expire("5m")
        ways: dict[str, Callable[[], object]] = {
            "watch": partial(inner.watch, python(""), lambda *_: None, cwd=HERE, env=os.environ),
            "attach": partial(inner.attach, python(""), cwd=HERE, env=os.environ),
            "wait": partial(inner.wait, 60),
        }
        with pytest.raises(TimedOut, match=r"^timed out after 5m$"):
            ways[way]()
    assert (inner.expired, outer.expired, children.expired) == ("5m", "5m", "")


def test_a_child_that_begins_just_as_its_time_ends_is_ended_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    with Children().limited(60) as limited:

        def find(program: str, cwd: Path, env: Mapping[str, str]) -> str:
            limited.expire("1m")  # it is not known yet, so that this does nothing to it
            return program

        monkeypatch.setattr("magnet.process._find", find)
        with pytest.raises(TimedOut) as caught:
            limited.watch(python("import time; time.sleep(20)"), lambda *_: None, cwd=HERE, env=os.environ)
    assert caught.value.returncode in (-signal.SIGTERM, -signal.SIGKILL)


def test_stop_ends_those_that_have_a_limit_too_and_counts_for_more(background: Background) -> None:
    with background.children.limited(60) as limited:
        done = background.start(python(SLEEP), limited)
        assert background.line() == "up"
        background.children.stop()
        limited.expire("1m")
        with pytest.raises(Canceled):
            done.result()
        with pytest.raises(Canceled):
            limited.wait(60)


@pytest.mark.parametrize("family", ["its child", "its child in another session"])
def test_a_grandchild_has_the_grace_period_too(background: Background, family: str) -> None:
    done = background.start(python(FAMILIES[family], TIDY))
    assert [background.line(), background.line()] == ["up", "ready"]
    background.children.stop()
    with pytest.raises(Canceled):
        done.result()
    assert background.line() == "tidy"


def test_stop_ends_a_child_on_the_terminal_but_not_the_group_that_it_shares(
    background: Background, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "up")
    code = "import os, sys, time; open(sys.argv[1], 'w').write(f'{os.getpid()} {os.getpgrp()}'); time.sleep(60)"
    with ThreadPoolExecutor() as pool:
        command = python(code, str(tmp_path / "up"))
        done = pool.submit(background.children.attach, command, cwd=HERE, env=os.environ)
        pid, group = map(int, (tmp_path / "up").read_text().split())
        background.children.stop()
        with pytest.raises(Canceled):
            done.result()
    assert group == os.getpgrp()
    wait_until_gone(pid)


@pytest.mark.parametrize("way", ["watch", "attach"])
def test_stop_signals_no_child_that_has_ended(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    ended: list[list[Process]] = []
    monkeypatch.setattr("magnet.process.end", lambda processes, *, at_once: ended.append(list(processes)))
    children = Children()
    run = partial(children.watch, write=lambda *_: None) if way == "watch" else children.attach
    assert run(python(""), cwd=HERE, env=os.environ) == 0
    children.stop()
    assert ended == [[]]  # its pid may be another process's by now


def test_a_child_on_the_terminal_writes_there_and_its_exit_code_is_returned(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = python("import os; print(os.getcwd(), os.environ['A']); raise SystemExit(4)", env={"A": "own"})
    assert Children().attach(command, cwd=tmp_path, env={"A": "given"}) == 4
    assert capfd.readouterr() == (f"{tmp_path} own\n", "")


@pytest.mark.parametrize("way", ["watch", "attach"])
def test_a_child_is_recorded_alive_for_as_long_as_it_runs(way: str) -> None:
    seen: list[object] = []

    @contextmanager
    def record(child: Process) -> Iterator[None]:
        seen.append((child.is_alive(), start_time(child.pid) is not None, child.steps_first))
        yield
        seen.append((child.is_alive(), start_time(child.pid) is not None))

    children = Children(record)
    run = partial(children.watch, write=lambda *_: None) if way == "watch" else children.attach
    command = Command((*PYTHON, "import time; time.sleep(0.3)"), stop_steps_first=True)
    assert run(command, cwd=HERE, env=os.environ) == 0
    assert seen == [(True, True, True), (False, False)]


def test_a_child_whose_output_cannot_be_written_is_not_left_behind() -> None:
    pids: list[int] = []

    def write(stream: int, data: bytes) -> None:
        pids.append(int(data))
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Children().watch(python(PRINT_PID), write, cwd=HERE, env=os.environ)
    wait_until_gone(pids[0])


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (python("import os; os.write(1, b'o\\xff'); os.write(2, b'e'); os._exit(3)"), Completed(3, b"o\xff", b"e")),
        (python("import os; print(os.getcwd(), os.environ['A'], os.read(0, 9))", env={"A": "x"}), Completed(0, b"/ x b''\n")),
        (python("import os; print(os.getpgrp() == os.getpid())"), Completed(0, b"True\n")),
        (python("import os; os.kill(os.getpid(), 9)"), Completed(-9)),
        (Command(("/no/program",)), Completed(127, b"", b"[Errno 2] No such file or directory: '/no/program'")),
    ],
    ids=["streams", "surroundings", "group", "signal", "missing"],
)  # fmt: skip
def test_a_question_is_answered_with_all_that_the_program_says(command: Command, answer: Completed) -> None:
    assert ask(command, cwd=HERE) == answer


def test_a_question_without_an_answer_in_time_ends_with_124() -> None:
    assert ask(python(SLEEP), timeout=0.25) == Completed(124, b"", b"no answer within 0.25 seconds")


def test_a_question_without_an_answer_in_time_leaves_no_grandchild(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {shlex.quote(str(tmp_path / 'pid'))}; wait"
    assert ask(Command(("sh", "-c", script)), timeout=2).returncode == 124
    wait_until_gone(int((tmp_path / "pid").read_text()))


WORDS = st.binary(max_size=20).filter(lambda data: b"\0" not in data).map(os.fsdecode) | st.text(
    st.sampled_from("ab $'\"\\\n\t*?[]{}()<>|&;#~!`=%-é")
)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(WORDS, max_size=4), st.dictionaries(st.from_regex(r"V_[A-Z0-9_]{1,3}", fullmatch=True), WORDS, max_size=3)
)
@example(["", "-n", "a'b", "\n", "$HOME", "  Exec:  x"], {"V_A": "  Exec:  ' ", "V_B": ""})
def test_a_rendered_command_means_the_same_to_a_shell(words: list[str], env: dict[str, str]) -> None:
    show = "import os, sys; os.write(1, os.fsencode(chr(0).join([*sys.argv[1:], *map(os.environ.get, os.environ['V'].split())])))"
    command = python(show, *words, env={**env, "V": " ".join(env)})
    expected = b"\0".join(map(os.fsencode, [*words, *env.values()]))
    program = render(Command(command.argv))
    variables = render(command).removeprefix("Env:  ").removesuffix(f"  {program}")
    assert render(command) == f"Env:  {variables}  {program}"
    for script in (render_script(command), f"{variables} {program.removeprefix('Exec:  ')}"):
        done = subprocess.run(["sh", "-c", script], capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, b"")


def test_a_rendered_command_shows_what_it_sets_apart_from_what_it_runs() -> None:
    command = Command(("podman", "build", "-t", "a b", "."), {"A": "1", "B": "it's"})
    assert render(Command(command.argv)) == "Exec:  podman build -t 'a b' ."
    assert render(command) == "Env:  A=1 B='it'\"'\"'s'  Exec:  podman build -t 'a b' ."
    assert render_script(command) == "A=1 B='it'\"'\"'s' podman build -t 'a b' ."


@pytest.mark.parametrize(
    ("out", "err", "tail"),
    [
        (b"", b"", ()),
        (b"out", b"err", ("out", "err")),
        (b"one\n\n  two \t\n", b" \n", ("one", "  two")),
        (b"10%\r20%\r\nend", b"", ("10%", "20%", "end")),
        (b"\x1b[1;31mred\x1b[0m\x1b[K", b"\x1b[?25l", ("red",)),
        (b"\xff\xc3\xa9", b"", ("\ufffdé",)),
    ],
)
def test_a_tail_is_the_lines_that_say_something_as_plain_text(out: bytes, err: bytes, tail: tuple[str, ...]) -> None:
    assert Completed(1, out, err).tail == tail


def shell(printed: Printed, echoed: list[Command], *, dry_run: bool = False) -> Shell:
    def write(stream: int, data: bytes) -> None:
        printed.append((stream, data))

    return Shell(Children(), write, echoed.append, HERE, os.environ, nullcontext, dry_run)


def test_a_shell_shows_the_command_hands_on_all_output_and_keeps_the_end() -> None:
    printed: Printed = []
    echoed: list[Command] = []
    command = python(
        "import sys\nfor n in range(100): print('%01000d' % n); print('%01000d' % -n, file=sys.stderr)\nsys.exit(3)"
    )
    done = shell(printed, echoed).run(command)
    lines = [b"%01000d\n" % n for n in range(100)]
    errors = [b"%01000d\n" % -n for n in range(100)]
    assert echoed == [command]
    assert (joined(printed, 1), joined(printed, 2)) == (b"".join(lines), b"".join(errors))
    kept = TAIL_BYTES // 1001
    assert done == Completed(3, b"".join(lines[-kept:]), b"".join(errors[-kept:]))


def test_a_shell_for_a_time_tells_what_a_command_printed_last() -> None:
    printed: Printed = []
    command = python("import time\nfor at in range(10): print(at, flush=True)\ntime.sleep(60)")
    with shell(printed, []).limited(60) as limited, ThreadPoolExecutor() as pool:
        done = pool.submit(limited.run, command)
        while not joined(printed, 1).endswith(b"9\n"):
            time.sleep(0.01)
        limited.children.expire("1m")
    with pytest.raises(TimedOut) as caught:
        done.result()
    assert caught.value.detail == tuple(map(str, range(2, 10)))


def test_a_shell_can_print_elsewhere() -> None:
    printed: Printed = []
    elsewhere: Printed = []
    done = shell(printed, []).run(python("print('x')"), write=lambda *piece: elsewhere.append(piece))
    assert (done, printed, elsewhere) == (Completed(0, b"x\n"), [], [(1, b"x\n")])


def test_a_dry_run_shows_commands_and_runs_none_but_questions() -> None:
    printed: Printed = []
    echoed: list[Command] = []
    dry = shell(printed, echoed, dry_run=True)
    command = python("print('ran')")
    assert dry.run(command) == dry.attach(command) == Completed(0)
    dry.clean(command)
    assert (echoed, printed) == ([command] * 3, [])
    assert dry.ask(command) == Completed(0, b"ran\n")


def test_a_command_that_tidies_up_runs_after_a_stop_and_is_heard_of_only_if_it_fails() -> None:
    printed: Printed = []
    stopped = shell(printed, [])
    stopped.children.stop()
    stopped.clean(python("print('fine')"))
    assert printed == []
    stopped.clean(python("print('no'); raise SystemExit('way')"))
    assert printed == [(2, b"no\nway\n")]


@pytest.mark.parametrize("name", ["python", "a b", ") Z 1 2 (", "((", "))"])
def test_a_start_time_stays_while_a_process_lives_whatever_it_is_called(name: str) -> None:
    code = f"open('/proc/self/comm', 'w').write({name!r}); print(flush=True); input()"
    with subprocess.Popen((*PYTHON, code), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        before = start_time(process.pid)
        assert process.stdout.readline() == b"\n"
        assert before is not None
        assert before.isdigit()
        assert start_time(process.pid) == before
        own = start_time(os.getpid())
        assert own is not None
        now = float(Path("/proc/uptime").read_text().split()[0]) * os.sysconf("SC_CLK_TCK")
        assert 0 < int(own) <= int(before) <= now + 1
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert start_time(process.pid) is None  # a zombie holds its pid, and is no process to end
    assert start_time(process.pid) is None


def test_a_process_that_steps_first_is_told_itself_if_it_has_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magnet.procfs.GRACE", 2)
    with subprocess.Popen((*PYTHON, SLEEP), process_group=0, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        end([Process(process.pid, lambda: process.poll() is None, steps_first=True)])
    assert process.returncode == -signal.SIGTERM
