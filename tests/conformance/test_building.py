"""What a build can be asked for beside its Dockerfile."""

import os
import re
import socketserver
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.behaviours import INTERFACES, Behaviour, Case, Section, interfaces
from tests.conformance.conftest import Judge
from tests.conformance.together import Together, in_the_steps_of_one_build
from tests.contract.test_images_saved import forget

SECTION = Section(
    "What a build is asked for",
    "`magnet build` with its options, each with one meaning. Where an option is none of magnet's, the sentence is the "
    "same on all engines.",
    notes=(
        "What a step sees in `/sys`: rootless podman 4.3 and buildah 1.28 show this machine's there, also the names of its "
        "network interfaces; the step has no other way to them.",
    ),
)
behaviour = SECTION.behaviour


def test_building(judge: Judge, behaviour: Behaviour, tmp_path: Path) -> None:
    judge(f"building.{behaviour.id}", behaviour, tmp_path)


# ---- base images ----------------------------------------------------------------------------------------------------


@behaviour(
    "`--pull` with a base image that is only here: an error, for it was asked for and cannot be had",
    (1, "no image `BASE` in ENGINE, and it cannot be pulled"),
)
def pull_local_base(case: Case) -> object:
    case.dockerfile("RUN true")
    return case.error("build", "--pull", ".")


PULLING = """
from magnet import target

REMOTE = "REGISTRY/magnet-conformance/NAME".replace("localhost/", "").removesuffix(":1")
APP = {"file": "app", "build_args": {"REMOTE": REMOTE + ":1"}}


@target
def all(t):
    for which in ("old", "new"):
        t.build(file="base", tags=f"{REMOTE}:{which}", build_args={"WHICH": which}, labels={"which": which})
    t.tag(REMOTE + ":new", REMOTE + ":1")
    t.push(REMOTE + ":1")
    for policy in ("missing", "never", "newer", "always"):
        t.tag(REMOTE + ":old", REMOTE + ":1")
        t.output(policy + ": " + t.build(**APP, pull=policy).labels["which"])
    t.remove(REMOTE + ":1")
    t.output("absent: " + t.build(**APP).labels["which"])
"""


@behaviour(
    "A base image here is older than the registry's: `missing` (the default) and `never` use it, `newer` and `always` "
    "fetch the newer one; so does `missing` where there is none here",
    ["missing: old", "never: old", "newer: new", "always: new", "absent: new"],
)
def pull_policies(case: Case) -> object:
    case.files({"magnetfile.py": PULLING})
    case.dockerfile("FROM scratch", "ARG WHICH", "COPY base /")
    case.dockerfile("ARG REMOTE", "FROM $REMOTE", name="app")
    (case.magnet.root / "Dockerfile").rename(case.magnet.root / "base")
    return case.ok("all").splitlines()


@behaviour("`--pull=missing` and `--pull=never` with a base image that is only here: no registry is asked", [0, 0])
def pull_not_asked(case: Case) -> object:
    case.write(f="")
    case.dockerfile("COPY f /f")
    return [case.end("build", f"--pull={policy}", ".")[0] for policy in ("missing", "never")]


@behaviour(
    "`--pull=never` with a base image that is not here: an error",
    (3, "no image `localhost/test-nosuch` in ENGINE, and `pull` is `never`"),
)
def pull_never(case: Case) -> object:
    case.dockerfile("FROM localhost/test-nosuch")
    return case.error("build", "--pull=never", ".")


@behaviour("`--pull=garbage`: an error that says what there is", 2)
def pull_garbage(case: Case) -> object:
    case.dockerfile("RUN true")
    return case.error("build", "--pull=garbage", ".")[0]


# ---- the layer cache ------------------------------------------------------------------------------------------------


@behaviour("Layers before the first change are not built again; after it they are", [True, False, False])
def layer_cache(case: Case) -> object:
    case.dockerfile("RUN cat /proc/sys/kernel/random/uuid >/before", "COPY f /f", "RUN cp /f /after")
    case.write(f="one")
    case.build()
    first = case.layers()
    case.write(f="two")
    case.build()
    second = case.layers()
    return [one == two for one, two in zip(first[-3:], second[-3:], strict=True)]


@behaviour("`--no-cache` builds every layer again", False)
def no_cache(case: Case) -> object:
    run = "RUN cat /proc/sys/kernel/random/uuid"
    return case.steps(run, words=["--no-cache", "--rm", "--force-rm", "--compress"]) == case.steps(run)


# ---- stages, arguments, platforms -----------------------------------------------------------------------------------


def _which(case: Case, *words: str) -> str:
    """The label `which` of the image that is built."""
    case.ok("build", "-t", "NAME", *(words if "sub" in words else (*words, ".")))
    labels: dict[str, str] = case.configuration()["Labels"]
    return labels["which"]


@behaviour("`--target`: a stage that the wanted one does not need is not run, so that it cannot fail", "wanted")
def unused_stage(case: Case) -> object:
    case.dockerfile(
        "FROM BASE AS unused", "RUN false", "FROM BASE AS wanted", "LABEL which=wanted", "FROM wanted", "RUN false"
    )
    return _which(case, "--target", "wanted")


@behaviour("`--target 0`: a stage by its number, with a name or without", ["one", "one"])
def stage_number(case: Case) -> object:
    case.dockerfile("FROM BASE AS one", "LABEL which=one", "FROM BASE", "LABEL which=two")
    named = _which(case, "--target", "0")
    case.dockerfile("FROM BASE", "LABEL which=one", "FROM BASE", "LABEL which=two")
    return [named, _which(case, "--target", "0")]


@behaviour("`--target nosuch`: an error", (2, "`PROJECT/Dockerfile` has no stage `nosuch`"))
def stage_missing(case: Case) -> object:
    case.dockerfile("RUN true")
    code, said = case.error("build", "--target", "nosuch", ".")
    return code, said


@behaviour("A build arg that no instruction consumes does not fail the build", "ok")
def unused_arg(case: Case) -> object:
    case.dockerfile("LABEL which=ok")
    return _which(case, "--build-arg", "NOSUCH=1")


@behaviour("`--platform` of another architecture is that of the image, where nothing must be run", "arm64")
def other_platform(case: Case) -> object:
    case.dockerfile("FROM scratch", "COPY f /f")
    case.write(f="")
    case.build("--platform", "linux/arm64")
    return case.magnet.architecture(case.name)


@behaviour("`--platform` with a base image that is here for another one only: an error", True)
def platform_of_base(case: Case) -> object:
    case.dockerfile("COPY f /f")
    case.write(f="")
    return case.end("build", "--platform", "linux/arm64", ".")[0] in (1, 3)


# ---- networks, hosts, limits ----------------------------------------------------------------------------------------


def _network(case: Case, network: str) -> set[str]:
    """The interfaces that a step sees."""
    return set(case.steps(f"RUN {INTERFACES}", words=["--no-cache", "--network", network]).split())


@behaviour("`--network none`: a step sees no interface but `lo`", {"lo"})
def network_none(case: Case) -> object:
    return _network(case, "none")


@behaviour("`--network host`: a step sees this machine's interfaces", True)
def network_host(case: Case) -> object:
    before = interfaces()
    seen = _network(case, "host")
    # Other containers' come and go.
    return before & interfaces() <= seen


together = Together(SECTION, "options", in_the_steps_of_one_build)
together.add(
    "network_default",
    "`--network default` is what no `--network` is",
    see="echo ok",
    words=["--network=default"],
    expected="ok",
)
together.add(
    "add_host",
    "`--add-host`: a line in `/etc/hosts` of the steps",
    see="awk '$2 == \"foo\" {print $1}' /etc/hosts",
    words=["--add-host=foo:10.9.8.7"],
    expected="10.9.8.7",
)
together.add(
    "add_host_gateway",
    "`--add-host NAME:host-gateway`: an address of this machine",
    see="awk '$2 == \"gate\" {print $1}' /etc/hosts | grep -cE '^[0-9.]+$'",
    words=["--add-host=gate:host-gateway"],
    expected="1",
)
together.add(
    "shm_size",
    "`--shm-size`: the size of `/dev/shm` of the steps",
    see="df -m /dev/shm | awk 'END {print $2}'",
    words=["--shm-size=32m"],
    expected="32",
)
together.add(
    "ulimit",
    "`--ulimit`: a limit of the steps",
    see="echo $(ulimit -Sn):$(ulimit -Hn)",
    words=["--ulimit=nofile=77:88"],
    expected="77:88",
)
together.add(
    "memory",
    "`--memory`: the limit of the control group of the steps",
    see="cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes "
    "/sys/fs/cgroup/memory$(sed -n 's/.*:memory://p' /proc/self/cgroup)/memory.limit_in_bytes 2>/dev/null | "
    f"grep -c -x {64 << 20}",
    words=["--memory=64m"],
    expected="1",
)
together.add(
    "security_opt",
    "`--security-opt no-new-privileges`: so it is for the steps",
    see="awk '/NoNewPrivs/ {print $2}' /proc/self/status",
    words=["--security-opt=no-new-privileges"],
    expected="1",
)
together.add(
    "build_contexts",
    "`--build-context`: a directory, and an image, under other names",
    "COPY --from=named f /named",
    "COPY --from=image /bin/busybox /image",
    see="cat /named && cmp /image /bin/busybox && echo and equal",
    words=["--build-context=named=more", "--build-context=image=docker-image://BASE"],
    files={"more/f": "content\n"},
    expected="content\nand equal",
)
together.add(
    "secret",
    "`--secret`: a file for the step that mounts it",
    "RUN --mount=type=secret,id=s wc -c </run/secrets/s >/secret",
    see="cat /secret /run/secrets/s 2>/dev/null || echo and for no other",
    words=["--secret=id=s,src=s"],
    files={"s": "value"},
    expected="5\nand for no other",
)


@behaviour("`--ssh ID=SOCKET`: a socket for the step that mounts it, behind which the agent is", "a socket\n")
def ssh(case: Case) -> object:
    with _agent() as path:
        return case.steps(
            "RUN --mount=type=ssh,id=mine test -S $SSH_AUTH_SOCK && echo a socket",
            words=["--no-cache", "--ssh", f"mine={path}"],
        )


@contextmanager
def _agent() -> Iterator[Path]:
    """The socket of an SSH agent that has no keys (draft-ietf-sshm-ssh-agent)."""

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(4096):
                self.request.sendall(b"\0\0\0\5\x0c\0\0\0\0")

    # A path of a socket may be no longer than 107 bytes.
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as directory,
        socketserver.ThreadingUnixStreamServer(f"{directory}/agent", Answer) as server,
    ):
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Path(directory, "agent")
        finally:
            server.shutdown()
            thread.join()


# ---- what comes out -------------------------------------------------------------------------------------------------


@behaviour("`--iidfile` and `-q`: the image's id as `sha256:` and 64 digits, and the same in both", True)
def image_id(case: Case) -> object:
    case.dockerfile("RUN true")
    said = case.ok("build", "-q", "--iidfile", "iid", ".")
    return (
        re.fullmatch(r"sha256:[0-9a-f]{64}\n", said) is not None
        and (case.magnet.root / "iid").read_text() == said.strip()
    )


@behaviour("`--iidfile` of a build that fails: no file that could be taken for its result", (1, False))
def stale_iidfile(case: Case) -> object:
    case.dockerfile("RUN true")
    case.ok("build", "--iidfile", "iid", ".")
    case.dockerfile("RUN false")
    return case.end("build", "--iidfile", "iid", ".")[0], (case.magnet.root / "iid").exists()


@behaviour("Several `-t`: the image has each name", True)
def several_tags(case: Case) -> object:
    case.dockerfile("RUN true")
    case.build("-t", "NAME-b")
    return case.magnet.engine("inspect", "--type=image", case.name) == case.magnet.engine(
        "inspect", "--type=image", f"{case.name}-b"
    )


OUTPUTS = ("type=tar,dest=r.tar", "type=docker,dest=d.tar", "type=oci,dest=o.tar", "out")


@behaviour(
    "`-o` of each type: a file that is whole, and a directory with the image's files",
    (["r.tar", "d.tar", "o.tar"], ["f"]),
)
def outputs(case: Case) -> object:
    case.dockerfile("FROM scratch", "COPY f /f")
    case.write(f="f")
    case.build(*(word for output in OUTPUTS for word in ("-o", output)))
    archives = [name for name in ("r.tar", "d.tar", "o.tar") if tarfile.is_tarfile(case.magnet.root / name)]
    return archives, sorted(path.name for path in (case.magnet.root / "out").iterdir())


@behaviour(
    "`--cache-to` and `--cache-from`: a step that was left in a registry is not done where the engine has forgotten it",
    True,
)
def registry_cache(case: Case) -> object:
    mark = f"mark-{os.getpid()}-{case.magnet.column.name}"
    cache = f"REGISTRY/magnet-conformance/{mark}"
    case.dockerfile(f"RUN : {mark} && cat /proc/sys/kernel/random/uuid >/uuid")
    image = case.ok("build", "-q", "-t", "NAME", "--cache-to", cache, ".").strip()
    before = case.layers()
    forget(case.magnet, image, mark)
    case.build("--cache-from", cache)
    return case.layers() == before


@behaviour(
    "`--progress=rawjson`: the steps are vertices with Dockerfile's words, children of the target",
    ["[2/3] RUN echo one", "[3/3] COPY f /f"],
)
def progress(case: Case) -> object:
    case.dockerfile("RUN echo one", "COPY f /f")
    case.write(f="")
    result = case.magnet("--progress", "rawjson", "build", "--no-cache", ".")
    names = re.findall(r'"name": ?"(\[[23]/3\] [^"]*)"', result.out.decode())
    return list(dict.fromkeys(case.plain(name) for name in names))


UNKNOWN = ["--metadata-file=m", "--provenance=false", "--squash", "--isolation=chroot", "--timestamp=0"]


@behaviour(f"{', '.join(f'`{word}`' for word in UNKNOWN)}: none of magnet's, an error of usage", [2] * len(UNKNOWN))
def unknown_options(case: Case) -> object:
    case.dockerfile("RUN true")
    return [case.end("build", word, ".")[0] for word in UNKNOWN]


# ---- contexts and Dockerfiles ---------------------------------------------------------------------------------------


@behaviour("`-f` is relative to where the project is, in the context or outside of it", ["one", "two"])
def dockerfile_path(case: Case) -> object:
    case.dockerfile("LABEL which=one", name="docker/one")
    case.dockerfile("LABEL which=wrong", name="sub/docker/one")
    case.dockerfile("LABEL which=two", name="sub/two")
    return [_which(case, "-f", name, "sub") for name in ("docker/one", "sub/two")]


@behaviour("A directory without a Dockerfile: an error", 2)
def no_dockerfile(case: Case) -> object:
    (case.magnet.root / "empty").mkdir()
    return case.end("build", "empty")[0]


@behaviour("A `Containerfile` is found where there is no Dockerfile", "here")
def containerfile(case: Case) -> object:
    case.dockerfile("LABEL which=here", name="Containerfile")
    return _which(case)


@behaviour(
    "A context that is no directory (`-`, a tar file, a URL, a git repository): an error that says so",
    [
        (2, f"the build context `{name}` is not a directory")
        for name in ("-", "c.tar", "http://127.0.0.1/c.tar", "git://127.0.0.1/r.git")
    ],
)
def no_directory(case: Case) -> object:
    case.dockerfile("RUN true")
    case.write(c__tar="")
    return [case.error("build", name) for name in ("-", "c.tar", "http://127.0.0.1/c.tar", "git://127.0.0.1/r.git")]


@behaviour("`-f -`: an error", 2)
def dockerfile_on_stdin(case: Case) -> object:
    case.dockerfile("RUN true")
    return case.end("build", "-f", "-", ".", stdin=b"FROM scratch\n")[0]
