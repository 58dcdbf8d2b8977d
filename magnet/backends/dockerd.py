"""Questions to the docker daemon itself, without its client: an answer takes 1 ms, and 30 from the client.

That is what a build in which nothing changed consists of. Whatever stands in the way, the client is asked instead,
which knows of contexts, certificates and hosts, and says what is wrong.
The source of the format is the API's reference: https://docs.docker.com/reference/api/engine/
"""

import json
import os
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from magnet.values import frozen

SOCKET = "/var/run/docker.sock"
"""Where the daemon listens unless it is told otherwise."""

_PATIENCE = 60.0


@frozen
class Answer:
    """The status of HTTP and the body of an answer."""

    status: int
    body: bytes


def find_socket(environ: Mapping[str, str]) -> str | None:
    """The socket that the client would use; None where it is no local one, or cannot be told so simply."""
    host = environ.get("DOCKER_HOST")
    if host:
        return host.removeprefix("unix://") if host.startswith("unix:///") else None
    if environ.get("DOCKER_CONTEXT") or _has_context(environ):
        return None
    return SOCKET


def get(path: str, where: str) -> Answer | None:
    """What the daemon at a socket answers to a GET; None where it does not answer as a daemon would."""
    # http.client would be the library for it: its import takes longer than all of the questions.
    request = f"GET {quote(path, safe='/:@')} HTTP/1.0\r\nHost: docker\r\n\r\n"
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect(where)
            connection.sendall(request.encode(errors="surrogateescape"))
            with connection.makefile("rb") as answer:
                head, _, body = answer.read().partition(b"\r\n\r\n")
    except OSError:
        return None
    words = head.split(b" ", 2)
    return Answer(int(words[1]), body) if len(words) == 3 and words[1].isdigit() else None


def _has_context(environ: Mapping[str, str]) -> bool:
    """Whether the client's configuration chooses a context; true, too, where that cannot be told."""
    directory = environ.get("DOCKER_CONFIG") or os.path.join(environ.get("HOME") or "/", ".docker")
    try:
        with open(os.path.join(directory, "config.json"), "rb") as file:
            found: Any = json.load(file)
        return bool(found.get("currentContext", "default") != "default")
    except FileNotFoundError:
        return False
    except (OSError, ValueError, AttributeError):
        return True
