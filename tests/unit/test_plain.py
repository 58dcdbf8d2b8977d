"""Plain lines."""

import io
from collections.abc import Callable

import pytest

from magnet.events import Clock, SolveStatus
from magnet.progress.display import Display
from magnet.progress.plain import Plain
from magnet.progress.trace import TAIL_LINES
from magnet.progress.tty import Tty
from tests.unit.script import EVENTS, FAILURE, at, begin, end, log, shown

PLAIN = """\
#1 base
#1 0.245 one
#1 1.600 four
#1 DONE 2.2s

#2 app
#2 0.500 two
#2 0.500 three
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


def test_plain_shows_all_lines_in_order_then_the_summary_and_what_failed() -> None:
    assert shown(Plain, *EVENTS) == PLAIN + END + FAILURE


@pytest.mark.parametrize("display", [Plain, Tty])
def test_a_run_without_targets_shows_nothing(display: Callable[[io.StringIO, Clock], Display]) -> None:
    assert shown(display) == ""


def test_only_the_last_lines_of_what_failed_are_shown_again() -> None:
    output = "".join(f"{number}\n" for number in range(TAIL_LINES + 5))
    found = shown(Plain, begin("1", "a"), log("1", output.encode()), log("1", b"x\n"), end("1", "a", 0, 1, error="e"))
    tail = "".join(f"{number}\n" for number in range(6, TAIL_LINES + 5))
    assert found.partition("------\n")[2] == (f" > a:\n(6 more lines stand before these in the log)\n{tail}x\n------\n")


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
    for status in EVENTS[:2]:
        plain.update(status)
    before = out.getvalue()
    plain.suspend("2")
    plain.suspend("1")
    for status in EVENTS[2:8]:
        plain.update(status)
    plain.resume("1")
    assert out.getvalue() == before == "#1 base\n#1 0.245 one\n"
    plain.resume("2")
    assert out.getvalue() == f"{before}#1 DONE 2.2s\n\n#2 app\n#2 ERROR: exit code 2\n"
    for status in EVENTS[8:]:
        plain.update(status)
    plain.done()
    # The last lines of `app` are not shown again: they went to the terminal itself.
    rest = PLAIN[PLAIN.index("\n#3 test") :]
    assert out.getvalue() == f"{before}#1 DONE 2.2s\n\n#2 app\n#2 ERROR: exit code 2\n{rest}{END}"


def test_a_vertex_and_its_first_lines_may_come_together() -> None:
    together = SolveStatus(vertexes=begin("1", "a").vertexes, logs=log("1", b"x\n", 1).logs)
    assert shown(Plain, together).startswith("#1 a\n#1 1.000 x\n")
