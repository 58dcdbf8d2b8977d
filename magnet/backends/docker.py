"""Docker: BuildKit in the client, BuildKit through buildx, or the legacy builder, each as what it is."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from magnet.backends import dockerd
from magnet.backends.base import Answers, Backend, Engine, RunPlan, does_not_work, host_user, image_id, understanding
from magnet.backends.engine import is_elsewhere, version_numbers
from magnet.backends.features import features_of
from magnet.backends.requests import (
    build_arguments,
    consistency,
    mount_value,
    run_arguments,
    secret_arguments,
    volume_value,
)
from magnet.errors import EngineError
from magnet.events import Reader
from magnet.model import RUN_LABEL, BuildRequest, Command, Image, ImageListing, Mount, Platform, RunRequest
from magnet.process import Completed, Shell, ask, asking
from magnet.references import cache_image
from magnet.values import frozen, replace

Builder = Literal["buildkit", "buildx", "legacy"]

BUILDX_SINCE = (23,)
"""The first version of docker's client that has no BuildKit of its own and needs the buildx plugin."""

_EVENTS = "events"
_EVENTS_SINCE = (0, 13)
"""The first version of buildx that has `--progress=rawjson`."""

_BUILDKIT_ENV = {"DOCKER_BUILDKIT": "1", "PROGRESS_NO_TRUNC": "1"}
_LEGACY_ENV = {"DOCKER_BUILDKIT": "0"}

# What BuildKit takes without a word and without effect: always, and in daemons before _LIMITS_SINCE (seen in 20.10).
_IGNORED = frozenset(
    {
        "--cpu-period", "--cpu-quota", "--cpu-shares", "--cpuset-cpus", "--cpuset-mems", "--memory", "--memory-swap",
        "--security-opt",
    }
)  # fmt: skip
_IGNORED_ONCE = frozenset({"--cgroup-parent"})
_LIMITS_SINCE = (23,)


class Docker(Backend):
    """The docker client and the daemon that it talks to."""

    name: ClassVar[str] = "docker"
    program: ClassVar[str] = "docker"

    @classmethod
    def probe(cls) -> Engine:
        """Docker, when its client is installed and its daemon answers."""
        from shutil import which  # costs 3 ms

        program = which(cls.program)
        if program is None:
            raise EngineError(f"{cls.program} is not installed", hint="install docker, or use podman or buildah")
        versions = Command((program, "version", "--format", "{{json .}}"))
        about = Command((program, "info", "--format", "{{json .}}"))
        with asking(versions) as first, asking(about) as second:
            answer, told = first(), second()
        try:
            version: Any = json.loads(answer.stdout)
        except ValueError:
            version = {}
        if "APIVersion" in (version.get("Client") or {}):
            raise EngineError("`docker` here is podman under another name", hint="use --backend podman")
        if answer.returncode != 0 or not version.get("Server"):
            raise _unreachable(answer)
        server, client = version["Server"], version["Client"]
        _refuse_podman(server)
        context = client.get("Context") or ""
        builder = _builder(program, client["Version"])
        info: Any = json.loads(told.stdout or b"{}")
        security = [option.split(",")[0] for option in info.get("SecurityOptions") or ()]
        rootless, is_remote = "name=rootless" in security, is_elsewhere(_address(program, context))
        # The daemon of an ordinary user is in a network namespace of its own.
        missing = {"host-network"} if rootless else set()
        return Engine(
            name="docker",
            version=server["Version"],
            program=program,
            rootless=rootless,
            builder=builder.kind,
            features=_features(builder, server["Version"]) - missing,
            client_version=client["Version"],
            builder_version=builder.version,
            builder_driver=builder.driver,
            buildkit_version=builder.buildkit_version,
            storage_driver=info.get("Driver") or "",
            cgroup_version=info.get("CgroupVersion") or "",
            cgroup_manager=info.get("CgroupDriver") or "",
            runtime=info.get("DefaultRuntime") or "",
            ids=_ids() if rootless and not is_remote else None,
            selinux="name=selinux" in security,
            is_remote=is_remote,
        )

    def build_command(self, request: BuildRequest) -> Command:
        """`docker build`, with the builder that the probe found."""
        arguments = (
            *build_arguments(request),
            *secret_arguments(request),
            *_cache_arguments(request),
            str(request.context),
        )
        if self.engine.builder == "legacy":
            return Command((self.program, "build", "--force-rm", *arguments), env=_LEGACY_ENV)
        if self.engine.builder == "buildx":
            progress = f"--progress={'rawjson' if _EVENTS in self.engine.features else 'plain'}"
            # A builder in a container of its own keeps its result to itself unless told to load it.
            load = () if request.tar else ("--load",)
            return Command((self.program, "buildx", "build", progress, *load, *arguments), env=_BUILDKIT_ENV)
        return Command((self.program, "build", "--progress=plain", *arguments), env=_BUILDKIT_ENV)

    def leave_cache(self, request: BuildRequest, image: Image, shell: Shell) -> None:
        """Push the image, which has its steps in it: the daemon's own BuildKit can leave them nowhere else."""
        for name in _cache_images(request.cache_to, request):
            self.tag(image.id, [name], shell)
            self.push(name, shell)

    def reader(self, target: str, number: int) -> Reader:
        """Of the legacy builder's words, or of BuildKit's: its events, where the client prints them, or its lines."""
        # Each costs 2 ms or more, and a build that is found done prints nothing.
        if self.engine.builder == "legacy":
            from magnet.readers.legacy import LegacyReader

            return LegacyReader(target, number)
        if _EVENTS in self.engine.features:
            from magnet.readers.rawjson import RawJSONReader

            return RawJSONReader(target, number)
        from magnet.readers.buildkit import BuildKitReader

        return BuildKitReader(target, number)

    def run_plan(self, request: RunRequest, image: Image, container: str) -> RunPlan:
        """`docker run`."""
        user = request.user
        if user == "host":
            # Root in a rootless daemon's container is the caller outside; any other uid is a subordinate one.
            user = "0:0" if self.engine.rootless else host_user()
        elif self.engine.rootless and re.match(r"[1-9]", user or ""):
            from magnet.backends.surroundings import check_not_written  # a build that is found done does without

            check_not_written(request, self.engine)
        flags = run_arguments(request, user=user, mounts=map(_mount, request.mounts))
        run = self._command("run", *flags, image.id, *(request.entrypoint or ())[1:], *request.command)
        return RunPlan(replace(run, env=request.secret_env))

    @classmethod
    def find(cls) -> Self:
        """The backend, if its client is here and its daemon answers."""
        from shutil import which

        found = cls()
        return found if which(cls.program) and found._socket else super().find()

    @contextmanager
    def asking(self, references: Iterable[str], shell: Shell | None = None) -> Iterator[Answers]:
        """Ask for several images: the daemon itself where it is reached so, else the client."""
        wanted = list(references)
        found = {name: answer for name in wanted if (answer := self._ask(f"/images/{name}/json"))}
        unclear = [name for name in wanted if name not in found or found[name].status not in (200, 404)]
        with super().asking(unclear, shell) as others:
            yield lambda: {
                **{name: self._image(found[name]) for name in wanted if name not in unclear},
                **others(),
            }

    def _ask(self, path: str) -> dockerd.Answer | None:
        return dockerd.get(path, self._socket) if self._socket else None

    @cached_property
    def _socket(self) -> str | None:
        """The socket of a daemon that answers and is docker's; without one the client is asked, after a probe."""
        where = dockerd.find_socket(os.environ)
        answer = dockerd.get("/version", where) if where else None
        if answer and answer.status == 200:
            with understanding(self.name):
                _refuse_podman(json.loads(answer.body))
            return where
        self.engine  # noqa: B018 - probes
        return None

    def _image(self, answer: dockerd.Answer) -> Image | None:
        if answer.status == 404:
            return None
        with understanding(self.name):
            return self.parse_image(answer.body)

    def tag(self, reference: str, names: Iterable[str], shell: Shell) -> None:
        """Give an image more names, each by itself: `"docker tag" requires exactly 2 arguments`."""
        for name in names:
            super().tag(reference, [name], shell)

    def inspect_command(self, reference: str) -> Command:
        """`docker image inspect`."""
        return self._command("image", "inspect", "--format", "{{json .}}", reference)

    def parse_image(self, output: bytes) -> Image:
        """An image from docker's JSON."""
        return image_from_inspection(json.loads(output))

    def images_command(self, name: str | None) -> Command:
        """`docker images`, one JSON object a line."""
        return self._command("images", "--no-trunc", "--format", "{{json .}}", *filter(None, [name]))

    def parse_images(self, output: bytes) -> tuple[ImageListing, ...]:
        """The rows of `docker images`."""
        rows = [json.loads(line) for line in output.splitlines() if line.strip()]
        return tuple(
            ImageListing(row["Repository"], row["Tag"], image_id(row["ID"]), _seconds(row["CreatedAt"]), row["Size"])
            for row in rows
        )

    def containers_command(self, run_id: str) -> Command:
        """`docker ps` for the label of a run."""
        return self._command("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={RUN_LABEL}={run_id}")

    def remove_containers_command(self, containers: Iterable[str]) -> Command:
        """`docker rm --force`."""
        return self._command("rm", "--force", "--volumes", *containers)

    def failed_step(self, output: str) -> tuple[str, ...]:
        """The failing RUN in BuildKit's words, old and new, or the legacy builder's."""
        said = [match for pattern in _FAILED_STEP for match in re.finditer(pattern, output)]
        if said:
            # The last such words: what comes before may be what a step printed.
            last = max(said, key=re.Match.start)
            return (f"RUN {last['step'].removeprefix('/bin/sh -c ')}: exit code {last['code']}",)
        for line in reversed(output.splitlines()):
            # The last line that begins so is the whole reason; what follows it is advice.
            if match := re.match(r"\s*(?:ERROR: |error: |Error response from daemon: )(.+)", line):
                why = re.sub(r"^(failed to solve: |failed to build: )+(rpc error: code = \S+ desc = )?", "", match[1])
                return (why,)
        return ()

    def refused_build_options(self) -> Mapping[str, str]:
        """What the builder would ignore or does not know."""
        if self.engine.builder == "legacy":
            # "The daemon on this platform does not support setting security options on build"
            return {"--security-opt": "it has that for containers only"}
        old = version_numbers(self.engine.version) < _LIMITS_SINCE
        return dict.fromkeys(_IGNORED | _IGNORED_ONCE if old else _IGNORED, "its BuildKit ignores it")

    def _needed_build_features(self, request: BuildRequest) -> Mapping[str, str]:
        needed = super()._needed_build_features(request)
        return {**needed, **_host_network(request.network, "build with")}

    def _needed_run_features(self, request: RunRequest) -> Mapping[str, str]:
        needed = super()._needed_run_features(request)
        return {**needed, **_host_network(request.network, "run with")}

    def refused_run_options(self) -> Mapping[str, str]:
        """Limits where docker would ignore them; else none, for the options are docker's own."""
        from magnet.backends.surroundings import refused_limits  # a build that is found done does without

        return refused_limits(self.engine)

    def elsewhere(self, feature: str) -> str:
        """Where a feature can be had, which may be here: it is the legacy builder that lacks it, not docker."""
        hint = super().elsewhere(feature)
        if feature == "host-network":
            return f"the daemon of an ordinary user is in a network of its own; {hint}"
        if self.engine.builder == "legacy" and feature in features_of("buildkit", self.engine.version):
            how = "install its buildx plugin, and leave DOCKER_BUILDKIT alone"
            return f"docker can with BuildKit: {how}; {hint}"
        return hint


def _mount(mount: Mount) -> str:
    return volume_value(mount) if mount.relabel else f"--mount={mount_value(mount, consistency(mount))}"


def _cache_images(names: Iterable[str], request: BuildRequest) -> list[str]:
    return [cache_image(name, str(request.platform or "")) for name in names]


def _cache_arguments(request: BuildRequest) -> list[str]:
    arguments = [f"--cache-from={name}" for name in _cache_images(request.cache_from, request)]
    return [*arguments, *(["--build-arg=BUILDKIT_INLINE_CACHE=1"] if request.cache_to else [])]


def _refuse_podman(server: Any) -> None:
    if any("podman" in part.get("Name", "").lower() for part in server.get("Components") or ()):
        # `docker run --rm` against podman 4.3's socket ends with exit code 0 whatever the container's was.
        raise EngineError("the docker client here talks to podman, not to a docker daemon", hint="use --backend podman")


_FAILED_STEP = (
    r"executor failed running \[(?P<step>.+)\]: exit code: (?P<code>\d+)",
    r'process "(?P<step>.+)" did not complete successfully: exit code: (?P<code>\d+)',
    r"The command '(?P<step>.+)' returned a non-zero code: (?P<code>\d+)",
)


def image_from_inspection(found: Any) -> Image:
    """An image from the JSON that docker and podman share."""
    config = found.get("Config") or {}
    return Image(
        id=image_id(found["Id"]),
        platform=Platform(found["Os"], found["Architecture"], found.get("Variant") or ""),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        env=dict(variable.partition("=")[::2] for variable in config.get("Env") or ()),
        user=config.get("User") or "",
        workdir=config.get("WorkingDir") or "",
        labels=config.get("Labels") or {},
        has_triggers=bool(config.get("OnBuild")),
        volumes=tuple(config.get("Volumes") or ()),
        layers=tuple((found.get("RootFS") or {}).get("Layers") or ()),
        # Podman tells it beside the configuration.
        healthcheck=tuple((config.get("Healthcheck") or found.get("Healthcheck") or {}).get("Test") or ()),
    )


def _seconds(created: str) -> int:
    from datetime import datetime  # costs 1 ms, and only a list of images needs it

    # "2026-11-23 18:00:00 +0000 UTC": the zone's name says nothing that its offset has not said.
    return int(datetime.strptime(created[:25], "%Y-%m-%d %H:%M:%S %z").timestamp())


@frozen
class _Builder:
    """What builds; with buildx its version, its driver, the BuildKit there, and the features that come with it."""

    kind: Builder
    version: str = ""
    driver: str = ""
    buildkit_version: str = ""
    features: frozenset[str] = frozenset()


def _builder(program: str, client_version: str) -> _Builder:
    if os.environ.get("DOCKER_BUILDKIT", "").lower() in ("0", "f", "false"):
        return _Builder("legacy")
    if version_numbers(client_version) < BUILDX_SINCE:
        return _Builder("buildkit")
    ours, its = Command((program, "buildx", "version")), Command((program, "buildx", "inspect"))
    with asking(ours) as first, asking(its) as second:
        version, described = first(), second().stdout.decode(errors="replace")
    if version.returncode != 0:
        return _Builder("legacy")
    words = version.stdout.decode(errors="replace")
    number = re.search(r" v?(\d+(?:\.\d+)+)", words)
    driver = re.search(r"^Driver: *(\S+)", described, re.MULTILINE)
    # `Buildkit:` in buildx before 0.12. A builder that has not been started yet does not tell.
    buildkit = re.search(r"^Build[Kk]it(?: version)?: *v?(\d\S*)", described, re.MULTILINE)
    return _Builder(
        "buildx",
        number[1] if number else "",
        driver[1] if driver else "",
        buildkit[1] if buildkit else "",
        frozenset({_EVENTS} if _prints_events(words) else ()),
    )


def _host_network(network: str | None, what: str) -> Mapping[str, str]:
    return {"host-network": f"{what} this machine's network (`host`)"} if network == "host" else {}


def _ids() -> int | None:
    """How many user ids the containers of this user's own daemon have: its own, and the subordinate ones."""
    from pwd import getpwuid

    uid = os.getuid()
    try:
        names = {getpwuid(uid).pw_name, str(uid)}
        with open("/etc/subuid") as file:
            ranges = [line.strip().split(":") for line in file]
        return 1 + sum(int(size) for name, _, size in ranges if name in names)
    except (OSError, KeyError, ValueError):
        return None  # they come from elsewhere, and are not told


def _features(builder: _Builder, version: str) -> frozenset[str]:
    """What a builder can do with a daemon of that version; one that is not in the daemon has a BuildKit of its own."""
    if builder.kind == "legacy":
        return features_of("legacy", version)
    if builder.driver not in ("", "docker"):
        version = docker_with(builder.buildkit_version)
    # The BuildKit of a client before 23 knows no option for it.
    missing = {"build-contexts"} if builder.kind == "buildkit" else set()
    return builder.features | (features_of("buildkit", version) - missing)


def docker_with(buildkit: str) -> str:
    """The version of docker that came with that version of BuildKit, or the last that came with one before it.

    A BuildKit that does not tell its version has not been started yet, and counts as the newest.

    >>> docker_with("0.8.2"), docker_with("0.12.5"), docker_with("0.9.3"), docker_with("")
    ('20.10', '25.0', '20.10', 'newest')
    """
    if not buildkit:
        return "newest"
    numbers = version_numbers(buildkit)
    return next((docker for first, docker in _BUILDKITS if version_numbers(first) <= numbers), "0")


_BUILDKITS = (
    ("0.26", "29.1"),
    ("0.25", "28.5"),
    ("0.23", "28.3"),
    ("0.20", "28.0"),
    ("0.14", "27.0"),
    ("0.13", "26.0"),
    ("0.12", "25.0"),
    ("0.11", "24.0"),
    ("0.10", "23.0"),
    ("0.8", "20.10"),
    ("0.6", "19.03"),
)
"""First versions of BuildKit, and the versions of docker that have them built in, by docker's release notes."""


def _address(program: str, context: str) -> str:
    """Where the client finds its daemon; DOCKER_HOST comes before any context."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    if context in ("", "default"):
        return f"unix://{dockerd.SOCKET}"
    asked = ask(Command((program, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}", context)))
    return asked.stdout.decode(errors="replace").strip()


def _prints_events(version: str) -> bool:
    """Whether a version of buildx can print BuildKit's events.

    >>> _prints_events("github.com/docker/buildx v0.13.1 788433953af10f2a698f5c07611dddce2e08c7a0")
    True
    >>> _prints_events("github.com/docker/buildx 0.12.0 542e5d8")
    False
    """
    number = re.search(r" v?(\d+)\.(\d+)", version)
    return number is not None and (int(number[1]), int(number[2])) >= _EVENTS_SINCE


def _unreachable(answer: Completed) -> EngineError:
    """Why the client has no daemon to talk to, and what to do about it."""
    said = answer.stderr.decode(errors="replace")
    address = re.search(r"\b(?:unix|tcp|ssh|npipe)://[^\s\"]*[^\s\".:;,]", said)
    where = address[0] if address else os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if "permission denied" in said.lower():
        return EngineError(
            f"no permission to talk to the docker daemon at {where}",
            hint="add yourself to the group `docker` (sudo usermod -aG docker $USER) and log in again, or use a "
            "rootless engine with --backend podman; `magnet doctor` tells which works",
        )
    if (
        "cannot connect" in said.lower()
        or "error during connect" in said.lower()
        or "failed to connect" in said.lower()
    ):
        return EngineError(
            f"the docker daemon does not answer at {where}",
            hint="start it (sudo systemctl start docker), set DOCKER_HOST, or use --backend podman or "
            "--backend buildah, which need no daemon; `magnet doctor` tells which works",
        )
    return does_not_work("docker", answer)
