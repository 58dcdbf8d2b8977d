"""What a Dockerfile and an ignore file say is the same whether it is read or remembered."""

from pathlib import Path
from typing import Any

import pytest

from magnet import context, dockerfile
from magnet.errors import MagnetError, MagnetfileError
from magnet.memory import Memory
from magnet.model import Platform
from magnet.reading import Reading, read, read_ignore_file

ARM = Platform("linux", "arm", "v7")
TEXT = """\
# syntax=docker/dockerfile:1
ARG BASE=tools
FROM --platform=linux/arm64 ${BASE} AS made
ARG MODE
COPY src /
ADD https://e.x/a /a
RUN --mount=source=in,target=/in make
FROM scratch
COPY --from=made /out /
COPY \udcff <<EOF /
here
EOF
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_bytes(TEXT.encode(errors="surrogateescape"))
    return tmp_path / "Dockerfile"


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "readings")


def forbid_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Any:
        raise AssertionError("it is known")

    monkeypatch.setattr(dockerfile, "parse_text", fail)
    monkeypatch.setattr(context, "ignore_patterns", fail)


def test_what_is_read_is_remembered_whole(file: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(file, None, {"MODE": "fast"}, None, memory)
    assert first == Reading(
        syntax="docker/dockerfile:1",
        escape="\\",
        is_foreign=False,
        stage=None,
        bases=["tools"],
        sources=["in", "src", "\udcff"],
        instructions=[
            ["FROM", "tools", "made", "linux/arm64"],
            ["ARG", False, "MODE"],
            ["COPY", False, "src", "/"],
            ["ADD", False, "https://e.x/a", "/a"],
            ["RUN", "--mount=source=in,target=/in", False, "make"],
            ["FROM", "scratch", "", ""],
            ["COPY", "--from=made", False, "/out", "/"],
            ["COPY", False, "\udcff", "<<EOF", "/", ["EOF", "here\n", False, True]],
        ],
        arguments={"MODE": "fast"},
        platforms={"tools": "linux/arm64"},
        unchecked=["https://e.x/a"],
        mounts_context=True,
    )
    forbid_parsing(monkeypatch)
    assert read(file, None, {"MODE": "fast"}, None, memory) == first


def test_for_another_question_it_is_read_anew(file: Path, memory: Memory) -> None:
    read(file, None, {}, None, memory)
    assert read(file, "made", {}, None, memory).stage == "made"
    assert read(file, None, {"BASE": "other"}, None, memory).bases == ["other"]
    file.write_text("FROM $TARGETARCH\n")
    assert read(file, None, {}, ARM, memory).bases == ["arm"]
    assert read(file, None, {}, Platform("linux", "386"), memory).bases == ["386"]


def test_what_is_wrong_is_said_each_time(file: Path, memory: Memory, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(MagnetfileError, match="has no stage `nosuch`"):
            read(file, "nosuch", {}, None, memory)
    with pytest.raises(MagnetfileError, match=r"cannot read .*: No such file or directory"):
        read(tmp_path / "nosuch", None, {}, None, memory)


def test_the_patterns_of_an_ignore_file_are_remembered(
    tmp_path: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".dockerignore"
    file.write_bytes(b"\xef\xbb\xbf/a/\n # b\n!c\xff\n")
    first = read_ignore_file(file, memory)
    assert first == context.read_ignore_file(file) == ("a", "\\# b", "!c\udcff")
    with monkeypatch.context() as patch:
        forbid_parsing(patch)
        assert read_ignore_file(file, memory) == first
    file.write_text("[")
    for _ in range(2):
        with pytest.raises(MagnetError, match="line 1: invalid"):
            read_ignore_file(file, memory)
