"""`t`: what the body of a target can do."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from magnet.buildfile import Call, Needed, Target, as_call, calls_of, is_matrix
from magnet.downloading import Downloading
from magnet.events import Vertex
from magnet.imaging import Imaging
from magnet.launching import Launching
from magnet.session import Session, digest

if TYPE_CHECKING:
    from magnet.nesting import Opening, WaitFor
    from magnet.process import Children
    from magnet.toolchains.cargo import Cargo
    from magnet.toolchains.go import Go
    from magnet.toolchains.node import Node
    from magnet.toolchains.python import Python

R1 = TypeVar("R1")
R2 = TypeVar("R2")
R3 = TypeVar("R3")

Need = Callable[[Call[Any], Iterable[Needed]], list[Any]]
"""Runs what a running call needs, and returns their results in order."""


class T(Imaging, Launching, Downloading):
    """A running target, as its body sees it.

    Paths that a body gives are relative to the magnetfile's directory. What it prints, and what its commands
    print, goes into the target's log and display.
    """

    def __init__(
        self, call: Call[Any], vertex: Vertex, session: Session, need: Need, children: "Children | None" = None
    ) -> None:
        super().__init__(call, vertex, session, children)
        self._need = need

    # Imported when asked for: few targets compile anything themselves.

    @property
    def go(self) -> "Go":
        """Go of this machine; `t.go(image=...)` is that of an image."""
        from magnet.toolchains.go import Go

        return Go(self)

    @property
    def python(self) -> "Python":
        """Python of this machine; `t.python(image=...)` is that of an image."""
        from magnet.toolchains.python import Python

        return Python(self)

    @property
    def node(self) -> "Node":
        """Node.js of this machine; `t.node(image=...)` is that of an image."""
        from magnet.toolchains.node import Node

        return Node(self)

    @property
    def cargo(self) -> "Cargo":
        """Rust's cargo of this machine; `t.cargo(image=...)` is that of an image."""
        from magnet.toolchains.cargo import Cargo

        return Cargo(self)

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

        Each runs at most once in a run of magnet for the same arguments. One with a matrix returns a tuple with the
        results of its combinations, one that is skipped None. Raises NeedFailed when one fails.
        """
        groups = [calls_of(one) for one in needed]
        made = iter(list(map(self._mine, self._need(self._call, [call for calls in groups for call in calls]))))
        results = [
            tuple(next(made) for _ in calls) if is_matrix(one) else next(made)
            for one, calls in zip(needed, groups, strict=True)
        ]
        return results[0] if len(results) == 1 else tuple(results)

    def target(self, name: str) -> "Opening[Self]":
        """A target in this one, for the length of a block: `with t.target("linux") as child:`.

        It has a row and a log of its own, and can do what this one can: from `child.print` to `child.target`. It fails
        with the exception that leaves its block, and so does this one, unless its body catches that. Blocks may be in
        several threads. MagnetfileError for a name that is empty or longer than a line.
        """
        from magnet.nesting import Opening  # most targets have none in them

        return Opening(self, name, self._make_child)

    def _make_child(self, vertex: Vertex, wait_for: "WaitFor") -> Self:
        def need(call: Call[Any], needed: Iterable[Needed]) -> list[Any]:
            wanted = list(needed)
            wait_for(digest(self.project.name, as_call(one)) for one in wanted)
            return self._need(call, wanted)

        return type(self)(self._call, vertex, self._session, need, self._children)

    def _mine(self, result: Any) -> Any:
        """What a target returned; what is done with a container that it started is told in this target's log."""
        if not self._session.started:
            return result
        from magnet.container import Container

        if type(result) is tuple:
            return tuple(map(self._mine, result))
        return result.used_by(self._shell) if isinstance(result, Container) else result
