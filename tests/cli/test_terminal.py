"""Real runs on a real terminal: what is to be seen on it, and how it is left."""

import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pyte
import pytest

from tests.cli.program import HEADER, Program
from tests.unit.terminal import Emulator

MAGNETFILE = """
import time
from magnet import target


@target
def base(t):
    t.exec("sh", "-c", "echo based")


@target(needs=[base])
def app(t):
    t.exec("sh", "-c", "echo ready; while [ -e magnetfile.py -a ! -e go ]; do sleep 0.02; done; echo gone")


@target
def breaks(t):
    t.exec("sh", "-c", "echo ready; while [ -e magnetfile.py -a ! -e go ]; do sleep 0.02; done; exit 3")


@target
def stubborn(t):
    t.exec("sh", "-c", "trap 'echo asked' TERM; echo ready; while [ -e magnetfile.py -a ! -e go ]; do sleep 0.1; done")


def wait(t, name):
    while not (t.project.root / name).exists():
        time.sleep(0.02)


@target
def talks(t):
    t.print("ready")
    wait(t, "go")
    print("one")
    wait(t, "end")
    print("two")


@target
def asks(t):
    t.print("ready")
    wait(t, "go")
    t.output("answer")
"""


@pytest.fixture
def project(magnet: Program) -> Program:
    magnet.write({"magnetfile.py": MAGNETFILE})
    return magnet


class OnTerminal:
    """Magnet as a user starts it: it leads the session of a terminal, whose keys reach it as signals."""

    def __init__(
        self,
        project: Program,
        *words: str,
        columns: int = 60,
        lines: int = 20,
        shell: Sequence[str] = (),
        **env: str,
    ) -> None:
        self._project = project
        self._leader, self._follower = os.openpty()
        self.screen = Emulator(columns, lines, "wrap")
        self._stream = pyte.ByteStream(self.screen)
        self._is_open = True
        self.said = b""
        self.resize(columns, lines)
        self.modes = termios.tcgetattr(self._follower)
        self.process = subprocess.Popen(
            [*shell, sys.executable, "-m", "magnet", *words],
            cwd=project.root,
            env={**project.env, "TERM": "xterm", **env},
            stdin=self._follower,
            stdout=self._follower,
            stderr=self._follower,
            start_new_session=True,
            preexec_fn=self._own_terminal,
        )

    @staticmethod
    def _own_terminal() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, columns: int, lines: int) -> None:
        termios.tcsetwinsize(self._follower, (lines, columns))
        self.screen.change(columns, lines)

    def press(self, key: bytes) -> None:
        os.write(self._leader, key)

    def go(self, name: str = "go") -> None:
        """Let the target go on, which waits for a file."""
        (self._project.root / name).touch()

    def until(self, is_seen: Callable[[list[str]], bool]) -> list[str]:
        """What is on the screen once it is as is told, times replaced."""
        end = time.monotonic() + 60
        while not is_seen(self.screen.visible):
            assert time.monotonic() < end, f"it is not seen on {self.screen.visible}"
            self._read(0.1)
        return settled(self.screen.visible)

    def end(self) -> int:
        """The exit code, once all that was written is on the screen."""
        end = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end: {self.screen.visible}"
            self._read(0.1)
        while self._read(0):
            pass
        return self.process.returncode

    def _read(self, timeout: float) -> bool:
        if not select.select([self._leader], [], [], timeout)[0]:
            return False
        data = os.read(self._leader, 1 << 16)
        self.said += data
        self._stream.feed(data)
        return True

    def assert_left(self) -> None:
        """The terminal is as it was before."""
        assert not self.screen.cursor.hidden
        assert pyte.modes.DECAWM in self.screen.mode
        assert termios.tcgetattr(self._follower) == self.modes

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._follower)
        os.close(self._leader)
        self._is_open = False

    def close(self) -> None:
        self.process.kill()
        self.process.wait(60)
        if self._is_open:
            self.hang_up()


@contextmanager
def on_terminal(
    project: Program, *words: str, columns: int = 60, lines: int = 20, shell: Sequence[str] = (), **env: str
) -> Iterator[OnTerminal]:
    terminal = OnTerminal(project, *words, columns=columns, lines=lines, shell=shell, **env)
    try:
        yield terminal
    finally:
        terminal.close()


def settled(lines: list[str]) -> list[str]:
    """The lines, with what differs from run to run replaced."""
    text = "\n".join(re.sub(r" +\d+\.\ds$", " N.Ns", line) for line in lines)
    return re.sub(r"_build/logs/\d{14}", "_build/logs/STAMP", re.sub(r"\d+\.\ds", "N.Ns", text)).split("\n")


def shows(text: str) -> Callable[[list[str]], bool]:
    return lambda rows: any(text in row for row in rows)


BOARD = [
    "[+] Building N.Ns (1/2)",
    " => app N.Ns",
    " => => # Exec:  sh -c 'echo ready; while [ -e magnetfile.py…",
    " => => # ready",
    " => base N.Ns",
]

SUMMARY = ["[+] Building N.Ns (2/2) FINISHED", " => app N.Ns", " => base N.Ns"]


def test_a_board_goes_on_below_the_header_and_ends_as_the_summary(project: Program) -> None:
    with on_terminal(project, "app") as terminal:
        rows = terminal.until(shows("# ready"))
        assert (rows, terminal.screen.cursor.hidden) == ([*HEADER.splitlines(), *BOARD], True)
        assert [len(terminal.screen.visible[row]) for row in (-4, -1)] == [60, 60]
        terminal.go()
        assert terminal.end() == 0
        assert settled(terminal.screen.written) == [*HEADER.splitlines(), *SUMMARY]
        terminal.assert_left()


def test_a_terminal_without_colour_gets_none(project: Program) -> None:
    with on_terminal(project, "app", NO_COLOR="1") as terminal:
        terminal.until(shows("# ready"))
        terminal.go()
        assert terminal.end() == 0
        assert not re.search(rb"\x1b\[[\d;]*m", terminal.said)


@pytest.mark.parametrize(
    ("columns", "lines", "rows"),
    [(40, 20, BOARD[3:]), (60, 5, [*BOARD[:2], *BOARD[3:]]), (100, 40, BOARD[3:])],
    ids=["narrower", "lower", "larger"],
)
def test_a_board_follows_the_size_of_its_terminal(project: Program, columns: int, lines: int, rows: list[str]) -> None:
    with on_terminal(project, "app") as terminal:
        terminal.until(shows("# ready"))
        terminal.resize(columns, lines)
        terminal.until(lambda shown: settled(shown)[-len(rows) :] == rows and len(shown[-1]) == columns)
        terminal.go()
        assert terminal.end() == 0
        assert settled(terminal.screen.written) == [*HEADER.splitlines(), *SUMMARY]


def test_what_a_target_prints_by_itself_stands_above_the_board(project: Program) -> None:
    with on_terminal(project, "talks") as terminal:
        terminal.until(shows("# ready"))
        terminal.go()
        rows = terminal.until(lambda rows: "one" in rows)
        assert rows[3:5] == ["one", "[+] Building N.Ns (0/1)"]
        terminal.go("end")
        assert terminal.end() == 0
        assert settled(terminal.screen.written)[3:] == [
            "one",
            "two",
            "[+] Building N.Ns (1/1) FINISHED",
            " => talks N.Ns",
        ]


def test_an_answer_that_a_target_gives_stands_on_a_line_of_its_own(project: Program) -> None:
    with on_terminal(project, "asks") as terminal:
        terminal.until(shows("# ready"))
        terminal.go()
        assert terminal.end() == 0
        assert settled(terminal.screen.visible)[3:] == [
            "answer",
            "[+] Building N.Ns (1/1) FINISHED",
            " => asks N.Ns",
        ]


def test_ctrl_c_leaves_the_terminal_as_it_was(project: Program) -> None:
    with on_terminal(project, "app") as terminal:
        terminal.until(shows("# ready"))
        terminal.press(b"\x03")
        assert terminal.end() == 130
        assert settled(terminal.screen.written)[3:] == [
            "[+] Building N.Ns (2/2) FINISHED",
            " => CANCELED app N.Ns",
            " => base N.Ns",
            "error: interrupted",
        ]
        terminal.assert_left()


def test_a_second_ctrl_c_leaves_the_terminal_as_it_was_at_once(project: Program) -> None:
    with on_terminal(project, "stubborn") as terminal:
        terminal.until(shows("# ready"))
        terminal.press(b"\x03")
        terminal.until(shows("# asked"))
        terminal.press(b"\x03")
        assert terminal.end() == 130
        assert settled(terminal.screen.visible)[-2:] == [
            "error: interrupted at once",
            "hint: the next run removes what this one may have left",
        ]
        terminal.assert_left()


def test_a_window_that_is_closed_ends_the_run_as_ctrl_c_does(project: Program) -> None:
    with on_terminal(project, "app") as terminal:
        terminal.until(shows("# ready"))
        terminal.hang_up()
        assert terminal.process.wait(60) == 130
    assert project.log("app").endswith(
        "ready\n-----\nVertex: Completed <nil> -> TIME\nVertex: Duration N.Ns\n"
        "Vertex: Canceled\nVertex: Error interrupted\n-----\n"
    )
    record = (project.root / "_build/logs/latest/.run").read_text()
    assert record.endswith("Exit: 130\nResult: interrupted\n")


SHELL = ["sh", "-c", 'set -m; "$0" "$@"; echo stopped; until [ -e on ]; do sleep 0.02; done; fg']
"""A shell with job control, which takes the terminal when its job is stopped, and lets the job go on later."""


def test_ctrl_z_leaves_the_terminal_to_the_shell_until_magnet_goes_on(project: Program) -> None:
    with on_terminal(project, "app", shell=SHELL) as terminal:
        terminal.until(shows("# ready"))
        terminal.press(b"\x1a")
        rows = terminal.until(shows("stopped"))
        assert (rows[:3], terminal.screen.cursor.hidden) == (HEADER.splitlines(), False)
        assert not shows("Building")(rows), "the board is off"
        assert pyte.modes.DECAWM in terminal.screen.mode
        terminal.go("on")
        rows = terminal.until(shows("# ready"))
        assert (rows[-5:], terminal.screen.cursor.hidden) == (BOARD, True)
        terminal.go()
        assert terminal.end() == 0
        assert settled(terminal.screen.written)[-3:] == SUMMARY
        terminal.assert_left()


def test_a_failure_stands_below_the_summary(project: Program) -> None:
    with on_terminal(project, "breaks", columns=100) as terminal:
        terminal.until(shows("# ready"))
        terminal.go()
        assert terminal.end() == 1
        assert settled(terminal.screen.written)[3:] == [
            "[+] Building N.Ns (1/1) FINISHED",
            " => ERROR breaks N.Ns",
            "------",
            " > breaks:",
            "Exec:  sh -c 'echo ready; while [ -e magnetfile.py -a ! -e go ]; do sleep 0.02; done; exit 3'",
            "ready",
            "------",
            "error: target `breaks`: `sh` failed with exit code 3",
            "  ready",
            "log: _build/logs/STAMP/breaks",
        ]
        terminal.assert_left()
