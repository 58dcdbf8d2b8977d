"""What to do about failures that are known well, told from what was printed last."""

import re
from collections.abc import Iterable

# The words that an engine, a shell or a package manager uses, and what helps. The first that fits is taken.
_KNOWN = (
    (r"no space left on device", "the disk is full: `magnet cache prune` frees what newer builds have superseded"),
    (
        r"exec format error",
        "the program is for another platform than this machine's, where that takes qemu in binfmt_misc "
        "(see `platform=`), or it lacks its `#!` line",
    ),
    (
        r"frontend gateway\.v0: failed to do request|resolve source metadata for \S*docker/dockerfile:",
        "BuildKit cannot fetch the image that `# syntax=` names, which it needs for what it has not by itself",
    ),
    (
        r"toomanyrequests|429 Too Many Requests",
        "the registry limits how much is pulled: log in to it, or pull less often",
    ),
    (
        r"[Tt]emporary failure (in name resolution|resolving)|[Cc]ould not resolve host|bad address '",
        "the build has no network, or no name server: see `network=` of `t.build`, and the proxy's variables",
    ),
    (
        r"certificate (verify failed|signed by unknown authority|is not trusted)|x509: ",
        "a certificate is not trusted: a proxy may be in between, whose certificate must be in the image",
    ),
    (
        r"E: Unable to locate package|has no installation candidate",
        "apt knows no such package: run `apt-get update` in the same RUN, and check the name",
    ),
    (r"exit code:? 137|exit status 137|\bKilled$", "it was killed, most often for want of memory"),
    (
        r"(^|: )(/bin/)?(ba|da)?sh: .*: [Pp]ermission denied|exec: .* permission denied",
        "a file that is to be run is not executable: `chmod +x` it, or `COPY --chmod=755`",
    ),
    (
        r"buildah-cache.*permission denied",
        "older podman and buildah share /var/tmp/buildah-cache with all users: set TMPDIR to a directory of your own",
    ),
    (
        r"unable to find user \d+: invalid argument",
        "rootless docker's BuildKit needs an /etc/passwd in the image for USER: `RUN touch /etc/passwd` before it",
    ),
    (r"exit (code:?|status) 127", "a program is not in the image: install it in a step before"),
)
_KNOWN_OF_COPIES = (
    *_KNOWN,
    (
        r"not found|no such file or directory|file does not exist|no source files were specified",
        "see whether it is in the build's context, which `magnet --files TARGET` lists",
    ),
)
# What engines and runtimes say where the machine lacks what they need; a step may well print the names of them.
_MACHINE = re.compile(
    r"cgroups in hybrid mode|no cgroup mount found|cgroup manager is set to systemd but there is no systemd"
    r"|setting rlimit|setrlimit `|OCI permission denied"
    r"|newuidmap.*(failed|not found|not permitted)|newgidmap.*(failed|not found|not permitted)"
    r"|insufficient UIDs or GIDs|not be enough IDs available|cannot clone: |clone_newuser|CLONE_NEWUSER"
    r"|slirp4netns (failed|sync pipe)|pasta failed|/dev/net/tun|netavark: |could not find \"netavark\""
    r"|fuse: device not found|/dev/fuse|fuse-overlayfs: "
    r"|policy\.json: no such file|short-name .* did not resolve|no unqualified-search registries"
    r"|[Cc]annot connect to the Docker daemon|trying to connect to the [Dd]ocker|buildx component is missing"
)
_COPY = re.compile(r"(^|\] )(COPY|ADD)\b", re.IGNORECASE)


def see_doctor(engine: str) -> str:
    """A hint at the command that explains why an engine does not work."""
    return f"`magnet --backend {engine} doctor` tells what is missing, and what mends it"


def machine_hint(said: Iterable[str], engine: str) -> str | None:
    """What to do about an engine that lacks something on this machine; None where nothing says that it does."""
    return see_doctor(engine) if _MACHINE.search("\n".join(said)) else None


def hint(step: str, said: Iterable[str], engine: str) -> str | None:
    """What to do about a failed step of a build, given the last lines that were printed; None for what is not known."""
    text = "\n".join(said)
    if of_machine := machine_hint([text], engine):
        return of_machine
    known = _KNOWN_OF_COPIES if _COPY.search(step) else _KNOWN
    return next((what for pattern, what in known if re.search(pattern, text, re.MULTILINE)), None)
