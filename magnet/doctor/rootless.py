"""Checks of what engines need that do not run as root: ids, namespaces, devices."""

from magnet.doctor.engines import Facts
from magnet.doctor.findings import Finding, obstacle, ok, unknown, worked
from magnet.doctor.machine import Device, Machine, SubIds
from magnet.doctor.remedies import as_root, install, set_sysctl

ENOUGH_IDS = 65536
"""How many ids the images of distributions use."""


def check_subids(facts: Facts) -> Finding | None:
    """Whether the user has subordinate ids, and enough of them."""
    machine = facts.machine
    if not facts.is_rootless:
        return None
    if machine.subuids is None or machine.subgids is None:
        if facts.engine and facts.engine.ids:
            return _judge_ids(facts, facts.engine.ids - 1)
        return unknown("which subordinate ids this user has is not told by /etc/subuid and /etc/subgid")
    return _judge_ids(facts, min(machine.subuids.count, machine.subgids.count))


def _judge_ids(facts: Facts, count: int) -> Finding:
    if count >= ENOUGH_IDS:
        return ok(f"{facts.machine.user} has {count} subordinate ids")
    return Finding(
        "failed",
        f"{facts.machine.user} has {count or 'no'} subordinate ids, of {ENOUGH_IDS} that images need",
        "an image in which files belong to others than root cannot be unpacked: `insufficient UIDs or GIDs available`",
        _give_ids(facts),
    )


def _give_ids(facts: Facts) -> str:
    machine = facts.machine
    if machine.subuids is None or machine.subgids is None:
        return ""
    lacking = {"uid": machine.subuids, "gid": machine.subgids}
    lacking = {kind: have for kind, have in lacking.items() if have.count < ENOUGH_IDS}
    return f"{_add_ids(machine, lacking)}{' && podman system migrate' if facts.name == 'podman' else ''}"


def _add_ids(machine: Machine, lacking: dict[str, SubIds]) -> str:
    ranges = {kind: (have.next_free, have.next_free + ENOUGH_IDS - 1) for kind, have in lacking.items()}
    if "usermod" in machine.programs:
        words = " ".join(f"--add-sub{kind}s {first}-{last}" for kind, (first, last) in ranges.items())
        return as_root(machine, f"usermod {words} {machine.user}")
    lines = [
        f"echo {machine.user}:{first}:{ENOUGH_IDS} | {as_root(machine, f'tee -a /etc/sub{kind}')}"
        for kind, (first, _) in ranges.items()
    ]
    return " && ".join(lines)


def check_id_helpers(facts: Facts) -> Finding | None:
    """Whether newuidmap and newgidmap are here, and may give a container its ids."""
    machine = facts.machine
    if not facts.is_rootless:
        return None
    why = "they give a container this user's subordinate ids, which needs root's right to do so"
    missing = [name for name in ("newuidmap", "newgidmap") if name not in machine.id_helpers]
    if missing:
        return Finding("failed", f"{_listed(missing)} not installed", why, install(machine, "newuidmap"))
    weak = [machine.programs[name] for name, may in machine.id_helpers.items() if not may]
    if weak:
        what = f"{_listed(weak)} neither setuid root nor given a file capability"
        return Finding("failed", what, why, as_root(machine, f"chmod u+s {' '.join(weak)}"))
    if machine.no_new_privileges:
        what = "`no_new_privs` is set for this process, so that newuidmap gains no right"
        return obstacle(
            worked(facts), what, "start it without, in a container with --security-opt no-new-privileges=false"
        )
    return ok("newuidmap and newgidmap may map ids")


def _listed(names: list[str]) -> str:
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"


def check_namespaces(facts: Facts) -> Finding | None:
    """Whether this user may make user namespaces."""
    machine = facts.machine
    if not facts.is_rootless:
        return None
    if worked(facts) or machine.namespaces:
        return ok("user namespaces can be made")
    if machine.namespaces is None:
        return unknown("whether user namespaces can be made was not tried: there is no program `unshare`")
    what = f"{machine.user} cannot make a user namespace"
    for name, value, wanted in _NAMESPACE_SYSCTLS:
        if machine.sysctls.get(name) == value:
            dotted = name.replace("/", ".")
            return Finding("failed", what, f"{dotted} is {value}", set_sysctl(machine, dotted, wanted))
    return Finding(
        "failed", what, "no kernel parameter says so; in a container, its seccomp profile or capabilities forbid it"
    )


_NAMESPACE_SYSCTLS = (
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("user/max_user_namespaces", "0", "28633"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
)
"""Kernel parameters with the value that forbids user namespaces, and one that does not."""


def check_tun(facts: Facts) -> Finding | None:
    """Whether the programs that give a rootless container its network can make a network device."""
    if not facts.is_rootless or facts.machine.variables.get("BUILDAH_ISOLATION") == "chroot":
        return None
    problem = _device_problem(facts.machine, "/dev/net/tun")
    if problem is None:
        return ok("/dev/net/tun can be used")
    why = "slirp4netns and pasta make the network of a container with it"
    missing = "modprobe tun && mkdir -p /dev/net && { test -e /dev/net/tun || mknod /dev/net/tun c 10 200; }"
    return obstacle(worked(facts, run=True), problem, why, _open_device(facts.machine, "/dev/net/tun", missing))


def check_fuse(facts: Facts) -> Finding | None:
    """Whether fuse-overlayfs can be used, where the store needs it."""
    if not (facts.is_rootless and facts.store and facts.store.mount_program):
        return None
    problem = _device_problem(facts.machine, "/dev/fuse")
    if problem is None:
        return ok(f"/dev/fuse can be used by {facts.store.mount_program}")
    why = f"the store is mounted by {facts.store.mount_program}, which needs it"
    missing = "modprobe fuse && { test -e /dev/fuse || mknod /dev/fuse c 10 229; }"
    return obstacle(worked(facts), problem, why, _open_device(facts.machine, "/dev/fuse", missing))


def _device_problem(machine: Machine, path: str) -> str | None:
    found: Device | None = machine.devices.get(path)
    if found is None:
        return f"there is no device {path}"
    return None if found.usable else f"{machine.user} may not use {path}, whose mode is {found.mode:04o}"


def _open_device(machine: Machine, path: str, make: str) -> str:
    if path in machine.devices:
        return as_root(machine, f"chmod 666 {path}")
    return as_root(machine, f"sh -c '{make}; chmod 666 {path}'")


def check_runtime_dir(facts: Facts) -> Finding | None:
    """Whether there is a directory for what belongs to this session."""
    machine = facts.machine
    if not facts.is_rootless:
        return None
    if machine.runtime_dir_usable:
        return ok(f"XDG_RUNTIME_DIR is {machine.runtime_dir}")
    own = f"/run/user/{machine.uid}"
    fix = f"sudo install -d -m 700 -o {machine.user} {own} && export XDG_RUNTIME_DIR={own}"
    if machine.systemd:
        fix = f"sudo loginctl enable-linger {machine.user} && export XDG_RUNTIME_DIR={own}"
    if machine.runtime_dir:
        what = f"XDG_RUNTIME_DIR, {machine.runtime_dir}, is no directory that {machine.user} owns and may write"
        return obstacle(worked(facts), what, "podman and buildah keep what runs there", fix)
    why = "podman and buildah keep what runs in a directory below /tmp then, which may be cleaned while containers run"
    return Finding("warning", "XDG_RUNTIME_DIR is not set", why, fix)
