"""What podman and buildah share, being built on the same libraries: names, sizes, words for failures."""

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress

from magnet.backends.engine import Engine, version_numbers
from magnet.errors import EngineError
from magnet.events import Reader
from magnet.model import EMPTY, BuildRequest, Network, Option
from magnet.references import repository

# An instruction may itself hold what ends it here, as JSON in a RUN does.
_STEPS = (
    re.compile(r'at STEP "(?P<step>.+)": (?P<why>while running runtime: .+)'),
    re.compile(r'at STEP "(?P<step>.+?)": (?P<why>.+)'),
)
_DISTURBED = re.compile(r"^Error: checking if cached image exists from a previous build: .* not known$", re.MULTILINE)
_EXIT = re.compile(r"exit status (\d+)$")


def buildah_reader(target: str, number: int) -> Reader:
    """What understands the output of a build."""
    from magnet.readers.buildah import BuildahReader  # costs 2 ms, and a build that is found done prints nothing

    return BuildahReader(target, number)


def failed_build_step(output: str) -> tuple[str, ...]:
    """The failing instruction and why, from the last error line of a build, and what the runtime said before it.

    >>> failed_build_step('Error: building at STEP "RUN exit 3": while running runtime: exit status 3')
    ('RUN exit 3: exit code 3',)
    """
    lines = output.splitlines()
    said = tuple(line for line in lines if line.startswith("error running container: "))
    for line in reversed(lines):
        if line.lower().startswith("error: "):
            step = next(filter(None, (pattern.search(line) for pattern in _STEPS)), None)
            if step is None:
                return (line[len("error: ") :],)
            code = _EXIT.search(step["why"])
            return (f"{step['step']}: exit code {code[1]}" if code else f"{step['step']}: {step['why']}", *said)
    return ()


def was_disturbed(output: str) -> bool:
    """Whether an image was removed while a build looked for its steps among them, which fails the build.

    >>> said = "Error: checking if cached image exists from a previous build: getting top layer info: layer not known"
    >>> was_disturbed(said)
    True
    """
    return _DISTURBED.search(output) is not None


_SHARED_CACHE = "/var/tmp/buildah-cache"
"""Where podman 4.3 and buildah 1.28 keep what `RUN --mount=type=cache` has, of all users."""


def environment(request: BuildRequest) -> Mapping[str, str]:
    """What lets a build have mounts of type `cache` where those of another user are in the way."""
    is_free = not os.path.exists(_SHARED_CACHE) or os.access(_SHARED_CACHE, os.W_OK)
    if not request.mounts_caches or is_free or "TMPDIR" in os.environ:
        return EMPTY
    return {"TMPDIR": f"/var/tmp/magnet-{os.getuid()}"}


def make_directory(request: BuildRequest) -> None:
    """Make the directory that `environment` tells of; an EngineError where it is another user's."""
    directory = environment(request).get("TMPDIR")
    if directory is None:
        return
    with suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    if os.lstat(directory).st_uid != os.getuid() or not os.path.isdir(directory):
        raise EngineError(f"`{directory}` is not yours", hint="set TMPDIR to a directory of your own")


def ignore_arguments(request: BuildRequest) -> list[str]:
    """The option that makes the engine read the request's ignore file, and none that lies in the context."""
    return [f"--ignorefile={request.ignorefile}"] if request.ignorefile else []


def mapped_address(engine: Engine, network: Network, since: str) -> str | None:
    """The address of this machine in the network of a rootless build, where that takes the machine's own for its own.

    From a version on that network is made by pasta, which is told of just this one (containers/common, pasta_linux.go).
    """
    is_pasta = engine.rootless and version_numbers(engine.version) >= version_numbers(since)
    has_own = network == "default" and "build-network" in engine.features
    return "169.254.1.2" if is_pasta and has_own else None


_SECURITY_SINCE = {"podman": "5.4", "buildah": "1.39"}

CAPABILITIES = "--cap-add=AUDIT_WRITE,MKNOD,NET_RAW"
"""What steps of docker's may do and those of podman 5 and buildah 1.39 may not, unless they are allowed to."""


def own_arguments(request: BuildRequest) -> list[str]:
    """The options of `build` that docker has not, or spells in another way."""
    caches = [
        *(f"--cache-from={repository(name)}" for name in request.cache_from),
        *(f"--cache-to={repository(name)}" for name in request.cache_to),
    ]
    return [*_secret_arguments(request), *_hosts_arguments(request), *caches, *ignore_arguments(request)]


def _secret_arguments(request: BuildRequest) -> list[str]:
    """The options for a build's secrets: words between commas, of which none can be quoted."""
    for name, path in request.secrets.items():
        if "," in str(path):
            raise EngineError(
                f"podman and buildah cannot read the secret `{name}` from a path with a comma in it: {path}",
                hint="rename the project's directory, or choose another engine with --backend",
            )
    return [f"--secret=id={name},src={path}" for name, path in request.secrets.items()]


def _hosts_arguments(request: BuildRequest) -> list[str]:
    """The options that give steps the request's own /etc/hosts.

    Without a network podman and buildah make none, whatever hosts are to be added (seen from 4.3 to 5.4). Where they do
    make one, it is a matter of luck whether a step sees it or what is mounted there.
    """
    if request.hosts_file is None:
        return []
    if ":" in str(request.hosts_file):
        raise EngineError(
            f"podman and buildah cannot mount a path with a colon in it: {request.hosts_file}",
            hint="rename the project's directory, or choose another engine with --backend",
        )
    return ["--no-hosts", f"--volume={request.hosts_file}:/etc/hosts:ro,z"]


def split_name(name: str) -> tuple[str, str]:
    """A repository and a tag.

    >>> split_name("localhost:5000/app")
    ('localhost:5000/app', '<none>')
    """
    if "@" in name:
        return name.partition("@")[0], "<none>"
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "<none>")


def human_size(size: int) -> str:
    """A size in decimal units with three digits, as docker prints it.

    >>> human_size(1_163_000_000)
    '1.16GB'
    """
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g}{unit}"
        amount /= 1000
    return f"{amount:.3g}TB"


def refused_build_options(engine: Engine, *, is_chroot: bool) -> Mapping[str, str]:
    """Options of builds that a rootless engine fails at when it has begun, and that its chroot isolation ignores."""
    from magnet.backends.surroundings import LIMITS, refused_limits  # a build that is found done does without

    limits = (*LIMITS, "--cgroup-parent")
    ignored = dict.fromkeys(limits, "its chroot isolation ignores it") if is_chroot else {}
    return {**dict.fromkeys(limits if refused_limits(engine) else (), "with cgroups v1 only root may"), **ignored}


def check_security(options: Iterable[Option], engine: Engine) -> None:
    """Refuse what older versions know for containers, and not for builds: `no-new-privileges is not supported`.

    Seen in podman 4.3 and buildah 1.28; podman 5.4 and buildah 1.39 have it.
    """
    if version_numbers(engine.version) >= version_numbers(_SECURITY_SINCE.get(engine.name, "0")):
        return
    for option in options:
        if option.name == "--security-opt" and (option.value or "").startswith("no-new-privileges"):
            raise EngineError(
                f"{engine} cannot build with `{option.argv()[0]}`: it has that for containers only",
                hint="leave it out, or use podman 5.4 or buildah 1.39 or later",
            )
