"""Running containers, as far as engines differ in what they can."""

import os
import re

from tests.contract.engines import Magnet


def test_privileged_has_all_capabilities_or_is_refused(magnet: Magnet, base: str) -> None:
    show = ("sed", "-n", "s/CapEff:\\s*//p", "/proc/self/status")
    words = ("run", "--rm", "--privileged", base, *show)
    if magnet.column.backend == "buildah":
        assert "cannot run a privileged container\n" in magnet.refused(*words)
    elif magnet.column.backend == "docker" and magnet(*words).code == 3:
        assert "could not run the container" in magnet(*words).error  # where the daemon itself lacks a capability
    else:
        plain, privileged = int(magnet.ok("run", "--rm", base, *show), 16), int(magnet.ok(*words), 16)
        assert (plain & privileged, privileged > plain) == (plain, True)


def test_detach_leaves_the_container_running_or_is_refused(magnet: Magnet, base: str) -> None:
    words = ("run", "-d", "--name", f"magnet-test-{os.getpid()}", base, "sleep", "100")
    if magnet.column.backend == "buildah":
        assert "cannot leave a container running (`detach`)\n" in magnet.refused(*words)
        return
    container = magnet.ok(*words).decode().strip()
    try:
        assert re.fullmatch("[0-9a-f]{64}", container)
        assert magnet.engine("inspect", "--format", "{{.State.Running}}", container) == "true\n"
    finally:
        magnet.engine("rm", "--force", container)


def test_options_take_effect_or_are_refused_by_name(magnet: Magnet, base: str) -> None:
    options = ["-h", "host-x", "--add-host", "foo:10.9.8.7", "--ulimit", "nofile=123:123", "--ulimit", "nproc=999:999"]
    shown = r'hostname; echo "$HOSTNAME $(ulimit -n)"; grep foo /etc/hosts | tr "\t" " "'
    out = magnet.ok("run", "--rm", *options, base, "sh", "-c", shown)
    assert out == b"host-x\nhost-x 123\n10.9.8.7 foo\n"
    size = ("run", "--rm", "--shm-size", "8m", base, "sh", "-c", "df -k /dev/shm | awk 'END { print $2 }'")
    if magnet.column.is_chroot:
        assert "cannot do `--shm-size`: its chroot isolation ignores it\n" in magnet.refused(*size)
    else:
        assert magnet.ok(*size) == b"8192\n"


def test_limits_hold_or_are_refused(magnet: Magnet, base: str) -> None:
    shown = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us"
    words = ("run", "--rm", "--memory", "64m", "--cpus", "0.5", base, "sh", "-c", shown)
    if magnet.column.is_chroot:
        assert re.search("cannot do `--(memory|cpus)`: its chroot isolation ignores it\n", magnet.refused(*words))
    elif magnet.column.is_rootless:
        error = magnet.refused(*words)
        assert re.search("cannot do `--(memory|cpus)`: with cgroups v1 only root may set limits\n", error)
    else:
        assert magnet.ok(*words) == b"67108864\n50000\n"


def test_a_volume_keeps_what_is_written_or_is_refused(magnet: Magnet, base: str) -> None:
    name = f"magnet-test-{os.getpid()}-{magnet.column.name}"
    words = ("run", "--rm", "-v", f"{name}:/v", base, "sh", "-c")
    if magnet.column.backend == "buildah":
        assert f"cannot do `--volume={name}:/v`: it has no volumes\n" in magnet.refused(*words, "true")
        return
    try:
        magnet.ok(*words, "echo kept > /v/f")
        assert magnet.ok(*words, "cat /v/f") == b"kept\n"
    finally:
        magnet.engine("volume", "rm", "--force", name)


def test_a_users_files_on_a_mount_are_the_callers_where_the_user_may_write(magnet: Magnet, base: str) -> None:
    (magnet.root / "out").mkdir()
    (magnet.root / "link").symlink_to("out")
    if not magnet.column.is_rootless:
        (magnet.root / "out").chmod(0o777)  # root's own would be closed to another user
    words = ("run", "--rm", "-u", "4321", "-v", "./link:/out:z", base, "touch", "/out/f")
    if magnet.column.is_chroot and magnet.column.is_rootless:
        assert "cannot let the user 4321 write to a mount with chroot isolation\n" in magnet.refused(*words)
        return
    if magnet.column.backend == "docker" and magnet.column.is_rootless:
        assert "cannot let the user 4321 write to a mount\n" in magnet.refused(*words)
        return
    magnet.ok(*words)
    made = (magnet.root / "out/f").stat()
    assert made.st_uid == (os.getuid() if magnet.column.is_rootless else 4321)
