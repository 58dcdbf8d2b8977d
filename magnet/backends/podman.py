"""Podman, rootful and rootless."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from magnet.backends import containers
from magnet.backends.base import Answers, Engine, RunPlan, does_not_work, host_user, image_id
from magnet.backends.builders import BUILDERS, Builder
from magnet.backends.containers import (
    CAPABILITIES,
    buildah_reader,
    failed_build_step,
    human_size,
    own_arguments,
    split_name,
)
from magnet.backends.docker import image_from_inspection
from magnet.backends.engine import is_elsewhere
from magnet.backends.features import NEEDS_A_RUNTIME, features_of
from magnet.backends.lists import MakesLists
from magnet.backends.requests import build_arguments, consistency, mount_value, run_arguments
from magnet.errors import EngineError
from magnet.events import Reader
from magnet.model import RUN_LABEL, BuildRequest, Command, Image, ImageListing, Mount, Network, RunRequest
from magnet.process import Completed, Shell, Write, ask, asking
from magnet.values import frozen, replace


class Podman(MakesLists):
    """Podman, which needs no daemon."""

    name: ClassVar[str] = "podman"
    program: ClassVar[str] = "podman"
    copies_hosts: ClassVar[bool] = True

    @classmethod
    def probe(cls) -> Engine:
        """Podman, when it is installed and can open its store."""
        from shutil import which  # costs 3 ms

        program = which(cls.program)
        if program is None:
            raise EngineError(f"{cls.program} is not installed", hint="install podman, or use docker or buildah")
        answer = ask(Command((program, "info", "--format", "json")))
        if answer.returncode != 0:
            raise does_not_work(cls.name, answer)
        info: Any = json.loads(answer.stdout)
        host = info["host"]
        version: str = info["version"]["Version"]
        service = _service(program) if host.get("serviceIsRemote") else None
        return Engine(
            name="podman",
            version=version,
            program=program,
            client_version=service.client_version if service else "",
            rootless=bool(host["security"]["rootless"]),
            features=_features(version),
            storage_driver=info.get("store", {}).get("graphDriverName", ""),
            cgroup_version=host.get("cgroupVersion", "").removeprefix("v"),
            cgroup_manager=host.get("cgroupManager", ""),
            runtime=host.get("ociRuntime", {}).get("name", ""),
            ids=_ids(host.get("idMappings", {}).get("uidmap")),
            selinux=bool(host["security"].get("selinuxEnabled")),
            is_remote=service is not None and is_elsewhere(service.address),
        )

    @property
    def builder(self) -> Builder:
        """Buildah's library, which it takes no probe to know."""
        return BUILDERS["buildah"]

    def build_command(self, request: BuildRequest) -> Command:
        """`podman build`, in docker's image format: the other one drops HEALTHCHECK, ONBUILD and SHELL."""
        containers.check_security(request.options, self.engine)
        arguments = (*build_arguments(request), *own_arguments(request), str(request.context))
        return Command(
            (self.program, "build", "--format=docker", CAPABILITIES, *arguments),
            containers.environment(request),
            stop_steps_first=True,
        )

    def _run_build(self, request: BuildRequest, shell: Shell) -> tuple[Completed, str]:
        if not shell.dry_run:
            containers.make_directory(request)
        return super()._run_build(request, shell)

    def reader(self, target: str, number: int) -> Reader:
        """Of what buildah's library prints."""
        return buildah_reader(target, number)

    def run_plan(self, request: RunRequest, image: Image, container: str) -> RunPlan:
        """`podman run`."""
        user, namespace = _user(request.user, rootless=self.engine.rootless)
        mounts = [f"--mount={mount_value(mount, consistency(mount), _relabel(mount))}" for mount in request.mounts]
        # Podman would show what the image has below a tmpfs.
        flags = run_arguments(request, user=user, mounts=mounts, tmpfs=["notmpcopyup"])
        flags += _unlike_docker(request, image)
        words = (*(request.entrypoint or ())[1:], *request.command)
        run = self._command("run", *namespace, *flags, image.id, *words)
        return RunPlan(replace(run, env=request.secret_env))

    def container_write(self, write: Write) -> Write:
        """`write` without podman's refusal of a working directory that is not there: it is told to make it, then."""

        def write_own(stream: int, data: bytes) -> None:
            kept = b"".join(line for line in data.splitlines(keepends=True) if not _NO_WORKDIR.match(line))
            if kept:
                write(stream, kept)

        return write_own

    def second_run(self, first: Command, request: RunRequest, image: Image, done: Completed) -> Command | None:
        """The run with a mount at a working directory that the image has not: docker makes one, podman a mount's."""
        if done.returncode != 126 or not request.workdir or not _NO_WORKDIR.search(done.stderr):
            return None
        # As docker's it belongs to root, whoever uses it. A new volume would belong to the user.
        user = (request.user or image.user).partition(":")[0]
        mount = "type=volume" if user in ("", "0", "root") else "type=tmpfs,tmpfs-mode=0755,notmpcopyup"
        flags = ("--replace", f"--mount={mount},destination={request.workdir}")
        return replace(first, argv=(*first.argv[:2], *flags, *first.argv[2:]))

    def inspect_command(self, reference: str) -> Command:
        """`podman image inspect`."""
        return self._command("image", "inspect", reference)

    @contextmanager
    def asking(self, references: Iterable[str], shell: Shell | None = None) -> Iterator[Answers]:
        """Ask for several images with one command."""
        wanted = list(dict.fromkeys(references))
        with super().asking(wanted[:1], shell) if len(wanted) < 2 else self._asking_all(wanted, shell) as answers:
            yield answers

    @contextmanager
    def _asking_all(self, wanted: Sequence[str], shell: Shell | None) -> Iterator[Answers]:
        command = self._command("image", "inspect", *wanted)
        with asking(command, cwd=shell.cwd if shell else None) as answer:
            yield lambda: self._told_apart(wanted, command, answer())

    def _told_apart(self, wanted: Sequence[str], command: Command, answer: Completed) -> Mapping[str, Image | None]:
        """The images by the names that were asked for: those that are here come in order, others are named on stderr.

        4.3 says `Error: inspecting object: localhost/app:1: image not known`; 5.4 leaves out `inspecting object: `, and
        in all but one of them `Error: `, too.
        """
        said = [f" {line}" for line in answer.stderr.decode(errors="replace").splitlines()]
        missing = {name for name in wanted if any(line.endswith(f" {name}: image not known") for line in said)}
        here = [name for name in wanted if name not in missing]
        found = self._understood(_images, answer, command) if answer.stdout.strip() else []
        if len(found) != len(here) or (answer.returncode != 0 and not missing):
            raise self._cannot_inspect(wanted[0], answer)
        return {**dict.fromkeys(missing), **dict(zip(here, found, strict=True))}

    def parse_image(self, output: bytes) -> Image:
        """An image from podman's JSON."""
        (found,) = _images(output)
        return found

    def save_command(self, image: str, file: Path) -> Command:
        """`podman save`."""
        return self._command("save", "--quiet", "--format=docker-archive", f"--output={file}", image)

    def images_command(self, name: str | None) -> Command:
        """`podman images`, as one JSON array."""
        return self._command("images", "--format", "json", *filter(None, [name]))

    def parse_images(self, output: bytes) -> tuple[ImageListing, ...]:
        """The rows of `podman images`, one for each name of an image."""
        return tuple(
            ImageListing(*split_name(name), image_id(row["Id"]), row["Created"], human_size(row["Size"]))
            for row in json.loads(output)
            for name in row.get("Names") or ["<none>:<none>"]
        )

    def containers_command(self, run_id: str) -> Command:
        """`podman ps` for the label of a run."""
        return self._command("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={RUN_LABEL}={run_id}")

    def remove_containers_command(self, containers: Iterable[str]) -> Command:
        """`podman rm --force`, without the ten seconds that it would wait for each."""
        return self._command("rm", "--force", "--time=0", "--volumes", *containers)

    def host_address(self, network: Network) -> str:
        """An address at which a step of a build finds this machine."""
        return containers.mapped_address(self.engine, network, "5.3") or super().host_address(network)

    def failed_step(self, output: str) -> tuple[str, ...]:
        """The failing instruction, in buildah's words."""
        return failed_build_step(output)

    def was_disturbed(self, output: str) -> bool:
        """Whether an image went that the build looked at."""
        return containers.was_disturbed(output)

    def refused_build_options(self) -> Mapping[str, str]:
        """Limits where a build would ignore them, or fail at them when it has begun."""
        is_chroot = os.environ.get("BUILDAH_ISOLATION") == "chroot"
        return containers.refused_build_options(self.engine, is_chroot=is_chroot)

    def refused_run_options(self) -> Mapping[str, str]:
        """Limits where podman would ignore them."""
        from magnet.backends.surroundings import refused_limits  # a build that is found done does without

        return refused_limits(self.engine)


@frozen
class _Service:
    """What podman's client talks to, where it does not do the work itself."""

    client_version: str
    address: str


def _service(program: str) -> _Service:
    """The service that the client is told to use: https://docs.podman.io/en/latest/markdown/podman.1.html."""
    versions = Command((program, "version", "--format", "{{json .}}"))
    connections = Command((program, "system", "connection", "list", "--format", "json"))
    with asking(versions) as first, asking(connections) as second:
        version: Any = json.loads(first().stdout)
        known: Any = json.loads(second().stdout or b"[]")
    wanted = os.environ.get("CONTAINER_CONNECTION")
    chosen = [one["URI"] for one in known if (one["Name"] == wanted if wanted else one.get("Default"))]
    address = os.environ.get("CONTAINER_HOST") or next(iter(chosen), "")
    return _Service(version["Client"]["Version"], address)


_NO_WORKDIR = re.compile(rb'^Error: (?:.*: )?workdir ".*" does not exist on container [0-9a-f]+\s*$', re.MULTILINE)


def _relabel(mount: Mount) -> str:
    return f"relabel={mount.relabel}" if mount.relabel else ""


def _unlike_docker(request: RunRequest, image: Image) -> list[str]:
    """What keeps podman from adding to a container what docker does not."""
    flags = ["--http-proxy=false"]
    # Taken away from an image, too, that has it.
    added = {"container"} if request.tty else {"container", "TERM"}
    flags += [f"--unsetenv={name}" for name in sorted(added - image.env.keys())]
    checks_health = request.detach or any("health" in option.name for option in request.options)
    if image.healthcheck and not checks_health:
        # Without systemd, podman says on stderr that it cannot; and a command that is waited for needs none.
        flags.append("--no-healthcheck")
    if request.read_only:
        # /tmp, /run and /var/tmp would be writable.
        flags.append("--read-only-tmpfs=false")
    return flags


def _features(version: str) -> frozenset[str]:
    features = features_of("podman", version)
    # Builds heed it, and runs do not.
    return features - (NEEDS_A_RUNTIME - {"network"}) if os.environ.get("BUILDAH_ISOLATION") == "chroot" else features


def _ids(ranges: Any) -> int | None:
    return sum(one["size"] for one in ranges) if ranges else None


def _images(output: bytes) -> list[Image]:
    return [_image(found) for found in json.loads(output)]


def _image(found: Any) -> Image:
    # Of ONBUILD it says no more than that an image, or one below it, has some.
    history = [step.get("created_by") or "" for step in found.get("History") or ()]
    return replace(image_from_inspection(found), has_triggers=any("ONBUILD" in step for step in history))


def _user(user: str | None, *, rootless: bool) -> tuple[str | None, tuple[str, ...]]:
    """The values of `--user` and `--userns` under which files written to a mount are the caller's.

    Without a namespace that keeps the caller's id, a rootless container's user is a subordinate id outside,
    and cannot write to what is the caller's; only root in it is the caller.
    """
    if not rootless:
        return host_user() if user == "host" else user, ()
    if user == "host":
        return host_user(), ("--userns=keep-id",)
    match = re.fullmatch(r"(\d+)(?::(\d+))?", user or "")
    if match is None or int(match[1]) == 0:
        return user, ()
    uid, gid = match[1], match[2] or match[1]
    return user, (f"--userns=keep-id:uid={uid},gid={gid}",)
