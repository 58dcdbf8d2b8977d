"""One call, from its first event to its last: its vertex, its needs, its body, and what became of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from blake3 import blake3

from magnet.body import Session, T
from magnet.buildfile import Call, as_call, user_frames
from magnet.errors import Canceled, MagnetError, NeedFailed
from magnet.events import SolveStatus, Vertex
from magnet.scheduler import Scheduler


@dataclass(frozen=True)
class Failure:
    """A call that failed by itself, and why."""

    call: Call[Any]
    error: MagnetError


@dataclass
class Run:
    """The calls of one run of magnet: the body that the scheduler is given, and the failures, in order."""

    session: Session
    magnetfile: Path
    jobs: int
    keep_going: bool = False
    failures: list[Failure] = field(default_factory=list)
    scheduler: Scheduler = field(init=False)
    _open: dict[str, Vertex] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.work, jobs=self.jobs, keep_going=self.keep_going)

    def work(self, call: Call[Any]) -> Any:
        """Run a call's needs and body between the first event of its vertex and the last."""
        inputs = tuple(digest(self.session.project.name, as_call(needed)) for needed in call.target.needs)
        vertex = Vertex(digest(self.session.project.name, call), call.name, inputs, started=self.session.clock())
        self._open[vertex.digest] = vertex
        self._emit(vertex)
        try:
            result, is_cached = self._body(call, vertex)
        except (NeedFailed, Canceled) as error:
            self._complete(vertex, error=str(error), canceled=True)
            raise
        except MagnetError as error:
            self.failures.append(Failure(call, error))
            self._complete(vertex, error=error.message)
            raise
        self._complete(vertex, cached=is_cached)
        return result

    def _body(self, call: Call[Any], vertex: Vertex) -> tuple[Any, bool]:
        """What the body returns, and whether all that it did was to find its builds done."""
        if self.scheduler.is_stopped:
            raise Canceled
        if call.target.needs:
            self.scheduler.need(call, call.target.needs)
        bound = call.bound()
        t = T(call, vertex, self.session, self.scheduler)
        result = _translated(lambda: call.target.function(t, *bound.args, **bound.kwargs), self.magnetfile)
        return result, t.is_cached

    def abandon(self, patience: float) -> None:
        """After an interrupt: wait some seconds for what still runs, and call the rest canceled."""
        deadline = time.monotonic() + patience
        while self._open and time.monotonic() < deadline:
            time.sleep(0.02)
        for vertex in list(self._open.values()):
            self._complete(vertex, error=str(Canceled()), canceled=True)

    def _complete(self, vertex: Vertex, *, error: str = "", canceled: bool = False, cached: bool = False) -> None:
        # Once: a body that ends after it was abandoned has nothing to add.
        if self._open.pop(vertex.digest, None) is None:
            return
        self._emit(replace(vertex, completed=self.session.clock(), error=error, canceled=canceled, cached=cached))

    def _emit(self, vertex: Vertex) -> None:
        self.session.emit(SolveStatus(vertexes=(vertex,)))


def digest(project: str, call: Call[Any]) -> str:
    """The digest of a call's vertex: of the project's name, the target's and its arguments, and nothing else."""
    identity = "\0".join((project, call.key))
    return f"blake3:{blake3(identity.encode(errors='surrogateescape')).hexdigest()}"


def _translated(body: Callable[[], Any], magnetfile: Path) -> Any:
    """What the body returns; an error of the user's own code becomes a MagnetError with the user's frames."""
    try:
        return body()
    except MagnetError:
        raise
    except SystemExit as error:
        raise MagnetError(f"it called sys.exit({error.code!r})", hint="raise an exception instead") from error
    except BaseException as error:  # asyncio's CancelledError for one is no Exception
        frames = user_frames(error, magnetfile)
        raise MagnetError(": ".join(filter(None, (type(error).__name__, str(error)))), detail=frames) from error
