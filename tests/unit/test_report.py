from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnet.events import SolveStatus, Vertex
from magnet.progress.report import report
from magnet.progress.spans import own_time, waits
from magnet.progress.trace import Trace
from tests.unit.script import EVENTS, at, folded


def vertex(
    digest: str,
    begun: float,
    ended: float,
    *inputs: str,
    name: str = "",
    parent: str = "",
    cached: bool = False,
    error: str = "",
    canceled: bool = False,
    took: float | None = None,
) -> Vertex:
    return Vertex(
        digest, name or digest, inputs, at(begun), at(ended), cached, error, canceled, parent,
        None if took is None else round(took * 10**9),
    )  # fmt: skip


def traced(*vertexes: Vertex) -> Trace:
    return folded(SolveStatus(vertexes=vertexes))


def test_a_report_tells_what_took_longest_what_was_cached_and_what_that_saved() -> None:
    trace = traced(
        vertex("app", 0, 12.3, "base", "lint"),
        vertex("base", 0, 8.2),
        vertex("lint", 0, 0.5, cached=True, took=20),
        vertex("tiny", 0, 0.04, cached=True, took=15),
        vertex("a1", 8.3, 12.2, name="[2/3] RUN make", parent="app", error="exit code 2"),
        vertex("a2", 8.2, 8.3, name="[1/3] FROM x", parent="app", cached=True),
        vertex("b1", 0, 8, name="[1/1] RUN make", parent="base"),
        vertex("b2", 0, 7, name="inner", parent="b1"),
    )
    assert report(trace, at(99), 60) == [
        "Slowest targets:",
        "  base                                                  8.2s",
        "  app                                          4.1s of 12.3s",
        "  CACHED lint                                           0.5s",
        "Slowest steps:",
        "  base: [1/1] RUN make                                  8.0s",
        "  base: inner                                           7.0s",
        "  ERROR app: [2/3] RUN make                             3.9s",
        "  CACHED app: [1/3] FROM x                              0.1s",
        "Cached: 2 of 4 targets, 1 of 4 steps; 34.5s saved",
    ]


def test_only_the_slowest_are_shown() -> None:
    trace = traced(*(vertex(str(number), 0, number) for number in range(1, 9)))
    assert [line.split() for line in report(trace, at(9), 40)[1:-1]] == [
        [str(number), f"{number}.0s"] for number in (8, 7, 6, 5, 4)
    ]


def test_what_goes_on_takes_its_time_until_now() -> None:
    assert report(folded(*EVENTS[:1]), at(3), 30) == [
        "Slowest targets:",
        "  base                    3.0s",
        "Cached: 0 of 1 target",
    ]


@pytest.mark.parametrize(
    ("cached", "told"),
    [
        ([vertex("a", 0, 1, cached=True)], "1 of 1 target"),
        ([vertex("a", 0, 1, cached=True, took=3)], "1 of 1 target; 2.0s saved"),
        ([vertex("a", 0, 3, cached=True, took=1)], "1 of 1 target"),
        ([vertex("a", 0, 3, cached=True, took=1), vertex("b", 0, 0, cached=True, took=1)], "2 of 2 targets; 1.0s saved"),
        ([vertex("a", 0, 0, cached=True), vertex("b", 0, 0, cached=True, took=1)], "2 of 2 targets; at least 1.0s saved"),
    ],
    ids=["unknown", "known", "looking took longer", "one took longer", "one is unknown"],
)  # fmt: skip
def test_what_was_saved_is_what_it_took_when_it_was_done(cached: list[Vertex], told: str) -> None:
    assert report(traced(*cached), at(9), 80)[-1] == f"Cached: {told}"


NAMES = st.text() | st.sampled_from(["x" * 90, "\u6784\u5efa" * 40, "\x1b[31m\udcff\r\n", "e\u0301" * 60])


@given(NAMES, NAMES, st.integers(1, 100))
def test_no_line_is_wider_than_it_may_be_nor_two(target: str, step: str, width: int) -> None:
    from rich.cells import cell_len

    trace = traced(vertex("1", 0, 5, name=target, cached=True, took=9), vertex("2", 0, 5, name=step, parent="1"))
    for line in report(trace, at(9), width):
        assert cell_len(line) <= width
        assert len(line.splitlines()) == 1


# Waiting


@st.composite
def needing(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Begin and end of a target, and then of each that it needs."""
    spans = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda ends: (min(ends), max(ends)))
    return draw(st.lists(spans, min_size=1, max_size=6))


@given(needing())
def test_own_time_is_what_no_input_ran_in(spans: list[tuple[int, int]]) -> None:
    (begin, end), *inputs = spans
    trace = traced(
        vertex("x", begin, end, *map(str, range(len(inputs))), "not known"),
        *(vertex(str(number), *span) for number, span in enumerate(inputs)),
    )
    own = [second for second in range(begin, end) if not any(start <= second < stop for start, stop in inputs)]
    assert own_time(trace, trace.nodes["x"], 0) == len(own) * 10**9
    found = waits(trace, trace.nodes["x"], 0)
    assert all(start < stop for start, stop in found)
    assert all(one[1] < two[0] for one, two in pairwise(found))
