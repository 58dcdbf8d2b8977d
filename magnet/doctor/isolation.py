"""Checks of what isolates a container: cgroups, the OCI runtime, limits, networks."""

from magnet.backends.engine import version_numbers
from magnet.doctor.engines import Facts
from magnet.doctor.findings import Finding, obstacle, ok, unknown, worked
from magnet.doctor.remedies import install, set_containers_conf

_PODMAN_FILES = 1 << 20
"""How many open files rootful podman asks for, for each container, as its default."""

_PASTA_SINCE = (5,)
"""The first version of podman that takes pasta where it took slirp4netns."""


def check_cgroups(facts: Facts) -> Finding | None:
    """Whether cgroups are mounted, and their manager is here."""
    machine, engine = facts.machine, facts.engine
    manager = engine.cgroup_manager if engine else ""
    if machine.cgroups is None:
        return unknown("how cgroups are mounted cannot be seen here")
    if machine.cgroups == "none":
        return obstacle(
            worked(facts, run=True),
            "no cgroups are mounted at /sys/fs/cgroup",
            "runtimes put every container into one",
            "" if not machine.is_root else "mount -t cgroup2 none /sys/fs/cgroup",
        )
    if manager == "systemd" and not machine.systemd:
        return obstacle(
            worked(facts, run=True),
            f"{facts.name} asks systemd for cgroups, and systemd does not run here",
            "a container cannot be started without its cgroup",
            set_containers_conf(machine, "cgroups", "engine", 'cgroup_manager = "cgroupfs"'),
        )
    told = f"cgroups {machine.cgroups}{f', managed by {manager}' if manager else ''}"
    if facts.is_rootless and machine.cgroups != "v2":
        why = "an engine that is not root's cannot limit memory and processors with them; a limit is ignored"
        return Finding("warning", told, f"{why}. The kernel's argument systemd.unified_cgroup_hierarchy=1 gives v2")
    return ok(told)


def check_runtime(facts: Facts) -> Finding | None:
    """Whether the OCI runtime is here, and can do with the cgroups as they are."""
    machine, engine = facts.machine, facts.engine
    if engine is None or machine.variables.get("BUILDAH_ISOLATION") == "chroot":
        return None
    runtime = engine.runtime.rpartition("/")[2]
    if runtime == "crun" and machine.unified_controllers:
        more = "" if "runc" in machine.programs else install(machine, "runc")
        fix = set_containers_conf(machine, "runtime", "engine", 'runtime = "runc"')
        return obstacle(
            worked(facts, run=True),
            f"crun does not work with hybrid cgroups whose second version has controllers "
            f"({', '.join(machine.unified_controllers)})",
            "it says `cgroups in hybrid mode not supported, drop all controllers from cgroupv2`; runc works with them",
            " && ".join(filter(None, (more, fix))),
        )
    if runtime in ("crun", "runc") and runtime not in machine.programs:
        why = "it is what starts a container"
        return obstacle(worked(facts, run=True), f"{runtime} is not installed", why, install(machine, runtime))
    return ok(f"the OCI runtime is {runtime}") if runtime else unknown(f"{facts.name} does not tell its OCI runtime")


def check_limits(facts: Facts) -> Finding | None:
    """Whether podman may set the limits that it sets by default."""
    machine = facts.machine
    if facts.is_rootless:
        return None  # it lowers them to what it has
    if machine.may_raise_limits is None:
        return unknown("whether limits may be raised cannot be seen here")
    if machine.may_raise_limits or machine.open_files is None or machine.open_files >= _PODMAN_FILES:
        return ok("the limits of containers can be set")
    if machine.default_ulimits:
        return ok("containers.conf sets limits for containers")
    files = machine.open_files
    pids = machine.sysctls.get("kernel/pid_max", "")
    processes = min(filter(None, (machine.processes, int(pids) if pids.isdigit() else None)), default=4096)
    return obstacle(
        worked(facts, run=True),
        f"podman gives containers {_PODMAN_FILES} open files, and no more than {files} can be given here",
        "root has no CAP_SYS_RESOURCE here: `error setting rlimit type 7: operation not permitted`",
        set_containers_conf(
            machine,
            "ulimits",
            "containers",
            f'default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]',
        ),
    )


def check_network(facts: Facts) -> Finding | None:
    """Whether the programs are here that make a container's network."""
    return _check_user_network(facts) if facts.is_rootless else _check_bridge(facts)


def _check_user_network(facts: Facts) -> Finding:
    programs = facts.machine.programs
    version = version_numbers(facts.engine.version) if facts.engine else ()
    # Buildah 1.34 is what podman 5 was made of.
    since = _PASTA_SINCE if facts.name == "podman" else (1, 34)
    wanted = "pasta" if version >= since else "slirp4netns"
    if wanted in programs:
        return ok(f"{wanted} makes the network of containers")
    what = f"{wanted} is not installed"
    why = "it makes the network of a container that is not root's"
    return obstacle(worked(facts, run=True), what, why, install(facts.machine, wanted))


def _check_bridge(facts: Facts) -> Finding | None:
    machine = facts.machine
    if facts.network_backend != "netavark":
        return None
    missing = [name for name in ("netavark",) if name not in machine.programs]
    missing += [] if {"iptables", "nft"} & set(machine.programs) else ["iptables"]
    if missing:
        what = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
        why = "the network of a container is made with it"
        return obstacle(worked(facts, run=True), what, why, install(machine, *missing))
    if "aardvark-dns" not in machine.programs:
        why = "containers on one network do not find each other by name"
        return Finding("warning", "aardvark-dns is not installed", why, install(machine, "aardvark-dns"))
    return ok("netavark and aardvark-dns make the network of containers")
