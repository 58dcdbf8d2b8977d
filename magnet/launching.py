"""What a target can do with containers: run a command in one, or start one that runs on."""

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from magnet.acting import Acting, Words
from magnet.asked import (
    no_healthcheck,
    pull_policy,
    reference,
    strings,
    texts,
)
from magnet.backends.options import MOUNT_OPTIONS, RUN_OPTIONS, parse_options
from magnet.errors import ContainerFailed, MagnetfileError, TimedOut
from magnet.model import (
    RUN_LABEL,
    Image,
    Mount,
    Option,
    Platform,
    Pull,
    RunRequest,
    RunResult,
    Secret,
)
from magnet.process import ask, ending
from magnet.values import replace

if TYPE_CHECKING:
    from magnet.container import Container
    from magnet.limits import Hosts, Ulimits


class Launching(Acting):
    """A running target, and containers."""

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
        container = self._container_id()
        request = self._request(
            image, command, entrypoint=entrypoint, user=user, mounts=mounts, env=env, workdir=workdir, network=network,
            privileged=privileged, read_only=read_only, name=name, labels=self._marked(labels, container), options=(
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
            try:
                result = self.backend.run(
                    request, self._shell, container, stdin=stdin, write=write, pull=pull_policy(pull),
                    platform=Platform.parse(platform) if platform else None,
                )  # fmt: skip
            except TimedOut:
                self._remove_marked(container)
                raise
        if check and result.returncode != 0:
            words = " ".join(map(str, command)) or reference(image)
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
                *no_healthcheck(options, keep=keep),
            ),
        )  # fmt: skip
        request = replace(request, remove=False, detach=True)
        session = self._session  # a target in a target has it no longer when it has ended, and its container may run on
        started = Started(
            self.backend, self._shell, name=name or container, image=request.image, health=command_of(health),
            secrets=lambda: session.secrets, keep=keep,
        )  # fmt: skip
        try:
            result = self.backend.run(
                self._provided(request, secrets, started.files, keep=keep), self._shell, container,
                pull=pull_policy(pull), platform=Platform.parse(platform) if platform else None,
            )  # fmt: skip
            if result.returncode != 0:
                words = " ".join(map(str, command)) or reference(image)
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
            image=reference(image),
            command=tuple(map(str, command)),
            entrypoint=None if entrypoint is None else strings(entrypoint),
            user=user,
            mounts=tuple(self._absolute(mount) for mount in mounts),
            env=public,
            secret_env=hidden,
            workdir=workdir,
            network=network if network is None or isinstance(network, str) else f"container:{network.id}",
            privileged=privileged,
            read_only=read_only,
            name=name,
            labels={**texts(labels), RUN_LABEL: self._session.workspace.run_id},
            options=options,
        )

    def _marked(self, labels: Mapping[str, object] | None, container: str) -> dict[str, object]:
        """The labels of a container that is to be run, which can be found among others where it may be ended early."""
        from magnet.container import LABEL

        is_limited = self._children is not self._session.children
        return {**(labels or {}), **({LABEL: container} if is_limited else {})}

    def _remove_marked(self, container: str) -> None:
        """Remove a container whose time was over: to end the engine's client need not end it."""
        from magnet.container import LABEL

        if found := ask(self.backend.labeled_command(LABEL, container)).stdout.decode().split():
            self._shell.clean(self.backend.remove_containers_command(found))

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

        values = secretfiles.read(found, self._session.variables)
        self._session.hide(value.decode(errors="surrogateescape") for value in values.values())
        secretfiles.write(dict.fromkeys(values, b"") if self._session.dry_run else values, directory)
        files = secretfiles.paths(found, directory)
        for file in files.values():
            # Whoever is the user in the container may read it; here its directory lets nobody but the caller in.
            file.chmod(0o444)
        return [Mount(file, f"/run/secrets/{name}", readonly=True, relabel="private") for name, file in files.items()]

    def _absolute(self, mount: Mount) -> Mount:
        source = os.path.abspath(self.project.root / os.path.expanduser(mount.source))
        return replace(mount, source=source)
