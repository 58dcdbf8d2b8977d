"""What a target can do with files from the network: download them, verified, and unpack them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from magnet.acting import Acting
from magnet.errors import Canceled, MagnetError, MagnetfileError

if TYPE_CHECKING:
    from magnet.downloads.checksums import Checksum
    from magnet.downloads.handle import Download
    from magnet.downloads.urls import Source

R = TypeVar("R")


class Downloading(Acting):
    """A running target, and downloads."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._downloads: list[Download] = []

    def download(
        self, url: str, *, sha256: str | None = None, blake3: str | None = None, unpack: bool = False, strip: int = 0
    ) -> Path:
        """Download a file, and return where it is: in the cache of the user, read-only and under its own name.

        With a checksum, a file that is here is used without a question to the server; without one, the server is asked
        whether it is still the same. Whatever is here is verified each time. `url` is one of http, https or file.

        With `unpack`, it is an archive, tar or zip, and returned is the directory with what is in it, without the first
        `strip` parts of the names. Raises MagnetError when the file cannot be had, or has another checksum.
        """
        return self.start_download(url, sha256=sha256, blake3=blake3, unpack=unpack, strip=strip).result()

    def start_download(
        self, url: str, *, sha256: str | None = None, blake3: str | None = None, unpack: bool = False, strip: int = 0
    ) -> "Download":
        """Begin to download a file as `download` does; `.result()` of what is returned waits, and returns where it is.

        The target does not end before its downloads have, and fails if one of them does.
        """
        # A run without downloads does without.
        from magnet.downloads.checksums import checksum
        from magnet.downloads.urls import source

        if strip < 0 or (strip and not unpack):
            raise MagnetfileError("`strip` is for what is unpacked, and a number from 0", hint="add `unpack=True`")
        wanted, expected = source(str(url)), checksum(sha256, blake3)
        if wanted.password:
            self._session.hide([wanted.password])
        begin = self._say if self._session.dry_run else self._begin
        started = begin(wanted, expected, strip if unpack else None)
        self._downloads.append(started)
        return started

    def and_its_downloads(self, body: Callable[[], R]) -> R:
        """What the body returns, once all downloads have ended that it began; when it fails, they are given up."""
        try:
            result = body()
            for one in self._downloads:
                if not one.is_forgiven:
                    _, is_cached, took = one.outcome()
                    self._skipped.append(is_cached)
                    self._took.append(took if is_cached else None)
        finally:
            self.give_up_downloads()
        return result

    def give_up_downloads(self) -> None:
        """Let no download go on that this target began."""
        for one in self._downloads:
            one.give_up()

    def _begin(self, source: "Source", checksum: "Checksum | None", strip: int | None) -> "Download":
        from magnet.downloads.handle import Download
        from magnet.downloads.telling import Telling
        from magnet.downloads.work import begun, fetched

        vertex = begun(self._vertex.digest, len(self._downloads), source)
        telling = Telling(vertex, self._session.emit, self._session.clock)
        downloads = self._session.downloads()
        return Download(
            source.shown,
            lambda one: fetched(downloads, source, checksum, strip, telling, one.check),
            lambda: self._children.must_end,
            lambda: telling.end(error=str(Canceled()), canceled=True),
        )

    def _say(self, source: "Source", checksum: "Checksum | None", strip: int | None) -> "Download":
        """Say what would be downloaded. It is where it was the last time, or else at a path without a file.

        Whatever is asked about cannot be answered without the file.
        """
        from magnet.downloads.handle import Download
        from magnet.downloads.work import place

        path = place(self._session.downloads(), source, checksum, strip)
        if self._session.question is None:
            self.print(f"# Download {source.shown}{' and unpack it' if strip is not None else ''}")
        elif not path.exists():
            raise MagnetError(
                f"{source.shown} is not here yet, and nobody knows what depends on it", hint="run the target first"
            )
        return Download(source.shown, lambda one: (path, False, None), lambda: False)
