"""What is in an archive that was downloaded, put into a directory, out of which nothing of it leads.

Nothing here trusts `tarfile.data_filter`: Python before 3.11.4 has none, and before 3.11.13, 3.12.11 and 3.13.4 it can
be led out by links (CVE-2025-4517, CVE-2025-4138, CVE-2025-4330, CVE-2024-12718). Links are made when all files are
written, so that none can be written through one, and where they lead is found out among the entries, without the disk.
"""

import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from lzma import LZMAError
from pathlib import Path
from typing import IO, Literal, cast

from magnet.errors import MagnetError
from magnet.meter import Advance
from magnet.values import frozen

LARGEST_FACTOR, LARGEST_FREE = 200, 1 << 30
"""So many times its own size an archive may unpack to, and so many bytes in any case."""

MOST_ENTRIES = 1_000_000

_BLOCK = 1 << 20
_LONGEST_LINK = 4096
_MOST_LINKS = 40
"""As many links as the kernel follows in one path."""

_ZSTD = b"\x28\xb5\x2f\xfd"
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zX", _ZSTD)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")

_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What the modules raise that read archives."""

_LATEST = 1 << 33
"""Seconds since 1970 that every file system can hold."""

Kind = Literal["file", "dir", "link", "same"]


@frozen
class Entry:
    """One entry: its name as the archive has it, what it is, its mode and time, and where a link leads.

    `same` is a hard link to another entry. `content` opens what is in a file.
    """

    name: str
    kind: Kind
    mode: int = 0o644
    time: int | None = None
    size: int = 0
    target: str = ""
    content: Callable[[], IO[bytes]] | None = None


def unpack(archive: Path, directory: Path, strip: int, advance: Advance, check: Callable[[], None]) -> None:
    """Put what is in an archive into an empty directory, without the first `strip` parts of its names.

    It belongs to the caller. Files and directories keep their modes, without setuid, setgid, sticky bits, and without
    what lets group and others write; their owner may read and write them. `check` is called often, and may raise.
    """
    limit = max(LARGEST_FREE, LARGEST_FACTOR * archive.stat().st_size)
    unpacked = _Unpacked(os.fsencode(directory), strip, limit, advance, check)
    try:
        for entry in _entries(archive):
            unpacked.add(entry)
        unpacked.finish()
    except OSError as error:
        if error.strerror:
            raise MagnetError(f"it cannot be unpacked: {error.strerror}") from error
        raise _damaged(error) from error  # gzip and bz2 say so in this way
    except _DAMAGE as error:
        raise _damaged(error) from error


class _Unpacked:
    """What is unpacked so far: by path, a directory, a link and where it leads, or a file."""

    def __init__(self, top: bytes, strip: int, limit: int, advance: Advance, check: Callable[[], None]) -> None:
        self._top = top
        self._strip = strip
        self._left = limit
        self._count = 0
        self._advance = advance
        self._check = check
        self._kinds: dict[tuple[bytes, ...], Kind] = {(): "dir"}
        self._targets: dict[tuple[bytes, ...], bytes] = {}
        self._finals: dict[tuple[bytes, ...], tuple[int, int | None]] = {}

    def add(self, entry: Entry) -> None:
        """Put an entry in its place; a link is only noted."""
        self._check()
        self._count += 1
        self._left -= entry.size
        if self._left < 0 or self._count > MOST_ENTRIES:
            raise MagnetError(
                "it would unpack to far more than it is",
                hint=f"no more than {LARGEST_FACTOR} times its size, and {MOST_ENTRIES} entries, are unpacked; "
                "if it is meant, unpack it with `t.exec`",
            )
        path = self._path(entry.name)
        if path is None:
            return
        self._make_parents(path, entry.name)
        if entry.kind == "dir":
            self._add_directory(path, entry)
            return
        if self._kinds.get(path) == "dir":
            raise _refused(entry.name, "it is a directory as well")
        other = self._other(path, entry) if entry.kind == "same" else None
        self._remove(path)
        if entry.kind == "link":
            self._targets[path] = os.fsencode(entry.target)
        elif other is not None:
            os.link(self._place(other), self._place(path), follow_symlinks=False)
            self._finals[path] = self._finals[other]
        else:
            self._write(path, entry)
        self._kinds[path] = "link" if entry.kind == "link" else "file"

    def finish(self) -> None:
        """Make the links, and set what is set last, as what is put into a directory changes its time."""
        for path, target in self._targets.items():
            self._follow(path, _shown(path))
            os.symlink(target, self._place(path))
        for path, (mode, time) in sorted(self._finals.items(), reverse=True):
            place = self._place(path)
            os.chmod(place, mode)
            if time is not None:
                os.utime(place, (time, time))

    def _path(self, name: str) -> tuple[bytes, ...] | None:
        """The parts of a path in the directory; None for what is stripped."""
        encoded = os.fsencode(name)
        parts = [part for part in encoded.split(b"/") if part not in (b"", b".")]
        if encoded.startswith(b"/") or b".." in parts or b"\0" in encoded:
            raise _refused(name, "it leads out of the directory")
        return tuple(parts[self._strip :]) if len(parts) > self._strip else None

    def _make_parents(self, path: tuple[bytes, ...], name: str) -> None:
        for count in range(1, len(path)):
            parent = path[:count]
            kind = self._kinds.get(parent)
            if kind is None:
                os.mkdir(self._place(parent), 0o700)
                self._kinds[parent] = "dir"
                self._finals[parent] = (0o755, None)
            elif kind != "dir":
                raise _refused(name, f"it is below `{_shown(parent)}`, which is no directory")

    def _add_directory(self, path: tuple[bytes, ...], entry: Entry) -> None:
        kind = self._kinds.get(path)
        if kind is None:
            os.mkdir(self._place(path), 0o700)
        elif kind != "dir":
            raise _refused(entry.name, "it is no directory as well")
        self._kinds[path] = "dir"
        self._finals[path] = (entry.mode & 0o755 | 0o700, entry.time)

    def _write(self, path: tuple[bytes, ...], entry: Entry) -> None:
        place = self._place(path)
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        assert entry.content is not None
        with open(descriptor, "wb") as file, entry.content() as content:
            left = entry.size
            while block := content.read(min(_BLOCK, left + 1)):
                left -= len(block)
                if left < 0:
                    raise _refused(entry.name, "it is larger than the archive says")
                file.write(block)
                self._advance(len(block))
                self._check()
        self._finals[path] = (entry.mode & 0o755 | 0o600, entry.time)

    def _other(self, path: tuple[bytes, ...], entry: Entry) -> tuple[bytes, ...]:
        """The file to which a hard link leads."""
        other = self._path(entry.target)
        if other is None or other == path or self._kinds.get(other) != "file":
            raise _refused(entry.name, f"it is a hard link to `{_escaped(entry.target)}`, which is no file before it")
        return other

    def _remove(self, path: tuple[bytes, ...]) -> None:
        """Let a later entry of the same path take the place of an earlier one, as tar does."""
        if self._targets.pop(path, None) is None and self._kinds.get(path) == "file":
            os.unlink(self._place(path))
        self._finals.pop(path, None)

    def _follow(self, link: tuple[bytes, ...], name: str) -> None:
        """Refuse a link that leads out of the directory, be it through others."""
        here = list(link[:-1])
        todo = self._parts_of(self._targets[link], name)
        links = 1
        while todo:
            part = todo.pop(0)
            if part == b"..":
                if not here:
                    raise _refused(name, "it is a link that leads out of the directory")
                here.pop()
            elif part not in (b"", b"."):
                here.append(part)
                target = self._targets.get(tuple(here))
                if target is not None:
                    links += 1
                    if links > _MOST_LINKS:
                        raise _refused(name, "it is a link that leads round and round")
                    here.pop()
                    todo = self._parts_of(target, name) + todo

    def _parts_of(self, target: bytes, name: str) -> list[bytes]:
        if target.startswith(b"/") or not target or b"\0" in target:
            raise _refused(name, "it is a link that leads out of the directory")
        return target.split(b"/")

    def _place(self, path: tuple[bytes, ...]) -> bytes:
        return b"/".join((self._top, *path))


def _entries(archive: Path) -> Iterator[Entry]:
    with archive.open("rb") as file:
        head = file.read(4)
    if head in _ZIP:
        return _of_zip(archive)
    if head == _ZSTD and not _has_zstd():
        raise MagnetError(
            "it is compressed with zstd, which Python has since 3.14",
            hint="download it without `unpack`, and unpack it with `t.exec`; or take one with gzip or xz",
        )
    return _of_tar(archive, is_compressed=head.startswith(_COMPRESSED))


def _has_zstd() -> bool:
    from importlib.util import find_spec

    try:
        return find_spec("compression.zstd") is not None
    except ModuleNotFoundError:
        return False


def _of_tar(archive: Path, *, is_compressed: bool) -> Iterator[Entry]:
    try:
        tar = tarfile.open(archive, encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
    except tarfile.ReadError as error:
        if is_compressed:
            raise _damaged(error) from error
        raise MagnetError(
            "it is no archive that can be unpacked",
            hint="tar, also with gzip, bzip2 or xz, and zip can be; download anything else without `unpack`",
        ) from error
    with tar:
        for member in tar:
            yield _of_member(tar, member)
            tar.members.clear()  # type: ignore[attr-defined] # else it keeps all of them
        _check_end(tar)


def _of_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    time = int(member.mtime) if 0 <= member.mtime < _LATEST else None
    if member.isdir():
        return Entry(member.name, "dir", member.mode, time)
    if member.issym():
        return Entry(member.name, "link", target=member.linkname)
    if member.islnk():
        return Entry(member.name, "same", target=member.linkname)
    if not member.isfile():
        raise _refused(member.name, "it is a device or a named pipe")
    return Entry(
        member.name,
        "file",
        member.mode,
        time,
        member.size,
        content=lambda: cast(IO[bytes], tar.extractfile(member)),
    )


def _check_end(tar: tarfile.TarFile) -> None:
    """Refuse an archive that ends in what is no entry: tarfile takes that for the end, and GNU tar for an error."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError("an entry is damaged")


def _of_zip(archive: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(archive) as zipped:
        for member in zipped.infolist():
            yield _of_zipped(zipped, member)


def _of_zipped(zipped: zipfile.ZipFile, member: zipfile.ZipInfo) -> Entry:
    if member.flag_bits & 1:
        raise _refused(member.filename, "it is encrypted")
    mode = member.external_attr >> 16
    if member.is_dir():
        return Entry(member.filename, "dir", stat.S_IMODE(mode) or 0o755)
    if stat.S_ISLNK(mode):
        with zipped.open(member) as content:
            target = content.read(_LONGEST_LINK + 1)
        if len(target) > _LONGEST_LINK:
            raise _refused(member.filename, "it is a link that leads out of the directory")
        return Entry(member.filename, "link", target=os.fsdecode(target))
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise _refused(member.filename, "it is a device or a named pipe")
    return Entry(
        member.filename,
        "file",
        stat.S_IMODE(mode) or 0o644,
        size=member.file_size,
        content=lambda: zipped.open(member),
    )


def _refused(name: str, why: str) -> MagnetError:
    return MagnetError(
        f"`{_escaped(name)}` in the archive is refused: {why}",
        hint="if it is meant so, download it without `unpack`, and unpack it with `t.exec`",
    )


def _damaged(error: Exception) -> MagnetError:
    return MagnetError("the archive is damaged, or of a kind that cannot be read", detail=[str(error)])


def _shown(path: tuple[bytes, ...]) -> str:
    return _escaped(os.fsdecode(b"/".join(path)))


def _escaped(name: str) -> str:
    return name if name.isprintable() else repr(name)[1:-1]
