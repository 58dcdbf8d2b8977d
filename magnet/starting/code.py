"""Pieces of Python as a formatter would leave them."""

import re
from collections.abc import Iterable, Mapping, Sequence

WIDTH = 88
"""Where lines end: what formatters of Python have by default."""


def string(text: str) -> str:
    r"""The literal of a text, in double quotes where that needs no more escapes.

    >>> print(string("a"), string('say "a"'), string("it's \n"))
    "a" 'say "a"' "it's \n"
    """
    literal = repr(text)
    if literal.startswith('"') or '"' in text:
        return literal
    return f'"{literal[1:-1]}"'


def docstring(text: str) -> str:
    """A docstring of one line."""
    escaped = re.sub(r"\s+", " ", text).strip().replace("\\", "\\\\").replace('"', '\\"')
    return f'"""{"".join(one if one.isprintable() else " " for one in escaped)}"""'


def call(function: str, arguments: Iterable[str], *, before: str = "", indent: int = 4) -> str:
    """A call, in one line where it fits, else with a line for each argument; `before` stands before it.

    >>> print(call("t.exec", ['"go"', '"build"'], before="return "))
    return t.exec("go", "build")
    """
    return _bracketed(f"{before}{function}(", list(arguments), ")", indent)


def mapping(entries: Mapping[str, str], *, before: str = "", indent: int = 8) -> str:
    """A dictionary of pieces of code, that stands after `before`."""
    return _bracketed(f"{before}{{", [f"{string(key)}: {value}" for key, value in entries.items()], "}", indent)


def sequence(items: Sequence[str], *, before: str = "", indent: int = 8) -> str:
    """A list of pieces of code, that stands after `before`."""
    return _bracketed(f"{before}[", list(items), "]", indent)


def _bracketed(start: str, inside: list[str], end: str, indent: int) -> str:
    line = f"{start}{', '.join(inside)}{end}"
    # A comma may have to come after it.
    if "\n" not in line and len(line.replace("\0", "")) + indent < WIDTH:
        return line
    blank = " " * (indent + 4)
    return "\n".join([start, *(f"{blank}{one}," for one in inside), f"{' ' * indent}{end}"])


def identifier(text: str) -> str:
    """A name for Python that is as near to a text as can be.

    >>> identifier("build:prod"), identifier("2nd"), identifier("_a"), identifier("--")
    ('build_prod', 'target_2nd', 'a', 'target')
    """
    word = re.sub(r"\W", "_", text, flags=re.ASCII).strip("_")
    return word if re.match("[A-Za-z]", word) else "_".join(filter(None, ("target", word)))
