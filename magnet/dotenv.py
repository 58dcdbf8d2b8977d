r"""The language of `.env` files, as docker compose reads them.

See https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/. A statement is `NAME=VALUE`;
`export` may stand before it, a comment on a line of its own or, after a blank, behind it.

| value | is |
|---|---|
| `VALUE` | the rest of the line, without the blanks around it; references are replaced |
| `"VALUE"` | also of several lines; references are replaced, as are `\n`, `\r`, `\t`, `\\`, `\"` and `\$` |
| `'VALUE'` | also of several lines, as it stands; `\'` is a quote |

References are `$NAME` and `${NAME}`, `${NAME:-default}` for what is not set or empty, `${NAME:+other}` for what is
neither, `${NAME:?message}`, and these without the colon, for which an empty value is one. `$$` is a `$`. In two things
this is stricter than compose: a reference to what is not set is an error, so that no password with a `$` in it is cut
short, and so is a name without a value, which there is a variable of the environment.
"""

import re
from collections.abc import Mapping

from magnet.errors import MagnetfileError

_NAME = "[A-Za-z_][A-Za-z0-9_.-]*"

_NOTHING = re.compile(r"(?:[^\S\n]*(?:\#[^\n]*)?\n)*[^\S\n]*(?:\#[^\n]*)?")

_STATEMENT = re.compile(
    rf"""
    (?:export[^\S\n]+)?  (?P<name>{_NAME})  [^\S\n]*=
    (?:
        [^\S\n]* (?: '(?P<single>(?:[^'\\]|\\.)*)' | "(?P<double>(?:[^"\\]|\\.)*)" ) [^\S\n]* (?:\#[^\n]*)?
        |
        (?! [^\S\n]*['"]) (?P<plain>[^\n]*)
    )
    (?:\n|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)

_QUOTED = re.compile(rf"(?:export[^\S\n]+)?{_NAME}[^\S\n]*=[^\S\n]*['\"]")

_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"

_REFERENCE = (
    rf"\$(?:(?P<dollar>\$)|(?P<bare>{_VARIABLE})"
    rf"|\{{(?P<name>{_VARIABLE})(?:(?P<operator>:?[-+?])(?P<word>[^${{}}]*))?\}}|(?P<wrong>\{{))"
)

_IN_PLAIN = re.compile(f"{_REFERENCE}|(?P<escaped>(?!))")
_IN_QUOTES = re.compile(rf"{_REFERENCE}|\\(?P<escaped>.)", re.DOTALL)

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$"}


def parse(text: str, where: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of a file whose name is `where`; of a name that is set twice, the last value.

    References are to variables of `environ`, else to those that stand before. What is wrong is a MagnetfileError that
    names the line, and never its content, which may be a secret.
    """
    text = text.replace("\r\n", "\n")
    found: dict[str, str] = {}
    position = 0
    while (position := _end(_NOTHING.match(text, position))) < len(text):
        place = f"{where}:{text.count(chr(10), 0, position) + 1}"
        statement = _STATEMENT.match(text, position)
        if statement is None:
            raise _malformed(place, text, position)
        found[statement["name"]] = _value(statement, place, {**found, **environ})
        position = statement.end()
    return found


def _end(match: "re.Match[str] | None") -> int:
    assert match, "it matches the empty text"
    return match.end()


def _malformed(place: str, text: str, position: int) -> MagnetfileError:
    if _QUOTED.match(text, position):
        return MagnetfileError(
            f"{place}: the value begins with a quote that is not closed, or something follows the closing one",
            hint="close the quote; inside of it, write the same quote with a backslash before it",
        )
    return MagnetfileError(
        f"{place}: this is no NAME=VALUE",
        hint="a name has letters, digits and underscores; a comment begins with #; a value of several lines is quoted",
    )


def _value(statement: "re.Match[str]", place: str, known: Mapping[str, str]) -> str:
    if (single := statement["single"]) is not None:
        return single.replace("\\'", "'")
    if (double := statement["double"]) is not None:
        return _replaced(double, place, known, escapes=True)
    plain = re.sub(r"[^\S\n]\#.*", "", statement["plain"])
    return _replaced(plain.strip(), place, known, escapes=False)


def _replaced(text: str, place: str, known: Mapping[str, str], *, escapes: bool) -> str:
    def replaced(match: "re.Match[str]") -> str:
        if match["escaped"]:
            return _ESCAPES.get(match["escaped"], match[0])
        if match["dollar"]:
            return "$"
        if match["wrong"]:
            raise MagnetfileError(
                f"{place}: a reference that begins with `${{` is not understood",
                hint="write ${NAME} or ${NAME:-default}; a value in single quotes is taken as it stands",
            )
        return _referred(match["bare"] or match["name"], match["operator"] or "", match["word"] or "", place, known)

    return (_IN_QUOTES if escapes else _IN_PLAIN).sub(replaced, text)


def _referred(name: str, operator: str, word: str, place: str, known: Mapping[str, str]) -> str:
    value = known.get(name)
    is_there = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("+"):
        return word if is_there else ""
    if is_there:
        return value or ""
    if operator.endswith("-"):
        return word
    raise MagnetfileError(
        f"{place}: `{name}` is {'empty' if value is not None else 'not set'}" + (f": {word}" if word else ""),
        hint=f"set it, or write ${{{name}:-}} for nothing; a value in single quotes is taken as it stands",
    )
