"""The content-addressed store of what targets made, and putting it back into the project.

`<cache>/objects/ab/cdef...` is a file by the BLAKE3 digest of its content: an output, a log, a list of outputs. Objects
are written under another name first and verified whenever they are read. The project never gets a hard link to one, for
an output may be edited in place: it gets a reflink where the file system has them, else a copy.

`Store.size` is what the objects take on disk. Which of them are still needed is known to `magnet.records`, whose
`prune` removes the others.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from blake3 import blake3

from magnet.context import PERMISSIONS
from magnet.digest import content_digest
from magnet.errors import MagnetError
from magnet.index import Tree

_BLOCK = 1 << 20
_NEW = ".new-"


class Lost(Exception):
    """What was kept cannot be had back; the message says what, in a few words."""


class Output(NamedTuple):
    """One output: its path in the project, what it is, and the digest of a file's content or the target of a link."""

    path: str
    kind: Literal["file", "dir", "link"]
    mode: int
    holds: str = ""


class Store:
    """The objects in a directory, which any number of threads and processes share."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, digest: str) -> Path:
        """Where the object of that digest is, if it is there."""
        return self._directory / digest[:2] / digest[2:]

    def has(self, digest: str) -> bool:
        """Whether the object is there; not whether it is whole."""
        return os.path.lexists(self.path(digest))

    def _is_whole(self, digest: str) -> bool:
        try:
            return content_digest(os.fsencode(self.path(digest))).hex() == digest
        except MagnetError:
            return False

    def put_file(self, source: bytes, digest: str) -> None:
        """Keep a file's content; Lost if its digest is not this one (any more)."""
        if self._is_whole(digest):
            return
        with self._new() as new:
            _copy(source, new)
            if content_digest(new).hex() != digest:
                raise Lost(f"`{os.fsdecode(source)}` changed while it was kept")
            self._add(new, digest)

    def put(self, content: bytes) -> str:
        """Keep some bytes, and return their digest."""
        digest = blake3(content).hexdigest()
        if not self._is_whole(digest):
            with self._new() as new:
                Path(os.fsdecode(new)).write_bytes(content)
                self._add(new, digest)
        return digest

    def put_rest(self, file: BinaryIO, size: int) -> str:
        """Keep the next `size` bytes of a file, and return their digest."""
        hasher = blake3()
        with self._new() as new:
            with open(new, "wb") as copy:
                while size and (block := file.read(min(size, _BLOCK))):
                    hasher.update(block)
                    size -= copy.write(block)
            self._add(new, hasher.hexdigest())
        return hasher.hexdigest()

    def get(self, digest: str) -> bytes:
        """The object; Lost where it is missing, or is not what it was."""
        try:
            content = self.path(digest).read_bytes()
        except OSError as error:
            raise Lost(f"what was kept is gone ({error.strerror})") from error
        if blake3(content).hexdigest() != digest:
            self.remove(digest)
            raise Lost("what was kept is broken")
        return content

    @contextmanager
    def copied(self, digest: str, mode: int) -> Iterator[bytes]:
        """A copy of the object, with a mode, which is to be moved away; Lost as for `get`."""
        with self._new() as new:
            try:
                _copy(os.fsencode(self.path(digest)), new)
            except OSError as error:
                raise Lost(f"what was kept is gone ({error.strerror})") from error
            if content_digest(new).hex() != digest:
                self.remove(digest)
                raise Lost("what was kept is broken")
            os.chmod(new, mode)
            yield new

    def remove(self, digest: str) -> None:
        """Let go of an object; no error if it is gone."""
        with suppress(OSError):
            self.path(digest).unlink()

    def size(self) -> int:
        """How many bytes the objects take on disk."""
        found = (entry.stat(follow_symlinks=False).st_blocks for _, entry in self._entries())
        return 512 * sum(found)

    def objects(self) -> Iterator[tuple[str, float]]:
        """The digest of each object, and when it was made, in seconds since 1970; leftovers have names of their own."""
        for prefix, entry in self._entries():
            yield prefix + entry.name, entry.stat(follow_symlinks=False).st_mtime

    def _entries(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        for directory in sorted(self._directory.glob("??")):
            with suppress(OSError), os.scandir(directory) as entries:
                for entry in entries:
                    yield directory.name, entry

    @contextmanager
    def _new(self) -> Iterator[bytes]:
        """A name in the store for a new file, which is removed if it is still there in the end."""
        directory = self._directory / "00"
        directory.mkdir(parents=True, exist_ok=True)
        new = os.fsencode(directory / f"{_NEW}{os.getpid()}-{os.urandom(4).hex()}")
        try:
            yield new
        finally:
            with suppress(FileNotFoundError):
                os.unlink(new)

    def _add(self, new: bytes, digest: str) -> None:
        path = self.path(digest)
        path.parent.mkdir(exist_ok=True)
        os.chmod(new, 0o444)
        os.rename(new, path)


def _copy(source: bytes, target: bytes) -> None:
    """Copy a file's content: by the kernel, which may share the blocks, where it can."""
    with open(source, "rb", buffering=0) as old, open(target, "xb", buffering=0) as new:
        with suppress(OSError):  # another file system, an old kernel
            while os.copy_file_range(old.fileno(), new.fileno(), 1 << 30):
                pass
        while block := old.read(_BLOCK):
            new.write(block)


# Outputs


def outputs_of(tree: Tree) -> tuple[Output, ...]:
    """The outputs in a tree that was seen, by path."""
    contents = tree.contents
    return tuple(
        Output(
            os.fsdecode(entry.path),
            entry.kind,
            entry.mode,
            contents[entry.source] if entry.kind == "file" else os.fsdecode(entry.target),
        )
        for entry in tree.entries
    )


def keep(store: Store, tree: Tree) -> tuple[Output, ...]:
    """Keep the files of a tree; Lost if one changes meanwhile."""
    for entry in tree.entries:
        if entry.kind == "file":
            store.put_file(entry.source, tree.contents[entry.source])
    return outputs_of(tree)


def told(wanted: Iterable[Output], present: Iterable[Output]) -> list[str]:
    """What must be done so that what is present is what is wanted, in a few words each."""
    now = {output.path: output for output in present}
    then = {output.path: output for output in wanted}
    gone = [f"`{path}` is gone" for path in then if path not in now]
    changed = [f"`{path}` changed" for path, output in then.items() if path in now and now[path] != output]
    return gone + changed + [f"`{path}` is too many" for path in now if path not in then]


def restore(store: Store, root: Path, wanted: Iterable[Output], present: Iterable[Output]) -> None:
    """Put the outputs that are gone or changed back, each at once, and remove those that are too many.

    What is too many is removed only if a copy is in the store, for then a target made it; else this is Lost
    before anything is touched, as it is if an object is missing. Lost as well where the project cannot be written to.
    """
    now, then = {one.path: one for one in present}, {one.path: one for one in wanted}
    missing = [output for path, output in sorted(then.items()) if now.get(path) != output]
    surplus = [output for path, output in sorted(now.items(), reverse=True) if path not in then]
    for output in surplus:
        if output.kind == "file" and not store.has(output.holds):
            raise Lost(f"`{output.path}` is among the outputs and was not made by a target")
    if not all(store.has(output.holds) for output in missing if output.kind == "file"):
        raise Lost("what was kept is gone")
    try:
        _Restoring(store, os.fsencode(root), then).do(surplus, missing)
    except OSError as error:
        raise Lost(f"`{os.fsdecode(error.filename or '')}` cannot be put back ({error.strerror})") from error
    except MagnetError as error:
        raise Lost(error.message) from error


class _Restoring:
    def __init__(self, store: Store, root: bytes, wanted: dict[str, Output]) -> None:
        self._store = store
        self._root = root
        self._wanted = wanted
        self._modes: dict[bytes, int] = {}

    def do(self, surplus: Iterable[Output], missing: Iterable[Output]) -> None:
        try:
            for output in surplus:
                self._remove(output)
            for output in missing:
                self._put(output)
        finally:
            # The deepest first: a directory that cannot be searched hides those in it.
            for directory, mode in sorted(self._modes.items(), reverse=True):
                os.chmod(directory, mode)

    def _remove(self, output: Output) -> None:
        path = self._path(output)
        self._open(os.path.dirname(path))
        self._modes.pop(path, None)
        if output.kind == "dir":
            with suppress(OSError):  # it holds what is no output
                os.rmdir(path)
        else:
            os.unlink(path)

    def _put(self, output: Output) -> None:
        path = self._path(output)
        parent = os.path.dirname(path)
        os.makedirs(parent, exist_ok=True)
        self._open(parent)
        if output.kind == "dir":
            if not os.path.isdir(path) or os.path.islink(path):
                with suppress(FileNotFoundError):
                    os.unlink(path)
                os.mkdir(path)
            self._modes[path] = output.mode
            return
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        if output.kind == "link":
            new = path + b".magnet-" + os.urandom(4).hex().encode()
            os.symlink(os.fsencode(output.holds), new)
            os.replace(new, path)
            return
        with self._store.copied(output.holds, output.mode) as new:
            _move(new, path)

    def _open(self, directory: bytes) -> None:
        """Let a directory be changed until the end, when it gets its mode back, or the one that it should have."""
        mode = stat.S_IMODE(os.stat(directory).st_mode)
        if mode & 0o300 != 0o300:
            self._modes.setdefault(directory, mode)
            os.chmod(directory, mode | 0o700)

    def _path(self, output: Output) -> bytes:
        return os.path.join(self._root, os.fsencode(output.path))


def _move(new: bytes, path: bytes) -> None:
    try:
        os.replace(new, path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = path + b".magnet-" + os.urandom(4).hex().encode()
        _copy(new, beside)
        os.chmod(beside, stat.S_IMODE(os.stat(new).st_mode) & PERMISSIONS)
        os.replace(beside, path)
