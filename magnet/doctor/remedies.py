"""What mends things, as commands that can be pasted into a shell."""

from collections.abc import Mapping
from shlex import quote

from magnet.doctor.machine import Machine

_INSTALL: Mapping[str, str] = {
    "apt-get": "apt-get install -y",
    "dnf": "dnf install -y",
    "zypper": "zypper install -y",
    "pacman": "pacman -S --noconfirm",
    "apk": "apk add",
}

# Where a package is not called as the program is.
_PACKAGES: Mapping[str, Mapping[str, str]] = {
    "docker": {"apt-get": "docker.io", "dnf": "moby-engine"},
    "docker-buildx": {"apk": "docker-cli-buildx"},
    "newuidmap": {
        "apt-get": "uidmap", "dnf": "shadow-utils", "zypper": "shadow", "pacman": "shadow", "apk": "shadow-uidmap",
    },
    "pasta": dict.fromkeys(_INSTALL, "passt"),
}  # fmt: skip


def as_root(machine: Machine, command: str) -> str:
    """A command as root runs it: with sudo for all others."""
    return command if machine.is_root else f"sudo {command}"


def install(machine: Machine, *programs: str) -> str:
    """The command that installs programs; "" where no packager is known."""
    if machine.packager not in _INSTALL:
        return ""
    packages = dict.fromkeys(_PACKAGES.get(name, {}).get(machine.packager, name) for name in programs)
    return as_root(machine, f"{_INSTALL[machine.packager]} {' '.join(packages)}")


def write_file(machine: Machine, path: str, *lines: str, root: bool) -> str:
    """The command that makes a file with these lines; `root` says whether it is one that only root may write."""
    text = quote("".join(f"{line}\\n" for line in lines))
    directory, _, _ = path.rpartition("/")
    if root and not machine.is_root:
        return f"sudo mkdir -p {directory} && printf {text} | sudo tee {path}"
    return f"mkdir -p {directory} && printf {text} > {path}"


def set_containers_conf(machine: Machine, part: str, table: str, *lines: str) -> str:
    """What makes podman and buildah of this user use settings: a file of their own that is read after all others."""
    if only := machine.variables.get("CONTAINERS_CONF"):
        return f"in {only}, in the table [{table}], write: {'; '.join(lines)}"
    directory = _config(machine, "/etc/containers")
    return write_file(machine, f"{directory}/containers.conf.d/50-{part}.conf", f"[{table}]", *lines, root=False)


def reset_store(machine: Machine, *lines: str) -> str:
    """What makes podman and buildah of this user keep images so, in a store that is new."""
    reset = "podman system reset --force"
    if machine.storage_conf:
        return f"{reset}; then, in {machine.storage_conf}, write: {'; '.join(('[storage]', *lines))}"
    path = f"{_config(machine, '/etc/containers')}/storage.conf"
    return f"{reset}; {write_file(machine, path, '[storage]', *lines, root=False)}"


def set_registries_conf(machine: Machine, part: str, *lines: str) -> str:
    """The command that makes podman and buildah of this user use registries so: this is read after all other files."""
    directory = _config(machine, "/etc/containers")
    return write_file(machine, f"{directory}/registries.conf.d/50-{part}.conf", *lines, root=False)


def _config(machine: Machine, of_root: str) -> str:
    """The directory of configuration that this user may write, as a shell reads it."""
    return of_root if machine.is_root else f"{machine.config}/containers"


def set_sysctl(machine: Machine, name: str, value: str) -> str:
    """The command that sets a kernel parameter, for now and for all starts to come."""
    file = f"/etc/sysctl.d/50-{name}.conf"
    return f"{write_file(machine, file, f'{name} = {value}', root=True)} && {as_root(machine, f'sysctl -p {file}')}"
