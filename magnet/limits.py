"""What limits and adds to the surroundings of a process in a container: sizes, resource limits, lines of /etc/hosts.

Engines parse these each in its own way, so that magnet does it once, and hands on what all of them read alike.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from magnet.errors import EngineError, MagnetfileError, did_you_mean
from magnet.model import Ulimit

HOST_GATEWAY = "host-gateway"
"""The word that stands for an address of this machine."""

Ulimits = Mapping[str, int | str] | Iterable[str] | str
"""Resource limits as they are given: `{"nofile": "1024:2048"}`, or `nofile=1024:2048`, one or several."""

Hosts = Mapping[str, str | Iterable[str]]
"""Names with their addresses."""

_SIZE = re.compile(r"(\d+)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

# Those of setrlimit(2), by the names that all engines have for them.
_NAMES = frozenset(
    {
        "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
        "rttime", "sigpending", "stack",
    }
)  # fmt: skip
_UNLIMITED = -1


def parse_size(size: int | str, what: str) -> int:
    """A number of bytes, from one or from a text such as `64m` or `1GiB`, whose units are powers of 1024.

    >>> parse_size("64m", "shm_size"), parse_size(1024, "shm_size")
    (67108864, 1024)
    """
    match = _SIZE.fullmatch(str(size).strip())
    number = int(match[1]) * _UNITS[match[2].lower()] if match else 0
    if number <= 0:
        raise MagnetfileError(
            f"`{size}` is no size for `{what}`",
            hint="write a whole number of bytes, or with a unit, as `64m`",
        )
    return number


def parse_ulimits(limits: Ulimits) -> tuple[Ulimit, ...]:
    """The resource limits, sorted by name; one that is no limit of Linux, or not a number, is a MagnetfileError.

    >>> [str(limit) for limit in parse_ulimits({"nofile": "1024:2048", "core": 0})]
    ['core=0:0', 'nofile=1024:2048']
    """
    if isinstance(limits, str):
        limits = (limits,)
    given = limits.items() if isinstance(limits, Mapping) else (word.partition("=")[::2] for word in limits)
    found = {name: _ulimit(name, str(value)) for name, value in given}
    return tuple(found[name] for name in sorted(found))


def _ulimit(name: str, value: str) -> Ulimit:
    if name not in _NAMES:
        raise MagnetfileError(
            f"`{name}` is not a resource limit",
            hint=did_you_mean(name, _NAMES) or f"known are: {', '.join(sorted(_NAMES))}",
        )
    soft, colon, hard = value.partition(":")
    try:
        limit = Ulimit(name, _number(soft), _number(hard if colon else soft))
    except ValueError as error:
        raise MagnetfileError(
            f"`{value}` is no value for the resource limit `{name}`",
            hint="write it as `SOFT:HARD`, or as one number for both; `-1` or `unlimited` is no limit",
        ) from error
    if limit.hard != _UNLIMITED and not 0 <= limit.soft <= limit.hard:
        raise MagnetfileError(f"the soft limit of `{limit}` is above its hard limit", hint="write it as `SOFT:HARD`")
    return limit


def _number(text: str) -> int:
    number = _UNLIMITED if text == "unlimited" else int(text)
    if number < _UNLIMITED:
        raise ValueError(text)
    return number


def parse_hosts(hosts: Hosts) -> tuple[tuple[str, str], ...]:
    """Names with their addresses, one pair for each line of /etc/hosts, in the order in which they are given.

    >>> parse_hosts({"db": "10.0.0.1", "six": ["[::1]", "host-gateway"]})
    (('db', '10.0.0.1'), ('six', '::1'), ('six', 'host-gateway'))
    """
    if not hosts:
        return ()
    pairs = [(name, each) for name, given in hosts.items() for each in ([given] if isinstance(given, str) else given)]
    return tuple(dict.fromkeys((_host_name(name), _address(address)) for name, address in pairs))


def _host_name(name: str) -> str:
    if not re.fullmatch(r"[\w.-]+", name):
        raise MagnetfileError(f"`{name}` is not a host's name", hint='as in add_hosts={"db": "10.0.0.1"}')
    return name


def _address(address: str) -> str:
    if address == HOST_GATEWAY:
        return address
    from ipaddress import ip_address  # costs 3 ms, and few builds add hosts

    try:
        return str(ip_address(re.sub(r"^\[(.*)\]$", r"\1", address)))
    except ValueError as error:
        raise MagnetfileError(
            f"`{address}` is not an IP address", hint=f"write one as `10.0.0.1` or `::1`, or `{HOST_GATEWAY}`"
        ) from error


def own_address() -> str:
    """The address that this machine has towards others.

    It can be reached from a container in all networks but `none`, where nothing takes it for the container's own.
    """
    import socket

    # No packet is sent: the kernel only chooses the address from which one would go, here to one that is nobody's.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
        except OSError as error:
            raise EngineError(
                f"this machine has no address for `{HOST_GATEWAY}`: it has no network", hint="give the address itself"
            ) from error
        return str(probe.getsockname()[0])


def with_addresses(
    hosts: Iterable[tuple[str, str]], own: Callable[[], str] = own_address
) -> tuple[tuple[str, str], ...]:
    """The pairs with an address of this machine, which `own` finds, for `host-gateway`."""
    return tuple((name, own() if address == HOST_GATEWAY else address) for name, address in hosts)


def write_hosts(hosts: Iterable[tuple[str, str]], path: Path) -> None:
    """Write an /etc/hosts in which this machine's own names are not."""
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += [f"{address}\t{name}" for name, address in hosts]
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o644)  # whoever reads it in a container may be another user
