"""The files that were downloaded, for all projects of a user.

`objects/<blake3>/<name>` is a file, by its content; `urls/<key>.json` says what a URL last gave; `sha256/<digest>` has
the BLAKE3 digest of a file by another; `partial/` holds what has come so far, `locks/` locks, `unpacked/` directories.
Nothing of it is believed: whatever is handed out has been hashed.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from json import dumps, loads
from pathlib import Path

from magnet.downloads.checksums import Algorithm, Checksum, file_checksum
from magnet.downloads.partial import Partial, Validators, replace_text
from magnet.meter import Measure
from magnet.values import frozen

_VERSION = 1


def directory(environ: Mapping[str, str]) -> Path:
    """Where the downloads of this user are: https://specifications.freedesktop.org/basedir-spec/latest/."""
    given = environ.get("XDG_CACHE_HOME", "")
    home = environ.get("HOME") or os.path.expanduser("~")
    return Path(given if os.path.isabs(given) else os.path.join(home, ".cache"), "magnet", "downloads")


@frozen
class Record:
    """What a URL last gave: the BLAKE3 digest and the size, when that was asked last, and how long it took to come.

    `checked` is in nanoseconds since 1970, `took` in nanoseconds.
    """

    url: str
    name: str
    digest: str
    size: int
    checked: int
    took: int
    validators: Validators = Validators()


class Store:
    """The files in a directory, which any number of threads and processes share."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, digest: str, name: str) -> Path:
        """Where a file of that content and name is, or would be."""
        return self.directory / "objects" / digest / name

    def partial(self, key: str, algorithm: Algorithm | None) -> Partial:
        """What has come of a URL so far."""
        return Partial(self.directory / "partial" / key, algorithm)

    def record(self, key: str) -> Record | None:
        """What the URL of that key last gave; None where that is not known."""
        return _read(self.directory / "urls" / f"{key}.json")

    def records(self) -> Iterator[tuple[str, Record]]:
        """All of them, with the keys of the URLs."""
        for path in sorted((self.directory / "urls").glob("*.json")):
            if record := _read(path):
                yield path.stem, record

    def note(self, key: str, record: Record) -> None:
        """Note what a URL gave."""
        kept = {**vars(record), "version": _VERSION, "validators": list(vars(record.validators).values())}
        replace_text(self.directory / "urls" / f"{key}.json", dumps(kept))

    def note_digest(self, checksum: Checksum, digest: str) -> None:
        """Note the BLAKE3 digest of the file that has a checksum."""
        if checksum.algorithm != "blake3":
            replace_text(self.directory / checksum.algorithm / checksum.digest, digest)

    def candidates(self, checksum: Checksum, key: str) -> Iterator[str]:
        """The BLAKE3 digests of files that may have the checksum, the likeliest first."""
        if checksum.algorithm == "blake3":
            yield checksum.digest
            return
        with suppress(OSError, UnicodeDecodeError):
            noted = (self.directory / checksum.algorithm / checksum.digest).read_text().strip()
            if is_digest(noted):
                yield noted
        if record := self.record(key):
            yield record.digest

    def has(self, digest: str) -> bool:
        """Whether there is a file of that content; not whether it is whole."""
        return bool(self._names(digest))

    def find(
        self, checksum: Checksum, digest: str, name: str, measure: Measure, check: Callable[[], None]
    ) -> Path | None:
        """The file of that BLAKE3 digest, under that name, if it has the checksum now; one that is damaged is removed.

        A file that has another name gets this one as well.
        """
        place = self.path(digest, name)
        for path in sorted((place.parent / one for one in self._names(digest)), key=lambda path: path != place):
            with measure("verifying", _size(path)) as advance:
                made = file_checksum(path, checksum.algorithm, advance, check)
            if made != checksum.digest:
                if checksum.algorithm == "blake3" or file_checksum(path, "blake3", lambda size: None, check) != digest:
                    with suppress(OSError):
                        path.unlink()
                continue
            if path != place:
                with suppress(FileExistsError):
                    os.link(path, place)
            with suppress(OSError):
                os.utime(place.parent)  # when it was used last
            return place
        return None

    def put(self, partial: Partial, name: str) -> str:
        """Keep a file that has come whole, and return its BLAKE3 digest."""
        digest = partial.blake3
        place = self.path(digest, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.move(place)
        return digest

    def _names(self, digest: str) -> list[str]:
        try:
            return os.listdir(self.directory / "objects" / digest)
        except OSError:
            return []


def is_digest(text: str) -> bool:
    """Whether a text is a digest in hexadecimal, and no path that leads elsewhere."""
    return len(text) == 64 and not text.strip("0123456789abcdef")


def _size(path: Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def _read(path: Path) -> Record | None:
    """A record; None for one that is missing, broken, or of another version."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = loads(path.read_bytes())
        etag, last_modified, is_dated = found["validators"]
        texts = (found["url"], found["name"], found["digest"], etag or "", last_modified or "")
        numbers = (found["size"], found["checked"], found["took"])
        is_right = all(type(one) is str for one in texts) and all(type(one) is int for one in numbers)
        if found["version"] == _VERSION and is_right and is_digest(found["digest"]):
            url, name, digest = texts[:3]
            return Record(url, name, digest, *numbers, Validators(etag, last_modified, bool(is_dated)))
    return None
