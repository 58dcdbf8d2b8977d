"""A real HTTP server of some files, which can do what servers and networks do wrong."""

import base64
import os
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CERTIFICATE = Path(__file__).parents[1] / "fixtures/tls/localhost.pem"

LONG_AGO = "Mon, 02 Mar 2020 10:00:00 GMT"


@dataclass
class File:
    """A file as the server knows it; each of `faults` is what becomes of one request, the first of the first."""

    content: bytes
    etag: str | None = '"1"'
    last_modified: str | None = None
    faults: deque["Fault"] = field(default_factory=deque)
    ignores_range: bool = False


class Request(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: "FileServer"

    def do_GET(self) -> None:
        path = self.path if self.path.startswith("/") else "/" + self.path.split("/", 3)[3]  # a proxy gets all of it
        self.server.asked.append((path, {name.lower(): value for name, value in self.headers.items()}))
        file = self.server.files.get(path.partition("?")[0])
        if file is None:
            status(404)(self, File(b""))
        elif file.faults:
            file.faults.popleft()(self, file)
        else:
            answer(self, file)

    def do_CONNECT(self) -> None:
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        if self.server.refusals:
            self.send_response_only(self.server.refusals.popleft())
            self.end_headers()
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as other:
            self.send_response_only(200)
            self.end_headers()
            back = threading.Thread(target=_relay, args=(other, self.connection))
            back.start()
            _relay(self.connection, other)
            back.join()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


Fault = Callable[[Request, File], None]


class FileServer(ThreadingHTTPServer):
    """Serves `files`, by path, and notes what it is `asked`: paths, and headers by their names in lower case.

    It is a proxy as well, which answers to the first who want a tunnel with the `refusals`.
    """

    daemon_threads = True

    def __init__(self, *, tls: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.files: dict[str, File] = {}
        self.refusals: deque[int] = deque()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.released = threading.Event()
        self.scheme = "https" if tls else "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def url(self, path: str, *, host: str = "127.0.0.1", userinfo: str = "") -> str:
        return f"{self.scheme}://{userinfo}{host}:{self.server_port}{path}"

    def headers(self, *names: str) -> list[tuple[str | None, ...]]:
        """These headers of each request."""
        return [tuple(headers.get(name) for name in names) for _, headers in self.asked]

    def handle_error(self, *_: Any) -> None:
        pass  # a client that has gone


@contextmanager
def serving(*, tls: bool = False) -> Iterator[FileServer]:
    server = FileServer(tls=tls)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def answer(request: Request, file: File, *, sent: Callable[[bytes], None] | None = None) -> None:
    """What a server should do."""
    asked = request.headers
    validators = {"ETag": file.etag, "Last-Modified": file.last_modified}
    is_same = (
        asked["If-None-Match"] == file.etag
        if asked["If-None-Match"]
        else bool(asked["If-Modified-Since"]) and asked["If-Modified-Since"] == file.last_modified
    )
    if is_same:
        _begin(request, 304, validators)
        return
    begin = int(asked["Range"].removeprefix("bytes=").removesuffix("-")) if asked["Range"] else 0
    if file.ignores_range or (asked["If-Range"] and asked["If-Range"] not in (file.etag, file.last_modified)):
        begin = 0
    if begin >= len(file.content) and begin:
        _begin(request, 416, {"Content-Range": f"bytes */{len(file.content)}", "Content-Length": "0"})
        return
    rest = file.content[begin:]
    length = {"Content-Length": str(len(rest))}
    if begin:
        part = f"bytes {begin}-{len(file.content) - 1}/{len(file.content)}"
        _begin(request, 206, {**validators, **length, "Content-Range": part})
    else:
        _begin(request, 200, {**validators, **length})
    (sent or request.wfile.write)(rest)


def status(code: int, **headers: str) -> Fault:
    """Answers with this status."""

    def fault(request: Request, file: File) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        _begin(request, code, {"Content-Length": "0", **named})

    return fault


def cut(count: int) -> Fault:
    """Sends so many bytes of what it should, and closes the connection."""

    def fault(request: Request, file: File) -> None:
        answer(request, file, sent=lambda rest: _send(request, rest[:count]))
        _close(request)

    return fault


def stall(count: int) -> Fault:
    """Sends so many bytes of what it should, and nothing more as long as the server is there."""

    def fault(request: Request, file: File) -> None:
        answer(request, file, sent=lambda rest: _send(request, rest[:count]))
        request.server.released.wait(60)
        _close(request)

    return fault


def reset(request: Request, file: File) -> None:
    """Resets the connection before it answers."""
    request.close_connection = True
    # With such a linger a close is a reset, and it is one without what the server does before it.
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(request.connection.detach())


def corrupt(request: Request, file: File) -> None:
    """Sends other bytes, and as many."""
    answer(request, file, sent=lambda rest: _send(request, bytes(byte ^ 1 for byte in rest)))


def slowly(request: Request, file: File) -> None:
    """Sends it in ten pieces, in half a second."""

    def send(rest: bytes) -> None:
        for at in range(0, len(rest), len(rest) // 10 + 1):
            _send(request, rest[at : at + len(rest) // 10 + 1])
            time.sleep(0.05)

    answer(request, file, sent=send)


def redirect(target: str) -> Fault:
    """Sends the client to another URL."""
    return status(302, Location=target)


def chunked(count: int | None = None) -> Fault:
    """Sends it in chunks, without saying how much there is; or so many bytes of it, and closes the connection."""

    def fault(request: Request, file: File) -> None:
        _begin(request, 200, {"ETag": file.etag, "Transfer-Encoding": "chunked"})
        for at in range(0, len(file.content[:count]), 10_000):
            chunk = file.content[:count][at : at + 10_000]
            _send(request, b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if count is None:
            _send(request, b"0\r\n\r\n")
        else:
            _close(request)

    return fault


def requiring(user: str, password: str) -> Fault:
    """Answers to those alone who name themselves so."""
    expected = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"

    def fault(request: Request, file: File) -> None:
        if request.headers["Authorization"] == expected:
            answer(request, file)
        else:
            status(401)(request, file)

    return fault


def _begin(request: Request, code: int, headers: dict[str, str | None]) -> None:
    request.send_response_only(code)
    for name, value in {"Date": formatdate(usegmt=True), **headers}.items():
        if value is not None:
            request.send_header(name, value)
    request.end_headers()


def _send(request: Request, data: bytes) -> None:
    request.wfile.write(data)
    request.wfile.flush()


def _relay(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # whoever ends first
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _close(request: Request) -> None:
    request.close_connection = True
    with suppress(OSError):  # the client was first
        request.connection.shutdown(socket.SHUT_RDWR)
