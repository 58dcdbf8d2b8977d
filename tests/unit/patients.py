"""Engines and machines for the checks of `magnet doctor`: well ones, to be changed where a test wants an ill one."""

from magnet.backends.engine import Engine
from magnet.doctor.engines import Facts, Store
from magnet.doctor.machine import Client, Device, Machine, SubIds
from magnet.doctor.trial import Outcome, Trial
from magnet.values import replace

ROOT = Machine(
    uid=0,
    user="root",
    distribution="debian",
    release="12",
    packager="apt-get",
    kernel=(6, 1),
    architecture="x86_64",
    programs={
        name: f"/usr/bin/{name}"
        for name in (
            "aardvark-dns", "crun", "dockerd", "iptables", "netavark", "newgidmap", "newuidmap", "runc", "slirp4netns",
            "unshare", "usermod",
        )
    },
    id_helpers={"newuidmap": True, "newgidmap": True},
    subuids=SubIds(65536, 165536),
    subgids=SubIds(65536, 165536),
    devices={"/dev/fuse": Device(0o666, True), "/dev/net/tun": Device(0o666, True)},
    namespaces=True,
    cgroups="v2",
    systemd=True,
    may_raise_limits=True,
    default_ulimits=False,
    search_registries=("docker.io",),
    policies=("/etc/containers/policy.json",),
    docker_clients=(Client("/usr/bin/docker", "20.10.24", "buildkit"),),
    docker_socket="/var/run/docker.sock",
    docker_state="answers",
)  # fmt: skip

ANN = replace(ROOT, uid=1001, user="ann", runtime_dir="/run/user/1001", runtime_dir_usable=True)

WORKS = Trial(Outcome(True), Outcome(True), Outcome(True))
RUN_FAILS = Trial(Outcome(True), Outcome(True), Outcome(False, ("no",)))
FAILS = Trial(Outcome(True), Outcome(False, ("no",)), Outcome(False, ("no",)))
NOT_TRIED = Trial()

STORE = Store("/store", free=80_000_000_000)

DOCKER = Facts(
    "docker",
    ROOT,
    program="/usr/bin/docker",
    engine=Engine("docker", "20.10.24", builder="buildkit", storage_driver="overlay2"),
    store=STORE,
    trial=WORKS,
)
PODMAN = Facts(
    "podman",
    ROOT,
    program="/usr/bin/podman",
    engine=Engine("podman", "4.3.1", storage_driver="overlay", cgroup_manager="systemd", runtime="crun"),
    store=STORE,
    network_backend="netavark",
    trial=WORKS,
)
PODMAN_OF_ANN = replace(PODMAN, machine=ANN, engine=replace(PODMAN.engine, rootless=True, ids=65537))
BUILDAH_OF_ANN = replace(
    PODMAN_OF_ANN,
    name="buildah",
    program="/usr/bin/buildah",
    engine=Engine("buildah", "1.28.2", rootless=True, storage_driver="overlay", runtime="crun"),
    network_backend="",
)


def on(facts: Facts, trial: Trial | None = None, **changes: object) -> Facts:
    """The facts of an engine on a machine that is changed so."""
    return replace(facts, machine=replace(facts.machine, **changes), trial=trial or facts.trial)


def with_engine(facts: Facts, trial: Trial | None = None, **changes: object) -> Facts:
    """The facts of an engine that is changed so."""
    assert facts.engine
    return replace(facts, engine=replace(facts.engine, **changes), trial=trial or facts.trial)
