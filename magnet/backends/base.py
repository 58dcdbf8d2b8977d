"""What every backend has in common: the questions and requests, and how each is carried out.

A backend is a table of pure `*_command` methods and parsers for one engine. What happens around a command,
to look whether its result is really there, to translate its failure and to clean up after it, is written here
once.
"""

import os
import re
import shlex
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Self, TypeVar

from magnet.backends.builders import BUILDERS, Builder
from magnet.backends.engine import Engine as Engine
from magnet.backends.features import NEEDS_THIS_MACHINE, who_has
from magnet.errors import BuildFailed, CommandFailed, EngineError, MagnetfileError
from magnet.events import Reader
from magnet.model import (
    BuildRequest,
    Command,
    Image,
    ImageListing,
    Mount,
    Network,
    Option,
    Platform,
    Pull,
    RunRequest,
    RunResult,
)
from magnet.process import Completed, Shell, Write, ask, asking, ending
from magnet.values import frozen, replace

Parsed = TypeVar("Parsed")
Answers = Callable[[], Mapping[str, Image | None]]
"""Waits for an engine's answers: for each reference that it was asked for, the image of that name or id, or None."""

DETAIL_LINES = 8
"""How many of an engine's last lines an error shows."""

_REMOVAL = 3600
"""Seconds that an engine may take to remove images, which may be large."""

# `Error: checking if image "94ba..." is dangling: reading image "94ba...": ... image not known`: podman, whose list of
# images fails where one of them is removed meanwhile.
_VANISHED = re.compile(rb"image \"?[0-9a-f]{64}.*image not known", re.DOTALL)
_LOOKS = 5

_USED_BY = re.compile(r"(?:container|image used by) ([0-9a-f]{12})")
_MOST_TRIES = 3

_RUN_HINTS = {
    "container-init binary not found": "install catatonit, which is podman's init, or leave out `init`",
    "already in use": "choose another `name`, or remove the container that has it",
}
"""What helps, by what an engine says."""

_NO_PROGRAM = re.compile(
    r"exec(utable)?\b.*(not found|no such file|is a directory|permission denied|exec format)", re.IGNORECASE
)
_IMAGE_ID = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


@frozen
class RunPlan:
    """The commands that run a container: what comes before, the run itself, and what is done in any case."""

    main: Command
    before: tuple[Command, ...] = ()
    after: tuple[Command, ...] = ()


class Backend(ABC):
    """One container engine, seen through magnet's requests.

    `name` is what `--backend` calls it, `program` what is run for it, which is that of its name if it says nothing.
    Without an `engine` it is probed when that is first asked for: a build that is found done does without.
    """

    name: ClassVar[str]
    program: ClassVar[str] = ""
    copies_hosts: ClassVar[bool] = False
    """Whether a container would see the names in this machine's /etc/hosts, if it were not given others."""

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine
        self._builds: defaultdict[str, count[int]] = defaultdict(lambda: count(1))

    @property
    def engine(self) -> Engine:
        """What the probe found; EngineError with a hint where no engine is usable."""
        if self._engine is None:
            with understanding(self.name):
                found = self.probe()
            lost = NEEDS_THIS_MACHINE if found.is_remote else frozenset()
            self._engine = replace(found, features=found.features - lost)
        return self._engine

    @property
    def builder(self) -> Builder:
        """What builds: it decides what the engine is given."""
        return BUILDERS[self.engine.builder]

    @classmethod
    def find(cls) -> Self:
        """The backend, if its engine answers; EngineError with a hint if not."""
        found = cls()
        found.engine  # noqa: B018 - probes
        return found

    # What a backend must say. None of these runs anything, except `probe`.

    @classmethod
    @abstractmethod
    def probe(cls) -> Engine:
        """The engine on this machine; EngineError with a hint where none is usable."""

    @abstractmethod
    def build_command(self, request: BuildRequest) -> Command:
        """The command that builds the request and writes the image's id to its `iidfile`."""

    @abstractmethod
    def reader(self, target: str, number: int) -> Reader:
        """What understands the output of `build_command`; `number` tells the builds of a target apart."""

    @abstractmethod
    def run_plan(self, request: RunRequest, image: Image, container: str) -> RunPlan:
        """The commands that run the request in `image`; `container` is a name that is free."""

    @abstractmethod
    def inspect_command(self, reference: str) -> Command:
        """The command that prints an image's configuration as JSON."""

    @abstractmethod
    def parse_image(self, output: bytes) -> Image:
        """The image in the output of `inspect_command`."""

    @abstractmethod
    def images_command(self, name: str | None) -> Command:
        """The command that lists images, all or those of one repository, as JSON."""

    @abstractmethod
    def parse_images(self, output: bytes) -> tuple[ImageListing, ...]:
        """The rows in the output of `images_command`."""

    @abstractmethod
    def containers_command(self, run_id: str) -> Command:
        """The command that prints the containers that a run made, one a line."""

    @abstractmethod
    def remove_containers_command(self, containers: Iterable[str]) -> Command:
        """The command that removes containers, running or not."""

    @abstractmethod
    def failed_step(self, output: str) -> tuple[str, ...]:
        """The instruction that failed and how, and what made it so, where the output of a build tells."""

    @abstractmethod
    def refused_build_options(self) -> Mapping[str, str]:
        """Options of BUILD_OPTIONS that this engine cannot do, and why not."""

    @abstractmethod
    def refused_run_options(self) -> Mapping[str, str]:
        """Options of RUN_OPTIONS that this engine cannot do, and why not."""

    # What most engines agree on.

    def tag_command(self, reference: str, names: Iterable[str]) -> Command:
        """The command that gives an image more names."""
        return self._command("tag", reference, *names)

    def remove_command(self, *references: str) -> Command:
        """The command that removes images, or one name of each."""
        return self._command("rmi", *references)

    def pull_command(self, reference: str, platform: Platform | None) -> Command:
        """The command that fetches an image even where one of that name is here."""
        wanted = ("--platform", str(platform)) if platform else ()
        return self._command("pull", *wanted, reference)

    def push_command(self, reference: str) -> Command:
        """The command that sends an image to its registry."""
        return self._command("push", reference)

    def save_command(self, image: str, file: Path) -> Command:
        """The command that writes an image to a file, which is not there, as a docker-archive."""
        return self._command("save", f"--output={file}", image)

    def load_command(self, file: Path) -> Command:
        """The command that puts the image of a docker-archive into the engine's store."""
        return self._command("load", "--quiet", f"--input={file}")

    def exec_command(
        self,
        container: str,
        words: Sequence[str],
        *,
        user: str | None,
        env: Mapping[str, str],
        secret_env: Mapping[str, str],
        workdir: str | None,
    ) -> Command:
        """The command that runs a program in a running container; values of `secret_env` are not on it."""
        flags = [f"--user={user}"] if user else []
        flags += [f"--workdir={workdir}"] if workdir else []
        flags += [f"--env={name}={value}" for name, value in env.items()]
        flags += [f"--env={name}" for name in secret_env]
        return replace(self._command("exec", *flags, container, *words), env=secret_env)

    def logs_command(self, container: str, *, follow: bool) -> Command:
        """The command that prints what a container has printed, and with `follow` what it prints until it ends."""
        return self._command("logs", *(["--follow"] if follow else []), container)

    def wait_command(self, container: str) -> Command:
        """The command that waits for the end of a container, and prints its exit code."""
        return self._command("wait", container)

    def stop_command(self, container: str, timeout: int) -> Command:
        """The command that stops a container, and kills it after so many seconds."""
        return self._command("stop", "-t", str(timeout), container)

    def state_command(self, container: str) -> Command:
        """The command that prints whether a container runs, `true` or `false`, and its exit code."""
        form = "--format={{.State.Running}} {{.State.ExitCode}}"
        return self._command("inspect", "--type=container", form, container)

    def labeled_command(self, label: str, value: str) -> Command:
        """The command that prints the containers with a label, one a line."""
        return self._command("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}={value}")

    def is_missing(self, answer: Completed) -> bool:
        """Whether a failed `inspect_command` says that there is no such image, and nothing worse."""
        said = answer.stderr.decode(errors="replace").lower()
        return any(
            words in said for words in ("no such image", "image not known", "no such object", "failed to find image")
        )

    def was_disturbed(self, output: str) -> bool:
        """Whether a build failed for nothing but what another process did to the engine's store meanwhile."""
        return False

    def host_address(self, network: Network) -> str:
        """An address at which a step of a build finds this machine; engines mean one or another by `host-gateway`."""
        if self.engine.is_remote:
            raise EngineError(
                f"{self.engine} is reached over a network, and its steps may not find this machine (`host-gateway`)",
                hint="give the address itself",
            )
        from magnet.limits import own_address  # few builds need it

        return own_address()

    def container_exit_code(self, done: Completed) -> int | None:
        """The exit code of the container's own program, or None where the engine itself failed."""
        # An engine fails with these codes, and a program may as well: the engine's last words tell. It speaks of a
        # program that is not there, or is none, as of a failure of its own; that is the container's.
        said = [line for line in done.tail[-3:] if re.match(r"(docker: |Error: )", line)]
        if done.returncode not in (125, 126, 127) or not said:
            return done.returncode
        return done.returncode if done.returncode != 125 and any(map(_NO_PROGRAM.search, said)) else None

    def second_run(self, first: Command, request: RunRequest, image: Image, done: Completed) -> Command | None:
        """The command that runs what the first would not, before it started anything; None where there is none."""
        return None

    def container_write(self, write: Write) -> Write:
        """`write`, without what the engine adds to the container's own output."""
        return write

    # What is done with it, the same for every engine.

    def build(self, request: BuildRequest, shell: Shell) -> Image:
        """Build the image, and return it as found in the engine's store afterwards."""
        self.require(self._needed_build_features(request))
        self._refuse_options(request.options, self.refused_build_options())
        # Podman and buildah leave the file of an earlier build where a build fails.
        request.iidfile.unlink(missing_ok=True)
        done, step = self._run_build(request, shell)
        if shell.dry_run:
            return Image(id="", tags=request.tags)
        if done.returncode != 0:
            raise self._build_failure(done, step)
        image = self._built_image(request.iidfile, shell)
        if request.platform and not same_platform(image.platform, request.platform):
            raise EngineError(
                f"{self.engine} built for {image.platform}, not for {request.platform}",
                hint=f"the base image may exist for {image.platform} only; use a base that has {request.platform}",
            )
        self.leave_cache(request, image, shell)
        return replace(image, tags=request.tags)

    def leave_cache(self, request: BuildRequest, image: Image, shell: Shell) -> None:  # noqa: B027 - most do nothing
        """Leave the steps of a build in the registries of its `cache_to`, where building it has not done so."""

    def build_files(self, request: BuildRequest, shell: Shell) -> None:
        """Build the request into its `tar`, and no image."""
        done, step = self._run_build(request, shell)
        if done.returncode != 0:
            raise self._build_failure(done, step)

    def run(
        self,
        request: RunRequest,
        shell: Shell,
        container: str,
        *,
        stdin: int | None = None,
        write: Write | None = None,
        pull: Pull = "missing",
        platform: Platform | None = None,
    ) -> RunResult:
        """Run a container and return its program's exit code, or its id where it was detached.

        `write` takes the container's output in place of the shell's. Whatever happens, a container that was
        to be removed is gone afterwards.
        """
        self.require(self._needed_run_features(request))
        self._refuse_options(request.options, self.refused_run_options())
        for mount in request.mounts:
            _check_mount(mount)
        image = self._image_to_run(request, shell, pull, platform)
        from magnet.backends.surroundings import surrounded  # a build that is found done does without

        request = surrounded(request, container, copies_hosts=self.copies_hosts)
        plan = self.run_plan(request, image, container)
        try:
            for command in plan.before:
                self._must(shell, command)
            done = self._run_main(plan.main, request, shell, stdin, write)
            if second := self.second_run(plan.main, request, image, done):
                done = self._run_main(second, request, shell, stdin, write)
        finally:
            for command in plan.after:
                shell.clean(command)
        if request.detach and not shell.dry_run and done.returncode == 0:
            return RunResult(container=done.stdout.decode().split()[-1] if done.stdout.split() else container)
        return RunResult(self._container_code(done))

    def resolve(
        self,
        reference: str,
        shell: Shell,
        *,
        pull: Pull,
        platform: Platform | None = None,
        seen: Mapping[str, Image | None] = MappingProxyType({}),
    ) -> Image:
        """The image of a name, fetched according to the pull policy; `seen` are answers that are known already."""
        image = seen[reference] if reference in seen else self.inspect(reference, shell)
        if image and pull in ("missing", "never"):
            return image
        if pull == "never":
            raise EngineError(
                f"no image `{reference}` in {self.engine}, and `pull` is `never`",
                hint="build or pull the image first",
            )
        try:
            return self.pull(reference, shell, platform=platform)
        except CommandFailed as error:
            if image and pull == "newer":
                return image
            raise CommandFailed(
                f"no image `{reference}` in {self.engine}, and it cannot be pulled",
                returncode=error.returncode,
                detail=error.detail,
                hint="build it first, or correct its name",
            ) from error

    def inspect(self, reference: str, shell: Shell | None = None) -> Image | None:
        """The image of that name or id in the engine's store, or None."""
        with self.asking([reference], shell) as answers:
            return answers()[reference]

    @contextmanager
    def asking(self, references: Iterable[str], shell: Shell | None = None) -> Iterator[Answers]:
        """Ask for several images at once; the engine looks for them until the answers are wanted."""
        commands = {reference: self.inspect_command(reference) for reference in references}
        with ExitStack() as asked:
            answers = {name: asked.enter_context(_asking(command, shell)) for name, command in commands.items()}
            yield lambda: {name: self._inspected(name, commands[name], answer()) for name, answer in answers.items()}

    def _inspected(self, reference: str, command: Command, answer: Completed) -> Image | None:
        if answer.returncode == 0:
            return self._understood(self.parse_image, answer, command)
        if self.is_missing(answer):
            return None
        raise self._cannot_inspect(reference, answer)

    def _cannot_inspect(self, reference: str, answer: Completed) -> EngineError:
        # An engine that is not usable at all says so when it is probed.
        return EngineError(f"{self.engine} cannot inspect `{reference}`", detail=answer.tail[-DETAIL_LINES:])

    def images(self, name: str | None = None) -> tuple[ImageListing, ...]:
        """The images in the engine's store: all, or those of one repository."""
        command = self.images_command(name)
        answer = _ask_for_list(command)
        if answer.returncode != 0:
            if name and self.is_missing(answer):
                return ()
            raise EngineError(f"{self.engine} cannot list its images", detail=answer.tail[-DETAIL_LINES:])
        # Podman lists an image of two names twice, and both names each time.
        rows = dict.fromkeys(self._understood(self.parse_images, answer, command))
        return tuple(row for row in rows if name is None or _is_named(row, name))

    def tag(self, reference: str, names: Iterable[str], shell: Shell) -> None:
        """Give an image more names."""
        self._must(shell, self.tag_command(reference, names))

    def retag(self, image: Image, names: Iterable[str], shell: Shell, seen: Mapping[str, Image | None]) -> None:
        """Give an image those of these names that it has not; `seen` are answers that are known already."""
        known = dict(seen)
        if unknown := [name for name in names if name not in known]:
            with self.asking(unknown, shell) as answers:
                known.update(answers())
        missing = [name for name in names if (found := known[name]) is None or found.id != image.id]
        if missing:
            self.tag(image.id, missing, shell)

    def remove(self, reference: str, shell: Shell) -> None:
        """Remove an image, or one name of it."""
        self._must(shell, self.remove_command(reference))

    def remove_names(self, names: Sequence[str]) -> Mapping[str, str]:
        """Remove these full names of images, all that can be; of each of the others, why it cannot."""
        # Every engine goes on after a failure, and not every one says of which name it speaks.
        if ask(self.remove_command(*names), timeout=_REMOVAL).returncode == 0:
            return {}
        there = {f"{row.repository}:{row.tag}" for row in self.images()}
        again = {name: ask(self.remove_command(name), timeout=_REMOVAL) for name in names if name in there}
        return {name: _why_left(answer) for name, answer in again.items() if answer.returncode != 0}

    def pull(self, reference: str, shell: Shell, *, platform: Platform | None = None) -> Image:
        """Fetch an image from its registry."""
        self._must(shell, self.pull_command(reference, platform))
        image = Image(id=reference) if shell.dry_run else self.inspect(reference, shell)
        if image is None:
            raise EngineError(f"{self.engine} said that it pulled `{reference}`, but does not have it")
        return image

    def push(self, reference: str, shell: Shell) -> None:
        """Send an image to the registry that its name begins with."""
        self._must(shell, self.push_command(reference))

    def save(self, image: Image, file: Path, shell: Shell) -> None:
        """Write an image to a file, which is not there, as a docker-archive without names."""
        self._must(shell, self.save_command(image.id or next(iter(image.tags), "<image>"), file))
        if not shell.dry_run and not file.is_file():
            raise EngineError(f"{self.engine} said that it saved {image.id}, but did not")

    def load(self, file: Path, image_id: str, shell: Shell) -> Image:
        """Put the image of a docker-archive into the engine's store; it must be there afterwards, with this id."""
        self._must(shell, self.load_command(file))
        image = Image(id=image_id) if shell.dry_run else self.inspect(image_id, shell)
        if image is None:
            raise EngineError(f"{self.engine} said that it loaded the image {image_id}, but does not have it")
        return image

    def push_platforms(self, reference: str, images: Sequence[Image], new: str, shell: Shell) -> None:
        """Send an image of several platforms to the registry that its name begins with; `new` is a name that is free.

        Of each platform there is one of `images`.
        """
        raise EngineError(
            f"{self.engine} cannot push an image of several platforms",
            hint='write it to a file, with `output=Output("oci-archive", FILE)`, and send that with '
            f"`skopeo copy --all oci-archive:FILE docker://{reference}`; {self.elsewhere('lists')}",
        )

    def remove_containers(self, run_id: str) -> None:
        """Remove every container that a run made and that is still there."""
        answer = ask(self.containers_command(run_id))
        containers = answer.stdout.decode().split()
        if answer.returncode == 0 and containers:
            ask(self.remove_containers_command(containers))

    # Parts of the above.

    def _understood(self, parse: Callable[[bytes], Parsed], answer: Completed, command: Command) -> Parsed:
        try:
            return parse(answer.stdout)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise EngineError(
                f"{self.engine} gave an answer that magnet does not understand",
                detail=(shlex.join(command.argv), *answer.tail[-2:]),
                hint="this version of it may be too new or too old for magnet",
            ) from error

    def _command(self, *arguments: str) -> Command:
        return Command((self.program or self.name, *arguments))

    def _run_main(
        self, command: Command, request: RunRequest, shell: Shell, stdin: int | None, write: Write | None
    ) -> Completed:
        if request.tty:
            return shell.attach(command)
        return shell.run(command, stdin=stdin, write=self.container_write(write or shell.write))

    def _image_to_run(self, request: RunRequest, shell: Shell, pull: Pull, platform: Platform | None) -> Image:
        if not shell.dry_run:
            return self.resolve(request.image, shell, pull=pull, platform=platform)
        # A build that was only printed has made no image; what is here under that name may be another one.
        return replace(self.inspect(request.image, shell) or Image(""), id=request.image)

    def _container_code(self, done: Completed) -> int:
        code = self.container_exit_code(done)
        if code is None:
            from magnet import hints  # only a failure needs them

            raise EngineError(
                f"{self.engine} could not run the container",
                detail=done.tail[-DETAIL_LINES:],
                hint=_run_hint(done) or hints.machine_hint(done.tail, self.name),
            )
        return code

    def _must(self, shell: Shell, command: Command) -> None:
        done = shell.run(command)
        if done.returncode != 0:
            what = " ".join(command.argv[:2])
            raise CommandFailed(
                f"{what} {ending(done.returncode)}",
                returncode=done.returncode,
                detail=done.tail[-DETAIL_LINES:],
            )

    def _run_build(self, request: BuildRequest, shell: Shell) -> tuple[Completed, str]:
        """How the build ended, which is done again where it was but disturbed, and the step that failed."""
        command = self.build_command(request)
        if shell.dry_run:
            return shell.run(command), ""
        for left in reversed(range(_MOST_TRIES)):
            reader = self.reader(shell.vertex, next(self._builds[shell.vertex]))
            done = shell.run_steps(command, reader)
            if done.returncode == 0 or not left or not self.was_disturbed(_output(done)):
                break
        return done, reader.failed

    def _build_failure(self, done: Completed, step: str) -> BuildFailed:
        return BuildFailed(
            f"{self.engine.name} build {ending(done.returncode)}",
            returncode=done.returncode,
            step=step,
            # BuildKit shows some lines of the Dockerfile after what the step said.
            said=done.tail[-2 * DETAIL_LINES :],
            detail=self.failed_step(_output(done)) or done.tail[-DETAIL_LINES:],
        )

    def _built_image(self, iidfile: Path, shell: Shell) -> Image:
        """The image whose id the engine has just written: success is an image, never an exit code."""
        try:
            match = _IMAGE_ID.fullmatch(iidfile.read_text().strip())
        except FileNotFoundError:
            match = None
        image = self.inspect(f"sha256:{match[1]}" if match else "", shell) if match else None
        if image is None:
            raise CommandFailed(
                f"{self.engine.name} build ended with exit code 0, but there is no image",
                returncode=0,
                hint="it may have been stopped from outside; run it again",
            )
        return image

    def _needed_build_features(self, request: BuildRequest) -> Mapping[str, str]:
        needed = {"platform": "build for a chosen platform"} if request.platform else {}
        if request.network == "none":
            needed["build-network"] = "build with the network `none`: its steps would have this machine's"
        if request.secrets:
            needed["secrets"] = f"hand the secret `{next(iter(request.secrets))}` to a build"
        if request.ssh:
            needed["ssh"] = "hand an SSH agent to a build"
        if request.shm_size is not None:
            needed["build-shm-size"] = "give the steps of a build a /dev/shm of a chosen size (`shm_size`)"
        if request.ulimits:
            needed["build-ulimits"] = f"limit what steps of a build take (`{request.ulimits[0]}`)"
        if request.contexts:
            needed["build-contexts"] = f"build with the named context `{next(iter(request.contexts))}`"
        if request.cache_from or request.cache_to:
            needed["registry-cache"] = "take the steps of a build from a registry, or leave them there"
        return needed

    def _needed_run_features(self, request: RunRequest) -> Mapping[str, str]:
        needed = {}
        if request.mounts:
            why = ": it is reached over a network" if self.engine.is_remote else ""
            needed["bind-mount"] = f"mount this machine's `{request.mounts[0].source}`{why}"
        if request.detach:
            needed["detach"] = "leave a container running (`detach`)"
        if request.name:
            needed["container-name"] = "give a container a name"
        if request.privileged:
            needed["privileged"] = "run a privileged container"
        if request.read_only:
            needed["read-only"] = "run with a read-only root"
        if (request.network or "").startswith("container:"):
            needed["detach"] = "run in the network of another container"
        elif request.network not in (None, "host"):
            needed["network"] = f"run with the network `{request.network}`: the container would have this machine's"
        return needed

    def require(self, needed: Mapping[str, str]) -> None:
        """Raise EngineError for the first of these features that the engine lacks; each comes with what needs it.

        `podman 4.3.1 cannot WHAT`; the hint tells which engines can, and which of those are here.
        """
        for feature, what in needed.items():
            if feature not in self.engine.features:
                raise EngineError(f"{self.engine} cannot {what}", hint=self.elsewhere(feature))

    def _refuse_options(self, options: Iterable[Option], refused: Mapping[str, str]) -> None:
        for option in options:
            if option.name in refused:
                raise EngineError(
                    f"{self.engine} cannot do `{option.name}`: {refused[option.name]}",
                    hint=f"leave out `{option.name}`, or choose another engine with --backend",
                )

    def elsewhere(self, feature: str) -> str:
        """A hint at where a feature that this engine lacks can be had: which engines have it, and which are here."""
        from magnet.backends import usable  # it knows of all backends, and asks the others, which takes a while

        able = {name: one for name, one in usable(besides=self.name).items() if feature in one.features}
        known = who_has(feature) or "no engine has it in the versions that magnet knows"
        here = " or ".join(f"`--backend {name}` ({engine.version})" for name, engine in able.items())
        return f"{known}; here, {here} can" if here else f"{known}; none of the engines here can"


@contextmanager
def understanding(name: str) -> Iterator[None]:
    """Make an answer of another form than the one that is read within the block an EngineError."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(
            f"{name} gave an answer that magnet does not understand",
            hint=f"see what `{name} info` and `{name} version` say; this version may be too new or too old",
        ) from error


def does_not_work(name: str, answer: Completed) -> EngineError:
    """The error of an engine that is installed, and fails when it is asked what it is."""
    from magnet.hints import see_doctor  # only a failure needs it

    return EngineError(f"{name} does not work here", detail=answer.tail[-4:], hint=see_doctor(name))


def _asking(command: Command, shell: Shell | None) -> AbstractContextManager[Callable[[], Completed]]:
    return shell.asking(command) if shell else asking(command)


def image_id(text: str) -> str:
    """An image id in the one form that magnet uses, from any that an engine prints.

    >>> image_id("ab" * 32) == image_id("sha256:" + "ab" * 32)
    True
    """
    match = _IMAGE_ID.fullmatch(text)
    if match is None:
        raise EngineError(f"`{text}` is not an image id", hint="this engine's version may be too new or too old")
    return f"sha256:{match[1]}"


def host_user() -> str:
    """The caller as `uid:gid`."""
    return f"{os.getuid()}:{os.getgid()}"


def _ask_for_list(command: Command) -> Completed:
    """The answer to an `images_command`, asked again where an image vanished while the engine looked at it."""
    answer = ask(command)
    for _ in range(_LOOKS):
        if answer.returncode == 0 or not _VANISHED.search(answer.stderr):
            break
        answer = ask(command)
    return answer


def _run_hint(done: Completed) -> str | None:
    return next((hint for words, hint in _RUN_HINTS.items() if any(words in line for line in done.tail)), None)


def _why_left(answer: Completed) -> str:
    """Why an image was not removed, in the engine's last words, or by which container it is used."""
    last = answer.tail[-1].strip() if answer.tail else ending(answer.returncode)
    used = _USED_BY.search(last)
    return f"container {used[1]} uses it" if used else last


def _output(done: Completed) -> str:
    return (done.stdout + b"\n" + done.stderr).decode(errors="replace")


def _is_named(row: ImageListing, name: str) -> bool:
    # Podman and buildah list an image with all its names, and say `localhost/app` of what is asked for as `app`.
    return any(full == name or full.endswith(f"/{name}") for full in (row.repository, f"{row.repository}:{row.tag}"))


def same_platform(built: Platform, wanted: Platform) -> bool:
    """Whether an image is for a platform; a variant counts only if both say one."""
    same = (built.os, built.architecture) == (wanted.os, wanted.architecture)
    return same and (not wanted.variant or not built.variant or built.variant == wanted.variant)


def _check_mount(mount: Mount) -> None:
    # Docker makes a missing source, as a directory of root's; podman and buildah fail.
    if not Path(mount.source).exists():
        raise MagnetfileError(
            f"the source of a mount does not exist: {mount.source}",
            hint="create it first, or correct the path; it is relative to the magnetfile's directory",
        )
