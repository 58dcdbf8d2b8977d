"""Checksums that a magnetfile gives, and those of files."""

import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

from magnet.errors import MagnetfileError
from magnet.meter import Advance
from magnet.values import frozen

Algorithm = Literal["sha256", "blake3"]

_PROGRAMS: Mapping[Algorithm, str] = {"sha256": "sha256sum", "blake3": "b3sum"}

BLOCK = 1 << 20


class Hasher(Protocol):
    """What takes in bytes, and has a digest of those so far."""

    def update(self, data: bytes | memoryview, /) -> object:
        """Take in more."""

    def hexdigest(self) -> str:
        """The digest, in hexadecimal."""


@frozen
class Checksum:
    """What a file must have, and the algorithm; in hexadecimal, in lower case."""

    algorithm: Algorithm
    digest: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest}"


def checksum(sha256: str | None, blake3: str | None) -> Checksum | None:
    """The checksum that is given, with its algorithm before a colon or without; None where none is."""
    if sha256 is not None and blake3 is not None:
        raise MagnetfileError("both `sha256` and `blake3` are given", hint="leave one of them out")
    if sha256 is not None:
        return _checked("sha256", sha256)
    return None if blake3 is None else _checked("blake3", blake3)


def hasher(algorithm: Algorithm) -> Hasher:
    """What makes digests of the algorithm."""
    if algorithm == "sha256":
        from hashlib import sha256  # costs 4 ms

        return sha256()
    from blake3 import blake3

    return blake3()


def file_checksum(path: Path, algorithm: Algorithm, advance: Advance, check: Callable[[], None]) -> str | None:
    """The digest of a file's content; None where no regular file can be read. `check` may raise, block by block."""
    try:
        with open(path, "rb", buffering=0, opener=_opened) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            made, block = hasher(algorithm), memoryview(bytearray(BLOCK))
            while size := file.readinto(block):
                made.update(block[:size])
                advance(size)
                check()
    except OSError:
        return None
    return made.hexdigest()


def _opened(path: str, flags: int) -> int:
    # What stands there may be a link to elsewhere, or a pipe, which would be waited for.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _checked(algorithm: Algorithm, given: str) -> Checksum:
    digest = str(given).strip().removeprefix(f"{algorithm}:").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise MagnetfileError(
            f"`{given}` is no {algorithm} checksum",
            hint=f"give 64 hexadecimal digits, as `{_PROGRAMS[algorithm]} FILE` prints them",
        )
    return Checksum(algorithm, digest)
