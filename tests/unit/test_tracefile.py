import json
from collections.abc import Iterable
from itertools import combinations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from magnet.events import SolveStatus, Vertex, VertexStatus
from magnet.progress.trace import Trace
from magnet.progress.tracefile import trace_events
from tests.unit.script import EVENTS, at, begin, folded

SECOND = 10**6
"""A second, in the unit of the format."""


def loaded(trace: Trace, now: int) -> list[dict[str, Any]]:
    """The events of a trace, which is valid."""
    found = json.loads(trace_events(trace, now))
    assert set(found) == {"traceEvents", "displayTimeUnit", "otherData"}
    assert found["displayTimeUnit"] == "ms"
    for event in found["traceEvents"]:
        check(event)
    check_lanes(found["traceEvents"])
    events: list[dict[str, Any]] = found["traceEvents"]
    return events


def check(event: dict[str, Any]) -> None:
    """What the format asks of the two kinds of events that there are."""
    assert isinstance(event["name"], str)
    assert isinstance(event["args"], dict)
    assert event["pid"] == 1
    assert isinstance(event["tid"], int)
    if event["ph"] == "M":
        assert set(event) == {"ph", "name", "pid", "tid", "args"}
        (key,) = event["args"]
        assert (event["name"], key) in {
            ("process_name", "name"),
            ("thread_name", "name"),
            ("thread_sort_index", "sort_index"),
        }
        return
    assert event["ph"] == "X"
    assert set(event) == {"ph", "name", "cat", "ts", "dur", "pid", "tid", "args"}
    assert isinstance(event["ts"], int)
    assert isinstance(event["dur"], int)
    assert event["dur"] >= 0


def check_lanes(events: Iterable[dict[str, Any]]) -> None:
    """Two events of a lane are one after the other, or one within the other."""
    spans = [(one["tid"], one["ts"], one["ts"] + one["dur"]) for one in events if one["ph"] == "X"]
    for (lane, first, end), (other, second, stop) in combinations(spans, 2):
        if lane == other:
            after = end <= second or stop <= first
            within = (first <= second and stop <= end) or (second <= first and end <= stop)
            assert after or within


def complete(events: Iterable[dict[str, Any]]) -> list[tuple[str, str, int, int, int]]:
    """Kind, name, lane, begin and duration of what took its time."""
    return [(one["cat"], one["name"], one["tid"], one["ts"], one["dur"]) for one in events if one["ph"] == "X"]


def step(digest: str, begun: float, ended: float, *, parent: str = "1") -> Vertex:
    return Vertex(digest, digest, (), at(begun), at(ended), parent=parent)


def test_targets_are_lanes_with_what_is_known_of_them() -> None:
    trace = folded(
        *EVENTS[:1],
        SolveStatus(vertexes=(Vertex("1", "base", (), at(0), at(2.24), cached=True, took=9 * 10**9),)),
        SolveStatus(vertexes=(Vertex("2", "app", ("1", "not known"), at(1), at(3), error="exit code 2 \udcff"),)),
    )
    events = loaded(trace, at(9))
    assert [one for one in events if one["ph"] == "M"] == [
        {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": "magnet"}},
        {"ph": "M", "name": "thread_name", "pid": 1, "tid": 1, "args": {"name": "base"}},
        {"ph": "M", "name": "thread_sort_index", "pid": 1, "tid": 1, "args": {"sort_index": 1}},
        {"ph": "M", "name": "thread_name", "pid": 1, "tid": 2, "args": {"name": "app"}},
        {"ph": "M", "name": "thread_sort_index", "pid": 1, "tid": 2, "args": {"sort_index": 2}},
    ]
    base = {"digest": "1", "cached": True, "canceled": False, "error": "", "inputs": [], "took": 9 * SECOND}
    app = {"digest": "2", "cached": False, "canceled": False, "error": "exit code 2 \\xff", "inputs": ["base"]}
    assert [one["args"] for one in events if one["ph"] == "X"] == [base, app]
    assert complete(events) == [
        ("target", "base", 1, 0, 2_240_000),
        ("target", "app", 2, SECOND, 2 * SECOND),
    ]
    assert json.loads(trace_events(trace, 0))["otherData"] == {"started": "2020-07-23T04:26:30Z"}


def test_steps_at_the_same_time_are_in_lanes_of_their_own() -> None:
    steps = (step("a", 0, 4), step("b", 1, 3), step("c", 3, 6), step("inner", 1, 2, parent="b"))
    events = loaded(folded(begin("1", "base"), SolveStatus(vertexes=steps)), at(9))
    assert complete(events) == [
        ("target", "base", 1, 0, 9 * SECOND),
        ("step", "a", 1, 0, 4 * SECOND),
        ("step", "b", 2, SECOND, 2 * SECOND),
        ("step", "inner", 2, SECOND, SECOND),
        ("step", "c", 2, 3 * SECOND, 3 * SECOND),
    ]
    names = [one["args"]["name"] for one in events if one["name"] == "thread_name"]
    assert names == ["base", "base (2)"]


def test_transfers_are_parts_of_their_step() -> None:
    context = VertexStatus("transferring context", "a", current=5, total=10, timestamp=at(2), started=at(1))
    done = VertexStatus("layer", "a", current=7, timestamp=at(3), started=at(2.5), completed=at(3))
    no_bytes = VertexStatus("extracting", "a", timestamp=at(3), started=at(2.5))
    events = loaded(
        folded(
            begin("1", "base"),
            SolveStatus(vertexes=(step("a", 0, 4),), statuses=(context, done, no_bytes)),
        ),
        at(9),
    )
    assert [(*found, one["args"]) for found, one in zip(complete(events), events[3:], strict=True)][2:] == [
        ("transfer", "transferring context", 1, SECOND, SECOND, {"bytes": 5, "total": 10}),
        ("transfer", "layer", 1, 2_500_000, 500_000, {"bytes": 7, "total": 0}),
    ]


def test_a_run_without_targets_is_valid() -> None:
    assert complete(loaded(Trace(), at(0))) == []


TIMES = st.none() | st.integers(0, 8).map(lambda number: at(0) + number * 700)  # less than a microsecond counts


@st.composite
def runs(draw: st.DrawFn) -> SolveStatus:
    """Vertexes in any nesting, begun and ended at any time, and transfers."""
    size = draw(st.integers(1, 9))
    vertexes = []
    for number in range(size):
        parent = draw(st.sampled_from(["", *map(str, range(number))]))
        begun, ended = draw(TIMES), draw(TIMES)
        vertexes.append(Vertex(str(number), draw(st.text(max_size=3)), ("0",), begun, ended, parent=parent))
    statuses = [
        VertexStatus(str(id_), str(draw(st.integers(0, size))), "", 1, 2, draw(TIMES) or 0, draw(TIMES), draw(TIMES))
        for id_ in range(draw(st.integers(0, 4)))
    ]
    return SolveStatus(vertexes=tuple(vertexes), statuses=tuple(statuses))


@settings(max_examples=300, deadline=None)
@given(runs())
def test_a_lane_holds_what_is_nested_or_disjoint_whatever_ran_when(status: SolveStatus) -> None:
    events = loaded(folded(status), at(1))
    assert sum(one["ph"] == "X" and one["cat"] != "transfer" for one in events) == len(status.vertexes)
