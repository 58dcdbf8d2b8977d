"""How the facts of a machine are read, from files of a machine that a test makes."""

import os
import socket
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from magnet.doctor.clients import docker_clients, socket_state
from magnet.doctor.configuration import Configuration
from magnet.doctor.files import Files
from magnet.doctor.gathering import device, gather
from magnet.doctor.machine import Client, Device, Machine, SubIds
from magnet.model import Command
from magnet.process import Completed, ask

ANN = 1001


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def answer(said: Mapping[str, Completed], command: Command) -> Completed:
    return said.get(" ".join(command.argv), Completed(127))


def machine(root: Path, files: Mapping[str, str], environ: Mapping[str, str] | None = None) -> Machine:
    write(root, files)
    return gather(root, {"PATH": "/usr/bin", "HOME": "/home/ann", **(environ or {})}, lambda command: Completed(127))


def programs(root: Path, *paths: str) -> None:
    write(root, dict.fromkeys(paths, "#!/bin/sh\n"))
    for path in paths:
        (root / path).chmod(0o755)


def test_of_a_machine_that_has_nothing_nothing_is_known(tmp_path: Path) -> None:
    found = machine(tmp_path, {})
    assert (found.distribution, found.packager, found.programs, found.devices) == ("", "", {}, {})
    assert (found.cgroups, found.namespaces, found.may_raise_limits) == (None, None, None)
    assert (found.docker_clients, found.docker_state, found.policies) == ((), "missing", ())


@pytest.mark.parametrize(
    ("files", "mode", "controllers"),
    [
        ({"sys/fs/cgroup/cgroup.controllers": "cpu"}, "v2", ()),
        ({"sys/fs/cgroup/memory/tasks": "", "sys/fs/cgroup/unified/cgroup.controllers": "hugetlb rdma\n"}, "hybrid",
         ("hugetlb", "rdma")),
        ({"sys/fs/cgroup/memory/tasks": "", "sys/fs/cgroup/unified/cgroup.controllers": ""}, "hybrid", ()),
        ({"sys/fs/cgroup/memory/tasks": ""}, "v1", ()),
        ({"proc/self/status": ""}, "none", ()),
    ],
    ids=["v2", "hybrid", "hybrid, as systemd has it", "v1", "none"],
)  # fmt: skip
def test_cgroups_are_told_by_what_is_mounted(
    tmp_path: Path, files: Mapping[str, str], mode: str, controllers: tuple[str, ...]
) -> None:
    found = machine(tmp_path, files)
    assert (found.cgroups, found.unified_controllers) == (mode, controllers)


@pytest.mark.parametrize(
    ("capabilities", "may"), [("000001fffeffffff", False), ("000001ffffffffff", True)], ids=["without", "with"]
)
def test_whether_limits_may_be_raised_is_told_by_cap_sys_resource(tmp_path: Path, capabilities: str, may: bool) -> None:
    found = machine(tmp_path, {"proc/self/status": f"Name:\tx\nCapEff:\t{capabilities}\nNoNewPrivs:\t1\n"})
    assert (found.may_raise_limits, found.no_new_privileges) == (may, True)


def test_the_distribution_and_what_installs_its_packages_are_known(tmp_path: Path) -> None:
    programs(tmp_path, "usr/bin/dnf")
    found = machine(tmp_path, {"etc/os-release": 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID="41"\n'})
    assert (found.distribution, found.release, found.packager) == ("fedora", "41", "dnf")


def test_programs_are_found_where_podman_and_root_have_them_and_a_plain_file_is_none(tmp_path: Path) -> None:
    programs(tmp_path, "usr/lib/podman/netavark", "usr/sbin/iptables", "usr/bin/crun")
    found = machine(tmp_path, {"usr/bin/runc": ""})
    assert found.programs == {
        "crun": "/usr/bin/crun", "iptables": "/usr/sbin/iptables", "netavark": "/usr/lib/podman/netavark",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "usable"),
    [
        (0o600, ANN, 7, False),
        (0o660, ANN, 7, True),
        (0o660, ANN, 8, False),
        (0o666, ANN, 8, True),
        (0o644, ANN, 8, False),
        (0o600, 5, 8, True),
        (0o000, 0, 8, True),
    ],
    ids=["its owner's", "its group's", "another group's", "everyone's", "only read", "asked by its owner", "by root"],
)
def test_a_device_is_for_those_whom_its_mode_lets(
    mode: int, uid: int, gid: int, usable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A device can be made by root only.
    node = os.stat_result((stat.S_IFCHR | mode, 0, 0, 1, 5, 7, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda _: node)
    assert device(Path("/dev/net/tun"), uid, frozenset([gid])) == Device(mode, usable)


def test_what_is_no_device_or_not_there_is_no_device(tmp_path: Path) -> None:
    write(tmp_path, {"tun": ""})
    assert device(tmp_path / "tun", 0, frozenset()) is None
    assert device(tmp_path / "nosuch", 0, frozenset()) is None
    assert device(Path("/dev/null"), ANN, frozenset()) == Device(0o666, True)


def test_subordinate_ids_are_the_users_by_name_and_by_number(tmp_path: Path) -> None:
    user = os.geteuid()
    found = machine(tmp_path, {"etc/subuid": f"nobody-else:100000:65536\n{user}:165536:1000\n# {user}:0:7\n"})
    assert (found.subuids, found.subgids) == (SubIds(1000, 231072), SubIds(0, 100000))


@pytest.mark.parametrize(
    ("switch", "known"), [("subid: files\n", True), ("passwd: files\n", True), ("subid: sss\n", False)]
)
def test_subordinate_ids_that_another_source_has_are_not_known(tmp_path: Path, switch: str, known: bool) -> None:
    found = machine(tmp_path, {"etc/nsswitch.conf": switch})
    assert (found.subuids is not None) == known


def test_a_helper_without_setuid_may_not_map_ids(tmp_path: Path) -> None:
    programs(tmp_path, "usr/bin/newuidmap")
    assert machine(tmp_path, {}).id_helpers == {"newuidmap": False}


def test_a_runtime_directory_must_be_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    usable = {path: machine(tmp_path, {}, {"XDG_RUNTIME_DIR": path}).runtime_dir_usable for path in ("", "/run", "/no")}
    assert usable == {"": None, "/run": True, "/no": False}


@pytest.mark.parametrize(("code", "can"), [(0, True), (1, False)])
def test_user_namespaces_are_tried(tmp_path: Path, code: int, can: bool) -> None:
    programs(tmp_path, "usr/bin/unshare")
    asked = {"/usr/bin/unshare --user --map-root-user true": Completed(code)}
    assert gather(tmp_path, {"PATH": "/usr/bin"}, lambda one: answer(asked, one)).namespaces == can


# How podman and buildah are configured


def configuration(
    root: Path, files: Mapping[str, str], environ: Mapping[str, str] | None = None, uid: int = ANN
) -> Configuration:
    write(root, files)
    return Configuration(Files(root), {"HOME": "/home/ann", **(environ or {})}, uid)


LIMITS = '[containers]\ndefault_ulimits = ["nofile=1:1"]\n'


@pytest.mark.parametrize(
    ("path", "uid", "environ", "counts"),
    [
        ("usr/share/containers/containers.conf", 0, {}, True),
        ("etc/containers/containers.conf", 0, {}, True),
        ("etc/containers/containers.conf.d/50-ulimits.conf", 0, {}, True),
        ("etc/containers/containers.conf.d/50-ulimits.toml", 0, {}, False),
        ("home/ann/.config/containers/containers.conf", ANN, {}, True),
        ("home/ann/.config/containers/containers.conf", 0, {}, False),
        ("x/containers/containers.conf.d/1.conf", ANN, {"XDG_CONFIG_HOME": "/x"}, True),
        ("etc/containers/containers.conf", 0, {"CONTAINERS_CONF": "/c.conf"}, False),
        ("c.conf", 0, {"CONTAINERS_CONF": "/c.conf"}, True),
        ("o.conf", 0, {"CONTAINERS_CONF": "/c.conf", "CONTAINERS_CONF_OVERRIDE": "/o.conf"}, True),
    ],
)
def test_limits_count_where_the_user_and_the_variables_make_their_file_count(
    tmp_path: Path, path: str, uid: int, environ: dict[str, str], counts: bool
) -> None:
    assert configuration(tmp_path, {path: LIMITS}, environ, uid).has_default_ulimits() == counts


@pytest.mark.parametrize(
    ("files", "environ", "registries"),
    [
        ({}, {}, ()),
        ({"etc/containers/registries.conf": 'unqualified-search-registries = ["a", "b"]'}, {}, ("a", "b")),
        ({"etc/containers/registries.conf": '[registries.search]\nregistries = ["a"]'}, {}, ("a",)),
        ({"etc/containers/registries.conf": "not = toml = at all"}, {}, ()),
        (
            {
                "etc/containers/registries.conf": 'unqualified-search-registries = ["a"]',
                "etc/containers/registries.conf.d/1.conf": 'unqualified-search-registries = ["b"]',
                "etc/containers/registries.conf.d/2.conf": "[aliases]",
            },
            {}, ("b",),
        ),
        (
            {
                "etc/containers/registries.conf.d/1.conf": 'unqualified-search-registries = ["b"]',
                "home/ann/.config/containers/registries.conf": 'unqualified-search-registries = ["own"]',
            },
            {}, ("own",),
        ),
        # Seen with podman 4.3: what is in a directory is read after the file that the variable names.
        (
            {
                "r.conf": "unqualified-search-registries = []",
                "etc/containers/registries.conf.d/1.conf": 'unqualified-search-registries = ["b"]',
                "home/ann/.config/containers/registries.conf": 'unqualified-search-registries = ["own"]',
            },
            {"CONTAINERS_REGISTRIES_CONF": "/r.conf"}, ("b",),
        ),
        (
            {"r.conf": "unqualified-search-registries = []", "etc/containers/registries.conf": 'unqualified-search-registries = ["a"]'},
            {"CONTAINERS_REGISTRIES_CONF": "/r.conf"}, (),
        ),
    ],
    ids=["none", "two", "the first version", "no TOML", "a part", "the user's own", "a variable and a part", "a variable"],
)  # fmt: skip
def test_short_names_are_looked_for_where_the_last_file_says(
    tmp_path: Path, files: Mapping[str, str], environ: dict[str, str], registries: tuple[str, ...]
) -> None:
    assert configuration(tmp_path, files, environ).search_registries() == registries


def test_the_files_of_storage_and_policy_are_the_users_own_or_the_systems(tmp_path: Path) -> None:
    files = {"home/ann/.config/containers/storage.conf": "", "etc/containers/policy.json": ""}
    of_ann, of_root = configuration(tmp_path, files), configuration(tmp_path, {}, uid=0)
    assert of_ann.storage_conf() == "/home/ann/.config/containers/storage.conf"
    assert (of_root.storage_conf(), of_root.policies()) == ("", ("/etc/containers/policy.json",))
    assert configuration(tmp_path, {}, {"CONTAINERS_STORAGE_CONF": "/s.conf"}).storage_conf() == "/s.conf"
    assert (of_ann.directory, configuration(tmp_path, {}, {"XDG_CONFIG_HOME": "/x"}).directory) == ("~/.config", "/x")


# Docker


def test_docker_clients_are_told_apart_by_what_they_build_with(tmp_path: Path) -> None:
    said = {
        "/old --version": Completed(0, b"Docker version 20.10.24+dfsg1, build 297e128\n"),
        "/bare --version": Completed(0, b"Docker version 28.2.2, build e6534b4\n"),
        "/new --version": Completed(0, b"Docker version 26.1.5+dfsg1, build a72d7cd\n"),
        "/new buildx version": Completed(0, b"github.com/docker/buildx 0.13.1\n"),
        "/shim --version": Completed(0, b"podman version 4.3.1\n"),
    }
    assert list(docker_clients(["/old", "/bare", "/new", "/shim"], lambda one: answer(said, one))) == [
        Client("/old", "20.10.24+dfsg1", "buildkit"),
        Client("/bare", "28.2.2", "legacy"),
        Client("/new", "26.1.5+dfsg1", "buildx"),
        Client("/shim", "4.3.1", "podman"),
    ]


def test_two_names_of_one_client_are_one(tmp_path: Path) -> None:
    programs(tmp_path, "usr/bin/docker")
    (tmp_path / "usr/sbin").symlink_to("bin")
    found = gather(tmp_path, {"PATH": "/usr/bin:/usr/sbin:"}, lambda command: Completed(0, b"version 20.10.1"))
    assert [client.path for client in found.docker_clients] == ["/usr/bin/docker"]


@contextmanager
def daemon(path: Path, body: bytes) -> Iterator[None]:
    """Something that answers one question at a socket."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def answer_each() -> None:
            for _ in range(2):  # one looks whether anybody listens, the other asks
                connection, _ = listening.accept()
                with connection:
                    if connection.recv(1000):
                        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body)

        thread = threading.Thread(target=answer_each)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    ("body", "state"),
    [(b'{"Components": [{"Name": "Engine"}]}', "answers"), (b'{"Components": [{"Name": "Podman Engine"}]}', "podman")],
)
def test_who_answers_at_a_socket_is_told_by_the_answer(tmp_path: Path, body: bytes, state: str) -> None:
    with daemon(tmp_path / "s", body):
        assert socket_state(tmp_path / "s") == state


def test_a_socket_at_which_nobody_listens_is_another_thing_than_none(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left"))
    assert (socket_state(tmp_path / "left"), socket_state(tmp_path / "none")) == ("refused", "missing")


def test_this_very_machine_can_be_looked_at() -> None:
    found = gather(Path("/"), os.environ, ask)
    assert found.uid == os.geteuid()
    assert found.architecture == os.uname().machine
