"""The text of a magnetfile, made of what was found."""

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from magnet.buildfile import RESERVED
from magnet.starting import code
from magnet.starting.found import Draft, Found, Variable
from magnet.values import frozen

HELLO = Found("hello", "", "", (Draft("hello", "Say hello.", ('t.print("Hello from magnet!")',), is_default=True),))
"""What is written for a directory in which nothing was found."""

_TAKEN = (*keyword.kwlist, "T", "env", "target", "str", "t", "args", "command", "stage", "name", "value")
"""What functions and constants cannot be called: it means something else in the file."""


@frozen
class Named:
    """What was found, with the names that its targets are to have."""

    found: Found
    names: tuple[str, ...]


class _Names:
    """Names, each of which is given once."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def claim(self, *wanted: str, glue: str) -> str:
        """The first that is free, or else the last with a number."""
        numbered = (f"{wanted[-1]}{glue}{number}" for number in count(2))
        name = next(name for names in (wanted, numbered) for name in names if name not in self._taken)
        self._taken.add(name)
        return name


def named(found: Sequence[Found]) -> list[Named]:
    """What was found, with names for the targets: their own, with the kind before it where that is taken."""
    names = _Names(RESERVED)

    def claim(kind: str, draft: Draft) -> str:
        plain = draft.name.replace("_", "-")  # to magnet they are the same
        return names.claim(plain, f"{kind}-{plain}", glue="-")

    return [Named(one, tuple(claim(one.kind, draft) for draft in one.drafts)) for one in found]


def text(parts: Sequence[Named]) -> str:
    """The magnetfile."""
    drafts = [draft for part in parts for draft in part.found.drafts]
    uses = {use for draft in drafts for use in draft.uses}
    names = _Names({*_TAKEN, *uses})
    functions = {name: names.claim(code.identifier(name), glue="_") for part in parts for name in part.names}
    variables = {_key(one): one for part in parts for one in part.found.variables}
    constants = {key: names.claim(code.identifier(one.name), glue="_") for key, one in variables.items()}
    head = [_imports(uses, has_variables=bool(variables))]
    if variables:
        head.append("\n".join(_variable(constants[key], one) for key, one in variables.items()))
    blocks = ["\n\n".join(head)]
    for part in parts:
        known = {one.name: constants[_key(one)] for one in part.found.variables}
        known |= {f":{draft.name}": functions[name] for name, draft in zip(part.names, part.found.drafts, strict=True)}
        blocks += [
            _target(name, functions[name], draft, known)
            for name, draft in zip(part.names, part.found.drafts, strict=True)
        ]
    blocks += [_comment(part.found) for part in parts if part.found.left_out]
    return "\n\n\n".join(blocks) + "\n"


def _key(variable: Variable) -> tuple[str, str]:
    return variable.name, variable.default


def _imports(uses: Iterable[str], *, has_variables: bool) -> str:
    names = {"T", "target", *(["env"] if has_variables else []), *uses} - {"Literal"}
    line = f"from magnet import {', '.join(sorted(names, key=_place))}"
    return f"from typing import Literal\n\n{line}" if "Literal" in uses else line


def _place(name: str) -> tuple[bool, bool, str]:
    """Where a name stands among the names of an import: constants, classes, functions."""
    return not (name.isupper() and len(name) > 1), name.islower(), name


def _variable(constant: str, variable: Variable) -> str:
    default = [code.string(variable.default)] if variable.default else []
    arguments = [code.string(variable.name), *default, f"help={code.string(variable.help)}"]
    return code.call("env", arguments, before=f"{constant} = ", indent=0)


def _target(name: str, function: str, draft: Draft, known: Mapping[str, str]) -> str:
    options = [
        *([f"name={code.string(name)}"] if function.replace("_", "-") != name else []),
        *(["default=True"] if draft.is_default else []),
    ]
    return "\n".join(
        [
            f"@target({', '.join(options)})" if options else "@target",
            f"def {function}({', '.join(filter(None, ('t: T', draft.parameters)))}) -> {draft.returns}:",
            f"    {code.docstring(draft.help)}",
            *("    " + re.sub("\0(.*?)\0", lambda match: known[match[1]], statement) for statement in draft.body),
        ]
    )


def _comment(found: Found) -> str:
    lines = [f"# Of {found.file} there is not in this file:", *(f"# - {one}" for one in found.left_out)]
    return "\n".join("".join(one if one.isprintable() else " " for one in line) for line in lines)
