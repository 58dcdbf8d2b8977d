"""What is found on machines that a test makes up, and what is said to mend it."""

import pytest

from magnet.doctor.checks import CHECKS, examine
from magnet.doctor.engines import Facts, Store
from magnet.doctor.findings import Finding
from magnet.doctor.machine import Client, Device, SubIds
from magnet.doctor.trial import Outcome, Trial
from magnet.doctor.verdict import judge
from magnet.values import replace
from tests.unit.patients import (
    ANN,
    BUILDAH_OF_ANN,
    DOCKER,
    FAILS,
    NOT_TRIED,
    PODMAN,
    PODMAN_OF_ANN,
    RUN_FAILS,
    WORKS,
    on,
    with_engine,
)

OLD = Client("/usr/bin/docker", "20.10.24", "buildkit")
BARE = Client("/usr/local/bin/docker", "28.2.2", "legacy")
TUN_CLOSED = {"/dev/fuse": Device(0o666, True), "/dev/net/tun": Device(0o600, False)}
SILENT = replace(DOCKER, engine=None, refusal="the docker daemon does not answer", trial=NOT_TRIED)
NO_BUILDKIT = (
    "without BuildKit there are no RUN --mount, no secrets, no other platforms, and unused stages are built, too"
)


def findings(facts: Facts) -> dict[str, Finding]:
    return {result.id: result.finding for result in examine(facts)}


@pytest.mark.parametrize("facts", [DOCKER, PODMAN, PODMAN_OF_ANN, BUILDAH_OF_ANN], ids=str)
def test_where_nothing_is_wrong_nothing_is_found(facts: Facts) -> None:
    found = findings(facts)
    assert {finding.status for finding in found.values()} == {"ok"}
    assert not any(finding.why or finding.fix for finding in found.values())
    verdict = judge(facts, list(examine(facts)))
    assert (verdict.build, verdict.run, verdict.is_usable) == (True, True, True)


@pytest.mark.parametrize(
    ("check", "facts", "expected"),
    [
        # The four of a machine with hybrid cgroups, without CAP_SYS_RESOURCE, with closed devices and two clients.
        (
            "runtime",
            on(PODMAN, FAILS, cgroups="hybrid", unified_controllers=("hugetlb",)),
            Finding(
                "failed",
                "crun does not work with hybrid cgroups whose second version has controllers (hugetlb)",
                "it says `cgroups in hybrid mode not supported, drop all controllers from cgroupv2`; runc works with them",
                "mkdir -p /etc/containers/containers.conf.d && printf '[engine]\\nruntime = \"runc\"\\n' > "
                "/etc/containers/containers.conf.d/50-runtime.conf",
            ),
        ),
        (
            "limits",
            on(PODMAN, RUN_FAILS, may_raise_limits=False, open_files=20000, processes=96365,
               sysctls={"kernel/pid_max": "32768"}),
            Finding(
                "failed",
                "podman gives containers 1048576 open files, and no more than 20000 can be given here",
                "root has no CAP_SYS_RESOURCE here: `error setting rlimit type 7: operation not permitted`",
                "mkdir -p /etc/containers/containers.conf.d && printf '[containers]\\ndefault_ulimits = "
                '["nofile=20000:20000", "nproc=32768:32768"]\\n\' > /etc/containers/containers.conf.d/50-ulimits.conf',
            ),
        ),
        (
            "tun",
            on(PODMAN_OF_ANN, RUN_FAILS, devices=TUN_CLOSED),
            Finding(
                "failed",
                "ann may not use /dev/net/tun, whose mode is 0600",
                "slirp4netns and pasta make the network of a container with it",
                "sudo chmod 666 /dev/net/tun",
            ),
        ),
        (
            "builder",
            on(SILENT, docker_clients=(BARE, OLD), docker_state="missing"),
            Finding(
                "warning",
                "/usr/local/bin/docker, the docker client 28.2.2 that is the first on PATH, has no buildx; "
                "/usr/bin/docker, 20.10.24 with BuildKit, comes after it",
                NO_BUILDKIT,
                'mkdir -p "$HOME/.local/lib/docker-client" && ln -sf /usr/bin/docker '
                '"$HOME/.local/lib/docker-client/docker" && export PATH="$HOME/.local/lib/docker-client:$PATH"',
            ),
        ),
        # Docker.
        (
            "clients",
            on(DOCKER, docker_clients=(BARE, OLD)),
            Finding(
                "ok",
                "/usr/local/bin/docker, 28.2.2 without buildx, is the first of 2 docker clients on PATH; "
                "/usr/bin/docker is 20.10.24 with BuildKit",
            ),
        ),
        (
            "builder",
            on(DOCKER, docker_clients=(BARE,), distribution="ubuntu", release="24.04"),
            Finding(
                "warning",
                "/usr/local/bin/docker, the docker client 28.2.2 that is the first on PATH, has no buildx",
                NO_BUILDKIT,
                "apt-get install -y docker-buildx",
            ),
        ),
        (
            "builder",
            on(DOCKER, docker_clients=(BARE,)),
            Finding(
                "warning",
                "/usr/local/bin/docker, the docker client 28.2.2 that is the first on PATH, has no buildx",
                NO_BUILDKIT,
                'mkdir -p "${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins" && curl -fL -o '
                '"${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins"/docker-buildx https://github.com/docker/buildx/releases/'
                'download/v0.13.1/buildx-v0.13.1.linux-amd64 && chmod +x '
                '"${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins"/docker-buildx',
            ),
        ),
        (
            "builder",
            on(DOCKER, variables={"DOCKER_BUILDKIT": "0"}),
            Finding(
                "warning", "DOCKER_BUILDKIT chooses docker's legacy builder", NO_BUILDKIT, "unset DOCKER_BUILDKIT"
            ),
        ),
        (
            "builder",
            on(with_engine(DOCKER, builder="buildx", builder_version="0.13.1"),
               docker_clients=(replace(BARE, kind="buildx"),)),
            Finding("ok", "BuildKit builds, through buildx 0.13.1"),
        ),
        ("answers", SILENT, Finding("failed", "the docker daemon does not answer")),
        (
            "answers",
            on(SILENT, docker_state="missing"),
            Finding(
                "failed", "there is no daemon's socket at /var/run/docker.sock", "the daemon does not run",
                "systemctl enable --now docker",
            ),
        ),
        (
            "answers",
            on(SILENT, docker_state="refused", systemd=False, docker_service=True),
            Finding(
                "failed", "no daemon answers at /var/run/docker.sock", "the daemon does not run", "service docker start"
            ),
        ),
        (
            "answers",
            on(SILENT, docker_state="refused", systemd=False),
            Finding(
                "failed", "no daemon answers at /var/run/docker.sock", "the daemon does not run",
                "sh -c 'dockerd > /var/log/dockerd.log 2>&1 &'",
            ),
        ),
        (
            "answers",
            on(SILENT, docker_state="missing", programs={}),
            Finding(
                "failed", "there is no daemon's socket at /var/run/docker.sock", "the daemon does not run",
                "apt-get install -y docker.io",
            ),
        ),
        (
            "answers",
            on(SILENT, docker_state="missing", docker_sockets=("/run/user/1001/docker.sock",)),
            Finding(
                "failed", "there is no daemon's socket at /var/run/docker.sock",
                "one answers at /run/user/1001/docker.sock", "export DOCKER_HOST=unix:///run/user/1001/docker.sock",
            ),
        ),
        (
            "answers",
            replace(SILENT, machine=replace(ANN, docker_state="denied")),
            Finding(
                "failed", "ann may not use the daemon's socket, /var/run/docker.sock",
                "it is for root and the group `docker`, whose members can do whatever root can",
                "sudo usermod -aG docker ann && newgrp docker",
            ),
        ),
        (
            "answers",
            on(SILENT, docker_state="podman"),
            Finding(
                "failed", "at /var/run/docker.sock it is podman that answers",
                "`docker run --rm` of a docker client ends with 0 there, whatever the container's exit code was",
                "export MAGNET_BACKEND=podman",
            ),
        ),
        (
            "answers",
            on(SILENT, docker_clients=(Client("/usr/bin/docker", "4.3.1", "podman"),), docker_state="missing"),
            Finding("failed", "/usr/bin/docker is podman under another name", "", "export MAGNET_BACKEND=podman"),
        ),
        (
            # A context leads to another machine.
            "answers",
            on(SILENT, docker_socket="", docker_state=None, docker_sockets=("/var/run/docker.sock",)),
            Finding(
                "failed", "the docker daemon does not answer", "one answers at /var/run/docker.sock",
                "export DOCKER_HOST=unix:///var/run/docker.sock",
            ),
        ),
        (
            "remote",
            with_engine(on(DOCKER, variables={"DOCKER_HOST": "ssh://far"}), is_remote=True),
            Finding(
                "warning", "docker works on another machine, or behind a service: ssh://far",
                "what a container mounts is that machine's, not this one's, and what stands in its way cannot be seen here",
                "unset DOCKER_HOST",
            ),
        ),
        # Ids and namespaces of one who is not root.
        (
            "subids",
            on(PODMAN_OF_ANN, subuids=SubIds(0, 231072)),
            Finding(
                "failed", "ann has no subordinate ids, of 65536 that images need",
                "an image in which files belong to others than root cannot be unpacked: `insufficient UIDs or GIDs "
                "available`",
                "sudo usermod --add-subuids 231072-296607 ann && podman system migrate",
            ),
        ),
        (
            "subids",
            on(BUILDAH_OF_ANN, subuids=SubIds(1000, 165536), subgids=SubIds(0, 100000), programs={}),
            Finding(
                "failed", "ann has no subordinate ids, of 65536 that images need",
                "an image in which files belong to others than root cannot be unpacked: `insufficient UIDs or GIDs "
                "available`",
                "echo ann:165536:65536 | sudo tee -a /etc/subuid && echo ann:100000:65536 | sudo tee -a /etc/subgid",
            ),
        ),
        (
            "subids", on(PODMAN_OF_ANN, subuids=None, subgids=None),
            Finding("ok", "ann has 65536 subordinate ids"),
        ),
        (
            "subids", on(BUILDAH_OF_ANN, subuids=None, subgids=None),
            Finding("unknown", "which subordinate ids this user has is not told by /etc/subuid and /etc/subgid"),
        ),
        (
            "id-helpers",
            on(PODMAN_OF_ANN, id_helpers={}),
            Finding(
                "failed", "newuidmap and newgidmap are not installed",
                "they give a container this user's subordinate ids, which needs root's right to do so",
                "sudo apt-get install -y uidmap",
            ),
        ),
        (
            "id-helpers",
            on(PODMAN_OF_ANN, id_helpers={"newuidmap": False, "newgidmap": True}),
            Finding(
                "failed", "/usr/bin/newuidmap is neither setuid root nor given a file capability",
                "they give a container this user's subordinate ids, which needs root's right to do so",
                "sudo chmod u+s /usr/bin/newuidmap",
            ),
        ),
        (
            "id-helpers",
            on(PODMAN_OF_ANN, FAILS, no_new_privileges=True),
            Finding(
                "failed", "`no_new_privs` is set for this process, so that newuidmap gains no right",
                "start it without, in a container with --security-opt no-new-privileges=false",
            ),
        ),
        *[
            (
                "namespaces",
                on(PODMAN_OF_ANN, FAILS, namespaces=False, sysctls={name.replace(".", "/", 1): value}),
                Finding(
                    "failed", "ann cannot make a user namespace", f"{name} is {value}",
                    f"sudo mkdir -p /etc/sysctl.d && printf '{name} = {wanted}\\n' | sudo tee "
                    f"/etc/sysctl.d/50-{name}.conf && sudo sysctl -p /etc/sysctl.d/50-{name}.conf",
                ),
            )
            for name, value, wanted in (
                ("kernel.unprivileged_userns_clone", "0", "1"),
                ("user.max_user_namespaces", "0", "28633"),
                ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
            )
        ],
        (
            "namespaces",
            on(PODMAN_OF_ANN, FAILS, namespaces=False),
            Finding(
                "failed", "ann cannot make a user namespace",
                "no kernel parameter says so; in a container, its seccomp profile or capabilities forbid it",
            ),
        ),
        (
            "namespaces",
            on(PODMAN_OF_ANN, FAILS, namespaces=None),
            Finding("unknown", "whether user namespaces can be made was not tried: there is no program `unshare`"),
        ),
        (
            # AppArmor lets podman make one, and not `unshare`.
            "namespaces",
            on(PODMAN_OF_ANN, namespaces=False, sysctls={"kernel/apparmor_restrict_unprivileged_userns": "1"}),
            Finding("ok", "user namespaces can be made"),
        ),
        # Devices.
        (
            "tun",
            on(BUILDAH_OF_ANN, FAILS, devices={}),
            Finding(
                "failed", "there is no device /dev/net/tun",
                "slirp4netns and pasta make the network of a container with it",
                "sudo sh -c 'modprobe tun && mkdir -p /dev/net && { test -e /dev/net/tun || mknod /dev/net/tun c 10 200; }; "
                "chmod 666 /dev/net/tun'",
            ),
        ),
        (
            "fuse",
            replace(
                on(PODMAN_OF_ANN, FAILS, devices={"/dev/fuse": Device(0o600, False)}),
                store=Store("/store", mount_program="/usr/bin/fuse-overlayfs"),
            ),
            Finding(
                "failed", "ann may not use /dev/fuse, whose mode is 0600",
                "the store is mounted by /usr/bin/fuse-overlayfs, which needs it", "sudo chmod 666 /dev/fuse",
            ),
        ),
        (
            "runtime-dir",
            on(PODMAN_OF_ANN, runtime_dir="", runtime_dir_usable=None),
            Finding(
                "warning", "XDG_RUNTIME_DIR is not set",
                "podman and buildah keep what runs in a directory below /tmp then, which may be cleaned while containers "
                "run",
                "sudo loginctl enable-linger ann && export XDG_RUNTIME_DIR=/run/user/1001",
            ),
        ),
        (
            "runtime-dir",
            on(PODMAN_OF_ANN, FAILS, runtime_dir="/run/user/0", runtime_dir_usable=False, systemd=False),
            Finding(
                "failed", "XDG_RUNTIME_DIR, /run/user/0, is no directory that ann owns and may write",
                "podman and buildah keep what runs there",
                "sudo install -d -m 700 -o ann /run/user/1001 && export XDG_RUNTIME_DIR=/run/user/1001",
            ),
        ),
        # Cgroups, runtime, limits, network.
        (
            "cgroups",
            on(PODMAN, RUN_FAILS, systemd=False),
            Finding(
                "failed", "podman asks systemd for cgroups, and systemd does not run here",
                "a container cannot be started without its cgroup",
                "mkdir -p /etc/containers/containers.conf.d && printf '[engine]\\ncgroup_manager = \"cgroupfs\"\\n' > "
                "/etc/containers/containers.conf.d/50-cgroups.conf",
            ),
        ),
        (
            "cgroups",
            on(PODMAN, FAILS, cgroups="none"),
            Finding(
                "failed", "no cgroups are mounted at /sys/fs/cgroup", "runtimes put every container into one",
                "mount -t cgroup2 none /sys/fs/cgroup",
            ),
        ),
        ("cgroups", on(PODMAN, cgroups=None), Finding("unknown", "how cgroups are mounted cannot be seen here")),
        (
            "cgroups",
            on(PODMAN_OF_ANN, cgroups="v1"),
            Finding(
                "warning", "cgroups v1, managed by systemd",
                "an engine that is not root's cannot limit memory and processors with them; a limit is ignored. "
                "The kernel's argument systemd.unified_cgroup_hierarchy=1 gives v2",
            ),
        ),
        (
            "runtime",
            on(PODMAN_OF_ANN, FAILS, cgroups="hybrid", unified_controllers=("pids", "rdma"), config="~/.conf",
               programs={"crun": "/usr/bin/crun"}),
            Finding(
                "failed",
                "crun does not work with hybrid cgroups whose second version has controllers (pids, rdma)",
                "it says `cgroups in hybrid mode not supported, drop all controllers from cgroupv2`; runc works with them",
                "sudo apt-get install -y runc && mkdir -p ~/.conf/containers/containers.conf.d && "
                "printf '[engine]\\nruntime = \"runc\"\\n' > ~/.conf/containers/containers.conf.d/50-runtime.conf",
            ),
        ),
        (
            "runtime",
            on(PODMAN, FAILS, cgroups="hybrid", unified_controllers=("pids",), variables={"CONTAINERS_CONF": "/c.conf"}),
            Finding(
                "failed",
                "crun does not work with hybrid cgroups whose second version has controllers (pids)",
                "it says `cgroups in hybrid mode not supported, drop all controllers from cgroupv2`; runc works with them",
                'in /c.conf, in the table [engine], write: runtime = "runc"',
            ),
        ),
        (
            "runtime",
            on(PODMAN, FAILS, programs={}),
            Finding("failed", "crun is not installed", "it is what starts a container", "apt-get install -y crun"),
        ),
        ("runtime", with_engine(PODMAN, runtime=""), Finding("unknown", "podman does not tell its OCI runtime")),
        (
            "limits", on(PODMAN, may_raise_limits=False, open_files=20000, default_ulimits=True),
            Finding("ok", "containers.conf sets limits for containers"),
        ),
        ("limits", on(PODMAN, may_raise_limits=None), Finding("unknown", "whether limits may be raised cannot be seen here")),
        (
            "network",
            on(PODMAN, RUN_FAILS, programs={}),
            Finding(
                "failed", "netavark and iptables are not installed", "the network of a container is made with it",
                "apt-get install -y netavark iptables",
            ),
        ),
        (
            "network",
            on(PODMAN, programs={"netavark": "/n", "nft": "/t"}),
            Finding(
                "warning", "aardvark-dns is not installed", "containers on one network do not find each other by name",
                "apt-get install -y aardvark-dns",
            ),
        ),
        (
            "network",
            on(with_engine(PODMAN_OF_ANN, version="5.4.2"), RUN_FAILS),
            Finding(
                "failed", "pasta is not installed", "it makes the network of a container that is not root's",
                "sudo apt-get install -y passt",
            ),
        ),
        # Images.
        (
            "storage",
            with_engine(PODMAN_OF_ANN, storage_driver="vfs"),
            Finding(
                "warning", "images are kept with vfs",
                "each layer is a whole copy of all below it, which takes time and space; the fix removes all of this "
                "user's images and containers, for a store keeps the driver that it was made with",
                "podman system reset --force; mkdir -p ~/.config/containers && printf '[storage]\\ndriver = \"overlay\"\\n' > "
                "~/.config/containers/storage.conf",
            ),
        ),
        (
            "storage",
            on(with_engine(PODMAN_OF_ANN, storage_driver="vfs"), kernel=(5, 10), storage_conf="/s.conf",
               programs={"fuse-overlayfs": "/usr/bin/fuse-overlayfs"}),
            Finding(
                "warning", "images are kept with vfs",
                "each layer is a whole copy of all below it, which takes time and space; the fix removes all of this "
                "user's images and containers, for a store keeps the driver that it was made with",
                'podman system reset --force; then, in /s.conf, write: [storage]; driver = "overlay"; '
                '[storage.options.overlay]; mount_program = "/usr/bin/fuse-overlayfs"',
            ),
        ),
        (
            "policy",
            on(PODMAN_OF_ANN, policies=()),
            Finding(
                "failed", "there is no policy.json",
                "no image is built or pulled without one: `open /etc/containers/policy.json: no such file or directory`",
                "sudo mkdir -p /etc/containers && printf '{\"default\": [{\"type\": \"insecureAcceptAnything\"}]}\\n' | "
                "sudo tee /etc/containers/policy.json",
            ),
        ),
        (
            "short-names",
            on(PODMAN, search_registries=()),
            Finding(
                "warning", "short names of images, as in `FROM alpine`, are looked for nowhere",
                "write `docker.io/library/alpine`, which means the same on every engine, or name a registry to search",
                "mkdir -p /etc/containers/registries.conf.d && printf 'unqualified-search-registries = "
                "[\"docker.io\"]\\n' > /etc/containers/registries.conf.d/50-search.conf",
            ),
        ),
        (
            "short-names", on(PODMAN, search_registries=None),
            Finding("unknown", "where short names of images are looked for cannot be found out"),
        ),
        (
            "disk",
            replace(PODMAN, project="/project", project_free=1_500_000_000),
            Finding(
                "warning", "no more than 80GB free at /store, 1.5GB free at /project",
                "builds need space for layers; the fix removes what newer builds have superseded",
                "magnet --backend podman cache prune",
            ),
        ),
        (
            "disk",
            replace(DOCKER, store=Store("/store", free=1000)),
            Finding(
                "failed", "no more than 1kB free at /store",
                "builds need space for layers; the fix removes what newer builds have superseded",
                "magnet --backend docker cache prune",
            ),
        ),
        ("disk", replace(DOCKER, store=None), Finding("unknown", "how much space is free cannot be found out")),
        # What was tried.
        (
            "build",
            replace(PODMAN, trial=Trial(Outcome(False, ("Error: no", "", ": exit status 1", 'time="x" level=error')))),
            Finding("failed", "a build does not work", "Error: no"),
        ),
        (
            "build",
            replace(PODMAN, trial=replace(FAILS, step=Outcome(False, ("RUN /exit: exit code 1", "a  b", "c")))),
            Finding("failed", "a RUN in a build does not work", "a b; c"),
        ),
        ("run", replace(PODMAN, trial=RUN_FAILS), Finding("failed", "a container does not work", "no")),
        (
            "build",
            replace(PODMAN, trial=NOT_TRIED),
            Finding(
                "unknown", "a build was not tried: magnet has no program to run on this machine's architecture"
            ),
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_with_the_command_that_mends_it(check: str, facts: Facts, expected: Finding) -> None:
    assert findings(facts)[check] == expected


@pytest.mark.parametrize(
    ("check", "facts"),
    [
        ("runtime", on(PODMAN, cgroups="hybrid", unified_controllers=("hugetlb",))),
        ("limits", on(PODMAN, may_raise_limits=False, open_files=20000)),
        ("tun", on(PODMAN_OF_ANN, devices=TUN_CLOSED)),
        ("cgroups", on(PODMAN, systemd=False)),
        ("network", on(PODMAN_OF_ANN, programs={})),
    ],
    ids=["runtime", "limits", "tun", "cgroups", "network"],
)
def test_what_a_trial_has_shown_to_be_no_obstacle_is_but_a_warning(check: str, facts: Facts) -> None:
    assert findings(facts)[check].status == "warning"
    assert judge(facts, list(examine(facts))).is_usable
    assert findings(replace(facts, trial=FAILS))[check].status == "failed"
    assert findings(replace(facts, trial=NOT_TRIED))[check].status == "failed"


@pytest.mark.parametrize(
    "facts",
    [
        on(PODMAN_OF_ANN, subuids=SubIds(0, 100000)),
        on(PODMAN_OF_ANN, id_helpers={}),
        on(PODMAN, policies=()),
        replace(PODMAN, store=Store("/store", free=0)),
    ],
    ids=["subids", "id-helpers", "policy", "disk"],
)
def test_what_a_trial_upon_nothing_cannot_show_counts_whatever_it_showed(facts: Facts) -> None:
    verdict = judge(facts, list(examine(facts)))
    assert (verdict.build, verdict.run, verdict.is_usable) == (False, False, False)


def test_what_could_not_be_found_out_is_no_failure() -> None:
    facts = on(
        PODMAN_OF_ANN, NOT_TRIED, subuids=None, namespaces=None, cgroups=None, search_registries=None,
    )  # fmt: skip
    facts = replace(with_engine(facts, ids=None, runtime="", storage_driver=""), store=None)
    unknown = {name for name, finding in findings(facts).items() if finding.status == "unknown"}
    assert unknown == {"subids", "namespaces", "cgroups", "runtime", "storage", "short-names", "disk", "build", "run"}
    verdict = judge(facts, list(examine(facts)))
    assert (verdict.build, verdict.run, verdict.is_usable) == (None, None, True)


@pytest.mark.parametrize(
    ("trial", "can"),
    [(WORKS, (True, True)), (RUN_FAILS, (True, False)), (FAILS, (False, False)),
     (Trial(Outcome(False, ("no",))), (False, False))],
    ids=["both", "only builds", "neither", "not even COPY"],
)  # fmt: skip
def test_what_an_engine_can_is_what_it_did(trial: Trial, can: tuple[bool, bool]) -> None:
    facts = replace(PODMAN, trial=trial)
    verdict = judge(facts, list(examine(facts)))
    assert ((verdict.build, verdict.run), verdict.is_usable) == (can, all(can))


def test_of_an_engine_that_is_not_installed_there_is_only_that_to_say() -> None:
    facts = Facts("podman", ANN, refusal="podman is not installed")
    assert findings(facts) == {
        "installed": Finding("failed", "podman is not installed", "", "sudo apt-get install -y podman")
    }


@pytest.mark.parametrize(
    ("packager", "command"),
    [("dnf", "sudo dnf install -y moby-engine"), ("zypper", "sudo zypper install -y docker"),
     ("pacman", "sudo pacman -S --noconfirm docker"), ("apk", "sudo apk add docker"), ("", "")],
)  # fmt: skip
def test_programs_are_installed_as_the_distribution_does_it(packager: str, command: str) -> None:
    facts = Facts("docker", replace(ANN, packager=packager), refusal="docker is not installed")
    assert findings(facts)["installed"].fix == command


def test_of_an_engine_elsewhere_nothing_is_said_of_this_machine() -> None:
    facts = with_engine(on(PODMAN_OF_ANN, subuids=SubIds(0, 1), policies=()), is_remote=True)
    assert list(findings(facts)) == ["installed", "answers", "remote", "storage", "build", "run"]


def test_an_engine_of_another_package_is_tried_and_nothing_else() -> None:
    facts = replace(PODMAN, name="other", program=None)
    assert list(findings(facts)) == ["answers", "disk", "build", "run"]


def test_a_podman_that_does_not_answer_is_told_with_what_may_be_why() -> None:
    facts = replace(PODMAN_OF_ANN, engine=None, refusal="podman does not work here", detail=("a", "b"), trial=NOT_TRIED)
    found = findings(on(facts, id_helpers={}))
    assert found["answers"] == Finding("failed", "podman does not work here", "a b")
    assert found["id-helpers"].status == "failed"
    assert "build" not in found


def test_every_check_has_a_name_of_its_own() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)
