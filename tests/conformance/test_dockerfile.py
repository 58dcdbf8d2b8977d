"""What a Dockerfile can say."""

import io
import tarfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from magnet.model import this_machine
from tests.conformance.behaviours import INTERFACES, Behaviour, Case, Section
from tests.conformance.conftest import Judge
from tests.conformance.listing import DIR, file, listing
from tests.conformance.together import Together, in_one_build

SECTION = Section(
    "What a Dockerfile says",
    "Each instruction and flag, as seen in the image afterwards. What an engine would turn into nothing is an error on "
    "all of them.",
    notes=(
        "What a step's host name is: it differs, and an image has it only where a step writes it there.",
        "That the target of a mount is gone from the image if it was not there before: BuildKit of docker 20.10 leaves an "
        "empty directory.",
        "Which group `--chown` means by a user's name alone: the user's, but for the legacy builder the one of the same name.",
        "That a `VOLUME` makes its directory, where nothing else does.",
        "That `USER` may be a number in an image without `/etc/passwd`: BuildKit of docker 20.10 then fails.",
    ),
)
behaviour = SECTION.behaviour


def test_dockerfile(judge: Judge, behaviour: Behaviour, tmp_path: Path) -> None:
    judge(f"dockerfile.{behaviour.id}", behaviour, tmp_path)


def _tar() -> str:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("in"))
    return archive.getvalue().decode()


TAR = _tar()
"""A tar that is text: names and zeros."""

together = Together(SECTION, "dockerfile", in_one_build)
add = together.add

# ---- flags, entry by entry -------------------------------------------------------------------------------------------


def add_listed(
    name: str, title: str, *lines: str, expected: Mapping[str, str], files: Mapping[str, str] | None = None
) -> None:
    """Add a part of which all that is to be in the image is listed, below a directory of its name."""
    entries = {name: DIR, **{f"{name}/{path}": entry for path, entry in expected.items()}}
    together.add(
        name, f"{title}, entry by entry", *lines, see="", expected="\n".join(listing(entries)), files=files or {}
    )


add_listed(
    "heredocs",
    "`RUN <<EOF` and `COPY <<EOF`",
    "RUN <<EOF\nmkdir /heredocs\necho run >/heredocs/run\nEOF",
    "COPY <<a <<b /heredocs/\nof a\na\nof b\nb",
    expected={"a": file("of a\n"), "b": file("of b\n"), "run": file("run\n")},
)
add_listed(
    "mounts", "`RUN --mount` of each type but `secret` and `ssh`",
    "RUN --mount=type=cache,target=/mounts/cache,id=NAME --mount=type=tmpfs,target=/mounts/tmpfs --mount=type=bind,source=m,target=/mounts/bind "
    "touch /mounts/cache/f /mounts/tmpfs/f && cp /mounts/bind/f /mounts/f && chmod 644 /mounts/f",
    "RUN rmdir /mounts/cache /mounts/tmpfs /mounts/bind 2>/dev/null; true",
    expected={"f": file("m")}, files={"m/f": "m"},
)  # fmt: skip
add_listed(
    "chmods",
    "`COPY --chmod` and `ADD --chmod`",
    "COPY --chmod=0600 f /chmods/a",
    "ADD --chmod=755 f /chmods/b",
    "COPY --chmod=711 d /chmods/d",
    expected={"a": file("f", "0600"), "b": file("f", "0755"), "d": DIR, "d/f": file("f", "0711")},
    files={"f": "f", "d/f": "f"},
)
add_listed(
    "chowns",
    "`COPY --chown` and `ADD --chown`",
    "RUN mkdir /chowns",
    "COPY --chown=1:2 f /chowns/a",
    "ADD --chown=3 f /chowns/b",
    "COPY --chown=4:5 d /chowns/d",
    expected={
        "a": file("f", owner="1:2"),
        "b": file("f", owner="3:3"),
        "d": "dir 0755 4:5",
        "d/f": file("f", owner="4:5"),
    },
    files={"f": "f", "d/f": "f"},
)
add_listed(
    "links",
    "`COPY --link` and `ADD --link`",
    "COPY --link f /links/a",
    "ADD --link f /links/b",
    expected={"a": file("f"), "b": file("f")},
    files={"f": "f"},
)
add_listed(
    "parents",
    "`COPY --parents`",
    "COPY --parents p/*/f /parents/",
    expected={"p": DIR, "p/a": DIR, "p/a/f": file("f")},
    files={"p/a/f": "f", "p/b/g": "g"},
)
add_listed(
    "excludes",
    "`COPY --exclude` and `ADD --exclude`",
    "COPY --exclude=**/*.o x /excludes/a",
    "ADD --exclude=**/a.* x /excludes/b",
    expected={"a": DIR, "a/a.c": file(""), "b": DIR, "b/b.o": file("")},
    files={"x/a.c": "", "x/b.o": ""},
)
add_listed(
    "checksums",
    "`ADD --checksum`",
    f"ADD --checksum=sha256:{sha256(b'{}').hexdigest()} --chmod=644 http://REGISTRY/v2/ /checksums/f",
    expected={"f": file("{}")},
)

# ---- RUN ------------------------------------------------------------------------------------------------------------

add(
    "run_exec", "`RUN [...]` runs without a shell; `RUN false | true` succeeds",
    'RUN ["/bin/touch", "/run_exec $HOME"]', "RUN false | true",
    see="ls -d /run_exec*", expected="/run_exec $HOME",
)  # fmt: skip
add(
    "mount_cache", "`RUN --mount=type=cache`: the next step that mounts it sees what was written, the image does not",
    "RUN --mount=type=cache,target=/mount_cache,id=NAME echo kept >/mount_cache/f",
    "RUN --mount=type=cache,target=/mount_cache,id=NAME cp /mount_cache/f /mount_cached",
    see="cat /mount_cached; ls /mount_cache 2>/dev/null", expected="kept",
)  # fmt: skip
add(
    "mount_tmpfs", "`RUN --mount=type=tmpfs`: what is written there is gone",
    "RUN --mount=type=tmpfs,target=/mount_tmpfs sh -c 'awk \"\\$2 == \\\"/mount_tmpfs\\\" {print \\$3}\" /proc/mounts >/mount_tmpfs_kind; touch /mount_tmpfs/f'",
    see="cat /mount_tmpfs_kind; ls /mount_tmpfs 2>/dev/null", expected="tmpfs",
)  # fmt: skip
add(
    "run_network", "`RUN --network=none`: the step sees no interface but `lo`",
    f"RUN --network=none {INTERFACES} >/run_network",
    see="cat /run_network", expected="lo",
)  # fmt: skip
add(
    "run_capabilities", "A step has the capabilities that docker gives it",
    "RUN awk '/CapEff/ {print $2}' /proc/self/status >/run_capabilities",
    see="cat /run_capabilities", expected="00000000a80425fb",
)  # fmt: skip
# ---- COPY and ADD ---------------------------------------------------------------------------------------------------

add(
    "copy_chmod_special", "`COPY --chmod` with the bits for setuid, setgid and sticky",
    "COPY --chmod=7711 f /copy_chmod_special",
    see="stat -c %a /copy_chmod_special", expected="7711", files={"f": "f"},
)  # fmt: skip
add(
    "copy_chown_names", "`COPY --chown` and `ADD --chown` with names of the image's",
    "RUN mkdir -p /etc && echo 'someone:x:1234:2345::/:/bin/sh' >>/etc/passwd && echo 'some:x:3456:' >>/etc/group",
    "COPY --chown=someone:some f /copy_chown_names_a", "ADD --chown=5:some f /copy_chown_names_b",
    see="stat -c %u:%g /copy_chown_names_*", expected="1234:3456\n5:3456", files={"f": "f"},
)  # fmt: skip
add(
    "copy_chown_name_alone", "`COPY --chown` with the name of a user alone, whose group has the same name",
    "RUN mkdir -p /etc && echo 'another:x:1234:2345::/:/bin/sh' >>/etc/passwd && echo 'another:x:2345:' >>/etc/group",
    "COPY --chown=another f /copy_chown_name_alone",
    see="stat -c %u:%g /copy_chown_name_alone", expected="1234:2345", files={"f": "f"},
)  # fmt: skip
add(
    "copy_chown_high", "`COPY --chown` with a user id above 65535",
    "COPY --chown=70000:70000 f /copy_chown_high",
    see="stat -c %u:%g /copy_chown_high", expected="70000:70000", files={"f": "f"},
)  # fmt: skip
add(
    "copy_from", "`COPY --from` an image that is here",
    "COPY --from=BASE /bin/busybox /copy_from",
    see="cmp /copy_from /bin/busybox && echo equal", expected="equal",
)  # fmt: skip
add(
    "copy_wildcard", "A wildcard copies what it matches",
    "COPY wild/*.txt wild/[ab] /copy_wildcard/",
    see="ls /copy_wildcard", expected="a\nx.txt", files={"wild/x.txt": "", "wild/a": "", "wild/c": ""},
)  # fmt: skip
add(
    "add_tar", "`ADD` unpacks a tar of the context, and `COPY` does not",
    "ADD t.tar /add_tar/", "COPY t.tar /add_tar_copied/",
    see="ls /add_tar /add_tar_copied", expected="/add_tar:\nin\n\n/add_tar_copied:\nt.tar", files={"t.tar": TAR},
)  # fmt: skip
add(
    "add_url", "`ADD` of a URL: a file of mode 600, not unpacked",
    "ADD http://REGISTRY/v2/ /add_url",
    see="stat -c '%a %u:%g' /add_url; cat /add_url", expected="600 0:0\n{}",
)  # fmt: skip
add(
    "chmod_symbolic", "`COPY --chmod` in letters, as `u+x`",
    "COPY --chmod=u+x f /chmod_symbolic",
    see="stat -c %a /chmod_symbolic", expected="744", files={"f": "f"},
)  # fmt: skip

# ---- directories, volumes, users ------------------------------------------------------------------------------------

add(
    "workdir_user", "`WORKDIR` after `USER` belongs to that user",
    "RUN mkdir -p /etc && touch /etc/passwd", "USER 7", "WORKDIR /workdir_user/x", "RUN touch f", "USER 0", "WORKDIR /",
    see="stat -c '%u %n' /workdir_user/x /workdir_user/x/f", expected="7 /workdir_user/x\n7 /workdir_user/x/f",
)  # fmt: skip
add(
    "workdir_made", "`WORKDIR` makes a directory that is not there, whatever comes next",
    "WORKDIR /workdir_made/one", "WORKDIR ../two", "WORKDIR /",
    see="ls /workdir_made", expected="one\ntwo",
)  # fmt: skip
add(
    "volume_writes", "What a step, or `COPY`, writes below a `VOLUME` is kept",
    "RUN mkdir /volume_writes", "VOLUME /volume_writes", "RUN echo run >/volume_writes/run", "COPY f /volume_writes/copy",
    see="ls /volume_writes", expected="copy\nrun", files={"f": "f"},
)  # fmt: skip

# ---- variables ------------------------------------------------------------------------------------------------------

add(
    "variables", "`${X:-word}` and `${X:+word}`; variables in `ENV`, `LABEL`, `COPY`, `WORKDIR`",
    "ENV VAR=var", "ENV VARS=${VAR:+set}-${NOSUCH:-unset}-$VAR", "COPY $VAR.txt /variables/${NOSUCH:-there}/", "WORKDIR /variables/$VAR", "RUN touch here", "WORKDIR /",
    see="echo $VARS; find /variables -type f | sort", expected="set-unset-var\n/variables/there/var.txt\n/variables/var/here", files={"var.txt": ""},
)  # fmt: skip
add(
    "variable_required", "`${X:?word}` of a variable that is set",
    "ENV REQUIRED=yes", "ENV REQUIRES=${REQUIRED:?no}",
    see="echo $REQUIRES", expected="yes",
)  # fmt: skip
add(
    "variable_pattern", "`${X#pattern}`, `${X%pattern}` and `${X/pattern/word}`",
    "ENV PATTERN=abc", "ENV PATTERNS=${PATTERN#a}-${PATTERN%c}-${PATTERN/b/x}",
    see="echo $PATTERNS", expected="bc-ab-axc",
)  # fmt: skip
add(
    "variable_unset", "`${X-word}` and `${X+word}`, which tell empty from unset",
    'ENV EMPTY=""', "ENV UNSET=${EMPTY-a}-${EMPTY+b}-${NOSUCH-c}-${NOSUCH+d}",
    see="echo $UNSET", expected="-b-c-",
)  # fmt: skip
add(
    "target_platform", "`TARGETOS`, `TARGETARCH`, `TARGETPLATFORM` and `BUILDARCH` are set where they are declared",
    "ARG TARGETOS", "ARG TARGETARCH", "ARG TARGETPLATFORM", "ARG BUILDARCH",
    "RUN echo $TARGETOS/$TARGETARCH $TARGETPLATFORM $TARGETOS/$BUILDARCH >/target_platform",
    see="cat /target_platform", expected=" ".join([str(this_machine())] * 3),
)  # fmt: skip


# ---- what stands before the first stage -----------------------------------------------------------------------------


@behaviour("`ARG` before `FROM`, instructions in small letters, and another escape character", "args\none\ttwo\n")
def syntax(case: Case) -> object:
    case.dockerfile(
        "# escape=`",
        "arg WHAT=BASE",
        "from ${WHAT}",
        "ARG WHAT=args",
        "run echo $WHAT >/it && `",
        "    printf 'one\\ttwo\\n' >>/it",
    )
    return case.built("cat /it")


@behaviour("`# syntax=docker/dockerfile:1` needs no registry", "ok\n")
def syntax_line(case: Case) -> object:
    case.dockerfile("# syntax=docker/dockerfile:1", "FROM BASE", "RUN echo ok >/ok")
    return case.built("cat /ok")


@behaviour("A `# syntax=` of others is not ignored: BuildKit fetches it, or the build fails", True)
def syntax_of_others(case: Case) -> object:
    case.dockerfile("# syntax=REGISTRY/no/frontend:1", "FROM BASE", "RUN true")
    code, said = case.end("build", ".")
    return code == 1 and "no/frontend" in said


@behaviour("`FROM --platform=$BUILDPLATFORM`", "ok\n")
def from_platform(case: Case) -> object:
    case.dockerfile("FROM --platform=$BUILDPLATFORM BASE", "RUN echo ok >/ok")
    return case.built("cat /ok")


@behaviour("`FROM` another stage, and `COPY --from` a stage by name and by number", "a b\n")
def stages(case: Case) -> object:
    case.dockerfile(
        "FROM BASE AS first", "RUN echo a >/a", "FROM BASE", "RUN echo b >/b", "FROM first", "COPY --from=1 /b /b",
        "COPY --from=first /a /c",
    )  # fmt: skip
    return case.built("echo $(cat /c /b)")


# ---- what is kept for later -----------------------------------------------------------------------------------------


@behaviour(
    '`SHELL ["/bin/sh", "-ec"]` is what steps run in, so that `RUN false; true` fails',
    (1, True),
)
def shell(case: Case) -> object:
    case.dockerfile('SHELL ["/bin/sh", "-ec"]', "RUN false; true")
    code, said = case.end("build", ".")
    return code, said.endswith("false; true: exit code 1")


@behaviour("`ONBUILD` runs in a build upon the image, copies of its context, and no further", "run\ncopied\n")
def onbuild(case: Case) -> object:
    case.dockerfile("ONBUILD RUN echo run >>/on", "ONBUILD COPY f /f", name="below")
    case.ok("build", "-t", "NAME-below", "-f", "below", ".")
    case.write(f="copied\n")
    case.dockerfile("FROM NAME-below", name="middle")
    case.ok("build", "-t", "NAME-middle", "-f", "middle", ".")
    case.dockerfile("FROM NAME-middle")
    return case.built("cat /on /f")


@behaviour("A step writes below a `VOLUME` of its base image: it is kept", "kept\n")
def volume_of_base(case: Case) -> object:
    case.dockerfile("RUN mkdir /volume", "VOLUME /volume", name="below")
    case.ok("build", "-t", "NAME-below", "-f", "below", ".")
    case.dockerfile("FROM NAME-below", "RUN echo kept >/volume/f")
    return case.built("cat /volume/f")


@behaviour("An `ENTRYPOINT` of its own clears the `CMD` of the base image", ([], "entry\n"))
def entrypoint_clears(case: Case) -> object:
    case.dockerfile('ENTRYPOINT ["echo", "entry"]')
    case.build()
    return case.configuration().get("Cmd") or [], case.ok("run", "--rm", "NAME")


# ---- mistakes -------------------------------------------------------------------------------------------------------


def _fails(case: Case, *lines: str, words: str) -> bool:
    """Whether a build fails with an error that has these words, for nothing but its Dockerfile."""
    case.dockerfile(*lines)
    case.write(f="", secret="")
    code, said = case.end("build", "-t", "NAME", ".")
    return code in (1, 2) and words in said


@behaviour("`COPY` of a pattern that matches nothing: an error", True)
def copy_nothing(case: Case) -> object:
    return _fails(case, "COPY zzz* /", words="zzz*")


@behaviour("`COPY` of a file that is not there, or is ignored: an error", [True, True])
def copy_missing(case: Case) -> object:
    case.write(__dockerignore="ignored\n", ignored="")
    return [_fails(case, f"COPY {name} /", words=name) for name in ("nosuch", "ignored")]


@behaviour("`COPY --chown` to a name that the image does not have: an error", [True, True])
def chown_unknown(case: Case) -> object:
    return [_fails(case, f"COPY --chown={who} f /", words="nosuch") for who in ("nosuch", "0:nosuch")]


@behaviour("`COPY --chmod` of something else than a mode: an error", True)
def chmod_garbage(case: Case) -> object:
    return _fails(case, "COPY --chmod=garbage f /", words="garbage")


@behaviour("`ADD` of a git repository that cannot be cloned: an error, and nothing of the context is copied", True)
def add_git(case: Case) -> object:
    return _fails(case, "ADD http://REGISTRY/no/repository.git /g", words="repository.git")


@behaviour("`ADD --checksum` of another content: an error", True)
def add_other_checksum(case: Case) -> object:
    return _fails(case, f"ADD --checksum=sha256:{'0' * 64} http://REGISTRY/v2/ /f", words="")


@behaviour("`${X:?word}` of a variable that is not set: an error", True)
def variable_missing(case: Case) -> object:
    return _fails(case, "ENV A=${NOSUCH:?word}", words="NOSUCH")


@behaviour("`RUN --security=insecure`, which no engine here allows: an error", True)
def run_insecure(case: Case) -> object:
    return _fails(case, "RUN --security=insecure true", words="insecure")


@behaviour(
    "An instruction that there is none of: an error that names its line",
    (2, "`PROJECT/Dockerfile`, line 2: unknown instruction: nonsense"),
)
def unknown_instruction(case: Case) -> object:
    case.dockerfile("nonsense")
    return case.error("build", ".")


# ---- what a rootless engine cannot ----------------------------------------------------------------------------------


def _is_so_or_fails(case: Case, step: str, script: str, expected: str) -> bool:
    case.dockerfile(f"RUN {step}")
    code, said = case.end("build", "-t", "NAME", ".")
    return case.sh(script).strip() == expected if code == 0 else code == 1 and step in said


@behaviour("A step gives a file to a user id above 65535: it has that owner, or the build fails", True)
def run_chown_high(case: Case) -> object:
    return _is_so_or_fails(case, "touch /f && chown 70000:70000 /f", "stat -c %u:%g /f", "70000:70000")


@behaviour("A step makes a device node: it is one, or the build fails", True)
def run_mknod(case: Case) -> object:
    return _is_so_or_fails(case, "mknod /n c 1 3", "stat -c %F /n", "character special file")
