"""What archives were unpacked to, once for each content and way, and again if it is not as it was then."""

import os
from collections.abc import Callable
from json import dumps, loads
from pathlib import Path

from magnet.cache import locked
from magnet.context import selected
from magnet.downloads.archives import unpack
from magnet.downloads.fetching import Fetched
from magnet.downloads.partial import replace_text
from magnet.downloads.store import Store
from magnet.downloads.telling import Telling
from magnet.errors import Canceled, MagnetError
from magnet.index import FileIndex
from magnet.staging import unstage

_VERSION = 1
"""Of what is made of an archive: when that changes, it is unpacked anew."""


def key(digest: str, strip: int) -> str:
    """What a directory is called: by the BLAKE3 digest of its archive, and how many parts its names lost."""
    return f"{digest}-{strip}"


def directory(
    store: Store, archive: Fetched, strip: int, *, shown: str, telling: Telling, check: Callable[[], None]
) -> tuple[Path, bool]:
    """The directory with what is in an archive, which is as it was unpacked; and whether it was there."""
    name = key(archive.digest, strip)
    place = store.directory / "unpacked" / name

    def wait() -> bool:
        check()
        return False

    if _is_right(store, place, telling):
        return place, True
    with locked(store.directory, f"unpacked-{name}", wait):
        if _is_right(store, place, telling):
            return place, True
        if os.path.lexists(place):
            telling.warn(f"what {shown} was unpacked to was changed, so it is unpacked again")
        _make(archive.path, place, strip, shown, telling, check)
        replace_text(_note(place), dumps({"version": _VERSION, "digest": _digest(store, place, telling)}))
        return place, False


def _make(archive: Path, place: Path, strip: int, shown: str, telling: Telling, check: Callable[[], None]) -> None:
    """Unpack beside the place, and put it there when it is whole."""
    new, old = (place.with_name(f".{place.name}.{what}") for what in ("new", "old"))
    for one in (new, old):
        _remove(one)
    new.mkdir(parents=True)
    try:
        with telling.measure("unpacking", 0) as advance:
            unpack(archive, new, strip, advance, check)
        if os.path.lexists(place):
            place.rename(old)
        new.rename(place)
    except Canceled:
        raise
    except MagnetError as error:
        raise MagnetError(
            f"{shown} cannot be unpacked: {error.message}", detail=error.detail, hint=error.hint
        ) from error
    finally:
        for one in (new, old):
            _remove(one)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        unstage(path)
    else:
        path.unlink(missing_ok=True)


def _is_right(store: Store, place: Path, telling: Telling) -> bool:
    """Whether all is there, as it was unpacked, and nothing else."""
    try:
        noted = loads(_note(place).read_bytes())
        if place.is_symlink() or noted["version"] != _VERSION or noted["digest"] != _digest(store, place, telling):
            return False
        os.utime(_note(place))  # when it was used last
    except (OSError, ValueError, KeyError, TypeError, MagnetError):
        return False
    return True


def _digest(store: Store, place: Path, telling: Telling) -> str:
    with FileIndex(store.directory / "files.sqlite") as index:
        walked = index.tree(str(place), lambda: selected(place, (), (), place / ".none"), telling.measure)
        return walked.digest


def _note(place: Path) -> Path:
    return place.with_name(f"{place.name}.json")
