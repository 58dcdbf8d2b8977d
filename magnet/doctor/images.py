"""Checks of where images come from, and where they are kept."""

from magnet.backends.containers import human_size
from magnet.doctor.engines import Facts
from magnet.doctor.findings import Finding, Status, ok, unknown
from magnet.doctor.machine import Machine
from magnet.doctor.remedies import install, reset_store, set_registries_conf, write_file

LITTLE, NOTHING = 2_000_000_000, 50_000_000
"""Bytes of free space under which one should know, and under which hardly anything can be built."""

_OVERLAY_SINCE = (5, 13)
"""The first kernel on which a user who is not root can mount overlay."""


def check_storage(facts: Facts) -> Finding | None:
    """Whether layers are kept as layers, not each as a whole copy."""
    engine, machine = facts.engine, facts.machine
    if engine is None or not engine.storage_driver:
        return unknown(f"{facts.name} does not tell how it keeps images")
    if engine.storage_driver != "vfs":
        return ok(f"images are kept with {engine.storage_driver}")
    what = "images are kept with vfs"
    why = "each layer is a whole copy of all below it, which takes time and space"
    if facts.name == "docker":
        return Finding("warning", what, f"{why}; the daemon's log says why it found no overlay")
    if facts.is_rootless and machine.kernel < _OVERLAY_SINCE:
        return _use_fuse(facts, what, why)
    return _change(machine, what, why, 'driver = "overlay"')


def _use_fuse(facts: Facts, what: str, why: str) -> Finding:
    program = facts.machine.programs.get("fuse-overlayfs")
    if program is None:
        return Finding("warning", what, why, install(facts.machine, "fuse-overlayfs"))
    lines = ('driver = "overlay"', "[storage.options.overlay]", f'mount_program = "{program}"')
    return _change(facts.machine, what, why, *lines)


def _change(machine: Machine, what: str, why: str, *lines: str) -> Finding:
    # A store remembers its driver.
    more = (
        "the fix removes all of this user's images and containers, for a store keeps the driver that it was made with"
    )
    return Finding("warning", what, f"{why}; {more}", reset_store(machine, *lines))


def check_disk(facts: Facts) -> Finding | None:
    """Whether there is space for images, and for what a build makes in the project."""
    store = facts.store.path if facts.store else ""
    free = {
        path: size
        for path, size in ((store, facts.store.free if facts.store else None), (facts.project, facts.project_free))
        if path and size is not None
    }
    if not free:
        return unknown("how much space is free cannot be found out")
    told = ", ".join(f"{human_size(size)} free at {path}" for path, size in free.items())
    if min(free.values()) >= LITTLE:
        return ok(told)
    status: Status = "failed" if min(free.values()) < NOTHING else "warning"
    why = "builds need space for layers; the fix removes what newer builds have superseded"
    return Finding(status, f"no more than {told}", why, f"magnet --backend {facts.name} cache prune")


def check_policy(facts: Facts) -> Finding | None:
    """Whether there is a policy that says which images may be used."""
    if facts.machine.policies:
        return ok(f"the policy for images is {facts.machine.policies[0]}")
    return Finding(
        "failed",
        "there is no policy.json",
        "no image is built or pulled without one: `open /etc/containers/policy.json: no such file or directory`",
        write_file(
            facts.machine,
            "/etc/containers/policy.json",
            '{"default": [{"type": "insecureAcceptAnything"}]}',
            root=True,
        ),
    )


def check_short_names(facts: Facts) -> Finding | None:
    """Whether a name without a registry, as `alpine`, means anything."""
    registries = facts.machine.search_registries
    if registries is None:
        return unknown("where short names of images are looked for cannot be found out")
    if registries:
        return ok(f"short names of images are looked for in {', '.join(registries)}")
    return Finding(
        "warning",
        "short names of images, as in `FROM alpine`, are looked for nowhere",
        "write `docker.io/library/alpine`, which means the same on every engine, or name a registry to search",
        set_registries_conf(facts.machine, "search", 'unqualified-search-registries = ["docker.io"]'),
    )
