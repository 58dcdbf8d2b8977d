import errno
import io
import re
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from magnet.events import Clock, SolveStatus, Vertex, VertexLog
from magnet.logs import LogFiles
from magnet.progress import consumer as consuming
from magnet.progress.consumer import QUEUE_LENGTH, Consumer
from magnet.progress.display import Display, DryRun, Plain, Tty
from magnet.progress.trace import TAIL_LINES, Trace, board, lines, seconds, summary

SECOND = 10**9
START = 1_595_478_390 * SECOND


def at(time: float) -> int:
    """The moment so many seconds after the run's start."""
    return START + round(time * SECOND)


def begin(digest: str, name: str, time: float = 0) -> SolveStatus:
    return SolveStatus(vertexes=(Vertex(digest, name, started=at(time)),))


def end(
    digest: str, name: str, begun: float, ended: float, *, cached: bool = False, error: str = "", canceled: bool = False
) -> SolveStatus:
    return SolveStatus(vertexes=(Vertex(digest, name, (), at(begun), at(ended), cached, error, canceled),))


def log(digest: str, data: bytes, time: float = 0) -> SolveStatus:
    return SolveStatus(logs=(VertexLog(digest, 1, data, at(time)),))


EVENTS = (
    begin("1", "base"),
    log("1", b"one\n", 0.245),
    begin("2", "app", 1),
    log("2", b"two\nthree\n", 1.5),
    log("1", b"four", 1.6),
    end("1", "base", 0, 2.24),
    log("2", b"\x1b[31mred\x1b[0m \xff\n", 2.5),
    end("2", "app", 1, 3, error="exit code 2"),
    begin("3", "test", 3),
    end("3", "test", 3, 3, error="`app` failed", canceled=True),
    begin("4", "lint", 3),
    end("4", "lint", 3, 3.04, cached=True),
)


def shown(display: Callable[[io.StringIO, Clock], Display], *events: SolveStatus) -> str:
    out = io.StringIO()
    made = display(out, lambda: at(9))
    made.refresh()
    for status in events:
        made.update(status)
        made.refresh()
    made.done()
    return out.getvalue()


# Lines


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"no end", ["no end"]),
        (b"\n", [""]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"dos\r\nlines\r\n", ["dos", "lines"]),
        (b"10%\r50%\r100%\r\n", ["100%"]),
        (b"\x1b[1;31mred\x1b[0m\x1b[K\n", ["red"]),
        (b"\x1b]0;title\x07text\n", ["text"]),
        (b"\x1b]8;;u\x07link\x1b]8;;\x07 end\n", ["link end"]),
        (b"\x1b]0;title\x1b\\text\n", ["text"]),
        (b"bell\x07 nul\x00 tab\t del\x7f\n", ["bell nul tab\t del"]),
        (b"caf\xc3\xa9 \xff\n", ["café \ufffd"]),
        ("next\x85line\n".encode(), ["nextline"]),
    ],
)
def test_the_lines_of_a_log_are_what_a_terminal_may_show(data: bytes, expected: list[str]) -> None:
    assert lines(VertexLog("1", 1, data, 0)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x1b]8;;u\x1b\\link\x1b]8;;\x1b\\ end\n", ["link end"]),
        (b"\x1b[1mbold\x1b(B\x1b[m\n", ["bold"]),
        ("\x9b31mred\x9b0m\n".encode(), ["red"]),
    ],
    ids=["links of gcc and ls", "tput sgr0", "C1"],
)
def test_every_control_sequence_is_taken_out_and_the_text_stays(data: bytes, expected: list[str]) -> None:
    assert lines(VertexLog("1", 1, data, 0)) == expected


@pytest.mark.parametrize(("time", "expected"), [(-1, "0.0s"), (0, "0.0s"), (2.24, "2.2s"), (59.96, "60.0s")])
def test_a_duration_is_in_seconds_and_never_negative(time: float, expected: str) -> None:
    assert seconds(round(time * SECOND)) == expected


# The summary and the board


def folded(*events: SolveStatus) -> Trace:
    trace = Trace()
    for status in events:
        trace.update(status)
    return trace


def test_a_summary_has_every_vertex_with_its_mark_and_its_time_at_the_right_edge() -> None:
    assert summary(folded(*EVENTS), at(9), 40) == [
        "[+] Building 3.0s (4/4) FINISHED",
        " => base                            2.2s",
        " => ERROR app                       2.0s",
        " => CANCELED test                   0.0s",
        " => CACHED lint                     0.0s",
    ]


def test_a_summary_of_what_goes_on_counts_the_time_until_now() -> None:
    assert summary(folded(*EVENTS[:6]), at(12.5), 30) == [
        "[+] Building 12.5s (1/2)",
        " => base                  2.2s",
        " => app                  11.5s",
    ]


@pytest.mark.parametrize(
    ("width", "row"),
    [(24, " => build(tag=1)    2.2s"), (20, " => build(tag=… 2.2s"), (10, " => … 2.2s"), (7, " … 2.2s"), (6, "… 2.2s")],
)
def test_a_name_gives_way_on_a_narrow_terminal(width: int, row: str) -> None:
    assert summary(folded(end("1", "build(tag=1)", 0, 2.24)), at(9), width)[1] == row


@pytest.mark.parametrize("width", [5, 4, 1])
def test_a_row_fits_the_narrowest_terminal(width: int) -> None:
    assert len(summary(folded(end("1", "build", 0, 2.24)), at(9), width)[1]) <= width


@pytest.mark.parametrize("width", [30, 13, 12, 11, 10])
def test_a_row_with_wide_characters_fits_its_terminal(width: int) -> None:
    assert cell_len(summary(folded(end("1", "构建", 0, 2.24)), at(9), width)[1]) == width


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)), st.integers(8, 200), st.integers(0, 99 * SECOND))
def test_a_row_is_as_wide_as_its_terminal(name: str, width: int, duration: int) -> None:
    vertex = Vertex("1", name, started=START, completed=START + duration)
    trace = Trace()
    trace.update(SolveStatus(vertexes=(vertex,)))
    row = summary(trace, at(0), width)[1]
    assert len(row) == width
    assert row.endswith(f" {seconds(duration)}")


def test_the_board_has_the_last_lines_of_what_runs() -> None:
    trace = folded(*EVENTS[:7], log("2", b"4\n5\n6\n" + b"x" * 99))
    assert board(trace, at(3), 30, 10) == [
        "[+] Building 3.0s (1/2)",
        " => base                  2.2s",
        " => app                   2.0s",
        " => => 4",
        " => => 5",
        " => => 6",
        f" => => {'x' * 23}",
    ]


@pytest.mark.parametrize(
    ("height", "kept"), [(9, "0123456"), (7, "0123456"), (6, "023456"), (5, "03456"), (3, "034"), (1, "0"), (0, "")]
)
def test_what_ended_first_gives_way_on_a_low_terminal(height: int, kept: str) -> None:
    ends = [end(digest, digest, 0, 1) for digest in "ab"]
    trace = folded(begin("a", "a"), begin("b", "b"), begin("c", "c"), log("c", b"d\ne\nf"), *ends)
    rows = board(trace, at(2), 30, 99)
    assert [row.split()[-2] for row in rows] == ["2.0s", "a", "b", "c", "=>", "=>", "=>"]
    assert board(trace, at(2), 30, height) == [rows[int(index)] for index in kept]


# Plain


PLAIN = """\
#1 base
#1 0.245 one
#2 app
#2 0.500 two
#2 0.500 three
#1 1.600 four
#1 DONE 2.2s
#2 1.500 red \ufffd
#2 ERROR: exit code 2
#3 test
#3 CANCELED
#4 lint
#4 CACHED
"""

END = """\
[+] Building 3.0s (4/4) FINISHED
 => base                                                                    2.2s
 => ERROR app                                                               2.0s
 => CANCELED test                                                           0.0s
 => CACHED lint                                                             0.0s
"""

FAILURE = """\
------
 > app:
two
three
red \ufffd
------
"""


def test_plain_shows_all_lines_in_order_then_the_summary_and_what_failed() -> None:
    assert shown(Plain, *EVENTS) == PLAIN + END + FAILURE


@pytest.mark.parametrize("display", [Plain, Tty])
def test_a_run_without_targets_shows_nothing(display: Callable[[io.StringIO, Clock], Display]) -> None:
    assert shown(display) == ""


def test_only_the_last_lines_of_what_failed_are_shown_again() -> None:
    output = "".join(f"{number}\n" for number in range(TAIL_LINES + 5))
    found = shown(Plain, begin("1", "a"), log("1", output.encode()), log("1", b"x\n"), end("1", "a", 0, 1, error="e"))
    tail = "".join(f"{number}\n" for number in range(6, TAIL_LINES + 5))
    assert found.partition("------\n")[2] == f" > a:\n{tail}x\n------\n"


def test_what_failed_without_a_word_is_only_in_the_summary() -> None:
    found = shown(Plain, begin("1", "a"), end("1", "a", 0, 1, error="e"))
    row = f" => ERROR a{'1.0s':>69}\n"
    assert found == f"#1 a\n#1 ERROR: e\n[+] Building 1.0s (1/1) FINISHED\n{row}"


def test_what_was_canceled_is_not_shown_again_and_an_empty_line_has_no_space_at_its_end() -> None:
    found = shown(Plain, begin("1", "a"), log("1", b"\nx\n"), end("1", "a", 0, 1, error="e", canceled=True))
    row = f" => CANCELED a{'1.0s':>66}\n"
    assert found == f"#1 a\n#1 0.000\n#1 0.000 x\n#1 CANCELED\n[+] Building 1.0s (1/1) FINISHED\n{row}"


def test_plain_holds_everything_back_while_vertexes_have_the_terminal() -> None:
    out = io.StringIO()
    plain = Plain(out, lambda: at(9))
    for status in EVENTS[:3]:
        plain.update(status)
    before = out.getvalue()
    plain.suspend("2")
    plain.suspend("1")
    for status in EVENTS[3:8]:
        plain.update(status)
    plain.resume("1")
    assert out.getvalue() == before == "#1 base\n#1 0.245 one\n#2 app\n"
    plain.resume("2")
    assert out.getvalue() == f"{before}#1 DONE 2.2s\n#2 ERROR: exit code 2\n"
    for status in EVENTS[8:]:
        plain.update(status)
    plain.done()
    # The last lines of `app` are not shown again: they went to the terminal itself.
    assert out.getvalue() == f"{before}#1 DONE 2.2s\n#2 ERROR: exit code 2\n{PLAIN[PLAIN.index('#3 test') :]}{END}"


def test_a_vertex_and_its_first_lines_may_come_together() -> None:
    together = SolveStatus(begin("1", "a").vertexes, log("1", b"x\n", 1).logs)
    assert shown(Plain, together).startswith("#1 a\n#1 1.000 x\n")


# A dry run


def test_a_dry_run_is_a_script_with_the_commands_of_each_target_together() -> None:
    events = [*EVENTS[:4], log("2", b"more\n"), *EVENTS[4:]]
    assert shown(lambda out, _: DryRun(out), *events) == (
        "# base\none\n# app\ntwo\nthree\nmore\n# base\nfour\n# app\nred \ufffd\n"
    )


# The terminal


class Terminal(io.StringIO):
    """A terminal that knows the few sequences a board needs, and no other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """What one sees: the rows that are not empty."""
        rows, row, column = [""], 0, 0
        for token in re.findall(r"\x1b\[\??\d*[A-Za-z]|.", self.getvalue(), re.DOTALL):
            if token in ("\x1b[?25l", "\x1b[?25h"):
                continue
            if token == "\n":
                row, column = row + 1, 0
            elif token == "\r":
                column = 0
            elif token == "\x1b[2K":
                rows[row] = ""
            elif token.startswith("\x1b") and token.endswith("A"):
                row -= int(token[2:-1])
            else:
                assert token.isprintable(), token
                if column == self.width:
                    row, column = row + 1, 0
                rows.extend("" for _ in range(row + 1 - len(rows)))
                rows[row] = f"{rows[row][:column]:<{column}}{token}{rows[row][column + 1 :]}"
                column += 1
            rows.extend("" for _ in range(row + 1 - len(rows)))
        return [text for text in rows if text]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", "COLUMNS": "40", "LINES": "7"}.items():
        monkeypatch.setenv(name, value)
    return Terminal(40)


BOARD = [
    "[+] Building 3.0s (1/2)",
    " => base                            2.2s",
    " => app                             2.0s",
    " => => two",
    " => => three",
    " => => red \ufffd",
]


def test_a_board_is_drawn_in_place_of_the_last_and_becomes_the_summary(terminal: Terminal) -> None:
    tty = Tty(terminal, lambda: at(3))
    tty.refresh()
    assert terminal.getvalue() == ""
    for status in EVENTS[:7]:
        tty.update(status)
        tty.refresh()
    assert terminal.screen() == BOARD
    for status in EVENTS[7:]:
        tty.update(status)
        tty.refresh()
    tty.done()
    assert terminal.screen() == [*summary(folded(*EVENTS), at(3), 40), *FAILURE.splitlines()]
    assert terminal.getvalue().rindex("\x1b[?25h") > terminal.getvalue().rindex("\x1b[?25l")


def test_what_ends_at_once_is_summed_up_without_a_board(terminal: Terminal) -> None:
    tty = Tty(terminal, lambda: at(0.19))
    for status in (begin("1", "app"), end("1", "app", 0, 0.19)):
        tty.update(status)
        tty.refresh()
    tty.done()
    assert terminal.getvalue() == "".join(
        f"{line}\n" for line in ["[+] Building 0.2s (1/1) FINISHED", " => app                             0.2s"]
    )


def test_a_board_is_never_wider_or_higher_than_its_terminal(terminal: Terminal) -> None:
    tty = Tty(terminal, lambda: at(1))
    for digest in "abc":
        tty.update(begin(digest, digest * 60))
        tty.update(log(digest, b"x" * 99 + b"\n\ta\tb\tc\td\te\tf\n"))
        tty.refresh()
    assert terminal.screen() == [
        "[+] Building 1.0s (0/3)",
        f" => {'a' * 30}… 1.0s",
        f" => => {'x' * 33}",
        " => =>  a       b       c       d      …",
        f" => {'b' * 30}… 1.0s",
        f" => => {'x' * 33}",
    ]


def test_a_board_leaves_the_terminal_to_a_vertex_and_comes_back(terminal: Terminal) -> None:
    tty = Tty(terminal, lambda: at(3))
    for status in EVENTS[:7]:
        tty.update(status)
    tty.refresh()
    tty.suspend("2")
    left = terminal.getvalue()
    assert (terminal.screen(), left.endswith("\x1b[2K")) == ([], True)
    tty.suspend("1")
    tty.resume("2")
    tty.refresh()
    assert terminal.getvalue() == left
    tty.resume("1")
    tty.refresh()
    assert terminal.screen() == BOARD
    for status in EVENTS[7:]:
        tty.update(status)
    tty.done()
    assert terminal.screen() == summary(folded(*EVENTS), at(3), 40)


# The consumer


class Journal:
    """A sink that writes down what it is told, and fails where it is to."""

    def __init__(self, failing: str = "") -> None:
        self.entries: list[str] = []
        self.logs: list[bytes] = []
        self.threads: set[str] = set()
        self._failing = failing

    def update(self, status: SolveStatus) -> None:
        self.logs += [log.data for log in status.logs]
        self._note("update", *(log.data.decode() for log in status.logs))

    def refresh(self) -> None:
        self._note("refresh")

    def suspend(self, vertex: str) -> None:
        self._note("suspend", vertex)

    def resume(self, vertex: str) -> None:
        self._note("resume", vertex)

    def done(self) -> None:
        self._note("done")

    def _note(self, *words: str) -> None:
        self.threads.add(threading.current_thread().name)
        self.entries.append(" ".join(words))
        if words[0] == self._failing:
            raise OSError(errno.ENOSPC, f"No space left on device in {words[0]}")


def in_time(work: Callable[[], object]) -> None:
    """Do it, in a thread that a deadlock cannot make the tests wait for."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it hangs"
    if errors:
        raise errors[0]


def produce(consumer: Consumer, producers: int, count: int) -> None:
    """Emit from several threads at once; each one's lines are numbered."""

    def one(name: int) -> None:
        for number in range(count):
            consumer.emit(log(str(name), b"%d %d" % (name, number)))

    threads = [threading.Thread(target=one, args=(name,), daemon=True) for name in range(producers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def _no_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never draw, however slow the machine is."""
    monkeypatch.setattr(consuming, "FRAME", 10.0**9)


@pytest.mark.usefixtures("_no_frames")
def test_every_sink_has_every_event_in_one_order_from_one_thread() -> None:
    other, display = Journal(), Journal()
    consumer = Consumer(display, [other])

    def work() -> None:
        consumer.start()
        produce(consumer, 6, QUEUE_LENGTH)
        consumer.finish()

    in_time(work)
    assert len(display.logs) == 6 * QUEUE_LENGTH
    for name in range(6):
        own = [data for data in display.logs if data.startswith(b"%d " % name)]
        assert own == [b"%d %d" % (name, number) for number in range(QUEUE_LENGTH)]
    assert other.entries == display.entries
    assert other.entries.index("done") == len(other.entries) - 1
    assert other.threads == display.threads == {"events"}


def test_who_emits_waits_while_the_sinks_are_behind() -> None:
    gate = threading.Event()

    class Slow(Journal):
        def update(self, status: SolveStatus) -> None:
            gate.wait(60)
            super().update(status)

    display = Slow()
    consumer = Consumer(display, [])
    consumer.start()
    # One is in the sink's hands, the queue holds the most it can, one is too many.
    count = QUEUE_LENGTH + 2
    producer = threading.Thread(target=produce, args=(consumer, 1, count), daemon=True)
    producer.start()
    producer.join(0.2)  # time enough for one that is not made to wait; one that is waits for the gate
    waits = producer.is_alive()
    gate.set()
    in_time(producer.join)
    in_time(consumer.finish)
    assert waits
    assert display.logs == [b"0 %d" % number for number in range(count)]


@pytest.mark.usefixtures("_no_frames")
def test_frames_may_be_skipped_and_are_not_drawn_for_each_event() -> None:
    display = Journal()
    consumer = Consumer(display, [])
    consumer.start()
    produce(consumer, 1, 100)
    in_time(consumer.finish)
    assert (len(display.logs), display.entries.count("refresh")) == (100, 0)


def test_the_display_is_drawn_again_while_nothing_happens() -> None:
    drawn = threading.Semaphore(0)

    class Drawn(Journal):
        def refresh(self) -> None:
            drawn.release()

    consumer = Consumer(Drawn(), [])
    consumer.start()
    assert all(drawn.acquire(timeout=60) for _ in range(3))
    in_time(consumer.finish)


@pytest.mark.usefixtures("_no_frames")
@pytest.mark.parametrize("fails", [False, True])
def test_the_display_is_off_the_terminal_for_just_the_block(fails: bool) -> None:
    display = Journal()
    consumer = Consumer(display, [])

    def work() -> None:
        consumer.emit(log("1", b"before"))
        with pytest.raises(KeyError) if fails else nullcontext(), consumer.terminal("v"):
            display.entries.append("block")
            consumer.emit(log("1", b"within"))
            if fails:
                raise KeyError
        consumer.emit(log("1", b"after"))
        consumer.finish()

    consumer.start()
    in_time(work)
    around = ["suspend v", "block", "update within", "resume v"]
    assert display.entries == ["update before", *around, "update after", "done"]


@pytest.mark.parametrize(
    ("place", "step"),
    [
        *(("display", step) for step in ("update", "refresh", "suspend", "resume", "done")),
        *(("other", step) for step in ("update", "refresh", "done")),
    ],
)
def test_a_sink_that_fails_is_an_error_at_the_end_and_nobody_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch, place: str, step: str
) -> None:
    monkeypatch.setattr(consuming, "FRAME", 0.0)  # a frame after every event
    bad, good = Journal(step), Journal()
    consumer = Consumer(bad, [good]) if place == "display" else Consumer(good, [bad])

    def work() -> None:
        consumer.start()
        with consumer.terminal("v"):
            produce(consumer, 3, QUEUE_LENGTH)
        consumer.finish()

    with pytest.raises(OSError, match=rf"^\[Errno 28\] No space left on device in {step}$"):
        in_time(work)
    assert len(bad.logs) == 3 * QUEUE_LENGTH
    assert (bad.entries[-1], good.entries[-1]) == ("done", "done")


def test_the_first_error_is_the_one_that_is_told() -> None:
    class Counting(Journal):
        def update(self, status: SolveStatus) -> None:
            raise OSError(status.logs[0].data.decode())

    consumer = Consumer(Counting(), [])
    consumer.start()
    produce(consumer, 1, 3)
    with pytest.raises(OSError, match=r"^0 0$"):
        in_time(consumer.finish)


def test_a_sink_that_fails_takes_nothing_from_the_others() -> None:
    display = Journal()
    consumer = Consumer(display, [Journal("update")])
    consumer.start()
    produce(consumer, 1, 3)
    with pytest.raises(OSError, match="No space left"):
        in_time(consumer.finish)
    assert display.logs == [b"0 0", b"0 1", b"0 2"]


def test_when_a_run_has_finished_its_logs_and_its_display_are_complete(tmp_path: Path) -> None:
    out = io.StringIO()
    consumer = Consumer(Plain(out, lambda: at(9)), [LogFiles(tmp_path)])
    consumer.start()
    for status in EVENTS:
        consumer.emit(status)
    in_time(consumer.finish)
    assert out.getvalue() == PLAIN + END + FAILURE
    assert {path.name: path.read_bytes().split(b"-----\n")[1] for path in tmp_path.iterdir()} == {
        "base": b"one\nfour\n",
        "app": b"two\nthree\n\x1b[31mred\x1b[0m \xff\n",
        "test": b"",
        "lint": b"",
    }
