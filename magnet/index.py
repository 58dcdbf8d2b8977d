"""What is remembered of the files of contexts, so that the next digest of a tree costs one stat per file.

One SQLite file holds a snapshot of each selection. It is a cache and nothing more: without it, or with a broken one,
digests are the same and take longer.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from blake3 import blake3

from magnet.context import Entry, Walked, in_order
from magnet.database import Database
from magnet.digest import FORMAT
from magnet.meter import Measure, unmeasured
from magnet.snapshot import Snapshot, entries_of, files_of, is_unchanged, merged, size_of, take
from magnet.values import frozen

if TYPE_CHECKING:
    from sqlite3 import Connection  # costs 7 ms

_PATIENCE = 0.25
"""Seconds to wait for another magnet that is writing."""

_MONTH = 30 * 24 * 3600 * 1_000_000_000
_SCHEMA = 2
_AT_ONCE = 500
"""How many values one statement takes: https://sqlite.org/limits.html#max_variable_number"""


@frozen(eq=False)
class Tree:
    """A context that was seen: its digest, as `tree_digest` gives it, and what that was made from."""

    digest: str
    _snapshot: Snapshot

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The entries, sorted by path."""
        return in_order(entries_of(self._snapshot))

    @property
    def is_as_it_was(self) -> bool:
        """Whether everything is as it was seen; False, too, where that cannot be known."""
        return is_unchanged(self._snapshot)

    @cached_property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(size_of(source, facts) for source, (facts, _) in files_of(self._snapshot))

    @cached_property
    def contents(self) -> Mapping[bytes, str]:
        """The digest of each file's content, as `file_digest` gives it, by the path of its source."""
        return {source: content.hex() for source, (_, content) in files_of(self._snapshot)}


def seen(trees: Iterable[Tree]) -> Snapshot:
    """All that was seen of some trees: it is unchanged if each of them is."""
    return merged([tree._snapshot for tree in trees])


class FileIndex:
    """The snapshots in one SQLite file, which any number of threads and processes share.

    Something counts as unchanged if its size, mtime, ctime, inode, device and mode agree, and if its times were older
    than the look at it by more than the coarsest clock of a file system is wrong: else a later change could have left
    the same times ("racily clean": https://git-scm.com/docs/racy-git). Every other file is read again, also one that
    only has another ctime, as staging it by a hard link gives it.
    """

    def __init__(self, path: Path, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._database = Database(path, _MAKE, schema=_SCHEMA, patience=_PATIENCE, as_bytes=True)
        self._clock = clock
        self._fetched: dict[bytes, Snapshot] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database; it is opened again when it is needed again."""
        self._database.close()

    def tree(self, selection: str, walk: Callable[[], Walked], measure: Measure = unmeasured) -> Tree:
        """The tree that `walk` finds; it is called only if something changed since the last time.

        `selection` says all that the walk depends on besides what it lists: the real path of each source, where it
        goes, the patterns. Errors are those of the walk and of `tree_digest`, never the database's. What is read is
        measured.
        """
        key = _key(selection)
        old = self._fetched.pop(key, None) or self._database.ask(partial(_read, key=key))
        if old and is_unchanged(old):
            return Tree(old.digest.decode(), old)
        begun = self._clock()  # before the walk: what changes during it is not older than this
        walked = walk()
        known = [old] if old else self._database.ask(_read_latest) or []
        new = take(walked, known, begun, measure)
        self._database.ask(partial(_write, key=key, snapshot=new, oldest=max(0, begun - _MONTH)))
        return Tree(new.digest.decode(), new)

    def fetch(self, selections: Iterable[str]) -> None:
        """Ask the database for many selections at once, before each is looked at: it is slow to answer single ones."""
        self._fetched |= self._database.ask(partial(_read_all, keys=list(map(_key, selections)))) or {}


def _key(selection: str) -> bytes:
    return blake3(selection.encode("utf-8", "surrogatepass")).digest()


# The database

_COLUMNS = ", ".join(("seal", *Snapshot._fields))
_SELECT = f"SELECT selection, {_COLUMNS} FROM snapshots"
# Long values are read faster from large pages: https://sqlite.org/intern-v-extern-blob.html
_MAKE = f"""
    PRAGMA page_size = 16384;
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS snapshots (selection PRIMARY KEY, {_COLUMNS});
    CREATE INDEX IF NOT EXISTS ages ON snapshots (begun);
"""


def _read(database: "Connection", key: bytes) -> Snapshot | None:
    row = database.execute(f"{_SELECT} WHERE selection = ?", (key,)).fetchone()
    return _unsealed(row) if row and row[0] == key else None


def _read_all(database: "Connection", keys: Sequence[bytes]) -> dict[bytes, Snapshot]:
    found = {}
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        for row in database.execute(f"{_SELECT} WHERE selection IN ({', '.join('?' * len(some))})", some):
            if snapshot := _unsealed(row):
                found[row[0]] = snapshot
    return found


def _read_latest(database: "Connection") -> list[Snapshot]:
    rows = database.execute(f"{_SELECT} ORDER BY begun DESC LIMIT 4").fetchall()
    return [snapshot for snapshot in map(_unsealed, reversed(rows)) if snapshot]


def _write(database: "Connection", key: bytes, snapshot: Snapshot, oldest: int) -> None:
    with database:  # commits, or rolls back
        database.execute("BEGIN IMMEDIATE")
        database.execute("DELETE FROM snapshots WHERE begun < ?", (oldest.to_bytes(8, "big"),))
        row = (key, _seal(key, snapshot), *snapshot)
        database.execute(f"INSERT OR REPLACE INTO snapshots VALUES ({', '.join('?' * len(row))})", row)


def _unsealed(row: Sequence[object]) -> Snapshot | None:
    """The snapshot in a row, if it is just as it was written, for this format of digests."""
    columns = [column for column in row if isinstance(column, bytes)]
    if len(columns) != 2 + len(Snapshot._fields):
        return None
    key, seal, *rest = columns
    return Snapshot(*rest) if seal == _seal(key, rest) else None


def _seal(key: bytes, columns: Sequence[bytes]) -> bytes:
    hasher = blake3(FORMAT)
    for column in (key, *columns):
        hasher.update(len(column).to_bytes(8, "big"))
        hasher.update(column)
    return hasher.digest()
