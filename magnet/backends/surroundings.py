"""What a container finds beside its image, alike on every engine: its names, its hosts, empty file systems."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from magnet.backends.engine import Engine
from magnet.errors import EngineError, MagnetfileError
from magnet.limits import parse_hosts, parse_size, with_addresses, write_hosts
from magnet.model import Mount, Option, RunRequest, Tmpfs
from magnet.values import replace

HOSTS = "/etc/hosts"

LIMITS = frozenset(
    {
        "--blkio-weight", "--cpu-period", "--cpu-quota", "--cpu-rt-period", "--cpu-rt-runtime", "--cpu-shares",
        "--cpus", "--cpuset-cpus", "--cpuset-mems", "--memory", "--memory-reservation", "--memory-swap",
        "--memory-swappiness", "--pids-limit",
    }
)  # fmt: skip
"""Options that limit by cgroups."""

OF_ANOTHER = "container:"
"""What the name of a network begins with that is a container's."""

_TMPFS = "write it as `PATH` or `PATH:size=64m,mode=1777,exec`"


def surrounded(request: RunRequest, container: str, *, copies_hosts: bool) -> RunRequest:
    """The request with a name and a host name, and with addresses for its hosts.

    `copies_hosts` is whether the engine would show the names that are in this machine's /etc/hosts: then the container
    is given a file of magnet's instead.
    """
    named = replace(request, name=request.name or container)
    hosts = _hosts(named)
    _check_joined(named)
    others = [option for option in named.options if option.name != "--add-host"]
    hostname = _own_hostname(named)
    if hostname:
        others.append(Option("--hostname", hostname))
    complete = replace(named, options=tuple(others))
    if copies_hosts and named.files and not any(mount.target == HOSTS for mount in named.mounts):
        return _with_hosts_file(complete, hosts, named.files)
    return replace(complete, options=(*others, *(Option("--add-host", f"{name}:{at}") for name, at in hosts)))


def refused_limits(engine: Engine) -> Mapping[str, str]:
    """Options of `run` that a rootless engine would ignore, with a line that says so or without, or would fail at."""
    if not engine.rootless or engine.cgroup_version != "1":
        return {}
    return dict.fromkeys(LIMITS, "with cgroups v1 only root may set limits")


def check_not_written(request: RunRequest, engine: Engine, where: str = "") -> None:
    """Raise EngineError where a mount could be written to, as the user could not who has an id of its own outside."""
    for mount in request.mounts:
        if not mount.readonly and mount.target != HOSTS:
            raise EngineError(
                f"{engine} cannot let the user {request.user} write to a mount{where}",
                hint='give `user="host"`, or mount it with readonly=True',
            )


def value_of(request: RunRequest, name: str) -> str | None:
    """The value of an option, if it was given; the last one counts."""
    return next((option.value for option in reversed(request.options) if option.name == name), None)


def parse_tmpfs(text: str) -> Tmpfs:
    """An empty file system in memory, as docker and podman write it; what is not said is the same on all engines.

    >>> parse_tmpfs("/cache:size=64m,exec")
    Tmpfs(target='/cache', size=67108864, executable=True, mode=1023)
    """
    target, _, words = text.partition(":")
    if not target.startswith("/"):
        raise MagnetfileError(f"`{text}` is no absolute path in a container", hint=_TMPFS)
    size, executable, mode = None, False, 0o1777
    for word in filter(None, words.split(",")):
        name, _, value = word.partition("=")
        if name == "size":
            size = parse_size(value, "tmpfs")
        elif name == "mode" and re.fullmatch("[0-7]{3,4}", value):
            mode = int(value, 8)
        elif word in ("exec", "noexec"):
            executable = word == "exec"
        elif word not in ("rw", "nosuid", "nodev"):
            raise MagnetfileError(f"`{word}` is no option of a tmpfs that all engines have", hint=_TMPFS)
    return Tmpfs(target, size, executable, mode)


def tmpfs_option(tmpfs: Tmpfs, *more: str) -> str:
    """The option of docker's and podman's `run`, which says all that they would choose differently."""
    words = ["rw", "nosuid", "nodev", "exec" if tmpfs.executable else "noexec", f"mode={tmpfs.mode:o}"]
    words += [f"size={tmpfs.size}"] if tmpfs.size else []
    return f"--tmpfs={tmpfs.target}:{','.join([*words, *more])}"


def _hosts(request: RunRequest) -> tuple[tuple[str, str], ...]:
    given = [option.value or "" for option in request.options if option.name == "--add-host"]
    pairs = [value.partition(":")[::2] for value in given]
    return with_addresses(pair for name, address in pairs for pair in parse_hosts({name: address}))


def _check_joined(request: RunRequest) -> None:
    if (request.network or "").startswith(OF_ANOTHER):
        for option in request.options:
            if option.name in ("--hostname", "--add-host"):
                raise MagnetfileError(
                    f"`{option.name}` cannot be had in the network of another container, which has names of its own",
                    hint="give it to the container whose network it is",
                )


def _own_hostname(request: RunRequest) -> str | None:
    """The name of a container that has no other."""
    has_another = request.network == "host" or (request.network or "").startswith(OF_ANOTHER)
    is_said = any(option.name in ("--hostname", "--uts") for option in request.options)
    return None if has_another or is_said else request.name


def _with_hosts_file(request: RunRequest, hosts: Iterable[tuple[str, str]], directory: Path) -> RunRequest:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{request.name}.hosts"
    hostname = None if request.network == "none" else value_of(request, "--hostname")
    lines = [*hosts, *([(hostname, "127.0.1.1")] if hostname else [])]
    write_hosts(lines, file)
    if request.network == "host":
        text = Path(HOSTS).read_text(errors="surrogateescape") if os.path.exists(HOSTS) else ""
        added = "".join(f"{address}\t{name}\n" for name, address in hosts)
        file.write_text(text + added, errors="surrogateescape")
    # Only engines that would copy this machine's names read it, and where SELinux is enforced they must be let.
    return replace(request, mounts=(*request.mounts, Mount(file, HOSTS, relabel="shared")))
