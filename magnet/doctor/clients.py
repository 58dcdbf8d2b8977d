"""The docker clients of a machine, and the daemons at its sockets."""

import re
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from magnet.backends import dockerd
from magnet.backends.docker import BUILDX_SINCE
from magnet.backends.engine import version_numbers
from magnet.doctor.machine import Client, ClientKind, SocketState
from magnet.model import Command
from magnet.process import Completed

Ask = Callable[[Command], Completed]
"""Runs a command that asks a short question."""


def docker_clients(paths: Iterable[str], ask: Ask) -> Iterator[Client]:
    """The clients at these paths."""
    for path in paths:
        said = ask(Command((path, "--version"))).stdout.decode(errors="replace")
        version = re.search(r"version v?(\d[\w.+~-]*)", said)
        number = version[1] if version else ""
        yield Client(path, number, "podman" if "podman" in said else _kind(path, number, ask))


def _kind(path: str, version: str, ask: Ask) -> ClientKind:
    """What a client builds with."""
    if version_numbers(version) < BUILDX_SINCE:
        return "buildkit"
    return "buildx" if ask(Command((path, "buildx", "version"))).returncode == 0 else "legacy"


def socket_state(path: Path) -> SocketState:
    """What is at a socket: a daemon of docker's, podman, or nothing that answers."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
    except PermissionError:
        return "denied"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "refused"
    answer = dockerd.get("/version", str(path))
    if answer is None or answer.status != 200:
        return "refused"
    return "podman" if b"podman engine" in answer.body.lower() else "answers"
