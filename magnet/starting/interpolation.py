"""Values of a compose file: text, and the variables that compose puts into it.

See https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any

from magnet.starting import code
from magnet.starting.found import Variable, value_of
from magnet.values import frozen

_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<plain>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<mark>:?-)(?P<default>[^${}]*))?\})",
    re.ASCII,
)


class LeftOutError(Exception):
    """A part of the file that is not taken; `why` where there is more to say than that."""

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why


@frozen
class Text:
    """A value: literal pieces and variables."""

    parts: tuple[str | Variable, ...]

    @property
    def literal(self) -> str:
        """The text; LeftOutError where a variable would decide what is meant."""
        if any(isinstance(part, Variable) for part in self.parts):
            raise LeftOutError("as there is a variable in it")
        return "".join(map(str, self.parts))

    @property
    def code(self) -> str:
        """The value in Python."""
        pieces = []
        for is_variable, parts in groupby(self.parts, lambda part: isinstance(part, Variable)):
            if is_variable:
                pieces += [value_of(part.name) for part in parts if isinstance(part, Variable)]
            else:
                pieces.append(code.string("".join(map(str, parts))))
        return " + ".join(pieces)


class Settings:
    """The settings of a part of the file, while they are taken; `where` is that part.

    `variables` are those of the whole file, each with the one default that it has there.
    """

    def __init__(self, where: str, variables: dict[str, Variable]) -> None:
        self.where = where
        self.variables = variables
        self.left_out: list[str] = []

    def take(self, given: Mapping[Any, Any], known: Mapping[str, Callable[[Any], list[str]]]) -> list[str]:
        """The arguments that known settings come to; the others are left out, and so are those that do not fit."""
        taken: list[str] = []
        for key, value in given.items():
            try:
                if key not in known:
                    raise LeftOutError
                taken += known[key](value)
            except LeftOutError as error:
                self.leave_out(f"`{key}`", error.why)
        return taken

    def leave_out(self, what: str, why: str = "") -> None:
        """Note what is not taken."""
        self.left_out.append(", ".join(filter(None, (f"{what} of {self.where}", why))))

    def text(self, value: object) -> Text:
        """A scalar as compose understands it."""
        if isinstance(value, bool):
            return Text((str(value).lower(),))
        if not isinstance(value, str | int | float):
            raise LeftOutError
        text = Text(tuple(_parts(str(value))))
        for part in text.parts:
            if isinstance(part, Variable) and self.variables.setdefault(part.name, part) != part:
                raise LeftOutError(f"as {part.name} has another default elsewhere")
        return text


def _parts(text: str) -> Iterator[str | Variable]:
    end = 0
    for match in _VARIABLE.finditer(text):
        yield from _literal(text[end : match.start()])
        end = match.end()
        if match["dollar"]:
            yield "$"
        elif match["mark"] == "-":
            # What `env` gives is the same for a variable that is empty and one that is not set.
            raise LeftOutError(f"as of `{match[0]}`")
        else:
            yield Variable(match["plain"] or match["name"], match["default"] or "", "For the compose file")
    yield from _literal(text[end:]) if text[end:] or not end else ()


def _literal(text: str) -> Iterator[str]:
    if "$" in text:
        raise LeftOutError(f"as of `{text}`")
    if text:
        yield text


def words_of(settings: Settings, value: Any) -> list[str]:
    """The pieces of code for a list, or for a line that is split as a shell does."""
    from shlex import split

    if isinstance(value, list):
        return [settings.text(one).code for one in value]
    try:
        return list(map(code.string, split(settings.text(value).literal)))
    except ValueError as error:
        raise LeftOutError(f"as it cannot be split into words: {error}") from error


def pairs_of(settings: Settings, value: Any, what: str) -> dict[str, str]:
    """Names and the code of their values, which compose takes as a mapping or as a list.

    One without a value would have that of the environment, and not be there where that has none; it is left out.
    """
    if isinstance(value, dict):
        pairs = [(str(key), one) for key, one in value.items()]
    else:
        split = (str(one).partition("=") for one in list_of(value))
        pairs = [(name, text if equals else None) for name, equals, text in split]
    for name, one in pairs:
        if one is None:
            settings.leave_out(f"`{name}` in `{what}`", "which has no value there")
    return {name: settings.text(one).code for name, one in pairs if one is not None}


def list_of(value: Any) -> list[Any]:
    """The items of a list, or the one that stands for a list of one."""
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return [value]
    raise LeftOutError
