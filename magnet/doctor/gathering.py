"""How the facts of a machine are found out."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from magnet.backends import dockerd
from magnet.backends.engine import version_numbers
from magnet.doctor.clients import Ask, docker_clients, socket_state
from magnet.doctor.configuration import Configuration
from magnet.doctor.files import Files
from magnet.doctor.machine import CgroupMode, Device, Machine, SubIds
from magnet.model import Command

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


def gather(root: Path, environ: Mapping[str, str], ask: Ask) -> Machine:
    """All facts of the machine whose files lie below `root`, for the user of this process."""
    return _Gathering(Files(root), environ, ask).machine()


class _Gathering:
    def __init__(self, files: Files, environ: Mapping[str, str], ask: Ask) -> None:
        self.files = files
        self.environ = environ
        self.ask = ask
        self.uid = os.geteuid()
        self.user = _user_name(self.uid)
        self.path = environ.get("PATH", os.defpath).split(os.pathsep)
        self.runtime_dir = environ.get("XDG_RUNTIME_DIR", "")
        self.configuration = Configuration(files, environ, self.uid)

    def machine(self) -> Machine:
        """The facts."""
        programs = {name: path for name in PROGRAMS if (path := self.find(name))}
        files, processes = _limits()
        status = self.files.text("/proc/self/status")
        release = _assignments(self.files.text("/etc/os-release"))
        host = dockerd.find_socket(self.environ)
        mode, controllers = self.cgroups()
        return Machine(
            uid=self.uid,
            user=self.user,
            config=self.configuration.directory,
            distribution=release.get("ID", ""),
            release=release.get("VERSION_ID", ""),
            packager=next((name for name in _PACKAGERS if self.find(name)), ""),
            kernel=version_numbers(os.uname().release),
            architecture=os.uname().machine,
            variables={name: self.environ[name] for name in _VARIABLES if self.environ.get(name)},
            programs=programs,
            id_helpers={name: self.may_map(programs[name]) for name in ("newuidmap", "newgidmap") if name in programs},
            subuids=self.sub_ids("/etc/subuid"),
            subgids=self.sub_ids("/etc/subgid"),
            devices={path: found for path in DEVICES if (found := device(self.files.at(path), self.uid, _groups()))},
            namespaces=self.namespaces(programs.get("unshare")),
            sysctls={name: value for name in _SYSCTLS if (value := self.files.text(f"/proc/sys/{name}").strip())},
            cgroups=mode,
            unified_controllers=controllers,
            systemd=self.files.at("/run/systemd/system").is_dir(),
            docker_service=self.files.at("/etc/init.d/docker").exists(),
            open_files=files,
            processes=processes,
            may_raise_limits=_has_capability(status, _CAP_SYS_RESOURCE),
            no_new_privileges=bool(re.search(r"^NoNewPrivs:\s*1", status, re.MULTILINE)),
            runtime_dir=self.runtime_dir,
            runtime_dir_usable=self.is_own_directory(self.runtime_dir) if self.runtime_dir else None,
            default_ulimits=self.configuration.has_default_ulimits(),
            storage_conf=self.configuration.storage_conf(),
            search_registries=self.configuration.search_registries(),
            policies=self.configuration.policies(),
            docker_clients=tuple(docker_clients(self.files.programs("docker", self.path), self.ask)),
            docker_socket=host or "",
            docker_state=socket_state(self.files.at(host)) if host else None,
            docker_sockets=self.other_sockets(host),
        )

    def find(self, name: str) -> str | None:
        """The path of a program on PATH, or where those of root's and podman's are."""
        return next(self.files.programs(name, (*self.path, *_MORE_DIRECTORIES)), None)

    def may_map(self, path: str) -> bool:
        """Whether a program is setuid root, or has capabilities of its own."""
        about = self.files.at(path).stat()
        is_setuid = about.st_uid == 0 and bool(about.st_mode & stat.S_ISUID)
        return is_setuid or _has_attribute(self.files.at(path), "security.capability")

    def namespaces(self, unshare: str | None) -> bool | None:
        """Whether this user can make a user namespace in which it is root."""
        if unshare is None:
            return None
        return self.ask(Command((unshare, "--user", "--map-root-user", "true"))).returncode == 0

    def other_sockets(self, host: str | None) -> tuple[str, ...]:
        """The sockets at which docker daemons answer, but for the one that is used."""
        known = [dockerd.SOCKET, *([f"{self.runtime_dir}/docker.sock"] if self.runtime_dir else [])]
        return tuple(path for path in known if path != host and socket_state(self.files.at(path)) == "answers")

    def sub_ids(self, path: str) -> SubIds | None:
        """The user's subordinate ids in a file; None where another source has them."""
        if re.search(r"^\s*subid:(?!\s*files\s*$)", self.files.text("/etc/nsswitch.conf"), re.MULTILINE):
            return None
        try:
            return sub_ids(self.files.at(path).read_text(errors="replace"), self.user, self.uid)
        except FileNotFoundError:
            return SubIds(0, _FIRST_SUB_ID)
        except OSError:
            return None

    def cgroups(self) -> tuple[CgroupMode | None, tuple[str, ...]]:
        """How cgroups are mounted, and in hybrid mode the controllers of the second version."""
        where = self.files.at("/sys/fs/cgroup")
        if not where.is_dir():
            return ("none", ()) if self.files.at("/proc/self").exists() else (None, ())
        if (where / "cgroup.controllers").exists():
            return "v2", ()
        if (where / "unified").is_dir():
            return "hybrid", tuple(self.files.text("/sys/fs/cgroup/unified/cgroup.controllers").split())
        return ("v1" if any(where.iterdir()) else "none"), ()

    def is_own_directory(self, path: str) -> bool:
        """Whether a directory is this user's, and to be written."""
        try:
            about = self.files.at(path).stat()
        except OSError:
            return False
        return stat.S_ISDIR(about.st_mode) and about.st_uid == self.uid and os.access(self.files.at(path), os.W_OK)


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


def _user_name(uid: int) -> str:
    from pwd import getpwuid

    try:
        return getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


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
