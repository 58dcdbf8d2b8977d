"""What an engine is told of a container: what stands for an intent, what never stands there, and what is refused."""

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest

from magnet.backends.base import Backend, Engine
from magnet.backends.buildah import Buildah
from magnet.backends.docker import Docker
from magnet.backends.features import features_of
from magnet.backends.options import RUN_OPTIONS, parse_options
from magnet.backends.podman import Podman
from magnet.container import Container, Started, command_of
from magnet.errors import EngineError, MagnetError, MagnetfileError
from magnet.intents import run_options, split_env
from magnet.model import Command, Image, Mount, Option, RunRequest
from magnet.process import Children, Completed, Shell
from magnet.values import replace

DOCKER = Docker(Engine("docker", "20.10.24", builder="buildkit", features=features_of("buildkit", "20.10.24")))
PODMAN = Podman(Engine("podman", "4.3.1", features=features_of("podman", "4.3.1"), cgroup_version="1"))
BUILDAH = Buildah(Engine("buildah", "1.28.2", features=features_of("buildah", "1.28.2"), cgroup_version="1", ids=65537))
BUILDAH_ROOTLESS = Buildah(replace(BUILDAH.engine, rootless=True))
BUILDAH_CHROOT = Buildah(replace(BUILDAH.engine, rootless=True, features=BUILDAH.engine.features - {"network"}))
BACKENDS: Mapping[str, Backend] = {"docker": DOCKER, "podman": PODMAN, "buildah": BUILDAH}

IMAGE = Image("sha256:" + "ab" * 32, command=("com", "mand"))
RUN = RunRequest("app")


@pytest.fixture
def printed() -> list[Command]:
    """The commands that the shell was asked for."""
    return []


@pytest.fixture
def shell(tmp_path: Path, printed: list[Command], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell of a dry run, for an engine that answers every question with one image."""
    monkeypatch.setattr(Backend, "inspect", lambda *_: IMAGE)
    return Shell(Children(), lambda stream, data: None, printed.append, tmp_path, {}, nullcontext, dry_run=True)


Told = Callable[[Backend, RunRequest], str]


@pytest.fixture
def told(shell: Shell, printed: list[Command]) -> Told:
    """All that an engine is told to run a request, in one line."""

    def told(backend: Backend, request: RunRequest) -> str:
        printed.clear()
        backend.run(request, shell, "run-1")
        return " ".join(word for command in printed for word in command.argv)

    return told


def test_intents_are_options_with_one_meaning() -> None:
    assert run_options(
        tmpfs="/t", volumes={"data": "/d"}, ulimits={"nofile": "1:2"}, shm_size="1m", add_hosts={"db": "::1"},
        init=True, hostname="h", memory=5, cpus=0.5,
    ) == (
        Option("--tmpfs", "/t"), Option("--volume", "data:/d"), Option("--ulimit", "nofile=1:2"),
        Option("--add-host", "db:::1"), Option("--shm-size", "1048576"), Option("--memory", "5"),
        Option("--cpus", "0.5"), Option("--hostname", "h"), Option("--init"),
    )  # fmt: skip
    assert run_options() == ()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"volumes": {"./x": "/d"}}, "`./x` is not the name of a volume"),
        ({"volumes": {"x": "d"}}, "a volume cannot be at `d`"),
        ({"cpus": 0}, "`cpus` cannot be 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(wanted: dict[str, object], message: str) -> None:
    with pytest.raises(MagnetfileError) as caught:
        run_options(**wanted)  # type: ignore[arg-type]
    assert caught.value.message == message


@pytest.mark.parametrize("name", BACKENDS)
def test_a_value_that_holds_a_secret_is_on_no_command_line(name: str, shell: Shell, printed: list[Command]) -> None:
    public, hidden = split_env({"A": "1", "P": "my geheim"}, ["geheim"])
    BACKENDS[name].run(replace(RUN, env=public, secret_env=hidden), shell, "run-1")
    assert not any("geheim" in word for command in printed for word in command.argv)
    (knowing,) = (command for command in printed if command.env)
    assert (knowing.env, "--env=P" in knowing.argv) == ({"P": "my geheim"}, True)
    executed = DOCKER.exec_command("c", ["x"], user=None, env=public, secret_env=hidden, workdir="/w")
    assert executed == Command(("docker", "exec", "--workdir=/w", "--env=A=1", "--env=P", "c", "x"), env=hidden)


@pytest.mark.parametrize("name", ["PATH", "DOCKER_HOST", "https_proxy", "XDG_RUNTIME_DIR"])
def test_a_variable_that_the_client_heeds_holds_no_secret(name: str) -> None:
    with pytest.raises(MagnetfileError) as caught:
        split_env({name: "geheim"}, ["geheim"])
    assert caught.value.message == f"the variable `{name}` cannot hold a secret: the engine's client would heed it, too"
    assert split_env({name: "x"}, ["geheim"]) == ({name: "x"}, {})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("docker", "--tmpfs=/t:rw,nosuid,nodev,exec,mode=700,size=1024"),
        ("podman", "--tmpfs=/t:rw,nosuid,nodev,exec,mode=700,size=1024,notmpcopyup"),
        ("buildah", "--mount=type=tmpfs,destination=/t,nosuid,nodev,tmpfs-mode=700,tmpfs-size=1024"),
    ],
)
def test_all_of_an_empty_file_system_in_memory_is_said(name: str, expected: str, told: Told) -> None:
    request = replace(RUN, options=(Option("--tmpfs", "/t:exec,mode=700,size=1k"),))
    assert expected in told(BACKENDS[name], request).split()
    plain = told(BACKENDS[name], replace(RUN, options=(Option("--tmpfs", "/t"),)))
    assert "noexec" in plain
    assert "mode=1777" in plain


@pytest.mark.parametrize("text", ["t", "/t:uid=1", "/t:mode=9", "/t:ro"])
def test_what_engines_do_differently_with_a_tmpfs_is_refused(text: str, told: Told) -> None:
    with pytest.raises(MagnetfileError):
        told(DOCKER, replace(RUN, options=(Option("--tmpfs", text),)))


def test_a_container_has_its_name_for_a_host_name_where_it_has_no_other(told: Told) -> None:
    assert "--name=run-1 --hostname=run-1" in told(DOCKER, RUN).replace(IMAGE.id, "")
    assert "--hostname=n" in told(PODMAN, replace(RUN, name="n"))
    assert "--hostname" not in told(DOCKER, replace(RUN, network="host"))
    assert "--hostname" not in told(PODMAN, replace(RUN, network="container:x"))
    assert f"--hostname={os.uname().nodename}" in told(BUILDAH, replace(RUN, network="host"))


@pytest.mark.parametrize("name", ["podman", "buildah"])
def test_engines_that_would_show_this_machines_hosts_are_given_others(name: str, told: Told, tmp_path: Path) -> None:
    files = tmp_path / "files"
    request = replace(RUN, files=files, options=(Option("--add-host", "db:::1"),))
    words = told(BACKENDS[name], request)
    assert f"{files}/run-1.hosts" in words
    assert "--add-host" not in words
    text = (files / "run-1.hosts").read_text().splitlines()
    assert text[0] == "127.0.0.1\tlocalhost"
    assert text[2:] == ["::1\tdb", "127.0.1.1\trun-1"]
    told(BACKENDS[name], replace(request, network="host"))
    assert (files / "run-1.hosts").read_text() == Path("/etc/hosts").read_text() + "::1\tdb\n"
    own = told(BACKENDS[name], replace(request, mounts=(Mount(tmp_path, "/etc/hosts"),)))
    assert "run-1.hosts" not in own


def test_docker_which_shows_no_hosts_of_this_machine_is_told_of_others(told: Told, tmp_path: Path) -> None:
    words = told(DOCKER, replace(RUN, files=tmp_path / "files", options=(Option("--add-host", "db:::1"),)))
    assert "--add-host=db:::1" in words
    assert not (tmp_path / "files").exists()


@pytest.mark.parametrize("option", [Option("--hostname", "h"), Option("--add-host", "h:::1")])
def test_a_container_in_the_network_of_another_has_that_ones_names(option: Option, told: Told) -> None:
    with pytest.raises(MagnetfileError) as caught:
        told(PODMAN, replace(RUN, network="container:x", options=(option,)))
    assert caught.value.message.startswith(f"`{option.name}` cannot be had in the network of another container")


def test_a_label_is_asked_for_in_each_engines_spelling(told: Told, tmp_path: Path) -> None:
    shared, private = Mount(tmp_path, "/s", relabel="shared"), Mount(tmp_path, "/p", readonly=True, relabel="private")
    request = replace(RUN, mounts=(shared, private))
    assert f"--mount=type=bind,source={tmp_path},target=/s,relabel=shared" in told(PODMAN, request)
    for backend in (DOCKER, BUILDAH):
        assert f"--volume={tmp_path}:/s:rw,z --volume={tmp_path}:/p:ro,Z" in told(backend, request)
    with pytest.raises(EngineError):
        told(DOCKER, replace(RUN, mounts=(Mount(tmp_path, "/a:b", relabel="shared"),)))


@pytest.mark.parametrize("backend", [PODMAN, BUILDAH, DOCKER], ids=lambda backend: backend.name)
def test_limits_that_a_rootless_engine_would_ignore_are_refused(backend: Backend, told: Told) -> None:
    limits = parse_options(["--memory=1g"], RUN_OPTIONS)
    assert "--memory=1g" in told(backend, replace(RUN, options=limits))
    rootless = type(backend)(replace(backend.engine, rootless=True, cgroup_version="1"))
    with pytest.raises(EngineError) as caught:
        told(rootless, replace(RUN, options=limits))
    assert caught.value.message.endswith("cannot do `--memory`: with cgroups v1 only root may set limits")
    assert "--memory=1g" in told(
        type(backend)(replace(rootless.engine, cgroup_version="2")), replace(RUN, options=limits)
    )


def test_buildah_divides_cpus_into_periods(told: Told) -> None:
    assert "--cpu-period=100000 --cpu-quota=150000" in told(BUILDAH, replace(RUN, options=(Option("--cpus", "1.5"),)))


def test_a_rootless_users_id_is_the_callers_outside(told: Told) -> None:
    maps = "--userns-uid-map=0:1:7 --userns-uid-map=7:0:1 --userns-uid-map=8:8:65529 --userns-gid-map=0:1:8"
    assert maps in told(BUILDAH_ROOTLESS, replace(RUN, user="7:8"))
    for user in (None, "0", "host", "name"):
        assert "--userns" not in told(BUILDAH_ROOTLESS, replace(RUN, user=user))
    with pytest.raises(EngineError) as caught:
        told(BUILDAH_ROOTLESS, replace(RUN, user="70000"))
    assert caught.value.message.endswith("as the user 70000: its containers have the ids up to 65536")


def test_chroot_isolation_lets_no_user_write_whose_files_would_not_be_the_callers(told: Told, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        told(BUILDAH_CHROOT, replace(RUN, user="7", mounts=(Mount(tmp_path, "/m"),)))
    assert caught.value.message.endswith("cannot let the user 7 write to a mount with chroot isolation")
    assert "--userns" not in told(
        BUILDAH_CHROOT, replace(RUN, user="7", mounts=(Mount(tmp_path, "/m", readonly=True),))
    )


@pytest.mark.parametrize(
    ("user", "mount"), [(None, "type=volume"), ("0:0", "type=volume"), ("7", "type=tmpfs,tmpfs-mode=0755,notmpcopyup")]
)
def test_podman_is_told_to_make_a_working_directory_that_is_not_there(user: str | None, mount: str) -> None:
    said = b'Error: workdir "/w" does not exist on container 0123abcd\n'
    request = replace(RUN, workdir="/w", user=user)
    first = Command(("podman", "run", "--rm", "x"))
    second = PODMAN.second_run(first, request, IMAGE, Completed(126, stderr=said))
    assert second == Command(("podman", "run", "--replace", f"--mount={mount},destination=/w", "--rm", "x"))
    assert PODMAN.second_run(first, request, IMAGE, Completed(126, stderr=b"Error: permission denied\n")) is None
    assert PODMAN.second_run(first, RUN, IMAGE, Completed(126, stderr=said)) is None
    shown: list[bytes] = []
    PODMAN.container_write(lambda stream, data: shown.append(data))(2, said + b"own\n")
    assert shown == [b"own\n"]


def test_podman_adds_nothing_that_the_image_or_the_caller_has(told: Told) -> None:
    image = replace(IMAGE, env={"TERM": "own"}, healthcheck=("CMD", "x"))
    words = PODMAN.run_plan(RUN, image, "c").main.argv
    assert {"--http-proxy=false", "--unsetenv=container", "--no-healthcheck"} <= set(words)
    assert "--unsetenv=TERM" not in words
    assert "--no-healthcheck" not in PODMAN.run_plan(replace(RUN, detach=True), image, "c").main.argv


# ---- handles


def handle(shell: Shell, *, health: str | None = None) -> Container:
    started = Started(DOCKER, shell, name="c", image="app", health=command_of(health))
    started.begin("0123")
    return Container(started, shell)


def test_a_handle_tells_in_a_dry_run_what_it_would_do(shell: Shell, printed: list[Command]) -> None:
    with handle(shell, health="ready?") as one:
        one.exec("x", "y z", user="7")
        assert (one.logs(), one.wait(), one.stop(3), one.is_running()) == ("", 0, 0, True)
        assert one.wait_healthy() is one
    assert [command.argv[1:] for command in printed] == [
        ("exec", "--user=7", "0123", "x", "y z"),
        ("logs", "0123"),
        ("wait", "0123"),
        ("stop", "-t", "3", "0123"),
        ("exec", "0123", "/bin/sh", "-c", "ready?"),
        ("rm", "--force", "--volumes", "0123"),
    ]


def test_a_container_is_removed_once_and_is_then_of_no_use(shell: Shell, printed: list[Command]) -> None:
    one = handle(shell)
    one.remove()
    one.remove()
    assert [command.argv[1] for command in printed] == ["rm"]
    for use in (lambda: one.exec("x"), one.logs, one.wait, one.stop, one.is_running, one.is_healthy, one.wait_healthy):
        with pytest.raises(MagnetError) as caught:
            use()
        assert caught.value.message == "the container `c` has been removed"


@pytest.mark.parametrize(
    ("test", "program"),
    [
        (("CMD-SHELL", "test -e /x"), ("/bin/sh", "-c", "test -e /x")),
        (("CMD", "a", "b"), ("a", "b")),
        (("NONE",), ()),
        ((), ()),
    ],
)
def test_an_images_healthcheck_is_a_program(
    test: tuple[str, ...], program: tuple[str, ...], shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backend, "inspect", lambda *_: replace(IMAGE, healthcheck=test))
    assert Started(DOCKER, shell, name="c", image="app").health == program


def test_another_targets_handle_is_of_the_same_container(shell: Shell) -> None:
    one = handle(shell)
    other = one.used_by(shell)
    other.remove()
    with pytest.raises(MagnetError):
        one.logs()
    assert (other.name, other.id, repr(other)) == ("c", "0123", "Container('c')")


def test_host_is_no_user_of_a_container_that_runs(shell: Shell) -> None:
    with pytest.raises(MagnetfileError) as caught:
        handle(shell).exec("x", user="host")
    assert caught.value.hint == 'give it to t.start, as user="host"'
