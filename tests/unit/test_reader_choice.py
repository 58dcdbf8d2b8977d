"""Which reader a backend has for its builder, and what it has the builder print."""

import pytest

from magnet.backends.base import Backend, Engine
from magnet.backends.buildah import Buildah
from magnet.backends.docker import Docker
from magnet.backends.engine import BuilderKind
from magnet.backends.podman import Podman
from magnet.model import BuildRequest
from magnet.readers.buildah import BuildahReader
from magnet.readers.buildkit import BuildKitReader
from magnet.readers.legacy import LegacyReader
from magnet.readers.rawjson import RawJSONReader
from tests.unit.test_backends import BUILD


def docker(builder: BuilderKind, *features: str) -> Docker:
    return Docker(Engine("docker", "28.2.2", builder=builder, features=frozenset(features)))


@pytest.mark.parametrize(
    ("backend", "reader", "progress"),
    [
        (docker("buildkit"), BuildKitReader, ["--progress=plain"]),
        (docker("buildx"), BuildKitReader, ["--progress=plain"]),
        (docker("buildx", "events"), RawJSONReader, ["--progress=rawjson"]),
        (docker("legacy"), LegacyReader, []),
        (Podman(Engine("podman", "4.3.1")), BuildahReader, []),
        (Buildah(Engine("buildah", "1.28.2")), BuildahReader, []),
    ],
    ids=["buildkit", "buildx 0.12", "buildx 0.13", "legacy", "podman", "buildah"],
)
def test_a_builder_prints_what_its_reader_reads(backend: Backend, reader: type, progress: list[str]) -> None:
    request: BuildRequest = BUILD
    assert type(backend.reader("target", 1)) is reader
    assert [word for word in backend.build_command(request).argv if word.startswith("--progress")] == progress
