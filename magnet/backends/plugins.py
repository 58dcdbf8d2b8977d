"""Backends of other packages: the entry points of the group `magnet.backends`.

`importlib.metadata` costs 15 to 40 ms, more with many packages, so that nothing here is asked while a backend of
magnet's own is meant or found.
"""

import re
from typing import TYPE_CHECKING, TypeVar

from magnet.errors import EngineError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Kind = TypeVar("Kind")

GROUP = "magnet.backends"
"""The group of entry points; the name of each is its backend's, the value is `module:class`."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def names() -> tuple[str, ...]:
    """The names of the backends that other packages have, in order; some of them may turn out to be broken."""
    return tuple(sorted({point.name for point in _points()}))


def packages(name: str) -> str:
    """The packages that have a backend of that name."""
    return " and ".join(sorted({_package(point) for point in _points() if point.name == name}))


def load(name: str, kind: type[Kind]) -> type[Kind]:
    """The class of the backend of that name, a kind of Backend; EngineError where it cannot be used, and why not."""
    points = [point for point in _points() if point.name == name]
    if len({point.value for point in points}) != 1:
        raise EngineError(
            f"more than one package has a backend `{name}`: {packages(name)}", hint="uninstall all but one of them"
        )
    what = f"the backend `{name}` of {packages(name)}"
    hint = f"it is `{points[0].value}`; mend or uninstall the package"
    try:
        loaded = points[0].load()
    except Exception as error:  # whatever the package does when it is imported
        raise EngineError(f"{what} cannot be loaded: {type(error).__name__}: {error}", hint=hint) from error
    if not (isinstance(loaded, type) and issubclass(loaded, kind)):
        raise EngineError(f"{what} is no subclass of magnet.backends.api.Backend", hint=hint)
    if missing := sorted(getattr(loaded, "__abstractmethods__", ())):
        raise EngineError(f"{what} does not define {', '.join(missing)}", hint=hint)
    if getattr(loaded, "name", None) != name or not _NAME.fullmatch(name):
        known_as = repr(getattr(loaded, "name", None))
        raise EngineError(
            f"{what} has the name {known_as}",
            hint="it has to be that of its entry point, in small letters, digits, `-`, `_` and `.`",
        )
    return loaded


def _points() -> "tuple[EntryPoint, ...]":
    from importlib.metadata import entry_points  # see above

    return tuple(entry_points(group=GROUP))


def _package(point: "EntryPoint") -> str:
    return point.dist.name if point.dist else "an unknown package"
