"""Images as files: what a docker-archive and an OCI archive hold, and how each is written.

An image keeps its configuration byte for byte on the way, and with it its id, which is the digest of that. The sources
of the formats: https://github.com/moby/docker-image-spec/blob/main/v1.2.md and
https://github.com/opencontainers/image-spec/blob/main/image-layout.md. What is written is equal for equal images,
whatever engine they come from: entries have no owners and the time 0.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

from magnet.errors import MagnetError
from magnet.meter import Advance
from magnet.model import Platform
from magnet.references import full_name, with_tag
from magnet.values import frozen

_MANIFEST = "manifest.json"
_INDEX = "index.json"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_OCI = "application/vnd.oci.image"
_INDEXES = (f"{_OCI}.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_REF_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"
_COMPRESSIONS = ((b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\xfd7zXZ\x00", "lzma"))
_BLOCK = 1 << 20


@frozen
class Layer:
    """A layer: so many bytes from there on in a file, which must have this digest."""

    file: Path
    offset: int
    size: int
    digest: str


@frozen
class Archived:
    """An image in an archive, with the names that it has there."""

    config: bytes
    layers: tuple[Layer, ...]
    names: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The image's id."""
        return _digest(self.config)

    @property
    def size(self) -> int:
        """The bytes of its layers."""
        return sum(layer.size for layer in self.layers)

    @cached_property
    def described(self) -> Mapping[str, Any]:
        """The configuration, parsed."""
        found: Mapping[str, Any] = json.loads(self.config)
        return found

    @property
    def platform(self) -> Platform:
        """What it is made for."""
        about = self.described
        return Platform(about["os"], about["architecture"], about.get("variant") or "")


def read(path: Path) -> tuple[Archived, ...]:
    """The images of an archive that is not compressed; MagnetError where it is none, or is damaged.

    An image of several platforms is several images of one name.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            members = {_plain_name(member.name): member for member in tar}
            contents = _Contents(path, tar, members)
            if _MANIFEST in members:
                return _docker_images(contents)
            if _INDEX in members:
                return _oci_images(contents)
    except (tarfile.TarError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise _not_readable(path, str(error) or type(error).__name__) from error
    raise _not_readable(path, f"there is neither `{_MANIFEST}` nor `{_INDEX}` in it")


def uncompressed(path: Path, scratch: Path) -> Path:
    """An archive that is not compressed, with the content of one that may be; a new one is made in `scratch`."""
    with path.open("rb") as file:
        name = _compression(file.read(8))
    if name is None:
        return path
    from importlib import import_module
    from shutil import copyfileobj

    target = scratch / "uncompressed.tar"
    try:
        with import_module(name).open(path, "rb") as source, target.open("wb") as out:
            copyfileobj(source, out, _BLOCK)
    except (OSError, EOFError, ValueError) as error:
        raise _not_readable(path, str(error)) from error
    return target


def write_docker_archive(image: Archived, names: Iterable[str], out: Path, advance: Advance) -> None:
    """Write an image as a docker-archive."""
    layers = [f"{_hex(layer.digest)}.tar" for layer in image.layers]
    config = f"{_hex(image.id)}.json"
    with _new_tar(out) as tar:
        # A layer that occurs twice is written once.
        for name, layer in dict(zip(layers, image.layers, strict=True)).items():
            _add_layer(tar, name, layer, advance)
        _add(tar, config, image.config)
        _add(tar, _MANIFEST, _json([{"Config": config, "RepoTags": [*map(with_tag, names)], "Layers": layers}]))


def write_oci_archive(images: Sequence[Archived], names: Iterable[str], out: Path, advance: Advance) -> None:
    """Write an image, whose layers are not compressed, as an OCI archive; of each of its platforms there is one."""
    with _new_tar(out) as tar:
        _add(tar, "oci-layout", _LAYOUT)
        blobs: dict[str, None] = {}
        manifests = [_add_oci_image(tar, image, blobs, advance) for image in images]
        if len(manifests) > 1:
            index = _json({"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": manifests})
            manifests = [_add_blob(tar, index, f"{_OCI}.index.v1+json", blobs)]
        named = [{**manifest, "annotations": _naming(name)} for manifest in manifests for name in names]
        _add(tar, _INDEX, _json({"schemaVersion": 2, "manifests": named or manifests}))


@contextmanager
def reading(layer: Layer, advance: Advance) -> Iterator[IO[bytes]]:
    """Read all of a layer in the block; MagnetError at its end where the bytes have not the digest they should have."""
    with layer.file.open("rb") as file:
        file.seek(layer.offset)
        checked = _Checked(file, layer.size, advance)
        yield cast(IO[bytes], checked)
    if checked.digest != layer.digest:
        raise _not_readable(layer.file, f"the layer {layer.digest} is not what it should be")


@contextmanager
def opened(layer: Layer) -> Iterator[tarfile.TarFile]:
    """A layer, which is not compressed, as the tar that it is."""
    with layer.file.open("rb") as file, tarfile.open(fileobj=io.BufferedReader(_Part(file, layer)), mode="r:") as tar:
        yield tar


def verify(layer: Layer) -> None:
    """MagnetError where a layer's bytes have not the digest that they should have."""
    with reading(layer, lambda size: None) as content:
        while content.read(_BLOCK):
            pass


class _Checked:
    """So many bytes of a file, with their digest."""

    def __init__(self, file: IO[bytes], size: int, advance: Advance) -> None:
        self._file = file
        self._left = size
        self._advance = advance
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(block)
        self._hash.update(block)
        self._advance(len(block))
        return block

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def layer_of(path: Path) -> Layer:
    """A layer that is all of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Layer(path, 0, path.stat().st_size, f"sha256:{digest}")


@frozen
class _Contents:
    """An open archive, and what is in it by name."""

    path: Path
    tar: tarfile.TarFile
    members: Mapping[str, tarfile.TarInfo]

    def member(self, name: str) -> tarfile.TarInfo:
        """What is there, or what a link there leads to: engines write a layer that occurs twice as a link."""
        found = self.members[_plain_name(name)]
        if found.issym():
            return self.member(f"{_plain_name(name).rpartition('/')[0]}/{found.linkname}")
        return self.member(found.linkname) if found.islnk() else found

    def content(self, name: str) -> bytes:
        return cast(IO[bytes], self.tar.extractfile(self.member(name))).read()

    def layer(self, name: str, digest: str) -> Layer:
        """A layer; one that is compressed where `digest` is that of its content has the digest that it has."""
        member = self.member(name)
        content = cast(io.BufferedReader, self.tar.extractfile(member))
        if name.startswith("blobs/") or not _compression(content.read(8)):
            return Layer(self.path, member.offset_data, member.size, digest)
        content.seek(0)
        return Layer(
            self.path, member.offset_data, member.size, f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
        )

    def blob(self, descriptor: Mapping[str, Any]) -> bytes:
        found = self.content(_blob(descriptor["digest"]))
        if _digest(found) != descriptor["digest"]:
            raise ValueError(f"the blob {descriptor['digest']} is not what it should be")
        return found


def _compression(head: bytes) -> str | None:
    """The module for what a file that begins so is compressed with."""
    return next((name for magic, name in _COMPRESSIONS if head.startswith(magic)), None)


def _docker_images(contents: _Contents) -> tuple[Archived, ...]:
    return tuple(_docker_image(contents, described) for described in json.loads(contents.content(_MANIFEST)))


def _docker_image(contents: _Contents, described: Mapping[str, Any]) -> Archived:
    config = contents.content(described["Config"])
    digests = json.loads(config)["rootfs"].get("diff_ids") or ()
    layers = zip(described["Layers"] or (), digests, strict=True)
    return Archived(
        config,
        tuple(contents.layer(name, digest) for name, digest in layers),
        tuple(described.get("RepoTags") or ()),
    )


def _oci_images(contents: _Contents) -> tuple[Archived, ...]:
    names: dict[str, dict[str, None]] = {}
    descriptors: dict[str, Mapping[str, Any]] = {}
    for entry in json.loads(contents.content(_INDEX))["manifests"]:
        for descriptor in _images_below(contents, entry):
            digest = descriptor["digest"]
            descriptors.setdefault(digest, descriptor)
            names.setdefault(digest, {}).update(dict.fromkeys(_names(entry)))
    return tuple(_oci_image(contents, descriptors[digest], tuple(names[digest])) for digest in descriptors)


def _images_below(contents: _Contents, descriptor: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The images of a descriptor, which may be that of an index; what BuildKit attests of them is none."""
    if descriptor.get("mediaType") not in _INDEXES:
        is_image = (descriptor.get("platform") or {}).get("os") != "unknown"
        return [descriptor] if is_image else []
    below = json.loads(contents.blob(descriptor))["manifests"]
    return [image for one in below for image in _images_below(contents, one)]


def _oci_image(contents: _Contents, descriptor: Mapping[str, Any], names: tuple[str, ...]) -> Archived:
    manifest = json.loads(contents.blob(descriptor))
    layers = tuple(contents.layer(_blob(layer["digest"]), layer["digest"]) for layer in manifest["layers"])
    return Archived(contents.blob(manifest["config"]), layers, names)


def _names(descriptor: Mapping[str, Any]) -> list[str]:
    """The name that an entry of an index gives; a bare tag, as BuildKit writes it, is none."""
    annotations = descriptor.get("annotations") or {}
    given = [annotations.get(_REF_NAME) or "", annotations.get(_CONTAINERD_NAME) or ""]
    return [name for name in given if "/" in name or ":" in name][:1]


def _naming(name: str) -> dict[str, str]:
    return {_REF_NAME: with_tag(name), _CONTAINERD_NAME: full_name(name)}


def _add_oci_image(tar: tarfile.TarFile, image: Archived, blobs: dict[str, None], advance: Advance) -> dict[str, Any]:
    """Add an image's blobs, those that are not there yet, and return the descriptor of its manifest."""
    layers = []
    for layer in image.layers:
        if layer.digest not in blobs:
            blobs[layer.digest] = None
            _add_layer(tar, _blob(layer.digest), layer, advance)
        layers.append({"mediaType": f"{_OCI}.layer.v1.tar", "digest": layer.digest, "size": layer.size})
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": _add_blob(tar, image.config, f"{_OCI}.config.v1+json", blobs),
        "layers": layers,
    }
    platform = image.platform
    named = {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant}
    described = _add_blob(tar, _json(manifest), f"{_OCI}.manifest.v1+json", blobs)
    return {**described, "platform": {key: value for key, value in named.items() if value}}


def _add_blob(tar: tarfile.TarFile, content: bytes, media_type: str, blobs: dict[str, None]) -> dict[str, Any]:
    digest = _digest(content)
    if digest not in blobs:
        blobs[digest] = None
        _add(tar, _blob(digest), content)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _new_tar(path: Path) -> tarfile.TarFile:
    return tarfile.open(path, "x", format=tarfile.PAX_FORMAT)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = _member(name, len(content))
    tar.addfile(member, io.BytesIO(content))


def _add_layer(tar: tarfile.TarFile, name: str, layer: Layer, advance: Advance) -> None:
    """Add a layer, whose digest is looked at meanwhile."""
    with reading(layer, advance) as content:
        tar.addfile(_member(name, layer.size), content)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member


def _plain_name(name: str) -> str:
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _blob(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value}"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _hex(digest: str) -> str:
    return digest.partition(":")[2]


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _not_readable(path: Path, why: str) -> MagnetError:
    return MagnetError(
        f"`{path.name}` is not an archive of an image that magnet can read",
        detail=(why,),
        hint="a docker-archive (`docker save`) or an OCI archive is wanted, whole and uncompressed or with gzip",
    )


class _Part(io.RawIOBase):
    """A layer, as a file of its own."""

    def __init__(self, file: IO[bytes], layer: Layer) -> None:
        self._file = file
        self._layer = layer
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._layer.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        self._file.seek(self._layer.offset + self._at)
        data = self._file.read(min(len(buffer), max(0, self._layer.size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
