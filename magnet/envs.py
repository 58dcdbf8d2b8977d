"""Environment variables that a magnetfile declares."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from magnet.values import frozen


@frozen
class Variable:
    """A declared environment variable, and the value that this run gives it."""

    name: str
    value: str
    default: str
    help: str
    is_secret: bool = False


class Declarations:
    """The variables that a magnetfile declares while it is loaded, by name, and where their values come from."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.variables: dict[str, Variable] = {}


_current: ContextVar[Declarations | None] = ContextVar("declarations", default=None)


def env(name: str, default: str = "", *, help: str = "", secret: bool = False) -> str:
    """The value of an environment variable, or `default` where it is not set.

    A variable that a magnetfile declares so is listed by `magnet --list`. The value of a `secret` one is shown as `***`
    wherever it would be seen: on the terminal, in logs, in events and in errors.
    """
    declarations = _current.get()
    environ = os.environ if declarations is None else declarations.environ
    variable = Variable(name, environ.get(name, default), default, help, secret)
    if declarations is not None:
        declarations.variables[name] = variable
    return variable.value


@contextmanager
def declaring(environ: Mapping[str, str]) -> Iterator[Declarations]:
    """Collect what `env` declares within the block, with values from `environ`."""
    declarations = Declarations(environ)
    token = _current.set(declarations)
    try:
        yield declarations
    finally:
        _current.reset(token)
