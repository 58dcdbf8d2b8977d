"""The command line: parse, wire the rooms together, report, exit."""

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magnet import buildfile
from magnet.backends import remove_containers
from magnet.buildfile import Buildfile, Call, Target, calls_of
from magnet.envs import Variable, secret_values
from magnet.errors import Finished, MagnetError, UsageError
from magnet.failures import report
from magnet.settings import NAMES, Settings, read_plain
from magnet.values import replace

if TYPE_CHECKING:
    from magnet.watch import Watch
    from magnet.watching import Start

_OWN = ("cache", "logs", "doctor", "backends", "completion", "init", "envs")
"""The commands that are not about a target, and are done here."""


def main(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do what the words say, report what went wrong, and return the exit code."""
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        if "_MAGNET_COMPLETE" in environ:
            from magnet import completing  # only a shell asks for it

            return completing.answer(environ[completing.VARIABLE], lambda file: _load(file, environ))
        return _run(_parse(words), environ)
    except MagnetError as error:
        report(error, sys.stderr)
        return error.exit_code
    except Finished as done:
        return done.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read the output has gone. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        report(MagnetError(f"{error.filename or 'output'}: {error.strerror or error}"), sys.stderr)
        return 1


def _parse(words: Sequence[str]) -> Settings:
    plain = read_plain(words)
    if plain is None:
        from magnet import commandline

        plain = commandline.read(words)
    return replace(plain, typed=tuple(words))


def _run(settings: Settings, environ: Mapping[str, str]) -> int:
    start = _start(environ) if settings.watch else None
    if settings.directory:
        try:
            os.chdir(settings.directory)
        except OSError as error:
            raise UsageError(f"cannot change to {settings.directory}: {error.strerror}") from error
    if settings.words[:1] == ("help",):
        from magnet import helpcommand  # nothing else needs it

        words = helpcommand.read(settings.words)
        if words == ("--help",):
            return _run(_parse(words), environ)
        return _run(replace(settings, words=words, directory=None), environ)
    if settings.words[:1] and settings.words[0] in _OWN and not settings.list_targets:
        return _command(settings, environ)
    if start is None:
        return _targets(settings, environ)
    if settings.list_targets:
        raise UsageError("--watch and --list cannot be had together", hint="ask one after the other")
    from magnet import watching  # few runs are watched

    once = partial(_targets, settings, environ)
    return watching.run(once, start, _magnetfile(settings.file), is_quiet=settings.progress == "quiet")


def _start(environ: Mapping[str, str]) -> "Start":
    from magnet.watching import Start

    return Start.taken(environ)


def _targets(settings: Settings, environ: Mapping[str, str], watch: "Watch | None" = None) -> int:
    """Run the targets that the words name, or list what there is; what is looked at is noted by `watch`."""
    loaded = _load(settings.file, environ)
    if settings.list_targets:
        _list(loaded)
        return 0
    if watch:
        from magnet.skipping import modules

        watch.note(map(Path, modules()))
        watch.note(loaded.path.parent / one.source for one in loaded.imported.values())
        watch.leave_out(target.outputs for target in loaded.targets)
    calls = _calls(settings.words, loaded)
    if not calls and loaded.default is None:
        if watch:
            raise UsageError("--watch needs a target", hint="`magnet --list` shows what there is")
        _list(loaded)
        return 0
    # Imported here: what only asks for the list of targets does not wait for it.
    from magnet.execution import execute

    return execute(_labelled(calls or calls_of(loaded.default)), loaded, settings, environ, watch)  # type: ignore[arg-type]


def _calls(words: Sequence[str], loaded: Buildfile) -> list[Call[Any]]:
    """The calls that the words name; where they are but names of targets without parameters, click is not needed."""
    named = [loaded.names.get(word) for word in words]
    if all(target is not None and target.takes_nothing for target in named):
        return [target() for target in named if target is not None]
    from magnet import parameters

    return parameters.parse_calls(words, _finder(loaded), NAMES, secret_values(loaded.variables))


def _command(settings: Settings, environ: Mapping[str, str]) -> int:
    """Do what is asked of magnet itself, for which no target is needed."""
    about_targets = {
        "--force": settings.force,
        "--offline": settings.offline,
        "--explain": settings.explain,
        "--files": settings.files,
        "--summary": settings.summary,
        "--trace": settings.trace,
        "--timeline": settings.timeline,
        "--watch": settings.watch,
    }
    if given_for_nothing := [f"`{option}`" for option, is_given in about_targets.items() if is_given]:
        raise UsageError(f"{given_for_nothing[0]} is about targets, and `{settings.words[0]}` is none")
    if settings.as_json and settings.words[0] in ("init", "completion"):
        raise UsageError(f"`{settings.words[0]}` has nothing to print as JSON", hint="leave out --json")
    if settings.words[0] == "init":
        from magnet import initcommand  # nor of this

        return initcommand.run(settings.words, Path.cwd(), given=settings.file, dry_run=settings.dry_run)
    if settings.words[0] == "envs":
        from magnet import envscommand  # a build needs none of it

        return envscommand.run(
            settings.words,
            lambda: _load(settings.file, environ),
            environ,
            as_json=settings.as_json,
            dry_run=settings.dry_run,
        )
    magnetfile = _magnetfile(settings.file)
    root = magnetfile.parent if magnetfile else Path.cwd()
    if settings.words[0] == "completion":
        from magnet import completioncommand  # a build needs none of it

        return completioncommand.run(settings.words)
    if settings.words[0] == "logs":
        from magnet import logcommand  # a build needs none of it

        return logcommand.run(settings.words, root, as_json=settings.as_json)
    backend = settings.backend or environ.get("MAGNET_BACKEND")
    if settings.words[0] == "doctor":
        from magnet import doctorcommand  # nor of this

        return doctorcommand.run(
            settings.words, root, given=backend, as_json=settings.as_json, dry_run=settings.dry_run
        )
    if settings.words[0] == "backends":
        from magnet import backendscommand  # nor of this

        return backendscommand.run(settings.words, root, settings.backend, environ, as_json=settings.as_json)
    from magnet.commands import Given, run  # nor of this

    given = Given(
        root=root,
        remove_containers=remove_containers,
        backend=backend,
        dry_run=settings.dry_run,
        as_json=settings.as_json,
        environ=environ,
    )
    return run(settings.words, given)


def _labelled(calls: Sequence[Call[Any]]) -> list[Call[Any]]:
    """The calls with their targets' names alone, where that tells them apart: whoever typed arguments knows them."""
    names = [call.target.name for call in calls]
    return [
        replace(call, label=call.target.name) if names.count(call.target.name) == 1 and not call.target.matrix else call
        for call in calls
    ]


def _load(file: Path | None, environ: Mapping[str, str]) -> Buildfile:
    found = _magnetfile(file)
    if found is not None:
        return buildfile.load(found, environ)
    return buildfile.load(Path(__file__).with_name("default_magnetfile.py"), environ, root=Path.cwd())


def _magnetfile(file: Path | None) -> Path | None:
    """The magnetfile that is asked for, or the nearest one, or None."""
    if file is None:
        return buildfile.find(Path.cwd())
    if not file.is_file():
        raise UsageError(f"there is no magnetfile `{file}`", hint="-f takes the path of a magnetfile.py")
    return Path(os.path.abspath(file))


def _is_builtin(loaded: Buildfile) -> bool:
    return loaded.path.name == "default_magnetfile.py" and loaded.path.parent == Path(__file__).parent


def _finder(loaded: Buildfile) -> Any:
    def find(name: str) -> Any:
        if name.startswith("-"):
            raise UsageError(f"there is no option `{name}` here", hint="magnet's own options stand before the targets")
        try:
            return loaded.find(name)
        except UsageError as error:
            if _is_builtin(loaded):
                message = f"there is no target `{name}`, and no {buildfile.MAGNETFILE} in {loaded.root} or above"
                raise UsageError(message, hint=error.hint) from None
            raise

    return find


def _list(loaded: Buildfile) -> None:
    """Print the targets, with the first line of their help, and the declared variables."""
    if _is_builtin(loaded):
        print(f"No {buildfile.MAGNETFILE} in {loaded.root} or above; these targets come with magnet.\n")
    names = {target: ", ".join((target.name, *target.aliases)) for target in loaded.targets}
    print("Targets:")
    _print_columns([(name, _about(target)) for target, name in names.items()])
    if loaded.variables:
        from magnet.redact import Redactor

        hide = Redactor(secret_values(loaded.variables)).text
        print("\nEnvironment:")
        _print_columns([(f"{one.name}={hide(one.value)}", _described(one)) for one in loaded.variables])


def _described(variable: Variable) -> str:
    return f"{variable.help} (required)".lstrip() if variable.is_missing else variable.help


def _about(target: Target[..., Any]) -> str:
    """The first line of a target's help, and in brackets what else is to be known of it."""
    found = ["default"] if target.is_default else []
    if target.matrix:
        from magnet import matrix  # few targets have one

        found.append(matrix.told(target.matrix))
    if target.policy.may_skip:
        found.append(target.policy.conditions)
    return " ".join(filter(None, (target.summary, f"({', '.join(found)})" if found else "")))


def _print_columns(rows: Sequence[tuple[str, str]]) -> None:
    width = max((len(left) for left, _ in rows), default=0)
    for left, right in rows:
        print(f"  {left:<{width}}  {right}".rstrip())
