"""A container that a target started, and what can be done with it until it is removed."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from magnet.errors import Canceled, ContainerFailed, EngineError, MagnetError, MagnetfileError
from magnet.intents import split_env
from magnet.model import Command, Executed
from magnet.process import Completed, Shell, ask, ending

if TYPE_CHECKING:
    from magnet.backends.base import Backend

LABEL = "dev.magnet.container"
"""Every container that a target starts has this label beside that of its run, with a value of its own."""

HEALTHY_WITHIN = 60.0
"""Seconds in which a container is to be healthy where nothing is said."""

_BETWEEN_CHECKS = 0.25
_LONGEST_CHECK = 30.0
_READ_ON = 10.0
"""Seconds that the log of a container has to come to its end after the container has."""


class Started:
    """The container itself, which all handles of it share."""

    def __init__(
        self,
        backend: "Backend",
        shell: Shell,
        *,
        name: str,
        image: str,
        health: tuple[str, ...] | None = None,
        secrets: Callable[[], tuple[str, ...]] = tuple,
        keep: bool = False,
    ) -> None:
        self.backend = backend
        self.name = name
        self.secrets = secrets
        self.keep = keep
        self.id = name
        self.files = ExitStack()
        self.shell = shell
        self._image = image
        self._health = health
        self._follower: threading.Thread | None = None
        self._is_removed = False
        self._lock = threading.Lock()

    def begin(self, container: str) -> None:
        """Take the id that the container was given, and let what it prints go into its target's log from now on."""
        self.id = container
        if not self.shell.dry_run and not self.keep:
            self._follower = threading.Thread(target=self._follow, name=f"log of {self.name}", daemon=True)
            self._follower.start()

    def check(self) -> None:
        """Raise MagnetfileError where the container has been removed."""
        if self._is_removed:
            raise MagnetfileError(
                f"the container `{self.name}` has been removed", hint="use it within its `with` block"
            )

    @property
    def health(self) -> tuple[str, ...]:
        """The program that tells by its exit code whether the container is healthy."""
        if self._health is None:
            image = self.backend.inspect(self._image, self.shell)
            self._health = _health_command(image.healthcheck if image else ())
        if not self._health and not self.shell.dry_run:
            raise MagnetfileError(
                f"nothing tells whether `{self.name}` is healthy: its image has no HEALTHCHECK",
                hint='give t.start a command that tells by its exit code: health="pg_isready"',
            )
        return self._health

    def read_on(self) -> None:
        """Wait until all that the container printed before it ended is in the log."""
        if self._follower is not None:
            self._follower.join(_READ_ON)

    def remove(self, shell: Shell) -> None:
        """Remove the container, running or not; once."""
        with self._lock:
            if self._is_removed:
                return
            self._is_removed = True
        shell.clean(self.backend.remove_containers_command([self.id]))
        self.read_on()
        self.files.close()

    def remove_unstarted(self, label: str) -> None:
        """Remove what an engine may have left of a container that it could not start, and no other of that name."""
        self._is_removed = True
        found = ask(self.backend.labeled_command(LABEL, label)).stdout.decode().split()
        if found:
            ask(self.backend.remove_containers_command(found))
        self.files.close()

    def _follow(self) -> None:
        command = self.backend.logs_command(self.id, follow=True)
        with suppress(MagnetError):  # the run may have been interrupted, or the engine is gone
            self.shell.children.watch(command, self.shell.write, cwd=self.shell.cwd, env=self.shell.env)


class Container:
    """A handle of a running container.

    It is removed when its `with` block ends, or else at the end of the run, however that ends; with `keep` only where
    the run was interrupted. What it prints goes into the log of the target that started it, and what is done with it
    into that of the target that does it.
    """

    def __init__(self, started: Started, shell: Shell) -> None:
        self._started = started
        self._shell = shell

    def __repr__(self) -> str:
        return f"Container({self.name!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def name(self) -> str:
        """Its name for the engine."""
        return self._started.name

    @property
    def id(self) -> str:
        """Its id for the engine; in a dry run its name."""
        return self._started.id

    def used_by(self, shell: Shell) -> "Container":
        """Another handle of it, for another target."""
        return Container(self._started, shell)

    def exec(
        self,
        *command: str | Path,
        user: str | None = None,
        env: Mapping[str, object] | None = None,
        workdir: str | None = None,
        check: bool = True,
    ) -> Executed:
        """Run a program in it to its end, and return its exit code and what it printed on stdout.

        Without `user` and `workdir` they are the container's own. Raises ContainerFailed when the exit code is not 0,
        unless `check` is False.
        """
        self._started.check()
        words = tuple(map(str, command))
        if not words:
            raise MagnetfileError("there is nothing to run", hint='as in container.exec("psql", "-c", "select 1")')
        out: list[bytes] = []
        done = self._shell.run(self._exec_command(words, user, env, workdir), write=self._collecting(out))
        code = self._code(done, workdir)
        if check and code != 0:
            raise ContainerFailed(f"`{' '.join(words)}` {ending(code)} in `{self.name}`", returncode=code)
        # Docker says there why it cannot start a program.
        is_own = not any(line.startswith(b"OCI runtime exec failed") for line in out)
        return Executed(code, b"".join(out).decode(errors="surrogateescape") if is_own else "")

    def logs(self) -> str:
        """What it has printed so far: on stdout, and then on stderr."""
        self._started.check()
        if self._shell.dry_run:
            self._shell.echo(self._backend.logs_command(self.id, follow=False))
            return ""
        answer = self._ask(self._backend.logs_command(self.id, follow=False))
        return (answer.stdout + answer.stderr).decode(errors="surrogateescape")

    def wait(self) -> int:
        """Wait until its program ends, and return its exit code."""
        self._started.check()
        said = self._must(self._backend.wait_command(self.id))
        self._started.read_on()
        return int(said.split()[-1]) if said.split() else 0

    def stop(self, timeout: int = 10) -> int:
        """Stop it: TERM, or the image's STOPSIGNAL, and after `timeout` seconds KILL. Returns its exit code."""
        self._started.check()
        self._must(self._backend.stop_command(self.id, timeout))
        self._started.read_on()
        return 0 if self._shell.dry_run else self._state()[1]

    def is_running(self) -> bool:
        """Whether its program has not ended."""
        self._started.check()
        return self._shell.dry_run or self._state()[0]

    def is_healthy(self) -> bool:
        """Whether its health check succeeds now: that of its image, or the one that it was given."""
        self._started.check()
        check = self._exec_command(self._started.health, None, None, None)
        return self._shell.dry_run or ask(check, timeout=_LONGEST_CHECK, cwd=self._shell.cwd).returncode == 0

    def wait_healthy(self, timeout: float = HEALTHY_WITHIN) -> Self:
        """Wait until its health check succeeds; ContainerFailed where it ends before that, or the seconds are over."""
        self._started.check()
        command = self._exec_command(self._started.health, None, None, None)
        self._shell.echo(command)
        if self._shell.dry_run:
            return self
        deadline = time.monotonic() + timeout
        while True:
            checked = ask(command, timeout=min(_LONGEST_CHECK, timeout), cwd=self._shell.cwd)
            if checked.returncode == 0:
                return self
            if self._shell.children.must_end:
                raise Canceled
            self._check_running()
            if time.monotonic() > deadline:
                raise ContainerFailed(
                    f"`{self.name}` was not healthy within {timeout:g} seconds",
                    returncode=checked.returncode,
                    detail=checked.tail[-8:],
                    hint="what it printed is in the log of the target that started it",
                )
            time.sleep(_BETWEEN_CHECKS)

    def remove(self) -> None:
        """Remove it, running or not."""
        self._started.remove(self._shell)

    @property
    def _backend(self) -> "Backend":
        return self._started.backend

    def _exec_command(
        self, words: Iterable[str], user: str | None, env: Mapping[str, object] | None, workdir: str | None
    ) -> Command:
        if user == "host":
            raise MagnetfileError("`host` is no user in a running container", hint='give it to t.start, as user="host"')
        public, hidden = split_env(env, self._started.secrets())
        return self._backend.exec_command(
            self.id, tuple(words), user=user, env=public, secret_env=hidden, workdir=workdir
        )

    def _collecting(self, out: list[bytes]) -> Callable[[int, bytes], None]:
        def write(stream: int, data: bytes) -> None:
            if stream == 1:
                out.append(data)
            self._shell.write(stream, data)

        return write

    def _code(self, done: Completed, workdir: str | None) -> int:
        """The exit code of a program that was to run in it; an error where it could not even be started."""
        said = " ".join(done.tail[-3:])
        if done.returncode != 0 and workdir and "chdir to cwd" in said:
            raise MagnetfileError(f"there is no directory `{workdir}` in `{self.name}`", hint="make it first")
        if done.returncode == 0 or self._shell.dry_run:
            return done.returncode
        is_missing = done.returncode in (126, 127) and ("not found" in said or "no such file" in said)
        if not is_missing:
            self._check_running()
        if done.returncode == 255 and "OCI runtime error" in said and "is a directory" in said:
            return 126  # of what is no program; podman 5 has no code of its own for this one
        return 127 if is_missing else done.returncode

    def _check_running(self) -> None:
        is_running, code = self._state()
        if not is_running:
            self._started.read_on()
            raise ContainerFailed(
                f"`{self.name}` has ended with exit code {code}",
                returncode=code,
                detail=self._ask(self._backend.logs_command(self.id, follow=False)).tail[-8:],
                hint="what it printed is in the log of the target that started it",
            )

    def _state(self) -> tuple[bool, int]:
        answer = self._ask(self._backend.state_command(self.id))
        words = answer.stdout.split()
        if answer.returncode != 0 or len(words) != 2:
            raise EngineError(
                f"{self._backend.engine} does not have the container `{self.name}` any more", detail=answer.tail[-4:]
            )
        return words[0] == b"true", int(words[1])

    def _ask(self, command: Command) -> Completed:
        return ask(command, cwd=self._shell.cwd)

    def _must(self, command: Command) -> str:
        """What a command says on stdout that is not for the log."""
        out: list[bytes] = []
        done = self._shell.run(command, write=lambda stream, data: out.append(data) if stream == 1 else None)
        if done.returncode != 0:
            raise EngineError(
                f"{self._backend.engine} could not do `{' '.join(command.argv[1:])}`", detail=done.tail[-4:]
            )
        return b"".join(out).decode()


def command_of(health: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """The program of a health check as it is given: a line for the container's shell, or words."""
    if health is None:
        return None
    return ("/bin/sh", "-c", health) if isinstance(health, str) else tuple(health)


def _health_command(test: tuple[str, ...]) -> tuple[str, ...]:
    """The program of an image's HEALTHCHECK, of which it keeps `CMD-SHELL` and a line, or `CMD` and words."""
    if test[:1] == ("CMD-SHELL",):
        return ("/bin/sh", "-c", *test[1:])
    return test[1:] if test[:1] == ("CMD",) else ()
