"""A trial of an engine: the smallest build and the smallest run, which leave nothing behind.

They go through the backend as a target's do, so that they fail where a target would. Neither needs a registry.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from magnet.backends.base import Backend
from magnet.doctor.program import smallest_program
from magnet.errors import MagnetError
from magnet.model import BuildRequest, RunRequest
from magnet.process import Children, Shell, ask
from magnet.values import frozen

PATIENCE = 60.0
"""Seconds that each part of a trial may take."""


@frozen
class Outcome:
    """Whether a part of a trial worked, and what the engine said where it did not."""

    worked: bool
    said: tuple[str, ...] = ()


@frozen
class Trial:
    """What came of a trial: of a build with a COPY, of one with a RUN, and of a container.

    None is what was not tried: nothing is, without a program for this machine, and no container without an image.
    """

    copy: Outcome | None = None
    step: Outcome | None = None
    run: Outcome | None = None

    @property
    def build(self) -> Outcome | None:
        """What came of building."""
        return self.step if self.copy and self.copy.worked else self.copy


def attempt(backend: Backend, machine: str) -> Trial:
    """Build and run with the engine, which is on a machine of this kind."""
    program = smallest_program(machine)
    if program is None:
        return Trial()
    with tempfile.TemporaryDirectory(prefix="magnet-doctor-") as directory:
        # What is new in each trial, no engine takes from its cache.
        nonce = os.urandom(8)
        context = Path(directory, "context")
        context.mkdir()
        (context / "exit").write_bytes(program + nonce)
        (context / "exit").chmod(0o755)
        return _Trying(backend, Path(directory), f"magnet-doctor-{nonce.hex()}").trial()


class _Trying:
    def __init__(self, backend: Backend, directory: Path, name: str) -> None:
        self._backend = backend
        self._directory = directory
        self._name = name
        self._reference = f"localhost/{name}:1"

    def trial(self) -> Trial:
        # Without the first step's image, a RUN that fails would leave it behind as a layer that has no name.
        with self._built("copy", "FROM scratch\nCOPY exit /exit\n", self._reference) as copy:
            if not copy.worked:
                return Trial(copy)
            with self._built(
                "step", 'FROM scratch\nCOPY exit /exit\nRUN ["/exit"]\n', f"{self._reference}-run"
            ) as step:
                return Trial(copy, step, _outcome(self._run))

    @contextmanager
    def _built(self, kind: str, dockerfile: str, reference: str) -> Iterator[Outcome]:
        """What came of a build, whose image is there within the block."""
        file = self._directory / f"{kind}.Dockerfile"
        file.write_text(dockerfile)
        request = BuildRequest(self._directory / "context", file, self._directory / f"{kind}.iid", tags=(reference,))
        try:
            yield _outcome(lambda shell: self._backend.build(request, shell))
        finally:
            ask(self._backend.remove_command(reference))

    def _run(self, shell: Shell) -> None:
        request = RunRequest(self._reference, ("/exit",))
        code = self._backend.run(request, shell, self._name, pull="never").returncode
        if code != 0:
            raise MagnetError(f"a program that does nothing ended with exit code {code}")


def _outcome(part: Callable[[Shell], object]) -> Outcome:
    """What comes of a part of a trial, which gets a second chance.

    Of two containers that begin at once, one may fail: `netavark: unable to append rule ...: iptables: No
    chain/target/match by that name` was seen, and buildah 1.28 crashes where it cannot take a network down.
    """
    first = _attempted(part)
    return first if first.worked else _attempted(part)


def _attempted(part: Callable[[Shell], object]) -> Outcome:
    """What comes of it once; what takes too long is ended."""
    children = Children()
    said: list[bytes] = []
    timer = threading.Timer(PATIENCE, children.stop)
    timer.start()
    try:
        part(_shell(children, lambda _, data: said.append(data)))
    except MagnetError as error:
        if children.is_stopping:
            return Outcome(False, (f"no end within {PATIENCE:g} seconds",))
        printed = b"".join(said).decode(errors="replace").splitlines()
        return Outcome(False, error.detail or (error.message, *printed[-4:]))
    finally:
        timer.cancel()
    return Outcome(True)


def _shell(children: Children, write: Callable[[int, bytes], None]) -> Shell:
    """Where the engine's commands run: nothing of them is shown."""
    return Shell(
        children=children,
        write=write,
        echo=lambda _: None,
        cwd=Path.cwd(),
        env=os.environ,
        terminal=nullcontext,
        vertex="doctor",
    )
