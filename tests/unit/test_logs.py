import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnet.events import SolveStatus, Vertex, VertexLog
from magnet.logs import LATEST, Counts, LogFiles, file_name

START = 1_595_478_390_730_309_484
END = START + 2_240_000_007
STARTED = "2020-07-23 04:26:30.730309484 +0000 UTC"
ENDED = "2020-07-23 04:26:32.970309491 +0000 UTC"
NEVER = f"{'<nil>':<39}"
TRAILER = f"-----\nVertex: Completed <nil> -> {ENDED}\nVertex: Duration 2.240000007s\n"


def header(name: str, digest: str = "blake3:1", *, completed: str = ENDED, cached: str = "false") -> str:
    return f"Name: {name}\nDigest: {digest}\nCached: {cached}\nStarted: {STARTED}\nCompleted: {completed}\n-----\n"


def begun(name: str = "build", digest: str = "blake3:1") -> Vertex:
    return Vertex(digest, name, started=START)


def ended(
    name: str = "build", digest: str = "blake3:1", *, cached: bool = False, error: str = "", canceled: bool = False
) -> Vertex:
    return Vertex(digest, name, (), START, END, cached, error, canceled)


def vertexes(*of: Vertex) -> SolveStatus:
    return SolveStatus(vertexes=of)


def log(*data: bytes, digest: str = "blake3:1") -> SolveStatus:
    return SolveStatus(logs=tuple(VertexLog(digest, 1, each, START) for each in data))


def written(directory: Path, *statuses: SolveStatus) -> dict[str, str]:
    """The text of every file that a run with these events leaves, by name."""
    files = LogFiles(directory)
    for status in statuses:
        files.update(status)
    files.done()
    return contents(directory)


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_bytes().decode(errors="surrogateescape") for path in directory.iterdir()}


# The file


@pytest.mark.parametrize(
    ("last", "cached", "outcome"),
    [
        (ended(), "false", ""),
        (ended(cached=True), "true ", ""),
        (ended(error="exit code 2"), "false", "Vertex: Error exit code 2\n"),
        (ended(error="canceled", canceled=True), "false", "Vertex: Canceled\nVertex: Error canceled\n"),
        (ended(error="no file \udcff"), "false", "Vertex: Error no file \udcff\n"),
    ],
    ids=["success", "cached", "failure", "canceled", "an error that is not UTF-8"],
)
def test_a_log_has_header_output_and_outcome(tmp_path: Path, last: Vertex, cached: str, outcome: str) -> None:
    found = written(tmp_path, vertexes(begun()), log(b"Exec: make\n", b"\n", b"done \xff\n"), vertexes(last))
    output = "Exec: make\n\ndone \udcff\n"
    assert found == {"build": f"{header('build', cached=cached)}{output}{TRAILER}{outcome}-----\n"}


@pytest.mark.parametrize(
    ("output", "shown"),
    [([], ""), ([b""], ""), ([b"end"], "end\n"), ([b"a\n", b"end\r"], "a\nend\r\n"), ([b"\n"], "\n")],
)
def test_the_outcome_begins_on_a_line_of_its_own(tmp_path: Path, output: list[bytes], shown: str) -> None:
    found = written(tmp_path, vertexes(begun()), log(*output), vertexes(ended()))
    assert found == {"build": f"{header('build')}{shown}{TRAILER}-----\n"}


def test_the_header_is_completed_in_its_place(tmp_path: Path) -> None:
    files = LogFiles(tmp_path)
    files.update(vertexes(begun()))
    files.update(log(b"one\n"))
    files.refresh()
    before = (tmp_path / "build").read_text()
    files.update(vertexes(ended()))
    after = (tmp_path / "build").read_text()
    assert before == f"{header('build', completed=NEVER)}one\n"
    assert after == f"{header('build')}one\n{TRAILER}-----\n"
    assert before.index("one\n") == after.index("one\n")


def test_a_vertex_that_never_ends_leaves_what_it_printed(tmp_path: Path) -> None:
    found = written(tmp_path, vertexes(begun()), log(b"one\ntw"))
    assert found == {"build": f"{header('build', completed=NEVER)}one\ntw"}


def test_a_vertex_that_has_not_started_has_a_log(tmp_path: Path) -> None:
    last = Vertex("blake3:1", "build", completed=END, canceled=True)
    never = "Started: 1970-01-01 00:00:00.000000000 +0000 UTC"
    assert written(tmp_path, vertexes(Vertex("blake3:1", "build")), vertexes(last)) == {
        "build": f"{header('build').replace(f'Started: {STARTED}', never)}"
        f"-----\nVertex: Completed <nil> -> {ENDED}\nVertex: Duration 0.000000000s\nVertex: Canceled\n-----\n"
    }


def test_a_vertex_that_is_announced_again_keeps_its_file(tmp_path: Path) -> None:
    found = written(tmp_path, vertexes(begun()), log(b"a\n"), vertexes(begun()), log(b"b\n"), vertexes(ended()))
    assert found == {"build": f"{header('build')}a\nb\n{TRAILER}-----\n"}


def test_a_beginning_its_output_and_the_end_of_another_may_come_together(tmp_path: Path) -> None:
    together = SolveStatus(
        vertexes=(begun("b", "2"), ended("a", "1")), logs=(*log(b"last", digest="1").logs, *log(digest="2").logs)
    )
    assert written(tmp_path, vertexes(begun("a", "1")), together, vertexes(ended("b", "2"))) == {
        "a": f"{header('a', '1')}last\n{TRAILER}-----\n",
        "b": f"{header('b', '2')}{TRAILER}-----\n",
    }


# `Run.abandon` calls a vertex canceled whose body goes on for a moment, and may print.
def test_output_after_the_end_of_a_vertex_fails_nothing(tmp_path: Path) -> None:
    found = written(tmp_path, vertexes(begun()), vertexes(ended(canceled=True)), log(b"late\n"))
    assert list(found) == ["build"]


def test_what_a_container_prints_after_its_target_has_ended_stands_in_the_targets_log(tmp_path: Path) -> None:
    late = (log(b"one"), vertexes(ended()), log(b"two\n"), vertexes(begun("b", "2")), log(b"three"))
    found = written(tmp_path, vertexes(begun()), *late)
    assert found["build"] == f"{header('build')}one\ntwo\nthree\n{TRAILER}-----\n"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.lists(st.binary(max_size=30) | st.just(b"line\n"), max_size=3), st.booleans()),
        max_size=25,
    ),
    st.permutations(range(4)),
)
def test_all_output_of_interleaved_vertexes_arrives_complete_and_in_order(
    events: list[tuple[int, list[bytes], bool]], order: list[int]
) -> None:
    with TemporaryDirectory() as name:
        files = LogFiles(Path(name))
        files.update(vertexes(*(begun(f"v{index}", str(index)) for index in range(4))))
        for index, chunks, refresh in events:
            files.update(log(*chunks, digest=str(index)))
            if refresh:
                files.refresh()
        for index in order:
            files.update(vertexes(ended(f"v{index}", str(index))))
        files.done()
        found = {path.name: path.read_bytes() for path in Path(name).iterdir()}
    for index in range(4):
        output = b"".join(chunk for at, chunks, _ in events if at == index for chunk in chunks)
        output += b"" if not output or output.endswith(b"\n") else b"\n"
        expected = f"{header(f'v{index}', str(index))}".encode() + output + f"{TRAILER}-----\n".encode()
        assert found[f"v{index}"] == expected
    assert len(found) == 4


def test_targets_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    files = LogFiles(tmp_path)
    files.update(vertexes(begun("a", "1"), ended("a", "1", cached=True)))  # a log that is written at once
    files.update(vertexes(*(begun(name, name) for name in "bcdef")))
    files.update(vertexes(Vertex("step", "[1/2] RUN make", started=START, parent="b")))
    files.update(vertexes(Vertex("step", "[1/2] RUN make", (), START, END, error="exit code 2", parent="b")))
    files.update(vertexes(ended("b", "b", error="exit code 2"), ended("c", "c", error="canceled", canceled=True)))
    files.update(vertexes(ended("d", "d"), ended("e", "e", cached=True)))
    assert files.counts == Counts(targets=6, cached=2, failed=1)


# Its name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("build", "build"),
        ("build(tag=1, v='a b')", "build(tag=1, v=%27a b%27)"),
        ("docker:build", "docker%3Abuild"),
        (".", "%2E"),
        ("..", "%2E."),
        (".run", "%2Erun"),
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
        ("/", "%2F"),
        ("a\\b", "a%5Cb"),
        ("a\0b\nc", "a%00b%0Ac"),
        ("100%2F", "100%252F"),
        ("café", "caf%C3%A9"),
        ("caf\udce9", "caf%E9"),
        ("x" * 500, "x" * 200),
    ],
)
def test_a_target_of_any_name_has_a_log_in_the_directory_with_its_whole_name_inside(
    tmp_path: Path, name: str, expected: str
) -> None:
    found = written(tmp_path, vertexes(begun(name)), vertexes(ended(name)))
    assert found == {expected: f"{header(name)}{TRAILER}-----\n"}


def test_no_log_is_called_latest(tmp_path: Path) -> None:
    (found,) = written(tmp_path, vertexes(begun(LATEST))).items()
    assert found[0] != LATEST
    assert found[1] == header(LATEST, completed=NEVER)


@pytest.mark.parametrize("names", [("build", "build", "build"), ("x" * 201, "x" * 202, "x" * 500)])
def test_vertexes_whose_names_become_one_have_files_of_their_own(tmp_path: Path, names: tuple[str, ...]) -> None:
    events = [vertexes(begun(name, str(index))) for index, name in enumerate(names)]
    events += [log(b"%d\n" % index, digest=str(index)) for index in range(3)]
    short = names[0][:200]
    assert written(tmp_path, *events) == {
        file: f"{header(names[index], str(index), completed=NEVER)}{index}\n"
        for index, file in enumerate([short, f"{short}-2", f"{short}-3"])
    }


def test_a_numbered_name_may_be_taken_by_another_target(tmp_path: Path) -> None:
    names = ["a-2", "a", "a"]
    events = [vertexes(begun(name, str(index))) for index, name in enumerate(names)]
    assert written(tmp_path, *events) == {
        "a-2": header("a-2", "0", completed=NEVER),
        "a": header("a", "1", completed=NEVER),
        "a-3": header("a", "2", completed=NEVER),
    }


NAMES = st.text() | st.binary().map(os.fsdecode) | st.text("./%\\-2aé", max_size=300)


@settings(max_examples=300, deadline=None)
@given(NAMES)
def test_a_file_name_is_one_short_portable_path_component(name: str) -> None:
    found = file_name(name)
    assert not set(found) & set('/\\:*?"<>|\0\n')
    assert found.isascii()
    assert len(found) <= 255 - len("-99999")
    assert not found.startswith(".")
    assert found != LATEST


@settings(max_examples=300, deadline=None)
@given(st.sets(st.text("./%2Eelats", max_size=7), max_size=20))
def test_short_names_stay_different(names: set[str]) -> None:
    assert len({file_name(name) for name in names | {".", "..", LATEST}}) == len(names | {".", "..", LATEST})


# What a target that is skipped printed when it was run


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("kept", "shown"), [(b"", ""), (b"a\nb\n", "a\nb\n"), (b"end \xff", "end \udcff\n")])
def test_what_was_printed_before_is_put_into_the_log(tmp_path: Path, kept: bytes, shown: str, at_once: bool) -> None:
    files = LogFiles(tmp_path)
    files.restore("blake3:1", kept)
    both = (begun(), ended(cached=True))
    for status in [vertexes(*both)] if at_once else map(vertexes, both):
        files.update(status)
    assert contents(tmp_path) == {"build": f"{header('build', cached='true ')}{shown}{TRAILER}-----\n"}


@pytest.mark.parametrize("at_once", [True, False])
def test_logs_of_equal_names_do_not_replace_each_other(tmp_path: Path, at_once: bool) -> None:
    pairs = [(begun("a", f"blake3:{number}"), ended("a", f"blake3:{number}")) for number in range(3)]
    statuses = [vertexes(*pair) for pair in pairs] if at_once else [vertexes(one) for pair in pairs for one in pair]
    found = written(tmp_path, *statuses)
    assert found == {
        name: f"{header('a', f'blake3:{number}')}{TRAILER}-----\n" for number, name in enumerate(("a", "a-2", "a-3"))
    }


@pytest.mark.parametrize(("last", "kept"), [(ended(), [b"one\ntwo\n"]), (ended(error="no"), [])])
def test_what_was_printed_is_handed_over_if_all_went_well(tmp_path: Path, last: Vertex, kept: list[bytes]) -> None:
    files, taken = LogFiles(tmp_path), list[bytes]()
    files.update(vertexes(begun()))
    files.update(log(b"one\n", b"two"))
    files.keep("blake3:1", lambda file, size: taken.append(file.read(size)))
    files.update(vertexes(last))
    assert taken == kept
    assert contents(tmp_path)["build"].startswith(f"{header('build')}one\ntwo\n-----\n")
