"""What is around the steps of a build: how it is read, what each engine is told, and what is refused."""

import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from magnet import Secret, dockerfile, limits, namedcontexts, secretfiles
from magnet import default_magnetfile as default
from magnet.backends import base as backends
from magnet.backends.base import Backend, Engine
from magnet.backends.buildah import Buildah
from magnet.backends.docker import Docker
from magnet.backends.features import FEATURES, NEEDS_A_RUNTIME, features_of
from magnet.backends.options import BUILD_KEYWORDS, BUILD_OPTIONS, parse_options
from magnet.backends.podman import Podman
from magnet.errors import EngineError, MagnetError, MagnetfileError, UsageError
from magnet.events import SolveStatus, VertexLog
from magnet.model import BuildRequest, Image, Network, Ulimit
from magnet.process import Children, Shell
from magnet.redact import Redactor
from magnet.values import replace

ALL = frozenset(feature.name for feature in FEATURES)
BUILDX = Docker(Engine("docker", "26.1.5", builder="buildx", features=ALL))
PODMAN = Podman(Engine("podman", "4.3.1", features=ALL))
BUILDAH = Buildah(Engine("buildah", "1.28.2", features=ALL))
EACH = pytest.mark.parametrize("backend", [BUILDX, PODMAN, BUILDAH], ids=["docker", "podman", "buildah"])

BUILD = BuildRequest(Path("/ctx"), Path("/s/Dockerfile"), Path("/s/iid"))
HOSTS = (("one", "10.9.8.1"), ("one", "10.9.8.2"), ("six", "::1"))


def told(backend: Backend, **fields: Any) -> list[str]:
    """What the engine is told of a request with these fields, and is not told of one without."""
    plain = backend.build_command(BUILD).argv
    return [word for word in backend.build_command(replace(BUILD, **fields)).argv if word not in plain]


@EACH
def test_engines_are_told_what_is_around_a_step_as_all_of_them_read_it(backend: Backend) -> None:
    assert not any(word.startswith("--network") for word in backend.build_command(BUILD).argv)
    assert [told(backend, network=one) for one in ("none", "host")] == [["--network=none"], ["--network=host"]]
    assert told(backend, hosts=HOSTS) == ["--add-host=one:10.9.8.1", "--add-host=one:10.9.8.2", "--add-host=six:::1"]
    limited = told(backend, shm_size=1 << 20, ulimits=(Ulimit("core", 0, -1), Ulimit("nofile", 1, 2)))
    assert limited == ["--shm-size=1048576", "--ulimit=core=0:-1", "--ulimit=nofile=1:2"]
    assert told(backend, ssh={"default": "/a", "k": "/b"}) == ["--ssh=default=/a", "--ssh=k=/b"]
    contexts = {"d": Path("/d"), "i": "localhost/i:1"}
    assert told(backend, contexts=contexts) == [
        "--build-context=d=/d",
        "--build-context=i=docker-image://localhost/i:1",
    ]
    assert told(backend, secrets={"t": Path("/s/t")}) == ["--secret=id=t,src=/s/t"]


@pytest.mark.parametrize("backend", [PODMAN, BUILDAH])
def test_podman_and_buildah_get_a_file_of_hosts_where_they_would_make_none(backend: Backend) -> None:
    asked = told(backend, network="none", hosts=HOSTS, hosts_file=Path("/s/hosts"))
    assert asked == ["--network=none", "--no-hosts", "--volume=/s/hosts:/etc/hosts:ro,z"]


@pytest.mark.parametrize("backend", [PODMAN, BUILDAH])
@pytest.mark.parametrize("fields", [{"secrets": {"t": Path("/a,b/t")}}, {"hosts_file": Path("/a:b/hosts")}])
def test_a_path_that_podman_and_buildah_would_misread_is_refused(backend: Backend, fields: dict[str, Any]) -> None:
    with pytest.raises(EngineError) as caught:
        told(backend, **fields)
    assert caught.value.hint == "rename the project's directory, or choose another engine with --backend"


def test_docker_reads_the_path_of_a_secret_with_a_comma_in_it() -> None:
    assert told(BUILDX, secrets={"t": Path('/a,"b/t')}) == ['--secret=id=t,"src=/a,""b/t"']


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(Children(), lambda *_: None, lambda _: None, tmp_path, {}, nullcontext, dry_run=True)


NEEDS: dict[str, tuple[dict[str, Any], str]] = {
    "build-network": ({"network": "none"}, "build with the network `none`: its steps would have this machine's"),
    "secrets": ({"secrets": {"t": Path("/s/t")}}, "hand the secret `t` to a build"),
    "ssh": ({"ssh": {"default": "/a"}}, "hand an SSH agent to a build"),
    "build-shm-size": ({"shm_size": 1}, "give the steps of a build a /dev/shm of a chosen size (`shm_size`)"),
    "build-ulimits": ({"ulimits": (Ulimit("core", 0, 0),)}, "limit what steps of a build take (`core=0:0`)"),
    "build-contexts": ({"contexts": {"n": Path("/d")}}, "build with the named context `n`"),
}


@pytest.mark.parametrize("feature", NEEDS)
@EACH
def test_what_an_engine_lacks_is_refused_by_name_before_it_is_asked(
    backend: Backend, feature: str, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends.Backend, "elsewhere", lambda self, feature: f"hint at {feature}")
    fields, what = NEEDS[feature]
    lacking = type(backend)(replace(backend.engine, features=ALL - {feature}))
    with pytest.raises(EngineError) as caught:
        lacking.build(replace(BUILD, iidfile=shell.cwd / "iid", **fields), shell)
    assert caught.value.message == f"{backend.engine} cannot {what}"
    backend.build(replace(BUILD, iidfile=shell.cwd / "iid", **fields), shell)


@pytest.mark.parametrize(
    ("kind", "version", "lacks"),
    [
        ("buildkit", "20.10.24", {"build-shm-size", "build-ulimits", "build-contexts"}),
        ("buildkit", "26.1.5", set()),
        ("legacy", "20.10.24", {"secrets", "ssh", "build-contexts"}),
        ("podman", "4.3.1", set()),
        ("buildah", "1.28.2", set()),
    ],
)
def test_which_engine_lacks_what(kind: str, version: str, lacks: set[str]) -> None:
    assert set(NEEDS) - features_of(kind, version) == lacks


def test_without_a_runtime_there_is_neither_a_network_nor_a_shm_of_ones_own() -> None:
    assert set(NEEDS) & NEEDS_A_RUNTIME == {"build-network", "build-shm-size"}


@pytest.mark.parametrize(
    ("backend", "version", "rootless", "network", "expected"),
    [
        (PODMAN, "4.3.1", True, "default", "own"),
        (PODMAN, "5.4.2", True, "default", "169.254.1.2"),
        (PODMAN, "5.4.2", True, "host", "own"),
        (PODMAN, "5.4.2", False, "default", "own"),
        (BUILDAH, "1.28.2", True, "default", "own"),
        (BUILDAH, "1.39.3", True, "default", "169.254.1.2"),
        (BUILDX, "26.1.5", True, "default", "own"),
    ],
)
def test_host_gateway_is_where_a_step_finds_this_machine(
    backend: Backend, version: str, rootless: bool, network: Network, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "own_address", lambda: "own")
    found = type(backend)(replace(backend.engine, version=version, rootless=rootless))
    assert found.host_address(network) == expected


def test_host_gateway_is_refused_where_the_engine_is_elsewhere() -> None:
    with pytest.raises(EngineError):
        Docker(replace(BUILDX.engine, is_remote=True)).host_address("default")


@pytest.mark.parametrize(
    ("given", "size"),
    [(64, 64), ("64", 64), ("64b", 64), ("64m", 64 << 20), ("1G", 1 << 30), ("2 KiB", 2048), ("1tb", 1 << 40)],
)
def test_sizes_are_bytes_with_units_of_1024(given: int | str, size: int) -> None:
    assert limits.parse_size(given, "shm_size") == size


@pytest.mark.parametrize("given", [0, -1, "", "m", "1.5g", "64x", "0m"])
def test_what_is_no_size_is_an_error_that_names_the_keyword(given: int | str) -> None:
    with pytest.raises(MagnetfileError) as caught:
        limits.parse_size(given, "shm_size")
    assert caught.value.message == f"`{given}` is no size for `shm_size`"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"nofile": "1024:2048", "core": 0}, ["core=0:0", "nofile=1024:2048"]),
        (["nofile=5", "stack=1:unlimited"], ["nofile=5:5", "stack=1:-1"]),
        ("memlock=-1", ["memlock=-1:-1"]),
        ((), []),
    ],
)
def test_ulimits_have_a_soft_and_a_hard_limit(given: Any, expected: list[str]) -> None:
    assert list(map(str, limits.parse_ulimits(given))) == expected


@pytest.mark.parametrize(
    "given", ["nofiles=1", "nofile", "nofile=", "nofile=x", "nofile=2:1", "nofile=-1:5", "nofile=-2"]
)
def test_what_is_no_ulimit_is_an_error(given: str) -> None:
    with pytest.raises(MagnetfileError):
        limits.parse_ulimits(given)


def test_hosts_have_addresses_one_for_each_line() -> None:
    given = {"one": ["10.9.8.1", "10.9.8.2", "10.9.8.1"], "six": "[::0001]", "gate": "host-gateway"}
    expected = (("one", "10.9.8.1"), ("one", "10.9.8.2"), ("six", "::1"), ("gate", "host-gateway"))
    assert limits.parse_hosts(given) == expected
    assert limits.with_addresses(expected, lambda: "10.0.0.9")[3] == ("gate", "10.0.0.9")


@pytest.mark.parametrize(("name", "address"), [("a", "b"), ("a", "10.0.0.256"), ("a", ""), ("", "::1"), ("a b", "::1")])
def test_what_is_no_host_is_an_error(name: str, address: str) -> None:
    with pytest.raises(MagnetfileError):
        limits.parse_hosts({name: address})


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        (lambda: Secret("t"), "the secret `t` needs either `env` or `file`"),
        (lambda: Secret("t", env="A", file="b"), "the secret `t` needs either `env` or `file`"),
        *((lambda name=name: Secret(name, env="A"), f"`{name}` cannot be the id of a secret") for name in ("", "..", "a,b", "a/b")),
    ],
)  # fmt: skip
def test_a_secret_has_an_id_and_one_source(secret: Callable[[], Secret], message: str) -> None:
    with pytest.raises(MagnetfileError) as caught:
        secret()
    assert caught.value.message == message


def test_secrets_are_read_late_into_files_that_only_the_caller_can_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\xff1\n")
    environ = {"TOKEN": "t\udcff"}
    secrets = secretfiles.located([Secret("e", env="TOKEN"), Secret("f", file="f")], tmp_path, environ)
    (tmp_path / "f").write_bytes(b"\xff2\n")
    values = secretfiles.read(secrets, environ)
    old = os.umask(0)
    try:
        secretfiles.write(values, tmp_path / "s")
    finally:
        os.umask(old)
    assert secretfiles.paths(secrets, tmp_path / "s") == {"e": tmp_path / "s/e", "f": tmp_path / "s/f"}
    assert {path.name: path.read_bytes() for path in (tmp_path / "s").iterdir()} == {"e": b"t\xff", "f": b"\xff2\n"}
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "s", tmp_path / "s/e", tmp_path / "s/f")]
    assert modes == [0o700, 0o600, 0o600]


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        ([Secret("t", env="GONE")], "the secret `t` is the value of $GONE, which is not set"),
        ([Secret("t", file="gone")], "the file of the secret `t` does not exist: {root}/gone"),
        ([Secret("t", file=".")], "the file of the secret `t` is a directory: {root}"),
        ([Secret("t", env="A"), Secret("t", env="A")], "there are two secrets `t`"),
    ],
)
def test_a_secret_that_cannot_be_had_is_an_error_at_once(tmp_path: Path, secrets: list[Secret], message: str) -> None:
    with pytest.raises(MagnetfileError) as caught:
        secretfiles.located(secrets, tmp_path, {"A": ""})
    assert caught.value.message == message.format(root=tmp_path)


def test_a_secret_is_not_larger_than_buildkit_takes_it(tmp_path: Path) -> None:
    value = "x" * (secretfiles.LARGEST + 1)
    with pytest.raises(MagnetfileError) as caught:
        secretfiles.read([Secret("t", env="A")], {"A": value})
    assert caught.value.message == f"the secret `t` has {len(value)} bytes, and may have {secretfiles.LARGEST} at most"
    assert len(secretfiles.read([Secret("t", env="A")], {"A": value[1:]})["t"]) == secretfiles.LARGEST


@pytest.fixture
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The path of a socket that listens; as short as those have to be."""
    path = f"/tmp/magnet-test-{os.getpid()}.agent"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        yield path
    os.unlink(path)


def test_an_agent_is_the_callers_own_or_the_one_of_a_path(tmp_path: Path, agent: str) -> None:
    (tmp_path / "key").touch()
    environ = {"SSH_AUTH_SOCK": agent}
    assert secretfiles.agents("default", tmp_path, environ) == {"default": agent}
    given = ["a", f"b={agent}", "c=key"]
    assert secretfiles.agents(given, tmp_path, environ) == {"a": agent, "b": agent, "c": f"{tmp_path}/key"}


@pytest.mark.parametrize(
    ("word", "environ", "message"),
    [
        ("default", {}, "the build is to have the SSH agent `default`, and $SSH_AUTH_SOCK is not set"),
        ("a=gone", {}, "no SSH agent `a` answers at {root}/gone: No such file or directory"),
        ("a=dead", {}, "no SSH agent `a` answers at {root}/dead: Connection refused"),
        ("a=b,c", {}, "the path of the SSH agent `a` has a comma in it: {root}/b,c"),
        ("=x", {}, "`=x` is no SSH agent"),
        ("x=", {}, "`x=` is no SSH agent"),
    ],
)
def test_an_agent_that_does_not_answer_is_an_error_at_once(
    tmp_path: Path, word: str, environ: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind("dead")
    with pytest.raises(MagnetfileError) as caught:
        secretfiles.agents(word, tmp_path, environ)
    assert caught.value.message == message.format(root=tmp_path)


@pytest.mark.parametrize(
    ("mount", "missing"),
    [
        ("type=secret,id=a,required=true", None),
        ("type=secret,id=b", None),
        ("type=secret,id=b,required=false", None),
        ("type=secret,id=b,required=true", "secret `b`"),
        ("type=secret,id=b,required", "secret `b`"),
        ("type=secret,target=/x/b,required=1", "secret `b`"),
        ("type=secret,target=/x/a,required=1", None),
        ("type=secret,id=$B,required=true", None),
        ("type=ssh,required=true", "SSH agent `default`"),
        ("type=ssh,id=k,required=true", None),
        ("type=ssh", None),
        ("type=bind,target=/x,required=true", None),
    ],
)
def test_what_a_step_requires_has_to_be_given(mount: str, missing: str | None) -> None:
    of_the_command = "--mount=type=ssh,required"
    instructions: list[list[object]] = [["FROM", "b", "", ""], ["RUN", f"--mount={mount}", True, of_the_command]]
    with nullcontext() if missing is None else pytest.raises(MagnetfileError) as caught:
        secretfiles.check_mounts(instructions, ["a"], ["k"])
    if caught:
        said = f"the Dockerfile requires the {missing}, and the build has none of that id"
        assert caught.value.message == said


@pytest.mark.parametrize(
    ("mount", "used"),
    [
        ("type=secret,id=a,required", ["mount-required"]),
        ("type=ssh,required", ["mount-required"]),
        ("type=secret,target=/a", ["secret-of-target"]),
        ("type=secret,id=a,required=true", []),
    ],
)
def test_what_podman_and_buildah_cannot_read_of_a_mount_is_noticed(mount: str, used: list[str]) -> None:
    parsed = dockerfile.parse_text(Path("Dockerfile"), f"FROM b\nRUN --mount={mount} true\n")
    assert [use.feature for use in parsed.uses()] == ["run-mount", *used]


def test_a_named_context_is_a_directory_or_an_image(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    image = Image("sha256:1")
    given: dict[str, namedcontexts.Given] = {
        "a": "d",
        "b": tmp_path / "d",
        "c": "docker-image://alpine:3",
        "alpine:3": "container-image://x",
        "e": image,
    }
    expected = {"a": tmp_path / "d", "b": tmp_path / "d", "c": "alpine:3", "alpine:3": "x", "e": image}
    assert namedcontexts.parse(given, tmp_path) == expected


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("a", "gone", "the build context `a` is not a directory: {root}/gone"),
        ("a", "https://e.x/a.tar", "the build context `a` is neither a directory nor an image: https://e.x/a.tar"),
        ("A", ".", "`A` cannot be the name of a build context"),
        ("scratch", ".", "`scratch` cannot be the name of a build context"),
    ],
)
def test_what_is_no_named_context_is_an_error(tmp_path: Path, name: str, given: str, message: str) -> None:
    with pytest.raises(MagnetfileError) as caught:
        namedcontexts.parse({name: given}, tmp_path)
    assert caught.value.message == message.format(root=tmp_path)


def test_only_named_contexts_count_from_which_something_is_taken_and_none_is_a_stage() -> None:
    contexts: dict[str, namedcontexts.Given] = {"a": Path("/a"), "b": Path("/b")}
    assert namedcontexts.used(contexts, ["x", "b"], [["FROM", "x", "", ""]]) == {"b": Path("/b")}
    with pytest.raises(MagnetfileError):
        namedcontexts.used(contexts, ["x"], [["FROM", "x", "A", ""]])


@pytest.mark.parametrize("name", BUILD_KEYWORDS)
def test_an_option_that_is_a_keyword_is_none_of_the_options(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_options([f"{name}=x"], BUILD_OPTIONS, BUILD_KEYWORDS)
    assert caught.value.message == f"`{name}` is a keyword here, and none of `options`"
    assert caught.value.hint == f"write {BUILD_KEYWORDS[name]}"
    assert name not in {spec.name for spec in BUILD_OPTIONS}


@pytest.mark.parametrize(
    ("word", "secret"),
    [
        ("id=t,src=f", Secret("t", file="f")),
        ("id=t,source=f,type=file", Secret("t", file="f")),
        ('id=t,"src=a,b"', Secret("t", file="a,b")),
        ("id=t,env=E", Secret("t", env="E")),
        ("type=env,id=t,src=E", Secret("t", env="E")),
        ("type=env,id=t", Secret("t", env="t")),
        ("id=SET", Secret("SET", env="SET")),
        ("id=SET,type=file", Secret("SET", file="SET")),
        ("id=f", Secret("f", file="f")),
    ],
)
def test_every_spelling_of_a_secret_is_the_same_secret(
    word: str, secret: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SET", "x")
    assert default._secret(word) == secret


@pytest.mark.parametrize("word", ["id=t,src=f,env=E", "id=t,src=f,mode=1", "id=t,type=x", "src=f", "id="])
def test_what_is_no_secret_is_an_error(word: str) -> None:
    with pytest.raises(MagnetError):
        default._secret(word)


def test_hosts_and_contexts_of_the_command_line_are_by_name() -> None:
    assert default._hosts(["a:10.0.0.1", "a=10.0.0.2", "s:::1"]) == {"a": ["10.0.0.1", "10.0.0.2"], "s": ["::1"]}
    assert default._build_contexts(["n=../x", "i=docker-image://b=c"]) == {"n": "../x", "i": "docker-image://b=c"}
    for wrong in (lambda: default._hosts(["a"]), lambda: default._build_contexts(["a"])):
        with pytest.raises(UsageError):
            wrong()


def test_a_secret_that_is_learnt_late_is_hidden_from_then_on() -> None:
    redactor = Redactor([])

    def shown(data: bytes) -> bytes:
        status = SolveStatus(logs=(VertexLog("v", 1, data, 0),))
        return b"".join(log.data for log in redactor.status(status).logs)

    assert shown(b"hunter2\n") == b"hunter2\n"
    redactor.learn(["hunter2"])
    redactor.learn(["hunter2", "second"])
    assert (shown(b"hunter2 second\n"), redactor.text("a second")) == (b"*** ***\n", "a ***")
