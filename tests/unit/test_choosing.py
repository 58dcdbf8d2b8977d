"""Which engine is chosen, and what is believed of it: the engines here are shell scripts, alone in PATH."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from magnet.backends import check_name, choose
from magnet.backends.base import Backend, Engine
from magnet.backends.buildah import Buildah
from magnet.backends.docker import Docker
from magnet.backends.features import NEEDS_A_RUNTIME, features_of
from magnet.backends.podman import Podman
from magnet.errors import CommandFailed, EngineError, MagnetError, UsageError
from magnet.model import BuildRequest, Command, Image, ImageListing, Mount, Platform, Pull, RunRequest, RunResult
from magnet.process import Children, Shell
from magnet.values import replace

Install = Callable[[str, str], None]
"""Puts a program of that name into PATH: a script, which has only what the shell itself can do."""

ID = "sha256:" + "ab" * 32
DOCKER = Docker(Engine("docker", "28.2.2", builder="buildx", features=frozenset({"platform", "detach"})))
PODMAN = Podman(Engine("podman", "4.3.1", features=frozenset({"platform", "detach"})))
BUILDAH = Buildah(Engine("buildah", "1.28.2", features=frozenset({"platform"})))
ENGINES: Mapping[str, Backend] = {"docker": DOCKER, "podman": PODMAN, "buildah": BUILDAH}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A PATH that holds nothing but what is installed into it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    for name in ("DOCKER_BUILDKIT", "DOCKER_HOST", "BUILDAH_ISOLATION"):
        monkeypatch.delenv(name, raising=False)
    # Else a daemon of this machine would be asked without the client.
    monkeypatch.setenv("DOCKER_CONTEXT", "test")

    def install(name: str, script: str) -> None:
        program = programs / name
        program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\n{script}\n')
        program.chmod(0o755)

    return install


@pytest.fixture
def shell(tmp_path: Path, install: Install) -> Shell:
    return Shell(Children(), lambda stream, data: None, lambda command: None, tmp_path, os.environ, nullcontext)


def calls(tmp_path: Path) -> list[str]:
    """The first words with which the engines were called."""
    file = tmp_path / "calls"
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


def told(error: MagnetError) -> tuple[str, tuple[str, ...], str | None]:
    return error.message, error.detail, error.hint


def docker(
    client: str = "28.2.2",
    server: object = None,
    security: Sequence[str] = (),
    more: str = "",
    context: str = "default",
) -> str:
    """A docker that answers; `more` are further cases of its subcommands."""
    engine = {"Version": "27.5.1", "Components": [{"Name": "Engine"}, {"Name": "containerd"}]}
    version = json.dumps({"Client": {"Version": client, "Context": context}, "Server": server or engine})
    info = json.dumps({"SecurityOptions": list(security)})
    return f"case $1 in version) echo '{version}';; info) echo '{info}';; {more} *) exit 1;; esac"


def podman(rootless: bool = False) -> str:
    info = json.dumps({"version": {"Version": "4.3.1"}, "host": {"security": {"rootless": rootless}}})
    return f"echo '{info}'"


def buildah(rootless: bool = False) -> str:
    info = json.dumps({"host": {"rootless": rootless}})
    ids = "0 1001 1\\n1 100000 65536\\n"
    return (
        f"""case $1 in version) echo '{{"version": "1.28.2"}}';; info) echo '{info}';; """
        f"""unshare) printf '{ids}';; esac"""
    )


DOWN = 'echo "Cannot connect to the Docker daemon at unix:///x/docker.sock. Is the docker daemon running?" >&2; exit 1'
DENIED = (
    'echo "permission denied while trying to connect to the Docker daemon socket at unix:///x/docker.sock: '
    'Get \\"http://%2Fx/v1.50/version\\": dial unix /x/docker.sock: connect: permission denied" >&2; exit 1'
)
NO_ANSWER_HINT = (
    "start it (sudo systemctl start docker), set DOCKER_HOST, or use --backend podman or --backend buildah, "
    "which need no daemon; `magnet doctor` tells which works"
)
INSTALL_HINT = (
    "install one: `apt-get install podman`, `dnf install podman`, or https://docs.docker.com/engine/install; "
    "`magnet doctor` tells what keeps one that is installed from working"
)


def see_doctor(engine: str) -> str:
    return f"`magnet --backend {engine} doctor` tells what is missing, and what mends it"


def test_without_any_engine_every_one_is_named(install: Install) -> None:
    with pytest.raises(EngineError) as caught:
        choose(None)
    reasons = ("docker is not installed", "podman is not installed", "buildah is not installed")
    assert told(caught.value) == ("no container engine is usable here", reasons, INSTALL_HINT)


def test_where_none_is_usable_every_engines_reason_is_told(install: Install) -> None:
    install("docker", DOWN)
    install("podman", "echo one >&2; echo two >&2; exit 125")
    install("buildah", "echo garbage")
    with pytest.raises(EngineError) as caught:
        choose(None)
    reasons = (
        "the docker daemon does not answer at unix:///x/docker.sock",
        "podman does not work here; one; two",
        "buildah gave an answer that magnet does not understand",
    )
    assert told(caught.value) == ("no container engine is usable here", reasons, INSTALL_HINT)


@pytest.mark.parametrize(
    ("name", "others"), [("docker", "podman or buildah"), ("podman", "docker or buildah"), ("buildah", "docker or podman")]
)  # fmt: skip
def test_an_engine_that_was_asked_for_by_name_is_not_replaced_by_another(
    name: str, others: str, install: Install, tmp_path: Path
) -> None:
    for other, script in {"docker": docker(), "podman": podman(), "buildah": buildah()}.items():
        if other != name:
            install(other, script)
    with pytest.raises(EngineError) as caught:
        choose(name).engine  # noqa: B018 - probes
    assert told(caught.value) == (f"{name} is not installed", (), f"install {name}, or use {others}")
    assert calls(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dokcer", "did you mean `docker`?"),
        ("Podman", "did you mean `podman`?"),
        ("lxc", "known are: docker, podman, buildah"),
        ("", "known are: docker, podman, buildah"),
    ],
)
def test_an_unknown_name_is_answered_with_the_one_that_was_meant(name: str, hint: str, install: Install) -> None:
    for ask in (check_name, choose):
        with pytest.raises(UsageError) as caught:
            ask(name)
        assert told(caught.value) == (f"there is no backend `{name}`", (), hint)


@pytest.mark.parametrize(
    ("usable", "expected"),
    [
        ({"docker", "podman", "buildah"}, "docker"),
        ({"podman", "buildah"}, "podman"),
        ({"buildah"}, "buildah"),
    ],
)
@pytest.mark.parametrize("how", ["echo broken >&2; exit 1", "echo garbage", "echo null", "kill -9 $$", ":"])
def test_the_first_engine_that_works_is_chosen_and_none_after_it_is_asked(
    usable: set[str], expected: str, how: str, install: Install
) -> None:
    for name, script in {"docker": docker(), "podman": podman(), "buildah": buildah()}.items():
        install(name, script if name in usable else how)
    assert choose(None).name == expected


@pytest.mark.parametrize(
    ("script", "environ", "builder", "version", "rootless"),
    [
        (docker("20.10.24+dfsg1"), {}, "buildkit", "27.5.1", False),
        (docker("20.10.24"), {"DOCKER_BUILDKIT": "0"}, "legacy", "27.5.1", False),
        (docker("22.06.0"), {}, "buildkit", "27.5.1", False),
        (docker("23.0.0"), {}, "legacy", "27.5.1", False),
        (docker("23.0.0", more="buildx) echo v0.10;;"), {}, "buildx", "27.5.1", False),
        (docker("28.2.2", more="buildx) echo v0.10;;"), {"DOCKER_BUILDKIT": "0"}, "legacy", "27.5.1", False),
        (docker("28.2.2", more="buildx) echo v0.10;;"), {"DOCKER_BUILDKIT": "1"}, "buildx", "27.5.1", False),
        (docker("dev", more="buildx) echo v0.10;;"), {}, "buildx", "27.5.1", False),
        (docker("20.10.24", security=["name=seccomp,profile=default", "name=rootless"]), {}, "buildkit", "27.5.1", True),
        (docker("20.10.24", server={"Version": "20.10.24"}), {}, "buildkit", "20.10.24", False),
        (docker("20.10.24", server={"Version": "1", "Components": None}), {}, "buildkit", "1", False),
        (docker("28.2.2", more="buildx) echo v0.10;;"), {"DOCKER_BUILDKIT": "false"}, "legacy", "27.5.1", False),
        (docker("28.2.2", more="buildx) echo v0.10;;"), {"DOCKER_BUILDKIT": "F"}, "legacy", "27.5.1", False),
    ],
    ids=[
        "20.10", "20.10 without BuildKit", "the last with its own", "23 without buildx", "23 with buildx",
        "DOCKER_BUILDKIT=0", "DOCKER_BUILDKIT=1", "development version", "rootless", "no components", "null components",
        "DOCKER_BUILDKIT=false", "DOCKER_BUILDKIT=F",
    ],
)  # fmt: skip
def test_docker_is_used_as_what_it_is(
    script: str, environ: dict[str, str], builder: str, version: str, rootless: bool, install: Install,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    install("docker", script)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    engine = choose("docker").engine
    assert (engine.name, engine.version, engine.rootless) == ("docker", version, rootless)
    features = features_of("legacy" if builder == "legacy" else "buildkit", version)
    if builder == "buildkit":
        features -= {"build-contexts"}  # the client has no option for them
    if rootless:
        features -= {"host-network"}  # the daemon has a network of its own
    assert (engine.builder, engine.features) == (builder, features)


@pytest.mark.parametrize("rootless", [False, True])
@pytest.mark.parametrize("isolation", [None, "oci", "rootless", "chroot"])
def test_podman_and_buildah_are_used_as_what_they_are(
    rootless: bool, isolation: str | None, install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install("podman", podman(rootless))
    install("buildah", buildah(rootless))
    if isolation:
        monkeypatch.setenv("BUILDAH_ISOLATION", isolation)
    lost = NEEDS_A_RUNTIME if isolation == "chroot" else frozenset()
    features = features_of("buildah", "1.28.2") - lost
    programs = tmp_path / "bin"
    assert choose("podman").engine == Engine(
        "podman", "4.3.1", rootless, "buildah", features_of("podman", "4.3.1") - (lost - {"network"}),
        program=f"{programs}/podman",
    )  # fmt: skip
    assert choose("buildah").engine == Engine(
        "buildah", "1.28.2", rootless, "buildah", features, program=f"{programs}/buildah",
        ids=65537 if rootless else None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("host", "context", "is_remote"),
    [
        ("", "default", False),
        ("", "desktop-linux", False),
        ("", "far", True),
        ("", "gone", True),
        ("unix:///x/docker.sock", "default", False),
        ("tcp://127.0.0.1:2375", "default", False),
        ("tcp://docker:2376", "default", True),
        ("ssh://me@far", "default", True),
    ],
)
def test_a_docker_that_is_reached_over_a_network_is_remote(
    host: str, context: str, is_remote: bool, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints = "context) case $5 in desktop-linux) echo unix:///x.sock;; far) echo ssh://me@far;; *) exit 1;; esac;;"
    install("docker", docker("20.10.24", context=context, more=endpoints))
    monkeypatch.setenv("DOCKER_HOST", host)
    engine = choose("docker").engine
    assert (engine.is_remote, "bind-mount" in engine.features) == (is_remote, not is_remote)


@pytest.mark.parametrize(
    ("described", "driver", "buildkit", "like"),
    [
        ("Driver: docker\nBuildKit version: v0.8+unknown", "docker", "0.8+unknown", "27.5.1"),
        ("Driver: docker-container\nBuildKit version: v0.8.2", "docker-container", "0.8.2", "20.10"),
        ("Driver: docker-container\nBuildkit: v0.12.5", "docker-container", "0.12.5", "25.0"),
        ("Driver: docker-container\nStatus: inactive", "docker-container", "", "newest"),
    ],
    ids=["in the daemon", "older than the daemon", "in buildx's old words", "not started"],
)
def test_what_a_builder_can_do_is_told_by_the_buildkit_that_it_builds_with(
    described: str, driver: str, buildkit: str, like: str, install: Install
) -> None:
    printed = described.replace("\n", "\\n")
    install("docker", docker(more=f"buildx) case $2 in version) echo b v0.10.0;; *) printf '{printed}';; esac;;"))
    engine = choose("docker").engine
    assert (engine.version, engine.builder_version, engine.builder_driver) == ("27.5.1", "0.10.0", driver)
    assert (engine.buildkit_version, engine.features) == (buildkit, features_of("buildkit", like))


def service(*, connections: object = ()) -> str:
    """A podman whose client is told to use a service."""
    info = {"version": {"Version": "5.4.2"}, "host": {"security": {"rootless": False}, "serviceIsRemote": True}}
    version = {"Client": {"Version": "4.3.1"}, "Server": {"Version": "5.4.2"}}
    answers = {"info": info, "version": version, "system": connections}
    cases = "".join(f"{word}) echo '{json.dumps(answer)}';; " for word, answer in answers.items())
    return f"case $1 in {cases}esac"


CONNECTIONS = [
    {"Name": "machine", "URI": "ssh://core@127.0.0.1:41000/run/podman.sock", "Default": True},
    {"Name": "far", "URI": "ssh://root@far/run/podman.sock", "Default": False},
]


@pytest.mark.parametrize(
    ("environ", "connections", "is_remote"),
    [
        ({}, CONNECTIONS, False),
        ({"CONTAINER_CONNECTION": "far"}, CONNECTIONS, True),
        ({"CONTAINER_CONNECTION": "gone"}, CONNECTIONS, True),
        ({"CONTAINER_HOST": "unix:///x.sock", "CONTAINER_CONNECTION": "far"}, CONNECTIONS, False),
        ({"CONTAINER_HOST": "tcp://far:8080"}, [], True),
        ({}, [], True),
    ],
)
def test_a_podman_that_is_a_client_tells_both_versions_and_where_its_service_is(
    environ: dict[str, str], connections: object, is_remote: bool, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("podman", service(connections=connections))
    for name in ("CONTAINER_HOST", "CONTAINER_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    engine = choose("podman").engine
    assert (engine.version, engine.client_version, engine.is_remote) == ("5.4.2", "4.3.1", is_remote)
    lost = {"bind-mount"} if is_remote else set()
    assert engine.features == features_of("podman", "5.4.2") - lost


def test_an_engine_that_is_reached_over_a_network_is_not_asked_to_mount_what_is_here(
    install: Install, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("podman", service())
    monkeypatch.setenv("CONTAINER_HOST", "tcp://far:8080")
    with pytest.raises(EngineError) as caught:
        choose("podman").run(RunRequest("x", mounts=(Mount("/etc", "/m"),)), shell, "c")
    assert told(caught.value) == (
        "podman 5.4.2 cannot mount this machine's `/etc`: it is reached over a network", (),
        "docker, podman and buildah have it; none of the engines here can",
    )  # fmt: skip
    assert set(calls(tmp_path)) == {"info", "version", "system"}


PODMAN_SERVER = {"Version": "4.3.1", "Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}]}


@pytest.mark.parametrize(
    ("script", "environ", "message", "detail", "hint"),
    [
        (DOWN, {}, "the docker daemon does not answer at unix:///x/docker.sock", (), NO_ANSWER_HINT),
        (
            'echo "error during connect: Get x: lookup nosuch: no such host" >&2; exit 1',
            {"DOCKER_HOST": "tcp://nosuch:2375"},
            "the docker daemon does not answer at tcp://nosuch:2375", (), NO_ANSWER_HINT,
        ),
        pytest.param(
            'echo "failed to connect to the docker API at unix:///x.sock; check if the path is correct" >&2; exit 1',
            {}, "the docker daemon does not answer at unix:///x.sock", (), NO_ANSWER_HINT,
        ),
        (
            DENIED, {}, "no permission to talk to the docker daemon at unix:///x/docker.sock", (),
            "add yourself to the group `docker` (sudo usermod -aG docker $USER) and log in again, or use a rootless "
            "engine with --backend podman; `magnet doctor` tells which works",
        ),
        (
            docker(server=PODMAN_SERVER), {}, "the docker client here talks to podman, not to a docker daemon", (),
            "use --backend podman",
        ),
        (
            """echo '{"Client": {"APIVersion": "4.3.1", "Version": "4.3.1"}}'""", {},
            "`docker` here is podman under another name", (), "use --backend podman",
        ),
        ("""echo '{"Client": {"Version": "1"}, "Server": null}'""", {}, "docker does not work here",
         ('{"Client": {"Version": "1"}, "Server": null}',), see_doctor("docker")),
        ("for n in 1 2 3 4 5; do echo $n; done >&2; exit 1", {}, "docker does not work here", ("2", "3", "4", "5"),
         see_doctor("docker")),
        ("echo garbage", {}, "docker does not work here", ("garbage",), see_doctor("docker")),
    ],
    ids=["down", "no host", "down, in new words", "denied", "podman", "podman's shim", "no server", "broken", "garbage"],
)  # fmt: skip
def test_a_docker_that_cannot_be_used_says_why_and_what_to_do(
    script: str, environ: dict[str, str], message: str, detail: tuple[str, ...], hint: str | None, install: Install,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    install("docker", script)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EngineError) as caught:
        choose("docker").engine  # noqa: B018 - probes
    assert told(caught.value) == (message, detail, hint)


GARBAGE = ["garbage", "", "null", "[]", "{}", '"x"', '{"version": null, "host": null}', r"\0377"]


@pytest.mark.parametrize("answer", GARBAGE)
@pytest.mark.parametrize("name", ["podman", "buildah"])
def test_an_answer_that_is_not_understood_is_said_to_be_that(name: str, answer: str, install: Install) -> None:
    install(name, f"printf '%b' '{answer}'")
    with pytest.raises(EngineError) as caught:
        choose(name).engine  # noqa: B018 - probes
    hint = f"see what `{name} info` and `{name} version` say; this version may be too new or too old"
    assert told(caught.value) == (f"{name} gave an answer that magnet does not understand", (), hint)


@pytest.mark.parametrize(
    "answer",
    ['{"Server": {"Version": "1"}}', '{"Client": {}, "Server": {"Version": "1"}}', '{"Server": [1]}', "[]",
     '{"Client": {"Version": "1"}, "Server": {"Components": []}}', '{"Server": {"Components": [{"Name": null}]}}'],
)  # fmt: skip
def test_a_docker_that_answers_something_else_is_said_to_do_that(answer: str, install: Install) -> None:
    install("docker", f"echo '{answer}'")
    with pytest.raises(EngineError) as caught:
        choose("docker").engine  # noqa: B018 - probes
    hint = "see what `docker info` and `docker version` say; this version may be too new or too old"
    assert told(caught.value) == ("docker gave an answer that magnet does not understand", (), hint)


def test_a_program_that_cannot_be_started_does_not_work(install: Install, tmp_path: Path) -> None:
    install("podman", "")
    (tmp_path / "bin" / "podman").write_text("#!/nosuch/sh\n")
    with pytest.raises(EngineError) as caught:
        choose("podman").engine  # noqa: B018 - probes
    detail = (f"[Errno 2] No such file or directory: '{tmp_path}/bin/podman'",)
    assert told(caught.value) == ("podman does not work here", detail, see_doctor("podman"))


@pytest.mark.parametrize(
    "fails",
    [
        "version",
        pytest.param("info"),
    ],
)
def test_a_broken_buildah_is_shown_with_its_own_words(fails: str, install: Install) -> None:
    install("buildah", f"[ $1 = {fails} ] && {{ echo no store >&2; exit 1; }}; {buildah()}")
    with pytest.raises(EngineError) as caught:
        choose("buildah").engine  # noqa: B018 - probes
    assert told(caught.value) == ("buildah does not work here", ("no store",), see_doctor("buildah"))


# What is made of a build, whatever the engine says of it.

WRITE = 'for word; do case "$word" in --iidfile=*) %s > "${word#--iidfile=}";; esac; done'
WRITES_ID = WRITE % f"echo {ID}"
_NOT_FOUND = 'echo "Error: No such image: x" >&2; exit 1'


def engine(build: str = ":", inspect: str = _NOT_FOUND, more: str = "") -> str:
    """Any of the three engines, building and being asked for an image as told."""
    return f'case $1 in build|buildx) echo building; {build};; image|inspect) {inspect};; {more} *) echo "$@";; esac'


def found(name: str, platform: str = "linux/amd64") -> str:
    """The script with which an engine tells of the image ID."""
    system, architecture, variant = (*platform.split("/"), "")[:3]
    image = {"Id": ID, "Os": system, "Architecture": architecture, "Variant": variant, "Config": {}}
    dockers = {"os": system, "architecture": architecture, "variant": variant}
    answers = {"docker": image, "podman": [image], "buildah": {"FromImageID": ID[7:], "Docker": dockers}}
    return f"echo '{json.dumps(answers[name])}'"


def build(name: str, shell: Shell, platform: str | None = None) -> Image:
    request = BuildRequest(shell.cwd, shell.cwd / "Dockerfile", shell.cwd / "iid", tags=("app",))
    return ENGINES[name].build(replace(request, platform=Platform.parse(platform) if platform else None), shell)


@pytest.mark.parametrize("name", ENGINES)
def test_a_build_gives_the_image_that_is_in_the_store(name: str, install: Install, shell: Shell) -> None:
    (shell.cwd / "iid").write_text("sha256:" + "cd" * 32)
    install(name, engine(WRITES_ID, found(name, "linux/arm/v7")))
    expected = Image(ID, ("app",), Platform("linux", "arm", "v7"))
    assert [build(name, shell), build(name, shell, "linux/arm"), build(name, shell, "linux/arm/v7")] == [expected] * 3


@pytest.mark.parametrize("name", ["podman", "buildah"])
@pytest.mark.parametrize(("times", "succeeds"), [(1, True), (2, True), (3, False)])
def test_a_build_that_another_process_disturbed_is_tried_again(
    name: str, times: int, succeeds: bool, install: Install, shell: Shell, tmp_path: Path
) -> None:
    said = "Error: checking if cached image exists from a previous build: getting top layer info: layer not known"
    # Each try leaves a file, as long as there are some to be left.
    left = [f"{tmp_path}/try{number}" for number in range(times)]
    steps = "".join(f"[ -e {file} ] || {{ : > {file}; echo '{said}' >&2; exit 125; }}; " for file in left)
    install(name, engine(f"{steps}{WRITES_ID}", found(name)))
    if succeeds:
        assert build(name, shell) == Image(ID, ("app",))
    else:
        with pytest.raises(CommandFailed):
            build(name, shell)
    assert calls(tmp_path).count("build") == min(times + 1, 3)


def test_an_image_that_does_not_say_its_variant_may_be_the_one_that_was_asked_for(
    install: Install, shell: Shell
) -> None:
    install("docker", engine(WRITES_ID, found("docker", "linux/arm64")))
    assert build("docker", shell, "linux/arm64/v8").platform == Platform("linux", "arm64")


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    ("iidfile", "image_is_there"),
    [(":", True), (WRITES_ID, False), (WRITE % ":", True), (WRITE % "echo ok", True), (WRITE % f"echo {ID}0", True)],
    ids=["no id", "no image", "empty", "a word", "too long"],
)
@pytest.mark.parametrize("is_stale", [False, True])
def test_exit_code_0_without_an_image_is_a_failure(
    name: str, iidfile: str, image_is_there: bool, is_stale: bool, install: Install, shell: Shell
) -> None:
    if is_stale:
        (shell.cwd / "iid").write_text(f"{ID}\n")
    install(name, engine(iidfile, found(name) if image_is_there else _NOT_FOUND))
    with pytest.raises(CommandFailed) as caught:
        build(name, shell)
    message = f"{name} build ended with exit code 0, but there is no image"
    assert told(caught.value) == (message, (), "it may have been stopped from outside; run it again")


@pytest.mark.parametrize("name", ENGINES)
def test_a_build_that_fails_has_no_image_whatever_it_wrote(name: str, install: Install, shell: Shell) -> None:
    install(name, engine(f"{WRITES_ID}; for n in 1 2 3 4 5 6 7 8 9; do echo $n; done >&2; exit 9", found(name)))
    with pytest.raises(CommandFailed) as caught:
        build(name, shell)
    assert told(caught.value) == (f"{name} build failed with exit code 9", tuple("23456789"), None)
    install(name, engine(f"{WRITES_ID}; kill -9 $$", found(name)))
    with pytest.raises(CommandFailed) as caught:
        build(name, shell)
    assert told(caught.value) == (f"{name} build was ended by SIGKILL", ("building",), None)
    assert caught.value.returncode == -9


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("answer", ["echo garbage", "echo '{}'", "echo '[]'", "echo null", ":"])
def test_an_image_that_is_not_understood_is_an_error(name: str, answer: str, install: Install, shell: Shell) -> None:
    install(name, engine(WRITES_ID, answer))
    with pytest.raises(EngineError) as caught:
        build(name, shell)
    asked = {
        "docker": "image inspect --format '{{json .}}'",
        "podman": "image inspect",
        "buildah": "inspect --type=image",
    }
    detail = (f"{name} {asked[name]} {ID}", *([answer.split()[1].strip("'")] if " " in answer else []))
    message = f"{ENGINES[name].engine} gave an answer that magnet does not understand"
    assert told(caught.value) == (message, detail, "this version of it may be too new or too old for magnet")


@pytest.mark.parametrize("name", ENGINES)
def test_an_image_that_cannot_be_inspected_is_an_error(name: str, install: Install, shell: Shell) -> None:
    install(name, engine(WRITES_ID, "echo disk on fire >&2; exit 1"))
    with pytest.raises(EngineError) as caught:
        build(name, shell)
    assert told(caught.value) == (f"{ENGINES[name].engine} cannot inspect `{ID}`", ("disk on fire",), None)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    ("built", "wanted"),
    [("linux/amd64", "linux/arm64"), ("linux/arm/v6", "linux/arm/v7"), ("windows/amd64", "linux/amd64")],
)
def test_an_image_of_another_platform_is_an_error(
    name: str, built: str, wanted: str, install: Install, shell: Shell
) -> None:
    install(name, engine(WRITES_ID, found(name, built)))
    with pytest.raises(EngineError) as caught:
        build(name, shell, wanted)
    message = f"{ENGINES[name].engine} built for {built}, not for {wanted}"
    hint = f"the base image may exist for {built} only; use a base that has {wanted}"
    assert told(caught.value) == (message, (), hint)


def registry(shell: Shell, *, is_here: bool, can_be_had: bool) -> str:
    """A docker that has the image `app`, or can fetch it."""
    marker = shell.cwd / "image"
    if is_here:
        marker.write_text("")
    fetch = f"pull) : > {marker};;" if can_be_had else "pull) echo not found >&2; exit 1;;"
    return engine(inspect=f"[ -e {marker} ] && {found('docker')} || {{ {_NOT_FOUND}; }}", more=fetch)


LOOK, FETCH = ["image"], ["image", "pull", "image"]


@pytest.mark.parametrize(
    ("pull", "is_here", "can_be_had", "expected"),
    [
        *((policy, True, had, LOOK) for policy in ("missing", "never") for had in (True, False)),
        *((policy, True, True, FETCH) for policy in ("newer", "always")),
        *((policy, False, True, FETCH) for policy in ("missing", "newer", "always")),
        ("newer", True, False, FETCH[:2]),
    ],
)
def test_a_pull_policy_has_one_meaning(
    pull: Pull, is_here: bool, can_be_had: bool, expected: list[str], install: Install, shell: Shell
) -> None:
    install("docker", registry(shell, is_here=is_here, can_be_had=can_be_had))
    assert DOCKER.resolve("app", shell, pull=pull) == Image(ID)
    assert calls(shell.cwd) == expected


CANNOT = ("and it cannot be pulled", ("not found",), "build it first, or correct its name")


@pytest.mark.parametrize(
    ("pull", "is_here", "why", "detail", "hint"),
    [
        *((policy, False, *CANNOT) for policy in ("missing", "newer", "always")),
        ("always", True, *CANNOT),
        ("never", False, "and `pull` is `never`", (), "build or pull the image first"),
    ],
)
def test_an_image_that_the_policy_does_not_give_is_an_error(
    pull: Pull, is_here: bool, why: str, detail: tuple[str, ...], hint: str, install: Install, shell: Shell
) -> None:
    install("docker", registry(shell, is_here=is_here, can_be_had=False))
    with pytest.raises(MagnetError) as caught:
        DOCKER.resolve("app", shell, pull=pull)
    assert told(caught.value) == (f"no image `app` in docker 28.2.2, {why}", detail, hint)


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_a_detached_container_is_known_by_the_id_that_the_engine_says(
    name: str, install: Install, shell: Shell
) -> None:
    install(name, engine(inspect=found(name), more="run) echo pulling; echo 0123abcd;;"))
    request = RunRequest("app", ("x",), detach=True)
    assert ENGINES[name].run(request, shell, "run-1") == RunResult(container="0123abcd")


@pytest.mark.parametrize("name", ENGINES)
def test_a_containers_exit_code_is_a_result_and_an_engines_an_error(name: str, install: Install, shell: Shell) -> None:
    for code in (0, 7, 125):
        install(name, engine(inspect=found(name), more=f"run) echo 'it ran'; exit {code};;"))
        assert ENGINES[name].run(RunRequest("app", ("x",)), shell, "run-1") == RunResult(code)
    install(name, engine(inspect=found(name), more="run) echo 'Error: no room' >&2; exit 125;;"))
    with pytest.raises(EngineError) as caught:
        ENGINES[name].run(RunRequest("app", ("x",)), shell, "run-1")
    assert told(caught.value) == (f"{ENGINES[name].engine} could not run the container", ("Error: no room",), None)


@pytest.mark.parametrize("fails", ["from", "run"])
def test_buildahs_container_is_removed_whatever_fails(fails: str, install: Install, shell: Shell) -> None:
    install("buildah", engine(inspect=found("buildah"), more=f"{fails}) echo 'Error: no room' >&2; exit 125;;"))
    with pytest.raises(MagnetError) as caught:
        BUILDAH.run(RunRequest("app", ("x",)), shell, "run-1")
    messages = {"from": "buildah from failed with exit code 125", "run": "buildah 1.28.2 could not run the container"}
    assert told(caught.value) == (messages[fails], ("Error: no room",), None)
    assert calls(shell.cwd) == ["inspect", "from", *(["run"] if fails == "run" else []), "rm"]


def test_images_are_listed_once_under_the_name_that_was_asked_for(install: Install) -> None:
    row = {
        "Id": ID[7:],
        "Names": ["localhost/app:1", "localhost/other:1", "localhost/myapp:1"],
        "Size": 1,
        "Created": 1,
    }
    install("podman", f"echo '{json.dumps([row, row])}'")
    everything = [ImageListing(f"localhost/{name}", "1", ID, 1, "1B") for name in ("app", "other", "myapp")]
    assert PODMAN.images() == tuple(everything)
    for name in ("app", "app:1", "localhost/app", "localhost/app:1"):
        assert PODMAN.images(name) == (everything[0],)
    assert PODMAN.images("pp") == PODMAN.images("app:2") == ()


def test_a_list_that_fails_is_an_error_unless_there_is_no_such_image(install: Install) -> None:
    install("docker", _NOT_FOUND)
    assert DOCKER.images("x") == ()
    install("docker", DOWN)
    for name in (None, "x"):
        with pytest.raises(EngineError) as caught:
            DOCKER.images(name)
        detail = ("Cannot connect to the Docker daemon at unix:///x/docker.sock. Is the docker daemon running?",)
        assert told(caught.value) == ("docker 28.2.2 cannot list its images", detail, None)


def test_a_pull_is_believed_only_when_the_image_is_there(install: Install, shell: Shell) -> None:
    install("docker", engine(more="pull) echo pulled;;"))
    with pytest.raises(EngineError) as caught:
        DOCKER.pull("app", shell)
    assert told(caught.value) == ("docker 28.2.2 said that it pulled `app`, but does not have it", (), None)


@pytest.mark.parametrize(
    ("word", "ask"),
    [
        ("tag", lambda shell: PODMAN.tag("app", ["b"], shell)),
        ("rmi", lambda shell: PODMAN.remove("app", shell)),
        ("push", lambda shell: PODMAN.push("app", shell)),
        ("pull", lambda shell: PODMAN.pull("app", shell)),
    ],
)
def test_a_small_command_that_fails_is_named(
    word: str, ask: Callable[[Shell], object], install: Install, shell: Shell
) -> None:
    install("podman", "echo no >&2; exit 125")
    with pytest.raises(CommandFailed) as caught:
        ask(shell)
    assert told(caught.value) == (f"podman {word} failed with exit code 125", ("no",), None)
    assert caught.value.returncode == 125


@pytest.mark.parametrize(("containers", "expected"), [("a b", ["ps", "rm"]), ("", ["ps"])])
def test_containers_of_a_run_are_removed_where_there_are_any(
    containers: str, expected: list[str], install: Install, tmp_path: Path
) -> None:
    install("podman", f"case $1 in ps) echo {containers};; esac")
    PODMAN.remove_containers("r")
    assert calls(tmp_path) == expected


def test_a_dry_run_runs_nothing(install: Install, shell: Shell) -> None:
    printed: list[Command] = []
    dry = replace(shell, dry_run=True, echo=printed.append)
    for name in ENGINES:
        install(name, engine())
        assert build(name, dry) == Image("", ("app",))
    assert [command.argv[0] for command in printed] == list(ENGINES)
    assert calls(shell.cwd) == []


# Several images at once


def inspected(number: int) -> str:
    return json.dumps({"Id": f"{number:064x}", "Os": "linux", "Architecture": "amd64"})


def asked(shell: Shell, *names: str) -> Mapping[str, Image | None]:
    with PODMAN.asking(names, shell) as answers:
        return answers()


MISSING = "Error: inspecting object: b: image not known"


def test_podman_is_asked_once_for_several_images(install: Install, shell: Shell, tmp_path: Path) -> None:
    also = "error inspecting object: d: image not known"
    script = f"echo '[{inspected(1)},{inspected(2)}]'; echo '{also}' >&2; echo '{MISSING}' >&2; exit 125"
    install("podman", script)
    one, two = (Image(f"sha256:{number:064x}") for number in (1, 2))
    assert asked(shell, "a", "b", "c", "d", "a") == {"a": one, "b": None, "c": two, "d": None}
    assert (tmp_path / "calls").read_text() == "image inspect a b c d\n"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (f"echo '[]'; echo '{MISSING}' >&2; echo no space >&2; exit 125", "podman 4.3.1 cannot inspect `a`"),
        (f"echo '[{inspected(1)}]'; exit 125", "podman 4.3.1 cannot inspect `a`"),
        (f"echo '[{inspected(1)}]'", "podman 4.3.1 cannot inspect `a`"),
        ("echo garbage", "podman 4.3.1 gave an answer that magnet does not understand"),
        ("echo '[{}, {}]'", "podman 4.3.1 gave an answer that magnet does not understand"),
    ],
    ids=["one is not told", "a failure without a reason", "too few", "no JSON", "no images"],
)
def test_images_are_told_apart_or_not_at_all(script: str, expected: str, install: Install, shell: Shell) -> None:
    install("podman", script)
    with pytest.raises(EngineError) as caught:
        asked(shell, "a", "b")
    assert caught.value.message == expected
