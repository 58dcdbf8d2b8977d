"""One call, from its first event to its last: its vertex, its needs, its body, and what became of it."""

import io
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from magnet.acting import Acting, Blamed, blamed, end_children
from magnet.body import T
from magnet.buildfile import Call, Needed, as_call, user_frames
from magnet.envs import closed
from magnet.errors import Canceled, MagnetError, NeedFailed, TimedOut, message_of
from magnet.events import SolveStatus, Vertex, VertexLog
from magnet.model import Project
from magnet.scheduler import Scheduler
from magnet.session import Session
from magnet.session import digest as digest
from magnet.values import frozen, replace

if TYPE_CHECKING:
    from magnet.attempts import Attempt
    from magnet.envs import Variable
    from magnet.logs import Keep, LogFiles

    # A run in which nothing can be skipped does without.
    from magnet.skipping import Again, Hit, Look, Need, Skipper


K = TypeVar("K", bound=T)

SKIPPED = "skipped"
"""What a target that is skipped comes to for those who need it: it changed nothing."""

Outcome = tuple[Any, bool, int | None]
"""What a call returns, whether it was done before, and the nanoseconds that it took then, where they are known."""


@frozen
class Failure:
    """A call that failed by itself, and why; `child` is the target in it in which that came up, if it was in one."""

    call: Call[Any]
    error: MagnetError
    child: Blamed | None = None


class Run:
    """The calls of one run of magnet: the body that the scheduler is given, and the failures, in order.

    `variables` are those that the magnetfile declares; it was loaded at `loaded` or later, in nanoseconds since 1970.
    """

    def __init__(
        self,
        session: Session,
        magnetfile: Path,
        *,
        jobs: int,
        keep_going: bool = False,
        variables: "Sequence[Variable]" = (),
        loaded: int = 0,
        logs: "LogFiles | None" = None,
    ) -> None:
        self.session = session
        self.magnetfile = magnetfile
        self.failures: list[Failure] = []
        self.scheduler = (
            Scheduler(self.work, jobs=jobs, keep_going=keep_going or session.question is not None)
            if session.dry_run or session.force
            else Scheduler(
                self.work,
                jobs=jobs,
                keep_going=keep_going,
                ready=self.ready,
                expect=None if session.watch else self.expect,  # each input is to be looked at by itself
            )
        )
        self._open: dict[str, Vertex] = {}
        self._variables = variables
        self._loaded = loaded
        self._logs = logs
        self._children: dict[str, Blamed | None] = {}
        self._results: dict[str, str | None] = {}
        self._not_in_place: set[str] = set()
        self._known_skipper: Skipper | None = None
        self._lock = threading.Lock()

    def expect(self, calls: list[Call[Any]]) -> Callable[[], None]:
        """Prepare for a look at many calls that can be skipped; what is returned is called after it."""
        return self._skipper.expect(calls) if calls else lambda: None

    def ready(self, call: Call[Any], values: list[Any]) -> tuple[Any] | None:
        """What a call returns of which nothing changed, and whose outputs are in place."""
        started = self.session.clock()
        try:
            again = self._skipper.ready(call, lambda: self._needs(call, values))
        except MagnetError:
            return None  # it is told when the call is run
        if again is None:
            return None
        vertex = self._vertex(call, started)
        result, *_ = self._skipped(call, again, vertex)
        completed = replace(vertex, completed=self.session.clock(), cached=True, took=again.took)
        self.session.emit(SolveStatus(vertexes=(vertex, completed)))
        return (result,)

    def work(self, call: Call[Any]) -> Any:
        """Run a call's needs and body between the first event of its vertex and the last."""
        vertex = self._vertex(call, self.session.clock())
        self._open[vertex.digest] = vertex
        self._emit(vertex)
        try:
            if why := self._why_skipped(call):
                self._leave_out(call, vertex, why)
                return None
            result, is_cached, took = self._body(call, vertex)
        except (NeedFailed, Canceled) as error:
            self._complete(vertex, error=str(error), canceled=True)
            raise
        except MagnetError as error:
            child = self._children.pop(call.key, None)
            self.failures.append(Failure(call, error, child))
            self._complete(vertex, error=child.said if child else error.message)
            raise
        self._complete(vertex, cached=is_cached, took=took)
        return result

    def need(self, call: Call[Any], needed: Iterable[Needed]) -> list[Any]:
        """Run what a running call needs, and return their results; its vertex tells what it waits for."""
        wanted = list(needed)
        self._wait_for(call, (digest(self.session.project.name, as_call(one)) for one in wanted))
        return self.scheduler.need(call, wanted)

    def _wait_for(self, call: Call[Any], inputs: Iterable[str]) -> None:
        with self._lock:  # targets in the call may do so at the same time
            self._note_inputs(digest(self.session.project.name, call), inputs)

    def _note_inputs(self, waiting: str, inputs: Iterable[str]) -> None:
        vertex = self._open.get(waiting)
        if vertex and (more := [one for one in inputs if one not in vertex.inputs]):
            self._open[vertex.digest] = replace(vertex, inputs=(*vertex.inputs, *dict.fromkeys(more)))
            self._emit(self._open[vertex.digest])

    def _vertex(self, call: Call[Any], started: int) -> Vertex:
        inputs = tuple(digest(self.session.project.name, as_call(needed)) for needed in call.target.needs)
        return Vertex(digest(self.session.project.name, call), call.name, inputs, started=started)

    def _body(self, call: Call[Any], vertex: Vertex) -> Outcome:
        """What the body returns, and whether all that it did was to find its builds done."""
        if call.target.is_skippable and self.session.dry_run:
            return self._only_asked(call, vertex)
        values = self.need(call, call.target.needs) if call.target.needs else []
        if call.target.is_skippable:
            return self._skip_or_run(call, vertex, values)
        made, t = self._call(call, vertex, T)
        return made, t.is_cached, t.took

    def _call(self, call: Call[Any], vertex: Vertex, kind: type[K]) -> tuple[Any, K]:
        """What the body returns, and the `t` that it was given, the last one where there were several tries."""
        policy = call.target.policy
        if self.session.dry_run or (policy.timeout is None and not policy.retries):
            t = kind(call, vertex, self.session, self.need)
            return self._run_body(call, t, t), t
        from magnet.attempts import attempt  # costs 3 ms, and most targets have no such policy

        def once(this: "Attempt") -> tuple[Any, K]:
            t = kind(call, vertex, self.session, this.need(self.need), this.children)
            try:
                return this.run(t, lambda seen: self._run_body(call, t, seen)), t
            except TimedOut:
                if this.is_over:
                    self._children.pop(call.key, None)  # whatever ran then, it is not to blame
                raise

        return attempt(policy, self.session, once, lambda line: self._say(vertex, line))

    def _run_body(self, call: Call[Any], t: T, seen: Any) -> Any:
        """What the body returns, which sees `t` as it is or as one with a limit."""

        def body() -> Any:
            try:
                return t.and_its_downloads(lambda: call.run(seen))
            except BaseException as error:
                self._children[call.key] = blamed(t, error)
                raise
            finally:
                end_children(t)

        with closed():
            return _translated(body, self.magnetfile)

    # Calls that are not to run here and now

    def _why_skipped(self, call: Call[Any]) -> str:
        """Why a call is not to run; nothing if it is. Canceled where nothing new is to run."""
        if self.scheduler.is_stopped:
            raise Canceled
        policy = call.target.policy
        if not policy.may_skip:
            return ""
        with closed():
            why: str = _translated(policy.why_skipped, self.magnetfile)
        return why

    def _leave_out(self, call: Call[Any], vertex: Vertex, why: str) -> None:
        self._results[call.key] = SKIPPED
        if question := self.session.question:
            question.leave_out(call.name, why)
        elif self.session.dry_run:
            self._say(vertex, f"# Skipped: {why}.")
        self._complete(vertex, skipped=why)

    # Calls that can be skipped

    def _skip_or_run(self, call: Call[Any], vertex: Vertex, values: list[Any]) -> Outcome:
        """What the call returns, and whether its body was left out."""
        t = _Watched(call, vertex, self.session, self.need)
        look = self._skipper.look(call, self._needs(call, values))
        found = self._find(look, t)
        if found and found.is_in_place:
            return self._skipped(call, found.again, vertex)
        with ExitStack() as claim:
            claim.enter_context(self._skipper.claim(look, lambda: self.session.children.is_stopping))
            # Another magnet may have done it meanwhile, whether or not it had to be waited for.
            found = self._find(look, t)
            if found and self._is_restored(found, t):
                return self._skipped(call, found.again, vertex)
            return (*self._run(look, vertex, claim), None)

    def _find(self, look: "Look", t: T) -> "Hit | None":
        found = "" if self.session.force else self._skipper.find(look, t.inspect)
        return None if isinstance(found, str) else found

    def _is_restored(self, hit: "Hit", t: T) -> bool:
        from magnet.outputs import Lost

        try:
            self._skipper.restore(hit)
        except Lost as error:
            t.print(f"The outputs cannot be put back: {error}.")
            return False
        return True

    def _skipped(self, call: Call[Any], again: "Again", vertex: Vertex) -> Outcome:
        self._results[call.key] = again.result
        if self._logs and again.log:
            self._logs.restore(vertex.digest, again.log)
        return again.value, True, again.took

    def _run(self, look: "Look", vertex: Vertex, claim: ExitStack) -> tuple[Any, bool]:
        """Run the body, and keep what came of it, if that can be; the claim is held until it is kept."""
        call = look.call
        began = self.session.clock()
        made, t = self._call(call, vertex, _Watched)
        took = self.session.clock() - began
        declared = {as_call(needed).key for needed in call.target.needs}
        undeclared = [name for key, name in self.scheduler.needed(call).items() if key not in declared]
        success = self._skipper.succeeded(look, made, asked_version=t.asked_version, undeclared=undeclared, took=took)
        if success.why_not:
            t.print(f"It cannot be skipped the next time: {success.why_not}.")
        self._results[call.key] = success.result
        if success.save:
            self._keep(success.save, vertex, claim.pop_all())
        return made, t.is_set_cached

    def _keep(self, save: "Keep", vertex: Vertex, claim: ExitStack) -> None:
        def save_claimed(log: BinaryIO, size: int) -> None:
            # Who has waited for the claim is to find the record.
            with claim:
                save(log, size)

        if self._logs:
            # What it printed is in its log, and known to be all, once it has ended.
            self._logs.keep(vertex.digest, save_claimed)
        else:
            save_claimed(io.BytesIO(), 0)

    def _only_asked(self, call: Call[Any], vertex: Vertex) -> Outcome:
        """Tell what is known of the call, and what it would run; Canceled where it is not known what it returns."""
        t = T(call, vertex, self.session, self.need)
        needs = self._needs(call, self._values_if_known(call))
        # Its inputs may be what these are still to make or to put back.
        first = next((one.name for one, result in needs if result is None or one.key in self._not_in_place), None)
        look = None if first else self._skipper.look(call, needs)
        found = self._skipper.find(look, t.inspect) if look else f"`{first}`, which it needs, comes first"
        if not isinstance(found, str):
            self._results[call.key] = found.again.result
            self._not_in_place |= set() if found.is_in_place else {call.key}
        if question := self.session.question:
            inputs = look.inputs if look else self._skipper.inputs(call)
            if question.look(t.name, self._skipper.answer(look, found), inputs):
                return self._call(call, vertex, T)[0], False, None
            if isinstance(found, str):
                raise Canceled
        elif isinstance(found, str) or self.session.force:
            return self._call(call, vertex, T)[0], False, None
        else:
            t.print("# Nothing changed." if found.is_in_place else "# Nothing changed; its outputs are put back.")
        return found.again.value, True, found.again.took

    def _values_if_known(self, call: Call[Any]) -> list[Any]:
        """What the needs of a call return, as far as a question could find it out."""
        try:
            return self.need(call, call.target.needs) if call.target.needs else []
        except NeedFailed:
            if self.session.question is None or self.failures:
                raise
            return [None] * len(call.target.needs)

    def _needs(self, call: Call[Any], values: list[Any]) -> "tuple[Need, ...]":
        """What a call needs, with the results: that of a target without inputs and outputs is what it returned."""
        calls = map(as_call, call.target.needs)
        return tuple((one, self._result(one, made)) for one, made in zip(calls, values, strict=True))

    def _result(self, call: Call[Any], made: Any) -> str | None:
        if call.target.is_skippable or call.key in self._results:
            return self._results.get(call.key)
        return self._skipper.result(made)

    @property
    def _skipper(self) -> "Skipper":
        from magnet.skipping import Code, Skipper

        with self._lock:
            if self._known_skipper is None:
                code = Code(self.magnetfile, tuple(self._variables), self._loaded)
                self._known_skipper = Skipper(self.session, code)
            return self._known_skipper

    def abandon(self, patience: float) -> None:
        """After an interrupt: wait some seconds for what still runs, and call the rest canceled."""
        deadline = time.monotonic() + patience
        while self._open and time.monotonic() < deadline:
            time.sleep(0.02)
        self.session.end_children()
        for vertex in list(self._open.values()):
            self._complete(vertex, error=str(Canceled()), canceled=True)

    def _complete(
        self,
        vertex: Vertex,
        *,
        error: str = "",
        canceled: bool = False,
        cached: bool = False,
        took: int | None = None,
        skipped: str = "",
    ) -> None:
        # Once: a body that ends after it was abandoned has nothing to add.
        known = self._open.pop(vertex.digest, None)
        if known is None:
            return
        known = replace(known, completed=self.session.clock(), error=error, canceled=canceled)
        self._emit(replace(known, cached=cached, took=took, skipped=skipped))

    def _say(self, vertex: Vertex, line: str) -> None:
        """Print a line into the log of a target."""
        data = f"{line}\n".encode(errors="surrogateescape")
        self.session.emit(SolveStatus(logs=(VertexLog(vertex.digest, 1, data, self.session.clock()),)))

    def _emit(self, vertex: Vertex) -> None:
        self.session.emit(SolveStatus(vertexes=(vertex,)))


class _Watched(T):
    """A running target, of which it is noted whether it asks for the project's version."""

    asked_version = False

    def _absorb(self, child: Acting) -> None:
        super()._absorb(child)
        self.asked_version |= isinstance(child, _Watched) and child.asked_version

    @property
    def project(self) -> Project:
        """The project's root, name and version."""
        return _WatchedProject(self, super().project)


class _WatchedProject(Project):
    def __init__(self, watched: _Watched, project: Project) -> None:
        vars(self).update(vars(project))
        vars(self)["watched"] = watched

    def __getattribute__(self, name: str) -> Any:
        if name == "version":
            super().__getattribute__("watched").asked_version = True
        return super().__getattribute__(name)


def _translated(body: Callable[[], Any], magnetfile: Path) -> Any:
    """What the body returns; an error of the user's own code becomes a MagnetError with the user's frames."""
    try:
        return body()
    except MagnetError:
        raise
    except SystemExit as error:
        raise MagnetError(message_of(error), hint="raise an exception instead") from error
    except BaseException as error:  # asyncio's CancelledError for one is no Exception
        frames = user_frames(error, magnetfile)
        raise MagnetError(message_of(error), detail=frames) from error
