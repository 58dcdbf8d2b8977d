"""The Dockerfile that an engine is given keeps its lines, whatever is taken out of it."""

from pathlib import Path
from typing import Any

import pytest

from magnet.dockerfile import parse_text
from magnet.rewriting import Changes, rewritten


def change(text: str, stage: str | None = None, *, build_args: dict[str, str] | None = None, **changes: Any) -> str:
    parsed = parse_text(Path("Dockerfile"), text)
    return rewritten(text, parsed, parsed.layout(stage, build_args or {}), Changes(**changes))


STAGES = """\
# syntax=docker/dockerfile:1
ARG V=1
FROM --platform=$BUILDPLATFORM one:$V \\
  AS first
RUN a \\
# a comment
  b

FROM two AS Second
COPY x \\
  /
VOLUME /of/second
FROM first
COPY --from=0 /y /
VOLUME ["/v", "/w x"]
RUN c
"""


def test_what_is_to_be_as_it_is_stays_so() -> None:
    assert change(STAGES) == STAGES


@pytest.mark.parametrize(
    ("directives", "left"),
    [
        ("# syntax=docker/dockerfile:1\n", "#\n"),
        ("#syntax=a\n# check=skip=all\n# escape=`\n", "# escape=`\n# check=skip=all\n#\n"),
        ("# escape=`\r\n# syntax = a\r\n", "# escape=`\r\n#\n"),
        ("# escape=`\n# a comment\n# syntax=a\n", "# escape=`\n# a comment\n# syntax=a\n"),
        ("\ufeff# syntax=a\n", "#\n"),
    ],
)
def test_without_its_syntax_the_other_directives_are_still_the_first_lines(directives: str, left: str) -> None:
    assert change(f"{directives}FROM a\n", no_syntax=True) == f"{left}FROM a\n"
    assert parse_text(Path(), f"{left}FROM a\n").escape == ("`" if "escape=`" in directives else "\\")


def test_stages_that_are_not_needed_keep_their_number_and_their_name_and_nothing_else() -> None:
    assert change(STAGES, only_needed=True, build_args={"V": "2"}) == (
        "# syntax=docker/dockerfile:1\nARG V=1\nFROM one:2 AS first\n#\nRUN a \\\n# a comment\n  b\n\n"
        "FROM scratch AS Second\n#\n#\n#\n"
        'FROM first\nCOPY --from=0 /y /\nVOLUME ["/v", "/w x"]\nRUN c\n'
    )


def test_what_a_needed_stage_starts_from_is_written_out() -> None:
    text = "ARG V=1\nFROM a:$V\nFROM b:$V AS two\nFROM c AS three\nCOPY --from=0 x /\n"
    assert change(text, only_needed=True) == (
        "ARG V=1\nFROM a:1\nFROM scratch AS two\nFROM c AS three\nCOPY --from=0 x /\n"
    )


def test_a_stage_that_is_not_the_last_can_be_made_so() -> None:
    assert change("FROM a\nRUN a\n\nFROM b\nRUN <<E\nx\nE\nFROM c\n", "1", nothing_after=True) == (
        "FROM a\nRUN a\n\nFROM b\nRUN <<E\nx\nE\n#\n#"
    )


def test_volumes_go_to_the_end_of_the_wanted_stage() -> None:
    text = """\
FROM a AS base
ENV D=/d
VOLUME /b
RUN true
FROM base AS app
VOLUME $D/x \\
  /b
VOLUME ["/q\\\\'$ "]
RUN true
FROM base
VOLUME /no
"""
    moved = change(text, "app", volumes_last=True)
    assert (
        moved
        == """\
FROM a AS base
ENV D=/d
#
RUN true
FROM base AS app
#
#
#
RUN true
#
#
#
VOLUME ["/b", "/d/x", "/q\\\\'\\\\$ "]
"""
    )
    assert parse_text(Path("Dockerfile"), moved).layout("app").volumes == ("/b", "/d/x", "/q'$ ")


def test_steps_are_put_in_after_the_lines_that_they_are_for() -> None:
    nothing = "COPY --from=magnet-nothing . /"
    assert change("# syntax=a\nFROM a\nWORKDIR /b\n\nWORKDIR /c", no_syntax=True, then_nothing=(3, 5)) == (
        f"#\nFROM a\nWORKDIR /b\n{nothing}\n\nWORKDIR /c\n{nothing}"
    )
