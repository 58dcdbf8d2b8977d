"""A download from beginning to end: what is here is verified, and what is not is brought, once for all who want it."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from magnet.cache import locked
from magnet.downloads.checksums import BLOCK, Checksum, file_checksum
from magnet.downloads.partial import Partial, Validators
from magnet.downloads.patience import Patience
from magnet.downloads.store import Record, Store
from magnet.downloads.telling import Telling
from magnet.downloads.urls import Source
from magnet.errors import Canceled, MagnetError
from magnet.events import Clock
from magnet.values import frozen, replace

if TYPE_CHECKING:
    from magnet.downloads.transfer import Transfer

AT_ONCE = 8
"""How many transfers of a run go on at the same time."""


@frozen
class Fetched:
    """A file, verified just now, its BLAKE3 digest, and whether it was here; then `took` is what it took to come."""

    path: Path
    digest: str
    is_cached: bool = False
    took: int | None = None


class Downloads:
    """The downloads of one run, which come from the store of the user, or into it; from any thread.

    What was asked for in this run is not asked for again. `hide` is told of passwords before they are sent.
    """

    def __init__(
        self,
        store: Store,
        *,
        environ: Mapping[str, str],
        clock: Clock,
        offline: bool = False,
        hide: Callable[[Iterable[str]], None] = lambda _: None,
        patience: Patience | None = None,
    ) -> None:
        self.store = store
        self._environ = environ
        self._clock = clock
        self._offline = offline
        self._hide = hide
        self._patience = patience or Patience()
        self._began = clock()
        self._slots = threading.BoundedSemaphore(AT_ONCE)

    def fetch(self, source: Source, checksum: Checksum | None, telling: Telling, check: Callable[[], None]) -> Fetched:
        """The file that a source gives; `check` is called often, and may raise to end it.

        One with a checksum is the same for ever: if it is here, nobody is asked. Without a checksum the server is asked
        whether it is still the same.
        """
        try:
            # What is behind a password on a server is not for all users of this machine.
            self.store.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return _Fetch(self, source, checksum, telling, check).fetch()
        except OSError as error:
            raise MagnetError(
                f"cannot write to {self.store.directory}: {error.strerror or error}",
                hint="XDG_CACHE_HOME names the directory in which magnet's is",
            ) from error

    def seen(self, source: Source, checksum: Checksum | None) -> Path | None:
        """Where the file is that was downloaded last, if it is there; it is not verified."""
        record = self.store.record(source.key)
        digests = list(self.store.candidates(checksum, source.key)) if checksum else [record.digest] if record else []
        return next((self.store.path(one, source.name) for one in digests if self.store.has(one)), None)

    @contextmanager
    def _slot(self, check: Callable[[], None]) -> Iterator[None]:
        while not self._slots.acquire(timeout=0.1):
            check()
        try:
            yield
        finally:
            self._slots.release()


class _Fetch:
    def __init__(
        self,
        downloads: Downloads,
        source: Source,
        checksum: Checksum | None,
        telling: Telling,
        check: Callable[[], None],
    ) -> None:
        self._all = downloads
        self._store = downloads.store
        self._source = source
        self._checksum = checksum
        self._telling = telling
        self._check = check

    def fetch(self) -> Fetched:
        """See what is here; then again, when nobody else brings it; then bring it."""
        if found := self._here():
            return found
        if self._all._offline and self._source.path is None:
            raise MagnetError(
                f"{self._source.shown} is not here, and magnet is offline",
                hint="run it once without --offline and MAGNET_OFFLINE",
            )
        with self._claimed():
            return self._here() or (self._transferred() if self._source.path is None else self._copied())

    def _here(self) -> Fetched | None:
        """The file, if it is here and the server need not be asked."""
        record = self._store.record(self._source.key)
        if self._checksum:
            return self._with_checksum(self._checksum, record)
        if self._source.path is not None:
            return self._same_as(Path(self._source.path), record)
        is_fresh = self._all._offline or (record is not None and record.checked >= self._all._began)
        return self._verified(record) if record and is_fresh else None

    def _same_as(self, path: Path, record: Record | None) -> Fetched | None:
        """What is here of the content that a file of this machine has."""
        digest = file_checksum(path.resolve(), "blake3", lambda size: None, self._check)
        found = digest and self._found(Checksum("blake3", digest), digest)
        if not found or not digest:
            return None
        return Fetched(found, digest, True, record.took if record and record.digest == digest else None)

    def _with_checksum(self, checksum: Checksum, record: Record | None) -> Fetched | None:
        for digest in dict.fromkeys(self._store.candidates(checksum, self._source.key)):
            was_here = self._store.has(digest)
            if found := self._found(checksum, digest):
                self._store.note_digest(checksum, digest)
                return Fetched(found, digest, True, record.took if record and record.digest == digest else None)
            # What the URL gave before may well be another file.
            if was_here and not self._store.has(digest):
                self._warn_of_damage()
        return None

    def _verified(self, record: Record) -> Fetched | None:
        """What the URL gave last, if it is here just as it came."""
        was_here = self._store.has(record.digest)
        if found := self._found(Checksum("blake3", record.digest), record.digest):
            return Fetched(found, record.digest, True, record.took)
        if was_here:
            self._warn_of_damage()
        return None

    def _found(self, checksum: Checksum, digest: str) -> Path | None:
        return self._store.find(checksum, digest, self._source.name, self._telling.measure, self._check)

    def _warn_of_damage(self) -> None:
        what = "and magnet is offline" if self._all._offline else "so it is downloaded again"
        self._telling.warn(f"the file of {self._source.shown} in the cache is not what was downloaded, {what}")

    @contextmanager
    def _claimed(self) -> Iterator[None]:
        """Hold the locks of the file and of the URL, in this order, so that none who waits holds what another wants."""
        names = [f"{self._checksum.algorithm}-{self._checksum.digest}"] if self._checksum else []
        with ExitStack() as locks:
            for name in (*names, self._source.key):
                locks.enter_context(locked(self._store.directory, name, self._waiting()))
            locks.enter_context(self._all._slot(self._check))
            yield

    def _waiting(self) -> Callable[[], bool]:
        has_said = False

        def wait() -> bool:
            nonlocal has_said
            if not has_said:
                has_said = True
                self._telling.say("Waiting for another download of it")
            self._check()
            return False

        return wait

    def _transferred(self) -> Fetched:
        """The file that the server sends, or what is here, where it says that this is still the same."""
        # Both cost 70 ms, and what is here is used without.
        from magnet.downloads.client import secrets
        from magnet.downloads.transfer import Transfer

        self._all._hide(secrets(self._source, self._all._environ, self._telling.warn))
        record = None if self._checksum else self._store.record(self._source.key)
        here = self._verified(record) if record else None
        began = self._all._clock()
        is_first = True
        with self._partial() as partial:
            while True:
                transfer = Transfer(
                    self._source,
                    partial,
                    record.validators if record and here else None,
                    telling=self._telling,
                    check=self._check,
                    environ=self._all._environ,
                    patience=self._all._patience,
                )
                if not self._brought(transfer):
                    assert record
                    assert here
                    self._store.note(self._source.key, replace(record, checked=self._all._clock()))
                    return here
                if self._is_right(partial, again=is_first and transfer.was_resumed):
                    return self._kept(partial, began)
                is_first = False

    def _brought(self, transfer: "Transfer") -> bool:
        try:
            return transfer.bring()
        except Canceled:
            raise
        except MagnetError as error:
            message = f"{self._source.shown} cannot be downloaded: {error.message}"
            raise MagnetError(message, detail=error.detail, hint=error.hint) from error

    def _copied(self) -> Fetched:
        """The copy of a file of this machine."""
        path = Path(self._source.path or "")
        began = self._all._clock()
        if path.exists() and not path.is_file():
            raise MagnetError(f"{self._source.shown} is not a file", hint="give the URL of one file")
        try:
            file = path.open("rb")
        except OSError as error:
            raise MagnetError(f"{self._source.shown} cannot be read: {error.strerror}") from error
        with file, self._partial() as partial:
            partial.begin(Validators())
            with self._telling.measure("copying", os.fstat(file.fileno()).st_size) as advance:
                while block := file.read(BLOCK):
                    self._check()
                    partial.write(block)
                    advance(len(block))
            self._is_right(partial, again=False)
            return self._kept(partial, began)

    def _partial(self) -> Partial:
        return self._store.partial(self._source.key, self._checksum.algorithm if self._checksum else None)

    def _kept(self, partial: Partial, began: int) -> Fetched:
        """The file, put where it is found again, by the URL and by the checksum."""
        now = self._all._clock()
        size, validators = partial.size, partial.validators
        digest = self._store.put(partial, self._source.name)
        record = Record(self._source.shown, self._source.name, digest, size, now, now - began, validators)
        self._store.note(self._source.key, record)
        if self._checksum:
            self._store.note_digest(self._checksum, digest)
        return Fetched(self._store.path(digest, self._source.name), digest)

    def _is_right(self, partial: Partial, *, again: bool) -> bool:
        """Whether the file has the checksum; one that has not is not kept, and an error.

        But one of which a part came earlier is brought once more, from the beginning: the parts may not be of one file.
        """
        made = partial.digest(self._checksum.algorithm) if self._checksum else ""
        if self._checksum is None or made == self._checksum.digest:
            return True
        partial.drop()
        if again:
            self._telling.say("The parts do not make the file of that checksum; it is downloaded as a whole")
            return False
        raise MagnetError(
            f"the checksum of {self._source.shown} is wrong",
            detail=[f"expected {self._checksum}", f"got      {self._checksum.algorithm}:{made}"],
            hint="if the new file is the one that you want, put its checksum into the magnetfile",
        )
