"""The columns of the contract suite: every engine of this machine, in every way that it is used."""

import os
from dataclasses import dataclass

from magnet.testing import program
from magnet.testing.program import PREFIX as PREFIX
from magnet.testing.program import Result as Result

NOT_UP = 'the engines are not up: run scripts/test, or first: eval "$(scripts/engines up)"'


@dataclass(frozen=True)
class Column(program.Column):
    """An engine, and the environment in which it is used."""

    @property
    def is_legacy(self) -> bool:
        return self.name == "docker-legacy"

    @property
    def is_chroot(self) -> bool:
        return self.name == "buildah-chroot"

    @property
    def generation(self) -> str:
        """The release that the engines are of, as `debian-13`; scripts/engines tells."""
        return os.environ.get("MAGNET_TEST_GENERATION", "debian-12")

    @property
    def is_old_buildkit(self) -> bool:
        """Whether docker builds with the BuildKit of Debian 12's daemon, whatever the client is."""
        return self.backend == "docker" and not self.is_legacy and self.generation == "debian-12"

    @property
    def has_buildx(self) -> bool:
        """Whether docker's client builds with buildx: newer ones have nothing else but the legacy builder."""
        return self.name == "docker-buildx" or (self.name == "docker" and self.generation != "debian-12")


def columns() -> list[Column]:
    """Every engine, for root and for an ordinary user; docker's other builders for root alone.

    An ordinary user has docker where a daemon of one's own runs.

    They are the same in every generation of engines, but that docker's newer clients always have buildx.

    Where the environment has MAGNET_TEST_COLUMNS, only those of these names.
    """
    wanted = os.environ.get("MAGNET_TEST_COLUMNS", "").split()
    return [column for column in _all_columns() if not wanted or column.name in wanted]


def _all_columns() -> list[Column]:
    daemonless = [
        Column("podman", "podman"),
        Column("buildah", "buildah"),
        Column("buildah-chroot", "buildah", {"BUILDAH_ISOLATION": "chroot"}),
    ]
    if os.geteuid() != 0:
        return [*([Column("docker", "docker")] if "DOCKER_HOST" in os.environ else []), *daemonless]
    docker = [Column("docker", "docker"), Column("docker-legacy", "docker", {"DOCKER_BUILDKIT": "0"})]
    if "MAGNET_TEST_BUILDX" in os.environ and "MAGNET_TEST_DOCKER_LEGACY" in os.environ:
        docker.append(Column("docker-buildx", "docker", {"DOCKER_CONFIG": os.environ["MAGNET_TEST_BUILDX"]}))
    return docker + daemonless


@dataclass(frozen=True)
class Magnet(program.Magnet):
    """The program, in a project directory of its own, with the engine of a column."""

    column: Column
