"""Images that are the same whenever they are built: of one time, and without what engines say of themselves.

No engine's own means do it: docker 20.10 has none, docker 26 leaves the files' times, and podman and buildah do not see
`--timestamp` when they take a step from their layer cache.
"""

import json
import tarfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from magnet import archives
from magnet.archives import Archived, Layer
from magnet.meter import Advance

CONFIGURATION = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "Healthcheck",
    "OnBuild", "Shell",
)  # fmt: skip
"""What is kept of an image's configuration, besides its author, architecture, variant and os, history and layers."""

IDENTITY_LABEL = "io.buildah.version"
"""A label that podman and buildah give to all that they build."""

_XATTR = "SCHILY.xattr."


def at_time(image: Archived, bases: Iterable[tuple[str, ...]], epoch: int, scratch: Path, advance: Advance) -> Archived:
    """An image that differs in its times alone: all is of `epoch`, in seconds since 1970, but for the base's.

    `bases` are the layers of the images that it may have been built upon, which stay as they are. New layers are
    written to `scratch`.
    """
    below = _layers_of_base(image, bases)
    layers = [
        layer if number < below else _at(layer, epoch, scratch / f"layer-{number}.tar", advance)
        for number, layer in enumerate(image.layers)
    ]
    return Archived(_configuration(image, layers, below, epoch), tuple(layers))


def _layers_of_base(image: Archived, bases: Iterable[tuple[str, ...]]) -> int:
    """How many layers, from below, are those of a base."""
    digests = tuple(layer.digest for layer in image.layers)
    return max((len(base) for base in bases if digests[: len(base)] == base), default=0)


def _at(layer: Layer, epoch: int, path: Path, advance: Advance) -> Layer:
    """The layer, with that time in all that is in it."""
    with archives.opened(layer) as source, tarfile.open(path, "x", format=tarfile.PAX_FORMAT) as out:
        for member in source:
            content = cast(IO[bytes], source.extractfile(member)) if member.isreg() else None
            out.addfile(_member_at(member, epoch), content)
            advance(member.size)
    return archives.layer_of(path)


def _member_at(member: tarfile.TarInfo, epoch: int) -> tarfile.TarInfo:
    member.mtime, member.uname, member.gname = epoch, "", ""
    member.pax_headers = {key: value for key, value in member.pax_headers.items() if key.startswith(_XATTR)}
    return member


def _configuration(image: Archived, layers: Iterable[Layer], below: int, epoch: int) -> bytes:
    about, time = image.described, datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    kept = {name: about[name] for name in ("author", "architecture", "variant", "os") if about.get(name)}
    given = about.get("config") or {}
    config = {name: value for name in CONFIGURATION if (value := _kept(name, given.get(name)))}
    return json.dumps(
        {
            **kept,
            "config": config,
            "created": time,
            "history": _history(about.get("history") or (), below, time),
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        },
        sort_keys=True,
        separators=(",", ":"),
    ).encode()


def _kept(name: str, value: Any) -> Any:
    if name == "Labels":
        return {label: text for label, text in (value or {}).items() if label != IDENTITY_LABEL}
    return None if name == "WorkingDir" and value == "/" else value  # what BuildKit says where nothing is said


def _history(steps: Iterable[Mapping[str, Any]], below: int, time: str) -> list[dict[str, Any]]:
    """The steps, with that time in those that come after the last layer of the base."""
    kept, layers = [], 0
    for step in steps:
        layers += not step.get("empty_layer")
        is_of_base = layers <= below and (layers < below or not step.get("empty_layer"))
        # Not the comment, in which podman and buildah tell of the image before, whose id is another every time.
        own = {name: step[name] for name in ("created_by", "author", "empty_layer") if step.get(name)}
        kept.append({**own, "created": step.get("created", time) if is_of_base else time})
    return kept
