"""What this machine says of itself, as far as engines depend on it: files, programs, devices, limits.

All that is read lies below a root, so that a test can make a machine of its own.
"""

import os
import re
import socket
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from magnet.backends import dockerd
from magnet.backends.docker import BUILDX_SINCE
from magnet.backends.engine import version_numbers
from magnet.model import Command
from magnet.process import Completed
from magnet.values import frozen

Ask = Callable[[Command], Completed]
"""Runs a command that asks a short question."""

DEVICES = ("/dev/fuse", "/dev/net/tun")

PROGRAMS = (
    "aardvark-dns", "crun", "dockerd", "fuse-overlayfs", "iptables", "loginctl", "netavark", "newgidmap", "newuidmap",
    "nft", "pasta", "runc", "slirp4netns", "unshare", "usermod",
)  # fmt: skip
"""The programs that engines use, or that mend what they lack."""

_SYSCTLS = (
    "kernel/apparmor_restrict_unprivileged_userns", "kernel/pid_max", "kernel/unprivileged_userns_clone",
    "user/max_user_namespaces",
)  # fmt: skip

# Where programs are that only root, or only podman, calls.
_MORE_DIRECTORIES = (
    "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/libexec/podman", "/usr/libexec/podman",
    "/usr/local/lib/podman", "/usr/lib/podman",
)  # fmt: skip

_PACKAGERS = ("apt-get", "dnf", "zypper", "pacman", "apk")

_VARIABLES = (
    "BUILDAH_ISOLATION", "CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE", "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_STORAGE_CONF", "CONTAINER_HOST", "DOCKER_BUILDKIT", "DOCKER_CONTEXT", "DOCKER_HOST",
)  # fmt: skip

_CAP_SYS_RESOURCE = 24  # linux/capability.h

CgroupMode = Literal["v1", "v2", "hybrid", "none"]
SocketState = Literal["answers", "podman", "denied", "missing", "refused"]
ClientKind = Literal["buildkit", "buildx", "legacy", "podman"]


@frozen
class Device:
    """A device file: its permission bits, and whether the user may read and write it."""

    mode: int
    usable: bool


@frozen
class SubIds:
    """A user's subordinate ids: how many there are, and the first id beyond all that any user has."""

    count: int
    next_free: int


@frozen
class Client:
    """A docker client: where it is, and what it builds with."""

    path: str
    version: str
    kind: ClientKind


@frozen
class Machine:
    """The facts. None is what cannot be found out, or, of a limit, that there is none.

    `config` is the directory of the user's configuration, as one would type it. `programs` are the paths of those of
    PROGRAMS that are here. `id_helpers` tells of newuidmap and newgidmap whether they may do what they are for.
    `open_files` and `processes` are hard limits. `search_registries` are the registries in which podman and buildah
    look for a short name, and `storage_conf` the file that says how they keep images. `docker_sockets` are other
    sockets at which a docker daemon answers.
    """

    uid: int
    user: str
    config: str = "~/.config"
    distribution: str = ""
    release: str = ""
    packager: str = ""
    kernel: tuple[int, ...] = ()
    variables: Mapping[str, str] = {}
    programs: Mapping[str, str] = {}
    id_helpers: Mapping[str, bool] = {}
    subuids: SubIds | None = None
    subgids: SubIds | None = None
    devices: Mapping[str, Device] = {}
    namespaces: bool | None = None
    sysctls: Mapping[str, str] = {}
    cgroups: CgroupMode | None = None
    unified_controllers: tuple[str, ...] = ()
    systemd: bool = False
    docker_service: bool = False
    open_files: int | None = None
    processes: int | None = None
    may_raise_limits: bool | None = None
    no_new_privileges: bool = False
    runtime_dir: str = ""
    runtime_dir_usable: bool | None = None
    default_ulimits: bool | None = None
    storage_conf: str = ""
    search_registries: tuple[str, ...] | None = None
    policies: tuple[str, ...] = ()
    docker_clients: tuple[Client, ...] = ()
    docker_socket: str = ""
    docker_state: SocketState | None = None
    docker_sockets: tuple[str, ...] = ()

    @property
    def is_root(self) -> bool:
        """Whether it is root who asks."""
        return self.uid == 0


def gather(root: Path, environ: Mapping[str, str], ask: Ask) -> Machine:
    """All facts of the machine whose files lie below `root`, for the user of this process."""
    return _Gathering(root, environ, ask).machine()


class _Gathering:
    def __init__(self, root: Path, environ: Mapping[str, str], ask: Ask) -> None:
        self.root = root
        self.environ = environ
        self.ask = ask
        self.uid = os.geteuid()
        self.user = _user_name(self.uid)
        self.home = environ.get("HOME") or "/"
        self.config = environ.get("XDG_CONFIG_HOME") or os.path.join(self.home, ".config")

    def machine(self) -> Machine:
        """The facts."""
        programs = {name: path for name in PROGRAMS if (path := self.find(name))}
        limits = _limits()
        status = self.text("/proc/self/status")
        release = _assignments(self.text("/etc/os-release"))
        host = dockerd.find_socket(self.environ)
        mode, controllers = self.cgroups()
        return Machine(
            uid=self.uid,
            user=self.user,
            config=_in_shell(self.config, self.home),
            distribution=release.get("ID", ""),
            release=release.get("VERSION_ID", ""),
            packager=next((name for name in _PACKAGERS if self.find(name)), ""),
            kernel=version_numbers(os.uname().release),
            variables={name: self.environ[name] for name in _VARIABLES if self.environ.get(name)},
            programs=programs,
            id_helpers={name: self.may_map(programs[name]) for name in ("newuidmap", "newgidmap") if name in programs},
            subuids=self.sub_ids("/etc/subuid"),
            subgids=self.sub_ids("/etc/subgid"),
            devices={path: found for path in DEVICES if (found := device(self.at(path), self.uid, _groups()))},
            namespaces=self.namespaces(programs.get("unshare")),
            sysctls={name: value for name in _SYSCTLS if (value := self.text(f"/proc/sys/{name}").strip())},
            cgroups=mode,
            unified_controllers=controllers,
            systemd=self.at("/run/systemd/system").is_dir(),
            docker_service=self.at("/etc/init.d/docker").exists(),
            open_files=limits[0],
            processes=limits[1],
            may_raise_limits=_has_capability(status, _CAP_SYS_RESOURCE),
            no_new_privileges=bool(re.search(r"^NoNewPrivs:\s*1", status, re.MULTILINE)),
            runtime_dir=self.environ.get("XDG_RUNTIME_DIR", ""),
            runtime_dir_usable=self.is_own_directory(self.environ.get("XDG_RUNTIME_DIR", "")),
            default_ulimits=self.has_default_ulimits(),
            storage_conf=self.storage_conf(),
            search_registries=self.search_registries(),
            policies=tuple(path for path in self.policy_paths() if self.at(path).exists()),
            docker_clients=tuple(self.docker_clients()),
            docker_socket=host or "",
            docker_state=socket_state(self.at(host)) if host else None,
            docker_sockets=tuple(path for path in self.other_sockets(host) if socket_state(self.at(path)) == "answers"),
        )

    # Files

    def at(self, path: str) -> Path:
        """Where a path of the machine is."""
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str:
        """The content of a file; "" where it cannot be read."""
        try:
            return self.at(path).read_text(errors="replace")
        except OSError:
            return ""

    def toml(self, path: str) -> Mapping[str, Any]:
        """The content of a TOML file; empty where there is none."""
        from tomllib import TOMLDecodeError, loads

        try:
            return loads(self.text(path))
        except TOMLDecodeError:
            return {}

    # Programs

    def find(self, name: str) -> str | None:
        """The path of a program on PATH, or where those of root's and podman's are."""
        return next(self.find_all(name, _MORE_DIRECTORIES), None)

    def find_all(self, name: str, more: Sequence[str] = ()) -> Iterator[str]:
        """The paths of all programs of that name, each file once."""
        seen = set()
        for directory in (*self.environ.get("PATH", os.defpath).split(os.pathsep), *more):
            path = os.path.join(directory, name)
            where = self.at(path)
            if directory and where.is_file() and os.access(where, os.X_OK) and where.resolve() not in seen:
                seen.add(where.resolve())
                yield path

    def may_map(self, path: str) -> bool:
        """Whether a program is setuid root, or has capabilities of its own."""
        about = self.at(path).stat()
        is_setuid = about.st_uid == 0 and bool(about.st_mode & stat.S_ISUID)
        return is_setuid or _has_attribute(self.at(path), "security.capability")

    def docker_clients(self) -> Iterator[Client]:
        """The docker clients on PATH, the one that is used first."""
        for path in self.find_all("docker"):
            said = self.ask(Command((path, "--version"))).stdout.decode(errors="replace")
            version = re.search(r"version v?(\d[\w.+~-]*)", said)
            number = version[1] if version else ""
            yield Client(path, number, self.client_kind(path, number, said))

    def client_kind(self, path: str, version: str, said: str) -> ClientKind:
        """What a client builds with."""
        if "podman" in said:
            return "podman"
        if version_numbers(version) < BUILDX_SINCE:
            return "buildkit"
        return "buildx" if self.ask(Command((path, "buildx", "version"))).returncode == 0 else "legacy"

    def namespaces(self, unshare: str | None) -> bool | None:
        """Whether this user can make a user namespace in which it is root."""
        if unshare is None:
            return None
        return self.ask(Command((unshare, "--user", "--map-root-user", "true"))).returncode == 0

    def other_sockets(self, host: str | None) -> Iterator[str]:
        """The sockets where docker daemons are to be found, but for the one that is used."""
        runtime_dir = self.environ.get("XDG_RUNTIME_DIR")
        known = [dockerd.SOCKET, *([f"{runtime_dir}/docker.sock"] if runtime_dir else [])]
        yield from (path for path in known if path != host)

    # What is configured

    def sub_ids(self, path: str) -> SubIds | None:
        """The user's subordinate ids in a file; None where another source has them."""
        if re.search(r"^\s*subid:(?!\s*files\s*$)", self.text("/etc/nsswitch.conf"), re.MULTILINE):
            return None
        try:
            return sub_ids(self.at(path).read_text(errors="replace"), self.user, self.uid)
        except FileNotFoundError:
            return SubIds(0, _FIRST_SUB_ID)
        except OSError:
            return None

    def cgroups(self) -> tuple[CgroupMode | None, tuple[str, ...]]:
        """How cgroups are mounted, and in hybrid mode the controllers of the second version."""
        where = self.at("/sys/fs/cgroup")
        if not where.is_dir():
            return ("none", ()) if self.at("/proc/self").exists() else (None, ())
        if (where / "cgroup.controllers").exists():
            return "v2", ()
        if (where / "unified").is_dir():
            return "hybrid", tuple(self.text("/sys/fs/cgroup/unified/cgroup.controllers").split())
        return ("v1" if any(where.iterdir()) else "none"), ()

    def conf_files(self) -> Iterator[str]:
        """The files that make containers.conf for this user, the last first."""
        if override := self.environ.get("CONTAINERS_CONF_OVERRIDE"):
            yield override
        if only := self.environ.get("CONTAINERS_CONF"):
            yield only
            return
        if self.uid:
            yield from self.in_directory(f"{self.config}/containers/containers.conf.d")
            yield f"{self.config}/containers/containers.conf"
        yield from self.in_directory("/etc/containers/containers.conf.d")
        yield "/etc/containers/containers.conf"
        yield "/usr/share/containers/containers.conf"

    def in_directory(self, path: str) -> list[str]:
        """The files of a directory of parts of a configuration, the last first."""
        return [f"{path}/{one.name}" for one in sorted(self.at(path).glob("*.conf"), reverse=True)]

    def has_default_ulimits(self) -> bool:
        """Whether containers.conf sets the limits of containers."""
        return any("default_ulimits" in self.toml(path).get("containers", {}) for path in self.conf_files())

    def storage_conf(self) -> str:
        """The file that says how this user's images are kept; "" where there is none yet."""
        own = "/etc/containers" if self.uid == 0 else f"{self.config}/containers"
        only = self.environ.get("CONTAINERS_STORAGE_CONF")
        return only or (f"{own}/storage.conf" if self.at(f"{own}/storage.conf").exists() else "")

    def search_registries(self) -> tuple[str, ...]:
        """The registries in which a name without one is looked for."""
        for path in self.registry_files():
            found = self.toml(path)
            first_version = found.get("registries", {})
            listed = found.get("unqualified-search-registries")
            if listed is None and isinstance(first_version, dict):
                listed = first_version.get("search", {}).get("registries")
            if listed is not None:
                return tuple(map(str, listed))
        return ()

    def registry_files(self) -> Iterator[str]:
        """The files that make registries.conf for this user, the last first."""
        only = self.environ.get("CONTAINERS_REGISTRIES_CONF")
        own = f"{self.config}/containers/registries.conf"
        yield from self.in_directory(f"{own}.d")
        if only or self.at(own).exists():
            yield only or own
            return
        yield from self.in_directory("/etc/containers/registries.conf.d")
        yield "/etc/containers/registries.conf"

    def policy_paths(self) -> tuple[str, ...]:
        """Where the policy is that says which images may be pulled."""
        return (
            f"{self.config}/containers/policy.json",
            "/etc/containers/policy.json",
            "/usr/share/containers/policy.json",
        )

    def is_own_directory(self, path: str) -> bool | None:
        """Whether a directory is this user's, and to be written; None where none is named."""
        if not path:
            return None
        try:
            about = self.at(path).stat()
        except OSError:
            return False
        return stat.S_ISDIR(about.st_mode) and about.st_uid == self.uid and os.access(self.at(path), os.W_OK)


def device(path: Path, uid: int, groups: frozenset[int]) -> Device | None:
    """A device file as it is for a user with these groups; None where there is none."""
    try:
        about = path.stat()
    except OSError:
        return None
    if not stat.S_ISCHR(about.st_mode):
        return None
    mode = stat.S_IMODE(about.st_mode)
    return Device(mode, is_permitted(mode, about.st_uid == uid, about.st_gid in groups) or uid == 0)


def is_permitted(mode: int, is_owner: bool, is_in_group: bool) -> bool:
    """Whether permission bits let one read and write.

    >>> is_permitted(0o660, False, True), is_permitted(0o660, False, False)
    (True, False)
    """
    bits = mode >> (6 if is_owner else 3 if is_in_group else 0)
    return bits & 6 == 6


_FIRST_SUB_ID = 100_000


def sub_ids(text: str, user: str, uid: int) -> SubIds:
    """What a file such as /etc/subuid has for a user, who is called by name or by number.

    >>> sub_ids("ann:100000:65536\\n1001:165536:1000\\n", "bob", 1001)
    SubIds(count=1000, next_free=231072)
    """
    rows = re.findall(r"^([^:\s#]+):(\d+):(\d+)\s*$", text, re.MULTILINE)
    own = sum(int(count) for name, _, count in rows if name in (user, str(uid)))
    ends = [int(first) + int(count) for _, first, count in rows]
    # Ranges begin at multiples of what one user gets, as useradd gives them.
    return SubIds(
        own, max([_FIRST_SUB_ID, *(_FIRST_SUB_ID + -(-(end - _FIRST_SUB_ID) // 65536) * 65536 for end in ends)])
    )


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


def _user_name(uid: int) -> str:
    from pwd import getpwuid

    try:
        return getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _in_shell(path: str, home: str) -> str:
    """A path as one would type it."""
    return f"~{path.removeprefix(home)}" if path.startswith(f"{home}/") else path


def _groups() -> frozenset[int]:
    return frozenset((os.getegid(), *os.getgroups()))


def _limits() -> tuple[int | None, int | None]:
    """The hard limits of open files and of processes; None is no limit."""
    from resource import RLIM_INFINITY, RLIMIT_NOFILE, RLIMIT_NPROC, getrlimit

    files, processes = (getrlimit(one)[1] for one in (RLIMIT_NOFILE, RLIMIT_NPROC))
    return (None if files == RLIM_INFINITY else files), (None if processes == RLIM_INFINITY else processes)


def _has_capability(status: str, number: int) -> bool | None:
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    return bool(int(effective[1], 16) >> number & 1) if effective else None


def _has_attribute(path: Path, name: str) -> bool:
    try:
        return bool(os.getxattr(path, name))
    except (OSError, AttributeError):
        return False


def _assignments(text: str) -> dict[str, str]:
    """The variables of a file of shell assignments, as os-release is."""
    return {name: value.strip().strip("\"'") for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)}
