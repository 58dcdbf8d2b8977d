"""A SQLite file that is a cache and nothing more: what is broken, foreign or of another version is made anew."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from sqlite3 import Connection  # costs 7 ms

_BROKEN = {1, 11, 24, 26}
"""SQLITE_ERROR (no such table), _CORRUPT, _FORMAT, _NOTADB: https://sqlite.org/rescode.html"""

Answer = TypeVar("Answer")


class Database:
    """One file, which any number of threads and processes share.

    `make` is the script that makes its tables, up to the end of its transaction, and `schema` their version.
    `patience` is in seconds, for another magnet that is writing. With `as_bytes` text is read as bytes.
    """

    def __init__(self, path: Path, make: str, *, schema: int, patience: float, as_bytes: bool = False) -> None:
        self._path = path
        self._make = make
        self._schema = schema
        self._patience = patience
        self._as_bytes = as_bytes
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def ask(self, question: "Callable[[Connection], Answer]") -> Answer | None:
        """What the database answers; None if it cannot: it is locked, read-only, the disk is full."""
        import sqlite3

        with self._lock:
            for _ in range(2):
                try:
                    self._connection = self._connection or self._open()
                    return question(self._connection)
                except OSError:
                    return None
                except sqlite3.Error as error:
                    self._disconnect()
                    if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _BROKEN:
                        return None
                    self._delete()
        return None

    def close(self) -> None:
        """Let go of the file; it is opened again when it is needed again."""
        with self._lock:
            self._disconnect()

    def _open(self) -> "Connection":
        import sqlite3

        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=self._patience, isolation_level=None, check_same_thread=False)
        try:
            if self._as_bytes:
                database.text_factory = bytes
            # A crash of the machine may break the file; seals show it, and waiting for the disk would cost more.
            database.execute("PRAGMA synchronous = OFF")
            database.execute("PRAGMA journal_mode = PERSIST")  # a journal that is made anew costs 0.5 ms
            (is_new,) = (version == 0 for (version,) in database.execute("PRAGMA schema_version"))
            if not is_new and database.execute("PRAGMA user_version").fetchone() != (self._schema,):
                database.execute("SELECT * FROM magnet_of_this_version")  # fails as any other foreign database does
            if is_new:
                database.executescript(f"{self._make}; PRAGMA user_version = {self._schema}; COMMIT;")
        except BaseException:
            database.close()
            raise
        return database

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def _delete(self) -> None:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                os.unlink(os.fsencode(self._path) + suffix.encode())
