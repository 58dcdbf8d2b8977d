"""The command line: parse, wire the rooms together, report, exit."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magnet import buildfile
from magnet.backends import check_name, choose
from magnet.buildfile import Buildfile, Call
from magnet.errors import ContainerFailed, EngineError, Finished, MagnetError, UsageError
from magnet.failures import report
from magnet.settings import NAMES, Settings, read_plain
from magnet.values import replace

if TYPE_CHECKING:
    from magnet.interrupts import Ending
    from magnet.progress.display import Display
    from magnet.questions import Question
    from magnet.running import Failure

INTERRUPTED = 130

ABANDONED = 0.5
"""Seconds that displays and logs have to say their last after a second interrupt."""


def main(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do what the words say, report what went wrong, and return the exit code."""
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return _run(_parse(words), environ)
    except MagnetError as error:
        report(error, sys.stderr)
        return error.exit_code
    except Finished as done:
        return done.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
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
    if settings.directory:
        try:
            os.chdir(settings.directory)
        except OSError as error:
            raise UsageError(f"cannot change to {settings.directory}: {error.strerror}") from error
    if settings.words[:1] in (("cache",), ("logs",)) and not settings.list_targets:
        return _command(settings, environ)
    loaded = _load(settings.file, environ)
    if settings.list_targets:
        _list(loaded)
        return 0
    calls = _calls(settings.words, loaded)
    if not calls and loaded.default is None:
        _list(loaded)
        return 0
    return _execute(_labelled(calls or [loaded.default()]), loaded, settings, environ)  # type: ignore[misc]


def _calls(words: Sequence[str], loaded: Buildfile) -> list[Call[Any]]:
    """The calls that the words name; where they are but names of targets without parameters, click is not needed."""
    named = [loaded.names.get(word) for word in words]
    if all(target is not None and target.takes_nothing for target in named):
        return [target() for target in named if target is not None]
    from magnet import parameters

    return parameters.parse_calls(words, _finder(loaded), NAMES)


def _command(settings: Settings, environ: Mapping[str, str]) -> int:
    """Do what is asked of magnet itself, for which no target is needed."""
    about_targets = {"--force": settings.force, "--explain": settings.explain, "--files": settings.files}
    if given_for_nothing := [f"`{option}`" for option, is_given in about_targets.items() if is_given]:
        raise UsageError(f"{given_for_nothing[0]} is about targets, and `{settings.words[0]}` is none")
    magnetfile = _magnetfile(settings.file)
    root = magnetfile.parent if magnetfile else Path.cwd()
    if settings.words[0] == "logs":
        from magnet import logcommand  # a build needs none of it

        return logcommand.run(settings.words, root, as_json=settings.as_json)
    from magnet.commands import Given, run  # nor of this

    given = Given(
        root=root,
        remove_containers=_remove_containers,
        backend=settings.backend or environ.get("MAGNET_BACKEND"),
        dry_run=settings.dry_run,
        as_json=settings.as_json,
    )
    return run(settings.words, given)


def _labelled(calls: Sequence[Call[Any]]) -> list[Call[Any]]:
    """The calls with their targets' names alone, where that tells them apart: whoever typed arguments knows them."""
    names = [call.target.name for call in calls]
    return [replace(call, label=call.target.name) if names.count(call.target.name) == 1 else call for call in calls]


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
    _print_columns(
        [(name, target.summary + (" (default)" if target.is_default else "")) for target, name in names.items()]
    )
    if loaded.variables:
        from magnet.redact import MASK

        print("\nEnvironment:")
        _print_columns(
            [(f"{one.name}={MASK if one.is_secret and one.value else one.value}", one.help) for one in loaded.variables]
        )


def _print_columns(rows: Sequence[tuple[str, str]]) -> None:
    width = max((len(left) for left, _ in rows), default=0)
    for left, right in rows:
        print(f"  {left:<{width}}  {right}".rstrip())


def _execute(calls: list[Call[Any]], loaded: Buildfile, settings: Settings, environ: Mapping[str, str]) -> int:
    """Run the calls between the header and the summary, and report what failed."""
    # Imported here: what only asks for the list of targets does not wait for it.
    from magnet import interrupts, project, runs
    from magnet.body import Session
    from magnet.logs import LogFiles
    from magnet.process import Children
    from magnet.progress.consumer import Consumer
    from magnet.progress.dryrun import DryRun
    from magnet.redact import Redactor
    from magnet.running import Run
    from magnet.running import digest as vertex_digest
    from magnet.workspace import Workspace, prepare_build_directory

    question = _question(settings)
    dry_run = settings.dry_run or question is not None
    stored = project.read_settings(loaded.root)
    backend_name = settings.backend or environ.get("MAGNET_BACKEND") or stored.backend
    if backend_name:
        check_name(backend_name)
    secrets = tuple(one.value for one in loaded.variables if one.is_secret and one.value)
    described = project.describe(loaded.root, stored.name)
    run_id = f"magnet-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{os.urandom(4).hex()}"
    cache = loaded.root / "_build" / "magnet" / described.name
    display: Display
    sinks: list[LogFiles] = []
    redactor = Redactor(secrets)
    record: runs.Run | None = None
    if dry_run:
        # An answer stands alone on stdout; what a target prints goes beside it.
        display = DryRun(sys.stdout if question is None else sys.stderr)
    else:
        record = runs.begin(
            prepare_build_directory(loaded.root),
            time.time_ns(),
            list(map(redactor.text, settings.typed)),
            version=described.version,
            keep=stored.log_runs or runs.KEPT,
        )
        sinks.append(LogFiles(record.directory))
        _print_header(record.directory, described.version, cache)
        display = _display(settings.progress)
    consumer = Consumer(display, sinks, redactor)
    workspace = Workspace(cache, run_id)
    session = Session(
        project=described,
        workspace=workspace,
        children=Children(workspace.recording),
        emit=consumer.emit,
        clock=time.time_ns,
        environ=environ,
        terminal=consumer.terminal,
        backend_name=backend_name,
        dry_run=dry_run,
        force=settings.force,
        question=question,
        secrets=secrets,
    )
    run = Run(
        session,
        loaded.path,
        jobs=1 if dry_run else settings.jobs or os.cpu_count() or 1,
        keep_going=settings.keep_going,
        variables=loaded.variables,
        loaded=loaded.loaded,
        logs=sinks[0] if sinks else None,
    )
    workspace.sweep(_remove_containers)
    consumer.start()
    try:
        with buildfile.importing_from(loaded.path.parent), interrupts.resting(lambda: consumer.terminal("")):
            ending = interrupts.until_done(run, calls)
        with suppress(BrokenPipeError) if ending != "done" else nullcontext():
            consumer.finish(timeout=ABANDONED if ending == "abandoned" else None)
    finally:
        display.abandon()
    if ending != "abandoned":
        workspace.close()  # else the next run finds it, and does what was left undone
    if question is not None and not run.failures:
        question.print(sys.stdout, as_json=settings.as_json)
    for failure in run.failures:
        log = sinks[0].path(vertex_digest(described.name, failure.call)) if sinks else None
        report(failure.error, sys.stderr, f"target `{failure.call.name}`: ", log=log, hide=redactor.text)
    if ending != "done":
        report(interrupts.ERRORS[ending], sys.stderr)
    code = _outcome(run.failures, calls, ending)
    if record:
        result: runs.Result = "interrupted" if ending != "done" else "failed" if run.failures else "succeeded"
        record.end(result, code, time.time_ns(), sinks[0].counts)
    return code


def _question(settings: Settings) -> "Question | None":
    if settings.explain and settings.files:
        raise UsageError("--explain and --files cannot be had together", hint="ask one after the other")
    if settings.as_json and not (settings.explain or settings.files):
        raise UsageError("--json goes with --explain or --files", hint="add one of them")
    if not settings.explain and not settings.files:
        return None
    from magnet.questions import Explain, Files  # a build asks none

    return Explain() if settings.explain else Files()


def _display(progress: str) -> "Display":
    from magnet.progress.plain import Plain
    from magnet.progress.tty import Tty

    if progress == "tty" or (progress == "auto" and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"):
        return Tty(sys.stderr, time.time_ns)
    return Plain(sys.stderr, time.time_ns)


def _print_header(logs: Path, version: str, cache: Path) -> None:
    latest = os.path.relpath(logs.with_name("latest"))
    print(f"Logs:    {latest} ({os.path.relpath(logs)})", file=sys.stderr)
    print(f"Version: {version}", file=sys.stderr)
    print(f"Cache:   {os.path.relpath(cache)}", file=sys.stderr)


def _remove_containers(backend: str, run_id: str) -> None:
    """Remove the containers of a run that was killed, where its engine still answers."""
    with suppress(EngineError):
        choose(backend).remove_containers(run_id)


def _outcome(failures: Sequence["Failure"], calls: Sequence[Call[Any]], ending: "Ending") -> int:
    """The exit code: that of the first failure, or that of a lone target's container."""
    if ending != "done":
        return INTERRUPTED
    if not failures:
        return 0
    first = failures[0]
    if isinstance(first.error, ContainerFailed) and [call.key for call in calls] == [first.call.key]:
        code = first.error.returncode
        return code if code > 0 else 128 - code
    return first.error.exit_code
