"""Frozen records: what `dataclass(frozen=True)` makes, for a fifth of what that costs at every start.

The decorator of the standard library writes and compiles six methods for each class, and imports `inspect` to do it.
Here the methods are the same for all classes.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, dataclass_transform, overload

    C = TypeVar("C")

    @overload
    def frozen(cls: type[C], /) -> type[C]: ...
    @overload
    def frozen(*, eq: bool = True) -> "Callable[[type[C]], type[C]]": ...
    @dataclass_transform(frozen_default=True)
    def frozen(*_: Any, **__: Any) -> Any:
        """See below."""
else:

    def frozen(cls=None, /, *, eq=True):
        """Make a class a record: its annotations are its fields, in order, and its attributes their defaults.

        Records are equal, and hash, by their fields; without `eq` by identity. `__post_init__` is called, if there is
        one, when the fields are set.
        """

        def decorate(cls):
            names = cls.__match_args__ = tuple(cls.__annotations__)
            own = vars(cls)
            cls._defaults = {name: own[name] for name in names if name in own}
            methods = _METHODS | (_EQUALITY if eq else {})
            for name, method in methods.items():
                if name not in own:
                    setattr(cls, name, method)
            return cls

        return decorate if cls is None else decorate(cls)


def replace(record: "C", /, **changes: object) -> "C":
    """The record with other values in some of its fields."""
    names: tuple[str, ...] = record.__match_args__  # type: ignore[attr-defined]
    return type(record)(**{name: getattr(record, name) for name in names} | changes)


def _init(self: "Any", *args: object, **kwargs: object) -> None:
    names = self.__match_args__
    if len(args) > len(names):
        raise TypeError(f"{type(self).__name__}() takes {len(names)} values, not {len(args)}")
    given = dict(zip(names, args, strict=False))
    for name in kwargs:
        if name not in names:
            raise TypeError(f"{type(self).__name__}() has no field `{name}`")
        if name in given:
            raise TypeError(f"{type(self).__name__}() got `{name}` twice")
    fields = {**self._defaults, **given, **kwargs}
    if len(fields) < len(names):
        missing = ", ".join(f"`{name}`" for name in names if name not in fields)
        raise TypeError(f"{type(self).__name__}() needs {missing}")
    vars(self).update(fields)
    if hasattr(self, "__post_init__"):
        self.__post_init__()


def _fields(record: "Any") -> tuple[object, ...]:
    own = vars(record)
    return tuple([own[name] for name in record.__match_args__])


def _repr(self: "Any") -> str:
    shown = zip(self.__match_args__, _fields(self), strict=True)
    return f"{type(self).__qualname__}({', '.join([f'{name}={field!r}' for name, field in shown])})"


def _eq(self: "Any", other: object) -> bool:
    return _fields(self) == _fields(other) if type(self) is type(other) else NotImplemented


def _hash(self: "Any") -> int:
    return hash(_fields(self))


def _refuse(self: "Any", name: str, *_: object) -> None:
    raise AttributeError(f"a {type(self).__name__} cannot be changed: make another with `replace`")


_METHODS = {"__init__": _init, "__repr__": _repr, "__setattr__": _refuse, "__delattr__": _refuse}
_EQUALITY = {"__eq__": _eq, "__hash__": _hash}
