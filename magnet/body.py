"""`t`: what the body of a target can do."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from magnet.backends import choose
from magnet.backends.options import BUILD_OPTIONS, MOUNT_OPTIONS, RUN_OPTIONS, parse_options
from magnet.buildfile import Call, Needed, Target
from magnet.errors import CommandFailed, ContainerFailed, EngineError, MagnetfileError
from magnet.events import Clock, SolveStatus, Vertex, VertexLog
from magnet.model import (
    ARCHIVES,
    MODES,
    PULL_POLICIES,
    RUN_LABEL,
    Command,
    Copy,
    Image,
    ImageListing,
    Modes,
    Mount,
    Output,
    OutputType,
    Platform,
    Project,
    Pull,
    RunRequest,
    RunResult,
    Whole,
)
from magnet.process import Children, Shell, Write, ending, render, render_script

if TYPE_CHECKING:
    from magnet.backends.base import Backend
    from magnet.index import FileIndex
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
        results = self._need(self._call, needed)
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
        options: Iterable[str] = (),
        modes: Modes = "keep",
        output: Output | Iterable[Output] = (),
    ) -> Image:
        """Build an image from a Dockerfile.

        `directory` is the build context, `file` the Dockerfile, otherwise `Dockerfile` or `Containerfile` in it.
        The build sees just the files that the Dockerfile copies and that are not ignored; `context` declares others,
        or takes all with `Whole()`. A build of which nothing has changed is not done again. `stage` is Dockerfile's
        `--target`. `options` are further options of the engine in the spelling that docker and podman share, such
        as `--network=none`. `modes="git"` gives files mode 0644, or 0755 where they can be executed, whatever the
        umask of the checkout was. `output` is where the result is written besides. Raises CommandFailed when the build
        fails, EngineError when the engine cannot do it.
        """
        # A run that builds nothing does without.
        from magnet.preparation import Recipe

        recipe = Recipe(
            directory=directory,
            file=file,
            context=context if context is None or isinstance(context, Whole) else tuple(context),
            tags=_strings(tags),
            build_args=self._public("build arg", build_args),
            stage=None if stage is None else str(stage),
            pull=_pull(pull),
            no_cache=no_cache,
            labels=self._public("label", labels),
            platform=Platform.parse(platform) if platform else None,
            options=parse_options(options, BUILD_OPTIONS),
            modes=_modes(modes),
        )
        outputs = _outputs(self.project, output)
        image = self._build(recipe)
        self._deliver([image], recipe.tags, outputs)
        return image

    def _build(self, recipe: "Recipe") -> Image:
        from magnet.building import Builder

        session, backend = self._session, self.backend
        builder = Builder(backend, self._shell, session.workspace, self._call.target.name)
        prepared = builder.prepare(recipe, self.project.root, session.index())
        if session.question is not None:
            return session.question(self.name, builder, prepared) or Image(id="", tags=recipe.tags)
        if session.dry_run:
            return builder.print_command(prepared)
        built = builder.build(prepared, session.index(), force=session.force)
        self._skipped.append(built.is_cached)
        self._took.append(built.took)
        return built.image

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
        workdir: str | None = None,
        network: str | None = None,
        privileged: bool = False,
        read_only: bool = False,
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
        rootless. `attach` puts the container's stdout and stderr on magnet's own; `interactive` gives it magnet's
        stdin, `tty` the terminal. `options` are further options of the engine in the spelling that docker and podman
        share. Raises ContainerFailed when the command's exit code is not 0, unless `check` is False.
        """
        if tty and not self._session.dry_run and not os.isatty(0):
            raise MagnetfileError("`tty` needs a terminal, and stdin is none", hint="leave out `tty` (`-t`)")
        number = self._session.workspace.number()
        container = f"{self._session.workspace.run_id}-{number}"
        request = RunRequest(
            image=_reference(image),
            command=tuple(map(str, command)),
            entrypoint=None if entrypoint is None else _strings(entrypoint),
            user=user,
            mounts=tuple(self._absolute(mount) for mount in mounts),
            env=_texts(env),
            workdir=workdir,
            network=network,
            privileged=privileged,
            read_only=read_only,
            remove=remove,
            detach=detach,
            interactive=interactive,
            tty=tty,
            name=name,
            labels={**_texts(labels), RUN_LABEL: self._session.workspace.run_id},
            options=parse_options(options, RUN_OPTIONS + MOUNT_OPTIONS),
        )
        backend = self.backend
        self._skipped.append(False)
        if not self._session.dry_run:
            self._session.workspace.note_backend(backend.name)
        stdin = 0 if interactive else None
        with self._attached() if attach and not tty else nullcontext() as write:
            result = backend.run(
                request, self._shell, container, stdin=stdin, write=write, pull=_pull(pull),
                platform=Platform.parse(platform) if platform else None,
            )  # fmt: skip
        if check and result.returncode != 0:
            words = " ".join(map(str, command)) or _reference(image)
            raise ContainerFailed(
                f"`{words}` {ending(result.returncode)} in its container", returncode=result.returncode
            )
        return result

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
        self.backend.tag(_reference(image), names, self._shell)

    def remove(self, image: Image | str) -> None:
        """Remove an image, or one name of it."""
        self.backend.remove(_reference(image), self._shell)

    def pull(self, reference: str, *, platform: str | None = None) -> Image:
        """Fetch an image from its registry, even where one of that name is here."""
        return self.backend.pull(reference, self._shell, platform=Platform.parse(platform) if platform else None)

    def push(self, reference: str) -> None:
        """Send an image to the registry that its name begins with."""
        self.backend.push(reference, self._shell)

    def save(self, image: Image | str, path: Words, *, format: OutputType = "docker-archive") -> None:
        """Write an image that is here to a file, with its names: a `docker-archive` or an `oci-archive`.

        A file that is there is replaced when the new one is whole, and not at all where that fails.
        """
        if format not in ARCHIVES:
            raise MagnetfileError(f"`{format}` is no archive of an image", hint=f"known are: {', '.join(ARCHIVES)}")
        found, names = self._here(image)
        self._deliver([found], names, [Output(format, self.project.root / path)])

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
                    hint='hand it over as a file: options=["--secret=id=NAME,src=FILE"], and RUN --mount=type=secret',
                )
        return texts

    def _absolute(self, mount: Mount) -> Mount:
        source = os.path.abspath(self.project.root / os.path.expanduser(mount.source))
        return Mount(source, mount.target, mount.readonly, mount.consistency)

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


def _outputs(project: Project, output: Output | Iterable[Output]) -> tuple[Output, ...]:
    """What is to be written, at absolute paths."""
    given = (output,) if isinstance(output, Output) else tuple(output)
    return tuple(Output(one.type, project.root / one.path) for one in given)


def _strings(values: Iterable[str] | str) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _texts(values: Mapping[str, object] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (values or {}).items()}


def _pull(policy: str) -> Pull:
    for known in PULL_POLICIES:
        if policy == known:
            return known
    raise MagnetfileError(f"`{policy}` is not a pull policy", hint=f"known are: {', '.join(PULL_POLICIES)}")


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
