"""The keys that an engine's store holds: whose they are, which of them can go, and letting go of them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from magnet.backends.base import Backend
from magnet.cache import REPOSITORY, locked, read_record, reference
from magnet.errors import Canceled
from magnet.model import ImageListing
from magnet.values import frozen

BEING_BUILT = "it is being built"
"""Why a key is left whose lock a running build holds."""

_AT_ONCE = 20
"""How many names an engine is told to remove in one call."""

_UNITS = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4}


@frozen
class Keeper:
    """A build of this project that keeps a key. `rank` counts from 0, its last one that this engine holds.

    `target` is None where the record does not name the build.
    """

    rank: int
    target: str | None = None
    dockerfile: str = ""
    stage: str | None = None


@frozen
class StoredKey:
    """A key in an engine's store, and the image that it names. `created` is in seconds since 1970, `size` in bytes.

    An engine tells sizes with three digits, and counts layers that images share for each of them. Keys that no build
    of this project keeps have no `keepers`: those of other projects, and those whose records are gone.
    """

    digest: str
    image: str
    created: int
    size: int
    keepers: tuple[Keeper, ...] = ()

    @property
    def rank(self) -> int | None:
        """The best rank that it has with any build, or None where this project does not keep it."""
        return min((keeper.rank for keeper in self.keepers), default=None)


@frozen
class Pruned:
    """What became of keys that were to go: those removed, those left and why, and the ids of the images now gone."""

    removed: tuple[StoredKey, ...] = ()
    left: tuple[tuple[StoredKey, str], ...] = ()
    gone: frozenset[str] = frozenset()


def stored(backend: Backend, cache: Path) -> tuple[StoredKey, ...]:
    """The keys that the engine's store holds, the newest first; `cache` is the project's, with its records."""
    rows = {row.tag: row for row in backend.images(REPOSITORY) if _is_key(row)}
    keepers: dict[str, list[Keeper]] = {digest: [] for digest in rows}
    for path in _records(cache):
        for digest, keeper in _kept(path, rows.keys()):
            keepers[digest].append(keeper)
    found = [
        StoredKey(digest, row.id, row.created, in_bytes(row.size), tuple(sorted(keepers[digest], key=_in_order)))
        for digest, row in rows.items()
    ]
    return tuple(sorted(found, key=lambda key: (-key.created, key.rank is None, key.rank or 0, key.digest)))


def superseded(keys: Iterable[StoredKey], keep: int) -> tuple[StoredKey, ...]:
    """The keys of this project's builds that are among the last `keep` of none."""
    return tuple(key for key in keys if key.rank is not None and key.rank >= keep)


def older(keys: Iterable[StoredKey], than: float) -> tuple[StoredKey, ...]:
    """The keys whose images were made before a time."""
    return tuple(key for key in keys if key.created < than)


def remove(backend: Backend, cache: Path, keys: Sequence[StoredKey]) -> Pruned:
    """Let go of keys: each loses its name, and an image that has no other, and that nothing uses, goes with it."""
    removed: list[StoredKey] = []
    left: list[tuple[StoredKey, str]] = []
    for start in range(0, len(keys), _AT_ONCE):
        for key, reason in _removed(backend, cache, keys[start : start + _AT_ONCE]):
            if reason is None:
                removed.append(key)
            else:
                left.append((key, reason))
    there = {row.id for row in backend.images()} if removed else set()
    return Pruned(tuple(removed), tuple(left), frozenset(key.image for key in removed) - there)


def forget(cache: Path, keys: Iterable[StoredKey]) -> None:
    """Remove this project's records of builds, save those of builds that keep one of these keys."""
    kept = {key.digest for key in keys}
    for path in _records(cache):
        if not any(one["key"] in kept for one in read_record(path)):
            for file in path.parent.glob(f"{path.stem}.*"):
                file.unlink(missing_ok=True)


def remove_dead_locks(cache: Path) -> None:
    """Remove the files of locks that nobody holds; killed runs leave theirs."""
    for path in (cache / "locks").glob("*"):
        with suppress(Canceled), locked(cache, path.name, lambda: True):
            pass


def total_size(keys: Iterable[StoredKey]) -> int:
    """The size of the images of some keys, each image counted once: the most that they take."""
    return sum({key.image: key.size for key in keys}.values())


def in_bytes(size: str) -> int:
    """A size as docker prints it, in bytes.

    >>> in_bytes("1.16GB"), in_bytes("0B")
    (1160000000, 0)
    """
    match = re.fullmatch(r"([\d.e+]+) ?([kKMGT]?B)", size)
    return round(float(match[1]) * _UNITS[match[2]]) if match else 0


def _in_order(keeper: Keeper) -> tuple[int, str, str, str]:
    return keeper.rank, keeper.target or "", keeper.dockerfile, keeper.stage or ""


def _is_key(row: ImageListing) -> bool:
    # An image of the user's own may be called `localhost/magnet`, too.
    return row.repository == REPOSITORY and re.fullmatch("[0-9a-f]{64}", row.tag) is not None


def _records(cache: Path) -> list[Path]:
    return sorted((cache / "builds").glob("*.json"))


def _kept(record: Path, there: Iterable[str]) -> Iterator[tuple[str, Keeper]]:
    """The keys of a build that are there, with their ranks among these: other engines hold others of its keys."""
    found = read_record(record)
    told: dict[str, Any] = next((one["build"] for one in found if one.get("build")), {})
    for rank, one in enumerate(one for one in found if one["key"] in there):
        yield one["key"], Keeper(rank, told.get("target"), told.get("dockerfile", ""), told.get("stage"))


def _removed(backend: Backend, cache: Path, keys: Sequence[StoredKey]) -> Iterator[tuple[StoredKey, str | None]]:
    """Each key, and why it could not be removed, or None."""
    with ExitStack() as claims:
        free = [key for key in keys if _claim(claims, cache, key)]
        names = {key: reference(key.digest) for key in free}
        refused = backend.remove_names(list(names.values())) if names else {}
        yield from ((key, refused.get(names[key]) if key in names else BEING_BUILT) for key in keys)


def _claim(claims: ExitStack, cache: Path, key: StoredKey) -> bool:
    """Hold the lock of a key until the claims end, unless a build of this project holds it."""
    if not (cache / "locks").is_dir():
        return True  # no build of this project ever ran here, and a lock would be the first trace of one
    try:
        claims.enter_context(locked(cache, key.digest, lambda: True))
    except Canceled:
        return False
    return True
