"""What the text of a variable is converted to, and what is said of a text that cannot be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from magnet.errors import MagnetfileError, did_you_mean
from magnet.values import frozen


@frozen
class Kind:
    """A type of values: its name, what a text is that has such a value, and the value of a text.

    `convert` raises ValueError for other texts. An empty text is a value of no type but str.
    """

    name: str
    what: str
    convert: Callable[[str], Any]


def _to_bool(text: str) -> bool:
    if text.lower() in ("1", "true", "t", "yes", "y", "on"):
        return True
    if text.lower() in ("0", "false", "f", "no", "n", "off"):
        return False
    raise ValueError


_TEXT = Kind("str", "text", str)

_KINDS = {
    str: _TEXT,
    int: Kind("int", "a whole number", int),
    float: Kind("float", "a number", float),
    bool: Kind("bool", "true or false", _to_bool),
    Path: Kind("Path", "a path", Path),
}


def kind_of(name: str, type: Callable[[str], Any] | None, default: object) -> Kind:
    """The kind of a variable that is declared with this type, or by its default alone."""
    if type is None:
        return _kind_of_default(name, default)
    if type in _KINDS:
        return _KINDS[type]
    if not callable(type):
        raise MagnetfileError(
            f"`{type!r}` is no type for `{name}`", hint="use str, int, float, bool, Path, or a function of a string"
        )
    called = getattr(type, "__name__", repr(type))
    return Kind(called, f"what `{called}` takes", type)


def _kind_of_default(name: str, default: object) -> Kind:
    if default is None:
        return _TEXT
    for known in (bool, int, float, Path, str):  # a bool is an int as well
        if isinstance(default, known):
            return _KINDS[known]
    raise MagnetfileError(
        f"the default of `{name}` is of type {type(default).__name__}",
        hint="use a str, int, float, bool or Path, or give `type=` a function that makes one of a string",
    )


def text_of(value: object) -> str:
    """A value as a text that is converted to it; "" for none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


@frozen
class Rule:
    """What values a variable may have, and whether they may be told."""

    name: str
    kind: Kind
    choices: tuple[Any, ...] = ()
    is_secret: bool = False

    def usual(self, default: object) -> Any:
        """The value where none is set; a default that is a text is converted."""
        if default is None:
            return "" if self.kind is _TEXT else None
        if isinstance(default, str):
            return self.read(default, "its default")
        return self._chosen(default, default, "its default")

    def read(self, text: str, whence: str) -> Any:
        """The value of a text, which is `whence`; MagnetfileError for one that the rule does not have."""
        if not text and self.kind is not _TEXT:
            raise self._wrong(text, whence, f"not {self.kind.what}")
        try:
            value = self.kind.convert(text)
        except (ValueError, TypeError) as error:
            own = f": {error}" if self.kind not in _KINDS.values() and str(error) and not self.is_secret else ""
            raise self._wrong(text, whence, f"not {self.kind.what}{own}") from None
        return self._chosen(value, text, whence)

    def _chosen(self, value: Any, text: object, whence: str) -> Any:
        if not self.choices or value in self.choices:
            return value
        known = [text_of(choice) for choice in self.choices]
        hint = None if self.is_secret else did_you_mean(text_of(text), known)
        raise self._wrong(text, whence, f"none of: {', '.join(known)}", hint)

    def _wrong(self, text: object, whence: str, why: str, hint: str | None = None) -> MagnetfileError:
        is_ = "has a value" if self.is_secret else f"is `{text_of(text)}`" if text != "" else "is empty"
        default = "" if whence == "its default" else f"set {self.name} to another value"
        return MagnetfileError(f"`{self.name}` {is_} ({whence}), which is {why}", hint=hint or default or None)
