"""What is in an image, in a form that can be compared across engines: its root file system, and its configuration.

Both are read from a docker-archive that the engine's own program writes, so that nothing is in them that an engine only
puts into its containers. What is left out of a comparison is stated here, and nothing else is.
"""

import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, cast

from tests.contract.engines import Column, Magnet

CONFIGURATION = (
    "Entrypoint", "Cmd", "Env", "User", "WorkingDir", "Labels", "ExposedPorts", "Volumes", "StopSignal", "Healthcheck",
    "Shell", "OnBuild",
)  # fmt: skip
"""The keys of an image's configuration that are compared, besides its architecture, variant and os."""

MOUNT_POINTS = ("dev", "proc", "sys", "run", "run/secrets", "etc", "etc/hosts", "etc/hostname", "etc/resolv.conf")
"""What engines leave in an image where a RUN had something mounted: left out where it is empty, or holds but these."""

IDENTITY_LABELS = ("io.buildah.version",)
"""Labels that an engine adds of itself."""


@dataclass(frozen=True)
class Entry:
    """What is at a path. `content` is a file's SHA-256 digest, a link's target, or a device's numbers.

    `mtime` is in whole seconds; it is None where times are not compared.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    content: str = ""
    mtime: int | None = None

    def __str__(self) -> str:
        time = "" if self.mtime is None else f" @{self.mtime}"
        return f"{self.kind} {self.mode:04o} {self.uid}:{self.gid} {self.content}".rstrip() + time


@dataclass(frozen=True)
class Contents:
    """All of an image that is compared: what is at each path, and the configuration."""

    files: Mapping[str, Entry]
    configuration: Mapping[str, Any]


def contents(magnet: Magnet, reference: str, *, times: bool = False) -> Contents:
    """What is in an image of the engine's store; with `times`, modification times too.

    Files are by their paths without a slash in front, bytes that are no UTF-8 as surrogates. A hard link is a file like
    any other.
    """
    with tempfile.TemporaryDirectory(prefix="magnet-comparing-") as directory:
        archive = Path(directory, "image.tar")
        _save(magnet, reference, archive)
        return read_archive(archive, times=times)


def read_archive(archive: Path, *, times: bool = False) -> Contents:
    """What is in the only image of a docker-archive."""
    with tarfile.open(archive) as tar:
        (described,) = json.load(_member(tar, "manifest.json"))
        config = json.load(_member(tar, described["Config"]))
        files: dict[str, Entry] = {}
        for layer in described["Layers"]:
            _apply(_member(tar, layer), files)
    return Contents(_without_mount_points(files if times else _without_times(files)), _normalised(config))


def read_tar(path: Path, *, times: bool = False) -> Mapping[str, Entry]:
    """What is in the tar of a root file system."""
    files: dict[str, Entry] = {}
    with path.open("rb") as stream:
        _apply(stream, files)
    return _without_mount_points(files if times else _without_times(files))


def differences(one: Contents, other: Contents) -> list[str]:
    """What is not the same in two images, a line for each path or key."""
    return [
        *_differences(one.files, other.files),
        *_differences(one.configuration, other.configuration),
    ]


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [
        f"{name!r}: {one.get(name, 'absent')} | {other.get(name, 'absent')}"
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    ]


def _save(magnet: Magnet, reference: str, archive: Path) -> None:
    done = subprocess.run(_save_command(magnet.column, reference, archive), env=magnet.env, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


def _save_command(column: Column, reference: str, archive: Path) -> list[str]:
    if column.backend == "buildah":
        return ["buildah", "push", "--quiet", reference, f"docker-archive:{archive}"]
    form = ["--format=docker-archive"] if column.backend == "podman" else []
    return [column.backend, "save", *form, f"--output={archive}", reference]


def _member(tar: tarfile.TarFile, name: str) -> BinaryIO:
    member = tar.getmember(name)
    if member.issym():  # podman and docker write a layer that occurs twice as a link
        member = tar.getmember(str(Path(name).parent.joinpath(member.linkname)).replace("/../", "/"))
    found = tar.extractfile(member)
    assert found, name
    return cast(BinaryIO, found)


def _apply(layer: BinaryIO, files: dict[str, Entry]) -> None:
    """Put a layer on top of what is there: https://github.com/opencontainers/image-spec/blob/main/layer.md."""
    added: set[str] = set()
    with tarfile.open(fileobj=layer, mode="r|*", errorlevel=2) as tar:
        for member in tar:
            path = _path(member.name)
            directory, _, name = path.rpartition("/")
            if name == ".wh..wh..opq":
                _remove_below(directory, files, added)
            elif name.startswith(".wh."):
                hidden = "/".join(filter(None, (directory, name.removeprefix(".wh."))))
                _remove_below(hidden, files, added)
                if hidden not in added:
                    files.pop(hidden, None)
            elif path:
                if not member.isdir():
                    _remove_below(path, files, added)
                files[path] = _entry(tar, member, files)
                added.add(path)


def _path(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _remove_below(path: str, files: dict[str, Entry], added: set[str]) -> None:
    """Remove what layers below have in a directory, whatever the order in which this layer says so."""
    for other in [one for one in files if one.startswith(f"{path}/") and one not in added]:
        del files[other]


def _entry(tar: tarfile.TarFile, member: tarfile.TarInfo, files: Mapping[str, Entry]) -> Entry:
    kind, content = "file", ""
    if member.islnk():
        return files[_path(member.linkname)]
    if member.isdir():
        kind = "dir"
    elif member.issym():
        # Its mode says nothing, and engines write it differently.
        return Entry("link", 0o777, member.uid, member.gid, member.linkname, int(member.mtime))
    elif member.isfifo():
        kind = "fifo"
    elif member.isdev():
        kind, content = ("char" if member.ischr() else "block"), f"{member.devmajor}:{member.devminor}"
    else:
        found = tar.extractfile(member)
        assert found
        content = sha256(found.read()).hexdigest()
    return Entry(kind, member.mode & 0o7777, member.uid, member.gid, content, int(member.mtime))


def _without_times(files: Mapping[str, Entry]) -> dict[str, Entry]:
    return {path: replace(entry, mtime=None) for path, entry in files.items()}


_EMPTY = sha256(b"").hexdigest()


def _without_mount_points(files: Mapping[str, Entry]) -> Mapping[str, Entry]:
    kept = dict(files)
    for path in sorted(MOUNT_POINTS, reverse=True):
        entry = kept.get(path)
        holds_something = any(other.startswith(f"{path}/") for other in kept)
        if entry and not holds_something and (entry.kind == "dir" or entry.content == _EMPTY):
            del kept[path]
    return kept


def _normalised(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(_kept(config))


def _kept(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("architecture", "variant", "os"):
        if config.get(name):
            yield name, config[name]
    given: Mapping[str, Any] = config.get("config") or {}
    for name in CONFIGURATION:
        value = given.get(name)
        if name == "Labels":
            value = {label: text for label, text in (value or {}).items() if label not in IDENTITY_LABELS}
        elif name == "Env":
            value = dict(variable.partition("=")[::2] for variable in value or ())
        elif name == "WorkingDir" and value == "/":  # what BuildKit says where nothing is said
            value = None
        if value:
            yield name, value
