"""What a URL says: where the file is, what it is called, and who asks; and how it may be shown."""

import re
from urllib.parse import unquote, urlsplit, urlunsplit

from blake3 import blake3

from magnet.errors import MagnetfileError
from magnet.values import frozen

SCHEMES = ("http", "https", "file")

_LONGEST_NAME = 200
"""Bytes that the name of a file may have; file systems take 255."""


@frozen
class Source:
    """Where a file is to be had: the URL without credentials and fragment, and the credentials that it named.

    `shown` has no query either, for that may be a key as well. `name` is that of the file. `key` tells sources apart;
    of credentials it holds the user alone.
    """

    url: str
    shown: str
    name: str
    key: str
    user: str | None = None
    password: str | None = None

    @property
    def path(self) -> str | None:
        """The path on this machine, of a `file:` URL."""
        return unquote(urlsplit(self.url).path) if self.url.startswith("file:") else None


def source(url: str) -> Source:
    """The source that a URL means; MagnetfileError where it means none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise MagnetfileError(f"`{_guarded(url)}` is no URL: {_told(error)}") from None
    if parts.scheme not in SCHEMES:
        raise MagnetfileError(
            f"`{_guarded(url)}` cannot be downloaded: its scheme is none of {', '.join(SCHEMES)}",
            hint="write it as https://HOST/PATH, or file:///PATH for a file of this machine",
        )
    if parts.scheme == "file":
        return _local(url, host, parts.path)
    if not host or re.search(r"[\s\x00-\x1f]", url):
        raise MagnetfileError(f"`{_guarded(url)}` is no URL of a file", hint="write it as https://HOST/PATH")
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port is not None else ""
    bare = urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))
    user, password = (None if one is None else unquote(one) for one in (parts.username, parts.password))
    shown = urlunsplit((parts.scheme, place, parts.path, "", "")) + ("?…" if parts.query else "")
    return Source(bare, shown, _name(parts.path), _key(bare, user), user, password)


def shown(url: str) -> str:
    """A URL as it may be shown: without credentials, query and fragment."""
    try:
        return source(url).shown
    except MagnetfileError:
        return _guarded(url)


def _local(url: str, host: str, path: str) -> Source:
    if host not in ("", "localhost") or not path.startswith("/"):
        raise MagnetfileError(
            f"`{url}` is no file of this machine", hint='write it as file:///PATH, or take `Path("...").as_uri()`'
        )
    bare = f"file://{path}"
    return Source(bare, bare, _name(path), _key(bare, None))


def _key(bare: str, user: str | None) -> str:
    return blake3("\0".join((bare, user or "")).encode(errors="surrogateescape")).hexdigest()


def _name(path: str) -> str:
    """The last part of the path, as a name that is safe for a file.

    >>> _name("/a/go%201.tar.gz"), _name("/"), _name("/%2e%2e"), _name("/a%2Fb")
    ('go 1.tar.gz', 'download', 'download', 'a_b')
    """
    name = re.sub(r"[/\x00-\x1f\x7f]", "_", unquote(path.rstrip("/").rpartition("/")[2]))
    name = name.encode(errors="surrogateescape")[-_LONGEST_NAME:].decode(errors="ignore")
    return name if name.strip(".") else "download"


def _guarded(url: str) -> str:
    """What cannot be understood, without what may be a secret: all before the last `@`, and from a `?` on."""
    scheme, colon, rest = re.split(r"[?#]", url, maxsplit=1)[0].partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if colon else scheme.rpartition("@")[2]


def _told(error: ValueError) -> str:
    # Of a port that is none, the error has the text, which may be the end of a password.
    return "its port is no number" if "port" in str(error).lower() else "its host is none"
