"""Whose turn it is to be heard, and where waits what the others say."""

import io
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnet import turns
from magnet.events import SolveStatus, Vertex, VertexStatus, VertexWarning
from magnet.turns import Spool, Turns, Waiting
from tests.unit.script import at, begin, end, log


class Hall:
    """Turns of speakers that are named as their vertexes are, and all that was heard, in order."""

    def __init__(self, speaker: Callable[[str], str | None] = lambda digest: digest) -> None:
        self.heard: list[str] = []
        self.turns = Turns(speaker, self._hear, Spool())

    def _hear(self, speaker: str, status: SolveStatus) -> None:
        self.heard += [f"{speaker}: {one.data.decode()}" for one in status.logs]
        self.heard += [f"{speaker} ended" for one in status.vertexes if one.completed is not None]

    def say(self, *events: SolveStatus) -> list[str]:
        """What is heard when these events come."""
        before = len(self.heard)
        for status in events:
            self.turns.update(status)
        return self.heard[before:]


def vertex(digest: str, *inputs: str, parent: str = "") -> SolveStatus:
    return SolveStatus(vertexes=(Vertex(digest, digest, inputs, at(0), parent=parent),))


def ends(digest: str) -> SolveStatus:
    return end(digest, digest, 0, 1)


def test_who_begins_has_no_turn_before_it_speaks() -> None:
    hall = Hall()
    assert hall.say(begin("a", "a"), begin("b", "b"), log("b", b"1")) == ["b: 1"]
    assert hall.say(log("a", b"2")) == []
    assert hall.say(ends("b")) == ["b ended", "a: 2"]


@pytest.mark.parametrize(
    "said",
    [
        SolveStatus(statuses=(VertexStatus("reading", "a"),)),
        SolveStatus(warnings=(VertexWarning("a", "old"),)),
        log("a", b"1"),
    ],
    ids=["status", "warning", "output"],
)
def test_whatever_is_said_takes_the_turn(said: SolveStatus) -> None:
    hall = Hall()
    hall.say(begin("a", "a"), begin("b", "b"), said)
    assert hall.say(log("b", b"2")) == []


def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    hall = Hall()
    hall.say(*[begin(one, one) for one in "abcd"], log("a", b"1"))
    assert hall.say(log("c", b"1"), log("b", b"1"), ends("b"), ends("d"), ends("c")) == []
    assert hall.say(ends("a")) == ["a ended", "c: 1", "c ended", "b: 1", "b ended", "d ended"]


def test_whoever_is_waited_for_is_heard_first_however_far_away_it_is() -> None:
    hall = Hall()
    hall.say(vertex("a", "b"), vertex("b", "c"), begin("c", "c"), begin("x", "x"), log("a", b"1"), log("x", b"1"))
    assert hall.say(log("c", b"2")) == ["c: 2"]
    assert hall.say(log("a", b"3"), log("b", b"3")) == []
    assert hall.say(ends("c")) == ["c ended", "b: 3"]
    assert hall.say(ends("b")) == ["b ended", "a: 3"]
    assert hall.say(ends("a")) == ["a ended", "x: 1"]


def test_who_begins_to_wait_need_not_say_a_word_to_give_way() -> None:
    hall = Hall()
    hall.say(*[begin(one, one) for one in "abcx"], log("a", b"1"), log("x", b"1"))
    assert hall.say(vertex("a", "b"), log("b", b"2")) == ["b: 2"]
    assert hall.say(vertex("a", "b", "c"), log("c", b"3")) == []
    assert hall.say(ends("b")) == ["b ended", "c: 3"]


def test_what_was_said_before_waiting_is_heard_before_it() -> None:
    hall = Hall()
    hall.say(begin("x", "x"), log("x", b"1"), begin("a", "a"), begin("b", "b"), log("a", b"1"))
    hall.say(vertex("a", "b"), log("b", b"2"), ends("b"), log("a", b"3"))
    assert hall.say(ends("x")) == ["x ended", "a: 1", "b: 2", "b ended", "a: 3"]


def test_parts_are_heard_within_the_turn_of_what_they_are_parts_of() -> None:
    hall = Hall()
    hall.say(begin("t", "t"), log("t", b"1"), begin("x", "x"), log("x", b"1"))
    assert hall.say(vertex("s", parent="t"), vertex("r", parent="s"), log("s", b"2")) == ["s: 2"]
    assert hall.say(log("r", b"3")) == ["r: 3"]
    assert hall.say(log("t", b"4"), ends("r"), ends("s")) == ["r ended", "s ended", "t: 4"]


def test_those_that_wait_for_each_other_are_all_heard() -> None:
    hall = Hall()
    hall.say(vertex("a", "b"), vertex("b", "a"), log("a", b"1"), log("b", b"1"), log("a", b"2"), ends("b"), ends("a"))
    assert hall.heard == ["a: 1", "b: 1", "b ended", "a: 2", "a ended"]


def test_in_the_end_all_is_heard_also_of_those_that_never_end() -> None:
    hall = Hall()
    hall.say(vertex("a", "b"), vertex("b"), vertex("c"), *[log(one, b"1") for one in "abc"], log("a", b"2"))
    assert hall.heard == ["a: 1", "b: 1"]
    hall.turns.finish()
    assert hall.heard == ["a: 1", "b: 1", "a: 2", "c: 1"]


def test_who_speaks_again_after_its_end_asks_for_another_turn() -> None:
    hall = Hall()
    assert hall.say(begin("a", "a"), ends("a"), begin("b", "b"), log("b", b"1")) == ["a ended", "b: 1"]
    assert hall.say(begin("a", "a"), log("a", b"2")) == []
    assert hall.say(ends("b")) == ["b ended", "a: 2"]
    assert hall.say(log("b", b"3")) == []
    assert hall.say(ends("a")) == ["a ended", "b: 3"]


def test_in_a_pause_nothing_is_heard_and_after_it_all_in_order() -> None:
    hall = Hall()
    hall.say(begin("a", "a"), log("a", b"1"))
    hall.turns.pause()
    assert hall.say(log("a", b"2"), begin("b", "b"), log("b", b"1"), ends("a")) == []
    hall.turns.resume()
    assert hall.heard == ["a: 1", "a: 2", "a ended", "b: 1"]


def test_events_of_several_that_come_together_are_heard_apart() -> None:
    hall = Hall({"1": "a", "2": "b"}.get)
    together = SolveStatus(logs=tuple(one for name in ("1", "2", "gone", "1") for one in log(name, name.encode()).logs))
    assert hall.say(together) == ["a: 1", "a: 1"]
    hall.turns.finish()
    assert hall.heard == ["a: 1", "a: 1", "b: 2"]


def test_what_waits_is_in_memory_until_it_is_too_much_and_then_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[Any] = []
    make = tempfile.TemporaryFile

    def noted(**options: Any) -> Any:
        files.append(make(**options))
        return files[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", noted)
    waiting = Waiting(Spool())
    waiting.add(log("a", b"x" * 100))
    assert not files
    for number in range(10):
        waiting.add(log("a", b"%d" % number * turns.LONGEST_WAIT))
    assert len(files) == 1
    assert files[0].seek(0, io.SEEK_END) > 9 * turns.LONGEST_WAIT
    assert [waiting.pop().logs[0].data[:1] for _ in range(11)] == [b"x", *(b"%d" % number for number in range(10))]
    assert not waiting
    assert files[0].seek(0, io.SEEK_END) == 0, "what was read does not fill the disk"


@given(st.lists(st.one_of(st.none(), st.integers(0, turns.LONGEST_WAIT // 2)), max_size=40))
def test_what_waits_comes_back_as_it_was_first_in_first_out(moves: list[int | None]) -> None:
    waiting, expected = Waiting(Spool()), list[SolveStatus]()
    for number, size in enumerate(moves):
        if size is not None:
            expected.append(SolveStatus(begin("a", f"\udcff{number}").vertexes, logs=log("a", b"x" * size).logs))
            waiting.add(expected[-1])
        elif expected:
            assert waiting.pop() == expected.pop(0)
        assert bool(waiting) == bool(expected)
    while waiting:
        assert waiting.pop() == expected.pop(0)
    assert not expected
