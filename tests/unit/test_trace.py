"""What is known of a run."""

import pytest

from magnet.events import VertexLog
from magnet.progress.trace import lines, seconds
from tests.unit.script import SECOND


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
