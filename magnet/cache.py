"""Is this build done already? The engine's own store is the cache, and a key is a tag in it.

No record of results is kept anywhere else, so none can be wrong. What is kept per build are its last keys and what they
were made of: to tell what changed, and to let go of old keys.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from blake3 import blake3

from magnet.backends.base import Backend
from magnet.errors import Canceled, MagnetError
from magnet.key import CacheKey, differences
from magnet.model import Image
from magnet.process import Shell
from magnet.values import frozen, replace
from magnet.workspace import try_lock

REPOSITORY = "localhost/magnet"
"""The repository whose tags are keys."""

KEPT = 5
"""How many of its last keys a build keeps, so that switching branches hits."""

_RECORD_VERSION = 2
_READABLE = (1, _RECORD_VERSION)  # the first did not name the build, and had the files of its context in it


@frozen
class BuildName:
    """What tells a build from all others of its project. `dockerfile` is an absolute path."""

    target: str
    dockerfile: str
    stage: str | None
    directory: str
    platform: str = ""

    @property
    def digest(self) -> str:
        """A name for the file of its record."""
        identity = repr((self.target, self.dockerfile, self.stage, self.directory, self.platform))
        return blake3(identity.encode(errors="surrogateescape")).hexdigest()[:32]


@frozen
class Hit:
    """The build is done: this is its image, and, where it is known, how many nanoseconds it took to make it."""

    image: Image
    took: int | None = None


class Miss:
    """The build is to be done; only who holds this may save what came of it."""

    def __init__(self, cache: "BuildCache", key: CacheKey) -> None:
        self._cache = cache
        self._key = key

    def save(self, image: Image, files: Mapping[str, str], took: int | None = None) -> None:
        """Let the image be found under the key, and let go of the oldest key of this build.

        `files` are the digests of the context's files, by path, to tell later which of them changed; it `took` so many
        nanoseconds.
        """
        self._cache.save(self._key, image, files, took)


class BuildCache:
    """The keys of one build of the project; `seen` is what the engine was asked already, and said."""

    def __init__(
        self,
        backend: Backend,
        shell: Shell,
        directory: Path,
        name: BuildName,
        seen: Mapping[str, Image | None] = MappingProxyType({}),
    ) -> None:
        self._backend = backend
        self._shell = shell
        self._directory = directory
        self._name = name
        self._seen = seen
        self._record = record_path(directory, name)

    def look_up(self, key: CacheKey) -> Hit | None:
        """The image of the key in the engine's store."""
        image = self._backend.inspect(reference(key.digest), self._shell)
        return Hit(image) if image else None

    def reasons(self, key: CacheKey, files: Callable[[], Mapping[str, str]]) -> tuple[str, ...]:
        """Why the key is not that of the last build, part by part; `files` as for `save`."""
        last = next(iter(read_record(self._record)), None)
        if last is None:
            return ("there was no build of this before",)
        old, new = dict(last["parts"]), dict(key.parts)
        if old.get("context") != new.get("context") and (then := _read_files(self._record, last["key"])):
            old["context"], new["context"] = then, files()
        changed = differences(old, new)
        return tuple(changed) or (f"its image is not in {self._backend.engine} any more",)

    @contextmanager
    def claim(self, key: CacheKey, give_up: Callable[[], bool], *, force: bool = False) -> Iterator[Hit | Miss]:
        """Hit, or Miss while nobody else builds the key; who waits for another that does gets its Hit.

        `give_up` is asked while it waits. With `force` it is a Miss in any case.
        """
        if not force and (hit := self._seen_or_there(key)):
            if reference(key.digest) not in self._seen:  # else it is the latest: that one is asked for ahead
                self._remember(key)
            yield replace(hit, took=self._took(key))
            return
        with locked(self._directory, key.digest, give_up):
            # Another may have done it since, whether or not it had to be waited for.
            again = None if force else self.look_up(key)
            if again:
                self._remember(key)
            yield replace(again, took=self._took(key)) if again else Miss(self, key)

    def save(self, key: CacheKey, image: Image, files: Mapping[str, str], took: int | None = None) -> None:
        """Tag the image with the key, and release the keys that are too many."""
        self._backend.tag(image.id, [reference(key.digest)], self._shell)
        self._remember(key, took)
        _write(_files_path(self._record), {"key": key.digest, "files": files})

    def _took(self, key: CacheKey) -> int | None:
        """How long the build of the key took, as its record says; those of old do not."""
        took = next((one.get("took") for one in read_record(self._record) if one["key"] == key.digest), None)
        return took if isinstance(took, int) else None

    def _remember(self, key: CacheKey, took: int | None = None) -> None:
        """Let the key be the latest of this build, and release those that are too many."""
        took = self._took(key) if took is None else took
        records = [one for one in read_record(self._record) if one["key"] != key.digest]
        told = {"target": self._name.target, "dockerfile": self._name.dockerfile, "stage": self._name.stage}
        this = {"version": _RECORD_VERSION, "key": key.digest, "parts": key.parts, "build": told, "took": took}
        kept = [this, *records]
        _write(self._record, kept[:KEPT])
        for old in kept[KEPT:]:
            if not self._is_held_elsewhere(old["key"]):
                with suppress(MagnetError):  # it may be in use, or gone
                    self._backend.remove(reference(old["key"]), self._shell)

    def _seen_or_there(self, key: CacheKey) -> Hit | None:
        name = reference(key.digest)
        if name not in self._seen:
            return self.look_up(key)
        image = self._seen[name]
        return Hit(image) if image else None

    def _is_held_elsewhere(self, key: str) -> bool:
        others = (path for path in self._record.parent.glob("*.json") if path != self._record)
        return any(key in path.read_text(errors="replace") for path in others)


def record_path(directory: Path, name: BuildName) -> Path:
    """The file with the record of a build's last keys."""
    return directory / "builds" / f"{name.digest}.json"


def last_references(directory: Path, name: BuildName) -> tuple[str, ...]:
    """The name of the image of the build's last key, which is the one to ask for while it is not known."""
    return tuple(reference(one["key"]) for one in read_record(record_path(directory, name))[:1])


def read_record(path: Path) -> list[dict[str, Any]]:
    """What a build's record says of its last keys, the latest first; nothing where it is not understood."""
    try:
        found = json.loads(path.read_bytes())
        usable = [one for one in found if one["version"] in _READABLE]
        return [one for one in usable if one["parts"].keys() and one["key"] + ""]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _files_path(record: Path) -> Path:
    # Apart, for there may be many, and only who explains a miss reads them.
    return record.with_suffix(".files")


def _read_files(record: Path, key: str) -> Mapping[str, str]:
    """The files of the context of the last build, if it was the one with that key."""
    try:
        found = json.loads(_files_path(record).read_bytes())
        return dict(found["files"]) if found["key"] == key else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}-{time.monotonic_ns()}")
    new.write_text(json.dumps(content))
    new.replace(path)


def reference(digest: str) -> str:
    """The name under which the engine's store holds the image of a key of that digest."""
    return f"{REPOSITORY}:{digest}"


@contextmanager
def locked(directory: Path, key: str, give_up: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock of a key, which the kernel releases when its holder dies.

    Raises Canceled when `give_up`, which is asked while somebody else holds it, says so.
    """
    path = directory / "locks" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            while not try_lock(lock):
                if give_up():
                    raise Canceled
                time.sleep(0.1)
            if not _is_still(path, lock):
                continue  # whoever held it has removed it
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return
        finally:
            os.close(lock)


def _is_still(path: Path, lock: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(lock))
    except FileNotFoundError:
        return False
