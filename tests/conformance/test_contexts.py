"""Which files a build sees, and how they come into an image."""

import os
import socket
from pathlib import Path

from tests.conformance.behaviours import Behaviour, Case, Section
from tests.conformance.conftest import Judge

SECTION = Section(
    "Which files a build sees",
    "Ignore files, what is kept of a file that is copied, and when a build is done again.",
    notes=(
        "Fractions of a second in the modification time of a copied file (BuildKit keeps them, the legacy builder drops "
        "them, podman and buildah round), and times before 1970. `source_date_epoch=` gives all files one time.",
    ),
)
behaviour = SECTION.behaviour


def test_contexts(judge: Judge, behaviour: Behaviour, tmp_path: Path) -> None:
    judge(f"contexts.{behaviour.id}", behaviour, tmp_path)


def _copied(case: Case) -> list[str]:
    """The files of the context that `COPY .` copies."""
    return sorted(case.steps("COPY . /c", "RUN cd /c && find . ! -type d").split())


IGNORE = (
    "\ufeff# comment\r\n*.o\r\n!keep.o\r\n/top/\r\n**/deep\r\nsub/*.t?t\r\n[ab].c\r\n./dot\r\n../up\r\n  spaced  \r\n"
)
FILES = (
    "a.o", "keep.o", "top/x", "sub/top/x", "sub/deep/x", "sub/a.txt", "sub/b/a.txt", "a.c", "c.c", "dot", "up", "spaced",
    "sub/a.o",
)  # fmt: skip


@behaviour(
    "`.dockerignore`: comments, `!`, `**`, `?`, `[ab]`, leading and trailing `/`, `./` and `../`, CRLF and a byte order mark",
    ["./.dockerignore", "./Dockerfile", "./c.c", "./keep.o", "./sub/a.o", "./sub/b/a.txt", "./sub/top/x", "./up"],
)
def ignore(case: Case) -> object:
    case.files(dict.fromkeys(FILES, ""))
    (case.magnet.root / ".dockerignore").write_bytes(IGNORE.encode())
    return _copied(case)


@behaviour(
    "A `.containerignore` goes before a `.dockerignore`",
    ["./.containerignore", "./.dockerignore", "./Dockerfile", "./a"],
)
def which_ignore(case: Case) -> object:
    case.files({".dockerignore": "a\n", ".containerignore": "b\n", "a": "", "b": ""})
    return _copied(case)


@behaviour("`Dockerfile.dockerignore` goes before both", ["./Dockerfile", "./b"])
def dockerfiles_ignore(case: Case) -> object:
    case.files({".dockerignore": "b\n", "Dockerfile.dockerignore": "a\n*.dockerignore\n", "a": "", "b": ""})
    return _copied(case)


@behaviour("A pattern that cannot be understood: an error", 2)
def bad_pattern(case: Case) -> object:
    case.files({".dockerignore": "[a\n"})
    case.dockerfile("COPY . /c")
    return case.end("build", ".")[0]


@behaviour(
    "Copied files: owner `0:0`, the permission bits without those for setuid, setgid and sticky; links as links, dangling "
    "or not; odd names; empty directories",
    [
        "755 0:0 .", "755 0:0 ./empty", "644 0:0 ./f", "644 0:0 ./hard", "777 0:0 ./link", "644 0:0 ./odd ' \" $", "755 0:0 ./setuid", "777 0:0 ./sticky",
    ],
)  # fmt: skip
def metadata(case: Case) -> object:
    case.files({"d/f": "f", "d/setuid": "", "d/odd ' \" $": ""})
    d = case.magnet.root / "d"
    for path in (d, d / "empty", d / "sticky"):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
    for path in d.iterdir():
        if path.is_file():
            path.chmod(0o644)
    (d / "setuid").chmod(0o4755)
    (d / "sticky").chmod(0o1777)
    os.link(d / "f", d / "hard")
    (d / "link").symlink_to("/no/where")
    said = case.steps("COPY d /c", "RUN cd /c && find . -exec stat -c '%a %u:%g %n' {} +")
    return sorted(said.splitlines(), key=lambda line: line.split(" ", 2)[2])


@behaviour("A modification time in whole seconds since 1970 is that of the copied file", "1000000000\n")
def times(case: Case) -> object:
    case.files({"d/f": "f"})
    os.utime(case.magnet.root / "d/f", (10**9, 10**9))
    return case.steps("COPY d /c", "RUN stat -c %Y /c/f")


@behaviour("A socket in a directory that is copied: an error", 2)
def sockets(case: Case) -> object:
    case.files({"d/f": ""})
    # A path of a socket may be no longer than 107 bytes.
    before = os.getcwd()
    os.chdir(case.magnet.root / "d")
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("s")
    finally:
        os.chdir(before)
    case.dockerfile("COPY d /c")
    return case.end("build", ".")[0]


@behaviour("A link that leads out of the context is an error where it is what is copied", 2)
def leading_out(case: Case) -> object:
    (case.magnet.root / "out").symlink_to("/etc/hostname")
    case.dockerfile("COPY out/ /c")
    return case.end("build", ".")[0]


@behaviour(
    "A build is found done after a file's time or owner was changed, and is done again after its mode or its content was, "
    "with the same size and the same time",
    ["one", "CACHED", "one", "two"],
)
def when_again(case: Case) -> object:
    case.files({"f": "one"})
    path = case.magnet.root / "f"
    path.chmod(0o644)

    def build() -> str:
        # No other test has done this step.
        said = case.steps("COPY f /f", "RUN : NAME; cat /f; echo", words=())
        return "CACHED" if "CACHED localhost/magnet:" in case.magnet.log("build") else said.strip()

    ended = [build()]
    os.utime(path, (10**9, 10**9))
    ended.append(build())
    path.chmod(0o600)
    ended.append(build())
    path.write_text("two")
    os.utime(path, (10**9, 10**9))
    ended.append(build())
    return ended
