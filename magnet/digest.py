"""BLAKE3 digests of files and of whole contexts."""

import os
import struct
from collections.abc import Iterable, Iterator, Mapping

from blake3 import blake3

from magnet.context import Entry, cannot_read, in_order, shown
from magnet.errors import MagnetError
from magnet.meter import Advance

FORMAT = b"magnet context 1\0"
"""What the digest of a context begins with."""

_KINDS = {"file": b"f", "dir": b"d", "link": b"l"}
_HEAD = struct.Struct(">cHQ")
_LENGTH = struct.Struct(">Q")
_SMALL = 1 << 20
_BLOCK = 1 << 21


def file_digest(path: str | bytes | os.PathLike[str]) -> str:
    """The BLAKE3 digest of a file's content, in hexadecimal; an error if the file changes while it is read."""
    return content_digest(os.fsencode(path)).hex()


def tree_digest(entries: Iterable[Entry], contents: Mapping[bytes, bytes] | None = None) -> str:
    """The BLAKE3 digest of a context, in hexadecimal; the order of the entries does not matter.

    Hashed are `magnet context 1` and a zero byte, then for each entry, sorted by path: the kind (`f`, `d` or `l`),
    the permission bits (two bytes), and two strings, each after its length (eight bytes): the path, and what the
    entry holds, which is the BLAKE3 digest of a file's content, the target of a link, nothing for a directory.
    Numbers are big-endian. Left out are owners, times, setuid, setgid and sticky bits, extended attributes, hard
    links among the files, and where the files were found.

    `contents` are the digests of the files' contents by source, where they are known already.
    """
    parts = [FORMAT]
    for path, kind, mode, source, target in in_order(entries):
        holds = target
        if kind == "file":
            holds = content_digest(source) if contents is None else contents[source]
        parts += (_HEAD.pack(_KINDS[kind], mode, len(path)), path, _LENGTH.pack(len(holds)), holds)
    return blake3(b"".join(parts)).hexdigest()


def content_digest(path: bytes, advance: Advance = lambda size: None) -> bytes:
    """The BLAKE3 digest of a file's content; an error if the file changes while it is read.

    `advance` is told how many bytes are read, block by block.
    """
    try:
        file = os.open(path, os.O_RDONLY)
        try:
            before = os.fstat(file)
            is_small = before.st_size <= _SMALL
            digest, size = _hash_small(file, before.st_size) if is_small else _hash_large(file, advance)
            after = os.fstat(file)
        finally:
            os.close(file)
    except OSError as error:
        raise cannot_read(path, error) from error
    # Not the ctime: another magnet that stages a hard link to the file changes that.
    if (before.st_size, before.st_mtime_ns, size) != (after.st_size, after.st_mtime_ns, after.st_size):
        raise MagnetError(f"`{shown(path)}` changed while it was read", hint="run again when nothing writes to it")
    if is_small:
        advance(size)
    return digest


def _hash_small(file: int, size: int) -> tuple[bytes, int]:
    content = os.read(file, size + 1)  # a byte more than there should be, to notice a file that grew
    return blake3(content).digest(), len(content)


def _hash_large(file: int, advance: Advance) -> tuple[bytes, int]:
    hasher = blake3(max_threads=blake3.AUTO)
    size = 0
    for block in _blocks(file):
        hasher.update(block)
        size += len(block)
        advance(len(block))
    return hasher.digest(), size


def _blocks(file: int) -> Iterator[memoryview]:
    """The file's content, the next block being read while the last one is looked at.

    As fast as a memory map, which would be the death of the process if the file got shorter meanwhile (SIGBUS).
    """
    from concurrent.futures import ThreadPoolExecutor  # costs 10 ms, and only a large file needs it

    block, ahead = memoryview(bytearray(_BLOCK)), memoryview(bytearray(_BLOCK))
    with ThreadPoolExecutor(1) as reader:
        size = os.readv(file, [block])
        while size:
            reading = reader.submit(os.readv, file, [ahead])
            yield block[:size]
            size, block, ahead = reading.result(), ahead, block
