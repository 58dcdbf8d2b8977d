"""Secrets never reach a display or a log, in whatever pieces they come."""

import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnet.events import SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning
from magnet.redact import MASK, Redactor


def log(data: bytes, vertex: str = "v", stream: int = 1) -> VertexLog:
    return VertexLog(vertex, stream, data, 0)


def printed(redactor: Redactor, *pieces: bytes) -> list[bytes]:
    """What is shown at each piece, and in the end."""
    shown = [redactor.status(SolveStatus(logs=(log(piece),))) for piece in pieces]
    rest = redactor.rest()
    return [b"".join(one.data for one in status.logs) for status in (*shown, rest or SolveStatus())]


# Small alphabets, so that secrets overlap with each other, themselves and their surroundings.
SECRETS = st.lists(st.text("ab\n'", min_size=1, max_size=5).filter(str.strip), min_size=1, max_size=3)
PIECES = st.lists(st.binary(max_size=6) | st.text("ab\n'", max_size=6).map(str.encode), max_size=8)


@given(SECRETS, PIECES)
def test_the_pieces_of_some_output_show_what_the_whole_of_it_would(secrets: list[str], pieces: list[bytes]) -> None:
    whole = printed(Redactor(secrets), b"".join(pieces))
    assert b"".join(printed(Redactor(secrets), *pieces)) == b"".join(whole)


@given(SECRETS, PIECES, st.integers(0, 2))
def test_no_secret_is_left(secrets: list[str], pieces: list[bytes], index: int) -> None:
    secret = secrets[index % len(secrets)].encode()
    output = b"".join(printed(Redactor(secrets), *pieces, secret[:2], secret[2:]))
    # A mask has no character of these secrets in it, so that none can arise from what is left.
    assert secret not in output


@given(st.lists(st.binary(max_size=30)))
def test_without_secrets_everything_is_shown_at_once(pieces: list[bytes]) -> None:
    assert printed(Redactor([]), *pieces) == [*pieces, b""]


def test_only_what_may_be_the_beginning_of_a_secret_waits_for_what_follows() -> None:
    assert printed(Redactor(["s3cret"]), b"a s3", b"t s3cr", b"et b s", b"") == [b"a ", b"s3t ", b"*** b ", b"", b"s"]


def test_a_secret_that_begins_another_does_not_uncover_the_rest_of_it() -> None:
    assert printed(Redactor(["pass", "password"]), b"pass", b"word pass", b"!") == [b"", b"*** ", b"***!", b""]


def test_a_secret_that_ends_in_the_beginning_of_another_is_hidden() -> None:
    assert b"".join(printed(Redactor(["xab", "abq"]), b"xab", b"z")) == b"***z"


def test_what_was_held_back_comes_before_the_end_of_its_vertex() -> None:
    redactor = Redactor(["secret"])
    first = redactor.status(SolveStatus(logs=(log(b"a s"), log(b"b se", "other"))))
    last = redactor.status(SolveStatus(vertexes=(Vertex("v", "name", started=1, completed=2),)))
    assert [one.data for one in first.logs] == [b"a ", b"b "]
    assert last.logs == (log(b"s"),)
    assert redactor.rest() == SolveStatus(logs=(log(b"se", "other"),))
    assert redactor.rest() is None


def test_streams_and_the_transcript_are_looked_at_apart() -> None:
    redactor = Redactor(["secret"])
    shown = redactor.status(SolveStatus(logs=(log(b"sec"), log(b"ret", stream=2)), transcript=(log(b"a secret"),)))
    assert shown == SolveStatus(logs=(log(b"ret", stream=2),), transcript=(log(b"a ***"),))


def test_all_texts_of_events_are_free_of_secrets() -> None:
    secret = "s3cret"
    status = SolveStatus(
        vertexes=(Vertex("v", f"RUN {secret}", error=f"{secret} failed"),),
        statuses=(VertexStatus(f"get {secret}", "v", secret),),
        warnings=(VertexWarning("v", f"{secret}!", (f"no {secret}",)),),
    )
    assert Redactor([secret]).status(status) == SolveStatus(
        vertexes=(Vertex("v", "RUN ***", error="*** failed"),),
        statuses=(VertexStatus("get ***", "v", MASK),),
        warnings=(VertexWarning("v", "***!", ("no ***",)),),
    )


@pytest.mark.parametrize("secret", ["it's", 'a "quote"', "tab\there", "two words"])
def test_a_secret_is_hidden_as_a_shell_and_json_write_it(secret: str) -> None:
    redactor = Redactor([secret])
    assert redactor.text(f"echo {shlex.quote(secret)} {json.dumps(secret)}") == f'echo {MASK} "{MASK}"'


def test_the_lines_of_a_secret_are_hidden_where_they_stand_alone() -> None:
    redactor = Redactor(["-----BEGIN-----\nMIIEvQ\n=\n-----END-----\n"])
    assert redactor.text("#5 0.1 MIIEvQ\n#5 0.1 =\n") == "#5 0.1 ***\n#5 0.1 =\n"


def test_text_that_is_not_utf_8_stays_as_it_is() -> None:
    assert Redactor(["secret"]).text("caf\udce9 secret") == "caf\udce9 ***"
