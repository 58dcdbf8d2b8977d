"""The events of a run, and what becomes of what goes wrong in it."""

import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from blake3 import blake3

from magnet import running
from magnet.body import T
from magnet.buildfile import Call, load, target
from magnet.errors import Canceled, CommandFailed, MagnetError, MagnetfileError, NeedFailed
from magnet.events import SolveStatus, Vertex, VertexLog
from magnet.model import Project
from magnet.process import Children
from magnet.running import Run, digest
from magnet.session import Session
from magnet.values import replace
from magnet.workspace import Workspace

TIMEOUT = 10.0
"""Seconds after which a run that is stuck is a failed test."""


@dataclass
class Recorded:
    """A run, and the events that it emitted; its clock ticks at every look."""

    run: Run
    events: list[SolveStatus] = field(default_factory=list)

    def __call__(self, *calls: Call[Any]) -> bool:
        returned: list[bool] = []
        thread = threading.Thread(target=lambda: returned.append(self.run.scheduler.run(calls)), daemon=True)
        thread.start()
        thread.join(TIMEOUT)
        assert returned, "the run is stuck"
        return returned[0]

    @property
    def story(self) -> list[str]:
        """What became of each vertex, in order."""
        return list(dict.fromkeys(_told(vertex) for status in self.events for vertex in status.vertexes))

    def inputs(self, name: str) -> list[list[str]]:
        """The names of the inputs of a vertex, each time that it is told."""
        vertexes = [vertex for status in self.events for vertex in status.vertexes]
        names = {vertex.digest: vertex.name for vertex in vertexes}
        return [[names[one] for one in vertex.inputs] for vertex in vertexes if vertex.name == name]

    @property
    def failures(self) -> list[tuple[str, str]]:
        return [(failure.call.name, failure.error.message) for failure in self.run.failures]


def _told(vertex: Vertex) -> str:
    if vertex.completed is None:
        return f"{vertex.name} started"
    how = "canceled" if vertex.canceled else "failed" if vertex.error else "completed"
    return f"{vertex.name} {how}{': ' if vertex.error else ''}{vertex.error}"


Start = Callable[..., Recorded]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Makes a run of the project `tests/project` in an empty directory."""

    def start(*, jobs: int = 1, keep_going: bool = False, dry_run: bool = False) -> Recorded:
        events: list[SolveStatus] = []
        session = Session(
            project=Project(root=tmp_path, name="tests/project", version="1"),
            workspace=Workspace(tmp_path / "cache", "run"),
            children=Children(),
            emit=events.append,
            clock=count(1).__next__,
            environ={"PATH": "/nonexistent"},
            terminal=lambda vertex: nullcontext(),
            dry_run=dry_run,
        )
        return Recorded(Run(session, tmp_path / "magnetfile.py", jobs=jobs, keep_going=keep_going), events)

    return start


@target
def fine(t: T) -> str:
    t.print("working")
    return "result"


@target
def bad(t: T) -> None:
    raise MagnetError("no luck", detail=("line one", "line two"), hint="try again")


def vertex_of(call: Call[Any], *inputs: str) -> Vertex:
    return Vertex(digest("tests/project", call), call.name, inputs)


def test_a_target_is_a_vertex_from_its_start_over_what_it_prints_to_its_end(start: Start) -> None:
    recorded = start()
    vertex = replace(vertex_of(fine()), started=1)
    assert recorded(fine())
    assert recorded.events == [
        SolveStatus(vertexes=(vertex,)),
        SolveStatus(logs=(VertexLog(vertex.digest, 1, b"working\n", 2),)),
        SolveStatus(vertexes=(replace(vertex, completed=3),)),
    ]
    assert recorded.run.failures == []


def test_a_failed_target_is_a_vertex_with_an_error_and_a_failure_with_all_of_it(start: Start) -> None:
    recorded = start()
    vertex = replace(vertex_of(bad()), started=1)
    assert not recorded(bad())
    assert recorded.events == [
        SolveStatus(vertexes=(vertex,)),
        SolveStatus(vertexes=(replace(vertex, completed=2, error="no luck"),)),
    ]
    (failure,) = recorded.run.failures
    assert failure.call == bad()
    assert (failure.error.detail, failure.error.hint) == (("line one", "line two"), "try again")


def test_declared_needs_are_inputs_and_end_before_the_body_begins(start: Start) -> None:
    @target
    def lib(t: T, version: str = "1") -> None: ...

    @target(needs=[lib, lib("2")])
    def app(t: T) -> None:
        t.print("body")
        t.need(fine)

    recorded = start()
    assert recorded(app())
    inputs = (digest("tests/project", lib()), digest("tests/project", lib("2")))
    assert recorded.events[0] == SolveStatus(vertexes=(replace(vertex_of(app(), *inputs), started=1),))
    (body,) = (at for at, status in enumerate(recorded.events) if [log.data for log in status.logs] == [b"body\n"])
    ended = {vertex.digest for status in recorded.events[:body] for vertex in status.vertexes if vertex.completed}
    assert ended == set(inputs)
    assert recorded.story[-3:] == ["fine started", "fine completed", "app completed"]


def test_equal_calls_are_one_vertex(start: Start) -> None:
    @target(needs=[fine])
    def app(t: T) -> None:
        assert t.need(fine) is t.need(fine())

    recorded = start()
    assert recorded(app(), fine(), app())
    assert sorted(recorded.story) == ["app completed", "app started", "fine completed", "fine started"]


def test_need_returns_one_value_or_a_tuple_and_bodies_get_their_arguments(start: Start) -> None:
    results: list[object] = []

    @target
    def double(t: T, number: int, *more: int, times: int = 2) -> list[int]:
        return [times * one for one in (number, *more)]

    @target
    def app(t: T) -> None:
        results.extend((t.need(double(1)), t.need(double(1, 2, times=3), fine), t.need()))

    assert start()(app())
    assert results == [[2], ([3, 6], "result"), ()]


def test_who_needs_what_failed_is_canceled_and_no_failure_of_its_own(start: Start) -> None:
    @target(needs=[bad])
    def lib(t: T) -> None: ...

    @target
    def app(t: T) -> None:
        t.need(lib)

    recorded = start()
    assert not recorded(app())
    assert recorded.story == [
        "app started",
        "lib started",
        "bad started",
        "bad failed: no luck",
        "lib canceled: `bad` failed",
        "app canceled: `lib` failed",
    ]
    assert recorded.failures == [("bad", "no luck")]


@pytest.mark.parametrize(("keep_going", "end"), [(False, "canceled: interrupted"), (True, "completed")])
def test_after_a_failure_the_next_is_canceled_unless_it_keeps_going(start: Start, keep_going: bool, end: str) -> None:
    ran: list[bool] = []

    @target
    def after(t: T) -> None:
        ran.append(True)

    @target
    def app(t: T) -> None:
        with pytest.raises(NeedFailed):
            t.need(bad)
        if keep_going:
            t.need(after)
        else:
            with pytest.raises(NeedFailed, match=r"^`after` failed$"):
                t.need(after)

    recorded = start(keep_going=keep_going)
    assert recorded(app())
    assert recorded.story[3:] == ["after started", f"after {end}", "app completed"]
    assert recorded.failures == [("bad", "no luck")]
    assert ran == [True] * keep_going


def test_after_stop_every_target_is_canceled_with_its_needs_left_out(start: Start) -> None:
    @target(needs=[fine])
    def app(t: T) -> None: ...

    recorded = start(keep_going=True)
    recorded.run.scheduler.stop()
    assert not recorded(app())
    assert recorded.story == ["app started", "app canceled: interrupted"]
    assert recorded.failures == []


def test_a_body_that_is_interrupted_is_canceled_and_no_failure(start: Start) -> None:
    @target
    def app(t: T) -> None:
        raise Canceled

    recorded = start()
    assert not recorded(app())
    assert recorded.story == ["app started", "app canceled: interrupted"]
    assert recorded.failures == []


@pytest.mark.parametrize("keep_going", [False, True])
def test_failures_are_in_the_order_in_which_they_happened(start: Start, keep_going: bool) -> None:
    meeting = threading.Barrier(2)

    @target
    def slow(t: T) -> None:
        meeting.wait(TIMEOUT)
        with pytest.raises(NeedFailed):
            t.need(quick)
        raise CommandFailed("slow failed", returncode=3)

    @target
    def quick(t: T) -> None:
        meeting.wait(TIMEOUT)
        raise MagnetfileError("quick failed")

    recorded = start(jobs=2, keep_going=keep_going)
    assert not recorded(slow(), quick())
    assert recorded.failures == [("quick", "quick failed"), ("slow", "slow failed")]
    assert [failure.error.exit_code for failure in recorded.run.failures] == [2, 1]


def magnetfile(directory: Path, monkeypatch: pytest.MonkeyPatch, text: str, **modules: str) -> Call[Any]:
    """The call of `app` in a magnetfile of this text, with modules beside it."""
    for name in ("magnetfile", *modules):
        # Noted, to be taken away at the end.
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name, held in modules.items():
        del sys.modules[name]
        (directory / f"{name}.py").write_text(held)
    (directory / "magnetfile.py").write_text(f"from magnet import *\n{text}")
    return load(directory / "magnetfile.py", {}).find("app")()


BODY = "@target\ndef app(t):\n    "
ERRORS = {
    "raised": (
        f"{BODY}raise ValueError('no such thing')",
        "ValueError: no such thing",
        ("magnetfile.py:4: in app", "  raise ValueError('no such thing')"),
    ),
    "in a module beside it": (
        f"import steps\n{BODY}steps.one()",
        "ZeroDivisionError: division by zero",
        (
            "magnetfile.py:5: in app",
            "  steps.one()",
            "steps.py:1: in one",
            "  def one(): return two()",
            "steps.py:2: in two",
            "  def two(): return 1 / 0",
        ),
    ),
    "below a frame of magnet's": (
        f"{BODY}t.print(Loud())\nclass Loud:\n    def __str__(self):\n        raise KeyError('loud')",
        "KeyError: 'loud'",
        ("magnetfile.py:4: in app", "  t.print(Loud())", "magnetfile.py:7: in __str__", "  raise KeyError('loud')"),
    ),
    "in magnet": (
        f"{BODY}t.build(tags=3)",
        "TypeError: 'int' object is not iterable",
        ("magnetfile.py:4: in app", "  t.build(tags=3)"),
    ),
}


@pytest.mark.parametrize(("text", "message", "detail"), ERRORS.values(), ids=ERRORS)
def test_an_exception_in_a_body_is_an_error_with_the_users_lines_and_none_of_magnets(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str, detail: tuple[str, ...]
) -> None:
    call = magnetfile(tmp_path, monkeypatch, text, steps="def one(): return two()\ndef two(): return 1 / 0\n")
    recorded = start()
    assert not recorded(call)
    (failure,) = recorded.run.failures
    assert type(failure.error) is MagnetError
    assert (failure.error.message, failure.error.detail, failure.error.hint) == (message, detail, None)
    assert type(failure.error.__cause__).__name__ == message.partition(":")[0]
    assert recorded.story == ["app started", f"app failed: {message}"]


@pytest.mark.parametrize(("arguments", "shown"), [((), "None"), ((3,), "3"), (("bye",), "'bye'")])
def test_sys_exit_in_a_body_fails_its_target_and_ends_nothing_else(
    start: Start, arguments: tuple[Any, ...], shown: str
) -> None:
    @target
    def app(t: T) -> None:
        sys.exit(*arguments)

    recorded = start(keep_going=True)
    assert not recorded(app(), fine())
    (failure,) = recorded.run.failures
    assert (failure.error.message, failure.error.hint) == (f"it called sys.exit({shown})", "raise an exception instead")
    assert "fine completed" in recorded.story


@pytest.mark.parametrize("name", ["asyncio.CancelledError", "KeyboardInterrupt", "GeneratorExit"])
def test_an_exception_that_is_no_exception_to_python_is_an_error_as_well(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    recorded = start()
    assert not recorded(magnetfile(tmp_path, monkeypatch, f"import asyncio\n{BODY}raise {name}('why')"))
    message = f"{name.removeprefix('asyncio.')}: why"
    assert recorded.story == ["app started", f"app failed: {message}"]
    assert [failure.error.detail for failure in recorded.run.failures] == [
        ("magnetfile.py:5: in app", f"  raise {name}('why')")
    ]


def test_an_exception_without_a_message_is_named_alone(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = start()
    assert not recorded(magnetfile(tmp_path, monkeypatch, f"{BODY}assert not t.name"))
    assert recorded.failures == [("app", "AssertionError")]


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock for `abandon`: each sleep passes at once, after it has called what is to happen meanwhile."""
    clock = SimpleNamespace(passed=0.0, meanwhile=lambda: None)

    def sleep(duration: float) -> None:
        clock.passed += duration
        clock.meanwhile()

    monkeypatch.setattr(running, "time", SimpleNamespace(monotonic=lambda: clock.passed, sleep=sleep))
    return clock


@pytest.mark.parametrize("in_time", [False, True])
def test_what_runs_after_an_interrupt_has_patience_to_end_and_is_canceled_after(
    start: Start, seconds: SimpleNamespace, in_time: bool
) -> None:
    begun, release = threading.Event(), threading.Event()

    @target
    def app(t: T) -> None:
        begun.set()
        assert release.wait(TIMEOUT)

    recorded = start()
    thread = threading.Thread(target=recorded, args=(app(),))
    thread.start()
    assert begun.wait(TIMEOUT)

    def end() -> None:
        release.set()
        thread.join(TIMEOUT)

    if in_time:
        seconds.meanwhile = end
    recorded.run.scheduler.stop()
    recorded.run.abandon(3)
    end_of_app = ["app completed"] if in_time else ["app canceled: interrupted"]
    assert recorded.story == ["app started", *end_of_app]
    assert (seconds.passed < 3) == in_time
    # A body that ends after all has nothing to add.
    end()
    assert recorded.story == ["app started", *end_of_app]
    assert recorded.failures == []


def test_nothing_is_waited_for_and_nothing_canceled_where_all_has_ended(start: Start, seconds: SimpleNamespace) -> None:
    recorded = start(keep_going=True)
    assert not recorded(fine(), bad())
    before = list(recorded.events)
    recorded.run.abandon(3)
    assert (seconds.passed, recorded.events) == (0, before)


def test_a_dry_run_runs_the_bodies_and_prints_their_commands_in_place_of_running_them(start: Start) -> None:
    @target
    def lib(t: T) -> str:
        t.exec("no-such-program", "lib 1")
        return "lib"

    @target
    def app(t: T) -> None:
        t.exec("no-such-program", t.need(lib), env={"MODE": "a b"})

    recorded = start(dry_run=True)
    assert recorded(app())
    assert [(log.vertex, log.stream, log.data) for status in recorded.events for log in status.logs] == [
        (digest("tests/project", lib()), 1, b"no-such-program 'lib 1'\n"),
        (digest("tests/project", app()), 1, b"MODE='a b' no-such-program lib\n"),
    ]
    assert recorded.story == ["app started", "lib started", "lib completed", "app completed"]


def test_a_digest_is_of_the_project_the_target_and_its_arguments_and_of_nothing_else() -> None:
    @target
    def app(t: T, word: str = "x") -> None: ...

    assert digest("a/b", app()) == "blake3:" + blake3(b"a/b\0app(word='x')").hexdigest()
    assert digest("a/b", app()) == digest("a/b", replace(app("x"), label="shown"))
    assert len({digest(project, call) for project in ("a", "b") for call in (app(), app("y"), fine())}) == 6


def test_what_is_not_text_has_a_digest() -> None:
    @target
    def app(t: T, word: str) -> None: ...

    assert digest("a\udcff", app("\udcff")) != digest("a\udcfe", app("\udcff"))
