"""Buildah, which builds without a daemon, and runs containers by `from`, `run` and `rm`."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from magnet.backends import containers
from magnet.backends.base import Engine, RunPlan, does_not_work, host_user, image_id
from magnet.backends.builders import BUILDERS, Builder
from magnet.backends.containers import CAPABILITIES, buildah_reader, failed_build_step, own_arguments, split_name
from magnet.backends.features import NEEDS_A_RUNTIME, features_of
from magnet.backends.lists import MakesLists
from magnet.backends.options import RUN_OPTIONS
from magnet.backends.requests import build_arguments, volume_value
from magnet.errors import EngineError, MagnetfileError
from magnet.events import Reader
from magnet.model import (
    RUN_LABEL,
    BuildRequest,
    Command,
    Image,
    ImageListing,
    Mount,
    Network,
    Option,
    Platform,
    RunRequest,
)
from magnet.process import Completed, Shell, Write, ask, asking
from magnet.values import replace

# What `docker run` takes and buildah takes when the container is made, or when a command runs in it.
_FROM_OPTIONS = frozenset(
    {
        "--add-host", "--cap-add", "--cap-drop", "--cgroup-parent", "--cpu-period", "--cpu-quota", "--cpu-shares",
        "--cpuset-cpus", "--cpuset-mems", "--device", "--dns", "--dns-search", "--ipc", "--memory",
        "--memory-swap", "--pid", "--security-opt", "--shm-size", "--ulimit", "--uts",
    }
)  # fmt: skip
_CPU_PERIOD = 100_000
"""The microseconds of which a container may use `--cpus` times as many."""

_RUN_OPTIONS = frozenset({"--hostname", "--mount", "--volume"})

_PASTA_SINCE = "1.38"

_OWN_LAST_WORDS = re.compile(rb"(?:Error: |error )(?:while running runtime: )?exit status \d+\s*")


class Buildah(MakesLists):
    """Buildah; its containers are made for one command and removed after it."""

    name: ClassVar[str] = "buildah"
    program: ClassVar[str] = "buildah"
    copies_hosts: ClassVar[bool] = True

    @classmethod
    def probe(cls) -> Engine:
        """Buildah, when it is installed and can open its store."""
        from shutil import which  # costs 3 ms

        program = which(cls.program)
        if program is None:
            raise EngineError(f"{cls.program} is not installed", hint="install buildah, or use docker or podman")
        with (
            asking(Command((program, "version", "--json"))) as first,
            asking(Command((program, "info"))) as second,
        ):
            version, info = first(), second()
        for answer in (version, info):
            if answer.returncode != 0:
                raise does_not_work(cls.name, answer)
        number: str = json.loads(version.stdout)["version"]
        about: Any = json.loads(info.stdout)
        host = about["host"]
        features = features_of("buildah", number)
        is_rootless = bool(host.get("rootless"))
        return Engine(
            name="buildah",
            version=number,
            program=program,
            rootless=is_rootless,
            # Without an OCI runtime a container has this machine's network, whatever was asked for.
            features=features - NEEDS_A_RUNTIME if os.environ.get("BUILDAH_ISOLATION") == "chroot" else features,
            storage_driver=about.get("store", {}).get("GraphDriverName", ""),
            cgroup_version=host.get("CgroupVersion", "").removeprefix("v"),
            runtime=host.get("OCIRuntime", ""),
            ids=_ids_inside(program) if is_rootless else None,
        )

    @property
    def builder(self) -> Builder:
        """Buildah's library, which it takes no probe to know."""
        return BUILDERS["buildah"]

    def build_command(self, request: BuildRequest) -> Command:
        """`buildah build`, with the layer cache that it leaves off, and without the newer base that it would pull."""
        containers.check_security(request.options, self.engine)
        arguments = (*build_arguments(request), *own_arguments(request), str(request.context))
        options = ("--layers", "--force-rm", "--pull=false", "--format=docker", CAPABILITIES)
        return Command(
            (self.program, "build", *options, *arguments), containers.environment(request), stop_steps_first=True
        )

    def _run_build(self, request: BuildRequest, shell: Shell) -> tuple[Completed, str]:
        if not shell.dry_run:
            containers.make_directory(request)
        return super()._run_build(request, shell)

    def reader(self, target: str, number: int) -> Reader:
        """Of what buildah's library prints."""
        return buildah_reader(target, number)

    def run_plan(self, request: RunRequest, image: Image, container: str) -> RunPlan:
        """`buildah from`, `buildah run` and `buildah rm`."""
        words = self._words(request, image)
        # Of what `config` sets, nothing but names stands on a command line.
        config = [f"--label={name}={value}" for name, value in request.labels.items() if name != RUN_LABEL]
        config += [f"--env={name}" for name in request.secret_env]
        configure = Command((self.program, "config", *config, container), env=request.secret_env)
        # A `--` in front of the command would be taken for one that ends the options.
        end = ("--",) if words[0] == "--" else ()
        return RunPlan(
            before=(
                self._command("from", "--pull-never", f"--name={container}", *self._from_flags(request), image.id),
                *([configure] if config else ()),
                *self._workdir_commands(request, image, container),
            ),
            main=self._command("run", *self._run_flags(request), "--", container, *end, *words),
            after=(self._command("rm", container),) if request.remove else (),
        )

    def _from_flags(self, request: RunRequest) -> list[str]:
        flags = ["--http-proxy=false", *self._namespace(request)]
        for option in request.options:
            if option.name == "--cpus":
                quota = round(float(option.value or "0") * _CPU_PERIOD)
                flags += [f"--cpu-period={_CPU_PERIOD}", f"--cpu-quota={quota}"]
            elif option.name in _FROM_OPTIONS:
                flags += option.argv()
        return flags

    @property
    def _is_chroot(self) -> bool:
        return "network" not in self.engine.features

    def _namespace(self, request: RunRequest) -> list[str]:
        """The options with which what a rootless container's user writes to a mount is the caller's, as root's is."""
        user = request.user
        match = re.fullmatch(r"(\d+)(?::(\d+))?", user or "")
        if not self.engine.rootless or self.engine.ids is None or match is None or int(match[1]) == 0:
            return []
        if self._is_chroot:
            # In a namespace of its own it does not find its configuration: `neither XDG_RUNTIME_DIR nor HOME was set`.
            from magnet.backends.surroundings import check_not_written  # a build that is found done does without

            check_not_written(request, self.engine, " with chroot isolation")
            return []
        ids = {"uid": int(match[1]), "gid": int(match[2] or match[1])}
        if max(ids.values()) >= self.engine.ids:
            raise EngineError(
                f"{self.engine} cannot run as the user {user}: its containers have the ids up to {self.engine.ids - 1}",
                hint='give a smaller one, or `user="host"`',
            )
        return [f"--userns-{kind}-map={line}" for kind, one in ids.items() for line in _id_map(one, self.engine.ids)]

    def _workdir_commands(self, request: RunRequest, image: Image, container: str) -> list[Command]:
        """What makes a working directory root's that is not there; buildah would make it the user's."""
        user = (request.user or image.user).partition(":")[0]
        if not request.workdir or not request.files or user in ("", "0", "root"):
            return []
        empty = request.files / "empty"
        empty.mkdir(exist_ok=True)
        return [self._command("copy", "--quiet", container, str(empty), request.workdir)]

    def pull_command(self, reference: str, platform: Platform | None) -> Command:
        """`buildah pull`, which would do nothing where an image of the name is here."""
        wanted = (f"--platform={platform}",) if platform else ()
        return self._command("pull", "--policy=always", *wanted, reference)

    def inspect_command(self, reference: str) -> Command:
        """`buildah inspect`."""
        return self._command("inspect", "--type=image", reference)

    def parse_image(self, output: bytes) -> Image:
        """An image from buildah's JSON, of which only the part that is docker's configuration is stable."""
        found = json.loads(output)
        described = found["Docker"]
        config = described.get("config") or {}
        return Image(
            id=image_id(found["FromImageID"]),
            platform=Platform(described["os"], described["architecture"], described.get("variant") or ""),
            entrypoint=tuple(config.get("Entrypoint") or ()),
            command=tuple(config.get("Cmd") or ()),
            env=dict(variable.partition("=")[::2] for variable in config.get("Env") or ()),
            user=config.get("User") or "",
            workdir=config.get("WorkingDir") or "",
            labels=config.get("Labels") or {},
            has_triggers=bool(config.get("OnBuild")),
            healthcheck=tuple((config.get("Healthcheck") or {}).get("Test") or ()),
            volumes=tuple(config.get("Volumes") or ()),
            layers=tuple((described.get("rootfs") or {}).get("diff_ids") or ()),
        )

    def save_command(self, image: str, file: Path) -> Command:
        """`buildah push` to an archive."""
        return self._command("push", "--quiet", image, _archive(file))

    def load_command(self, file: Path) -> Command:
        """`buildah pull` from an archive."""
        return self._command("pull", "--quiet", _archive(file))

    def images_command(self, name: str | None) -> Command:
        """`buildah images`, as one JSON array."""
        wanted = [f"--filter=reference={name}"] if name else []
        return self._command("images", "--json", "--no-trunc", *wanted)

    def parse_images(self, output: bytes) -> tuple[ImageListing, ...]:
        """The rows of `buildah images`, one for each name of an image."""
        return tuple(
            ImageListing(
                *split_name(name),
                image_id(row["id"]),
                row["created"],
                row["size"].replace(" ", ""),
            )
            for row in json.loads(output or b"[]")
            for name in row.get("names") or ["<none>:<none>"]
        )

    def containers_command(self, run_id: str) -> Command:
        """`buildah containers`; they have no labels, and are found by the run's id in their names."""
        return self._command("containers", "--format={{.ContainerName}}", f"--filter=name={run_id}-")

    def remove_containers_command(self, containers: Iterable[str]) -> Command:
        """`buildah rm`."""
        return self._command("rm", *containers)

    def host_address(self, network: Network) -> str:
        """An address at which a step of a build finds this machine."""
        return containers.mapped_address(self.engine, network, _PASTA_SINCE) or super().host_address(network)

    def failed_step(self, output: str) -> tuple[str, ...]:
        """The failing instruction, in buildah's words."""
        return failed_build_step(output)

    def was_disturbed(self, output: str) -> bool:
        """Whether an image went that the build looked at."""
        return containers.was_disturbed(output)

    def refused_build_options(self) -> Mapping[str, str]:
        """Limits where a build would ignore them, or fail at them when it has begun."""
        return containers.refused_build_options(self.engine, is_chroot=self._is_chroot)

    def refused_run_options(self) -> Mapping[str, str]:
        """What neither `buildah from` nor `buildah run` has, and what they ignore."""
        from magnet.backends.surroundings import LIMITS, refused_limits  # a build that is found done does without

        known = _FROM_OPTIONS | _RUN_OPTIONS | {"--cpus", "--tmpfs"}
        lacking = [spec.name for spec in RUN_OPTIONS if spec.name not in known]
        chroot = (*LIMITS, "--shm-size") if self._is_chroot else ()
        # That of pasta, which is the network of a rootless engine from then on.
        adds_its_own = not self._is_chroot and containers.mapped_address(self.engine, "default", _PASTA_SINCE)
        return {
            **({"--dns": "it would also ask a server of its network's"} if adds_its_own else {}),
            **refused_limits(self.engine),
            **dict.fromkeys(chroot, "its chroot isolation ignores it"),
            **dict.fromkeys(lacking, "buildah's containers live for one command only"),
        }

    def _refuse_options(self, options: Iterable[Option], refused: Mapping[str, str]) -> None:
        super()._refuse_options(options, refused)
        for option in options:
            value = option.value or ""
            is_named = option.name == "--volume" and not value.startswith("/")
            if is_named or (option.name == "--mount" and "type=volume" in value.split(",")):
                raise EngineError(
                    f"{self.engine} cannot do `{option.name}={value}`: it has no volumes",
                    hint="mount a directory, or choose another engine with --backend",
                )

    def elsewhere(self, feature: str) -> str:
        """Where a feature can be had, which may be here: it is the chroot isolation that lacks it, not buildah."""
        hint = super().elsewhere(feature)
        if feature in features_of(self.name, self.engine.version):
            return f"unset BUILDAH_ISOLATION: only with `chroot` buildah cannot; {hint}"
        return hint

    def container_exit_code(self, done: Completed) -> int | None:
        """The program's exit code; buildah ends with 1 where others end with 126 and 127."""
        last = done.tail[-1] if done.tail else ""
        said = "\n".join(done.tail[-4:])
        if done.returncode == 1 and re.search(r"executable file .*not found|exec.*no such file or directory", said):
            return 127
        if done.returncode == 1 and re.search(r"exec.*(permission denied|is a directory)", said):
            return 126
        is_its_own = last.startswith("Error: ") and not re.search(r"exit status \d+$", last)
        return None if done.returncode != 0 and (is_its_own or "error running container: " in said) else done.returncode

    def container_write(self, write: Write) -> Write:
        """`write` without `Error: while running runtime: exit status 7`, which buildah adds to stderr."""

        def write_own(stream: int, data: bytes) -> None:
            kept = b"".join(
                line for line in data.splitlines(keepends=True) if stream == 1 or not _OWN_LAST_WORDS.fullmatch(line)
            )
            if kept:
                write(stream, kept)

        return write_own

    def _words(self, request: RunRequest, image: Image) -> tuple[str, ...]:
        """The command line to run: buildah knows nothing of an image's ENTRYPOINT and CMD when it runs."""
        if request.entrypoint is not None:
            words = request.entrypoint + request.command
        else:
            words = image.entrypoint + (request.command or image.command)
        if not words:
            raise MagnetfileError(
                f"the image `{request.image}` has no command of its own", hint="give the command to run in it"
            )
        return words

    def _run_flags(self, request: RunRequest) -> list[str]:
        user = request.user
        if user == "host":
            # Root in a rootless container is the caller outside.
            user = "0:0" if self.engine.rootless else host_user()
        flags = ["--tty"] if request.tty else []
        values = {"--user": user, "--workingdir": request.workdir, "--network": request.network}
        if request.network == "host" and not any(option.name == "--hostname" for option in request.options):
            values["--hostname"] = os.uname().nodename
        flags += [f"{name}={value}" for name, value in values.items() if value is not None]
        flags += [_mount(mount) for mount in request.mounts]
        flags += [_tmpfs(option.value or "") for option in request.options if option.name == "--tmpfs"]
        flags += [f"--env={name}={value}" for name, value in request.env.items()]
        return flags + [word for option in request.options if option.name in _RUN_OPTIONS for word in option.argv()]


def _ids_inside(program: str) -> int | None:
    """How many ids a user has; not to be asked as root, for whom `unshare` unshares for seconds, level below level."""
    answer = ask(Command((program, "unshare", "cat", "/proc/self/uid_map")))
    return _ids(answer.stdout.decode()) if answer.returncode == 0 else None


def _ids(uid_map: str) -> int:
    """How many ids are in a map of a user namespace, as proc_pid_uid_map(5) tells it.

    >>> _ids("         0       1001          1\\n         1     100000      65536\\n")
    65537
    """
    return sum(int(line.split()[2]) for line in uid_map.splitlines())


def _archive(file: Path) -> str:
    """An archive, as the libraries of podman and buildah name it; after a colon there would be a name in it."""
    if ":" in str(file):
        raise EngineError(
            f"buildah cannot read or write archives below a path with a colon: {file.parent}",
            hint="move the project or its cache, or use --backend docker or --backend podman",
        )
    return f"docker-archive:{file}"


def _id_map(one: int, count: int) -> Iterator[str]:
    """The ids of a container, each with the first outside and how many there are; `one` is the caller's, which is 0."""
    yield f"0:1:{one}"
    yield f"{one}:0:1"
    if one + 1 < count:
        yield f"{one + 1}:{one + 1}:{count - one - 1}"


def _tmpfs(text: str) -> str:
    from magnet.backends.surroundings import parse_tmpfs

    tmpfs = parse_tmpfs(text)
    words = ["nosuid", "nodev", *([] if tmpfs.executable else ["noexec"]), f"tmpfs-mode={tmpfs.mode:o}"]
    words += [f"tmpfs-size={tmpfs.size}"] if tmpfs.size else []
    return f"--mount=type=tmpfs,destination={tmpfs.target},{','.join(words)}"


def _mount(mount: Mount) -> str:
    """The option for a bind mount: not `--mount`, for what is written there is lost with buildah 1.39, as in builds."""
    if mount.relabel:
        return volume_value(replace(mount, consistency=""))
    paths = f"{mount.source}", f"{mount.target}"
    for path in paths:
        if path.endswith("\\"):
            raise EngineError(
                f"buildah cannot mount a path that ends in a backslash: {path}",
                hint="rename it, or use --backend docker or --backend podman",
            )
    source, target = (path.replace(":", "\\:") for path in paths)
    return f"--volume={source}:{target}:{'ro' if mount.readonly else 'rw'}"
