"""What is shown when all is over."""

import io

from magnet.events import Range, SolveStatus, Vertex, VertexLog, VertexWarning
from magnet.progress.ending import failure, print_end, warnings
from tests.unit.script import at, begin, end, folded, log


def step(digest: str, name: str, *, error: str = "", canceled: bool = False) -> SolveStatus:
    vertex = Vertex(digest, name, (), at(0), at(1), error=error, canceled=canceled, parent="t")
    return SolveStatus(vertexes=(vertex,))


def test_of_a_failed_build_the_step_that_failed_is_shown() -> None:
    trace = folded(
        begin("t", "app"),
        log("t", b"Exec:  docker build\n"),
        step("1", "[1/4] FROM base"),
        step("2", "[2/4] RUN wait", error="canceled", canceled=True),
        SolveStatus(vertexes=step("3", "[3/4] RUN make").vertexes, logs=(VertexLog("3", 1, b"gcc\nno\n", at(1)),)),
        step("3", "[3/4] RUN make", error="exit code: 2"),
        end("t", "app", 0, 2, error="docker build failed"),
    )
    assert failure(trace.targets[0]) == ["------", " > app:", "[3/4] RUN make", "gcc", "no", "------"]


def test_it_is_said_how_many_lines_are_left_out() -> None:
    lines = b"".join(b"%d\n" % number for number in range(1500))
    trace = folded(begin("t", "app"), log("t", lines), log("t", b"no end"), end("t", "app", 0, 2, error="e"))
    shown = failure(trace.targets[0])
    assert shown[:3] == ["------", " > app:", "(1,481 more lines stand before these in the log)"]
    assert shown[3:] == [*map(str, range(1481, 1500)), "no end", "------"]


def test_no_name_and_no_warning_can_play_with_a_terminal() -> None:
    warned = SolveStatus(warnings=(VertexWarning("t", "old\x1b[2J", ("\x1b]0;x\x07more",), "\x9bmu"),))
    trace = folded(begin("t", "a\x1b[2J"), log("t", b"1\n"), warned, end("t", "a\x1b[2J", 0, 2, error="e"))
    assert failure(trace.targets[0]) == ["------", " > a:", "1", "------"]
    assert warnings(trace, trace.targets[0]) == ["warning: target `a`: old", "  more", "hint: see u"]


def test_warnings_stand_last_with_their_target_and_step() -> None:
    warned = (
        VertexWarning("t", "one"),
        VertexWarning("1", "two", ("more of it",), "https://example.org/two", 1, "Dockerfile", (Range(3, 4),)),
        VertexWarning("gone", "of nothing that is known"),
    )
    trace = folded(begin("t", "app"), step("1", "[1/1] FROM base"), SolveStatus(warnings=warned), end("t", "app", 0, 2))
    out = io.StringIO()
    print_end(trace, (), out, at(3), 40)
    assert out.getvalue() == (
        "[+] Building 2.0s (1/1) FINISHED\n"
        " => app                             2.0s\n"
        "warning: target `app`: one\n"
        "warning: target `app`: [1/1] FROM base: Dockerfile:3: two\n"
        "  more of it\n"
        "hint: see https://example.org/two\n"
    )
