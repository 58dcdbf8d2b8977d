"""What is kept of downloads, and the removal of what is not wanted any more."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from magnet.cache import locked
from magnet.downloads.store import Store, is_digest
from magnet.errors import Canceled
from magnet.staging import unstage
from magnet.values import frozen


@frozen
class Kept:
    """A file that was downloaded, and what it was unpacked to: the bytes that all of it takes on disk.

    `urls` are those that gave it last; without one, all of them have given another since. `used` is when it was used
    last, in seconds since 1970.
    """

    digest: str
    names: tuple[str, ...]
    urls: tuple[str, ...]
    size: int
    used: float
    is_unpacked: bool = False


@frozen
class Begun:
    """What has come of a file that is not whole yet, by the key of its URL; `used` as for what is."""

    key: str
    size: int
    used: float


def kept(store: Store) -> tuple[Kept, ...]:
    """The files that are kept, the last used first."""
    urls: dict[str, list[str]] = {}
    for _, record in store.records():
        urls.setdefault(record.digest, []).append(record.url)
    unpacked = _unpacked(store)
    digests = {path.name for path in _in(store, "objects") if is_digest(path.name)} | unpacked.keys()
    found = [_kept(store, digest, urls.get(digest, ()), unpacked.get(digest, ())) for digest in digests]
    return tuple(sorted(found, key=lambda one: (-one.used, one.digest)))


def begun(store: Store) -> tuple[Begun, ...]:
    """The files of which a part has come, and that nobody downloads now."""
    found = []
    for path in _in(store, "partial"):
        if is_digest(path.name):
            with suppress(OSError, Canceled), locked(store.directory, path.name, lambda: True):
                info = path.stat()
                found.append(Begun(path.name, info.st_blocks * 512, info.st_mtime))
    return tuple(found)


def superseded(files: Iterable[Kept]) -> tuple[Kept, ...]:
    """Those that no URL gives any more, and what is left of those whose archive is gone."""
    return tuple(one for one in files if not one.urls or not one.names)


def remove(store: Store, files: Iterable[Kept], parts: Iterable[Begun]) -> None:
    """Remove files, with what they were unpacked to and what is noted of them, and parts of files."""
    gone = {one.digest for one in files}
    for key, record in tuple(store.records()):
        if record.digest in gone:
            (store.directory / "urls" / f"{key}.json").unlink(missing_ok=True)
    for path in _in(store, "sha256"):
        with suppress(OSError):
            if path.read_text().strip() in gone:
                path.unlink()
    for digest, paths in _unpacked(store).items():
        for path in paths if digest in gone else ():
            _remove(path)
    for digest in gone:
        _remove(store.directory / "objects" / digest)
    for part in parts:
        with suppress(Canceled), locked(store.directory, part.key, lambda: True):
            for path in (store.directory / "partial" / part.key, store.directory / "partial" / f"{part.key}.json"):
                path.unlink(missing_ok=True)


def disk_size(path: Path) -> int:
    """What a file, or a directory with all that is in it, takes on disk; what vanishes meanwhile takes nothing."""
    try:
        size = os.lstat(path).st_blocks * 512
        return size + sum(map(disk_size, path.iterdir())) if path.is_dir() and not path.is_symlink() else size
    except OSError:
        return 0


def _kept(store: Store, digest: str, urls: Iterable[str], unpacked: Iterable[Path]) -> Kept:
    place = store.directory / "objects" / digest
    paths = [place, *unpacked]
    used = [one.stat().st_mtime for one in paths if one.exists()]
    names = tuple(sorted(os.listdir(place))) if place.is_dir() else ()
    return Kept(digest, names, tuple(urls), sum(map(disk_size, paths)), max(used, default=0), len(paths) > 1)


def _unpacked(store: Store) -> dict[str, list[Path]]:
    """What archives were unpacked to, with its notes, and what was left of that by killed runs, by their digests."""
    found: dict[str, list[Path]] = {}
    for path in _in(store, "unpacked"):
        digest = path.name.removeprefix(".").partition("-")[0]
        if is_digest(digest):
            found.setdefault(digest, []).append(path)
    return found


def _in(store: Store, name: str) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from sorted((store.directory / name).iterdir())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        unstage(path)
    else:
        path.unlink(missing_ok=True)
