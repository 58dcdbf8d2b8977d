"""What the readers of engines' output make of real output, and of any other."""

import base64
import json
import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnet.events import Reader, SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning
from magnet.readers import steps as reading
from magnet.readers.buildah import BuildahReader
from magnet.readers.buildkit import BuildKitReader
from magnet.readers.legacy import LegacyReader
from magnet.readers.rawjson import RawJSONReader
from tests.fixtures.engine_output import outline
from tests.fixtures.engine_output.outline import DIRECTORIES, TARGET, captures, load

SECOND = 10**9
NOW = 1_600_000_000 * SECOND
ANY = {
    "buildkit": "docker-20.10",
    "rawjson": "docker-26-rawjson",
    "buildah": "podman-5.4",
    "legacy": "docker-26-legacy",
}
"""A directory for each reader."""

LINE_BASED = [directory for directory in DIRECTORIES if not directory.endswith("rawjson")]
BUILDKIT = [one for one in DIRECTORIES if one.startswith(("docker", "buildx")) and not one.endswith("legacy")]


def read(by: Reader, *printed: bytes, stream: int = 1, error: str = "", canceled: bool = False) -> list[SolveStatus]:
    events = [by.read(stream, data, NOW + number * SECOND) for number, data in enumerate(printed)]
    return [*events, by.end(NOW + len(printed) * SECOND, error=error, canceled=canceled)]


def transcript(events: Sequence[SolveStatus]) -> bytes:
    return b"".join(log.data for status in events for log in status.transcript)


def shown(events: Sequence[SolveStatus]) -> dict[str, str]:
    """By name of a step, what was printed by it and what became of it."""
    target = outline.folded(events)
    nodes = {"": target} | {step.vertex.name: step for step in target.children}
    return {
        name: "\n".join([*node.tail(1000), outline.outcome(node).strip() if name else ""]).strip("\n")
        for name, node in nodes.items()
    }


# Real output


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_each_step_of_real_builds_is_known_with_its_output_and_what_became_of_it(directory: str) -> None:
    kept = (outline.HERE / directory / "steps.txt").read_text()
    assert "\n".join(map(outline.outline, captures(directory))) == kept


@pytest.mark.parametrize("case", ["stages", "cached", "target", "single", "fails", "missing", "parallel", "ten"])
def test_the_steps_are_the_same_whatever_engine_builds(case: str) -> None:
    known = None
    for directory in DIRECTORIES:
        if not (outline.HERE / directory / f"{case}.jsonl").exists():
            continue
        found = outline.steps(outline.folded(outline.read(load(directory, case), outline.reader(directory))))
        if case == "target" and directory.endswith("legacy"):
            found.remove(("unused RUN echo unused", "", "unused"))  # it runs all stages up to the one that is wanted
        if case in ("single", "missing"):  # some were captured after a build that had the same RUN
            found = [(name, word.removeprefix("CACHED"), "") for name, word, _ in found]
        known = known or found
        assert found == known, directory


@pytest.mark.parametrize("directory", LINE_BASED)
def test_the_transcript_is_what_the_engine_printed(directory: str) -> None:
    for capture in captures(directory):
        events = outline.read(capture, outline.reader(directory))
        assert transcript(events) == capture.printed
        assert [(log.stream, log.data) for status in events for log in status.transcript] == [
            (stream, data) for _, stream, data in capture.pieces
        ]


@pytest.mark.parametrize("directory", BUILDKIT)
def test_the_repetition_of_what_failed_is_in_the_transcript_and_shown_once(directory: str) -> None:
    events = outline.read(load(directory, "fails"), outline.reader(directory))
    assert transcript(events).count(b"exit code: 3\n") >= 2
    (said,) = [text for name, text in shown(events).items() if "exit 3" in name]
    first, second, became = said.split("\n", 2)
    assert {first, second} == {"out", "err"}
    assert became.startswith("ERROR: ")
    assert shown(events)[""] in ("", 'building with "default" instance using docker driver')


@pytest.mark.parametrize("directory", BUILDKIT)
def test_a_failure_that_no_step_tells_is_the_targets(directory: str) -> None:
    events = outline.read(load(directory, "syntax"), outline.reader(directory))
    assert "unknown instruction: RUNN" in shown(events)[""]


@pytest.mark.parametrize("directory", [one for one in BUILDKIT if (outline.HERE / one / "clipped.jsonl").exists()])
def test_output_that_was_clipped_is_warned_of(directory: str) -> None:
    events = outline.read(load(directory, "clipped"), outline.reader(directory))
    (step,) = [one for one in outline.folded(events).children if "RUN" in one.vertex.name]
    assert [warning.short for warning in step.warnings] == [
        "docker clipped the output, beyond 3.90625KiB: BUILDKIT_STEP_LOG_MAX_SIZE=-1 and BUILDKIT_STEP_LOG_MAX_SPEED=-1 "
        "in the environment of its daemon, or of the builder, lift the limit"
    ]


@pytest.mark.parametrize(
    ("directory", "sent"),
    [("docker-20.10", 6_000_000), ("docker-20.10-legacy", 6_009_000), ("docker-26-rawjson", 6_001_708)],
)
def test_the_transfer_of_the_context_is_told_in_bytes(directory: str, sent: int) -> None:
    events = outline.read(load(directory, "context"), outline.reader(directory))
    (step,) = [one for one in outline.folded(events).children if one.vertex.name == reading.CONTEXT]
    (status,) = step.statuses.values()
    assert (status.id, status.current // 10_000) == ("transferring context:", sent // 10_000)
    assert status.completed is not None


def test_the_transcript_of_events_is_buildkits_plain_lines() -> None:
    printed = transcript(outline.read(load("docker-26-rawjson", "fails"), RawJSONReader(TARGET, 1))).decode()
    printed = re.sub(r"\d\.\d{3}|\d\.\ds", "<time>", printed)
    assert printed[printed.index("#6") :] == (
        "#6 [builder 3/4] RUN echo out; echo err >&2; exit 3\n"
        "#6 <time> out\n"
        "#6 <time> err\n"
        '#6 ERROR: process "/bin/sh -c echo out; echo err >&2; exit 3" did not complete successfully: exit code: 3\n'
        "Dockerfile:3\n"
        "--------------------\n"
        "   1 |     FROM localhost/base:1 AS builder\n"
        "   2 |     RUN echo before\n"
        "   3 | >>> RUN echo out; echo err >&2; exit 3\n"
        "   4 |     RUN echo never\n"
        "   5 |     FROM localhost/base:1\n"
        "--------------------\n"
        'ERROR: failed to solve: process "/bin/sh -c echo out; echo err >&2; exit 3" did not complete successfully: '
        "exit code: 3\n"
    )


# Times


def test_a_step_began_as_long_before_its_end_as_buildkit_tells() -> None:
    events = read(BuildKitReader(TARGET, 1), b"#1 [1/1] RUN x\n", b"#1 0.245 out\n#1 DONE 0.7s\n", stream=2)
    (begun, done) = [vertex for status in events for vertex in status.vertexes]
    assert (begun.started, begun.completed) == (NOW, None)
    assert (done.started, done.completed) == (NOW + 3 * SECOND // 10, NOW + SECOND)
    (log,) = [log for status in events for log in status.logs]
    assert log == VertexLog(begun.digest, 2, b"out\n", NOW + 245_000_000)


def test_other_steps_begin_when_their_line_comes_and_end_with_the_next() -> None:
    events = read(
        BuildahReader(TARGET, 1), b"STEP 1/2: FROM x\n", b"STEP 2/2: RUN y\n", b"--> 0123456789a\n", b"COMMIT z\n"
    )
    last = {vertex.name: vertex for status in events for vertex in status.vertexes}
    assert {name: (one.started, one.completed) for name, one in last.items()} == {
        "[1/2] FROM x": (NOW, NOW + SECOND),
        "[2/2] RUN y": (NOW + SECOND, NOW + 2 * SECOND),
        "exporting to image": (NOW + 3 * SECOND, NOW + 4 * SECOND),
    }


def test_stages_whose_steps_take_turns_end_one_by_one() -> None:
    by = BuildahReader(TARGET, 1)
    ends = {
        step.vertex.name: step.vertex.completed
        for step in outline.folded(outline.read(load("podman-5.4", "stages"), by)).children
    }
    order = sorted(ends, key=lambda name: ends[name] or 0)
    assert [name[: name.index("]") + 1] for name in order if "final" in name or "stage-1" in name] == [
        "[final 1/5]", "[final 2/5]", "[stage-1 1/3]", "[stage-1 2/3]", "[stage-1 3/3]", "[final 3/5]", "[final 4/5]",
        "[final 5/5]",
    ]  # fmt: skip


@pytest.mark.parametrize("told", [b"--> 0123456789a\n", b""], ids=["with ids", "without"])
def test_the_last_step_of_a_stage_ends_when_its_id_is_told_or_the_next_stage_begins(told: bytes) -> None:
    lines = [b"[1/2] STEP 1/1: FROM x\n", told, b"[2/2] STEP 1/2: FROM y\n", b"[2/2] STEP 2/2: RUN z\n"]
    vertexes = [
        one for status in read(BuildahReader(TARGET, 1), *lines) for one in status.vertexes if "stage-0" in one.name
    ]
    assert [one.completed for one in vertexes] == [None, NOW + (1 if told else 2) * SECOND]


def test_a_run_that_prints_what_looks_like_an_id_goes_on() -> None:
    events = read(
        BuildahReader(TARGET, 1),
        b"STEP 1/2: FROM x\n",
        b"STEP 2/2: RUN y\n",
        b"--> 0123456789a\n",
        b"more\n",
        b"COMMIT z\n",
    )
    last = {one.name: one.completed for status in events for one in status.vertexes}
    assert last["[2/2] RUN y"] == NOW + 4 * SECOND
    assert shown(events)["[2/2] RUN y"] == "more"


def rawjson(**fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def test_events_have_their_own_times() -> None:
    stamps = {"started": "2020-09-13T12:26:40.000000001Z", "completed": "2020-09-13T14:26:40.5+02:00"}
    events = read(RawJSONReader(TARGET, 1), rawjson(vertexes=[{"digest": "a", "name": "x", **stamps}]))
    (vertex,) = events[0].vertexes
    assert (vertex.started, vertex.completed) == (NOW + 1, NOW + SECOND // 2)


def test_the_clock_of_a_daemon_elsewhere_is_put_right() -> None:
    events = read(
        RawJSONReader(TARGET, 1),
        rawjson(vertexes=[{"digest": "a", "name": "x", "started": "2020-09-13T13:00:00Z"}]),
        rawjson(vertexes=[{"digest": "a", "name": "x", "started": "2020-09-13T13:00:00Z", "completed": "2020-09-13T13:00:03Z"}]),
    )  # fmt: skip
    (vertex,) = events[1].vertexes
    assert (vertex.started, vertex.completed) == (NOW, NOW + 3 * SECOND)


# Steps


def test_steps_of_other_targets_and_other_builds_are_other_vertexes() -> None:
    line = b"STEP 1/1: FROM x\n"
    readers = [BuildahReader(target, number) for target in ("a", "b") for number in (1, 2)]
    assert len({read(one, line)[0].vertexes[0].digest for one in readers}) == 4


def test_events_tell_what_a_step_needs() -> None:
    started = {"started": "2020-09-13T12:26:40Z"}
    first, second = {"digest": "a", "name": "x", **started}, {"digest": "b", "name": "y", "inputs": ["a"], **started}
    vertexes = read(RawJSONReader(TARGET, 1), rawjson(vertexes=[first, second]))[0].vertexes
    assert vertexes[1].inputs == (vertexes[0].digest,)
    assert {vertex.parent for vertex in vertexes} == {TARGET}


def test_what_is_only_planned_is_no_step_yet() -> None:
    assert read(RawJSONReader(TARGET, 1), rawjson(vertexes=[{"digest": "a", "name": "x"}]))[0].vertexes == ()


def read_until_it_runs(kind: str) -> tuple[Reader, list[SolveStatus]]:
    """A reader and its events up to the first line of a RUN."""
    capture = load(ANY[kind], "slow")
    by = outline.reader(capture.directory)
    begin = base64.b64encode(b"begin\n") if kind == "rawjson" else b"begin\n"
    count = next(number for number, (_, _, data) in enumerate(capture.pieces, 1) if begin in data)
    return by, [by.read(stream, data, NOW) for _, stream, data in capture.pieces[:count]]


@pytest.mark.parametrize("kind", ANY)
def test_an_interrupt_cancels_the_steps_that_run(kind: str) -> None:
    by, events = read_until_it_runs(kind)
    events.append(by.end(NOW, canceled=True))
    assert shown(events)["[2/2] RUN echo begin; sleep 2.5; echo end"] == "begin\nCANCELED"
    assert by.failed == ""


@pytest.mark.parametrize("kind", ANY)
def test_a_command_that_dies_fails_the_step_that_runs(kind: str) -> None:
    by, events = read_until_it_runs(kind)
    events.append(by.end(NOW, error="was ended by SIGKILL"))
    assert by.failed == "[2/2] RUN echo begin; sleep 2.5; echo end"
    assert shown(events)[by.failed] == "begin\nERROR: was ended by SIGKILL"


# BuildKit's lines


def test_a_status_has_its_bytes_and_its_time() -> None:
    events = read(
        BuildKitReader(TARGET, 1),
        b"#8 [1/2] FROM x\n",
        b"#8 sha256:ab12 1.20MB / 3.00MB 0.3s\n#8 extracting sha256:ab12\n",
        b"#8 sha256:ab12 3.00MB / 3.00MB 0.5s done\n#8 extracting sha256:ab12 0.1s done\n",
    )
    step = events[0].vertexes[0].digest
    begun = NOW + SECOND - 300_000_000
    later = NOW + 2 * SECOND
    assert [one for status in events for one in status.statuses] == [
        VertexStatus("sha256:ab12", step, "", 1_200_000, 3_000_000, NOW + SECOND, begun),
        VertexStatus("extracting sha256:ab12", step, "", 0, 0, NOW + SECOND, NOW + SECOND),
        VertexStatus("sha256:ab12", step, "", 3_000_000, 3_000_000, later, later - 500_000_000, later),
        VertexStatus("extracting sha256:ab12", step, "", 0, 0, later, later - 100_000_000, later),
    ]


def test_warnings_of_buildkit_are_told_once() -> None:
    summary = b"\n 2 warnings found (use docker --debug to expand):\n - FromAsCasing: casing (line 1)\n - Other: one (line 2)\n"
    events = read(BuildKitReader(TARGET, 1), b"#1 [1/1] RUN x\n#1 WARN: FromAsCasing: casing (line 1)\n", summary)
    step = events[0].vertexes[0].digest
    assert [one for status in events for one in status.warnings] == [
        VertexWarning(step, "FromAsCasing: casing (line 1)"),
        VertexWarning(TARGET, "Other: one (line 2)"),
    ]


def test_warnings_of_events_have_their_place() -> None:
    def coded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    warning = {
        "vertex": "a", "level": 2, "short": coded("short"), "detail": [coded("more")], "url": "https://u",
        "sourceInfo": {"filename": "Dockerfile"}, "range": [{"start": {"line": 3}, "end": {"line": 4}}],
    }  # fmt: skip
    document = rawjson(vertexes=[{"digest": "a", "started": "2020-09-13T12:26:40Z"}], warnings=[warning])
    events = read(RawJSONReader(TARGET, 1), document, b"\n 1 warning found (use docker --debug to expand):\n - short\n")
    (vertex,) = events[0].vertexes
    assert [one for status in events for one in status.warnings] == [
        VertexWarning(
            vertex.digest, "short", ("more",), "https://u", 2, "Dockerfile", (events[0].warnings[0].range[0],)
        )
    ]
    assert (events[0].warnings[0].range[0].start, events[0].warnings[0].range[0].end) == (3, 4)
    assert shown(events)[""] == ""


def test_an_error_of_several_lines_is_one() -> None:
    events = read(
        BuildKitReader(TARGET, 1),
        b'#5 [2/2] RUN <<EOF (one...)\n#5 ERROR: process "/bin/sh -c one\ntwo\n" did not complete: exit code: 3\n',
        b'------\n > [2/2] RUN <<EOF (one...):\n------\nERROR: failed to solve: process "/bin/sh -c one\ntwo\n',
        b'" did not complete: exit code: 3\n',
    )
    assert shown(events) == {
        "": "",
        "[2/2] RUN <<EOF (one...)": 'ERROR: process "/bin/sh -c one\ntwo\n" did not complete: exit code: 3',
    }


def test_a_step_that_goes_on_after_its_end_runs_again() -> None:
    lines = (
        b"#4 [1/2] FROM x\n#4 DONE 0.0s\n\n#5 [2/2] RUN y\n#5 0.1 out\n#5 ...\n\n#4 [1/2] FROM x\n#4 sha256:a 1B / 2B\n"
    )
    events = read(BuildKitReader(TARGET, 1), lines, b"#4 DONE 1.2s\n")
    assert [(one.name, one.completed is None) for one in events[0].vertexes] == [
        ("[1/2] FROM x", True),
        ("[1/2] FROM x", False),
        ("[2/2] RUN y", True),
        ("[1/2] FROM x", True),
    ]


# Lines that look like an engine's


def test_output_that_looks_like_a_step_is_output_where_no_step_can_be() -> None:
    fakes = b"STEP 4/4: RUN x\nSTEP 3/9: RUN x\n[1/2] STEP 1/4: FROM x\nCOMMIT x\n[Warning] one or more build args were not consumed: [A]\n"
    events = read(BuildahReader(TARGET, 1), b"STEP 1/4: FROM x\nSTEP 2/4: RUN y\n" + fakes, b"STEP 3/4: RUN z\n")
    assert shown(events) == {
        "": "",
        "[1/4] FROM x": "",
        "[2/4] RUN y": fakes.decode().rstrip(),
        "[3/4] RUN z": "",
    }
    assert [one for status in events for one in status.warnings] == []


def test_a_step_that_a_run_has_printed_gives_way_to_the_engines_own() -> None:
    events = read(
        BuildahReader(TARGET, 1), b"STEP 1/3: FROM x\nSTEP 2/3: RUN y\n", b"STEP 3/3: fake\n", b"STEP 3/3: RUN z\n"
    )
    assert list(shown(events)) == ["", "[1/3] FROM x", "[2/3] RUN y", "[3/3] RUN z"]


def test_where_ids_are_told_no_step_follows_a_run_without_one() -> None:
    events = read(
        BuildahReader(TARGET, 1),
        b"STEP 1/4: FROM x\nSTEP 2/4: RUN y\n--> 0123456789a\nSTEP 3/4: RUN z\nSTEP 4/4: fake\nmore\n--> 0123456789a\nSTEP 4/4: RUN end\n",
    )
    assert shown(events)["[3/4] RUN z"] == "STEP 4/4: fake\nmore"


def test_while_a_container_of_the_legacy_builder_runs_all_is_its_output() -> None:
    fakes = (
        b"Step 3/3 : RUN fake\n ---> Using cache\n ---> 0123456789ab\nRemoving intermediate container 000000000000\n"
    )
    events = read(
        LegacyReader(TARGET, 1),
        b"Step 1/3 : FROM x\n ---> 0123456789ab\nStep 2/3 : RUN y\n ---> Running in aaaaaaaaaaaa\n" + fakes,
        b"end\x1b[91merr\n\x1b[0mRemoving intermediate container aaaaaaaaaaaa\n ---> 0123456789ab\nStep 3/3 : RUN z\n",
    )
    assert shown(events) == {
        "": "",
        "[1/3] FROM x": "",
        "[2/3] RUN y": fakes.decode() + "enderr",
        "[3/3] RUN z": "",
    }
    assert [log.data for status in events for log in status.logs if log.stream == 2] == [b"err\n"]


@pytest.mark.parametrize(
    "text",
    [b"{\n", b"{}x\n", b'{"a": 1}\n', b'{"logs": 3}\n', b'{"logs": [{"vertex": "a"}]}\n', b"[1]\n", b"{\n x\n}\n"],
)
def test_text_that_looks_like_events_is_text(text: bytes) -> None:
    events = read(RawJSONReader(TARGET, 1), text, stream=2)
    assert transcript(events) == text
    assert b"".join(log.data for status in events for log in status.logs) == text


@pytest.mark.parametrize("kind", ANY)
def test_a_line_that_never_ends_is_handed_on(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_LINE", 100)
    by = outline.reader(ANY[kind])
    begin = {"buildkit": b"#1 [1/1] RUN x\n#1 0.1 ", "buildah": b"STEP 1/1: FROM x\n", "legacy": b"Step 1/1 : FROM x\n"}
    events = read(by, begin.get(kind, b""), *[b"." * 60] * 5, b"\n")
    shown_at = [number for number, status in enumerate(events) if status.logs]
    assert shown_at[0] <= 3
    assert b"".join(log.data for status in events for log in status.logs) == b"." * 300 + b"\n"


# Any input


def pieces_of(directory: str) -> list[bytes]:
    """Lines that the engine has printed, and parts of them."""
    lines = {line for capture in captures(directory) for line in capture.printed.splitlines(keepends=True)}
    return sorted(lines, key=lambda line: (len(line), line))


def any_text(directory: str) -> st.SearchStrategy[list[bytes]]:
    line = st.sampled_from(pieces_of(directory))
    part = st.builds(lambda one, at: one[:at], line, st.integers(0, 40))
    return st.lists(
        line | line | line | part | st.binary(max_size=12) | st.sampled_from([b"\n", b"\r", b"\x1b[0m"]), max_size=40
    )


def state(events: Sequence[SolveStatus]) -> object:
    """What is known in the end, however it was told."""
    vertexes: dict[str, Vertex] = {}
    statuses: dict[tuple[str, str], VertexStatus] = {}
    logs: dict[tuple[str, int], bytes] = {}
    warnings: list[VertexWarning] = []
    for status in events:
        vertexes |= {one.digest: one for one in status.vertexes}
        statuses |= {(one.vertex, one.id): one for one in status.statuses}
        warnings += status.warnings
        for log in status.logs:
            logs[log.vertex, log.stream] = logs.get((log.vertex, log.stream), b"") + log.data
    return vertexes, statuses, logs, warnings


@pytest.mark.parametrize("kind", ANY)
def test_it_does_not_matter_in_which_pieces_output_comes(kind: str) -> None:
    make: Callable[[], Reader] = lambda: outline.reader(ANY[kind])  # noqa: E731

    @settings(max_examples=300, deadline=None)
    @given(
        any_text(ANY[kind]),
        st.lists(st.integers(0, 3000), max_size=12),
        st.sampled_from([1, 2]),
        st.sampled_from(["", "x"]),
    )
    def check(lines: list[bytes], cuts: list[int], stream: int, error: str) -> None:
        data = b"".join(lines)
        places = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
        chunks = [data[start:end] for start, end in pairwise(places)]

        def told(pieces: Sequence[bytes]) -> list[SolveStatus]:
            by = make()
            return [*(by.read(stream, piece, NOW) for piece in pieces), by.end(NOW, error=error)]

        whole, apart = told([data]), told(chunks)
        assert state(apart) == state(whole)
        if kind != "rawjson":
            assert transcript(apart) == transcript(whole) == data

    check()


@pytest.mark.parametrize("kind", ANY)
def test_steps_are_named_before_anything_is_said_of_them_and_all_end(kind: str) -> None:
    @settings(max_examples=200, deadline=None)
    @given(
        any_text(ANY[kind]),
        st.lists(st.sampled_from([1, 2]), min_size=40, max_size=40),
        st.sampled_from(["", "x", "!"]),
    )
    def check(lines: list[bytes], streams: list[int], how: str) -> None:
        by = outline.reader(ANY[kind])
        events = [by.read(stream, line, NOW) for line, stream in zip(lines, streams, strict=False)]
        events.append(by.end(NOW, error=how if how == "x" else "", canceled=how == "!"))
        named = {TARGET}
        for status in events:
            named |= {one.digest for one in status.vertexes}
            said_of = {one.vertex for part in (status.statuses, status.logs, status.warnings) for one in part}
            if kind != "rawjson":  # a document may name what none has told of
                assert said_of <= named
        last = {one.digest: one for status in events for one in status.vertexes}
        assert all(one.completed is not None for one in last.values())

    check()
