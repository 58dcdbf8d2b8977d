"""`t`: what the body of a target can do."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from magnet.backends import choose
from magnet.backends.options import BUILD_KEYWORDS, BUILD_OPTIONS, MOUNT_OPTIONS, RUN_OPTIONS, parse_options
from magnet.buildfile import Call, Needed, Target
from magnet.errors import CommandFailed, ContainerFailed, EngineError, MagnetfileError
from magnet.events import Clock, SolveStatus, Vertex, VertexLog
from magnet.model import (
    ARCHIVES,
    EMPTY,
    MODES,
    NETWORKS,
    PULL_POLICIES,
    RUN_LABEL,
    Command,
    Copy,
    Image,
    ImageListing,
    Modes,
    Mount,
    Network,
    Option,
    Output,
    OutputType,
    Platform,
    Project,
    Pull,
    RunRequest,
    RunResult,
    Secret,
    Whole,
    this_machine,
)
from magnet.process import Children, Shell, Write, ending, render, render_script
from magnet.values import replace

if TYPE_CHECKING:
    from magnet.backends.base import Backend
    from magnet.container import Container, Started
    from magnet.delivery import Variants
    from magnet.index import FileIndex
    from magnet.limits import Hosts, Ulimits
    from magnet.preparation import Recipe
    from magnet.questions import Question
    from magnet.workspace import Workspace

R1 = TypeVar("R1")
R2 = TypeVar("R2")
R3 = TypeVar("R3")

Emit = Callable[[SolveStatus], None]
Words = str | Path

Need = Callable[[Call[Any], Iterable[Needed]], list[Any]]
"""Runs what a running call needs, and returns their results in order."""


class Session:
    """What all targets of one run share. The backend is chosen when the first target asks for an engine.

    With a `question`, which goes with `dry_run`, nothing is built.
    """

    def __init__(
        self,
        *,
        project: Project,
        workspace: "Workspace",
        children: Children,
        emit: Emit,
        clock: Clock,
        environ: Mapping[str, str],
        terminal: Callable[[str], AbstractContextManager[object]],
        backend_name: str | None = None,
        dry_run: bool = False,
        force: bool = False,
        question: "Question | None" = None,
        secrets: tuple[str, ...] = (),
        learn: Callable[[Iterable[str]], None] = lambda _: None,
    ) -> None:
        self.project = project
        self.workspace = workspace
        self.children = children
        self.emit = emit
        self.clock = clock
        self.environ = environ
        self.terminal = terminal
        self.backend_name = backend_name
        self.dry_run = dry_run
        self.force = force
        self.question = question
        self.secrets = secrets
        self._learn = learn
        self.started: list[Started] = []
        self._index: FileIndex | None = None
        self._backend: Backend | None = None
        self._lock = threading.Lock()

    def backend(self) -> "Backend":
        """The backend of this run."""
        with self._lock:
            if self._backend is None:
                self._backend = choose(self.backend_name)
            return self._backend

    def index(self) -> "FileIndex":
        """The index of the project's files."""
        from magnet.index import FileIndex  # a run that builds nothing does without

        with self._lock:
            if self._index is None:
                self._index = FileIndex(self.workspace.cache / "files.sqlite")
            return self._index

    def hide(self, secrets: Iterable[str]) -> None:
        """Show these values nowhere from now on, as those that are known from the start."""
        with self._lock:
            values = tuple(value for value in secrets if value and value not in self.secrets)
            self.secrets += values
        self._learn(values)

    def remove_started(self) -> None:
        """Remove the containers that targets started and that are still there, the latest first; but not those kept."""
        for one in reversed(self.started):
            if not one.keep:
                one.remove(one.shell)

    def remove_leftovers(self) -> None:
        """Remove the containers of this run that an interrupt left."""
        if self._backend is not None:
            self._backend.remove_containers(self.workspace.run_id)


class T:
    """A running target, as its body sees it.

    Paths that a body gives are relative to the magnetfile's directory. What it prints, and what its commands
    print, goes into the target's log and display.
    """

    def __init__(self, call: Call[Any], vertex: Vertex, session: Session, need: Need) -> None:
        self._call = call
        self._vertex = vertex
        self._session = session
        self._need = need
        self._shell = self._make_shell(session.project.root, session.environ)
        self._skipped: list[bool] = []
        self._took: list[int | None] = []

    @property
    def name(self) -> str:
        """The target's name, with its arguments."""
        return self._call.name

    @property
    def is_cached(self) -> bool:
        """Whether all that this target did was to find its builds done."""
        return bool(self._skipped) and all(self._skipped)

    @property
    def took(self) -> int | None:
        """The nanoseconds that the builds took that were found done, if there were no others, and it is known."""
        known = [took for took in self._took if took is not None]
        return sum(known) if self.is_cached and len(known) == len(self._took) else None

    @property
    def project(self) -> Project:
        """The project's root, name and version."""
        return self._session.project

    @property
    def backend(self) -> "Backend":
        """The backend that runs this target's builds and containers."""
        return self._session.backend()

    @overload
    def need(self, one: Target[..., R1] | Call[R1], /) -> R1: ...
    @overload
    def need(self, one: Target[..., R1] | Call[R1], two: Target[..., R2] | Call[R2], /) -> tuple[R1, R2]: ...
    @overload
    def need(
        self, one: Target[..., R1] | Call[R1], two: Target[..., R2] | Call[R2], three: Target[..., R3] | Call[R3], /
    ) -> tuple[R1, R2, R3]: ...
    @overload
    def need(self, *needed: Needed) -> Any: ...
    def need(self, *needed: Needed) -> Any:
        """Run other targets, in parallel, and return what they return: one value, or a tuple of several.

        Each runs at most once in a run of magnet for the same arguments. Raises NeedFailed when one fails.
        """
        results = list(map(self._mine, self._need(self._call, needed)))
        return results[0] if len(results) == 1 else tuple(results)

    def print(self, *values: object) -> None:
        """Print a line into the target's log and display, as the built-in print would."""
        text = " ".join(map(str, values))
        self._write(1, f"{text}\n".encode(errors="surrogateescape"))

    def output(self, text: str) -> None:
        """Print a line on magnet's own stdout, for a script that reads it, and into the log."""
        with self._attached() as write:
            write(1, f"{text}\n".encode(errors="surrogateescape"))

    def exec(self, program: Words, *arguments: Words, cwd: Words = ".", env: Mapping[str, str] | None = None) -> None:
        """Run a program on this machine to its end; CommandFailed when its exit code is not 0."""
        command = Command((str(program), *map(str, arguments)), env=dict(env or {}))
        directory = self.project.root / cwd
        if not directory.is_dir():
            raise MagnetfileError(f"the working directory `{cwd}` is not a directory")
        self._skipped.append(False)
        done = self._make_shell(directory, self._session.environ).run(command)
        if done.returncode != 0:
            raise CommandFailed(
                f"`{program}` {ending(done.returncode)}", returncode=done.returncode, detail=done.tail[-8:]
            )

    def build(
        self,
        directory: Words = ".",
        *,
        tags: Iterable[str] | str = (),
        build_args: Mapping[str, object] | None = None,
        stage: str | int | None = None,
        file: Words | None = None,
        context: Iterable[Copy] | Whole | None = None,
        pull: Pull = "missing",
        no_cache: bool = False,
        labels: Mapping[str, object] | None = None,
        platform: str | None = None,
        platforms: Iterable[str] | str = (),
        options: Iterable[str] = (),
        modes: Modes = "keep",
        network: Network | None = None,
        secrets: Iterable[Secret] = (),
        ssh: Iterable[str] | str = (),
        add_hosts: Mapping[str, str | Iterable[str]] | None = None,
        shm_size: int | str | None = None,
        ulimits: Mapping[str, int | str] | Iterable[str] | str = (),
        build_contexts: Mapping[str, Path | str | Image] | None = None,
        output: Output | Iterable[Output] = (),
        source_date_epoch: int | str | None = None,
        cache_from: Iterable[str] | str = (),
        cache_to: Iterable[str] | str = (),
    ) -> Image:
        """Build an image from a Dockerfile.

        `directory` is the build context, `file` the Dockerfile, otherwise `Dockerfile` or `Containerfile` in it.
        The build sees just the files that the Dockerfile copies and that are not ignored; `context` declares others,
        or takes all with `Whole()`. A build of which nothing has changed is not done again. `stage` is Dockerfile's
        `--target`. `modes="git"` gives files mode 0644, or 0755 where they can be executed, whatever the umask of the
        checkout was.

        For several `platforms` it is one image with all of them, under its tags; returned is what is for this machine,
        or else for the first.

        The steps have the `network` `none`, `host`, or the engine's own for builds; more lines of /etc/hosts
        (`add_hosts`), a /dev/shm of another size, resource limits (`ulimits`), `secrets` in files that no image keeps,
        and SSH agents (`ssh`). `build_contexts` are directories and images that the Dockerfile knows by other names.
        `options` are further options of the engine in the spelling that docker and podman share. `output` is where the
        result is written besides. With a `source_date_epoch`, in seconds since 1970, all that the build adds is of that
        time, and two builds of one key are one image. Steps are taken from repositories of a registry (`cache_from`),
        and left there (`cache_to`). Raises CommandFailed when the build fails, EngineError when the engine cannot do
        it.
        """
        # A run that builds nothing does without.
        from magnet.preparation import Recipe

        recipe = Recipe(
            directory=directory,
            file=file,
            context=context if context is None or isinstance(context, Whole) else tuple(context),
            tags=_strings(tags),
            build_args={**_epoch_arg(source_date_epoch), **self._public("build arg", build_args)},
            stage=None if stage is None else str(stage),
            pull=_pull(pull),
            no_cache=no_cache,
            labels=self._public("label", labels),
            platform=Platform.parse(platform) if platform else None,
            options=parse_options(options, BUILD_OPTIONS, BUILD_KEYWORDS),
            modes=_modes(modes),
            source_date_epoch=_epoch(source_date_epoch),
            cache_from=_caches(cache_from),
            cache_to=_caches(cache_to),
            network=_network(network),
            secrets=self._secrets(secrets),
            ssh=self._agents(ssh),
            contexts=self._named_contexts(build_contexts),
            **_limits(add_hosts, shm_size, ulimits),
        )
        outputs = _outputs(self.project, output)
        if wanted := _platforms(platform, platforms):
            return self._build_for_each(recipe, wanted, outputs)
        image = self._build(recipe)
        self._deliver([image], recipe.tags, outputs)
        return image

    def _secrets(self, secrets: Iterable[Secret]) -> tuple[Secret, ...]:
        given = tuple(secrets)
        if not given:
            return ()
        from magnet.secretfiles import located  # most builds and containers have none

        return located(given, self.project.root, self._session.environ)

    def _agents(self, ssh: Iterable[str] | str) -> Mapping[str, str]:
        if not ssh:
            return EMPTY
        from magnet.secretfiles import agents  # most builds have none

        return agents(ssh, self.project.root, self._session.environ)

    def _named_contexts(self, contexts: Mapping[str, Path | str | Image] | None) -> Mapping[str, Path | str | Image]:
        if not contexts:
            return {}
        from magnet.namedcontexts import parse  # most builds have none

        return parse(contexts, self.project.root)

    def _build(self, recipe: "Recipe") -> Image:
        from magnet.building import Builder

        session, backend = self._session, self.backend
        builder = Builder(backend, self._shell, session.workspace, self._call.target.name, session.hide)
        prepared = builder.prepare(recipe, self.project.root, session.index())
        if session.question is not None:
            return session.question(self.name, builder, prepared) or Image(id="", tags=recipe.tags)
        if session.dry_run:
            return builder.print_command(prepared)
        built = builder.build(prepared, session.index(), force=session.force)
        self._skipped.append(built.is_cached)
        self._took.append(built.took)
        if recipe.tags and os.path.exists(session.workspace.cache / "platforms"):
            self._variants.note(recipe.tags, ())
        return built.image

    def _build_for_each(self, recipe: "Recipe", platforms: Sequence[Platform], outputs: Iterable[Output]) -> Image:
        from magnet.backends.base import same_platform

        _check_outputs(outputs)
        images = [self._build(replace(recipe, platform=platform, tags=())) for platform in platforms]
        if self._session.question is not None:
            return Image(id="", tags=recipe.tags)
        own = next((image for image in images if same_platform(image.platform, this_machine())), images[0])
        if recipe.tags and not self._session.dry_run:
            self.backend.retag(own, recipe.tags, self._shell, {})
            self._variants.note(recipe.tags, images)
        self._deliver(images, recipe.tags, outputs)
        return replace(own, tags=recipe.tags, variants=tuple(images))

    @property
    def _variants(self) -> "Variants":
        from magnet.delivery import Variants

        return Variants(self.backend, self._session.workspace)

    def _variants_of(self, image: Image | str) -> tuple[Image, ...]:
        """The images for several platforms that one stands for, if it does."""
        if isinstance(image, str):
            return self._variants.of(image, self._shell)
        found = (self._variants.of(name, self._shell) for name in image.tags)
        return image.variants or next(filter(None, found), ())

    def _deliver(self, images: Sequence[Image], names: Sequence[str], outputs: Iterable[Output]) -> None:
        """Write an image to its outputs; of several platforms there is one of `images` for each."""
        session = self._session
        for output in outputs if session.question is None else ():
            from magnet import delivery

            done = delivery.deliver(self.backend, images, names, output, self._shell, session.workspace)
            self._skipped.append(not done)

    def run(
        self,
        image: Image | str,
        *command: Words,
        entrypoint: Iterable[str] | str | None = None,
        user: str | None = None,
        mounts: Iterable[Mount] = (),
        env: Mapping[str, object] | None = None,
        secrets: Iterable[Secret] = (),
        workdir: str | None = None,
        network: "str | Container | None" = None,
        privileged: bool = False,
        read_only: bool = False,
        tmpfs: Iterable[str] | str = (),
        volumes: Mapping[str, str] | None = None,
        ulimits: "Ulimits" = (),
        shm_size: int | str | None = None,
        add_hosts: "Hosts | None" = None,
        init: bool = False,
        hostname: str | None = None,
        memory: int | str | None = None,
        cpus: float | None = None,
        remove: bool = True,
        detach: bool = False,
        interactive: bool = False,
        tty: bool = False,
        attach: bool = False,
        name: str | None = None,
        labels: Mapping[str, object] | None = None,
        options: Iterable[str] = (),
        pull: Pull = "missing",
        platform: str | None = None,
        check: bool = True,
    ) -> RunResult:
        """Run a command in a container of an image.

        `user="host"` lets files that are written to a mount belong to the caller, on every engine, rootful or
        rootless. A secret is a file, /run/secrets/ID. `tmpfs` are empty file systems in memory, as `/cache` or
        `/cache:size=64m,exec`, `volumes` those that the engine keeps by a name, `{"name": "/path"}`. `network` is one
        of the engine's, or a container whose network this one is to share. `attach` puts the container's stdout and
        stderr on magnet's own; `interactive` gives it magnet's stdin, `tty` the terminal. `options` are further options
        of the engine in the spelling that docker and podman share. Raises ContainerFailed when the command's exit code
        is not 0, unless `check` is False.
        """
        from magnet.intents import run_options  # a run that builds only does without

        if tty and not self._session.dry_run and not os.isatty(0):
            raise MagnetfileError("`tty` needs a terminal, and stdin is none", hint="leave out `tty` (`-t`)")
        request = self._request(
            image, command, entrypoint=entrypoint, user=user, mounts=mounts, env=env, workdir=workdir, network=network,
            privileged=privileged, read_only=read_only, name=name, labels=labels, options=(
                *parse_options(options, RUN_OPTIONS + MOUNT_OPTIONS),
                *run_options(
                    tmpfs=tmpfs, volumes=volumes, ulimits=ulimits, shm_size=shm_size, add_hosts=add_hosts, init=init,
                    hostname=hostname, memory=memory, cpus=cpus,
                ),
            ),
        )  # fmt: skip
        request = replace(request, remove=remove, detach=detach, interactive=interactive, tty=tty)
        stdin = 0 if interactive else None
        with ExitStack() as used:
            request = self._provided(request, secrets, used, keep=not remove)
            write = used.enter_context(self._attached()) if attach and not tty else None
            result = self.backend.run(
                request, self._shell, self._container_id(), stdin=stdin, write=write, pull=_pull(pull),
                platform=Platform.parse(platform) if platform else None,
            )  # fmt: skip
        if check and result.returncode != 0:
            words = " ".join(map(str, command)) or _reference(image)
            raise ContainerFailed(
                f"`{words}` {ending(result.returncode)} in its container", returncode=result.returncode
            )
        return result

    def start(
        self,
        image: Image | str,
        *command: Words,
        entrypoint: Iterable[str] | str | None = None,
        user: str | None = None,
        mounts: Iterable[Mount] = (),
        env: Mapping[str, object] | None = None,
        secrets: Iterable[Secret] = (),
        workdir: str | None = None,
        network: "str | Container | None" = None,
        privileged: bool = False,
        read_only: bool = False,
        tmpfs: Iterable[str] | str = (),
        volumes: Mapping[str, str] | None = None,
        ulimits: "Ulimits" = (),
        shm_size: int | str | None = None,
        add_hosts: "Hosts | None" = None,
        init: bool = False,
        hostname: str | None = None,
        memory: int | str | None = None,
        cpus: float | None = None,
        name: str | None = None,
        labels: Mapping[str, object] | None = None,
        options: Iterable[str] = (),
        pull: Pull = "missing",
        platform: str | None = None,
        health: Iterable[str] | str | None = None,
        wait: Literal["healthy"] | None = None,
        timeout: float = 60.0,
        keep: bool = False,
    ) -> "Container":
        """Start a container, and return a handle of it while it runs.

        It is removed when its `with` block ends, or else at the end of the run of magnet, however that ends, unless
        `keep`. A target may return it, for those that need it; `network=` of another container lets that one reach it
        as localhost. `health` is a command that tells by its exit code whether it is healthy, in place of the image's
        HEALTHCHECK; with `wait="healthy"` it is waited for that, for `timeout` seconds. What else there is to say is as
        for `run`.
        """
        from magnet.container import LABEL, Container, Started, command_of
        from magnet.intents import run_options

        container = self._container_id()
        options = tuple(options)
        request = self._request(
            image, command, entrypoint=entrypoint, user=user, mounts=mounts, env=env, workdir=workdir, network=network,
            privileged=privileged, read_only=read_only, name=name, labels={**(labels or {}), LABEL: container},
            options=(
                *parse_options(options, RUN_OPTIONS + MOUNT_OPTIONS),
                *run_options(
                    tmpfs=tmpfs, volumes=volumes, ulimits=ulimits, shm_size=shm_size, add_hosts=add_hosts, init=init,
                    hostname=hostname, memory=memory, cpus=cpus,
                ),
                *_no_healthcheck(options, keep=keep),
            ),
        )  # fmt: skip
        request = replace(request, remove=False, detach=True)
        started = Started(
            self.backend, self._shell, name=name or container, image=request.image, health=command_of(health),
            secrets=lambda: self._session.secrets, keep=keep,
        )  # fmt: skip
        try:
            result = self.backend.run(
                self._provided(request, secrets, started.files, keep=keep), self._shell, container, pull=_pull(pull),
                platform=Platform.parse(platform) if platform else None,
            )  # fmt: skip
            if result.returncode != 0:
                words = " ".join(map(str, command)) or _reference(image)
                raise ContainerFailed(f"`{words}` cannot be started in a container", returncode=result.returncode)
        except BaseException:
            started.remove_unstarted(container)
            raise
        self._session.started.append(started)
        started.begin(result.container or container)
        made = Container(started, self._shell)
        return made.wait_healthy(timeout) if wait == "healthy" else made

    def _request(
        self,
        image: Image | str,
        command: Iterable[Words],
        *,
        entrypoint: Iterable[str] | str | None,
        user: str | None,
        mounts: Iterable[Mount],
        env: Mapping[str, object] | None,
        workdir: str | None,
        network: "str | Container | None",
        privileged: bool,
        read_only: bool,
        name: str | None,
        labels: Mapping[str, object] | None,
        options: tuple[Option, ...],
    ) -> RunRequest:
        """What a run and a start have in common."""
        from magnet.intents import split_env

        public, hidden = split_env(env, self._session.secrets)
        return RunRequest(
            image=_reference(image),
            command=tuple(map(str, command)),
            entrypoint=None if entrypoint is None else _strings(entrypoint),
            user=user,
            mounts=tuple(self._absolute(mount) for mount in mounts),
            env=public,
            secret_env=hidden,
            workdir=workdir,
            network=network if network is None or isinstance(network, str) else f"container:{network.id}",
            privileged=privileged,
            read_only=read_only,
            name=name,
            labels={**_texts(labels), RUN_LABEL: self._session.workspace.run_id},
            options=options,
        )

    def _mine(self, result: Any) -> Any:
        """What a target returned; what is done with a container that it started is told in this target's log."""
        if not self._session.started:
            return result
        from magnet.container import Container

        if type(result) is tuple:
            return tuple(map(self._mine, result))
        return result.used_by(self._shell) if isinstance(result, Container) else result

    def _container_id(self) -> str:
        return f"{self._session.workspace.run_id}-{self._session.workspace.number()}"

    def _provided(self, request: RunRequest, secrets: Iterable[Secret], used: ExitStack, *, keep: bool) -> RunRequest:
        """The request with files for the container, which go when `used` is closed, but for those of one to keep."""
        self._skipped.append(False)
        workspace = self._session.workspace
        if not self._session.dry_run:
            workspace.note_backend(self.backend.name)
        scratch = used.enter_context(workspace.scratch())
        mounts = (*request.mounts, *self._secret_mounts(secrets, scratch / "secrets"))
        return replace(request, files=workspace.cache / "hosts" if keep else scratch, mounts=mounts)

    def _secret_mounts(self, secrets: Iterable[Secret], directory: Path) -> list[Mount]:
        found = self._secrets(secrets)
        if not found:
            return []
        from magnet import secretfiles

        values = secretfiles.read(found, self._session.environ)
        self._session.hide(value.decode(errors="surrogateescape") for value in values.values())
        secretfiles.write(dict.fromkeys(values, b"") if self._session.dry_run else values, directory)
        files = secretfiles.paths(found, directory)
        for file in files.values():
            # Whoever is the user in the container may read it; here its directory lets nobody but the caller in.
            file.chmod(0o444)
        return [Mount(file, f"/run/secrets/{name}", readonly=True, relabel="private") for name, file in files.items()]

    def inspect(self, reference: str) -> Image | None:
        """The image of that name or id in the engine's store, or None."""
        return self.backend.inspect(reference, self._shell)

    def images(self, name: str | None = None) -> tuple[ImageListing, ...]:
        """List the engine's images into the log, all or those of one repository, and return them."""
        command = self.backend.images_command(name)
        self._shell.echo(command)
        if self._session.dry_run:
            return ()
        found = self.backend.images(name)
        for line in _table(found):
            self.print(line)
        return found

    def tag(self, image: Image | str, *names: str) -> None:
        """Give an image more names."""
        variants = self._variants_of(image)
        self.backend.tag(_reference(image), names, self._shell)
        if not self._session.dry_run:
            self._variants.note(names, variants)

    def remove(self, image: Image | str) -> None:
        """Remove an image, or one name of it."""
        self.backend.remove(_reference(image), self._shell)

    def pull(self, reference: str, *, platform: str | None = None) -> Image:
        """Fetch an image from its registry, even where one of that name is here."""
        return self.backend.pull(reference, self._shell, platform=Platform.parse(platform) if platform else None)

    def push(self, reference: str) -> None:
        """Send an image to the registry that its name begins with, for all of its platforms."""
        if variants := self._variants_of(reference):
            new = f"localhost/magnet-list:{self._session.workspace.run_id}-{self._session.workspace.number()}"
            self.backend.push_platforms(reference, variants, new, self._shell)
        else:
            self.backend.push(reference, self._shell)

    def save(self, image: Image | str, path: Words, *, format: OutputType = "docker-archive") -> None:
        """Write an image that is here to a file, with its names: a `docker-archive` or an `oci-archive`.

        A file that is there is replaced when the new one is whole, and not at all where that fails.
        """
        if format not in ARCHIVES:
            raise MagnetfileError(f"`{format}` is no archive of an image", hint=f"known are: {', '.join(ARCHIVES)}")
        found, names = self._here(image)
        images = self._variants_of(image) or (found,)
        output = Output(format, self.project.root / path)
        if len(images) > 1:
            _check_outputs([output])
        self._deliver(images, names, [output])

    def load(self, path: Words, *, platform: str | None = None) -> Image:
        """Put the image of a docker-archive or an OCI archive into the engine's store, with the names it has there.

        Of an image of several platforms it is the one of `platform`, or else of this machine.
        """
        from magnet import delivery

        wanted = Platform.parse(platform) if platform else None
        self._skipped.append(False)
        with self._session.workspace.scratch() as scratch:
            return delivery.load(self.backend, self.project.root / path, wanted, self._shell, scratch)

    def copy(self, image: Image | str, *, to: str) -> Image:
        """Put an image, with its names, into the store of another engine: `docker`, `podman` or `buildah`.

        The store is that of the same user; the image keeps its id.
        """
        from magnet import delivery

        found, names = self._here(image)
        if self._variants_of(image):
            raise MagnetfileError(
                f"`{_reference(image)}` is an image of several platforms, and this copies one",
                hint="save it as an `oci-archive`, and load what is wanted of it there",
            )
        self._skipped.append(False)
        with self._session.workspace.scratch() as scratch:
            return delivery.copy(self.backend, found, names, choose(to), self._shell, scratch)

    def _here(self, image: Image | str) -> tuple[Image, tuple[str, ...]]:
        """An image that is in the engine's store, and the names by which it is meant."""
        reference = _reference(image)
        names = image.tags if isinstance(image, Image) else () if image.startswith("sha256:") else (image,)
        if self._session.dry_run:
            return Image(id=reference), names
        found = self.backend.inspect(reference, self._shell)
        if found is None:
            raise EngineError(f"no image `{reference}` in {self.backend.engine}", hint="build or pull it first")
        return found, names

    def _terminal(self) -> AbstractContextManager[object]:
        """Keep the display off the terminal for the length of a block, in which this target uses it."""
        return self._session.terminal(self._vertex.digest)

    def _public(self, what: str, values: Mapping[str, object] | None) -> dict[str, str]:
        """Values that an image keeps, in which there must be no secret."""
        texts = _texts(values)
        for name, value in texts.items():
            if any(secret in value for secret in self._session.secrets):
                raise MagnetfileError(
                    f"the {what} `{name}` holds a secret, and whoever has the image can read it",
                    hint='hand it over in a file: secrets=[Secret("ID", env="NAME")], RUN --mount=type=secret,id=ID',
                )
        return texts

    def _absolute(self, mount: Mount) -> Mount:
        source = os.path.abspath(self.project.root / os.path.expanduser(mount.source))
        return replace(mount, source=source)

    def _write(self, stream: int, data: bytes) -> None:
        log = VertexLog(self._vertex.digest, stream, data, self._session.clock())
        self._session.emit(SolveStatus(logs=(log,)))

    def _echo(self, command: Command) -> None:
        # The log shows what was set and run as its fields do; a dry run is a script.
        if self._session.question is None:
            self.print(render_script(command) if self._session.dry_run else render(command))

    @contextmanager
    def _attached(self) -> Iterator[Write]:
        """What takes output to magnet's own streams, and into the log, for the length of a block."""
        from magnet.redact import Redactor

        sys.stdout.flush()
        own = {1: sys.stdout.buffer, 2: sys.stderr.buffer}
        redactor = Redactor(self._session.secrets)

        def show(status: SolveStatus | None) -> None:
            for log in status.logs if status else ():
                own[log.stream].write(log.data)
                own[log.stream].flush()

        def write(stream: int, data: bytes) -> None:
            status = SolveStatus(logs=(VertexLog(self._vertex.digest, stream, data, self._session.clock()),))
            show(redactor.status(status))
            self._session.emit(status)

        with self._terminal():
            try:
                yield write
            finally:
                show(redactor.rest())

    def _make_shell(self, cwd: Path, env: Mapping[str, str]) -> Shell:
        return Shell(
            children=self._session.children,
            write=self._write,
            echo=self._echo,
            cwd=cwd,
            env=env,
            terminal=self._terminal,
            dry_run=self._session.dry_run,
            follow=self._session.emit,
            clock=self._session.clock,
            vertex=self._vertex.digest,
        )


def _reference(image: Image | str) -> str:
    """What names an image towards the engine: its id, for a short name may mean another image somewhere."""
    if isinstance(image, str):
        return image
    return image.id or next(iter(image.tags), "<image>")


def _platforms(one: str | None, several: Iterable[str] | str) -> tuple[Platform, ...]:
    names = _strings(several)
    if names and one:
        raise MagnetfileError("both `platform` and `platforms` are given", hint="leave one of them out")
    return tuple(dict.fromkeys(map(Platform.parse, names)))


def _caches(names: Iterable[str] | str) -> tuple[str, ...]:
    """Repositories of a registry, with or without a tag."""
    for name in (given := _strings(names)):
        if "@" in name or "=" in name or "/" not in name:
            raise MagnetfileError(
                f"`{name}` is no repository for the steps of a build", hint="write it as `registry.example/team/cache`"
            )
    return given


def _check_outputs(outputs: Iterable[Output]) -> None:
    """Refuse what holds an image of one platform."""
    for output in outputs:
        if output.type != "oci-archive":
            raise MagnetfileError(
                f"a `{output.type}` holds an image of one platform, and several are asked for",
                hint="write an `oci-archive`, or build for each `platform` by itself",
            )


def _epoch(seconds: int | str | None) -> int | None:
    """A time, in seconds since 1970."""
    if seconds is None:
        return None
    if str(seconds).isdecimal():
        return int(seconds)
    raise MagnetfileError(
        f"`{seconds}` is no time for `source_date_epoch`",
        hint="give whole seconds since 1970, as `git log -1 --format=%ct` prints them",
    )


def _epoch_arg(seconds: int | str | None) -> dict[str, str]:
    return {} if seconds is None else {"SOURCE_DATE_EPOCH": str(seconds)}


def _outputs(project: Project, output: Output | Iterable[Output]) -> tuple[Output, ...]:
    """What is to be written, at absolute paths."""
    given = (output,) if isinstance(output, Output) else tuple(output)
    return tuple(Output(one.type, project.root / one.path) for one in given)


def _no_healthcheck(options: Iterable[str], *, keep: bool) -> tuple[Option, ...]:
    """What keeps an engine from checking health by itself: not every one can, and some wait half a minute first."""
    is_wanted = keep or any(option.startswith("--health-") or option == "--no-healthcheck" for option in options)
    return () if is_wanted else (Option("--no-healthcheck"),)


def _strings(values: Iterable[str] | str) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _texts(values: Mapping[str, object] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (values or {}).items()}


def _pull(policy: str) -> Pull:
    for known in PULL_POLICIES:
        if policy == known:
            return known
    raise MagnetfileError(f"`{policy}` is not a pull policy", hint=f"known are: {', '.join(PULL_POLICIES)}")


def _network(network: str | None) -> Network:
    if network is None:
        return "default"
    for known in NETWORKS:
        if network == known:
            return known
    raise MagnetfileError(
        f"the steps of a build cannot have the network `{network}`", hint=f"known are: {', '.join(NETWORKS)}"
    )


def _limits(
    hosts: Mapping[str, str | Iterable[str]] | None,
    shm_size: int | str | None,
    ulimits: Mapping[str, int | str] | Iterable[str] | str,
) -> dict[str, Any]:
    """The fields of a request of these names, of those that were given."""
    if not hosts and shm_size is None and not ulimits:
        return {}
    from magnet import limits  # most builds have none

    return {
        "hosts": limits.parse_hosts(hosts or {}),
        "shm_size": None if shm_size is None else limits.parse_size(shm_size, "shm_size"),
        "ulimits": limits.parse_ulimits(ulimits),
    }


def _modes(modes: str) -> Modes:
    for known in MODES:
        if modes == known:
            return known
    raise MagnetfileError(f"`{modes}` is no choice for `modes`", hint=f"known are: {', '.join(MODES)}")


def _table(images: Iterable[ImageListing]) -> list[str]:
    """The rows as docker prints them."""
    rows = [("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")]
    for image in images:
        created = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(image.created))
        rows.append((image.repository, image.tag, image.id.removeprefix("sha256:")[:12], created, image.size))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["   ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
