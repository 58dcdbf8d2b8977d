"""The board on a terminal: what is to be seen, whatever happens to the terminal."""

import io
import re
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magnet.events import SolveStatus
from magnet.progress.board import summary
from magnet.progress.tty import Tty
from tests.unit.script import EVENTS, FAILURE, at, begin, end, folded, log
from tests.unit.strategies import events
from tests.unit.terminal import KINDS, Kind, Terminal


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with Terminal() as made:
        yield made


@contextmanager
def running(terminal: Terminal, *script: SolveStatus, now: float = 3) -> Iterator[Tty]:
    """A display of a run that goes on, which has been drawn once."""
    tty = Tty(terminal, lambda: at(now))
    show(tty, *script)
    yield tty


def show(tty: Tty, *script: SolveStatus) -> None:
    for status in script:
        tty.update(status)
        tty.refresh()


BOARD = [
    "[+] Building 3.0s (1/2)",
    " => base                            2.2s",
    " => app                             2.0s",
    " => => # two",
    " => => # three",
    " => => # red \ufffd",
]

END = [*summary(folded(*EVENTS), at(3), 40), *FAILURE.splitlines()]


def test_a_board_is_drawn_in_place_of_the_last_and_becomes_the_summary(terminal: Terminal) -> None:
    terminal.write("$ magnet app\n")
    with running(terminal, *EVENTS[:7]) as tty:
        assert terminal.screen.visible == ["$ magnet app", *BOARD]
        assert (terminal.screen.cursor.y, terminal.screen.cursor.x, terminal.shows_cursor) == (1, 0, False)
        show(tty, *EVENTS[7:])
        tty.done()
    assert terminal.screen.written == ["$ magnet app", *END]
    assert terminal.shows_cursor


def test_a_frame_is_one_write(terminal: Terminal) -> None:
    with running(terminal, *EVENTS[:7]) as tty:
        before = terminal.writes
        tty.refresh()
    assert terminal.writes == before + 1


def test_what_ends_at_once_is_summed_up_without_a_board(terminal: Terminal) -> None:
    with running(terminal, begin("1", "app"), end("1", "app", 0, 0.19), now=0.19) as tty:
        tty.done()
    assert terminal.said == (
        "[+] Building 0.2s (1/1) FINISHED\n\x1b[34m => app                             0.2s\x1b[0m\n"
    )


@pytest.mark.parametrize("value", ["1", "0", "false"])
def test_without_colour_where_none_is_wanted(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NO_COLOR", value)
    with running(terminal, *EVENTS) as tty:
        tty.done()
    assert not re.search(r"\x1b\[[\d;]*m", terminal.said)


def test_colours_are_those_of_buildkit(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    terminal.resize(40, 20)
    with running(terminal, *EVENTS) as tty:
        tty.done()
    colours = [terminal.screen.buffer[y][1].fg for y in range(5)]
    assert colours == ["default", "blue", "red", "brown", "blue"]


def test_a_board_at_the_bottom_of_the_screen_scrolls_what_stands_above_it(terminal: Terminal) -> None:
    above = [f"line {number}" for number in range(9)]
    terminal.write("".join(f"{line}\n" for line in above))
    with running(terminal, *EVENTS[:7]) as tty:
        assert terminal.screen.visible == [*above[-3:], *BOARD]  # a board before it had one row more
        show(tty, *EVENTS[7:])
        tty.done()
    assert terminal.screen.written == [*above, *END]


def test_a_board_leaves_a_line_of_a_low_terminal_free(terminal: Terminal) -> None:
    terminal.write("above\n")
    terminal.resize(40, 4)
    with running(terminal, *EVENTS[:7]):
        assert terminal.screen.visible == ["above", *BOARD[:3]]


@pytest.mark.parametrize(("lines", "rows"), [(3, [0, 2]), (2, [0]), (1, [0])])
def test_of_a_low_terminal_the_targets_that_run_get_the_last_lines(
    terminal: Terminal, lines: int, rows: list[int]
) -> None:
    terminal.resize(40, lines)
    with running(terminal, *EVENTS[:7]):
        assert terminal.screen.visible == [BOARD[row] for row in rows]


SIZES = [(24, 10), (13, 10), (80, 24), (40, 5), (20, 8), (40, 40)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("kind", ["cut", "wrap"])
def test_a_terminal_whose_size_changes_shows_one_board_and_keeps_what_stands_above(
    kind: Kind, size: tuple[int, int]
) -> None:
    with Terminal(40, 10, kind) as terminal:
        terminal.write("above\nit\n")
        with running(terminal, *EVENTS[:7]) as tty:
            terminal.resize(*size)
            tty.refresh()
            assert terminal.screen.written == ["above", "it", *board_of(size)]
            show(tty, *EVENTS[7:])
            tty.done()
        end = [*summary(folded(*EVENTS), at(3), size[0]), *FAILURE.splitlines()]
        assert terminal.screen.written == ["above", "it", *(line.rstrip() for line in end)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("kind", KINDS)
def test_a_screen_full_of_a_board_shows_one_board_when_its_size_changes(kind: Kind, size: tuple[int, int]) -> None:
    """Rows that the terminal itself has scrolled away are out of reach; some pull them back onto a higher screen."""
    with Terminal(40, 7, kind) as terminal:
        terminal.write("above\n")
        with running(terminal, *EVENTS[:7]) as tty:
            terminal.resize(*size)
            tty.refresh()
            board = board_of(size)
            rows = terminal.screen.visible
            assert (rows[-len(board) :] if kind == "push" else [row for row in rows if row != "above"]) == board
            assert terminal.screen.written[0] == "above"


@pytest.mark.parametrize("kind", KINDS)
def test_a_board_that_begins_in_the_upper_left_corner_is_in_no_scrollback(kind: Kind) -> None:
    with Terminal(40, 10, kind) as terminal, running(terminal, *EVENTS[:7]) as tty:
        assert terminal.screen.visible == BOARD
        tty.suspend("1")
        assert terminal.screen.written == []


def board_of(size: tuple[int, int]) -> list[str]:
    """What a new terminal of that size shows."""
    with Terminal(*size) as terminal, running(terminal, *EVENTS[:7]):
        return terminal.screen.visible


def test_columns_and_lines_of_the_environment_make_a_board_smaller_and_never_too_large(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("LINES", "99")
    terminal.resize(40, 4)
    with running(terminal, *EVENTS[:7]):
        assert terminal.screen.visible == [
            "[+] Building 3.0s (1/2)",
            " => base                  2.2s",
            " => app                   2.0s",
        ]


def test_characters_that_a_terminal_takes_for_wider_do_not_wrap_a_row(terminal: Terminal) -> None:
    name = "\u0001f1e9\U0001f1ea ☃️ \u200d\u00ad" * 9
    with running(terminal, begin("1", name), log("1", name.encode())):
        assert [row[:4] for row in terminal.screen.visible] == ["[+] ", " => ", " => "]


def test_a_board_leaves_the_terminal_to_a_vertex_and_comes_back(terminal: Terminal) -> None:
    with running(terminal, *EVENTS[:7]) as tty:
        tty.suspend("2")
        assert (terminal.screen.visible, terminal.shows_cursor) == ([], True)
        terminal.write("a shell\n$ ")
        tty.suspend("1")
        tty.resume("2")
        tty.refresh()
        assert terminal.screen.visible == ["a shell", "$"]
        tty.resume("1")
        tty.refresh()
        assert terminal.screen.visible == ["a shell", "$", *BOARD]
        show(tty, *EVENTS[7:])
        tty.done()
    assert terminal.screen.visible == ["a shell", "$", *summary(folded(*EVENTS), at(3), 40)]


@pytest.mark.parametrize("output", ["", "x", "x" * 39, "x" * 40, "x" * 41, "x\n", "x" * 40 + "\n"])
def test_after_a_vertex_had_the_terminal_the_summary_has_lines_of_its_own(terminal: Terminal, output: str) -> None:
    with running(terminal, *EVENTS, now=0.1) as tty:
        tty.suspend("2")
        terminal.write(output)
        tty.resume("2")
        tty.done()
    lines = textwrap.wrap(output, 40) or output.splitlines()
    assert terminal.screen.visible == [*lines, *summary(folded(*EVENTS), at(3), 40)]


@contextmanager
def on(terminal: Terminal) -> Iterator[Terminal]:
    """The terminal, which is this program's own."""
    with redirect_stdout(terminal), redirect_stderr(terminal):
        yield terminal


def test_what_the_program_prints_itself_goes_above_the_board(terminal: Terminal) -> None:
    terminal.resize(40, 20)
    with on(terminal), running(terminal, *EVENTS[:7]) as tty:
        print("one")
        print("two\nthr", file=sys.stderr, end="")
        assert terminal.screen.visible == BOARD
        tty.refresh()
        assert terminal.screen.visible == ["one", "two", *BOARD]
        print("ee", flush=True)
        sys.stdout.writelines(["fo", "ur"])
        tty.refresh()
        assert terminal.screen.visible == ["one", "two", "three", *BOARD]
        show(tty, *EVENTS[7:])
        tty.done()
        print("after")
        assert sys.stdout is sys.stderr is terminal
    assert terminal.screen.visible == ["one", "two", "three", "four", *END, "after"]


def test_a_vertex_that_has_the_terminal_prints_on_it_itself(terminal: Terminal) -> None:
    with on(terminal), running(terminal, *EVENTS[:7]) as tty:
        print("above", end="")
        tty.suspend("1")
        assert (sys.stdout, terminal.screen.visible) == (terminal, ["above"])


def test_much_that_is_printed_at_once_is_not_kept(terminal: Terminal) -> None:
    with on(terminal), running(terminal, *EVENTS[:7]) as tty:
        before = len(terminal.said)
        for number in range(10_000):
            print(f"line {number}")
        assert 10_000 - terminal.said[before:].count("\n") < 7_000
        tty.refresh()
    assert terminal.screen.written == [*(f"line {number}" for number in range(10_000)), *BOARD]


def test_a_stream_that_somebody_still_has_after_the_board_prints_as_before(terminal: Terminal) -> None:
    with on(terminal), running(terminal, *EVENTS[:7]) as tty:
        kept = sys.stdout
        with redirect_stdout(io.StringIO()) as redirected:
            print("redirected")
            tty.abandon()
            print("still")
        print("late", file=kept)
        assert (kept.isatty(), kept.fileno()) == (True, terminal.fileno())
    assert (redirected.getvalue(), terminal.screen.visible) == ("redirected\nstill\n", ["late"])


def test_what_is_printed_elsewhere_than_on_the_terminal_stays_where_it_is(terminal: Terminal) -> None:
    with Terminal() as other, redirect_stdout(other), running(terminal, *EVENTS[:7]) as tty:
        print("other")
        tty.refresh()
        assert (other.screen.visible, terminal.screen.visible) == (["other"], BOARD)


def test_an_abandoned_board_is_gone_and_shows_the_cursor(terminal: Terminal) -> None:
    terminal.write("above\n")
    with on(terminal), running(terminal, *EVENTS[:7]) as tty:
        tty.abandon()
        tty.abandon()
        assert (terminal.screen.visible, terminal.shows_cursor) == (["above"], True)
        said = terminal.said
        show(tty, *EVENTS[7:])
        assert sys.stdout is terminal
        tty.suspend("1")
        tty.resume("1")
        tty.done()
        assert terminal.said == said


def test_a_board_is_abandoned_from_another_thread_while_the_terminal_does_not_take_a_frame() -> None:
    """As after Ctrl-S; then nothing that is written would get there."""
    blocked, go_on = threading.Event(), threading.Event()

    class Stopped(Terminal):
        def write(self, text: str) -> int:
            blocked.set()
            go_on.wait()
            return super().write(text)

    with Stopped() as terminal:
        tty = Tty(terminal, lambda: at(3))
        tty.update(begin("1", "app"))
        thread = threading.Thread(target=tty.refresh)
        thread.start()
        blocked.wait()
        tty.abandon()
        go_on.set()
        thread.join()
        tty.refresh()
        assert terminal.writes == 1


class Gone(Terminal):
    """A terminal that goes away after so many writes."""

    left = 0

    def write(self, text: str) -> int:
        if self.writes >= self.left:
            raise OSError(5, "Input/output error")
        return super().write(text)


@pytest.mark.parametrize("left", [0, 1])
def test_a_terminal_that_goes_away_is_no_failure(left: int) -> None:
    with Gone() as terminal:
        terminal.left = left
        with running(terminal, *EVENTS[:7]) as tty:
            tty.suspend("1")
            tty.resume("1")
            tty.refresh()
            tty.done()
            tty.abandon()
        assert terminal.writes == left


def test_a_terminal_that_goes_away_before_the_summary_is_no_failure() -> None:
    with Gone() as terminal, running(terminal, *EVENTS, now=0.1) as tty:
        tty.done()


sizes = st.tuples(st.integers(1, 50), st.integers(1, 12))


@given(
    st.lists(st.one_of(events, sizes, st.booleans()), max_size=30), st.sampled_from(KINDS), sizes, st.integers(0, 14)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_happens_what_stood_above_stays_and_the_end_is_the_summary(
    script: Sequence[SolveStatus | tuple[int, int] | bool], kind: Kind, size: tuple[int, int], above: int
) -> None:
    """A boolean gives the terminal to a vertex, or takes it back."""
    with Terminal(*size, kind) as terminal:
        terminal.write("a\n" * above)
        tty = Tty(terminal, lambda: at(50))
        for happens in script:
            if isinstance(happens, SolveStatus):
                tty.update(happens)
            elif isinstance(happens, tuple):
                size = happens
                terminal.resize(*size)
            elif happens:
                tty.suspend("x")
            else:
                tty.resume("x")
            tty.refresh()
        tty.done()
        assert terminal.shows_cursor
        assert terminal.screen.written[:above] == ["a"] * above
        if kind != "push":
            assert terminal.screen.written[above:] == end_of(script, size)


def end_of(script: Sequence[object], size: tuple[int, int]) -> list[str]:
    """What a run that shows no board leaves on a new terminal of that size."""
    with Terminal(*size) as terminal:
        tty = Tty(terminal, lambda: at(50))
        for happens in script:
            if isinstance(happens, SolveStatus):
                tty.update(happens)
        tty.done()
        return terminal.screen.written
