"""Events as plain lines: what stands where, and whose turn it is."""

import re
import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnet import turns
from magnet.events import Range, SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning
from magnet.printing import Printer, plain, plain_text
from tests.unit.script import START, at, begin, end, log

MB = 1_000_000


def printed(*events: SolveStatus, interleave: bool = False) -> str:
    """What is printed of the events."""
    out: list[str] = []
    printer = Printer(out.append, interleave=interleave)
    for status in events:
        printer.update(status)
    printer.done()
    return "".join(out)


def waits(digest: str, name: str, *inputs: str, time: float = 0) -> SolveStatus:
    return SolveStatus(vertexes=(Vertex(digest, name, inputs, at(time)),))


def step(digest: str, name: str, parent: str, begun: float, ended: float | None = None) -> SolveStatus:
    done = None if ended is None else at(ended)
    return SolveStatus(vertexes=(Vertex(digest, name, (), at(begun), done, parent=parent),))


def far(current: int, total: int, time: float, *, done: bool = False, name: str = "hashing") -> SolveStatus:
    status = VertexStatus(name, "t", "", current, total, at(time), at(0), at(time) if done else None)
    return SolveStatus(statuses=(status,))


# Blocks


def test_targets_that_print_at_the_same_time_have_a_block_each() -> None:
    events = (
        begin("a", "a"),
        begin("b", "b"),
        log("a", b"a1\n", 1),
        log("b", b"b1\n", 1),
        log("a", b"a2\n", 2),
        log("b", b"b2\n", 2),
        end("b", "b", 0, 3),
        log("a", b"a3\n", 4),
        end("a", "a", 0, 5),
    )
    assert printed(*events) == (
        "#1 a\n#1 1.000 a1\n#1 2.000 a2\n#1 4.000 a3\n#1 DONE 5.0s\n\n#2 b\n#2 1.000 b1\n#2 2.000 b2\n#2 DONE 3.0s\n"
    )
    assert printed(*events, interleave=True) == (
        "#1 a\n#2 b\n#1 1.000 a1\n#2 1.000 b1\n#1 2.000 a2\n#2 2.000 b2\n#2 DONE 3.0s\n#1 4.000 a3\n#1 DONE 5.0s\n"
    )


def test_the_lines_of_whose_turn_it_is_are_printed_at_once() -> None:
    out: list[str] = []
    printer = Printer(out.append)
    printer.update(begin("a", "a"))
    assert out == []
    printer.update(log("a", b"1\n", 1))
    assert "".join(out) == "#1 a\n#1 1.000 1\n"


def test_a_target_without_output_holds_nobody_up() -> None:
    events = (begin("a", "waits"), begin("b", "b"), log("b", b"b1\n", 1), end("b", "b", 0, 2), end("a", "waits", 0, 3))
    assert printed(*events) == "#1 b\n#1 1.000 b1\n#1 DONE 2.0s\n\n#2 waits\n#2 DONE 3.0s\n"


def test_a_target_that_waits_for_another_gives_it_its_turn_and_has_the_next() -> None:
    events = (
        begin("a", "app"),
        log("a", b"first\n", 1),
        begin("c", "other"),
        log("c", b"unasked\n", 1),
        waits("a", "app", "b"),
        begin("b", "base", 2),
        log("b", b"based\n", 3),
        end("b", "base", 2, 4),
        log("a", b"then\n", 5),
        SolveStatus(vertexes=(Vertex("a", "app", ("b",), at(0), at(6)),)),
        end("c", "other", 0, 7),
    )
    assert printed(*events) == (
        "#1 app\n#1 1.000 first\n#1 ...\n\n"
        "#2 base\n#2 1.000 based\n#2 DONE 2.0s\n\n"
        "#1 app\n#1 5.000 then\n#1 DONE 6.0s\n\n"
        "#3 other\n#3 1.000 unasked\n#3 DONE 7.0s\n"
    )


def test_steps_stand_in_their_targets_block_one_after_the_other() -> None:
    events = (
        begin("t", "app"),
        log("t", b"Exec:  docker build\n", 0.1),
        step("1", "[a 1/1] RUN a", "t", 1),
        step("2", "[b 1/1] RUN b", "t", 1),
        log("1", b"a1\n", 1.5),
        log("2", b"b1\n", 1.5),
        log("1", b"a2\n", 2),
        step("1", "[a 1/1] RUN a", "t", 1, 3),
        log("2", b"b2\n", 3.5),
        step("2", "[b 1/1] RUN b", "t", 1, 4),
        log("t", b"Exec:  docker tag\n", 5),
        end("t", "app", 0, 6),
    )
    assert printed(*events) == (
        "#1 app\n#1 0.100 Exec:  docker build\n#1 ...\n\n"
        "#2 [a 1/1] RUN a\n#2 0.500 a1\n#2 1.000 a2\n#2 DONE 2.0s\n\n"
        "#3 [b 1/1] RUN b\n#3 0.500 b1\n#3 2.500 b2\n#3 DONE 3.0s\n\n"
        "#1 app\n#1 5.000 Exec:  docker tag\n#1 DONE 6.0s\n"
    )


def test_what_never_ended_is_printed_in_the_end() -> None:
    events = (begin("a", "a"), begin("b", "b"), log("a", b"a1\n"), log("b", b"b1\n"), step("s", "s", "b", 0))
    assert printed(*events) == "#1 a\n#1 0.000 a1\n#1 ...\n\n#2 b\n#2 0.000 b1\n"


def test_what_is_said_of_a_vertex_that_nobody_named_is_left_out() -> None:
    assert printed(log("x", b"1\n"), begin("a", "a"), log("a", b"2\n"), far(1, 2, 1)) == "#1 a\n#1 0.000 2\n"


# Lines


def test_a_line_of_each_kind_is_as_buildkit_prints_it() -> None:
    warnings = (
        VertexWarning("t", "casing", file="Dockerfile", range=(Range(3, 4),)),
        VertexWarning("t", "old (line 5)"),
    )
    events = (
        begin("t", "[1/2] FROM x"),
        far(2_100_000, 0, 0.005, name="transferring context:"),
        far(31, 0, 0.1, done=True, name="transferring dockerfile:"),
        SolveStatus(warnings=warnings),
        log("t", b"one\n\n\ttwo\n", 12.345),
        log("t", b"late\n", 123.45),
        end("t", "[1/2] FROM x", 0, 130),
    )
    assert printed(*events) == (
        "#1 [1/2] FROM x\n"
        "#1 transferring context: 2.10MB\n"
        "#1 transferring dockerfile: 31B 0.1s done\n"
        "#1 WARN: casing (Dockerfile:3)\n"
        "#1 WARN: old (line 5)\n"
        "#1 12.35 one\n#1 12.35\n#1 12.35 \ttwo\n"
        "#1 123.5 late\n"
        "#1 DONE 130.0s\n"
    )


def test_a_status_is_printed_when_it_is_news() -> None:
    events = [far(number * MB, 100 * MB, number / 10) for number in range(1, 12)]
    events += [
        far(12 * MB, 100 * MB, 6.1),
        far(100 * MB, 100 * MB, 6.2, done=True),
        far(100 * MB, 100 * MB, 6.3, done=True),
    ]
    assert printed(begin("t", "t"), *events, end("t", "t", 0, 7)) == (
        "#1 t\n"
        "#1 hashing 1.00MB / 100.00MB 0.1s\n"
        "#1 hashing 6.00MB / 100.00MB 0.6s\n"
        "#1 hashing 11.00MB / 100.00MB 1.1s\n"
        "#1 hashing 12.00MB / 100.00MB 6.1s\n"
        "#1 hashing 100.00MB / 100.00MB 6.2s done\n"
        "#1 DONE 7.0s\n"
    )


@pytest.mark.parametrize("interleave", [False, True])
def test_no_name_error_or_output_can_break_a_line_or_play_with_a_terminal(interleave: bool) -> None:
    events = (
        begin("a", "a\nb\x1b[2J\r"),
        log("a", b"\x1b[31mred\x1b[0m\rover\x07\n"),
        end("a", "a\nb\x1b[2J\r", 0, 1, error="no\x1b]0;x\x07\nluck"),
    )
    text = printed(*events, interleave=interleave)
    assert text == "#1 a\n#1 b\n#1 0.000 over\n#1 ERROR: no\n#1 luck\n"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xc2\xc2\x80\x9b31m", "\ufffd\ufffd31m"),
        (b"\xc2\x00\x9b31mred", "red"),
        (b"\x1b\x1b[0m[31mred", "[31mred"),
        ("\x9b\x9b31mred".encode(), "red"),
    ],
)
def test_taking_out_control_sequences_makes_no_new_ones(data: bytes, text: str) -> None:
    assert plain_text(data) == text


@given(
    st.lists(
        st.sampled_from([b"\xc2", b"\x80", b"\x9b", b"\x1b", b"[", b"]", b"3", b"m", b"\r", b"\n", b"\0", b"\x07"])
    )
)
def test_nothing_that_is_printed_holds_a_control_character(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    for text in (plain_text(data), plain(data.decode(errors="surrogateescape"))):
        assert [one for one in text if unicodedata.category(one) == "Cc" and one != "\n"] == []


@pytest.mark.parametrize("interleave", [False, True])
def test_an_outcome_that_is_told_twice_is_printed_once(interleave: bool) -> None:
    events = (begin("t", "t"), end("t", "t", 0, 1), end("t", "t", 0, 1))
    assert printed(*events, interleave=interleave) == "#1 t\n#1 DONE 1.0s\n"


def test_what_goes_on_after_its_end_is_taken_up_again() -> None:
    events = (begin("t", "t"), end("t", "t", 0, 1), begin("t", "t"), log("t", b"more\n", 2), end("t", "t", 0, 3))
    assert printed(*events) == "#1 t\n#1 DONE 1.0s\n\n#1 t\n#1 2.000 more\n#1 DONE 3.0s\n"


def test_what_ends_and_begins_again_at_once_has_not_ended() -> None:
    both = SolveStatus(vertexes=(*end("t", "t", 0, 1).vertexes, *begin("t", "t").vertexes))
    assert printed(both, log("t", b"1\n")) == "#1 t\n#1 0.000 1\n"


def test_a_status_that_begins_anew_ends_anew() -> None:
    first, second = (VertexStatus("get", "t", "", 5, 5, at(time), at(time - 1), at(time)) for time in (1, 3))
    events = (begin("t", "t"), *(SolveStatus(statuses=(one,)) for one in (first, second, second)))
    assert printed(*events) == "#1 t\n#1 get 5B / 5B 1.0s done\n#1 get 5B / 5B 1.0s done\n"


@pytest.mark.parametrize("interleave", [False, True])
def test_a_vertex_that_never_begins_is_named_when_there_is_something_to_say_of_it(interleave: bool) -> None:
    unbegun = SolveStatus(vertexes=(Vertex("t", "t"), Vertex("u", "u")))
    assert printed(unbegun, far(1, 4, 1), log("t", b"1\n", 2), interleave=interleave) == (
        "#1 t\n#1 hashing 1B / 4B 1.0s\n#1 0.000 1\n"
    )
    canceled = SolveStatus(vertexes=(Vertex("t", "t", completed=at(1), error="e", canceled=True),))
    assert printed(unbegun, canceled, interleave=interleave) == "#1 t\n#1 CANCELED\n"


@pytest.mark.parametrize("interleave", [False, True])
def test_lines_that_wait_in_a_pause_are_printed_after_it(interleave: bool) -> None:
    out: list[str] = []
    printer = Printer(out.append, interleave=interleave)
    printer.update(begin("t", "t"))
    printer.update(log("t", b"0\n"))
    printer.pause()
    printer.update(log("t", b"1\n", 1))
    printer.pause()
    printer.update(log("t", b"2\n", 2))
    before = "".join(out)
    assert before == "#1 t\n#1 0.000 0\n"
    printer.resume()
    assert "".join(out) == f"{before}#1 1.000 1\n#1 2.000 2\n"


# Any events

DIGESTS = "abc"
EVENT = st.tuples(st.sampled_from("abc123456"), st.sampled_from(["log", "end"]))


def scripted(moves: Sequence[tuple[str, str]], needs: Sequence[tuple[str, str]]) -> list[SolveStatus]:
    """Events of three targets with two steps each, which begin before they say anything."""
    parents = {str(number + 1): DIGESTS[number // 2] for number in range(6)}
    inputs: dict[str, tuple[str, ...]] = dict.fromkeys(DIGESTS, ())
    for who, what in needs:
        if who < what:
            inputs[who] += (what,)
    events: list[SolveStatus] = []
    begun: dict[str, Vertex] = {}
    ended: set[str] = set()
    for number, (digest, what) in enumerate(moves):
        for one in filter(None, (parents.get(digest, ""), digest)):
            if one not in begun:
                begun[one] = Vertex(one, f"name-{one}", inputs.get(one, ()), START, parent=parents.get(one, ""))
                events.append(SolveStatus(vertexes=(begun[one],)))
        if digest in ended or parents.get(digest) in ended:
            continue
        if what == "log":
            events.append(SolveStatus(logs=(VertexLog(digest, 1, b"<%s:%d>\n" % (digest.encode(), number), START),)))
        else:
            ended.add(digest)
            vertex = begun[digest]
            last = Vertex(digest, vertex.name, vertex.inputs, START, START, parent=vertex.parent)
            events.append(SolveStatus(vertexes=(last,)))
    return events


def said(events: Sequence[SolveStatus]) -> dict[str, list[str]]:
    """What each vertex printed."""
    found: dict[str, list[str]] = {}
    for status in events:
        for one in status.logs:
            found.setdefault(one.vertex, []).append(one.data.decode().strip())
    return found


@settings(max_examples=300, deadline=None)
@given(
    st.lists(EVENT, max_size=40),
    st.lists(st.tuples(st.sampled_from(DIGESTS), st.sampled_from(DIGESTS)), max_size=3),
    st.booleans(),
    st.sampled_from([1, 1 << 16]),
)
def test_every_line_is_printed_once_and_in_order_in_a_block_of_its_vertex(
    moves: list[tuple[str, str]], needs: list[tuple[str, str]], interleave: bool, waiting: int
) -> None:
    events = scripted(moves, needs)
    before, turns.LONGEST_WAIT = turns.LONGEST_WAIT, waiting  # the least: all that waits goes into a file
    try:
        text = printed(*events, interleave=interleave)
    finally:
        turns.LONGEST_WAIT = before
    lines = {digest: re.findall(rf"<{digest}:\d+>", text) for digest in "abc123456"}
    assert {digest: found for digest, found in lines.items() if found} == said(events)
    assert text.count("DONE") == sum(vertex.completed is not None for status in events for vertex in status.vertexes)
    if interleave:
        return
    for block in text.split("\n\n"):
        assert len({line.partition(" ")[0] for line in block.splitlines()}) <= 1, "a block is one vertex's"
    for first, second in zip(text.split("\n\n"), text.split("\n\n")[1:], strict=False):
        number = first.split()[0] if first else ""
        assert not first or f"{number} DONE" in first or first.endswith(f"{number} ..."), "it says that it is left"
        assert second.splitlines()[0].split()[1].startswith("name-"), "it begins with its name"


def test_what_waits_is_not_held_in_memory() -> None:
    import tracemalloc

    printer = Printer(lambda text: None)
    for status in (begin("a", "a"), log("a", b"1\n"), begin("b", "b")):
        printer.update(status)
    chunk = b"x" * 60_000 + b"\n"
    tracemalloc.start()
    try:
        for number in range(500):
            printer.update(SolveStatus(logs=(VertexLog("b", 1, chunk + b"%d\n" % number, START),)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2_000_000
    printer.update(end("a", "a", 0, 1))
    printer.done()
