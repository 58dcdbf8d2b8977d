"""What each engine is told, word by word, what its answers mean, and what it is never asked."""

import csv
import io
import json
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnet.backends import containers
from magnet.backends.base import Backend, Engine
from magnet.backends.buildah import Buildah
from magnet.backends.docker import Docker
from magnet.backends.features import features_of
from magnet.backends.options import BUILD_OPTIONS, MOUNT_OPTIONS, RUN_OPTIONS, OptionSpec
from magnet.backends.podman import Podman
from magnet.errors import EngineError, MagnetfileError
from magnet.model import RUN_LABEL, BuildRequest, Command, Image, ImageListing, Mount, Option, Platform, RunRequest
from magnet.process import Children, Completed, Shell, render_script
from magnet.values import replace

BUILDKIT = Docker(Engine("docker", "20.10.24", builder="buildkit", features=features_of("buildkit", "20.10.24")))
BUILDX = Docker(Engine("docker", "28.2.2", builder="buildx", features=features_of("buildkit", "28.2.2")))
LEGACY = Docker(Engine("docker", "28.2.2", builder="legacy", features=features_of("legacy", "28.2.2")))
DOCKER_ROOTLESS = Docker(replace(BUILDX.engine, rootless=True))
PODMAN = Podman(Engine("podman", "4.3.1", features=features_of("podman", "4.3.1")))
PODMAN_ROOTLESS = Podman(replace(PODMAN.engine, rootless=True))
BUILDAH = Buildah(Engine("buildah", "1.28.2", features=features_of("buildah", "1.28.2")))
BUILDAH_ROOTLESS = Buildah(replace(BUILDAH.engine, rootless=True))
BUILDAH_CHROOT = Buildah(replace(BUILDAH.engine, features=BUILDAH.engine.features - {"network"}))

BACKENDS: Mapping[str, Backend] = {
    "buildkit": BUILDKIT, "buildx": BUILDX, "legacy": LEGACY, "docker rootless": DOCKER_ROOTLESS,
    "podman": PODMAN, "podman rootless": PODMAN_ROOTLESS, "buildah": BUILDAH, "buildah rootless": BUILDAH_ROOTLESS,
}  # fmt: skip
ONE_OF_EACH = {"docker": BUILDX, "podman": PODMAN, "buildah": BUILDAH}

ID = "sha256:" + "ab" * 32
IMAGE = Image(ID, entrypoint=("/entry", "point"), command=("com", "mand"))

BUILD = BuildRequest(Path("/ctx"), Path("/s/Dockerfile"), Path("/s/iid"))
FULL_BUILD = replace(
    BUILD,
    ignorefile=Path("/s/ignore"),
    tags=("a:1", "b"),
    build_args={"A": "1 = 2", "B": ""},
    stage="last",
    no_cache=True,
    labels={"l": "v w"},
    platform=Platform("linux", "arm", "v7"),
    options=(Option("--cpu-quota", "1000"), Option("--cgroup-parent", "/c")),
)
BUILD_WORDS = ("--iidfile=/s/iid", "--file=/s/Dockerfile")
FULL_BUILD_WORDS = (
    *BUILD_WORDS, "--tag=a:1", "--tag=b", "--build-arg=A=1 = 2", "--build-arg=B=", "--label=l=v w", "--target=last",
    "--platform=linux/arm/v7", "--no-cache", "--cpu-quota=1000", "--cgroup-parent=/c",
)  # fmt: skip

RUN = RunRequest(image="app")
FULL_RUN = RunRequest(
    image="app",
    command=("say", "a b"),
    entrypoint=("sh", "-e", "-c"),
    user="7:8",
    mounts=(Mount("/src", "/dst"), Mount("/a,b", "/ro", readonly=True, consistency="cached")),
    env={"A": "1 = 2", "B": ""},
    workdir="/w",
    network="none",
    options=(Option("--hostname", "h"), Option("--memory", "1g")),
)  # fmt: skip
DOCKERS_OWN = replace(
    FULL_RUN, privileged=True, read_only=True, detach=True, interactive=True, tty=True, name="n", labels={"l": "v w"},
    options=(*FULL_RUN.options, Option("--init")),
)  # fmt: skip
DOCKERS_OWN_WORDS = (
    "--label=l=v w", "--rm", "--detach", "--interactive", "--tty", "--privileged", "--read-only", "--name=n",
    "--user=7:8", "--workdir=/w", "--network=none", "--entrypoint=sh", "--mount=type=bind,source=/src,target=/dst",
    '--mount=type=bind,"source=/a,b",target=/ro,readonly,consistency=cached', "--env=A=1 = 2", "--env=B=",
    "--hostname=h", "--memory=1g", "--init",
)  # fmt: skip


UNLIKE_DOCKER = ("--http-proxy=false", "--unsetenv=TERM", "--unsetenv=container")
PODMANS_OWN = ("--http-proxy=false", "--unsetenv=container", "--read-only-tmpfs=false")


@pytest.fixture
def printed() -> list[Command]:
    """The commands that the shell was asked for."""
    return []


@pytest.fixture
def shell(tmp_path: Path, printed: list[Command], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell of a dry run, for an engine that answers every question with one image."""
    monkeypatch.setattr(Backend, "inspect", lambda *_: IMAGE)
    return Shell(Children(), lambda stream, data: None, printed.append, tmp_path, {}, nullcontext, dry_run=True)


def run_words(backend: Backend, request: RunRequest, image: Image = IMAGE) -> tuple[str, ...]:
    return backend.run_plan(request, image, "run-1").main.argv


def refusal(error: pytest.ExceptionInfo[EngineError]) -> tuple[str, tuple[str, ...], str | None]:
    return error.value.message, error.value.detail, error.value.hint


_CAPABILITIES = "--cap-add=AUDIT_WRITE,MKNOD,NET_RAW"
_BUILDAH_BUILD = ("buildah", "build", "--layers", "--force-rm", "--pull=false", "--format=docker", _CAPABILITIES)
_KIT = {"DOCKER_BUILDKIT": "1", "PROGRESS_NO_TRUNC": "1"}


@pytest.mark.parametrize(
    ("backend", "before", "ignore", "env", "stop_steps_first"),
    [
        (BUILDKIT, ("docker", "build", "--progress=plain"), (), _KIT, False),
        (BUILDX, ("docker", "buildx", "build", "--progress=plain", "--load"), (), _KIT, False),
        (LEGACY, ("docker", "build", "--force-rm"), (), {"DOCKER_BUILDKIT": "0"}, False),
        (PODMAN, ("podman", "build", "--format=docker", _CAPABILITIES), ("--ignorefile=/s/ignore",), {}, True),
        (BUILDAH, _BUILDAH_BUILD, ("--ignorefile=/s/ignore",), {}, True),
    ],
    ids=["buildkit", "buildx", "legacy", "podman", "buildah"],
)
def test_a_build_is_told_all_that_was_asked_for_and_nothing_else(
    backend: Backend, before: tuple[str, ...], ignore: tuple[str, ...], env: dict[str, str], stop_steps_first: bool
) -> None:
    full = backend.build_command(FULL_BUILD)
    assert full == Command((*before, *FULL_BUILD_WORDS, *ignore, "/ctx"), env, stop_steps_first)
    assert backend.build_command(BUILD) == Command((*before, *BUILD_WORDS, "/ctx"), env, stop_steps_first)


def test_a_build_into_a_tar_makes_no_image() -> None:
    request = replace(BUILD, tar=Path("/s/a,b.tar"))
    words = ('--output=type=tar,"dest=/s/a,b.tar"', "--file=/s/Dockerfile", "/ctx")
    assert BUILDKIT.build_command(request).argv == ("docker", "build", "--progress=plain", *words)
    assert BUILDX.build_command(request).argv == ("docker", "buildx", "build", "--progress=plain", *words)


@pytest.mark.parametrize(
    ("backend", "program", "more"),
    [
        (BUILDX, ("docker", "run"), ()),
        (PODMAN, ("podman", "run"), PODMANS_OWN),
        (PODMAN_ROOTLESS, ("podman", "run", "--userns=keep-id:uid=7,gid=8"), PODMANS_OWN),
    ],
    ids=["docker", "podman", "podman rootless"],
)
def test_a_run_is_told_all_that_was_asked_for_and_nothing_else(
    backend: Backend, program: tuple[str, ...], more: tuple[str, ...]
) -> None:
    plan = backend.run_plan(DOCKERS_OWN, IMAGE, "run-1")
    assert plan.main == Command((*program, *DOCKERS_OWN_WORDS, *more, ID, "-e", "-c", "say", "a b"))
    assert (plan.before, plan.after) == ((), ())
    plain = UNLIKE_DOCKER if backend.name == "podman" else ()
    assert run_words(backend, replace(RUN, remove=False)) == (*program[:2], *plain, ID)


def test_buildah_makes_a_container_runs_in_it_and_removes_it() -> None:
    plan = BUILDAH.run_plan(replace(FULL_RUN, tty=True), IMAGE, "run-1")
    made = ("buildah", "from", "--pull-never", "--name=run-1", "--http-proxy=false", "--memory=1g", ID)
    assert plan.before == (Command(made),)
    assert plan.main.argv == (
        "buildah", "run", "--tty", "--user=7:8", "--workingdir=/w", "--network=none",
        "--volume=/src:/dst:rw", "--volume=/a,b:/ro:ro", "--env=A=1 = 2", "--env=B=",
        "--hostname=h", "--", "run-1", "sh", "-e", "-c", "say", "a b",
    )  # fmt: skip
    assert plan.after == (Command(("buildah", "rm", "run-1")),)
    assert BUILDAH.run_plan(replace(RUN, remove=False), IMAGE, "run-1").after == ()


@pytest.mark.parametrize(
    ("name", "user", "expected"),
    [
        *((name, None, []) for name in BACKENDS),
        *((name, "www", ["--user=www"]) for name in BACKENDS),
        *((name, "0", ["--user=0"]) for name in BACKENDS),
        *((name, "0:8", ["--user=0:8"]) for name in BACKENDS),
        *((name, "7", ["--user=7"]) for name in BACKENDS if name != "podman rootless"),
        *((name, "7:8", ["--user=7:8"]) for name in BACKENDS if name != "podman rootless"),
        *((name, "host", ["--user=1234:1235"]) for name in BACKENDS if "rootless" not in name),
        ("docker rootless", "host", ["--user=0:0"]),
        ("buildah rootless", "host", ["--user=0:0"]),
        ("podman rootless", "host", ["--userns=keep-id", "--user=1234:1235"]),
        ("podman rootless", "7", ["--userns=keep-id:uid=7,gid=7", "--user=7"]),
        ("podman rootless", "7:8", ["--userns=keep-id:uid=7,gid=8", "--user=7:8"]),
        ("podman rootless", "7:0", ["--userns=keep-id:uid=7,gid=0", "--user=7:0"]),
    ],
)
def test_the_user_is_the_one_whose_files_are_the_callers(
    name: str, user: str | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    monkeypatch.setattr(os, "getgid", lambda: 1235)
    words = run_words(BACKENDS[name], replace(RUN, user=user))
    assert [word for word in words if word.startswith("--user")] == expected


def mount_fields(backend: Backend, mount: Mount) -> list[list[str]]:
    """The records that an engine reads, as a line of CSV each, from what it is told of a mount."""
    value = run_words(backend, replace(RUN, mounts=(mount,)))[3].removeprefix("--mount=")
    return list(csv.reader(io.StringIO(value, newline="")))


# A path can hold anything but NUL; of what ends a line, Go's reader of CSV turns CR LF into LF.
PATHS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1)


@given(st.sampled_from([BUILDX, PODMAN]), PATHS, PATHS, st.booleans())
def test_docker_and_podman_read_the_very_paths_of_a_mount(
    backend: Backend, source: str, target: str, readonly: bool
) -> None:
    flag = ["readonly"] if readonly else []
    expected = ["type=bind", f"source={source}", f"target={target}", *flag, "consistency=delegated"]
    assert mount_fields(backend, Mount(source, target, readonly, "delegated")) == [expected]


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        (Mount("/a b", "/c"), "--volume=/a b:/c:rw"),
        (Mount("/a", "/c:d", readonly=True), "--volume=/a:/c\\:d:ro"),
        (Mount("/a,b:c\\:d", "/e"), "--volume=/a,b\\:c\\\\:d:/e:rw"),
        (Mount("/a", "/c,d", readonly=True), "--volume=/a:/c,d:ro"),
        (Mount("/a", "/c", consistency="cached"), "--volume=/a:/c:rw"),
    ],
)
def test_buildah_is_given_a_mount_with_its_colons_marked(mount: Mount, expected: str) -> None:
    assert run_words(BUILDAH, replace(RUN, mounts=(mount,)))[2] == expected


@pytest.mark.parametrize(("source", "target"), [("/a\\", "/d"), ("/a", "/d\\")])
def test_buildah_refuses_a_mount_that_it_has_no_spelling_for(source: str, target: str) -> None:
    with pytest.raises(EngineError) as caught:
        run_words(BUILDAH, replace(RUN, mounts=(Mount(source, target),)))
    path = source if source.endswith("\\") else target
    message = f"buildah cannot mount a path that ends in a backslash: {path}"
    assert refusal(caught) == (message, (), "rename it, or use --backend docker or --backend podman")


@pytest.mark.parametrize(
    ("entrypoint", "command", "flags", "words", "buildah"),
    [
        (None, (), [], [], ["/entry", "point", "com", "mand"]),
        (None, ("x", "y"), [], ["x", "y"], ["/entry", "point", "x", "y"]),
        (("e",), (), ["--entrypoint=e"], [], ["e"]),
        (("e", "f", "g"), ("x",), ["--entrypoint=e"], ["f", "g", "x"], ["e", "f", "g", "x"]),
        ((), ("x",), ["--entrypoint="], ["x"], ["x"]),
    ],
)
def test_entrypoint_and_command_mean_the_same_on_every_engine(
    entrypoint: tuple[str, ...] | None, command: tuple[str, ...], flags: list[str], words: list[str], buildah: list[str]
) -> None:
    request = replace(RUN, entrypoint=entrypoint, command=command, remove=False)
    assert run_words(BUILDX, request) == ("docker", "run", *flags, ID, *words)
    assert run_words(PODMAN, request) == ("podman", "run", *flags, *UNLIKE_DOCKER, ID, *words)
    assert run_words(BUILDAH, request) == ("buildah", "run", "--", "run-1", *buildah)


@pytest.mark.parametrize("request_", [RUN, replace(RUN, entrypoint=())])
def test_buildah_says_when_there_is_nothing_to_run(request_: RunRequest) -> None:
    with pytest.raises(MagnetfileError) as caught:
        run_words(BUILDAH, request_, Image(ID))
    assert caught.value.message == "the image `app` has no command of its own"
    assert caught.value.hint == "give the command to run in it"


_PS = "ps --all --quiet --no-trunc --filter label=dev.magnet.run=r"
_ARM = Platform("linux", "arm64")
_PULL_ARM = "pull --platform linux/arm64 app"
_Make = Callable[[Backend], Command]


@pytest.mark.parametrize(
    ("make", "docker", "podman", "buildah"),
    [
        (lambda one: one.inspect_command("app"),
         "image inspect --format '{{json .}}' app", "image inspect app", "inspect --type=image app"),
        (lambda one: one.images_command(None),
         "images --no-trunc --format '{{json .}}'", "images --format json", "images --json --no-trunc"),
        (lambda one: one.images_command("app"),
         "images --no-trunc --format '{{json .}}' app", "images --format json app",
         "images --json --no-trunc --filter=reference=app"),
        (lambda one: one.containers_command("r"),
         _PS, _PS, "containers '--format={{.ContainerName}}' --filter=name=r-"),
        (lambda one: one.remove_containers_command(iter("ab")),
         "rm --force --volumes a b", "rm --force --time=0 --volumes a b", "rm a b"),
        (lambda one: one.pull_command("app", None), "pull app", "pull app", "pull --policy=always app"),
        (lambda one: one.pull_command("app", _ARM),
         _PULL_ARM, _PULL_ARM, "pull --policy=always --platform=linux/arm64 app"),
        (lambda one: one.push_command("app"), "push app", "push app", "push app"),
        (lambda one: one.remove_command("app"), "rmi app", "rmi app", "rmi app"),
        (lambda one: one.tag_command("app", iter("a")), "tag app a", "tag app a", "tag app a"),
    ],
    ids=["inspect", "all images", "images", "containers", "remove containers", "pull", "pull arm64", "push", "rmi", "tag"],
)  # fmt: skip
def test_questions_and_small_commands_are_in_the_engines_own_words(
    make: _Make, docker: str, podman: str, buildah: str
) -> None:
    told = {name: render_script(make(backend)) for name, backend in ONE_OF_EACH.items()}
    assert told == {"docker": f"docker {docker}", "podman": f"podman {podman}", "buildah": f"buildah {buildah}"}


_CONFIG = {
    "Entrypoint": ["/entry", "point"], "Cmd": ["com", "mand"], "Env": ["A=1=2", "B=", "C"], "User": "7:8",
    "WorkingDir": "/w", "Labels": {"l": "v"},
}  # fmt: skip
_NOTHING: dict[str, object] = {"Entrypoint": None, "Cmd": None, "Env": None, "User": "", "Labels": None}


def inspected(name: str, config: object, image_id: str = ID) -> bytes:
    """What an engine prints of an image."""
    if name == "buildah":
        # It also says this in a form of its own, beside which it puts what it was built from.
        docker = {"os": "linux", "architecture": "arm", "variant": "v7", "config": config}
        return json.dumps(
            {"Type": "x", "FromImage": "y", "FromImageID": image_id[7:], "Docker": docker}, indent=1
        ).encode()
    found = {"Id": image_id, "Os": "linux", "Architecture": "arm", "Variant": "v7", "Config": config}
    return json.dumps([{**found, "Id": image_id[7:]}] if name == "podman" else found).encode() + b"\n"


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_an_image_is_the_same_value_whichever_engine_tells_of_it(name: str) -> None:
    arm = Platform("linux", "arm", "v7")
    env = {"A": "1=2", "B": "", "C": ""}
    parse = ONE_OF_EACH[name].parse_image
    full = Image(ID, (), arm, ("/entry", "point"), ("com", "mand"), env, "7:8", "/w", {"l": "v"})
    assert parse(inspected(name, _CONFIG)) == full
    assert [parse(inspected(name, config)) for config in (_NOTHING, {}, None)] == [Image(ID, platform=arm)] * 3


_DOCKER_ROW = (
    '{"Containers":"N/A","CreatedAt":"2026-11-23 18:00:00 +0200 CEST","CreatedSince":"1 s","Digest":"x","ID":"%s",'
    '"Repository":"%s","SharedSize":"N/A","Size":"1.16MB","Tag":"%s","UniqueSize":"N/A","VirtualSize":"1.16MB"}\n'
)
_PODMAN_ROWS: list[dict[str, object]] = [
    {"Id": ID[7:], "Names": ["localhost:5000/a:1", "localhost/b:latest"], "Size": 1163000, "Created": 1795449600},
    {"Id": ID[7:], "Names": None, "Size": 999, "Created": 1795449600},
    {"Id": ID[7:], "Size": 1000, "Created": 1795449600},
]
_BUILDAH_ROWS = [
    {"id": ID[7:], "names": ["localhost:5000/a:1", "localhost/b:latest"], "size": "1.16 MB", "created": 1795449600},
    {"id": ID[7:], "names": None, "size": "999 B", "created": 1795449600},
    {"id": ID[7:], "size": "1 KB", "created": 1795449600},
]


@pytest.mark.parametrize(
    ("name", "output", "expected"),
    [
        ("docker", "", []),
        ("podman", "[]", []),
        ("buildah", "", []),
        ("buildah", "[]", []),
        (
            "docker",
            _DOCKER_ROW % (ID, "localhost:5000/a", "1") + "\n" + _DOCKER_ROW % (ID, "<none>", "<none>"),
            [("localhost:5000/a", "1", "1.16MB"), ("<none>", "<none>", "1.16MB")],
        ),
        (
            "podman",
            json.dumps(_PODMAN_ROWS),
            [("localhost:5000/a", "1", "1.16MB"), ("localhost/b", "latest", "1.16MB"),
             ("<none>", "<none>", "999B"), ("<none>", "<none>", "1kB")],
        ),
        (
            "buildah",
            json.dumps(_BUILDAH_ROWS),
            [("localhost:5000/a", "1", "1.16MB"), ("localhost/b", "latest", "1.16MB"),
             ("<none>", "<none>", "999B"), ("<none>", "<none>", "1KB")],
        ),
        (
            "podman",
            json.dumps([{**_PODMAN_ROWS[2], "Names": [f"docker.io/library/alpine@{ID}"]}]),
            [("docker.io/library/alpine", "<none>", "1kB")],
        ),
    ],
    ids=["no docker", "no podman", "no buildah", "[] buildah", "docker", "podman", "buildah", "by digest"],
)  # fmt: skip
def test_a_list_of_images_has_a_row_for_every_name(
    name: str, output: str, expected: list[tuple[str, str, str]]
) -> None:
    rows = [ImageListing(repository, tag, ID, 1795449600, size) for repository, tag, size in expected]
    assert ONE_OF_EACH[name].parse_images(output.encode()) == tuple(rows)


_KIT_23 = """#5 [2/2] RUN echo "a" && exit 3
#5 0.213 a
#5 ERROR: process "/bin/sh -c exit 3" did not complete successfully: exit code: 3
------
 > [2/2] RUN exit 3:
------
Dockerfile:2
--------------------
   2 | >>> RUN exit 3
--------------------
ERROR: failed to build: failed to solve: process "/bin/sh -c exit 3" did not complete successfully: exit code: 3
"""
_KIT_20 = """#5 ERROR: executor failed running [/bin/sh -c exit 3]: exit code: 3
------
 > [2/2] RUN exit 3:
------
executor failed running [/bin/sh -c exit 3]: exit code: 3
"""
_MISSING = 'failed to calculate checksum of ref 1::2: "/nosuch": not found'
_RUNTIME = (
    "error running container: from /usr/bin/crun creating container for [/bin/sh -c x]: open `/bin/sh`: No such file"
)
_JSON = """RUN printf '{"a": 1}' && exit 3"""


@pytest.mark.parametrize(
    ("name", "output", "expected"),
    [
        ("docker", _KIT_23, ("RUN exit 3: exit code 3",)),
        ("docker", _KIT_20, ("RUN exit 3: exit code 3",)),
        ("docker", 'ERROR: failed to solve: process "/app --x" did not complete successfully: exit code: 137',
         ("RUN /app --x: exit code 137",)),
        ("docker", "Step 2/2 : RUN exit 3\n ---> Running in 1\nThe command '/bin/sh -c exit 3' returned a non-zero code: 3\n",
         ("RUN exit 3: exit code 3",)),
        ("docker", f"#4 ERROR: {_MISSING}\nERROR: failed to solve: failed to compute cache key: {_MISSING}\n\nView build details: docker-desktop://x\n",
         (f"failed to compute cache key: {_MISSING}",)),
        ("docker", "ERROR: failed to build: failed to solve: dockerfile parse error on line 1: unknown instruction: FRM\n",
         ("dockerfile parse error on line 1: unknown instruction: FRM",)),
        ("docker", "error: failed to solve: rpc error: code = Unknown desc = dockerfile parse error line 1: unknown instruction: FRM",
         ("dockerfile parse error line 1: unknown instruction: FRM",)),
        ("docker", "Sending build context to Docker daemon  2.048kB\nError response from daemon: dockerfile parse error line 1: unknown instruction: FRM\n",
         ("dockerfile parse error line 1: unknown instruction: FRM",)),
        ("docker", "COPY failed: file not found in build context or excluded by .dockerignore: stat x: file does not exist", ()),
        ("docker", "", ()),
        ("podman", 'STEP 2/2: RUN exit 3\nError: building at STEP "RUN exit 3": while running runtime: exit status 3\n',
         ("RUN exit 3: exit code 3",)),
        ("podman", 'Error: error building at STEP "RUN exit 3": error while running runtime: exit status 3',
         ("RUN exit 3: exit code 3",)),
        ("podman", 'Error: building at STEP "COPY x /": checking on sources under "/ctx": copier: stat: "/x": no such file or directory',
         ('COPY x /: checking on sources under "/ctx": copier: stat: "/x": no such file or directory',)),
        ("podman", f'{_RUNTIME}\nError: building at STEP "RUN x": while running runtime: exit status 1\ntime="t" level=error msg="exit status 1"\n',
         ("RUN x: exit code 1", _RUNTIME)),
        ("podman", "Error: no FROM statement found\n", ("no FROM statement found",)),
        ("podman", 'level=warning msg="x"\n', ()),
        ("podman", f'Error: building at STEP "{_JSON}": while running runtime: exit status 3', (f"{_JSON}: exit code 3",)),
        (
            "docker",
            '#7 0.5 ERROR: failed to solve: process "inner" did not complete successfully: exit code: 2\n'
            '#7 ERROR: process "/bin/sh -c docker build ." did not complete successfully: exit code: 1',
            ("RUN docker build .: exit code 1",),
        ),
    ],
)  # fmt: skip
def test_the_failing_step_is_told_in_one_line(name: str, output: str, expected: tuple[str, ...]) -> None:
    assert ONE_OF_EACH[name].failed_step(output) == expected
    if name == "podman":
        assert BUILDAH.failed_step(output) == expected


_GONE = """docker: permission denied while trying to connect to the Docker daemon socket at unix:///x: Head "x": dial unix /x: connect: permission denied

Run 'docker run --help' for more information"""
_NOT_FOUND = "docker: Error response from daemon: exec: \"x\": executable file not found in $PATH: unknown.\n\nRun 'docker run --help'"
_OCI = "Error: crun: open `/x`: Permission denied: OCI permission denied"
_OWN = "Error: while running runtime: exit status 7"


@pytest.mark.parametrize(
    ("name", "code", "stderr", "expected"),
    [
        ("docker", 0, "Error: the program said so", 0),
        ("docker", 125, "", 125),
        ("docker", 125, "docker: Error response from daemon: no such image", None),
        ("docker", 127, _NOT_FOUND, 127),
        ("docker", 126, _GONE, None),
        ("docker", 126, "sh: x: Permission denied", 126),
        ("podman", 127, "Error: crun: executable file `x` not found in $PATH: No such file: OCI runtime error", 127),
        ("podman", 126, _OCI, None),
        ("podman", 125, 'Error: runc: exec: "x": not found', None),
        ("podman", 3, "Error: the program said so", 3),
        ("podman", 137, "", 137),
        ("buildah", 7, _OWN, 7),
        ("buildah", 1, "Error: while running runtime: exit status 1", 1),
        ("buildah", 1, "error running container: executable file `x` not found in $PATH\nError: exit status 1", 127),
        ("buildah", 1, "error running container: exec /etc: permission denied\nError: exit status 1", 126),
        ("buildah", 1, f"error running container: no space left\n{_OWN}", None),
        ("buildah", 125, "Error: no container with name run-1", None),
        ("buildah", 0, "Error: the program said so", 0),
    ],
)
def test_a_containers_exit_code_is_told_from_an_engines(
    name: str, code: int, stderr: str, expected: int | None
) -> None:
    assert ONE_OF_EACH[name].container_exit_code(Completed(code, b"", stderr.encode())) == expected


def test_what_buildah_adds_to_a_containers_output_is_left_out() -> None:
    written: list[tuple[int, bytes]] = []
    write = BUILDAH.container_write(lambda stream, data: written.append((stream, data)))
    own = _OWN.encode() + b"\n"
    write(1, own)
    write(2, b"a\n" + own + b"Error: exit status 7, says b\n")
    write(2, own)
    assert written == [(1, own), (2, b"a\nError: exit status 7, says b\n")]


@pytest.mark.parametrize(
    ("name", "stderr", "expected"),
    [
        ("docker", "Error: No such image: x", True),
        ("docker", "Error response from daemon: No such image: x:latest", True),
        ("podman", "Error: inspecting object: x: image not known", True),
        ("podman", "Error: no such object: x", True),
        ("buildah", "Error: importing settings: x: image not known", True),
        ("docker", "Cannot connect to the Docker daemon at unix:///x", False),
        ("podman", "Error: mkdir /x: permission denied", False),
        ("buildah", "", False),
    ],
)
def test_an_image_that_is_not_there_is_told_from_an_engine_that_fails(name: str, stderr: str, expected: bool) -> None:
    assert ONE_OF_EACH[name].is_missing(Completed(1, b"", stderr.encode())) is expected


IGNORED_BY_BUILDKIT = {
    "--cpu-period", "--cpu-quota", "--cpu-shares", "--cpuset-cpus", "--cpuset-mems", "--memory", "--memory-swap",
    "--security-opt",
}  # fmt: skip
# What a container of buildah's can be given, when it is made or when a command runs in it.
TAKEN_BY_BUILDAH = {
    "--add-host", "--cap-add", "--cap-drop", "--cgroup-parent", "--cpu-period", "--cpu-quota", "--cpu-shares",
    "--cpuset-cpus", "--cpuset-mems", "--device", "--dns", "--dns-search", "--hostname", "--ipc", "--memory",
    "--memory-swap", "--pid", "--security-opt", "--shm-size", "--ulimit", "--uts",
}  # fmt: skip
TRANSLATED = {"--add-host", "--cpus", "--tmpfs"}
"""Options of `run` that engines are not told as they are: see test_running_containers.py."""
REFUSED_IN_BUILDS: Mapping[str, tuple[set[str], str]] = {
    "buildkit": (IGNORED_BY_BUILDKIT | {"--cgroup-parent"}, "its BuildKit ignores it"),
    "buildx": (IGNORED_BY_BUILDKIT, "its BuildKit ignores it"),
    "legacy": ({"--security-opt"}, "it has that for containers only"),
}


def refused_options(ask: Callable[[Option], object], specs: tuple[OptionSpec, ...]) -> dict[str, str | None]:
    """Of options, those for which `ask` raises EngineError: its message and hint; None for those that it hands on."""
    outcomes: dict[str, str | None] = {}
    for spec in specs:
        try:
            ask(Option(spec.name, "x" if spec.metavar else None))
            outcomes[spec.name] = None
        except EngineError as error:
            outcomes[spec.name] = f"{error.message} / {error.hint}"
    return outcomes


def refusals(engine: Engine, names: set[str], why: str, specs: tuple[OptionSpec, ...]) -> dict[str, str | None]:
    """What `refused_options` is to find."""
    hint = "leave out `{name}`, or choose another engine with --backend"
    sentence = f"{engine} cannot do `{{name}}`: {why} / {hint}"
    return {spec.name: sentence.format(name=spec.name) if spec.name in names else None for spec in specs}


@pytest.fixture(autouse=True)
def no_other_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which a refusal finds no engine to name."""
    monkeypatch.setattr("magnet.backends.usable", lambda besides: {})


@pytest.mark.parametrize("name", BACKENDS)
def test_every_option_of_a_build_is_handed_on_or_refused(name: str, shell: Shell, printed: list[Command]) -> None:
    backend = BACKENDS[name]

    def ask(option: Option) -> None:
        printed.clear()
        backend.build(replace(BUILD, iidfile=shell.cwd / "iid", options=(option,)), shell)
        assert [command.argv.count(*option.argv()) for command in printed] == [1]

    names, why = REFUSED_IN_BUILDS.get("buildx" if name == "docker rootless" else name, (set(), ""))
    assert refused_options(ask, BUILD_OPTIONS) == refusals(backend.engine, names, why, BUILD_OPTIONS)


@pytest.mark.parametrize("backend", [PODMAN, BUILDAH], ids=["podman", "buildah"])
def test_limits_and_security_that_a_build_would_not_have_are_refused(
    backend: Backend, shell: Shell, printed: list[Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal_of(of: Backend, name: str, value: str) -> str | None:
        wanted = replace(BUILD, iidfile=shell.cwd / "iid", options=(Option(name, value),))
        try:
            of.build(wanted, shell)
        except EngineError as error:
            return error.message
        return None

    rootless = type(backend)(replace(backend.engine, rootless=True, cgroup_version="1"))
    newer = type(backend)(replace(rootless.engine, cgroup_version="2"))
    assert [refusal_of(one, "--memory", "64m") for one in (backend, newer)] == [None, None]
    assert refusal_of(rootless, "--cpuset-cpus", "0") == (
        f"{rootless.engine} cannot do `--cpuset-cpus`: with cgroups v1 only root may"
    )
    assert refusal_of(backend, "--security-opt", "label=disable") is None
    assert refusal_of(backend, "--security-opt", "no-new-privileges") == (
        f"{backend.engine} cannot build with `--security-opt=no-new-privileges`: it has that for containers only"
    )
    latest = type(backend)(replace(backend.engine, version={"podman": "5.4.2", "buildah": "1.39.3"}[backend.name]))
    assert refusal_of(latest, "--security-opt", "no-new-privileges") is None
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")
    chroot = BUILDAH_CHROOT if backend is BUILDAH else PODMAN
    assert refusal_of(chroot, "--memory", "64m") == (
        f"{chroot.engine} cannot do `--memory`: its chroot isolation ignores it"
    )


@pytest.mark.parametrize(
    ("name", "specs"),
    [
        ("docker", RUN_OPTIONS + MOUNT_OPTIONS),
        ("podman", RUN_OPTIONS + MOUNT_OPTIONS),
        ("buildah", RUN_OPTIONS),
    ],
)
def test_every_option_of_a_run_is_handed_on_or_refused(
    name: str, specs: tuple[OptionSpec, ...], shell: Shell, printed: list[Command]
) -> None:
    backend = ONE_OF_EACH[name]

    def ask(option: Option) -> None:
        if option.name in TRANSLATED:
            return
        printed.clear()
        backend.run(replace(RUN, options=(option,)), shell, "run-1")
        assert sum(command.argv.count(*option.argv()) for command in printed) == 1

    names = {spec.name for spec in specs} - TAKEN_BY_BUILDAH - TRANSLATED if name == "buildah" else set()
    why = "buildah's containers live for one command only"
    assert refused_options(ask, specs) == refusals(backend.engine, names, why, specs)


@pytest.mark.parametrize(
    "option",
    [
        Option("--volume", "/src:/dst:Z"),
        Option("--mount", "type=tmpfs,target=/t"),
        Option("--mount", "type=x,source=/volume"),
    ],
)
def test_buildah_is_told_of_mounts_of_its_kinds(option: Option) -> None:
    assert run_words(BUILDAH, replace(RUN, options=(option,)))[2] == option.argv()[0]


@pytest.mark.parametrize(
    "option",
    [
        Option("--volume", "name:/dst"),
        Option("--mount", "source=name,type=volume,target=/dst"),
        Option("--mount", "type=volume"),
    ],
)
def test_buildah_refuses_a_volume(option: Option, shell: Shell, printed: list[Command]) -> None:
    with pytest.raises(EngineError) as caught:
        BUILDAH.run(replace(RUN, options=(option,)), shell, "run-1")
    message = f"buildah 1.28.2 cannot do `{option.argv()[0]}`: it has no volumes"
    assert (*refusal(caught), printed) == (
        message,
        (),
        "mount a directory, or choose another engine with --backend",
        [],
    )


@pytest.mark.parametrize(("version", "rootless"), [("1.37.5", True), ("1.39.3", False), ("1.39.3", True)])
def test_a_name_server_is_refused_where_another_one_would_be_asked_too(version: str, rootless: bool) -> None:
    refused = Buildah(replace(BUILDAH.engine, version=version, rootless=rootless, ids=65537)).refused_run_options()
    is_refused = version == "1.39.3" and rootless
    assert refused.get("--dns") == ("it would also ask a server of its network's" if is_refused else None)


def test_buildahs_containers_have_the_labels_that_were_asked_for_and_not_the_runs_own() -> None:
    plan = BUILDAH.run_plan(replace(RUN, labels={"l": "v w", "m": "", RUN_LABEL: "r"}), IMAGE, "run-1")
    made = Command(("buildah", "from", "--pull-never", "--name=run-1", "--http-proxy=false", ID))
    assert plan.before == (made, Command(("buildah", "config", "--label=l=v w", "--label=m=", "run-1")))
    plan = BUILDAH.run_plan(replace(RUN, labels={RUN_LABEL: "r"}), IMAGE, "run-1")
    assert plan.before == (made,)


_ELSE = "docker and podman have it; none of the engines here can"


@pytest.mark.parametrize(
    ("backend", "wanted", "message", "hint"),
    [
        (
            Docker(replace(BUILDX.engine, rootless=True, features=BUILDX.engine.features - {"host-network"})),
            replace(RUN, network="host"),
            "docker 28.2.2 rootless cannot run with this machine's network (`host`)",
            "the daemon of an ordinary user is in a network of its own; docker, podman and buildah have it; none of the "
            "engines here can",
        ),
        (BUILDAH, replace(RUN, detach=True), "buildah 1.28.2 cannot leave a container running (`detach`)", _ELSE),
        (BUILDAH, replace(RUN, name="n"), "buildah 1.28.2 cannot give a container a name", _ELSE),
        (BUILDAH, replace(RUN, privileged=True), "buildah 1.28.2 cannot run a privileged container", _ELSE),
        (
            BUILDAH_ROOTLESS,
            replace(RUN, read_only=True),
            "buildah 1.28.2 rootless cannot run with a read-only root",
            _ELSE,
        ),
        (
            BUILDAH_CHROOT,
            replace(RUN, network="none"),
            "buildah 1.28.2 cannot run with the network `none`: the container would have this machine's",
            "unset BUILDAH_ISOLATION: only with `chroot` buildah cannot; docker, podman and buildah have it; none of the "
            "engines here can",
        ),
    ],
)
def test_a_run_that_needs_what_the_engine_lacks_is_refused_before_it_starts(
    backend: Backend, wanted: RunRequest, message: str, hint: str, shell: Shell, printed: list[Command]
) -> None:
    with pytest.raises(EngineError) as caught:
        backend.run(wanted, shell, "run-1")
    assert (*refusal(caught), printed) == (message, (), hint, [])


def test_a_refusal_names_the_engines_here_that_could(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def usable(besides: str) -> dict[str, Engine]:
        asked.append(besides)
        return {"docker": BUILDKIT.engine, "lacks-it": BUILDAH.engine, "podman": PODMAN_ROOTLESS.engine}

    monkeypatch.setattr("magnet.backends.usable", usable)
    with pytest.raises(EngineError) as caught:
        BUILDAH.run(replace(RUN, detach=True), shell, "run-1")
    assert caught.value.hint == (
        "docker and podman have it; here, `--backend docker` (20.10.24) or `--backend podman` (4.3.1) can"
    )
    assert asked == ["buildah"]


def test_a_platform_is_refused_by_the_legacy_builder_and_what_was_there_stays(shell: Shell) -> None:
    iidfile = shell.cwd / "iid"
    iidfile.write_text("earlier")
    with pytest.raises(EngineError) as caught:
        LEGACY.build(replace(BUILD, iidfile=iidfile, platform=Platform("linux", "arm64")), shell)
    message = "docker 28.2.2, legacy builder cannot build for a chosen platform"
    assert refusal(caught) == (
        message,
        (),
        "docker can with BuildKit: install its buildx plugin, and leave DOCKER_BUILDKIT alone; docker, podman and "
        "buildah have it; none of the engines here can",
    )
    assert iidfile.read_text() == "earlier"


def test_a_mount_whose_source_is_missing_is_refused_before_anything_runs(shell: Shell) -> None:
    with pytest.raises(MagnetfileError) as caught:
        PODMAN.run(replace(RUN, mounts=(Mount(shell.cwd / "nosuch", "/x"),)), shell, "run-1")
    assert caught.value.message == f"the source of a mount does not exist: {shell.cwd}/nosuch"
    assert caught.value.hint == "create it first, or correct the path; it is relative to the magnetfile's directory"


@pytest.mark.parametrize("backend", [PODMAN_ROOTLESS, BUILDAH_ROOTLESS], ids=["podman", "buildah"])
def test_mounts_of_caches_are_kept_apart_where_those_of_another_user_are_in_the_way(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(containers, "_SHARED_CACHE", str(tmp_path))
    request = replace(BUILD, mounts_caches=True)
    assert backend.build_command(request).env == {}
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    assert backend.build_command(request).env == {"TMPDIR": f"/var/tmp/magnet-{os.getuid()}"}
    assert backend.build_command(BUILD).env == {}
    monkeypatch.setenv("TMPDIR", "/own")
    assert backend.build_command(request).env == {}
