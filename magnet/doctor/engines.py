"""What an engine says of itself, beyond what its backend has asked it already."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from magnet.backends import backend
from magnet.backends.base import Backend
from magnet.backends.engine import Engine
from magnet.doctor.clients import Ask
from magnet.doctor.machine import Machine
from magnet.doctor.trial import Trial
from magnet.errors import EngineError
from magnet.model import Command
from magnet.values import frozen


@frozen
class Store:
    """Where an engine keeps its images, how, and how many bytes are free there."""

    path: str
    mount_program: str = ""
    filesystem: str = ""
    free: int | None = None


@frozen
class Facts:
    """What is known of one engine and of the machine it is on.

    `engine` is what its probe found; where that failed, `refusal` is why, with more lines of it in `detail`.
    `project_free` is how many bytes are free where the project is.
    """

    name: str
    machine: Machine
    program: str | None = None
    engine: Engine | None = None
    refusal: str = ""
    detail: tuple[str, ...] = ()
    store: Store | None = None
    network_backend: str = ""
    trial: Trial = Trial()
    project: str = ""
    project_free: int | None = None

    @property
    def is_rootless(self) -> bool:
        """Whether the engine runs as this user, who is not root."""
        return self.engine.rootless if self.engine else not self.machine.is_root


def gather(name: str, machine: Machine, project: Path, ask: Ask, attempt: Callable[[Backend, str], Trial]) -> Facts:
    """The facts of the engine of that name; what these do not tell is tried."""
    from shutil import which

    facts: dict[str, Any] = {"program": which(name), "project": str(project), "project_free": free_bytes(str(project))}
    try:
        found = backend(name)()
        facts["engine"] = found.engine
    except EngineError as error:
        facts |= {"refusal": error.message, "detail": error.detail}
        return Facts(name, machine, **facts)
    info = _ask_info(name, ask)
    return Facts(
        name, machine, **facts, **_details(info), trial=attempt(found, _architecture(info) or machine.architecture)
    )


def _ask_info(name: str, ask: Ask) -> Mapping[str, Any]:
    """The engine's own description; empty where it has none."""
    words = {"docker": ("--format", "{{json .}}"), "podman": ("--format", "json")}
    try:
        found = json.loads(ask(Command((name, "info", *words.get(name, ())))).stdout)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _details(info: Mapping[str, Any]) -> Mapping[str, Any]:
    """What stands in a description, in the words of docker, podman or buildah."""
    store = info.get("store") or {}
    path = store.get("graphRoot") or store.get("GraphRoot") or info.get("DockerRootDir") or ""
    options = store.get("graphOptions") or store.get("GraphOptions") or {}
    status = store.get("graphStatus") or store.get("GraphStatus") or dict(info.get("DriverStatus") or ())
    return {
        "store": Store(path, _mount_program(options), status.get("Backing Filesystem", ""), free_bytes(path)),
        "network_backend": (info.get("host") or {}).get("networkBackend", ""),
    }


def _architecture(info: Mapping[str, Any]) -> str:
    """The architecture of the engine's machine, in its words; "" where it does not tell."""
    return info.get("Architecture") or (info.get("host") or {}).get("arch") or ""


def _mount_program(options: Mapping[str, Any]) -> str:
    found = options.get("overlay.mount_program") or ""
    return str(found.get("Executable", "")) if isinstance(found, dict) else str(found)


def free_bytes(path: str) -> int | None:
    """The bytes that this user may still write at a path; None where that cannot be told."""
    try:
        about = os.statvfs(path)
    except OSError:
        return None
    return about.f_bavail * about.f_frsize
