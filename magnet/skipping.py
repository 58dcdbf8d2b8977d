"""Targets with inputs and outputs: skipped when nothing changed since they last succeeded.

Such a target succeeds once for a key; then its record says what it made, printed and returned. Where the record of a
key is found again, the outputs on disk are compared with it and put back where they differ, and the body does not run.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from magnet import graph, returned
from magnet.buildfile import Call, Needed, as_call
from magnet.digest import content_digest
from magnet.envs import Variable
from magnet.errors import MagnetError
from magnet.globs import NO_INPUTS, Selection
from magnet.outputs import Lost, Output, Store, keep, outputs_of, restore, told
from magnet.records import Record, open_records
from magnet.values import frozen
from magnet.workspace import BUILD_DIRECTORY

if TYPE_CHECKING:
    from magnet.building import Answer
    from magnet.index import Tree
    from magnet.session import Session

SCHEMA = "magnet target 1"
"""Changes when what keys are made of does, or what records hold."""

Need = tuple[Call[Any], str | None]
"""What a call needs, and its result, which is equal when it comes to the same; None where that is not known."""

_CLOCK = 10_000_000
"""Nanoseconds by which the clock of a file system may be behind."""


@frozen
class Code:
    """The magnetfile, and the modules that it had imported when it was loaded, which was at `loaded` or later.

    `variables` are those that it declares with `env`.
    """

    magnetfile: Path
    variables: tuple[Variable, ...] = ()
    loaded: int = 0


@frozen
class Look:
    """What decides the result of a call, as it is now.

    In the key are the target's name, its arguments, its globs, the digest of its inputs (paths, kinds, permission bits,
    contents), the magnetfile and all modules that it had imported and that belong to no installed package, the values
    of the variables that it declares, the results of the targets that are in its `needs`, and the machine's system and
    architecture. The project's version counts where the body asks for it, and modules that it imports itself.

    Left out are all other variables of the environment, installed packages, programs and what they read, the engine,
    what the magnetfile reads when it is loaded, owners and times of files.

    `unknown` says why there is no key.
    """

    call: Call[Any]
    inputs: "Tree | None"
    needs: tuple[Need, ...]
    key: str
    unknown: str = ""

    @property
    def name(self) -> str:
        """The digest of the target with its arguments."""
        return _digest(self.call.key)

    @property
    def target(self) -> str:
        """The digest of the target's name."""
        return _digest(self.call.target.name)


@frozen
class Again:
    """What a call comes to again: what it returned and printed, its result for those who need it, what it took."""

    value: Any
    log: bytes
    result: str
    took: int


@frozen
class Hit:
    """The call has succeeded with this key before.

    `outputs` is what there is of its outputs now; they are in place if that is what they were.
    """

    record: Record
    again: Again
    outputs: "Tree | None"

    @property
    def is_in_place(self) -> bool:
        """Whether nothing is to be put back."""
        return self.outputs is None or self.outputs.digest == self.record.outputs


@frozen
class Success:
    """What came of a body: its result for those who need it, if it is known, and what is left to do to keep it.

    `save` is given what the body printed: a file, and how many bytes of it.
    """

    result: str | None
    why_not: str = ""
    save: Callable[[Any, int], None] | None = None


class Skipper:
    """The calls of one run that can be skipped."""

    def __init__(self, session: "Session", code: Code) -> None:
        self._session = session
        self._root = Path(os.path.realpath(session.project.root))
        self._never = self._root / BUILD_DIRECTORY
        self._cache = session.workspace.cache
        self._index = session.index()
        self._loaded = code.loaded
        self._store = Store(self._cache / "objects")
        self._records = open_records(self._cache)
        self._code, self._stale = self._read_code([code.magnetfile, *map(Path, modules())])
        self._variables = {one.name: _digest(one.value) for one in code.variables}
        self._fetched: dict[tuple[str, str], Record] = {}
        self._recalled: dict[str, graph.Done] = {}
        self._ready: dict[str, tuple[graph.Done, list[Tree]]] = {}
        self._common = repr((SCHEMA, os.uname().sysname, os.uname().machine, self._code, self._variables))

    def expect(self, calls: Sequence[Call[Any]]) -> Callable[[], None]:
        """Find out at once what is known of many calls, each of which is then asked whether it is `ready`.

        What is returned is to be called after that: if all were, they are remembered as one graph.
        """
        known = [call for call in _closed(calls) if not self._stale]
        globs = [
            (call.key, call.target.inputs, call.target.outputs, list(map(_key, call.target.needs))) for call in known
        ]
        path = self._cache / "graphs" / _digest(repr([call.key for call in known]))[:32]
        # Any other record is reason enough to look at all of them: of one key, the last one counts.
        name = _digest(repr((self._common, globs, self._records.state())))
        recalled = graph.recall(path, name)
        self._recalled |= recalled
        if recalled:
            return lambda: None
        selections = (one for call in calls for one in (self._taken_by(call), self._made_by(call)) if one.globs)
        self._index.fetch(selection.name for selection in selections)
        self._fetched |= self._records.fetch()
        return lambda: self._remember(path, name, known)

    def ready(self, call: Call[Any], needs: Callable[[], tuple[Need, ...]]) -> Again | None:
        """What a call comes to again, if nothing changed, its outputs are in place, and no engine is to be asked."""
        if done := self._recalled.get(call.key):
            with suppress(Lost):
                log = self._store.get(done.log) if done.log else b""
                return Again(returned.read(done.value, self._root, lambda _: None), log, done.result, done.took)
        look = self.look(call, needs())
        found = self.find(look, None)
        if isinstance(found, str) or not found.is_in_place:
            return None
        if not found.record.observed:
            done = graph.Done(found.again.result, found.record.log, found.record.value, found.record.took)
            self._ready[call.key] = (done, [tree for tree in (look.inputs, found.outputs) if tree])
        return found.again

    def _remember(self, path: Path, name: str, calls: Sequence[Call[Any]]) -> None:
        if calls and all(call.key in self._ready for call in calls):
            found = {call.key: self._ready[call.key] for call in calls}
            done = {key: done for key, (done, _) in found.items()}
            graph.remember(path, name, done, (tree for _, trees in found.values() for tree in trees))

    def look(self, call: Call[Any], needs: tuple[Need, ...]) -> Look:
        """Look at the inputs of a call."""
        tree = self._inputs(call)
        target, results = call.target, [(one.key, result) for one, result in needs]
        parts = (self._common, call.key, target.inputs, target.outputs, tree and tree.digest, results)
        why = next(
            (f"it is not known what `{one.name}`, which it needs, changed" for one, known in needs if not known), ""
        )
        return Look(call, tree, needs, _digest(repr(parts)), why or self._stale)

    def find(self, look: Look, inspect: returned.Inspect | None) -> Hit | str:
        """The success of a call with this key, or why none can be had again; that is empty where there was none.

        Without `inspect`, a success that returned an image cannot be had again.
        """
        name = look.name
        # A record is taken once: who looks again does so because another magnet may have added one meanwhile.
        record = (
            None if look.unknown else self._fetched.pop((name, look.key), None) or self._records.find(name, look.key)
        )
        if record is None:
            return look.unknown
        if why := self._why_not_the_same(record):
            return why
        try:
            kept = returned.read(record.value, self._root, inspect or (lambda _: None))
            log = self._store.get(record.log) if record.log else b""
        except (returned.NotKept, Lost) as error:
            return f"{error} is not there any more" if isinstance(error, returned.NotKept) else str(error)
        outputs = self._outputs(look.call)
        again = Again(kept, log, self._result(record.outputs if outputs else look.key, kept), record.took)
        return Hit(record, again, outputs)

    def restore(self, hit: Hit) -> None:
        """Put the outputs back; Lost where that cannot be done."""
        if hit.outputs is not None:
            wanted = _listed(self._details(hit.record))
            restore(self._store, self._root, wanted, outputs_of(hit.outputs))

    @contextmanager
    def claim(self, look: Look, give_up: Callable[[], bool]) -> Iterator[None]:
        """Hold the call, so that no other run of magnet makes its outputs at the same time."""
        from magnet.cache import locked  # costs 50 ms, and what is skipped does without

        with locked(self._cache, f"target-{look.name}", give_up):
            yield

    def succeeded(self, look: Look, made: Any, *, asked_version: bool, undeclared: Sequence[str], took: int) -> Success:
        """Look at what the body made, and keep it, if it can be kept; an error if an output is missing.

        The body `took` so many nanoseconds.
        """
        outputs = self._outputs(look.call)
        self._check_outputs(look.call, outputs)
        result = None
        try:
            text = returned.written(made, self._root)
            if any(secret in text for secret in self._session.secrets):
                raise returned.NotKept("secret")
            if outputs:
                result = self._result(outputs.digest, made)  # whether or not it can be kept
            self._check(look, undeclared)
            observed = self._observed(asked_version)
            objects = self._keep(look, outputs)
        except returned.NotKept as error:
            return Success(None, f"it returns a {error}, which cannot be kept")
        except Lost as error:
            return Success(result, str(error))
        tree = outputs.digest if outputs else ""
        record = Record(look.name, look.key, look.target, 0, tree, text, observed, "", objects[0], took)
        return Success(
            self._result(tree or look.key, made), save=lambda log, size: self._save(record, objects, log, size)
        )

    def reasons(self, look: Look) -> tuple[str, ...]:
        """Why the key is not that of the last success, part by part; none if it is that."""
        last = self._records.latest(look.name, look.target)
        if last is None:
            return ("it has not succeeded before",)
        if last.key == look.key:
            return ()  # it cannot be had again: `find` says why
        from magnet.key import differences  # costs 50 ms, and only this question needs it

        try:
            parts = self._details(last)["parts"]
        except Lost as error:
            return (str(error),)
        return tuple(differences(parts, self._parts(look))) or ("nothing that is told here, but its key",)

    def answer(self, look: Look | None, found: Hit | str) -> "Answer":
        """What `find` found, as an answer to whether anything is to be done, and why."""
        from magnet.building import Answer

        if isinstance(found, Hit):
            return Answer(True, self.told(found))
        return Answer(False, tuple(filter(None, (found, *(self.reasons(look) if look else ())))))

    def inputs(self, call: Call[Any]) -> "Tree | None":
        """What there is of the inputs of a call, all of which need not be there yet."""
        if not call.target.inputs:
            return None
        selection = self._taken_by(call)
        return self._index.tree(f"{selection.name} as it is", selection.walk)

    def result(self, made: Any) -> str | None:
        """What a target without inputs and outputs comes to for those who need it: what it returned, if it did."""
        try:
            return returned.result(made, self._root) or None
        except returned.NotKept:
            return None

    def told(self, hit: Hit) -> tuple[str, ...]:
        """What must be put back, output by output."""
        if hit.outputs is None or hit.is_in_place:
            return ()
        try:
            return tuple(told(_listed(self._details(hit.record)), outputs_of(hit.outputs)))
        except Lost as error:
            return (str(error),)

    # Looking

    def _inputs(self, call: Call[Any]) -> "Tree | None":
        if not call.target.inputs:
            return None
        selection = self._taken_by(call)
        return self._index.tree(selection.name, selection.walk_all)

    def _outputs(self, call: Call[Any]) -> "Tree | None":
        if not call.target.outputs:
            return None
        selection = self._made_by(call)
        return self._index.tree(selection.name, selection.walk)

    def _taken_by(self, call: Call[Any]) -> Selection:
        own = tuple(glob for glob in call.target.outputs if not glob.startswith("!"))
        return Selection(self._root, call.target.inputs, own, NO_INPUTS, self._never)

    def _made_by(self, call: Call[Any]) -> Selection:
        return Selection(self._root, call.target.outputs, never=self._never)

    def _check_outputs(self, call: Call[Any], outputs: "Tree | None") -> None:
        for glob in self._made_by(call).unmatched(outputs.entries) if outputs else ():
            raise MagnetError(
                f"it made no `{glob}`, which is one of its outputs",
                hint="outputs are paths or globs relative to the magnetfile's directory, outside of `_build`",
            )

    def _result(self, outputs_or_key: str, made: Any) -> str:
        """What a call comes to for those who need it: its outputs, or its key where it has none; what it returned."""
        return _digest(f"{outputs_or_key} {returned.result(made, self._root)}")

    def _parts(self, look: Look) -> dict[str, Any]:
        """What decides the result of the call, as it can be told."""
        return {
            "arguments": {name: repr(value) for name, value in look.call.arguments},
            "inputs": {output.path: repr(output[1:]) for output in outputs_of(look.inputs)} if look.inputs else {},
            "globs of the inputs": list(look.call.target.inputs),
            "globs of the outputs": list(look.call.target.outputs),
            "code": self._code,
            "variables": self._variables,
            "needs": {call.name: result for call, result in look.needs},
            "system": [os.uname().sysname, os.uname().machine],
        }

    # Keeping

    def _check(self, look: Look, undeclared: Sequence[str]) -> None:
        """Lost if the success would not be that of the key."""
        if look.unknown:
            raise Lost(look.unknown)
        if undeclared:
            raise Lost(f"it needed `{undeclared[0]}`, which is not declared: @target(needs=[...])")
        try:
            now = self._inputs(look.call)
        except MagnetError as error:
            raise Lost(f"its inputs changed while it ran: {error.message}") from error
        if now and look.inputs and now.digest != look.inputs.digest:
            changed = {output.path for output in {*outputs_of(look.inputs)} ^ {*outputs_of(now)}}
            raise Lost(f"its input `{min(changed)}` changed while it ran")
        code, _ = self._read_code([self._root / name for name in self._code])
        if code != self._code:
            raise Lost("the magnetfile changed while it ran")

    def _keep(self, look: Look, tree: "Tree | None") -> list[str]:
        """Keep the outputs; the digests of all objects, that of the details first."""
        from json import dumps

        try:
            outputs = keep(self._store, tree) if tree else ()
            details = self._store.put(dumps({"outputs": outputs, "parts": self._parts(look)}).encode())
        except OSError as error:
            raise Lost(f"`{error.filename}` cannot be kept: {error.strerror}") from error
        except MagnetError as error:
            raise Lost(error.message) from error
        return [details, *(output.holds for output in outputs if output.kind == "file")]

    def _save(self, record: Record, objects: Sequence[str], log: Any, size: int) -> None:
        try:
            said = self._store.put_rest(log, size) if size else ""
        except OSError:
            return  # a full disk: it is not kept
        self._records.save(record._replace(at=time.time_ns(), log=said), [*objects, *([said] if said else [])])

    def _observed(self, asked_version: bool) -> str:
        """What the body was seen to depend on, though the key does not tell: the version, modules imported late."""
        late, stale = self._read_code(path for path in map(Path, modules()) if self._shown(path) not in self._code)
        if stale:
            raise Lost(stale)
        if not asked_version and not late:
            return ""
        from json import dumps

        return dumps({"version": self._session.project.version if asked_version else None, "modules": late})

    def _why_not_the_same(self, record: Record) -> str:
        """Why a body would not do the same again, though its key is that of the record; empty if it would."""
        if not record.observed:
            return ""
        from json import loads

        observed = loads(record.observed)
        if observed["version"] not in (None, self._session.project.version):
            return f"the project's version changed: it was {observed['version']}"
        now, stale = self._read_code(self._root / name for name in observed["modules"])
        changed = [name for name, digest in observed["modules"].items() if now.get(name) != digest]
        return stale or (f"`{changed[0]}` changed, which it imports" if changed else "")

    def _details(self, record: Record) -> dict[str, Any]:
        from json import loads

        details: dict[str, Any] = loads(self._store.get(record.details))
        return details

    # Code

    def _read_code(self, paths: Iterable[Path]) -> tuple[dict[str, str], str]:
        """The digest of each file, by the path that shows it, and which of them is not what was loaded any more."""
        found, stale = {}, ""
        for path in paths:
            try:
                if self._loaded and os.stat(path).st_ctime_ns > self._loaded - _CLOCK:
                    stale = f"`{self._shown(path)}` changed after it was loaded"
                found[self._shown(path)] = content_digest(os.fsencode(path)).hex()
            except (OSError, MagnetError):
                found[self._shown(path)] = ""
        return dict(sorted(found.items())), stale

    def _shown(self, path: Path) -> str:
        return os.path.relpath(os.path.realpath(path), self._root)


def modules() -> list[str]:
    """The files of the modules that belong to no installed package, and not to magnet."""
    installed = (f"{os.path.dirname(os.__file__)}/", f"{os.path.dirname(__file__)}/")
    files = (getattr(module, "__file__", None) for name, module in tuple(sys.modules.items()) if name != "__main__")
    return [
        file
        for file in files
        if isinstance(file, str)
        and os.path.isabs(file)
        and not file.startswith(installed)
        and "/site-packages/" not in file
        and "/dist-packages/" not in file
    ]


def _closed(calls: Iterable[Call[Any]]) -> list[Call[Any]]:
    """The calls and all that they need, without those that need what cannot be skipped, in some order, each once."""
    found: dict[str, Call[Any]] = {}
    open_: list[Call[Any]] = list(calls)
    while open_:
        call = open_.pop()
        if call.key not in found and call.target.is_skippable:
            found[call.key] = call
            open_ += map(as_call, call.target.needs)
    size = -1
    while len(found) != size:
        size = len(found)
        found = {key: call for key, call in found.items() if all(_key(one) in found for one in call.target.needs)}
    return list(found.values())


def _key(needed: Needed) -> str:
    return as_call(needed).key


def _listed(details: Mapping[str, Any]) -> list[Output]:
    return [Output(*row) for row in details["outputs"]]


def _digest(text: str) -> str:
    return blake3(text.encode("utf-8", "surrogatepass")).hexdigest()
