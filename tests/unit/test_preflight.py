"""A Dockerfile is compared with what an engine can, in every version, before anything starts."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from magnet import backends, preflight
from magnet.backends.base import Backend
from magnet.backends.buildah import Buildah
from magnet.backends.docker import Docker
from magnet.backends.engine import Engine
from magnet.backends.features import features_of
from magnet.backends.podman import Podman
from magnet.errors import EngineError
from magnet.index import FileIndex
from magnet.memory import Memory
from magnet.model import Image
from magnet.preparation import Recipe, prepare
from magnet.process import Children, Shell


def docker(version: str) -> Docker:
    builder: Any = "buildkit" if version.startswith("20") else "buildx"
    return Docker(Engine("docker", version, builder=builder, features=features_of("buildkit", version)))


def legacy(version: str) -> Docker:
    return Docker(Engine("docker", version, builder="legacy", features=features_of("legacy", version)))


def podman(version: str, **fields: Any) -> Podman:
    return Podman(Engine("podman", version, features=features_of("podman", version), **fields))


def buildah(version: str) -> Buildah:
    return Buildah(Engine("buildah", version, features=features_of("buildah", version)))


ALL = {
    "docker 20.10.24": docker("20.10.24"),
    "docker 23.0.6": docker("23.0.6"),
    "docker 26.1.5": docker("26.1.5"),
    "docker 28.5.1": docker("28.5.1"),
    "docker 20.10.24, legacy builder": legacy("20.10.24"),
    "docker 26.1.5, legacy builder": legacy("26.1.5"),
    "podman 4.3.1": podman("4.3.1"),
    "podman 4.9.4": podman("4.9.4"),
    "podman 5.4.2": podman("5.4.2"),
    "buildah 1.28.2": buildah("1.28.2"),
    "buildah 1.33.7": buildah("1.33.7"),
    "buildah 1.39.3": buildah("1.39.3"),
}
NEW_DOCKER = {"docker 28.5.1"}
DOCKER_26 = {"docker 26.1.5", *NEW_DOCKER}
DOCKER_23 = {"docker 23.0.6", *DOCKER_26}
BUILDKIT = {"docker 20.10.24", *DOCKER_23}
LEGACY = {"docker 20.10.24, legacy builder", "docker 26.1.5, legacy builder"}
NEW_PODMAN = {"podman 5.4.2", "buildah 1.39.3"}
PODMAN = {name for name in ALL if name not in BUILDKIT | LEGACY}
HEREDOCS = DOCKER_23 | NEW_PODMAN | {"podman 4.9.4", "buildah 1.33.7"}

Check = Callable[..., None]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "usable", lambda **_: ())


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Check]:
    """Compare a Dockerfile and the files of its directory with an engine, to which every base image is known."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    shell = Shell(Children(), lambda *_: None, lambda _: None, root, {}, nullcontext)

    @contextmanager
    def asking(self: Backend, names: Any, *_: object) -> Iterator[Callable[[], Mapping[str, Image]]]:
        yield lambda: {name: Image(f"sha256:{'0' * 64}") for name in names}

    for kind in (Backend, Docker, Podman):
        monkeypatch.setattr(kind, "asking", asking)

    def check(backend: Backend, text: str, files: Mapping[str, str] = {}, **recipe: Any) -> None:
        (root / "Dockerfile").write_text(text)
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        prepared = prepare(Recipe(**recipe), root, backend, shell, index, Memory(tmp_path / "readings"))
        preflight.check(prepared, backend)

    with FileIndex(tmp_path / "index") as index:
        yield check


def refused(check: Check, *arguments: Any, **recipe: Any) -> EngineError:
    with pytest.raises(EngineError) as caught:
        check(*arguments, **recipe)
    return caught.value


@pytest.mark.parametrize(
    ("line", "words", "able"),
    [
        ("RUN <<EOF\ntrue\nEOF", "RUN <<EOF", HEREDOCS),
        ("RUN --mount=type=cache,target=/c true", "RUN --mount=type=cache", BUILDKIT | PODMAN),
        ("RUN --network=host true", "RUN --network=host", DOCKER_23 | NEW_PODMAN | {"podman 4.9.4", "buildah 1.33.7"}),
        ("RUN --security=insecure true", "RUN --security=insecure", set()),
        ("COPY --link a /", "COPY --link", DOCKER_23),
        ("COPY --parents a /", "COPY --parents", set()),
        ("COPY --exclude=b a /", "COPY --exclude", NEW_DOCKER | NEW_PODMAN),
        ("COPY --chmod=755 a /", "COPY --chmod", BUILDKIT | PODMAN),
        ("COPY --chmod=a+x a /", "COPY --chmod=a+x", NEW_DOCKER),
        ("ARG M=1\nCOPY --chmod=$M a /", "COPY --chmod=$M", NEW_DOCKER | PODMAN),
        ("ADD --checksum=sha256:ab https://h/x /", "ADD --checksum", DOCKER_26 | NEW_PODMAN),
        ("ADD https://h/x.git /", "ADD https://h/x.git", DOCKER_26),
        (
            "HEALTHCHECK --start-interval=1s CMD true",
            "HEALTHCHECK --start-interval",
            DOCKER_26 | NEW_PODMAN | {"docker 26.1.5, legacy builder"},
        ),
        ("ENV X=1 \nENV A=${X:?no}", "${X:?...}", BUILDKIT | LEGACY),
        ("ENV X=1 \nENV A=${X-y}", "${X-...}", DOCKER_26 | {"docker 26.1.5, legacy builder"}),
        ("ENV X=1 \nENV A=${X#y}", "${X#...}", DOCKER_26 | NEW_PODMAN | {"docker 26.1.5, legacy builder"}),
        ("USER 7\nWORKDIR /w", "WORKDIR after USER", BUILDKIT | PODMAN),
    ],
)
def test_each_version_does_what_it_can_and_is_refused_what_it_cannot(
    check: Check, line: str, words: str, able: set[str]
) -> None:
    for name, backend in ALL.items():
        if name in able:
            check(backend, f"FROM scratch\n{line}\n", {"a": ""})
        else:
            message = refused(check, backend, f"FROM scratch\n{line}\n", {"a": ""}).message
            assert message in (f"{name} cannot do `{words}`", f"{name} cannot do `COPY --chmod`")


def test_a_refusal_shows_the_line_and_tells_who_can(check: Check) -> None:
    error = refused(check, podman("4.3.1"), "FROM scratch\n\nCOPY   --link \\\n  a b /\n", {"a": "", "b": ""})
    assert error.message == "podman 4.3.1 cannot do `COPY --link`"
    assert error.detail == ("Dockerfile:3: COPY --link a b /",)
    assert error.hint == ("docker 23.0, podman 5.7 and buildah 1.42 or later have it; none of the engines here can")


def test_what_is_not_needed_is_not_compared(check: Check) -> None:
    text = "FROM scratch AS one\nCOPY --link a /\nFROM scratch AS two\nCOPY a /\n"
    check(podman("4.3.1"), text, {"a": ""})
    refused(check, podman("4.3.1"), text, {"a": ""}, stage="one")
