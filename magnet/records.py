"""The records of targets that succeeded: by its key, what each made, said and returned.

One SQLite file holds them all. It is a cache and nothing more: without it, with a broken or a foreign one, targets run
that could have been skipped. Who reads a record must still find the objects that it names in the store.

For `magnet cache`: `size(cache)` is what records and objects take on disk, and `prune(cache, ...)` lets go of them.
"""

import os
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from magnet.database import Database
from magnet.outputs import Store

if TYPE_CHECKING:
    from sqlite3 import Connection  # costs 7 ms

KEPT = 5
"""How many of its last records a call keeps, so that switching branches hits."""

END_OF_TIME = (1 << 63) - 1
"""In nanoseconds since 1970, and the largest number of SQLite."""

_SCHEMA = 2
_PATIENCE = 5.0
"""Seconds to wait for another magnet that is writing."""

_STALE = 3600.0
"""Seconds after which an object that no record names is nobody's who still writes one."""


class Record(NamedTuple):
    """What is known of a success. Digests are hexadecimal; `log` is empty where nothing was said.

    `call` is that of the target with its arguments, `target` that of the target, `outputs` that of the tree that was
    made; `value` is what was returned, as `magnet.returned` writes it; `observed` is what else the body was seen to
    depend on. `details` is that of an object: the list of the outputs, and the parts of the key. `at` is in nanoseconds
    since 1970; the body `took` so many of them.
    """

    call: str
    key: str
    target: str
    at: int
    outputs: str
    value: str
    observed: str
    log: str
    details: str
    took: int


class Records:
    """The records in one SQLite file, which any number of threads and processes share."""

    def __init__(self, path: Path, store: Store) -> None:
        self._path = path
        self._store = store
        self._database = Database(path, _MAKE, schema=_SCHEMA, patience=_PATIENCE)

    def close(self) -> None:
        """Let go of the database; it is opened again when it is needed again."""
        self._database.close()

    def state(self) -> str:
        """Equal as long as nobody has written to the database; it costs no question to it.

        It is the counter of changes in its header: https://sqlite.org/fileformat.html#file_change_counter
        """
        try:
            with open(self._path, "rb", buffering=0) as file:
                return f"{os.fstat(file.fileno()).st_ino} {file.read(28)[24:].hex()}"
        except OSError:
            return ""

    def fetch(self) -> dict[tuple[str, str], Record]:
        """All records, by call and key: the database is slow to answer single questions."""
        found = self._database.ask(partial(_select, where="1", values=())) or []
        return {(record.call, record.key): record for record in found}

    def find(self, call: str, key: str) -> Record | None:
        """The record of a call with a key."""
        found = self._database.ask(partial(_select, where="call = ? AND key = ?", values=(call, key)))
        return found[0] if found else None

    def latest(self, call: str, target: str) -> Record | None:
        """The last record of a call, or, where there is none, of the target with other arguments."""
        for where, value in (("call = ?", call), ("target = ?", target)):
            if found := self._database.ask(partial(_select, where=where, values=(value,))):
                return found[0]
        return None

    def save(self, record: Record, objects: Iterable[str]) -> bool:
        """Add a record, and the objects that it needs, which are in the store; False if that could not be done.

        The oldest records of the call go, and with them the objects that no other record needs.
        """
        return bool(self._database.ask(partial(self._add, record=record, objects=set(objects))))

    def _add(self, database: "Connection", record: Record, objects: set[str]) -> bool:
        with database:  # commits, or rolls back
            database.execute("BEGIN IMMEDIATE")
            # Another magnet may have let go of one since it was put there; from here on, none can.
            if not all(map(self._store.has, objects)):
                return False
            gone = _delete_record(database, record.call, record.key)
            database.execute(f"INSERT INTO records VALUES ({', '.join('?' * len(_COLUMNS))})", (_seal(record), *record))
            rows = [(record.call, record.key, one) for one in objects]
            database.executemany("INSERT INTO needed VALUES (?, ?, ?)", rows)
            kept = "SELECT key FROM records WHERE call = ? ORDER BY at DESC, key LIMIT -1 OFFSET ?"
            for (key,) in database.execute(kept, (record.call, KEPT)).fetchall():
                gone |= _delete_record(database, record.call, key)
            self._remove(database, gone)
        return True

    def _remove(self, database: "Connection", objects: Iterable[str]) -> None:
        """Remove those objects that no record needs, while nobody else can add one."""
        for digest in objects:
            if not database.execute("SELECT 1 FROM needed WHERE object = ?", (digest,)).fetchone():
                self._store.remove(digest)

    def prune(self, *, keep: int, before: int, dry_run: bool) -> int:
        """Let go of records from before that time, save the last `keep` of each call; how many they were.

        Objects that no record needs go as well. In a dry run nothing goes.
        """
        return self._database.ask(partial(self._prune, keep=keep, before=before, dry_run=dry_run)) or 0

    def _prune(self, database: "Connection", keep: int, before: int, dry_run: bool) -> int:
        with database:
            database.execute("BEGIN IMMEDIATE")
            rank = "row_number() OVER (PARTITION BY call ORDER BY at DESC, key) AS rank"
            old = f"SELECT call, key FROM (SELECT call, key, at, {rank} FROM records) WHERE rank > ? AND at < ?"
            going = database.execute(old, (keep, before)).fetchall()
            if dry_run:
                return len(going)
            self._remove(database, {digest for call, key in going for digest in _delete_record(database, call, key)})
            needed = {digest for (digest,) in database.execute("SELECT DISTINCT object FROM needed")}
            for digest, made in self._store.objects():
                if digest not in needed and time.time() - made > _STALE:
                    self._store.remove(digest)
        return len(going)


def open_records(cache: Path) -> Records:
    """The records in a project's cache."""
    return Records(cache / "targets.sqlite", Store(cache / "objects"))


def size(cache: Path) -> int:
    """How many bytes the records of targets, and what they made, take on disk."""
    with suppress(OSError):
        return Store(cache / "objects").size() + 512 * os.stat(cache / "targets.sqlite").st_blocks
    return Store(cache / "objects").size()


def prune(cache: Path, *, keep: int = KEPT, before: int = END_OF_TIME, dry_run: bool = False) -> int:
    """Let go of records from before that time that are not among the last `keep` of their call; how many they were.

    `before` is in nanoseconds since 1970. With `keep=0` all go, and their objects with them. Targets may run meanwhile.
    In a dry run nothing goes. Where there are no records, none are made.
    """
    if not (cache / "targets.sqlite").exists():
        return 0
    with closing(open_records(cache)) as records:
        return records.prune(keep=keep, before=before, dry_run=dry_run)


# The database

_COLUMNS = ("seal", *Record._fields)
_MAKE = f"""
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS records ({", ".join(_COLUMNS)}, PRIMARY KEY (call, key)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS targets ON records (target);
    CREATE TABLE IF NOT EXISTS needed (call, key, object);
    CREATE INDEX IF NOT EXISTS records_needed ON needed (call, key);
    CREATE INDEX IF NOT EXISTS objects_needed ON needed (object);
"""


def _select(database: "Connection", where: str, values: tuple[str, ...]) -> list[Record]:
    """The records that are just as they were written, the latest first."""
    rows = database.execute(f"SELECT {', '.join(_COLUMNS)} FROM records WHERE {where} ORDER BY at DESC, key", values)
    found = ((seal, Record(*row)) for seal, *row in rows)
    return [record for seal, record in found if seal == _seal(record)]


def _delete_record(database: "Connection", call: str, key: str) -> set[str]:
    """Delete a record, if there is one, and return the objects that it needed."""
    found = {
        digest for (digest,) in database.execute("SELECT object FROM needed WHERE call = ? AND key = ?", (call, key))
    }
    database.execute("DELETE FROM needed WHERE call = ? AND key = ?", (call, key))
    database.execute("DELETE FROM records WHERE call = ? AND key = ?", (call, key))
    return found


def _seal(record: Record) -> bytes:
    return blake3(repr((_SCHEMA, *record)).encode("utf-8", "surrogatepass")).digest()[:16]
