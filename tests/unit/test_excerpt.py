"""Where a failed step stands in its Dockerfile, and what is shown of it."""

from pathlib import Path

import pytest

from magnet import excerpt
from magnet.hints import hint

DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG BASE=busybox
FROM $BASE AS builder
ARG DIR=/src
COPY assets $DIR
RUN make \\
      # the rest
      all
RUN true

FROM busybox
COPY --from=builder /src /src
RUN true
RUN <<EOF
echo a
EOF
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "Dockerfile"
    path.write_text(DOCKERFILE)
    return path


@pytest.mark.parametrize(
    ("step", "lines"),
    [
        ("[builder 1/4] FROM docker.io/library/busybox", (3, 3)),
        ("[builder 2/4] COPY assets /src", (5, 5)),
        ("[builder 3/4] RUN make       all", (6, 8)),
        ("[linux/amd64 builder 3/4] RUN make all", (6, 8)),
        ("[builder 4/4] RUN true", (9, 9)),
        ("[stage-1 3/4] RUN true", (13, 13)),
        ("[stage-1 2/4] COPY --from=builder /src /src", (12, 12)),
        ("[stage-1 4/4] RUN <<EOF (echo a)", (14, 16)),
        ("[3/3] RUN true", (9, 9)),
        ("[builder  4/10] RUN true", (9, 9)),
        ("[ 3/10] RUN true", (9, 9)),
    ],
)
def test_a_step_is_found_by_its_name(file: Path, step: str, lines: tuple[int, int]) -> None:
    found = excerpt.find(file, step)
    assert found is not None
    assert (found.first, found.last, found.file) == (*lines, file)


@pytest.mark.parametrize("step", ["", "exporting to image", "[other 1/2] RUN true", "[1/2] HEALTHCHECK NONE"])
def test_what_is_no_step_of_the_file_is_not_found(file: Path, step: str) -> None:
    assert excerpt.find(file, step) is None


def test_a_file_that_is_gone_or_broken_meanwhile_has_nothing_to_show(file: Path) -> None:
    file.write_text("FROM busybox\nRUN <<EOF\n")
    assert excerpt.find(file, "[1/2] RUN true") is None
    file.unlink()
    assert excerpt.find(file, "[1/2] RUN true") is None


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        (
            "[builder 1/4] FROM busybox",
            """\
Dockerfile:3
--------------------
   1 |     # syntax=docker/dockerfile:1
   2 |     ARG BASE=busybox
   3 | >>> FROM $BASE AS builder
   4 |     ARG DIR=/src
   5 |     COPY assets $DIR
--------------------""",
        ),
        (
            "[builder 3/4] RUN make all",
            """\
Dockerfile:6
--------------------
   5 |     COPY assets $DIR
   6 | >>> RUN make \\
   7 | >>>       # the rest
   8 | >>>       all
   9 |     RUN true
--------------------""",
        ),
    ],
)
def test_an_excerpt_looks_as_buildkits(file: Path, step: str, shown: str) -> None:
    found = excerpt.find(file, step)
    assert found is not None
    assert list(found.lines) == shown.splitlines()


def test_an_excerpt_of_one_line_is_that_line(file: Path) -> None:
    file.write_text("FROM nothing")
    found = excerpt.find(file, "[1/1] FROM nothing")
    assert found is not None
    assert found.lines == ("Dockerfile:1", "-" * 20, "   1 | >>> FROM nothing", "-" * 20)


@pytest.mark.parametrize(
    ("step", "said", "words"),
    [
        ("[2/2] RUN make", "/bin/sh: make: not found\nexit code: 127", "install it in a step before"),
        ("[2/2] RUN x", "write /x: no space left on device", "magnet cache prune"),
        ("[2/2] RUN x", "exec /bin/sh: exec format error", "another platform"),
        ("[2/2] RUN apt-get install x", "E: Unable to locate package x", "apt-get update"),
        ("[2/2] RUN wget x", "wget: bad address 'example.com'", "no network"),
        ("[2/2] RUN x", "exit code: 137", "memory"),
        ("[2/2] COPY a /", 'failed to compute cache key: "/a" not found: not found', "magnet --files"),
        ("[2/2] ADD a /", "ADD failed: file not found in build context", "magnet --files"),
        ("[2/2] RUN --mount=type=cache,target=/c x", "mkdir /var/tmp/buildah-cache/ab: permission denied", "TMPDIR"),
        ("[2/2] RUN ./x", "/bin/sh: ./x: Permission denied", "chmod"),
        (
            "[2/2] RUN x",
            "executor failed running [/bin/sh -c x]: unable to find user 7: invalid argument",
            "/etc/passwd",
        ),
        *[
            ("[2/2] RUN x", said, "`magnet --backend podman doctor`")
            for said in (
                "container for [/x]: cgroups in hybrid mode not supported, drop all controllers from cgroupv2",
                "error setting rlimits for ready process: error setting rlimit type 7: operation not permitted",
                'Error: building at STEP "RUN x": failed to read from slirp4netns sync pipe: EOF',
                'Error: command required for rootless mode with multiple IDs: exec: "newuidmap": not found in $PATH',
                "fuse: device not found, try 'modprobe fuse' first",
                "open /etc/containers/policy.json: no such file or directory",
            )
        ],
        *[
            ("", said, "BuildKit cannot fetch the image that `# syntax=` names")
            for said in (
                "failed to solve with frontend dockerfile.v0: failed to solve with frontend gateway.v0: failed to do request",
                "failed to resolve source metadata for docker.io/docker/dockerfile:1: failed to do request: Head ...",
            )
        ],
    ],
)
def test_a_hint_says_what_to_do(step: str, said: str, words: str) -> None:
    assert words in (hint(step, said.splitlines(), "podman") or "")


def test_what_a_step_prints_of_the_machines_programs_is_no_sign_that_they_are_missing() -> None:
    said = ["Setting up uidmap (newuidmap)", "Setting up slirp4netns", "Setting up fuse-overlayfs", "exit code: 1"]
    assert hint("[2/2] RUN apt-get install podman", said, "podman") is None


@pytest.mark.parametrize("step", ["[2/2] RUN cat a", ""])
def test_there_is_no_hint_where_nothing_is_known(step: str) -> None:
    assert hint(step, ["cat: a: no such file or directory", "exit code: 1"], "podman") is None
