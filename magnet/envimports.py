"""Values of variables from elsewhere: a target of make, a file, or a function."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import overload

from magnet.envs import Declarations, loading
from magnet.errors import MagnetfileError

PREFIX = "MAGNET_"
"""What the names begin with that `make` prints."""

NOT_FOUND = 127
"""The exit code for a program that cannot be started."""


@overload
def import_env(source: str | Path, /, *, prefix: str = "", required: bool = True) -> None: ...
@overload
def import_env(source: Callable[[], Mapping[str, str]], /, *, prefix: str = "") -> None: ...
@overload
def import_env(*, make: str, prefix: str = PREFIX) -> None: ...
def import_env(
    source: str | Path | Callable[[], Mapping[str, str]] | None = None,
    /,
    *,
    make: str | None = None,
    prefix: str | None = None,
    required: bool = True,
) -> None:
    """Give values to the variables that are declared after this with `env`, where the environment has none.

    They come from a file, `.env`, `.json` or `.toml`; from a function that returns them by name; or from what `make`
    prints for a target, a NAME=VALUE on each line. Of two imports of one name, the later one counts. With a `prefix`,
    names that do not begin with it are left out, and the others lose it. A file that is not `required` may be missing.
    """
    declarations = loading()
    if (source is None) == (make is None):
        raise MagnetfileError(
            "`import_env` imports from one thing",
            hint='name a file, a function or a target of make: import_env(".env"), import_env(make="magnet-vars")',
        )
    if not required and not isinstance(source, str | Path):
        raise MagnetfileError("only a file may be missing", hint="leave out `required=False`")
    if make is not None:
        name = f"make {make}"
        found = _from_make(make, PREFIX if prefix is None else prefix, declarations)
    elif callable(source):
        name = f"{getattr(source, '__name__', 'function')}()"
        found = _shortened(_texts(source(), f"`{name}`"), prefix)
    else:
        name = str(source)
        found = _shortened(_from_file(str(source), declarations, required=required), prefix)
    declarations.take(found, name)


def _shortened(values: Mapping[str, str], prefix: str | None) -> dict[str, str]:
    """The values whose names begin with the prefix, without it."""
    start = prefix or ""
    return {name[len(start) :]: value for name, value in values.items() if name.startswith(start) and name != start}


def _texts(values: object, where: str) -> Mapping[str, str]:
    """The values, all of which must be text, with names that a variable can have."""
    if not isinstance(values, Mapping):
        raise MagnetfileError(f"{where} gives no variables by their names, but a value of type {type(values).__name__}")
    for name, value in values.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise MagnetfileError(f"{where}: {name!r} cannot be the name of a variable")
        if not isinstance(value, str):
            raise MagnetfileError(
                f"{where}: `{name}` is of type {type(value).__name__}, and a variable has text",
                hint="put its value between quotes, or import from a function that makes text of it",
            )
        if "\0" in value:
            raise MagnetfileError(f"{where}: the value of `{name}` has a null character, which no variable can have")
    return values


# Files


def _from_file(name: str, declarations: Declarations, *, required: bool) -> Mapping[str, str]:
    read = _reader(name)
    try:
        text = (declarations.directory / name).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        if not required:
            return {}
        raise MagnetfileError(
            f"there is no file {name} to import variables from",
            hint=f"make it, or let it be missing: import_env({name!r}, required=False)",
        ) from None
    except OSError as error:
        raise MagnetfileError(f"cannot read {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MagnetfileError(f"{name} is not UTF-8", hint="save it as UTF-8") from error
    return _texts(read(text, name, declarations), name)


def _reader(name: str) -> Callable[[str, str, Declarations], object]:
    """What reads a file of that name."""
    last = Path(name).name
    if last.endswith(".env") or last.startswith(".env."):
        return _read_dotenv
    for suffix, read in ((".json", _read_json), (".toml", _read_toml)):
        if last.endswith(suffix):
            return read
    raise MagnetfileError(
        f"it is not known how variables are written in {name}",
        hint="a file is called .env, .env.NAME, NAME.env, NAME.json or NAME.toml; a function can read any other",
    )


def _read_dotenv(text: str, name: str, declarations: Declarations) -> object:
    from magnet import dotenv  # few magnetfiles import anything

    known = {known: one.value for known, one in declarations.imported.items()}
    return dotenv.parse(text, name, {**known, **declarations.environ})


def _read_json(text: str, name: str, _: Declarations) -> object:
    import json

    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise MagnetfileError(f"{name}:{error.lineno}: {error.msg}") from error


def _read_toml(text: str, name: str, _: Declarations) -> object:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MagnetfileError(f"{name}: {error}") from error


# make


def _from_make(target: str, prefix: str, declarations: Declarations) -> dict[str, str]:
    """What `make` prints for a target: the lines that begin with the prefix, each NAME=VALUE."""
    from magnet.model import Command
    from magnet.process import Completed, ask, ending

    done = ask(Command(("make", "-s", target), env=declarations.environ), cwd=declarations.directory)
    if done.returncode != 0:
        is_there = done.returncode != NOT_FOUND
        what = ending(done.returncode) if is_there else "cannot be run"
        raise MagnetfileError(
            f"`make {target}`, which variables are imported from, {what}",
            # What it printed on stdout may be secrets.
            detail=Completed(0, stderr=done.stderr).tail[-8:],
            hint="run it by hand to see what is wrong" if is_there else "install make",
        )
    found = {}
    for number, line in enumerate(done.stdout.decode(errors="surrogateescape").splitlines(), start=1):
        if line.startswith(prefix) and line.strip():
            name, equals, value = line.removeprefix(prefix).partition("=")
            if not equals or not name.isidentifier():
                raise _no_variable(target, number, prefix)
            found[name] = value
    if not found:
        raise _nothing(target, prefix)
    return found


def _no_variable(target: str, number: int, prefix: str) -> MagnetfileError:
    return MagnetfileError(
        f"line {number} of what `make {target}` prints is no {prefix}NAME=VALUE", hint=_recipe(prefix)
    )


def _nothing(target: str, prefix: str) -> MagnetfileError:
    return MagnetfileError(f"`make {target}` prints no variable, {prefix}NAME=VALUE", hint=_recipe(prefix))


def _recipe(prefix: str) -> str:
    return f"print each on a line of its own, as `@echo {prefix}VERSION=$(VERSION)` does in a Makefile"
