"""What is done for one download of a target, and told of it."""

from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

from magnet.downloads.checksums import Checksum
from magnet.downloads.fetching import Downloads
from magnet.downloads.handle import Outcome, unexpected
from magnet.downloads.telling import Telling
from magnet.downloads.urls import Source
from magnet.errors import Canceled
from magnet.events import Vertex


def begun(target: str, number: int, source: Source) -> Vertex:
    """The vertex of a download: below its target, of whose downloads it has a number."""
    identity = f"{target}\0download\0{number}\0{source.key}"
    digest = f"blake3:{blake3(identity.encode(errors='surrogateescape')).hexdigest()}"
    return Vertex(digest, f"download {source.shown}", parent=target)


def fetched(
    downloads: Downloads,
    source: Source,
    checksum: Checksum | None,
    strip: int | None,
    telling: Telling,
    check: Callable[[], None],
) -> Outcome:
    """Fetch a file, and unpack it if `strip` is given; what comes of it is told."""
    try:
        found = downloads.fetch(source, checksum, telling, check)
        path, is_cached = found.path, found.is_cached
        if strip is not None:
            from magnet.downloads.unpacked import directory  # most files are not unpacked

            path, was_there = directory(downloads.store, found, strip, shown=source.shown, telling=telling, check=check)
            is_cached = is_cached and was_there
    except Canceled as error:
        telling.end(error=str(error), canceled=True)
        raise
    except BaseException as error:
        telling.end(error=unexpected(error))
        raise
    telling.end(cached=is_cached, took=found.took)
    return path, is_cached, found.took


def place(downloads: Downloads, source: Source, checksum: Checksum | None, strip: int | None) -> Path:
    """Where a file is that was downloaded before, not verified; else a path at which nothing is."""
    found = downloads.seen(source, checksum)
    if found is None:
        return downloads.store.directory / "objects" / "unknown" / source.name
    if strip is None:
        return found
    from magnet.downloads.unpacked import key

    return downloads.store.directory / "unpacked" / key(found.parent.name, strip)
