"""The board and the summary, without a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from magnet.events import SolveStatus, Vertex, VertexStatus, VertexWarning
from magnet.progress.board import board, summary
from magnet.progress.rows import Row, painted, size, status_row, time_left
from magnet.progress.trace import Trace, seconds
from tests.unit.script import EVENTS, SECOND, START, at, begin, end, folded, log
from tests.unit.strategies import scripts, times


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


def texts(trace: Trace, time: float, width: int, height: int = 99) -> list[str]:
    return [row.text for row in board(trace, at(time), width, height)]


def step(
    digest: str,
    name: str,
    begun: float | None = None,
    ended: float | None = None,
    *,
    parent: str = "1",
    cached: bool = False,
    error: str = "",
    canceled: bool = False,
) -> SolveStatus:
    begins, ends = (None if time is None else at(time) for time in (begun, ended))
    return SolveStatus(vertexes=(Vertex(digest, name, (), begins, ends, cached, error, canceled, parent),))


def part(digest: str, name: str, current: int, total: int, begun: float, ended: float | None = None) -> SolveStatus:
    completed = None if ended is None else at(ended)
    status = VertexStatus(name, digest, "", current, total, at(ended or begun), at(begun), completed)
    return SolveStatus(statuses=(status,))


BUILD = (
    begin("1", "app"),
    log("1", b"Exec: docker build .\n"),
    step("a", "[internal] load build context", 0.1, 0.6),
    step("b", "[builder 1/3] FROM base", 0.1, 0.2, cached=True),
    step("c", "[builder 2/3] RUN make", 0.6),
    step("d", "[builder 3/3] COPY . .", None),
    step("e", "[stage-1 2/2] ADD big /", 0.7),
    part("a", "transferring context", 2_100_000, 0, 0.1, 0.5),
    part("e", "sha256:1234", 500_000, 0, 0.7, 0.9),
    part("e", "sha256:5678", 12_500_000, 50_000_000, 0.7),
    log("c", b"cc one.c\n\ncc two.c\n", 1),
)
"""A target whose build goes on, with two steps at a time."""


def test_the_steps_of_what_runs_stand_below_it_with_what_they_do_and_print() -> None:
    assert texts(folded(*BUILD), 2.2, 80) == [
        "[+] Building 2.2s (0/1)",
        " => app                                                                     2.2s",
        " => => [internal] load build context                                        0.5s",
        " => => CACHED [builder 1/3] FROM base                                       0.1s",
        " => => [builder 2/3] RUN make                                               1.6s",
        " => => => # cc one.c",
        " => => => # cc two.c",
        " => => [stage-1 2/2] ADD big /                                              1.5s",
        " => => => sha256:1234 500.0kB                                               0.2s",
        " => => => sha256:5678 [====>              ] 12.5MB / 50.0MB 8.3MB/s 5s left 1.5s",
    ]


def test_steps_fold_away_when_their_target_succeeds() -> None:
    trace = folded(*BUILD, step("c", "[builder 2/3] RUN make", 0.6, 2), end("1", "app", 0, 2.24))
    assert texts(trace, 3, 40) == ["[+] Building 3.0s (1/1)", " => app                             2.2s"]


def test_of_a_target_that_failed_the_steps_that_did_are_left() -> None:
    trace = folded(
        *BUILD,
        step("c", "[builder 2/3] RUN make", 0.6, 2, error="exit code 2"),
        step("e", "[stage-1 2/2] ADD big /", 0.7, 2, error="canceled", canceled=True),
        end("1", "app", 0, 2.24, error="exit code 2"),
    )
    assert board(trace, at(3), 40, 99)[1:] == [
        Row(" => ERROR app                       2.2s", "error"),
        Row(" => => ERROR [builder 2/3] RUN make 1.4s", "error"),
    ]


def test_a_row_has_the_style_of_what_became_of_its_vertex() -> None:
    trace = folded(
        *BUILD,
        SolveStatus(warnings=(VertexWarning("b", "FROM is old"),)),
        step("e", "[stage-1 2/2] ADD big /", 0.7, 2, error="canceled", canceled=True),
    )
    assert [(row.text.split("]")[0], row.style) for row in board(trace, at(3), 80, 99)] == [
        ("[+", ""),
        (f" => app{'3.0s':>73}", ""),
        (" => => [internal", "done"),
        (" => => CACHED [builder 1/3", "done"),
        (" => => => WARN: FROM is old", "warning"),
        (" => => [builder 2/3", ""),
        (" => => => # cc one.c", "output"),
        (" => => => # cc two.c", "output"),
        (" => => CANCELED [stage-1 2/2", "canceled"),
    ]


def test_a_step_may_have_steps_of_its_own() -> None:
    trace = folded(begin("1", "app"), step("a", "outer", 0), step("b", "inner", 1, parent="a"), log("b", b"text\n"))
    assert texts(trace, 2, 30) == [
        "[+] Building 2.0s (0/1)",
        " => app                   2.0s",
        " => => outer              2.0s",
        " => => => inner           1.0s",
        " => => => => # text",
    ]


def test_a_target_has_its_own_last_lines_while_no_step_of_it_runs() -> None:
    trace = folded(begin("1", "app"), step("a", "RUN", 0, 1), log("1", b"1\n2\n3\n4\n\n6\n" + b"x" * 99))
    assert texts(trace, 2, 30) == [
        "[+] Building 2.0s (0/1)",
        " => app                   2.0s",
        " => => RUN                1.0s",
        " => => # 4",
        " => => # 6",
        f" => => # {'x' * 20}…",
    ]


@pytest.mark.parametrize(
    ("height", "kept"),
    [
        (99, "0123456789"),
        (10, "0123456789"),
        (9, "012356789"),
        (8, "01235789"),
        (7, "0123589"),
        (6, "012358"),
        (5, "02358"),
        (4, "0358"),
        (3, "038"),
        (2, "08"),
        (1, "0"),
        (0, ""),
    ],
)
def test_what_gives_way_on_a_low_terminal(height: int, kept: str) -> None:
    """Steps that have ended, then last lines, targets that have ended, parts and steps that run, and targets that run."""
    trace = folded(
        begin("x", "ended first"),
        begin("y", "ended last"),
        begin("1", "app"),
        step("a", "ended step", 0, 1),
        step("b", "runs", 0),
        log("b", b"first line\nlast line\n"),
        begin("2", "other"),
        log("2", b"a line\n"),
        end("y", "ended last", 0, 2),
        end("x", "ended first", 0, 1),
    )
    rows = texts(trace, 2, 40)
    names = [
        "[+]", "ended first", "ended last", "app", "ended step", "runs", "# first line", "# last line", "other", "# a line",
    ]  # fmt: skip
    assert [name in row for name, row in zip(names, rows, strict=True)] == [True] * 10
    assert texts(trace, 2, 40, height) == [rows[int(index)] for index in kept]


@pytest.mark.parametrize(
    ("current", "total", "expected"),
    [
        (0, 0, " => name              1.0s"),
        (512, 0, " => name 512B         1.0s"),
        (0, 2_000, " => name 0B / 2.0kB   1.0s"),
        (512, 2_000, " => name 512B / 2.0kB 1.0s"),
    ],
)
def test_a_part_shows_its_bytes(current: int, total: int, expected: str) -> None:
    status = VertexStatus("name", "1", "", current, total, at(0), at(0))
    assert status_row(status, 0, at(1), 26).text == expected


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (80, " => name [=======>            ] 750.0MB / 2.0GB 75.0MB/s 17s left          10.0s"),
        (66, " => name [=====>         ] 750.0MB / 2.0GB 75.0MB/s 17s left 10.0s"),
        (57, " => name [==>   ] 750.0MB / 2.0GB 75.0MB/s 17s left 10.0s"),
        (56, " => name [=====>        ] 750.0MB / 2.0GB 17s left 10.0s"),
        (48, " => name [==>   ] 750.0MB / 2.0GB 17s left 10.0s"),
        (47, " => name [=====>        ] 750.0MB / 2.0GB 10.0s"),
        (39, " => name [==>   ] 750.0MB / 2.0GB 10.0s"),
        (38, " => name 750.0MB / 2.0GB         10.0s"),
        (30, " => name 750.0MB / 2.0GB 10.0s"),
        (29, " => name                10.0s"),
        (12, " => n… 10.0s"),
        (5, "10.0s"),
        (3, "10."),
    ],
)
def test_a_bar_gives_way_piece_by_piece(width: int, expected: str) -> None:
    status = VertexStatus("name", "1", "", 750_000_000, 2_000_000_000, at(10), at(0))
    assert status_row(status, 0, at(10), width).text == expected


@pytest.mark.parametrize("current", [2_000, 3_000])
def test_a_bar_is_full_when_all_is_there(current: int) -> None:
    status = VertexStatus("name", "1", "", current, 2_000, at(10), at(0))
    assert status_row(status, 0, at(10), 37).text == f" => name [======] {size(current)} / 2.0kB 10.0s"


def test_of_many_targets_that_have_ended_the_last_are_left() -> None:
    ends = [end(f"{number}", f"target {number}", 0, number) for number in range(50)]
    rows = texts(folded(begin("x", "runs"), *reversed(ends)), 60, 30, 4)
    assert rows == [
        "[+] Building 60.0s (50/51)",
        " => runs                 60.0s",
        " => target 49            49.0s",
        " => target 48            48.0s",
    ]


def test_a_character_is_shown_as_every_terminal_shows_it_without_joiners_and_selectors() -> None:
    trace = folded(begin("1", "\u2764\ufe0f \U0001f468\u200d\U0001f469"))
    assert texts(trace, 1, 20)[1] == " => \u2764 \U0001f468\U0001f469      1.0s"


def test_a_name_of_many_lines_or_with_control_characters_is_one_row() -> None:
    trace = folded(begin("1", "a\nb\t\x1b[31mc\x1b[0m\x07 \udcff"), log("1", b"\tone\x1b[2J\n\xe2\x80\x8dtwo\n"))
    assert texts(trace, 1, 30) == [
        "[+] Building 1.0s (0/1)",
        " => a b c \ufffd               1.0s",
        " => => #         one",
        " => => # two",
    ]


def test_a_colour_ends_with_its_row() -> None:
    assert painted(Row("text", "error")) == "\x1b[31mtext\x1b[0m"
    assert summary(folded(end("1", "a", 0, 1)), at(1), 12, colour=True) == [
        "[+] Building",
        "\x1b[34m => a   1.0s\x1b[0m",
    ]


@given(scripts, times, st.integers(1, 120), st.integers(0, 60))
def test_no_row_is_wider_than_the_terminal_and_there_are_no_more_rows_than_it_has_lines(
    events: list[SolveStatus], now: int, width: int, height: int
) -> None:
    trace = folded(*events)
    rows = [row.text for row in board(trace, now, width, height)]
    assert len(rows) <= height
    assert max(map(cell_len, [*rows, *summary(trace, now, width)])) <= width
    assert not [row for row in rows if any(ord(character) < 32 for character in row)]


@given(scripts, times)
def test_every_target_that_runs_is_on_a_board_that_has_room_for_it(events: list[SolveStatus], now: int) -> None:
    trace = folded(*events)
    running = sum(node.vertex.completed is None for node in trace.targets)
    styles = [row.style for row in board(trace, now, 80, running + 1)]
    assert styles == [""] * (running + 1)


def test_an_estimate_is_in_seconds_minutes_or_hours() -> None:
    assert [time_left(seconds * SECOND) for seconds in (0, 59, 60, 3599, 3600)] == [
        "0s left", "59s left", "1m00s left", "59m59s left", "1h00m left",
    ]  # fmt: skip
