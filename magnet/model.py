"""The values that travel between the rooms: requests, results and settings, all frozen."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from magnet.errors import MagnetfileError
from magnet.values import frozen

EMPTY: Mapping[str, str] = MappingProxyType({})
EMPTY_PATHS: Mapping[str, Path] = MappingProxyType({})
EMPTY_CONTEXTS: Mapping[str, Path | str] = MappingProxyType({})

SCRATCH = "scratch"
"""The base that is no image."""

RUN_LABEL = "dev.magnet.run"
"""Every container that a run makes carries this label, with the run's id as its value."""

Pull = Literal["missing", "newer", "always", "never"]
"""When a base image is fetched, with one meaning on every engine.

`missing`: when it is not here. `newer`: look for a newer one, and use what is here if none can be had.
`always`: fetch it, and fail if that fails. `never`: fail if it is not here.
"""
PULL_POLICIES: tuple[Pull, ...] = ("missing", "newer", "always", "never")

Network = Literal["default", "none", "host"]
"""Which network the steps of a build have: the engine's own for builds, none at all, or that of its machine."""
NETWORKS: tuple[Network, ...] = ("default", "none", "host")

Modes = Literal["keep", "git"]
"""Which permission bits the files of a context have: their own, or those that git keeps, 0755 and 0644.

`git` makes checkouts under different umasks the same context: a directory, and a file that anyone may execute, has
mode 0755, and every other file 0644.
"""
MODES: tuple[Modes, ...] = ("keep", "git")


@frozen
class Command:
    """A program, its arguments, and the environment variables that it gets beside the caller's."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = EMPTY
    # Podman and buildah leave working containers behind when they are told to stop while they build, and podman its
    # step, too; they clean up by themselves when the step is what ends.
    stop_steps_first: bool = False


@frozen
class Platform:
    """An OCI platform, written `os/architecture[/variant]`, as `linux/amd64` or `linux/arm/v7`."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> "Platform":
        """The platform that `text` names.

        >>> str(Platform.parse("linux/arm/v7"))
        'linux/arm/v7'
        """
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(parts):
            raise MagnetfileError(f"`{text}` is not a platform", hint="write it as `linux/amd64` or `linux/arm/v7`")
        return cls(*parts)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def this_machine() -> Platform:
    """The platform of this machine."""
    machine = os.uname().machine
    return Platform.parse(f"linux/{_ARCHITECTURES.get(machine, machine)}")


_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "armv6l": "arm/v6", "i686": "386"}


@frozen
class Copy:
    """Files of a declared context: `source`, as it is to be found at `target` in the context.

    `source` is a file or directory, relative to the magnetfile's directory or absolute; a directory's
    contents go below `target`, as with Dockerfile's COPY. `target` is a path in the context; when it ends in
    `/`, a file goes into it. `include` and `exclude` are patterns of `.dockerignore`, relative to `source`:
    with `include`, only what matches it; then all but what matches `exclude`.
    """

    source: str | Path
    target: str = "/"
    include: str | Sequence[str] = ()
    exclude: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("include", "exclude"):
            value = getattr(self, name)
            # A single string would be taken for a sequence of one-letter patterns.
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))


@frozen
class Whole:
    """A context that holds all of a directory that is not ignored, whatever the Dockerfile copies.

    `directory` is relative to the magnetfile's directory, or absolute; without one it is the build's own.
    """

    directory: str | Path | None = None


@frozen
class Mount:
    """A bind mount: a file or directory of this machine at `target` in a container.

    `source` is relative to the magnetfile's directory, or absolute; it must exist. `consistency` (`cached`,
    `delegated`, `consistent`) is Docker Desktop's and has no effect on other engines. `relabel` gives the source a
    label with which containers may use it where SELinux is enforced: all of them (`shared`), or this one alone
    (`private`).
    """

    source: str | Path
    target: str
    readonly: bool = False
    consistency: Literal["", "cached", "delegated", "consistent"] = ""
    relabel: Literal["", "shared", "private"] = ""


@frozen
class Secret:
    """A value that steps of a build, or a container, find in a file, and that nothing else keeps.

    It is the value of the environment variable `env`, or the content of `file`, which is relative to the magnetfile's
    directory, or absolute. `id` is what a Dockerfile calls it, as in `RUN --mount=type=secret,id=ID`.
    """

    id: str
    env: str | None = None
    file: str | Path | None = None

    def __post_init__(self) -> None:
        # Engines read it between commas, and it is the name of a file below /run/secrets.
        if not self.id.strip(".") or not set(self.id) <= _OF_AN_ID:
            raise MagnetfileError(
                f"`{self.id}` cannot be the id of a secret", hint="use letters, digits, `_`, `-` and `.`"
            )
        if (self.env is None) == (self.file is None):
            raise MagnetfileError(
                f"the secret `{self.id}` needs either `env` or `file`",
                hint=f'as in Secret("{self.id}", env="NAME") or Secret("{self.id}", file="PATH")',
            )


_OF_AN_ID = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


@frozen
class Ulimit:
    """A resource limit, in the units of setrlimit(2); -1 is no limit."""

    name: str
    soft: int
    hard: int

    def __str__(self) -> str:
        return f"{self.name}={self.soft}:{self.hard}"


@frozen
class Tmpfs:
    """An empty file system in memory at `target` in a container, in which anyone may write; `size` is in bytes."""

    target: str
    size: int | None = None
    executable: bool = False
    mode: int = 0o1777


OutputType = Literal["docker-archive", "oci-archive", "tar", "directory"]
"""A form in which an image is written: an archive of its layers, or its root file system, as a tar or as files."""
OUTPUT_TYPES: tuple[OutputType, ...] = ("docker-archive", "oci-archive", "tar", "directory")
ARCHIVES: tuple[OutputType, ...] = ("docker-archive", "oci-archive")


@frozen
class Output:
    """A file or directory that the result of a build is written to, besides the engine's store.

    `type` is `docker-archive`, `oci-archive`, `tar` (of the root file system) or `directory`; `path` is relative to the
    magnetfile's directory, or absolute.
    """

    type: OutputType
    path: str | Path

    def __post_init__(self) -> None:
        if self.type not in OUTPUT_TYPES:
            raise MagnetfileError(
                f"`{self.type}` is not a type of output", hint=f"known are: {', '.join(OUTPUT_TYPES)}"
            )


@frozen
class Option:
    """An option of the engine's own, in the spelling that docker and podman share."""

    name: str
    value: str | None = None

    def argv(self) -> tuple[str, ...]:
        """`--name=value`, or `--name` for a flag."""
        return (self.name if self.value is None else f"{self.name}={self.value}",)


@frozen
class BuildRequest:
    """What an engine is asked to build. Paths are absolute; the context is ready on disk.

    `hosts` are names with addresses, a line of /etc/hosts each; `hosts_file` is such a file for steps without a
    network, where the engine makes none. `shm_size` is in bytes. `secrets` are files by the secrets' ids, `ssh` sockets
    of agents or files of keys by theirs. `contexts` are named ones: a directory's path, or an image's name or id.
    `mounts_caches` is whether a step has a mount of type `cache`. With a `tar`, the files of the stage go there, and no
    image is made. `cache_from` and `cache_to` are repositories of
    registries, where steps are looked for and left.
    """

    context: Path
    dockerfile: Path
    iidfile: Path
    ignorefile: Path | None = None
    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str] = EMPTY
    stage: str | None = None
    no_cache: bool = False
    labels: Mapping[str, str] = EMPTY
    platform: Platform | None = None
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    network: Network = "default"
    hosts: tuple[tuple[str, str], ...] = ()
    hosts_file: Path | None = None
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    secrets: Mapping[str, Path] = EMPTY_PATHS
    ssh: Mapping[str, str] = EMPTY
    contexts: Mapping[str, Path | str] = EMPTY_CONTEXTS
    mounts_caches: bool = False
    tar: Path | None = None


@frozen
class RunRequest:
    """What an engine is asked to run. Mount sources are absolute and exist.

    `user` is `host` (files written to a mount belong to the caller), `uid[:gid]`, a name of the image's, or
    None for the image's own. `secret_env` are variables whose values stand on no command line. `files` is a
    directory of magnet's own for what the container is to be given beside; without one, as in a dry run, there is none.
    """

    image: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    user: str | None = None
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = EMPTY
    secret_env: Mapping[str, str] = EMPTY
    workdir: str | None = None
    network: str | None = None
    files: Path | None = None
    privileged: bool = False
    read_only: bool = False
    remove: bool = True
    detach: bool = False
    interactive: bool = False
    tty: bool = False
    name: str | None = None
    labels: Mapping[str, str] = EMPTY
    options: tuple[Option, ...] = ()


@frozen
class Image:
    """An image in an engine's store. `id` is `sha256:` and 64 hexadecimal digits on every engine.

    `has_triggers` is whether ONBUILD instructions of it may run when it is a base. `healthcheck` is the test of its
    HEALTHCHECK, as in `("CMD-SHELL", "test -e /ready")`. `layers` are the digests of its layers, uncompressed, the
    lowest first. `variants` are the images for each of its platforms, where it was built for several. `volumes` are the
    paths of its VOLUMEs.
    """

    id: str
    tags: tuple[str, ...] = ()
    platform: Platform = Platform("linux", "amd64")
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = EMPTY
    user: str = ""
    workdir: str = ""
    labels: Mapping[str, str] = EMPTY
    has_triggers: bool = False
    healthcheck: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    variants: "tuple[Image, ...]" = ()
    volumes: tuple[str, ...] = ()


@frozen
class ImageListing:
    """One row of an engine's list of images. `created` is in seconds since 1970; `size` is as docker prints it."""

    repository: str
    tag: str
    id: str
    created: int
    size: str


@frozen
class RunResult:
    """What came of a container: its exit code, or the id of one that was left running."""

    returncode: int = 0
    container: str | None = None


@frozen
class Executed:
    """What came of a program: its exit code, and what it printed on stdout, if that was wanted."""

    returncode: int = 0
    output: str = ""


@frozen
class Project:
    """The project that a magnetfile belongs to: where it is, what it is called, which version it is.

    `name` is a path such as `github.com/gravitational/magnet/examples/docker`.
    """

    root: Path
    name: str
    version: str
