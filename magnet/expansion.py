"""Variables in the words of a command: `$NAME` and `${NAME}` before the command is run, the rest for a shell.

A word is a text in which `$NAME` and `${NAME}` stand for values. `$$` before a name, `{` or `(` is one `$` that stands
for itself. All else is as it is written, for whatever program reads it: `$$` elsewhere, which is a shell's own process,
`$1`, `$?`, `$(...)`, `${NAME:-default}`. Values are not looked at again.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from magnet.errors import MagnetfileError

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_VARIABLE = rf"\$(?:(?P<name>{_NAME})|\{{(?P<braced>{_NAME})\}})"
_ESCAPED = r"(?P<escape>\$\$)(?=[A-Za-z_{(])"
_KEPT = r"\$\$"


def expand(words: Iterable[str | Path], variables: Mapping[str, str], secrets: Iterable[str] = ()) -> tuple[str, ...]:
    """The words with the values of the variables in them; MagnetfileError where one has none.

    A path is taken as it is, and so is a secret that stands in a word: what is in them was not written for this.

    >>> expand(["-o", "$OUT/${NAME}.so", "echo $$ $$OUT $1"], {"OUT": "lib", "NAME": "a"})
    ('-o', 'lib/a.so', 'echo $$ $OUT $1')
    """
    words = tuple(words)
    pattern = _pattern(secrets)
    _check_set([word for word in words if isinstance(word, str)], pattern, variables)

    def value(match: re.Match[str]) -> str:
        name = match["name"] or match["braced"]
        return variables[name] if name else "$" if match["escape"] else match[0]

    return tuple(pattern.sub(value, word) if isinstance(word, str) else str(word) for word in words)


def _pattern(secrets: Iterable[str]) -> re.Pattern[str]:
    known = map(re.escape, sorted(filter(None, secrets), key=len, reverse=True))
    return re.compile("|".join([*known, _ESCAPED, _KEPT, _VARIABLE]))


def _check_set(words: Iterable[str], pattern: re.Pattern[str], variables: Mapping[str, str]) -> None:
    used = (match["name"] or match["braced"] for word in words for match in pattern.finditer(word))
    unset = list(dict.fromkeys(name for name in used if name and name not in variables))
    if unset:
        names = ", ".join(f"`${name}`" for name in unset)
        raise MagnetfileError(
            f"the variable{'s' if unset[1:] else ''} {names} {'are' if unset[1:] else 'is'} not set",
            hint=f'give a value, as in env={{"{unset[0]}": ...}}, or write `$${unset[0]}` to leave it to the program',
        )
