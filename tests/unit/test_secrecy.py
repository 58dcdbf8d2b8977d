"""No value of a secret variable is on a display, in a log or in events, whatever a program does with it."""

import base64
import io
import json
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from magnet import process
from magnet.body import T
from magnet.buildfile import target
from magnet.envs import declaring, env
from magnet.failures import report
from magnet.logs import LogFiles
from magnet.model import Project
from magnet.process import Children
from magnet.progress.consumer import Consumer
from magnet.progress.plain import Plain
from magnet.progress.rawjson import RawJson
from magnet.redact import Redactor
from magnet.running import Run
from magnet.session import Session
from magnet.workspace import Workspace

WRITE = """
import os, sys
for word in sys.argv[1].split():
    stream, _, data = word.partition(":")
    os.write(int(stream), bytes.fromhex(data))
sys.exit(3)
"""

# What stands around a secret shares letters with it, and all that shells and JSON have quotes for; what magnet says
# itself does not begin with Q.
SECRETS = st.text("QZ '\"\\$\n", min_size=2, max_size=6).map("Q{}Z".format)
NOISE = st.text("QZ '\"\\\n", max_size=4)
OUTPUT = st.lists(st.tuples(st.sampled_from([1, 2]), NOISE, NOISE), min_size=1, max_size=4)


def run(directory: Path, secrets: list[str], output: list[tuple[int, str]], word: str) -> list[str]:
    """All that a run shows and keeps in which a program with this word among its arguments prints the output."""

    @target
    def app(t: T) -> None:
        printed = " ".join(f"{stream}:{text.encode().hex()}" for stream, text in output)
        t.exec(
            sys.executable, "-I", "-S", Path("-c"), Path(WRITE), printed, word, "$SECRET", env={"SECRET": secrets[0]}
        )

    shown, events = io.StringIO(), io.BytesIO()
    redactor = Redactor(secrets)
    consumer = Consumer(Plain(shown, time.time_ns), [LogFiles(directory), RawJson(events)], redactor)
    session = Session(
        project=Project(root=directory, name="project", version="1"),
        workspace=Workspace(directory / "cache", "run"),
        children=Children(),
        emit=consumer.emit,
        clock=time.time_ns,
        environ={"PATH": os.environ["PATH"]},
        terminal=lambda vertex: nullcontext(),
        secrets=tuple(secrets),
    )
    run = Run(session, directory / "magnetfile.py", jobs=1)
    consumer.start()
    assert not run.scheduler.run([app()])
    consumer.finish()
    for failure in run.failures:
        report(failure.error, shown, hide=redactor.text)
    assert "exit code 3" in shown.getvalue()
    return [shown.getvalue(), (directory / "app").read_text(), *texts(events.getvalue())]


def texts(events: bytes) -> list[str]:
    """The events, all texts in them, and the output of each stream."""
    found = [json.loads(line) for line in events.splitlines()]
    logs = [log for event in found for log in event.get("logs", [])]
    streams = [
        b"".join(base64.b64decode(log["data"]) for log in logs if log["stream"] == stream).decode() for stream in (1, 2)
    ]
    vertexes = [vertex for event in found for vertex in event.get("vertexes", [])]
    return [events.decode(), *streams, *(vertex.get("error", "") for vertex in vertexes)]


def unquoted(text: str) -> str:
    """The text, with what a shell would make of quotes within quotes."""
    return text.replace("'\"'\"'", "'")


@settings(deadline=None, max_examples=40)  # each starts a program
@given(st.lists(SECRETS, min_size=1, max_size=3), OUTPUT, st.integers(1, 9), NOISE, NOISE)
@example(["Qit's-Z"], [(1, "", "")], 5, "--token=", " x")
def test_a_secret_is_nowhere_however_it_is_printed_and_wherever_pieces_are_cut(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[str],
    output: list[tuple[int, str, str]],
    size: int,
    before: str,
    after: str,
) -> None:
    environ = {f"SECRET_{at}": value for at, value in enumerate(values)}
    with declaring(environ, Path()) as declared:
        secrets = [env(f"SECRET_{at}", secret=True) for at, _ in enumerate(values)]
    assert [one.value for one in declared.variables.values() if one.is_secret] == values
    pieces = [(stream, f"{noise}{secret}{more}") for stream, noise, more in output for secret in secrets]
    with mock.patch.multiple(process, _READ_BYTES=size, _LONGEST_LINE=size // 2):
        everything = run(tmp_path_factory.mktemp("run"), secrets, pieces, f"{before}{secrets[-1]}{after}")
    for text in everything:
        for secret in secrets:
            assert secret not in text
            assert secret not in unquoted(text)
