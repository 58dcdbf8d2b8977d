"""Images in archives, made by hand as engines make them."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Member = tuple[str, bytes | None] | tarfile.TarInfo
"""A path and the content of a file, None for a directory; or an entry of its own."""


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **fields: Any) -> tarfile.TarInfo:
    """An entry of a layer without content."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    for field, value in {"mode": 0o644, **fields}.items():
        setattr(made, field, value)
    return made


def layer(*members: Member) -> bytes:
    """A layer, as engines write it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for one in members:
            if isinstance(one, tarfile.TarInfo):
                tar.addfile(one)
                continue
            name, content = one
            made = member(name, tarfile.DIRTYPE, mode=0o755) if content is None else member(name)
            made.size = len(content or b"")
            made.mtime = 1_600_000_000
            tar.addfile(made, io.BytesIO(content or b""))
    return out.getvalue()


def configuration(layers: Sequence[bytes], **fields: Any) -> bytes:
    """The configuration of an image of these layers."""
    about = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]}, "created": "2026-01-02T03:04:05Z"}
    history = [{"created": "2026-01-02T03:04:05Z", "created_by": f"step {number}"} for number, _ in enumerate(layers)]
    rootfs = {"type": "layers", "diff_ids": [digest(one) for one in layers]}
    return json.dumps({**about, "history": history, "rootfs": rootfs, **fields}).encode()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def write_tar(path: Path, files: Mapping[str, bytes]) -> None:
    """A tar of these files."""
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            made = tarfile.TarInfo(name)
            made.size = len(content)
            tar.addfile(made, io.BytesIO(content))


def docker_archive(path: Path, layers: Sequence[bytes], config: bytes = b"", names: Sequence[str] = ()) -> str:
    """Write a docker-archive, and return the id of its image."""
    config = config or configuration(layers)
    files = {f"{number}/layer.tar": content for number, content in enumerate(layers)}
    described = [{"Config": "config.json", "RepoTags": list(names) or None, "Layers": list(files)}]
    write_tar(path, {**files, "config.json": config, "manifest.json": json.dumps(described).encode()})
    return digest(config)
