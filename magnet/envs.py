"""Environment variables that a magnetfile declares: where their values come from, and what is not usable among them."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

from magnet.errors import MagnetfileError, UsageError
from magnet.kinds import Rule, kind_of, text_of
from magnet.values import frozen

ENVIRONMENT = "environment"
DEFAULT = "default"
"""Sources of values, beside those that are imported, which are called by what they are imported from."""

V = TypeVar("V")
D = TypeVar("D", bool, int, float, Path)


@frozen
class Variable:
    """A declared environment variable, and the value that this run gives it, both as text.

    `source` is where the value comes from; "" where there is none. `hidden` are the texts that would tell a secret.
    """

    name: str
    value: str
    default: str
    help: str
    is_secret: bool = False
    source: str = ""
    type: str = "str"
    choices: tuple[str, ...] = ()
    is_required: bool = False
    hidden: tuple[str, ...] = ()

    @property
    def is_missing(self) -> bool:
        """Whether it has no value, and no target can run without one."""
        return self.is_required and not self.value


@frozen
class Imported:
    """A value that was imported, and from where."""

    value: str
    source: str


class Declarations:
    """The variables that a magnetfile declares while it is loaded, by name, and where their values come from."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self.environ = environ
        self.directory = directory
        self.imported: dict[str, Imported] = {}
        self.variables: dict[str, Variable] = {}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that are to be seen nowhere."""
        return secret_values(self.variables.values())

    def find(self, name: str) -> Imported | None:
        """The value of a variable, if it has one: that of the environment, else the one that was imported last."""
        value = self.environ.get(name)
        return self.imported.get(name) if value is None else Imported(value, ENVIRONMENT)

    def declare(self, variable: Variable) -> None:
        """Keep a declaration; MagnetfileError where it contradicts an earlier one."""
        if self.variables.setdefault(variable.name, variable) != variable:
            raise MagnetfileError(
                f"`{variable.name}` is declared twice, in different ways",
                hint="declare it once, and import what `env` returned where it is needed",
            )

    def take(self, values: Mapping[str, str], source: str) -> None:
        """Keep what was imported; MagnetfileError where a variable was declared without it."""
        for name in values:
            if name in self.variables:
                raise MagnetfileError(
                    f"`{name}` is imported from {source} after it was declared",
                    hint=f'put `import_env` above `env("{name}")`, which would not have its value',
                )
        self.imported |= {name: Imported(value, source) for name, value in values.items()}


_current: ContextVar["Declarations | Literal['closed'] | None"] = ContextVar("declarations", default=None)


@overload
def env(
    name: str,
    default: str = "",
    *,
    help: str = "",
    secret: bool = False,
    type: type[str] = str,
    choices: Iterable[str] = (),
    required: bool = False,
) -> str: ...
@overload
def env(name: str, default: D, *, help: str = "", secret: bool = False, choices: Iterable[D] = ()) -> D: ...
@overload
def env(
    name: str,
    default: V | str,
    *,
    help: str = "",
    secret: bool = False,
    type: Callable[[str], V],
    choices: Iterable[V] = (),
) -> V: ...
@overload
def env(
    name: str,
    *,
    help: str = "",
    secret: bool = False,
    type: Callable[[str], V],
    choices: Iterable[V] = (),
    required: Literal[True],
) -> V: ...
@overload
def env(
    name: str,
    *,
    help: str = "",
    secret: bool = False,
    type: Callable[[str], V],
    choices: Iterable[V] = (),
    required: Literal[False] = False,
) -> V | None: ...
def env(
    name: str,
    default: Any = None,
    *,
    help: str = "",
    secret: bool = False,
    type: Callable[[str], Any] | None = None,
    choices: Iterable[Any] = (),
    required: bool = False,
) -> Any:
    """The value of an environment variable, else the one that `import_env` found, else `default`.

    A variable that a magnetfile declares so is shown by `magnet envs` and `magnet --list`. The value of a `secret` one
    is shown as `***` wherever it would be seen: on the terminal, in logs, in events and in errors.

    The value is converted by `type`: str, int, float, bool, Path, or a function that raises ValueError for what it does
    not take; without one by the default's. It must be one of the `choices`, where there are any. Without a value and a
    default it is "" for str, and None for other types. With `required`, no target runs without a value.
    """
    _check_name(name)
    if required and default is not None:
        raise MagnetfileError(f"`{name}` is required, and has a default", hint="leave out one of them")
    declarations = _declarations(name)
    found = declarations.find(name)
    if required and found and not found.value:
        found = None
    rule = Rule(name, kind_of(name, type, default), tuple(choices), secret)
    usual = rule.usual(default)
    value = usual if found is None else rule.read(found.value, f"from {_told(found.source)}")
    text = text_of(default) if found is None else found.value
    declarations.declare(
        Variable(
            name=name,
            value=text,
            default=text_of(default),
            help=help,
            is_secret=secret,
            source=found.source if found else "" if default is None else DEFAULT,
            type=rule.kind.name,
            choices=tuple(map(text_of, rule.choices)),
            is_required=required,
            hidden=tuple(dict.fromkeys((text, str(value)))) if secret and text else (),
        )
    )
    return value


def _check_name(name: str) -> None:
    if not name or "=" in name or "\0" in name:
        raise MagnetfileError(f"`{name}` cannot be the name of a variable", hint="use letters, digits and underscores")


def _told(source: str) -> str:
    return "the environment" if source == ENVIRONMENT else source


def _declarations(name: str) -> Declarations:
    """Those of the magnetfile that is loaded now; outside of magnet, as in a project's own tests, none is kept."""
    current = _current.get()
    if current == "closed":
        raise MagnetfileError(
            f"`{name}` is declared while a target runs",
            hint="call `env` at the top of the magnetfile: there it is listed, imported, and hidden if it is secret",
        )
    return Declarations(os.environ, Path.cwd()) if current is None else current


def loading() -> Declarations:
    """The declarations of the magnetfile that is loaded now; MagnetfileError where none is."""
    current = _current.get()
    if not isinstance(current, Declarations):
        raise MagnetfileError(
            "`import_env` is called while no magnetfile is loaded",
            hint="call it at the top level of the magnetfile, above the first `env`",
        )
    return current


def secret_values(variables: Iterable[Variable]) -> tuple[str, ...]:
    """The values that are to be seen nowhere."""
    return tuple(text for one in variables for text in one.hidden)


def check_required(variables: Iterable[Variable]) -> None:
    """Raise UsageError where a variable that is required has no value."""
    missing = [one for one in variables if one.is_missing]
    if missing:
        names = ", ".join(f"`{one.name}`" for one in missing)
        raise UsageError(
            f"{names} {'is' if len(missing) == 1 else 'are'} required, and not set",
            detail=[f"{one.name}: {one.help}" for one in missing if one.help],
            hint=f"{' '.join(f'{one.name}=...' for one in missing)} magnet ...; `magnet envs` shows all variables",
        )


@contextmanager
def declaring(environ: Mapping[str, str], directory: Path) -> Iterator[Declarations]:
    """Collect what `env` declares within the block, with values from `environ`, and imports relative to `directory`."""
    declarations = Declarations(environ, directory)
    token = _current.set(declarations)
    try:
        yield declarations
    finally:
        _current.reset(token)


@contextmanager
def closed() -> Iterator[None]:
    """Let nothing be declared within the block, in which a target runs."""
    token = _current.set("closed")
    try:
        yield
    finally:
        _current.reset(token)
