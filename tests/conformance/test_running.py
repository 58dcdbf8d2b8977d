"""What a container can be asked for."""

import os
import signal
import time
from pathlib import Path

from tests.conformance.behaviours import INTERFACES, Behaviour, Case, Differs, Section, interfaces
from tests.conformance.conftest import Judge
from tests.conformance.together import Together, in_one_container

SECTION = Section(
    "What a container is asked for",
    "`magnet run` with its options, and `t.run` and `t.start` of a target. The caller is whoever runs magnet: root, or "
    "an ordinary user whose engine is rootless.",
)
behaviour = SECTION.behaviour


def test_running(judge: Judge, behaviour: Behaviour, tmp_path: Path) -> None:
    judge(f"running.{behaviour.id}", behaviour, tmp_path)


def _run(case: Case, *words: str, stdin: bytes = b"") -> str:
    return case.ok("run", "--rm", *words, stdin=stdin)


# ---- whose files ----------------------------------------------------------------------------------------------------

CALLER = f"{os.getuid()}:{os.getgid()}"
WRITE = ("-v", "./out:/out")


def _owner(case: Case, *words: str) -> str:
    """Whose a file is, outside, that a container writes into a directory of the caller's."""
    out = case.magnet.root / "out"
    out.mkdir(exist_ok=True)
    _run(case, *words, *WRITE, "BASE", "touch", "/out/f")
    found = (out / "f").stat()
    return f"{found.st_uid}:{found.st_gid}"


@behaviour('`user="host"`: what it writes to a mount is the caller\'s', CALLER)
def user_host(case: Case) -> object:
    return _owner(case, "-u", "host")


@behaviour("No user, or root: what it writes to a mount of the caller's is the caller's", [CALLER, CALLER])
def user_root(case: Case) -> object:
    return [_owner(case), _owner(case, "-u", "0:0")]


@behaviour(
    "A user by its numbers: that is who it is, and it can write to a mount that is open to all",
    ("1234:1235", "written"),
)
def user_number(case: Case) -> object:
    out = case.magnet.root / "out"
    out.mkdir()
    out.chmod(0o777)
    who = _run(case, "-u", "1234:1235", *WRITE, "BASE", "sh", "-c", "echo written >/out/f; echo $(id -u):$(id -g)")
    return who.strip(), (out / "f").read_text().strip()


@behaviour("A user by a name of the image's", "7:8")
def user_name(case: Case) -> object:
    case.dockerfile("RUN echo someone:x:7:8::/:/bin/sh >>/etc/passwd")
    case.build()
    return _run(case, "-u", "someone", "NAME", "sh", "-c", "echo $(id -u):$(id -g)").strip()


# ---- mounts ---------------------------------------------------------------------------------------------------------


@behaviour(
    "A mount whose source is not there: an error, and nothing is made",
    (2, "the source of a mount does not exist: PROJECT/nosuch", False),
)
def mount_missing(case: Case) -> object:
    return *case.error("run", "--rm", "-v", "./nosuch:/x", "BASE", "true"), (case.magnet.root / "nosuch").exists()


@behaviour(
    "A mount of a relative path, of a link's target, read-only, with `cached`, `z`, and with a comma and a quote in it",
    "here|there|here|here|odd|refused",
)
def mounts(case: Case) -> object:
    case.files({"d/f": "here", "e/f": "there", 'o,"d/f': "odd"})
    (case.magnet.root / "link").symlink_to("e")
    words = [
        "-v",
        "./d:/a",
        "-v",
        "./link:/b",
        "-v",
        "./d:/c:ro",
        "-v",
        "./d:/d:cached",
        "--mount",
        f'type=bind,"source={case.magnet.root}/o,""d",target=/e',
    ]
    return _run(
        case,
        *words,
        "BASE",
        "sh",
        "-c",
        "for x in a b c d e; do cat /$x/f; printf '|'; done; touch /c/g 2>/dev/null || printf refused",
    )


together = Together(SECTION, "container", in_one_container)
add = together.add
add(
    "relabel",
    "A mount relabelled for SELinux, where there is none",
    see="ls /relabel",
    words=["-v", "./d:/relabel:z"],
    expected="f",
    files={"d/f": ""},
)
add(
    "workdir", "A working directory that is not there is made", see="cd /workdir/x && pwd",
    words=["-w", "/workdir/x"], expected="/workdir/x",
)  # fmt: skip
add("hostname", "`--hostname`", see="hostname", words=["--hostname=host-x"], expected="host-x")
add(
    "add_host",
    "`--add-host`",
    see="awk '$2 == \"foo\" {print $1}' /etc/hosts",
    words=["--add-host=foo:10.9.8.7"],
    expected="10.9.8.7",
)
add(
    "ulimit", "`--ulimit`", see="echo $(ulimit -Sn):$(ulimit -Hn)", words=["--ulimit=nofile=77:88", "--ulimit=nproc=999:999"], expected="77:88",
)  # fmt: skip
add("shm_size", "`--shm-size`", see="df -m /dev/shm | awk 'END {print $2}'", words=["--shm-size=32m"], expected="32")
add(
    "tmpfs", "`--tmpfs`: a file system of its own, of which programs cannot be run", see="awk '$2 == \"/tmpfs\" {print $3}' /proc/mounts; cp /bin/busybox /tmpfs/true; /tmpfs/true 2>/dev/null || echo noexec",
    words=["--tmpfs=/tmpfs"], expected="tmpfs\nnoexec",
)  # fmt: skip
add(
    "volume", "A named volume", see="awk '$2 == \"/volume\"' /proc/mounts | wc -l; touch /volume/f && ls /volume",
    words=["-v", "magnet-conformance:/volume"], expected="1\nf",
)  # fmt: skip
add(
    "init",
    "`--init`: process 1 is one that reaps others; podman has one where catatonit is installed",
    see="tr '\\0' ' ' </proc/1/cmdline | grep -c -e init -e catatonit -e tini",
    words=["--init"],
    expected="1",
)
add(
    "capabilities", "`--cap-drop` and `--cap-add`", see="awk '/CapEff/ {print $2}' /proc/self/status",
    words=["--cap-drop=all", "--cap-add=chown"], expected="0000000000000001",
)  # fmt: skip
add(
    "dns",
    "`--dns`: the server that names are asked from",
    see="awk '/^nameserver/ {print $2}' /etc/resolv.conf",
    words=["--dns=10.9.8.6"],
    expected="10.9.8.6",
)
add(
    "env",
    "`-e` with spaces, quotes, newlines and nothing; `-e NAME` takes the caller's value, and none where there is none",
    see=r'printf "%s|" "$A" "$B" "$C" "${D-unset}" "${NO_COLOR-unset}" "${NO_SUCH-unset}"',
    words=[
        "--env=A=b = c",
        "--env=B='q' \"d\" $HOME",
        "--env=C=line 1\nline 2",
        "--env=D=",
        "--env=NO_COLOR",
        "--env=NO_SUCH",
    ],
    expected="b = c|'q' \"d\" $HOME|line 1\nline 2||1|unset|",
)
add(
    "env_file",
    "`--env-file`: quotes are part of a value, `#` begins a comment, a name alone takes the caller's value",
    see=r'printf %s "$E|${NO_COLOR-unset}|${NO_SUCH-unset}"',
    words=["--env-file=vars"],
    files={"vars": '# comment\nE="q"\nNO_COLOR\nNO_SUCH\n'},
    expected='"q"|1|unset',
)
add(
    "memory", "`--memory`: the limit of its control group",
    see="cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes "
    "/sys/fs/cgroup/memory$(sed -n 's/.*:memory://p' /proc/self/cgroup)/memory.limit_in_bytes 2>/dev/null | "
    f"grep -x {64 << 20} | head -n 1 | wc -l",
    words=["--memory=64m"], expected="1",
)  # fmt: skip


@behaviour("`--read-only`: nothing can be written but to a `--tmpfs`", "/t/e")
def read_only(case: Case) -> object:
    script = "for f in /a /tmp/b /run/c /var/d /t/e; do mkdir -p ${f%/*} 2>/dev/null; touch $f 2>/dev/null && echo $f; done; true"
    return _run(case, "--read-only", "--tmpfs", "/t", "BASE", "sh", "-c", script).strip()


# ---- what it finds --------------------------------------------------------------------------------------------------


@behaviour("The environment: `PATH`, `HOME` and `HOSTNAME`, and what was asked for", "HOME HOSTNAME PATH given")
def environment(case: Case) -> object:
    # A shell would add variables of its own.
    out = _run(case, "-e", "given=1", "BASE", "cat", "/proc/self/environ")
    return " ".join(sorted(variable.split("=")[0] for variable in out.split("\0") if variable))


@behaviour("`/etc/hosts`: `localhost`, its own name and nothing of this machine's", [])
def hosts(case: Case) -> object:
    out = _run(case, "--hostname", "itself", "BASE", "cat", "/etc/hosts")
    names = {word for line in out.splitlines() for word in line.partition("#")[0].split()[1:]}
    usual = {
        "localhost",
        "ip6-localhost",
        "ip6-loopback",
        "ip6-localnet",
        "ip6-mcastprefix",
        "ip6-allnodes",
        "ip6-allrouters",
    }
    return sorted(names - usual - {"itself"})


@behaviour(
    "The image's `ENTRYPOINT` and `CMD`, arguments in place of `CMD`, and `--entrypoint` in place of both",
    ["entry default\n", "entry given\n", "over"],
)
def entrypoint(case: Case) -> object:
    case.dockerfile('ENTRYPOINT ["echo", "entry"]', 'CMD ["default"]')
    case.build()
    return [_run(case, "NAME"), _run(case, "NAME", "given"), _run(case, "--entrypoint", "printf", "NAME", "over")]


# ---- networks -------------------------------------------------------------------------------------------------------


@behaviour("`--network none`: no interface but `lo`", "lo\n")
def network_none(case: Case) -> object:
    return _run(case, "--network", "none", "BASE", "sh", "-c", INTERFACES)


@behaviour("`--network host`: this machine's interfaces", True)
def network_host(case: Case) -> object:
    before = interfaces()
    seen = _run(case, "--network", "host", "BASE", "sh", "-c", INTERFACES).split()
    # Other containers' come and go.
    return before & interfaces() <= set(seen)


# ---- how it ends ----------------------------------------------------------------------------------------------------


@behaviour(
    "The exit code is the command's; 127 and 126 where there is no such program, or it cannot be run; 137 where it was killed",
    [125, 127, 126, 137],
)
def exit_codes(case: Case) -> object:
    commands = (["sh", "-c", "exit 125"], ["/nosuch"], ["/etc"], ["sh", "-c", "sleep 9 & kill -9 $!; wait $!"])
    return [case.end("run", "--rm", "BASE", *command)[0] for command in commands]


@behaviour("Stdout and stderr are the command's own, byte for byte", (b"a\n\0\xffno newline", ["err"]))
def output(case: Case) -> object:
    result = case.magnet("run", "--rm", case.base, "sh", "-c", r"printf 'a\n\0\377no newline'; echo err >&2; exit 7")
    return result.out, [line for line in result.err.splitlines() if line == "err" or "exit status" in line]


@behaviour("Stdin with `-i`, and none without", ["in\0put", ""])
def stdin(case: Case) -> object:
    return [_run(case, *words, "BASE", "cat", stdin=b"in\0put") for words in (["-i"], [])]


@behaviour("`-t` where there is no terminal: an error", (2, "`tty` needs a terminal, and stdin is none"))
def no_terminal(case: Case) -> object:
    return case.error("run", "--rm", "-t", "BASE", "true")


@behaviour("`--` before the command is part of it", 127)
def dashes(case: Case) -> object:
    return case.end("run", "--rm", "BASE", "--", "true")[0]


@behaviour(
    "An image that is not here and must not be fetched: an error",
    (3, "no image `localhost/test-nosuch` in ENGINE, and `pull` is `never`"),
)
def no_image(case: Case) -> object:
    return case.error("run", "--rm", "--pull=never", "localhost/test-nosuch", "true")


@behaviour("SIGTERM to magnet while a container runs: exit code 130, and the container is gone", (130, []))
def stopped(case: Case) -> object:
    case.write(ready="")
    words = (
        "run",
        "--rm",
        "-v",
        "./ready:/ready",
        case.base,
        "sh",
        "-c",
        "trap 'exit 0' TERM; echo ready >/ready; while :; do sleep 0.1; done",
    )
    with case.magnet.running(*words) as process:
        for _ in range(300):
            if (case.magnet.root / "ready").read_text() or process.poll() is not None:
                break
            time.sleep(0.1)
        else:
            raise Differs("the container did not start")
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    return code, case.magnet.containers("run")


# ---- containers that stay -------------------------------------------------------------------------------------------


STARTING = """
from magnet import Secret, target


@target
def go(t):
    serve = "trap 'echo bye; exit 5' TERM; echo ready >/ready; echo hello; while :; do sleep 0.1; done"
    with t.start("BASE", "sh", "-c", serve, health="test -e /ready", wait="healthy") as one:
        t.output(one.exec("cat", "/ready").output.strip())
        t.run("BASE", "sh", "-c", "echo beside >/dev/null", network=one)
        t.output(one.logs().strip())
        t.output(str(one.stop()))
        t.output(str(one.wait()))
"""


@behaviour(
    "`t.start`: a container that is waited for until it is healthy, in which programs are run, whose network is shared, "
    "that is stopped and is gone",
    ["ready", "hello", "5", "5"],
)
def started(case: Case) -> object:
    case.files({"magnetfile.py": STARTING})
    return case.ok("go").splitlines()


SECRETS = """
from magnet import Secret, target


@target
def go(t):
    words = ("sh", "-c", "wc -c </run/secrets/s; id -u")
    t.run("BASE", *words, secrets=[Secret("s", file="secret")], user="1234", attach=True)
"""


@behaviour("`secrets=` of `t.run`: a file below `/run/secrets` that the container's user may read", "5\n1234\n")
def secrets(case: Case) -> object:
    case.files({"magnetfile.py": SECRETS, "secret": "value"})
    (case.magnet.root / "secret").chmod(0o600)
    return case.ok("go")


@behaviour(
    "`--detach` and `--name`: the container's id on stdout, and it runs on; a second of its name is an error that says so",
    [True, True, 3, True],
)
def detach(case: Case) -> object:
    name = f"magnet-conformance-{os.getpid()}"
    container = case.ok("run", "-d", "--name", name, "BASE", "sleep", "100").strip()
    try:
        runs = case.magnet.engine("inspect", "--format", "{{.State.Running}}", container) == "true\n"
        code, said = case.end("run", "--name", name, "BASE", "true")
        return [len(container) == 64, runs, code, "already in use" in said]
    finally:
        _remove(case, container)


def _remove(case: Case, container: str) -> None:
    # Podman would wait for ten seconds before it kills.
    case.magnet.engine("kill", container)
    case.magnet.engine("rm", "--force", container)


@behaviour(
    "`--privileged`: all capabilities that there are without it and more; an error where the machine does not let "
    "docker before 23 give them all",
    True,
)
def privileged(case: Case) -> object:
    words = ("BASE", "sed", "-n", "s/CapEff:\\s*//p", "/proc/self/status")
    code, said = case.end("run", "--rm", "--privileged", *words)
    if code != 0:
        return code == 3 and "unable to apply caps: operation not permitted" in said
    plain, all_of_them = int(_run(case, *words), 16), int(said, 16)
    return all_of_them > plain and all_of_them & plain == plain


@behaviour("`--rm` removes the container, and without it it stays", [0, 1])
def removed(case: Case) -> object:
    left = []
    for words in (["--rm"], []):
        case.ok("run", *words, "BASE", "true")
        left.append(len(kept := case.magnet.containers("run")))
        if kept:
            case.magnet.engine("rm", *kept)
    return left
