"""What is around the steps of a build has one meaning on every engine, or is refused before anything starts."""

import base64
import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.contract.engines import Magnet

STEP = r"""RUN { echo nofile $(ulimit -n) $(ulimit -Hn); echo core $(ulimit -c); \
    echo shm $(df -k /dev/shm | awk 'END { print $2 }'); echo net $(awk -F: '/:/ { print $1 }' /proc/net/dev); \
    awk '/\t(one|six|localhost)/ { print $1, $2 }' /etc/hosts; } >/out
"""


def lacks_limits(magnet: Magnet) -> bool:
    """Whether the engine's BuildKit takes limits without a word, and without effect."""
    if magnet.column.backend != "docker" or magnet.column.is_legacy:
        return False
    return int(magnet.engine("version", "--format={{.Server.Version}}").partition(".")[0]) < 23


def lacks_contexts(magnet: Magnet) -> bool:
    return magnet.column.is_legacy or lacks_limits(magnet)


def cat(magnet: Magnet, tag: str, path: str = "/out") -> str:
    return magnet.ok("run", "--rm", tag, "cat", path).decode()


def test_steps_have_what_was_asked_for_around_them_or_it_is_refused(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\n{STEP}"})
    network, shm, limits = ["--network=none"], ["--shm-size=32m"], ["--ulimit=nofile=77:99", "--ulimit=core=0"]
    hosts = ["--add-host=one:10.9.8.1", "--add-host=one:10.9.8.2", "--add-host=six:[::6]"]
    expected = ["net lo", "shm 32768", "nofile 77 99", "core 0"]
    if magnet.column.is_chroot:
        said = magnet.refused("build", *network)
        assert "cannot build with the network `none`: its steps would have this machine's\n" in said
        network = []
        expected.remove("net lo")
    if magnet.column.is_chroot or lacks_limits(magnet):
        said = magnet.refused("build", *shm)
        assert "cannot give the steps of a build a /dev/shm of a chosen size (`shm_size`)\n" in said
        shm = []
        expected.remove("shm 32768")
    if lacks_limits(magnet):
        assert "cannot limit what steps of a build take (`core=0:0`)\n" in magnet.refused("build", *limits)
        limits, expected = [], [one for one in expected if one.startswith("net")]
    magnet.ok("build", "-t", tag, *network, *shm, *limits, *hosts, ".")
    found = cat(magnet, tag).splitlines()
    assert {"127.0.0.1 localhost", *expected} <= set(found)
    named = [line for line in found if line.endswith((" one", " six"))]
    assert named == ["10.9.8.1 one", "10.9.8.2 one", "::6 six"]


def test_host_gateway_is_this_machine(magnet: Magnet, base: str) -> None:
    with listening(lambda connection: connection.sendall(b"here\n"), ("", 0)) as (port, _):
        magnet.write({"Dockerfile": f"FROM {base}\nRUN nc -w 9 gate {port} </dev/null | grep here\n"})
        magnet.ok("build", "--add-host", "gate:host-gateway", ".")


MAGNETFILE = """
from magnet import Secret, import_env, target

import_env(".env")

@target
def build(t):
    secrets = [Secret("of-env", env="TOKEN"), Secret("of-import", env="IMPORTED"), Secret("of-file", file="secret")]
    t.build(tags={tag!r}, secrets=secrets)
"""


def test_secrets_are_in_files_of_their_steps_and_seen_nowhere_else(
    magnet: Magnet, base: str, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "of-env": "hunter2-of-the-environment",
        "of-import": "hunter3-of-dotenv",
        "of-file": "first line of it\n\tsecond, ${OF} 'it'",
    }
    monkeypatch.setenv("TOKEN", values["of-env"])
    mounts = "--mount=type=secret,id=of-env --mount=type=secret,id=of-import --mount=type=secret,id=of-file,target=/s,mode=0444"
    magnet.write(
        {
            # With the tag, or the step could be done already.
            "Dockerfile": f"FROM {base}\n"
            f"RUN {mounts} cd /run/secrets; cat of-* /s; sha256sum of-env of-import /s >/out; : {tag}\n"
            "RUN --mount=type=secret,id=nobodys ls /run/secrets/nobodys 2>/dev/null || echo none >>/out\n",
            "secret": values["of-file"],
            ".env": f"IMPORTED={values['of-import']}",
            "magnetfile.py": MAGNETFILE.format(tag=tag),
        }
    )
    if magnet.column.is_legacy:
        assert "legacy builder cannot do `RUN --mount=type=secret`\n" in magnet.refused("build")
        return
    result = magnet("--progress=rawjson", "build")
    assert result.code == 0, result.err
    log = magnet.log("build")
    events = b"".join(map(base64.b64decode, re.findall(rb'"data":"([^"]+)"', result.out))).decode()
    for text in (events, log):
        assert "***" in text
        assert not any(part in text for part in (values["of-env"], values["of-import"], "first line", "second, "))
    assert not list((magnet.root / "_build").glob("magnet/*/runs/*"))
    sums = {name: hashlib.sha256(value.encode()).hexdigest() for name, value in values.items()}
    # What a secret is decides no result: with another one the build is done already.
    monkeypatch.setenv("TOKEN", "another")
    assert "CACHED" in magnet("build").err
    (magnet.root / "magnetfile.py").unlink()
    out = magnet.ok("run", "--rm", tag, "sh", "-c", "cat /out; find /run/secrets /s -type f -size +0 2>/dev/null; true")
    assert out.decode().split() == [
        *(sums["of-env"], "of-env"),
        *(sums["of-import"], "of-import"),
        *(sums["of-file"], "/s", "none"),
    ]


def test_a_secret_or_an_agent_that_a_step_requires_and_that_is_not_given_is_an_error(magnet: Magnet, base: str) -> None:
    for mount, what in (
        ("type=secret,id=token,required=true", "the secret `token`"),
        ("type=ssh,required=true", "the SSH agent `default`"),
    ):
        magnet.write({"Dockerfile": f"FROM {base}\nRUN --mount={mount} true\n"})
        result = magnet("build", ".")
        said = f"error: target `build`: the Dockerfile requires {what}, and the build has none of that id\n"
        assert (result.code, result.error.startswith(said)) == (2, True), result.err


ASK = r"""
socket(S, 1, 1, 0) or die; connect(S, pack("S a*", 1, "$ENV{SSH_AUTH_SOCK}\0")) or die "no agent: $!";
syswrite(S, "\0\0\0\1\x0b");
# It may come in pieces.
while (sysread(S, $piece, 4096)) { $answer .= $piece; last if $answer =~ /key of the test/ }
print $answer =~ /(key of the test)/ or die "no key";
"""


def test_an_agent_of_ssh_answers_in_its_step(magnet: Magnet, base: str, tag: str) -> None:
    perl = shutil.which("perl")
    assert perl, "every Debian has it"
    magnet.write(
        {"Dockerfile": f"FROM {base}\nCOPY root /\nRUN --mount=type=ssh,id=mine perl /ask >/out\n", "root/ask": ASK}
    )
    for file in [perl, *libraries(perl)]:
        copy = magnet.root / "root" / file.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as directory,
        listening(answer_as_agent, f"{directory}/agent") as (path, _),
    ):
        words = ("build", "-t", tag, "--ssh", f"mine={path}", ".")
        if magnet.column.is_legacy:
            assert "legacy builder cannot do `RUN --mount=type=ssh`\n" in magnet.refused(*words)
            return
        magnet.ok(*words)
    assert cat(magnet, tag) == "key of the test"


def explained(magnet: Magnet, files: dict[str, str]) -> str:
    """Why `build` would be done again, with these files."""
    magnet.write(files)
    return magnet.ok("--explain", "build").decode()


def libraries(program: str) -> list[str]:
    """The files that a program is linked to."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [word for line in said.splitlines() for word in line.split() if word.startswith("/")]


def answer_as_agent(connection: socket.socket) -> None:
    """Answer every request as an agent that has one key (draft-ietf-sshm-ssh-agent)."""
    key = in_ssh(b"ssh-ed25519") + in_ssh(bytes(32))
    identities = b"\x0c\0\0\0\1" + in_ssh(key) + in_ssh(b"key of the test")
    while connection.recv(4096):
        connection.sendall(in_ssh(identities))


def in_ssh(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


NAMED = """
from magnet import target

@target
def other(t):
    return t.build("made", tags="{tag}-other")

@target
def build(t):
    image = t.need(other)
    contexts = {{"files": "src", "made": image, "named": "docker-image://{base}"}}
    return t.build(tags="{tag}", build_contexts=contexts)

@target
def show(t):
    t.run(t.need(build), "cat", "/out", attach=True)
"""


def test_named_contexts_are_what_they_are_now_or_refused(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write(
        {
            "made/Dockerfile": f"FROM {base}\nRUN echo made >/made\n",
            "src/f": "one",
            "src/ignored": "",
            "src/.dockerignore": "ign*\n",
            "Dockerfile": "FROM named\nCOPY --from=files . /c\nCOPY --from=made /made /\n"
            "RUN --mount=from=files,target=/m (cat /c/f /m/f /made; ls -A /c /m) >/out\n",
            "magnetfile.py": NAMED.format(tag=tag, base=base),
        }
    )
    if lacks_contexts(magnet):
        what = "do `RUN --mount=type=bind`" if magnet.column.is_legacy else "build with the named context `named`"
        assert f" cannot {what}\n" in magnet.refused("build")
        return
    listed = "/c:\n.dockerignore\nf\n\n/m:\n.dockerignore\nf\n"
    for content in ("one", "two"):
        # BuildKit would trust the size, the time and the directory's name.
        magnet.write({"src/f": content})
        os.utime(magnet.root / "src/f", (10**9, 10**9))
        assert magnet.ok("show").decode() == f"{content * 2}made\n{listed}"
    assert "CACHED build" in magnet("build").err
    assert "build contexts: `files` changed" in explained(magnet, {"src/g": ""})


PULLING = """
from magnet import target

REMOTE = {remote!r}
OLD, NEW = REMOTE + "-old", REMOTE + "-new"

@target
def publish(t):
    t.build(file="old", tags=OLD)
    t.build(file="new", tags=NEW)
    t.tag(NEW, REMOTE)
    t.push(REMOTE)

@target
def go(t):
    for policy in ("missing", "never", "newer", "always"):
        t.tag(OLD, REMOTE)
        t.run(REMOTE, "cat", "/v", pull=policy, attach=True)
    for policy in ("missing", "newer", "always"):
        t.remove(REMOTE)
        t.run(REMOTE, "cat", "/v", pull=policy, attach=True)
    t.remove(REMOTE)

@target
def never(t):
    t.run(REMOTE, "true", pull="never")
"""


def test_pull_policies_mean_the_same_for_runs_as_for_builds(magnet: Magnet, base: str, tag: str, registry: str) -> None:
    remote = f"{registry}/{tag.removeprefix('localhost/')}"
    versions = {name: f"FROM {base}\nRUN echo {name} >/v\n" for name in ("old", "new")}
    magnet.write({**versions, "magnetfile.py": PULLING.format(remote=remote)})
    magnet.ok("publish")
    assert magnet.ok("go").split() == [b"old"] * 2 + [b"new"] * 5
    result = magnet("never")
    assert (result.code, f"error: target `never`: no image `{remote}` in " in result.error) == (3, True)
    assert result.error.endswith(", and `pull` is `never`\nhint: build or pull the image first\n")


def test_no_registry_is_asked_for_a_base_that_is_here(magnet: Magnet, base: str, tag: str) -> None:
    with listening(lambda connection: None, ("127.0.0.1", 0)) as (port, asked):
        there = f"127.0.0.1:{port}/{tag.removeprefix('localhost/')}"
        magnet.write(
            {
                "one": f"FROM {base}\n",
                "two": f"FROM {there}\nCOPY --from={there} /bin/busybox /b\n",
                "magnetfile.py": "from magnet import target\n\n@target\ndef go(t):\n"
                f"    t.build(file='one', tags={there!r})\n    t.run(t.build(file='two'), 'true')\n    t.run({there!r}, 'true')\n",
            }
        )
        magnet.ok("go")
        assert asked == []


@contextmanager
def listening(
    answer: Callable[[socket.socket], None], address: "tuple[str, int] | str"
) -> Iterator[tuple[int | str, list[socket.socket]]]:
    """A server that answers every connection; its port or path, and the connections that were made."""
    made: list[socket.socket] = []
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind(address)
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                made.append(connection)
                threading.Thread(target=serve_one, args=[connection], daemon=True).start()

        def serve_one(connection: socket.socket) -> None:
            with connection:
                answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield address if isinstance(address, str) else server.getsockname()[1], made
        finally:
            server.shutdown(socket.SHUT_RDWR)
