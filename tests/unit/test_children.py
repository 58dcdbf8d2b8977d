"""Targets in targets: whatever tree they are, displays, logs and events tell the same one."""

import dataclasses
import io
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from magnet.body import T
from magnet.buildfile import target
from magnet.errors import MagnetError, MagnetfileError
from magnet.events import WITHIN, SolveStatus, Vertex
from magnet.logs import LogFiles
from magnet.model import Project
from magnet.printing import plain
from magnet.process import Children
from magnet.progress.board import board, summary
from magnet.progress.plain import Plain
from magnet.progress.rawjson import encoded
from magnet.progress.report import report
from magnet.progress.rows import shown
from magnet.progress.spans import own_time
from magnet.progress.trace import Trace
from magnet.running import Run
from magnet.session import Session
from magnet.values import replace
from magnet.workspace import Workspace
from tests.unit.script import at, begin, end, folded, log

TIMEOUT = 30.0
"""Seconds after which a run that is stuck is a failed test."""

WIDE = 4000
"""Columns in which the longest name has room."""


@dataclass(frozen=True)
class Node:
    """What a target does: prints, runs those in it, at the same time or in order, then ends."""

    name: str
    lines: tuple[str, ...] = ()
    inner: tuple["Node", ...] = ()
    ends: str = "well"
    is_caught: bool = False
    is_parallel: bool = False

    def run(self, t: T) -> None:
        for line in self.lines:
            t.print(line)
        if self.is_parallel:
            with ThreadPoolExecutor(max(len(self.inner), 1)) as pool:
                errors = [one.exception() for one in [pool.submit(node.run_in, t) for node in self.inner]]
            for error in filter(None, errors):
                raise error
        for node in () if self.is_parallel else self.inner:
            node.run_in(t)
        if self.ends == "cached":
            t.set_cached()
        if self.ends == "badly":
            raise MagnetError("no luck")

    def run_in(self, t: T) -> None:
        with suppress(MagnetError) if self.is_caught else nullcontext(), t.target(self.name) as child:
            assert child.name == self.name
            self.run(child)


Told = tuple[str, str, tuple[str, ...], tuple[Any, ...]]
"""A target as something tells of it: its name, what became of it, what it printed, and those in it, sorted."""


def expected(node: Node) -> Told:
    told, failed = [], ""
    for one in node.inner:
        told.append(expected(one))
        failed = failed or ("" if one.is_caught else told[-1][1].removeprefix("CACHED"))
        if failed and not node.is_parallel:
            break
    is_cached = node.ends == "cached" or (told and all(one[1] == "CACHED" for one in told))
    how = "ERROR" if failed or node.ends == "badly" else "CACHED" if is_cached else ""
    return node.name, how, node.lines, _sorted(told)


def _sorted(told: Any) -> tuple[Told, ...]:
    return tuple(sorted(told))


@dataclass
class Seen:
    """What a run of a tree left in its sinks."""

    run: Run
    trace: Trace
    text: str
    events: list[dict[str, Any]]
    logs: dict[str, str]


def seen(tree: Node, directory: Path) -> Seen:
    """Run the tree as a target of its root's name."""
    trace, out, lines, lock, clock = Trace(), io.StringIO(), [], threading.Lock(), count(10**18).__next__
    logs, display = LogFiles(directory), Plain(out, lambda: 10**18)

    def emit(status: SolveStatus) -> None:
        with lock:
            lines.append(encoded(status))
            for sink in (trace, logs, display):
                sink.update(status)

    session = Session(
        project=Project(root=directory, name="project", version="1"),
        workspace=Workspace(directory / "cache", "run"),
        children=Children(),
        emit=emit,
        clock=clock,
        environ={},
        terminal=lambda vertex: nullcontext(),
    )

    @target(name=tree.name)
    def root(t: T) -> None:
        tree.run(t)

    run = Run(session, directory / "magnetfile.py", jobs=1)
    thread = threading.Thread(target=run.scheduler.run, args=([root()],), daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive(), "the run is stuck"
    logs.done()
    display.done()
    found = {path.name: path.read_bytes().decode() for path in directory.iterdir()}
    return Seen(run, trace, out.getvalue(), [json.loads(line) for line in lines], found)


def in_rows(trace: Trace) -> list[str]:
    """The rows of the summary, without times."""
    return [row.rpartition(" ")[0].rstrip() for row in summary(trace, 0, WIDE)[1:]]


def rows_of(told: Told, depth: int = 1) -> Iterator[str]:
    name, how, _, inner = told
    yield f" {'=> ' * depth}{how}{' ' * bool(how)}{shown(name)}".rstrip()
    for one in inner:
        yield from rows_of(one, depth + 1)


def paths_of(told: Told, *outer: str) -> Iterator[tuple[str, str]]:
    path = (*outer, told[0])
    yield WITHIN.join(path), told[1]
    for one in told[3]:
        yield from paths_of(one, *path)


def in_events(events: list[dict[str, Any]]) -> Told:
    """The tree that events tell."""
    vertexes = {one["digest"]: one for event in events for one in event.get("vertexes", [])}
    said: dict[str, list[str]] = {digest: [] for digest in vertexes}
    for event in events:
        for one in event.get("logs", []):
            said[one["vertex"]].append(_decoded(one["data"]))

    def told(vertex: dict[str, Any]) -> Told:
        digest = vertex["digest"]
        how = "ERROR" if vertex.get("error") else "CACHED" if vertex.get("cached") else ""
        inner = [told(one) for one in vertexes.values() if one.get("parent") == digest and one["child"]]
        return vertex["name"], how, tuple(said[digest]), _sorted(inner)

    assert all("completed" in one for one in vertexes.values())
    (root,) = (one for one in vertexes.values() if "parent" not in one)
    return told(root)


def _decoded(data: str) -> str:
    import base64

    return base64.b64decode(data).decode().removesuffix("\n")


LOG = re.compile(
    r"Name: ([^\n]*)\nDigest: blake3:\w+\n(?:Parent: ([^\n]*)\n)?Cached: (true |false)\n.*?\n-----\n(.*)-----\nVertex: Comp"
    r"[^\n]*\nVertex: Duration [^\n]*\n(Vertex: Error [^\n]*\n)?-----\n",
    re.DOTALL,
)


def in_logs(logs: dict[str, str]) -> Told:
    """The tree that the log files tell."""
    read = {name: match.groups() for name, text in logs.items() if (match := LOG.fullmatch(text))}
    assert len(read) == len(logs), logs

    def told(name: str) -> Told:
        title, _, cached, body, error = read[name]
        lines = body.split("\n")[:-1]
        inner = [line.removeprefix("Child: ") for line in lines if line.startswith("Child: ")]
        assert sorted(inner) == sorted(one for one, fields in read.items() if fields[1] == name)
        how = "ERROR" if error else "CACHED" if cached == "true " else ""
        printed = tuple(line for line in lines if not line.startswith("Child: "))
        return title, how, printed, _sorted(map(told, inner))

    (root,) = (name for name, fields in read.items() if fields[1] is None)
    return told(root)


names = (
    st.sampled_from(
        ["a", "b", "linux/amd64", "..", "latest", "a > b", "%", "é", "构建", "x" * 300, "a-2", "\tx\x1b[2J"]
    )
    | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
).filter(lambda name: shown(name).strip() and name.splitlines() == [name])
lines = st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=5), max_size=2).map(tuple)
ends = st.sampled_from(["well", "well", "cached", "badly"])


def nodes(inner: st.SearchStrategy[tuple[Node, ...]]) -> st.SearchStrategy[Node]:
    return st.builds(Node, names, lines, inner, ends, st.booleans(), st.booleans())


trees = st.recursive(nodes(st.just(())), lambda below: nodes(st.lists(below, max_size=3).map(tuple)), max_leaves=8).map(
    lambda tree: Node("root", tree.lines, tree.inner, tree.ends, is_parallel=tree.is_parallel)
)


CACHED = Node("a", ("x",), ends="cached")
BAD = Node("a", (), (Node("a", ("y",), ends="badly"),))


@settings(max_examples=60, deadline=None)
@example(Node("root", (), (CACHED, CACHED)))
@example(Node("root", (), (CACHED, Node("b"))))
@example(Node("root", (), (BAD, Node("a"), BAD, CACHED), is_parallel=True))
@example(Node("root", (), (dataclasses.replace(BAD, is_caught=True), BAD, CACHED)))
@given(trees)
def test_rows_logs_and_events_tell_the_tree_that_was_run(tree: Node) -> None:
    with TemporaryDirectory() as name:
        found = seen(tree, Path(name))
    told = expected(tree)
    assert in_events(found.events) == told
    assert in_logs(found.logs) == told
    assert sorted(in_rows(found.trace)) == sorted(rows_of(told))
    assert found.trace.targets[0].vertex.completed is not None
    heads = Counter(re.sub(r"^#\d+ ", "", line) for line in found.text.splitlines() if re.match(r"#\d+ ", line))
    assert all(heads[plain(path)] for path, _ in paths_of(told))
    assert summary(found.trace, 0, WIDE)[0].endswith(f" ({len(found.logs)}/{len(found.logs)}) FINISHED")
    assert [failure.call.name for failure in found.run.failures] == ["root"] * (told[1] == "ERROR")


@settings(max_examples=60, deadline=None)
@given(trees)
def test_without_threads_rows_are_in_the_order_in_which_targets_begin_and_the_first_culprit_is_told(tree: Node) -> None:
    def in_order(node: Node) -> Node:
        return Node(node.name, node.lines, tuple(map(in_order, node.inner)), node.ends, node.is_caught)

    begun, raised = [], []

    def walk(node: Node, path: tuple[str, ...]) -> bool:
        begun.append(f" {'=> ' * len(path)}{shown(node.name)}".rstrip())
        for one in node.inner:
            if not walk(one, (*path, one.name)) and not one.is_caught:
                return False
        if node.ends == "badly":
            raised.append(path)
        return node.ends != "badly"

    ok = walk(in_order(tree), ("root",))
    with TemporaryDirectory() as name:
        found = seen(in_order(tree), Path(name))
    marks = re.compile(r"^((?: =>)+ )(?:ERROR |CACHED )?")
    unmarked = [row if row in begun else marks.sub(r"\1", row) for row in in_rows(found.trace)]
    assert unmarked == begun
    culprits = [failure.child.path if failure.child else "root" for failure in found.run.failures]
    assert culprits == ([] if ok else [WITHIN.join(raised[-1])])
    assert [node.path for node in found.trace.failed if node.path in culprits][: len(culprits)] == culprits


def test_an_error_that_a_body_makes_of_another_is_its_own() -> None:
    def raised(t: T) -> None:
        try:
            with t.target("inner"):
                raise ValueError("inside")
        except ValueError as error:
            raise MagnetError("outside") from error

    tree = Node("root")
    object.__setattr__(tree, "run", raised)
    with TemporaryDirectory() as name:
        found = seen(tree, Path(name))
    (failure,) = found.run.failures
    assert (failure.child, failure.error.message) == (None, "outside")
    assert [node.path for node in found.trace.failed] == ["root", "root > inner"]


def test_a_name_that_no_encoding_has_is_an_error() -> None:
    with TemporaryDirectory() as name:
        found = seen(Node("root", (), (Node("a\ud800"),)), Path(name))
    (failure,) = found.run.failures
    assert type(failure.error) is MagnetfileError
    assert failure.error.message == "'a\\ud800' is no name for a target in a target"


def test_a_block_that_is_left_open_ends_canceled_with_its_target() -> None:
    def leaves(t: T) -> None:
        outer = t.target("outer").__enter__()
        outer.target("inner").__enter__().print("still here")

    tree = Node("root")
    object.__setattr__(tree, "run", leaves)
    with TemporaryDirectory() as name:
        found = seen(tree, Path(name))
    assert in_rows(found.trace) == [" => root", " => => CANCELED outer", " => => => CANCELED inner"]
    assert found.run.failures == []


def test_after_an_interrupt_no_target_in_a_target_begins() -> None:
    def goes_on(t: T) -> None:
        t._session.children.stop()
        with t.target("inner"):
            pass

    tree = Node("root")
    object.__setattr__(tree, "run", goes_on)
    with TemporaryDirectory() as name:
        found = seen(tree, Path(name))
    assert in_rows(found.trace) == [" => CANCELED root"]


def test_targets_that_need_others_in_threads_of_one_do_so_at_the_same_time() -> None:
    """There is one slot, which is given back once, as soon as one of them waits."""
    meeting, working = threading.Barrier(3), threading.Semaphore(1)
    most: list[bool] = []
    had: list[int] = []

    @target
    def met(t: T, number: int) -> int:
        most.append(working.acquire(blocking=False))
        threading.Event().wait(0.05)
        working.release()
        return number

    def needs(t: T) -> None:
        def one(number: int) -> None:
            with t.target(str(number)) as child:
                meeting.wait(10)
                had.append(child.need(met(number)))

        # No pool: one whose threads are stuck keeps Python from ending.
        threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    tree = Node("root")
    object.__setattr__(tree, "run", needs)
    with TemporaryDirectory() as name:
        found = seen(tree, Path(name))
    assert found.run.failures == []
    assert (sorted(had), most) == ([0, 1, 2], [True, True, True])
    waited = {node.vertex.name: len(node.vertex.inputs) for node, _ in found.trace.all_targets}
    assert [waited[name] for name in ("root", "0", "1", "2")] == [3, 1, 1, 1]


def test_a_target_that_is_said_to_be_cached_has_no_time_that_it_took_before() -> None:
    with TemporaryDirectory() as name:
        found = seen(Node("root", (), (CACHED,), ends="cached"), Path(name))
    assert [(node.vertex.cached, node.vertex.took) for node, _ in found.trace.all_targets] == [(True, None)] * 2


def test_a_log_names_a_target_in_its_own_on_a_line_of_its_own() -> None:
    with TemporaryDirectory() as name:
        logs = LogFiles(Path(name))
        inner = child("2", "in", begin("2", "in"), "1")
        for status in (begin("1", "out"), log("1", b"no end"), inner, log("1", b"more\n"), end("1", "out", 0, 1)):
            logs.update(status)
        logs.done()
        assert "-----\nno end\nChild: in\nmore\n-----\n" in Path(name, "out").read_text()


# Displays


def child(digest: str, name: str, status: SolveStatus, parent: str) -> SolveStatus:
    return SolveStatus(vertexes=tuple(replace(one, parent=parent, is_child=True) for one in status.vertexes))


STORY = (
    begin("1", "app"),
    child("2", "linux", end("2", "linux", 0, 2), "1"),
    child("3", "macos", begin("3", "macos", 2), "1"),
    SolveStatus(vertexes=(Vertex("4", "[1/1] RUN make", (), at(2), at(3), parent="3"),)),
    SolveStatus(vertexes=(Vertex("5", "[2/2] RUN x", (), at(3), parent="3"),)),
    log("1", b"not now\n", 3),
    log("5", b"working\n", 3),
)


def texts(trace: Trace, time: float, height: int = 99) -> list[str]:
    return [row.text for row in board(trace, at(time), 40, height)]


def test_a_board_shows_targets_in_targets_with_their_steps() -> None:
    assert texts(folded(*STORY), 4) == [
        "[+] Building 4.0s (1/3)",
        " => app                             4.0s",
        " => => linux                        2.0s",
        " => => macos                        2.0s",
        " => => => [1/1] RUN make            1.0s",
        " => => => [2/2] RUN x               1.0s",
        " => => => => # working",
    ]


def test_targets_in_a_target_stay_when_it_has_ended_and_steps_fold_away() -> None:
    ended = (*STORY, child("3", "macos", end("3", "macos", 2, 4), "1"), end("1", "app", 0, 5), begin("9", "other", 1))
    assert texts(folded(*ended), 6) == [
        "[+] Building 6.0s (3/4)",
        " => app                             5.0s",
        " => => linux                        2.0s",
        " => => macos                        2.0s",
        " => other                           5.0s",
    ]


@pytest.mark.parametrize(
    ("height", "gone"),
    [
        (6, ["[1/1]"]),
        (5, ["[1/1]", "# working"]),
        (4, ["[1/1]", "# working", "linux"]),
        (3, ["[1/1]", "#", "linux", "[2"]),
    ],
)
def test_on_a_low_terminal_what_has_ended_gives_way_before_what_runs(height: int, gone: list[str]) -> None:
    rows = texts(folded(*STORY), 4, height)
    assert len(rows) == height
    assert not any(word in row for word in gone for row in rows)


def test_a_target_is_not_blamed_for_the_time_of_those_in_it() -> None:
    ended = (*STORY, child("3", "macos", end("3", "macos", 2, 4), "1"), end("1", "app", 0, 5))
    trace = folded(*ended)
    assert own_time(trace, trace.nodes["1"], at(9)) == 10**9
    assert report(trace, at(9), 40) == [
        "Slowest targets:",
        "  app > linux                       2.0s",
        "  app > macos                       2.0s",
        "  app                       1.0s of 5.0s",
        "Slowest steps:",
        "  app > macos: [2/2] RUN x          6.0s",
        "  app > macos: [1/1] RUN make       1.0s",
        "Cached: 0 of 3 targets, 0 of 2 steps",
    ]


def test_what_a_target_in_a_cached_target_saved_is_counted_once() -> None:
    def cached(digest: str, parent: str, took: int) -> SolveStatus:
        vertex = Vertex(digest, digest, (), at(0), at(1), True, parent=parent, took=took * 10**9, is_child=bool(parent))
        return SolveStatus(vertexes=(vertex,))

    trace = folded(cached("app", "", 9), cached("linux", "app", 5), cached("macos", "app", 4))
    assert report(trace, at(9), 60)[-1] == "Cached: 3 of 3 targets; 8.0s saved"
