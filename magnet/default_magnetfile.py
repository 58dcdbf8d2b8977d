"""The targets of a directory without a magnetfile: an ordinary magnetfile, whose options are docker's and podman's.

Options that do not mean the same on docker, podman and buildah are left out: --squash and --isolation of `build`;
--attach, --detach-keys, --sig-proxy and --runtime of `run`.
"""

import csv
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from magnet import Copy, Image, MagnetError, Mount, Output, Parameter, Secret, T, reading, target
from magnet import context as contexts
from magnet import dockerfile as dockerfiles
from magnet.backends.options import BUILD_OPTIONS, RUN_OPTIONS
from magnet.errors import UsageError
from magnet.model import OutputType
from magnet.parameters import EngineOptions
from magnet.sources import EVERYTHING

Directory = Annotated[str, Parameter(argument=True, metavar="[PATH]", complete="directory")]
Tags = Annotated[tuple[str, ...], Parameter("-t", "--tag", metavar="NAME[:TAG]", help="name of the image")]
File = Annotated[str, Parameter("-f", "--file", metavar="FILE", help="the Dockerfile", complete="file")]
BuildArgs = Annotated[tuple[str, ...], Parameter("--build-arg", metavar="NAME[=VALUE]", help="set an ARG")]
Stage = Annotated[str, Parameter("--target", metavar="STAGE", help="build up to this stage")]
BuildLabels = Annotated[tuple[str, ...], Parameter("--label", metavar="NAME=VALUE", help="set a label")]
PlatformName = Annotated[str, Parameter("--platform", metavar="OS/ARCH", help="platform of the image")]
Platforms = Annotated[
    tuple[str, ...], Parameter("--platform", metavar="OS/ARCH[,...]", help="platform of the image, or several")
]
Outputs = Annotated[
    tuple[str, ...],
    Parameter(
        "-o", "--output", metavar="DIR|type=local|tar|docker|oci,dest=PATH", help="write the result there, besides"
    ),
]
CacheFrom = Annotated[
    tuple[str, ...], Parameter("--cache-from", metavar="REPOSITORY", help="take steps from there, in a registry")
]
CacheTo = Annotated[
    tuple[str, ...], Parameter("--cache-to", metavar="REPOSITORY", help="leave the steps there, in a registry")
]
SourceDateEpoch = Annotated[
    str, Parameter("--source-date-epoch", metavar="SECONDS", help="the time of all that the build adds")
]
BuildPull = Annotated[
    str,
    Parameter(
        "--pull", metavar="[=POLICY]", implied="always", help="fetch base images: always, newer, missing or never"
    ),
]
NoCache = Annotated[bool, Parameter("--no-cache", help="do not use the engine's layer cache")]
IdFile = Annotated[str, Parameter("--iidfile", metavar="FILE", help="write the image's id to a file", complete="file")]
Quiet = Annotated[bool, Parameter("-q", "--quiet", help="print the image's id on stdout")]
Accepted = Annotated[bool, Parameter("--rm", "--force-rm", "--compress", help="accepted: magnet always does so")]
AddHosts = Annotated[tuple[str, ...], Parameter("--add-host", metavar="HOST:IP", help="add a line to /etc/hosts")]
BuildNetwork = Annotated[
    str, Parameter("--network", metavar="MODE", help="network of the build's steps: default, host or none")
]
Secrets = Annotated[
    tuple[str, ...], Parameter("--secret", metavar="id=ID,src=FILE|env=NAME", help="for RUN --mount=type=secret")
]
ShmSize = Annotated[str, Parameter("--shm-size", metavar="BYTES", help="size of /dev/shm of the build's steps")]
Agents = Annotated[
    tuple[str, ...], Parameter("--ssh", metavar="default|ID=PATH", help="an SSH agent or key for RUN --mount=type=ssh")
]
Ulimits = Annotated[
    tuple[str, ...], Parameter("--ulimit", metavar="TYPE=SOFT[:HARD]", help="a resource limit of the build's steps")
]
BuildContexts = Annotated[
    tuple[str, ...],
    Parameter("--build-context", metavar="NAME=PATH|docker-image://IMAGE", help="what FROM and --from call NAME"),
]
MoreBuildOptions = Annotated[tuple[str, ...], EngineOptions(BUILD_OPTIONS)]


@target
def build(
    t: T,
    directory: Directory = ".",
    *,
    tag: Tags = (),
    file: File = "",
    build_arg: BuildArgs = (),
    stage: Stage = "",
    label: BuildLabels = (),
    platform: Platforms = (),
    pull: BuildPull = "missing",
    no_cache: NoCache = False,
    iidfile: IdFile = "",
    quiet: Quiet = False,
    rm: Accepted = False,
    network: BuildNetwork = "default",
    add_host: AddHosts = (),
    shm_size: ShmSize = "",
    ulimit: Ulimits = (),
    secret: Secrets = (),
    ssh: Agents = (),
    build_context: BuildContexts = (),
    output: Outputs = (),
    cache_from: CacheFrom = (),
    cache_to: CacheTo = (),
    source_date_epoch: SourceDateEpoch = "",
    options: MoreBuildOptions = (),
) -> Image:
    """Build an image from the Dockerfile or Containerfile in PATH.

    PATH is the build context. The options are those that `docker build` and `podman build` share.
    """
    with _new(t, iidfile):
        image = t.build(
            directory,
            file=file or None,
            tags=tag,
            build_args=_pairs(build_arg),
            stage=stage or None,
            labels=_pairs(label, default=""),
            **_platforms(platform),
            pull=_pull_policy(pull),  # type: ignore[arg-type]
            no_cache=no_cache,
            output=[_output(word) for word in output],
            cache_from=[_repository(word) for word in cache_from],
            cache_to=[_repository(word) for word in cache_to],
            source_date_epoch=source_date_epoch or None,
            network=network,  # type: ignore[arg-type]
            add_hosts=_hosts(add_host),
            shm_size=shm_size or None,
            ulimits=ulimit,
            secrets=[_secret(word) for word in secret],
            ssh=ssh,
            build_contexts=_build_contexts(build_context),
            options=options,
        )
    return _report(t, image, iidfile, quiet=quiet)


@target
def context(
    t: T,
    directory: Directory = ".",
    *,
    tag: Tags = (),
    file: File = "",
    build_arg: BuildArgs = (),
    stage: Stage = "",
    label: BuildLabels = (),
    platform: Platforms = (),
    pull: BuildPull = "missing",
    no_cache: NoCache = False,
    iidfile: IdFile = "",
    quiet: Quiet = False,
    rm: Accepted = False,
    network: BuildNetwork = "default",
    add_host: AddHosts = (),
    shm_size: ShmSize = "",
    ulimit: Ulimits = (),
    secret: Secrets = (),
    ssh: Agents = (),
    build_context: BuildContexts = (),
    output: Outputs = (),
    cache_from: CacheFrom = (),
    cache_to: CacheTo = (),
    source_date_epoch: SourceDateEpoch = "",
    options: MoreBuildOptions = (),
) -> Image:
    """Build with a narrow context, which holds only the files that the Dockerfile copies.

    As `build`, whose options it takes; a file that no COPY, ADD or bind mount names is not there for the build.
    """
    with _new(t, iidfile):
        image = t.build(
            directory,
            file=file or None,
            context=_narrow(t, directory, file, stage, _pairs(build_arg)),
            tags=tag,
            build_args=_pairs(build_arg),
            stage=stage or None,
            labels=_pairs(label, default=""),
            **_platforms(platform),
            pull=_pull_policy(pull),  # type: ignore[arg-type]
            no_cache=no_cache,
            output=[_output(word) for word in output],
            cache_from=[_repository(word) for word in cache_from],
            cache_to=[_repository(word) for word in cache_to],
            source_date_epoch=source_date_epoch or None,
            network=network,  # type: ignore[arg-type]
            add_hosts=_hosts(add_host),
            shm_size=shm_size or None,
            ulimits=ulimit,
            secrets=[_secret(word) for word in secret],
            ssh=ssh,
            build_contexts=_build_contexts(build_context),
            options=options,
        )
    return _report(t, image, iidfile, quiet=quiet)


@target
def run(
    t: T,
    image: Annotated[str, Parameter(metavar="IMAGE")],
    *command: Annotated[str, Parameter(metavar="[COMMAND]...")],
    detach: Annotated[bool, Parameter("-d", "--detach", help="leave it running, and print its id")] = False,
    entrypoint: Annotated[str | None, Parameter("--entrypoint", metavar="PROGRAM")] = None,
    env: Annotated[tuple[str, ...], Parameter("-e", "--env", metavar="NAME[=VALUE]")] = (),
    env_file: Annotated[
        tuple[str, ...],
        Parameter("--env-file", metavar="FILE", help="read variables from a file, NAME=VALUE a line", complete="file"),
    ] = (),
    interactive: Annotated[bool, Parameter("-i", "--interactive", help="give it stdin")] = False,
    label: Annotated[tuple[str, ...], Parameter("-l", "--label", metavar="NAME=VALUE")] = (),
    mount: Annotated[tuple[str, ...], Parameter("--mount", metavar="type=bind,source=PATH,target=PATH")] = (),
    name: Annotated[str, Parameter("--name", metavar="NAME", help="name of the container")] = "",
    network: Annotated[str, Parameter("--network", "--net", metavar="NETWORK")] = "",
    platform: PlatformName = "",
    privileged: Annotated[bool, Parameter("--privileged")] = False,
    pull: Annotated[
        str, Parameter("--pull", metavar="[=POLICY]", implied="always", help="always, newer, missing or never")
    ] = "missing",
    read_only: Annotated[bool, Parameter("--read-only", help="read-only root file system")] = False,
    rm: Annotated[bool, Parameter("--rm", help="remove the container when it has ended")] = False,
    tty: Annotated[bool, Parameter("-t", "--tty", help="give it the terminal")] = False,
    user: Annotated[str, Parameter("-u", "--user", metavar="UID[:GID]", help="also `host`: files belong to you")] = "",
    volume: Annotated[tuple[str, ...], Parameter("-v", "--volume", metavar="SOURCE:TARGET[:ro,z]")] = (),
    workdir: Annotated[str, Parameter("-w", "--workdir", metavar="PATH")] = "",
    options: Annotated[tuple[str, ...], EngineOptions(RUN_OPTIONS)] = (),
) -> None:
    """Run a command in a container of an image.

    The container's stdout, stderr and exit code are magnet's. The options are those that `docker run` and `podman run`
    share; they end at IMAGE.
    """
    mounts, volumes = _volumes(volume)
    more_mounts, other_mounts = _mounts(mount)
    result = t.run(
        image,
        *command,
        entrypoint=None if entrypoint is None else entrypoint,
        user=user or None,
        mounts=[*mounts, *more_mounts],
        env={**_pairs(word for file in env_file for word in _env_lines(Path(t.project.root, file))), **_pairs(env)},
        workdir=workdir or None,
        network=network or None,
        privileged=privileged,
        read_only=read_only,
        remove=rm,
        detach=detach,
        interactive=interactive,
        tty=tty,
        attach=not detach,
        name=name or None,
        labels=_pairs(label, default=""),
        options=[*options, *volumes, *other_mounts],
        pull=_pull_policy(pull),  # type: ignore[arg-type]
        platform=platform or None,
    )
    if detach and result.container:
        t.output(result.container)


@contextmanager
def _new(t: T, iidfile: str) -> Iterator[None]:
    """Leave no file of an earlier build where the one within the block fails."""
    try:
        yield
    except BaseException:
        if iidfile:
            Path(t.project.root, iidfile).unlink(missing_ok=True)
        raise


def _report(t: T, image: Image, iidfile: str, *, quiet: bool) -> Image:
    if image.id and iidfile:
        Path(t.project.root, iidfile).write_text(image.id)
    if image.id and quiet:
        t.output(image.id)
    return image


def _pairs(words: Iterable[str], default: str | None = None) -> dict[str, str]:
    """NAME=VALUE words; a NAME alone has `default`, or else the value that it has in magnet's own environment."""
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        found = value if equals else os.environ.get(name) if default is None else default
        if found is not None:
            pairs[name] = found
    return pairs


def _hosts(words: Iterable[str]) -> dict[str, list[str]]:
    """HOST:IP words, of which docker also takes HOST=IP, as addresses by name."""
    hosts: dict[str, list[str]] = {}
    for word in words:
        name, separator, address = re.match(r"([^:=]*)([:=]?)(.*)", word, re.DOTALL).groups()  # type: ignore[union-attr]
        if not separator:
            raise UsageError(f"`--add-host={word}` has no address", hint="write it as HOST:IP")
        hosts.setdefault(name, []).append(address)
    return hosts


def _secret(word: str) -> Secret:
    """A secret as docker writes it; the id alone is the name of a variable or, where that is not set, of a file."""
    fields = {key.lower(): value for key, _, value in (field.partition("=") for field in next(csv.reader([word])))}
    kind, name = fields.pop("type", ""), fields.pop("id", "")
    sources = [value for key in ("src", "source") if (value := fields.pop(key, ""))]
    variable = fields.pop("env", "")
    if fields or kind not in ("", "file", "env") or len(sources) + bool(variable) > 1:
        raise UsageError(f"`--secret={word}` is no secret", hint="write it as id=ID,src=FILE or id=ID,env=NAME")
    source = sources[0] if sources else ""
    if kind == "env" or (variable and not source):
        return Secret(name, env=variable or source or name)
    if not source and kind != "file" and name in os.environ:
        return Secret(name, env=name)
    return Secret(name, file=source or name)


def _build_contexts(words: Iterable[str]) -> dict[str, str | Path]:
    """NAME=PATH words, by name."""
    for word in words:
        if not all(word.partition("=")):
            raise UsageError(f"`--build-context={word}` is none", hint="write NAME=PATH or NAME=docker-image://IMAGE")
    return {name: given for name, _, given in (word.partition("=") for word in words)}


def _env_lines(path: Path) -> list[str]:
    """The variables of a file, one a line, each taken as it is, quotes and all; a line that begins with # is none."""
    try:
        text = path.read_text("utf-8", "surrogateescape")
    except OSError as error:
        raise MagnetError(f"cannot read `{path}`: {error.strerror}", hint="correct `--env-file`") from error
    lines = [line.lstrip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _platforms(words: Iterable[str]) -> dict[str, Any]:
    """One `platform` is of no image of several, as for docker; commas separate others."""
    names = [name for word in words for name in word.split(",")]
    return {"platforms": names} if len(names) > 1 else {"platform": names[0] if names else None}


_OUTPUT_TYPES: dict[str, OutputType] = {
    "local": "directory", "tar": "tar", "docker": "docker-archive", "oci": "oci-archive",
}  # fmt: skip


def _output(word: str) -> Output:
    """What docker's `--output` says: a directory, or fields between commas."""
    fields = _fields(word)
    if list(fields) == [word] and not fields[word]:
        fields = {"type": "local", "dest": word}
    if fields.keys() != {"type", "dest"} or fields["type"] not in _OUTPUT_TYPES:
        types = ", ".join(f"type={name}" for name in _OUTPUT_TYPES)
        raise UsageError(f"`--output={word}` is no output", hint=f"write DIR, or TYPE,dest=PATH; types are: {types}")
    if fields["dest"] == "-":
        raise UsageError("an output cannot go to stdout", hint="name a file: dest=PATH")
    return Output(_OUTPUT_TYPES[fields["type"]], fields["dest"])


def _repository(word: str) -> str:
    """A repository, as it is, or as docker's `type=registry,ref=REPOSITORY`."""
    fields = _fields(word)
    if not any(fields.values()):
        return word
    if fields.get("type") != "registry" or not fields.get("ref") or fields.keys() - {"type", "ref", "mode"}:
        raise UsageError(f"`{word}` is no repository for steps of a build", hint="write it as REGISTRY/REPOSITORY")
    return fields["ref"]


def _fields(word: str) -> dict[str, str]:
    """What stands between commas, by what stands before the `=`."""
    return {key: value for key, _, value in (field.partition("=") for field in next(csv.reader([word]), []))}


def _pull_policy(word: str) -> str:
    """Docker's `--pull` is a switch, podman's a policy."""
    return {"true": "always", "false": "missing"}.get(word.lower(), word)


def _narrow(t: T, directory: str, file: str, stage: str, build_args: dict[str, str]) -> list[Copy] | None:
    """The files of a directory that its Dockerfile copies; None, which is all, where that cannot be known."""
    root = Path(t.project.root, directory)
    path = Path(t.project.root, file) if file else reading.find(root)
    sources = dockerfiles.parse(path).sources(stage or None, build_args)
    if sources is None or EVERYTHING in sources:
        return None
    ignore = contexts.find_ignore_file(root, path)
    ignored = contexts.read_ignore_file(ignore) if ignore else ()
    return [Copy(directory, include=sources, exclude=ignored)] if sources else []


_LABELS = {"z": "shared", "Z": "private"}
"""What labels for SELinux are called after the last colon of `-v`."""


def _volumes(words: Iterable[str]) -> tuple[list[Mount], list[str]]:
    """The bind mounts of `-v` options, and those options that are something else, as named volumes."""
    mounts, others = [], []
    for word in words:
        source, *rest = word.split(":")
        target, modes = rest[0] if rest else "", set(",".join(rest[1:]).split(",")) - {"", "rw"}
        consistency = next(iter(modes & {"cached", "delegated", "consistent"}), "")
        label = next(iter(modes & _LABELS.keys()), "")
        is_path = source.startswith((".", "/", "~")) and rest
        if is_path and modes <= {"ro", consistency, label}:
            mounts.append(Mount(source, target, "ro" in modes, consistency, _LABELS.get(label, "")))  # type: ignore[arg-type]
        else:
            others.append(
                f"--volume={os.path.abspath(os.path.expanduser(source)) if is_path else source}{word[len(source) :]}"
            )
    return mounts, others


def _mounts(words: Iterable[str]) -> tuple[list[Mount], list[str]]:
    """The bind mounts of `--mount` options, and options for those of another type."""
    mounts, others = [], []
    for word in words:
        keys = {key: value for key, _, value in (field.partition("=") for field in next(csv.reader([word])))}
        source = keys.pop("source", keys.pop("src", ""))
        target = keys.pop("target", keys.pop("destination", keys.pop("dst", "")))
        readonly = next((keys.pop(key) for key in ("readonly", "ro") if key in keys), "false") in ("", "true", "1")
        consistency, label = keys.pop("consistency", ""), keys.pop("relabel", "")
        if keys == {"type": "bind"} and source and target:
            mounts.append(Mount(source, target, readonly, consistency, label))  # type: ignore[arg-type]
        elif keys.get("type") == "bind" and not (source and target):
            raise MagnetError(f"`--mount={word}` has no source or no target", hint="type=bind,source=PATH,target=PATH")
        elif keys.get("type") == "tmpfs" and keys.keys() <= {"type", "tmpfs-size", "tmpfs-mode"} and target:
            said = {name.removeprefix("tmpfs-"): value for name, value in keys.items() if name != "type"}
            others.append(f"--tmpfs={target}:{','.join(f'{name}={value}' for name, value in said.items())}")
        else:
            others.append(f"--mount={word}")
    return mounts, others
