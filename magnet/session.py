"""What all targets of one run share."""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from magnet.backends import choose
from magnet.buildfile import Call
from magnet.events import Clock, SolveStatus
from magnet.model import EMPTY, Project
from magnet.process import Children

if TYPE_CHECKING:
    from magnet.backends.base import Backend
    from magnet.container import Started
    from magnet.downloads.fetching import Downloads
    from magnet.index import FileIndex
    from magnet.questions import Question
    from magnet.watch import Watch
    from magnet.workspace import Workspace

Emit = Callable[[SolveStatus], None]


class Session:
    """What all targets of one run share. The backend is chosen when the first target asks for an engine.

    With a `question`, which goes with `dry_run`, nothing is built. `imported` are values of variables, for those that
    the environment does not have.
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
        imported: Mapping[str, str] = EMPTY,
        terminal: Callable[[str], AbstractContextManager[object]],
        backend_name: str | None = None,
        dry_run: bool = False,
        force: bool = False,
        offline: bool = False,
        question: "Question | None" = None,
        secrets: tuple[str, ...] = (),
        learn: Callable[[Iterable[str]], None] = lambda _: None,
        watch: "Watch | None" = None,
    ) -> None:
        self.project = project
        self.workspace = workspace
        self.children = children
        self.emit = emit
        self.clock = clock
        self.environ = environ
        self.imported = imported
        self.terminal = terminal
        self.backend_name = backend_name
        self.dry_run = dry_run
        self.force = force
        self.offline = offline
        self.question = question
        self.secrets = secrets
        self.watch = watch
        self._learn = learn
        self.started: list[Started] = []
        # What ends each target in a target that still runs, as canceled, by the digest of its vertex.
        self.open_children: dict[str, Callable[[], None]] = {}
        self._index: FileIndex | None = None
        self._downloads: Downloads | None = None
        self._backend: Backend | None = None
        self._numbers: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    @property
    def variables(self) -> Mapping[str, str]:
        """What the magnetfile finds the values of variables in: the environment, else what it imported."""
        return {**self.imported, **self.environ} if self.imported else self.environ

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
                make = self.watch.index if self.watch else FileIndex
                self._index = make(self.workspace.cache / "files.sqlite")
            return self._index

    def number(self, outer: str, name: str) -> int:
        """How many targets of that name there have been in a target, this one included, by the outer one's digest."""
        with self._lock:
            self._numbers[outer, name] = number = self._numbers.get((outer, name), 0) + 1
            return number

    def end_children(self) -> None:
        """End the targets in targets that still run, the latest first: as canceled."""
        for end in reversed(list(self.open_children.values())):
            end()

    def downloads(self) -> "Downloads":
        """The downloads of this run, from and into the store of the user."""
        from magnet.downloads.fetching import Downloads  # most runs have none
        from magnet.downloads.store import Store, directory

        with self._lock:
            if self._downloads is None:
                self._downloads = Downloads(
                    Store(directory(self.environ)),
                    environ=self.environ,
                    clock=self.clock,
                    offline=self.offline,
                    hide=self.hide,
                )
            return self._downloads

    def hide(self, secrets: Iterable[str]) -> None:
        """Show these values nowhere from now on, as those that are known from the start."""
        with self._lock:
            values = tuple(value for value in secrets if value and value not in self.secrets)
            self.secrets += values
        self._learn(values)

    def remove_started(self, within: Children | None = None, *, kept: bool = False) -> None:
        """Remove the containers that targets started and that are still there, the latest first.

        These are all, or those that were started `within` these children; with `kept` also those that are to be kept.
        """
        for one in reversed(self.started):
            if within in (None, one.shell.children) and (kept or not one.keep):
                one.remove(one.shell)

    def remove_leftovers(self) -> None:
        """Remove the containers of this run that an interrupt left."""
        if self._backend is not None:
            self._backend.remove_containers(self.workspace.run_id)


def digest(project: str, call: Call[Any]) -> str:
    """The digest of a call's vertex: of the project's name, the target's and its arguments, and nothing else."""
    identity = "\0".join((project, call.key))
    return f"blake3:{blake3(identity.encode(errors='surrogateescape')).hexdigest()}"
