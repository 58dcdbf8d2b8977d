"""The board and the summary, without a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from magnet.events import SolveStatus, Vertex
from magnet.progress.board import board, summary
from magnet.progress.trace import Trace, seconds
from tests.unit.script import EVENTS, SECOND, START, at, begin, end, folded, log


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
