"""Is this build done already? The engine's own store is the cache, and a key is a tag in it.

No record of results is kept anywhere else, so none can be wrong. What is kept per build are its last keys and what they
were made of: to tell what changed, and to let go of old keys.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from magnet.backends.base import Backend
from magnet.errors import Canceled, MagnetError
from magnet.key import CacheKey, differences
from magnet.model import Image
from magnet.process import Shell

REPOSITORY = "localhost/magnet"
"""The repository whose tags are keys."""

KEPT = 5
"""How many of its last keys a build keeps, so that switching branches hits."""

_RECORD_VERSION = 1


@dataclass(frozen=True)
class Hit:
    """The build is done: this is its image."""

    image: Image


class Miss:
    """The build is to be done; only who holds this may save what came of it."""

    def __init__(self, cache: "BuildCache", key: CacheKey) -> None:
        self._cache = cache
        self._key = key

    def save(self, image: Image, files: Mapping[str, str]) -> None:
        """Let the image be found under the key, and let go of the oldest key of this build.

        `files` are the digests of the context's files, by path, to tell later which of them changed.
        """
        self._cache.save(self._key, image, files)


class BuildCache:
    """The keys of one build, which `identity` tells from all others of the project."""

    def __init__(self, backend: Backend, shell: Shell, directory: Path, identity: str) -> None:
        self._backend = backend
        self._shell = shell
        self._directory = directory
        self._record = (
            directory / "builds" / f"{blake3(identity.encode(errors='surrogateescape')).hexdigest()[:32]}.json"
        )

    def look_up(self, key: CacheKey) -> Hit | None:
        """The image of the key in the engine's store."""
        image = self._backend.inspect(reference(key), self._shell)
        return Hit(image) if image else None

    def reasons(self, key: CacheKey, files: Callable[[], Mapping[str, str]]) -> tuple[str, ...]:
        """Why the key is not that of the last build, part by part; `files` as for `save`."""
        last = next(iter(self._read()), None)
        if last is None:
            return ("there was no build of this before",)
        old, new = dict(last["parts"]), dict(key.parts)
        if last["files"] and old.get("context") != new.get("context"):
            old["context"], new["context"] = last["files"], files()
        changed = differences(old, new)
        return tuple(changed) or (f"its image is not in {self._backend.engine} any more",)

    @contextmanager
    def claim(self, key: CacheKey, give_up: Callable[[], bool], *, force: bool = False) -> Iterator[Hit | Miss]:
        """Hit, or Miss while nobody else builds the key; who waits for another that does gets its Hit.

        `give_up` is asked while it waits. With `force` it is a Miss in any case.
        """
        if not force and (hit := self.look_up(key)):
            yield hit
            return
        with _locked(self._directory / "locks" / key.digest, give_up):
            # Another may have done it since, whether or not it had to be waited for.
            again = None if force else self.look_up(key)
            yield again or Miss(self, key)

    def save(self, key: CacheKey, image: Image, files: Mapping[str, str]) -> None:
        """Tag the image with the key, and release the keys that are too many."""
        self._backend.tag(image.id, [reference(key)], self._shell)
        # Which files there were is kept of the last build only.
        records = [{**record, "files": {}} for record in self._read() if record["key"] != key.digest]
        kept = [{"version": _RECORD_VERSION, "key": key.digest, "parts": key.parts, "files": files}, *records]
        self._write(kept[:KEPT])
        for old in kept[KEPT:]:
            if not self._is_held_elsewhere(old["key"]):
                with suppress(MagnetError):  # it may be in use, or gone
                    self._backend.remove(f"{REPOSITORY}:{old['key']}", self._shell)

    def _is_held_elsewhere(self, key: str) -> bool:
        others = (path for path in self._record.parent.glob("*.json") if path != self._record)
        return any(key in path.read_text(errors="replace") for path in others)

    def _read(self) -> list[dict[str, Any]]:
        """The records of the last builds, the latest first; none where they are not understood."""
        try:
            found = json.loads(self._record.read_bytes())
            usable = [one for one in found if one["version"] == _RECORD_VERSION]
            return [
                one for one in usable if one["parts"].keys() and one["key"] + "" and one["files"].keys() is not None
            ]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return []

    def _write(self, records: Sequence[Mapping[str, Any]]) -> None:
        self._record.parent.mkdir(parents=True, exist_ok=True)
        new = self._record.with_name(f"{self._record.name}.{os.getpid()}-{time.monotonic_ns()}")
        new.write_text(json.dumps(records))
        new.replace(self._record)


def reference(key: CacheKey) -> str:
    """The name under which the engine's store holds the image of a key."""
    return f"{REPOSITORY}:{key.digest}"


@contextmanager
def _locked(path: Path, give_up: Callable[[], bool]) -> Iterator[None]:
    """Hold a lock, which the kernel releases when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            while not _try(lock):
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


def _try(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(path: Path, lock: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(lock))
    except FileNotFoundError:
        return False
