"""What a target wants of a container, in words that engines share: options, variables with and without secrets."""

import re
from collections.abc import Iterable, Mapping, Sequence

from magnet.errors import MagnetfileError
from magnet.limits import Hosts, Ulimits, parse_hosts, parse_size, parse_ulimits
from magnet.model import Option

_OF_CLIENTS = re.compile(
    r"(DOCKER|BUILDKIT|BUILDX|CONTAINERS?|PODMAN|BUILDAH|STORAGE|REGISTRY|XDG|LD|GO|NOTIFY|LISTEN)_.*"
    r"|PATH|HOME|USER|TMPDIR|GODEBUG|GOMAXPROCS|(HTTPS?|NO|ALL|FTP)_PROXY|(https?|no|all|ftp)_proxy"
)
"""Variables that the client of an engine may heed."""


def run_options(
    *,
    tmpfs: Iterable[str] | str = (),
    volumes: Mapping[str, str] | None = None,
    ulimits: Ulimits = (),
    shm_size: int | str | None = None,
    add_hosts: Hosts | None = None,
    init: bool = False,
    hostname: str | None = None,
    memory: int | str | None = None,
    cpus: float | None = None,
) -> tuple[Option, ...]:
    """The options of `run` for these; MagnetfileError where a value cannot be meant."""
    options = [Option("--tmpfs", word) for word in ([tmpfs] if isinstance(tmpfs, str) else tmpfs)]
    options += [_volume(name, target) for name, target in (volumes or {}).items()]
    options += [Option("--ulimit", str(limit)) for limit in parse_ulimits(ulimits)]
    options += [Option("--add-host", f"{name}:{address}") for name, address in parse_hosts(add_hosts or {})]
    options += [Option("--shm-size", str(parse_size(shm_size, "shm_size")))] if shm_size is not None else []
    options += [Option("--memory", str(parse_size(memory, "memory")))] if memory is not None else []
    options += [Option("--cpus", f"{_positive(cpus):g}")] if cpus is not None else []
    options += [Option("--hostname", hostname)] if hostname else []
    return (*options, *([Option("--init")] if init else ()))


def split_env(env: Mapping[str, object] | None, secrets: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The variables whose values may stand on a command line, and those that hold one of the secrets."""
    public: dict[str, str] = {}
    hidden: dict[str, str] = {}
    for name, given in (env or {}).items():
        value = str(given)
        is_secret = any(secret in value for secret in secrets)
        if is_secret and _OF_CLIENTS.fullmatch(name):
            raise MagnetfileError(
                f"the variable `{name}` cannot hold a secret: the engine's client would heed it, too",
                hint='hand it over as a file: secrets=[Secret("ID", env="NAME")], which is /run/secrets/ID',
            )
        (hidden if is_secret else public)[name] = value
    return public, hidden


def _volume(name: str, target: str) -> Option:
    if not re.fullmatch(r"[a-zA-Z0-9][\w.-]*", name):
        raise MagnetfileError(
            f"`{name}` is not the name of a volume", hint="a directory of this machine is a Mount(source, target)"
        )
    if not target.startswith("/") or ":" in target:
        raise MagnetfileError(f"a volume cannot be at `{target}`", hint="give an absolute path in the container")
    return Option("--volume", f"{name}:{target}")


def _positive(cpus: float) -> float:
    if cpus <= 0:
        raise MagnetfileError(f"`cpus` cannot be {cpus:g}", hint="give a number of CPUs, as 2 or 0.5")
    return cpus
