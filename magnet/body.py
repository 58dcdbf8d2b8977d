"""`t`: what the body of a target can do."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from magnet.buildfile import Call, Needed, Target, calls_of, is_matrix
from magnet.events import Vertex
from magnet.imaging import Imaging
from magnet.launching import Launching
from magnet.session import Session

if TYPE_CHECKING:
    from magnet.process import Children

R1 = TypeVar("R1")
R2 = TypeVar("R2")
R3 = TypeVar("R3")

Need = Callable[[Call[Any], Iterable[Needed]], list[Any]]
"""Runs what a running call needs, and returns their results in order."""


class T(Imaging, Launching):
    """A running target, as its body sees it.

    Paths that a body gives are relative to the magnetfile's directory. What it prints, and what its commands
    print, goes into the target's log and display.
    """

    def __init__(
        self, call: Call[Any], vertex: Vertex, session: Session, need: Need, children: "Children | None" = None
    ) -> None:
        super().__init__(call, vertex, session, children)
        self._need = need

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

    def _mine(self, result: Any) -> Any:
        """What a target returned; what is done with a container that it started is told in this target's log."""
        if not self._session.started:
            return result
        from magnet.container import Container

        if type(result) is tuple:
            return tuple(map(self._mine, result))
        return result.used_by(self._shell) if isinstance(result, Container) else result
