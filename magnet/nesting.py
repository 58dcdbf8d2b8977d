"""Targets in targets: `with t.target("name") as child:`.

A child is a vertex of its own, and a part of the target that it is in, from the beginning of its block to the end. It
can do what the outer one can, and may be in another thread.
"""

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

from blake3 import blake3

from magnet.acting import Blamed, blamed, end_children
from magnet.downloading import Downloading
from magnet.errors import Canceled, MagnetfileError, NeedFailed, message_of
from magnet.events import SolveStatus, Vertex, because
from magnet.printing import plain
from magnet.values import replace

A = TypeVar("A", bound=Downloading)

WaitFor = Callable[[Iterable[str]], None]
"""Is told of the digests of what a vertex waits for from now on."""

Make = Callable[[Vertex, WaitFor], A]
"""Makes what is used in the block of a vertex."""


class Opening(Generic[A]):
    """A target in another: it begins and ends with the `with` block, which is given what is used in it."""

    def __init__(self, outer: A, name: str, make: Make[A]) -> None:
        self._outer = outer
        self._name = _checked(name)
        self._make = make
        self._session = outer._session
        self._vertex: Vertex | None = None
        self._lock = threading.Lock()

    if not TYPE_CHECKING:  # which tells by itself

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_"):
                raise AttributeError(name)
            raise MagnetfileError(
                f"the target `{self._name}` in `{self._outer.name}` has not begun",
                hint=f'it begins with a block: with t.target("{self._name}") as child:',
            )

    def __enter__(self) -> A:
        if self._vertex:
            raise MagnetfileError(
                f"the target `{self._name}` in `{self._outer.name}` has begun already",
                hint="call t.target for each block",
            )
        if self._session.children.is_stopping:
            raise Canceled
        self._vertex = vertex = self._begun()
        self._child = child = self._make(vertex, self._wait_for)
        child._below = (*self._outer._below, self._name)
        # What its commands and containers print goes on being heard when it can no longer be used.
        child._shell = self._make(vertex, self._wait_for)._shell
        self._session.open_children[vertex.digest] = self._cancel
        self._outer._inner.append(self._end_early)
        self._emit(vertex)
        return child

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> None:
        try:
            if error is None:
                self._child.and_its_downloads(lambda: None)
            else:
                self._child.give_up_downloads()
        except BaseException as failed:
            self._end(failed)
            raise
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        child = self._child
        self._outer._inner.remove(self._end_early)
        end_children(child)
        if error is None:
            self._complete(cached=child.is_cached, took=child.took)
        elif isinstance(error, NeedFailed | Canceled):
            self._complete(error=str(error), canceled=True)
        else:
            self._complete(error=self._blame(error))
        self._outer._absorb(child)
        self._close()

    def _begun(self) -> Vertex:
        outer = self._outer._vertex.digest
        number = self._session.number(outer, self._name)
        identity = "\0".join((outer, self._name, str(number))).encode(errors="surrogateescape")
        digest = f"blake3:{blake3(identity).hexdigest()}"
        return Vertex(digest, self._name, started=self._session.clock(), parent=outer, is_child=True)

    def _blame(self, error: BaseException) -> str:
        """Let the outer target know whose the error is, and return what is told of it here."""
        child = self._child
        own = Blamed(error, child._path, child._vertex.digest, message_of(error))
        culprit = blamed(child, error) or own
        self._outer._blamed.append(replace(culprit, said=because(self._name, culprit.said)))
        return culprit.said

    def _wait_for(self, inputs: Iterable[str]) -> None:
        with self._lock:
            vertex = self._vertex
            if vertex and (more := [one for one in inputs if one not in vertex.inputs]):
                self._vertex = replace(vertex, inputs=(*vertex.inputs, *dict.fromkeys(more)))
                self._emit(self._vertex)

    def _end_early(self) -> None:
        """End what the outer target has left open."""
        if self._vertex and self._vertex.digest in self._session.open_children:
            end_children(self._child)
            self._child.give_up_downloads()
            self._cancel()
            self._outer._absorb(self._child)
            self._close()

    def _close(self) -> None:
        """Let nothing more be done with it."""
        ended = _Ended(self._name)
        vars(self._child).update(_session=ended, _shell=ended, _need=ended, set_cached=ended)

    def _cancel(self) -> None:
        self._complete(error=str(Canceled()), canceled=True)

    def _complete(
        self, *, error: str = "", canceled: bool = False, cached: bool = False, took: int | None = None
    ) -> None:
        # Once: a block that ends after it was abandoned has nothing to add.
        vertex = self._vertex
        if vertex and self._session.open_children.pop(vertex.digest, None):
            completed = self._session.clock()
            self._emit(replace(vertex, completed=completed, error=error, canceled=canceled, cached=cached, took=took))

    def _emit(self, vertex: Vertex) -> None:
        self._session.emit(SolveStatus(vertexes=(vertex,)))


class _Ended:
    """Stands where a child had what it needs to do anything: it has ended."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> NoReturn:
        self()

    def __call__(self, *_: object) -> NoReturn:
        raise MagnetfileError(
            f"the target `{self._name}` has ended: it cannot be used after its `with` block",
            hint="move what it is to do into the block",
        )


def _checked(name: str) -> str:
    """The name, if it is a line of text of which something can be seen."""
    if isinstance(name, str) and name.splitlines() == [name] and _is_text(name) and plain(name).strip():
        return name
    if isinstance(name, str) and name.strip() and name.splitlines() != [name]:
        raise MagnetfileError(
            f"the name {name!r} of a target in a target has a line break",
            hint="let it print what is more than a line: child.print(...)",
        )
    raise MagnetfileError(f"{name!r} is no name for a target in a target", hint='give it one: t.target("linux")')


def _is_text(name: str) -> bool:
    """Whether a file can hold it; bytes that are no UTF-8 are as names of files have them."""
    try:
        name.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
