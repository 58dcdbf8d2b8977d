"""Events as BuildKit's JSON."""

import base64
import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from magnet.events import Range, SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning
from magnet.progress.rawjson import RawJson, encoded

TIME = 1_595_478_390_730_309_484
STAMP = "2020-07-23T04:26:30.730309484Z"


def test_events_have_buildkits_fields_and_leave_out_what_it_leaves_out() -> None:
    status = SolveStatus(
        vertexes=(
            Vertex("d1", "build"),
            Vertex("d2", "[1/2] RUN x", ("d3",), TIME, TIME, True, "", False, "d1", 5, skipped="`only_if` is false"),
            Vertex("d4", "b", error="interrupted", canceled=True),
            Vertex("d5", "c", error="context canceled", canceled=True),
        ),
        statuses=(
            VertexStatus("hashing", "d1", "", 0, 0, TIME),
            VertexStatus("get", "d1", "a", 5, 9, TIME, TIME, TIME),
        ),
        logs=(VertexLog("d1", 2, b"\xff\n", TIME),),
        warnings=(VertexWarning("d1", "short", ("more",), "u", 1, "Dockerfile", (Range(3, 4),)),),
        transcript=(VertexLog("d1", 1, b"not for programs", TIME),),
    )
    assert json.loads(encoded(status)) == {
        "vertexes": [
            {"digest": "d1", "name": "build"},
            {
                "digest": "d2",
                "inputs": ["d3"],
                "name": "[1/2] RUN x",
                "started": STAMP,
                "completed": STAMP,
                "cached": True,
                "parent": "d1",
                "took": 5,
                "skipped": "`only_if` is false",
            },
            {"digest": "d4", "name": "b", "error": "interrupted: context canceled"},
            {"digest": "d5", "name": "c", "error": "context canceled"},
        ],
        "statuses": [
            {"id": "hashing", "vertex": "d1", "current": 0, "timestamp": STAMP},
            {
                "id": "get",
                "vertex": "d1",
                "name": "a",
                "total": 9,
                "current": 5,
                "timestamp": STAMP,
                "started": STAMP,
                "completed": STAMP,
            },
        ],
        "logs": [{"vertex": "d1", "stream": 2, "data": "/wo=", "timestamp": STAMP}],
        "warnings": [
            {
                "vertex": "d1",
                "level": 1,
                "short": base64.b64encode(b"short").decode(),
                "detail": [base64.b64encode(b"more").decode()],
                "url": "u",
                "sourceInfo": {"filename": "Dockerfile"},
                "range": [{"start": {"line": 3}, "end": {"line": 4}}],
            }
        ],
    }


def test_there_is_a_line_for_all_that_belongs_together_and_none_for_a_mere_transcript() -> None:
    out = io.BytesIO()
    display = RawJson(out)
    display.update(SolveStatus(vertexes=(Vertex("1", "a"),), logs=(VertexLog("1", 1, b"x", TIME),)))
    display.update(SolveStatus(transcript=(VertexLog("1", 1, b"x", TIME),)))
    display.update(SolveStatus(vertexes=(Vertex("1", "a", completed=TIME),)))
    display.done()
    assert [sorted(json.loads(line)) for line in out.getvalue().splitlines()] == [["logs", "vertexes"], ["vertexes"]]


def nanoseconds(stamp: str) -> int:
    from datetime import UTC, datetime

    whole = datetime.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    assert (stamp[19], stamp[29:], len(stamp)) == (".", "Z", 30)
    return int(whole.timestamp()) * 10**9 + int(stamp[20:29])


TIMES = st.integers(0, 4 * 10**18)
TEXTS = st.text(max_size=20)


@given(st.lists(st.tuples(TEXTS, st.integers(0, 2), st.binary(max_size=50), TIMES), min_size=1, max_size=5))
def test_logs_can_be_read_back(logs: list[tuple[str, int, bytes, int]]) -> None:
    line = encoded(SolveStatus(logs=tuple(VertexLog(*log) for log in logs)))
    assert line.count(b"\n") == 1

    def read(log: dict[str, Any]) -> tuple[str, int, bytes, int]:
        data = base64.b64decode(log["data"], validate=True)
        return log.get("vertex", ""), log.get("stream", 0), data, nanoseconds(log["timestamp"])

    assert [read(log) for log in json.loads(line)["logs"]] == [(vertex, *rest) for vertex, *rest in logs]


def test_what_is_no_text_becomes_valid_json() -> None:
    line = encoded(SolveStatus(vertexes=(Vertex("1", "caf\udce9 \U0001f600 é"),)))
    assert json.loads(line)["vertexes"][0]["name"] == "caf\ufffd \U0001f600 é"
    line.decode("ascii")
