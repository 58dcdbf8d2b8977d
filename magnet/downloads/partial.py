"""A file as far as it has come: it is gone on with after an error, an interrupt, and a sudden death of magnet.

Beside it stands how much of it is known to be right, with the digest of that, and the validators of what the server
sent. What was written after that, or is not as it was, is not gone on with.
"""

import os
import time
from contextlib import suppress
from json import dumps, loads
from pathlib import Path
from typing import IO, Any

from blake3 import blake3

from magnet.downloads.checksums import Algorithm, Hasher, hasher
from magnet.values import frozen

_VERSION = 1
_OFTEN = 0.25
"""Seconds from one note of what is right to the next."""

_BLOCK = 1 << 20


@frozen
class Validators:
    """What a server says by which it knows again what it sent; `is_dated` is whether the time alone will do."""

    etag: str | None = None
    last_modified: str | None = None
    is_dated: bool = False

    @property
    def condition(self) -> str | None:
        """What `If-Range` can be given: a strong one (RFC 9110, 13.1.5); None where there is none."""
        if self.etag is not None:
            return self.etag if self.etag.startswith('"') else None
        return self.last_modified if self.is_dated else None


class Partial:
    """The file at `path`, which one process writes at a time; `algorithm` is that of a digest besides BLAKE3."""

    def __init__(self, path: Path, algorithm: Algorithm | None) -> None:
        self._path = path
        self._note = path.with_name(f"{path.name}.json")
        self._algorithm = algorithm
        self._file: IO[bytes] | None = None
        self._noted = 0.0
        self.validators = Validators()
        self.size = 0
        self._hasher = blake3()
        self._other = self._make_other()

    def __enter__(self) -> "Partial":
        self._take_up()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._path

    @property
    def blake3(self) -> str:
        """The BLAKE3 digest of what is there."""
        return self._hasher.hexdigest()

    def digest(self, algorithm: Algorithm) -> str:
        """A digest of what is there: BLAKE3, or the one that was asked for."""
        return self.blake3 if algorithm == "blake3" or self._other is None else self._other.hexdigest()

    def begin(self, validators: Validators) -> None:
        """Begin anew."""
        self._close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._note.unlink(missing_ok=True)
        self._file = open(self._path, "wb")  # noqa: SIM115 - closed with this object
        self._forget()
        self.validators = validators

    def write(self, data: bytes) -> None:
        """Add what has come."""
        assert self._file is not None
        self._file.write(data)
        self.size += len(data)
        self._hasher.update(data)
        if self._other is not None:
            self._other.update(data)
        if time.monotonic() - self._noted > _OFTEN:
            self.note()

    def note(self) -> None:
        """Note what is there, so that it can be gone on with; without validators it cannot."""
        if self._file is None or not self.size or self.validators.condition is None:
            return
        self._file.flush()
        validators = self.validators
        noted = {
            "version": _VERSION,
            "size": self.size,
            "blake3": self.blake3,
            "etag": validators.etag,
            "last_modified": validators.last_modified,
            "is_dated": validators.is_dated,
        }
        replace_text(self._note, dumps(noted))
        self._noted = time.monotonic()

    def drop(self) -> None:
        """Remove it: the next one begins anew."""
        self._close()
        self._forget()
        for path in (self._path, self._note):
            path.unlink(missing_ok=True)

    def move(self, place: Path) -> None:
        """Put the whole file at its place, at once."""
        self._close()
        os.chmod(self._path, 0o444)
        self._path.replace(place)
        self._note.unlink(missing_ok=True)

    def _take_up(self) -> None:
        """Go on with what was noted, if it is just that."""
        noted = self._read_note()
        if noted is None:
            self.drop()
            return
        left = self.size = noted["size"]
        self.validators = Validators(noted["etag"], noted["last_modified"], noted["is_dated"])
        try:
            self._file = open(self._path, "r+b")  # noqa: SIM115 - closed with this object
            while left and (block := self._file.read(min(left, _BLOCK))):
                left -= len(block)
                self._hasher.update(block)
                if self._other is not None:
                    self._other.update(block)
        except OSError:
            left = 1
        if left or self.blake3 != noted["blake3"]:
            self.drop()
        elif self._file is not None:
            self._file.truncate(self.size)
            self._file.seek(self.size)

    def _read_note(self) -> dict[str, Any] | None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            noted = loads(self._note.read_bytes())
            texts = (noted["blake3"], noted["etag"] or "", noted["last_modified"] or "")
            if noted["version"] == _VERSION and noted["size"] > 0 and all(isinstance(text, str) for text in texts):
                return {**noted, "is_dated": bool(noted["is_dated"])}
        return None

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # a full disk: then there is less to go on with
                self.note()
            self._file.close()
            self._file = None

    def _forget(self) -> None:
        self.validators = Validators()
        self.size = 0
        self._noted = 0.0
        self._hasher = blake3()
        self._other = self._make_other()

    def _make_other(self) -> Hasher | None:
        return None if self._algorithm in (None, "blake3") else hasher(self._algorithm)


def replace_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole, or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}-{time.monotonic_ns()}")
    new.write_text(text)
    new.replace(path)
