"""The client, which is `requests`: one request with its redirects, and what can go wrong with it."""

import http.client
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from netrc import NetrcParseError
from urllib.parse import unquote, urljoin

import requests
import urllib3.exceptions
from requests.auth import HTTPBasicAuth
from requests.utils import get_netrc_auth

from magnet.downloads.partial import Validators
from magnet.downloads.patience import Patience, Transient, retry_after
from magnet.downloads.urls import Source, shown
from magnet.errors import MagnetError

_REDIRECTS = 10
_BLOCK = 1 << 17

_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})

_HINTS: Mapping[int, str] = {
    401: "put the credentials for this host into ~/.netrc, or into the URL from a variable with `env(secret=True)`",
    403: "see whether the URL is right, and whether credentials for this host are in ~/.netrc",
    404: "see whether the URL is right, and the file still there",
    407: "put the credentials for the proxy into HTTP_PROXY and HTTPS_PROXY, as http://USER:PASSWORD@HOST",
    410: "see whether the file has another URL now",
}

_DATED = 60
"""Seconds by which a file must be older than the answer, so that no other one can have the same time."""


class Answer:
    """What a server answers, whose content is still to come."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.status = response.status_code

    @property
    def validators(self) -> Validators:
        """What the server says by which it knows again what it sends."""
        headers = self._response.headers
        return Validators(headers.get("ETag"), headers.get("Last-Modified"), _is_dated(headers))

    @property
    def length(self) -> int | None:
        """How many bytes it will send, where it says so."""
        given = self._response.headers.get("Content-Length", "")
        return int(given) if given.isdecimal() else None

    @property
    def range(self) -> tuple[int, int | None] | None:
        """Where in the whole the content begins, and how long the whole is."""
        unit, _, rest = self._response.headers.get("Content-Range", "").partition(" ")
        part, _, total = rest.partition("/")
        first = part.partition("-")[0]
        if unit.lower() != "bytes" or not first.isdecimal():
            return None
        return int(first), int(total) if total.isdecimal() else None

    def check(self) -> None:
        """Raise Transient or MagnetError for an answer that brings no file."""
        if self.status in (200, 203, 206):
            return
        told = _status(self.status)
        if self.status in _TRANSIENT:
            raise Transient(f"the server says {told}", after=retry_after(self._response.headers.get("Retry-After")))
        raise MagnetError(f"the server says {told}", hint=_HINTS.get(self.status))

    def blocks(self) -> Iterator[bytes]:
        """The content as it comes, as the server sends it."""
        with _translating():
            while block := self._response.raw.read1(_BLOCK, decode_content=False):
                yield block


@contextmanager
def asking(
    source: Source, headers: Mapping[str, str], environ: Mapping[str, str], patience: Patience
) -> Iterator[Answer]:
    """Ask for a file; what is yielded is the answer of the server to which the redirects lead."""
    # What a file is, and not how it travels: its bytes are those that are hashed.
    sent = {"User-Agent": "magnet", "Accept-Encoding": "identity", "Accept": "*/*", **headers}
    with _Session() as session:
        session.max_redirects = _REDIRECTS
        with _translating():
            response = session.get(
                source.url,
                headers=sent,
                auth=_credentials(source),
                stream=True,
                timeout=(patience.connect, patience.stall),
                verify=_authorities(environ),
            )
        with response:
            yield Answer(response)


def secrets(source: Source, environ: Mapping[str, str], warn: Callable[[str], None]) -> list[str]:
    """What must not be shown of what is sent: the passwords of the URL, of netrc, and of proxies."""
    found = [source.password or ""]
    if source.user is None:
        try:
            found += (get_netrc_auth(source.url, raise_errors=True) or ())[1:]
        except NetrcParseError as error:
            # Its text may have a password in it.
            warn(f"the credentials in {error.filename} are not used: line {error.lineno} is not understood")
        except OSError as error:
            warn(f"the credentials in {error.filename} are not used: {error.strerror}")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for proxy in (environ.get(name), environ.get(name.upper())):
            # What is no URL is for requests to refuse.
            userinfo = (proxy or "").partition("://")[2].rpartition("@")[0]
            found.append(unquote(userinfo.partition(":")[2]))
    return [one for one in found if one]


class _Session(requests.Session):
    """A session that is not led from https to http, where anybody may change what comes."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is not None:
            there = urljoin(resp.url, target)
            if resp.url.lower().startswith("https:") and there.lower().startswith("http:"):
                raise MagnetError(
                    f"it is redirected from https to {shown(there)}, which is not encrypted",
                    hint="give the URL that you mean, with a checksum",
                )
        return target


def _credentials(source: Source) -> HTTPBasicAuth | None:
    """Those of the URL, which go before those of netrc."""
    if source.user is None:
        return None
    return HTTPBasicAuth(source.user.encode(), (source.password or "").encode())


def _authorities(environ: Mapping[str, str]) -> str | bool:
    """Whose certificates are believed: those of the variables, else of the system, else those that `requests` has."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        if given := environ.get(name):
            if not os.path.exists(given):
                raise MagnetError(f"{name} is `{given}`, which does not exist", hint="set it to a file of certificates")
            return given
    paths = ssl.get_default_verify_paths()
    if paths.cafile and os.path.getsize(paths.cafile):
        return paths.cafile
    return paths.capath if paths.capath and os.listdir(paths.capath) else True


def _is_dated(headers: Mapping[str, str]) -> bool:
    """Whether `Last-Modified` is a strong validator: RFC 9110, 8.8.2.2."""
    try:
        then, now = (parsedate_to_datetime(headers[name]) for name in ("Last-Modified", "Date"))
        return (now - then).total_seconds() >= _DATED
    except (KeyError, ValueError, TypeError):
        return False


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


@contextmanager
def _translating() -> Iterator[None]:
    """Foreign errors as Transient, or as MagnetError where another try would end alike; none has a URL in it."""
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _translated(error) from error


def _translated(error: Exception) -> Transient | MagnetError:
    causes = list(_causes(error))
    found = next((one for one in causes if isinstance(one, ssl.SSLCertVerificationError)), None)
    if found is not None:
        return MagnetError(
            f"the server's certificate is not valid: {found.verify_message}",
            hint="if it is of an authority of your own, let SSL_CERT_FILE name a file with its certificate",
        )
    if tls := next((one for one in causes if isinstance(one, ssl.SSLError) and not _is_end(one)), None):
        return MagnetError(f"the server does not speak TLS as it should: {tls.reason or tls}".lower())
    if isinstance(error, requests.TooManyRedirects):
        return MagnetError(f"it is redirected more than {_REDIRECTS} times")
    if isinstance(error, requests.exceptions.InvalidProxyURL | requests.exceptions.InvalidSchema):
        return MagnetError(
            "a redirect or a proxy has a URL that cannot be used", hint="http and https can, as proxies too"
        )
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema | UnicodeError):
        return MagnetError("it is no URL that can be used, or is redirected to one")
    return _of_connection(error, causes)


def _of_connection(error: Exception, causes: list[BaseException]) -> Transient | MagnetError:
    name = next((one for one in causes if isinstance(one, socket.gaierror)), None)
    if name is not None:
        if name.errno == socket.EAI_AGAIN:
            return Transient("the name of the host cannot be resolved now")
        return MagnetError("the name of the host is not known", hint="see whether the URL and the proxy are right")
    if tunnel := next(filter(None, (re.match(r"Tunnel connection failed: (\d{3})", str(one)) for one in causes)), None):
        code = int(tunnel[1])
        said = f"the proxy says {_status(code)}"
        return Transient(said) if code in _TRANSIENT else MagnetError(said, hint=_HINTS.get(code))
    of_system = next((one.strerror for one in causes if _is_of_system(one) and isinstance(one, OSError)), None)
    if of_system:
        return Transient(of_system.lower())
    # What urllib3 raises for a connection that is refused is a timeout as well: so these come later.
    if any(isinstance(one, TimeoutError | urllib3.exceptions.TimeoutError | requests.Timeout) for one in causes):
        is_connecting = any(isinstance(one, urllib3.exceptions.ConnectTimeoutError) for one in causes)
        return Transient("no connection in time" if is_connecting else "nothing came for too long")
    if any(isinstance(one, urllib3.exceptions.IncompleteRead | http.client.IncompleteRead) for one in causes):
        return Transient("the connection ended before the file did")
    return Transient("the connection was broken")


def _is_end(error: ssl.SSLError) -> bool:
    """Whether it says but that the connection ended."""
    return isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)


def _is_of_system(error: BaseException) -> bool:
    return isinstance(error, OSError) and type(error).__module__ in ("builtins", "ssl") and bool(error.strerror)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it comes of, the outermost first."""
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo:
        one = todo.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            todo += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
