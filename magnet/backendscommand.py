"""`magnet backends`: the engines here, what each can do, and which one a run would take."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from magnet import backends, parameters, project
from magnet.backends import plugins
from magnet.backends.engine import Engine, version_numbers
from magnet.backends.features import FEATURES, Feature
from magnet.errors import EngineError
from magnet.values import frozen

NONE_USABLE = 3

_HELP = """Show which container engines are usable here, what each can do, and which one is chosen.

For each backend: its program, the engine behind it with its version, that of the client where it is another, whether
it is rootless and how many user ids its containers then have, the storage driver, the version of cgroups and who
manages them, the OCI runtime, and what builds. A backend whose engine does not answer says why.

Then, for each thing that not every engine can do, who can; `no (from 5.0)` is for an engine that has it in version 5.0
and later. What an engine cannot do is refused before anything starts, where a target needs it.

Backends of other packages are shown, too. The exit code is 3 where no engine is usable, and else 0.
"""


@frozen
class _Found:
    """A backend, with its engine, or why it has none."""

    name: str
    engine: Engine | None = None
    why_not: str = ""
    hint: str | None = None
    package: str = ""


@frozen
class _Choice:
    """The backend that a run would take, if any, and why that one."""

    name: str | None
    why: str


def run(words: Sequence[str], root: Path, option: str | None, environ: Mapping[str, str], *, as_json: bool) -> int:
    """Do what the words say, the first of which is `backends`; return the exit code.

    `option` is the backend that `--backend` names, `root` the directory of the project, whose settings may name one.
    """
    codes = []

    def call(json: bool) -> None:
        codes.append(_show(root, option, environ, as_json=json or as_json))

    command = make_command(call)
    parameters.invoke(command, words)
    return codes[0]


def make_command(callback: Callable[..., None] | None = None) -> click.Command:
    """The `backends` command."""
    return click.Command(
        "backends",
        help=_HELP,
        callback=callback,
        params=[click.Option(["--json"], is_flag=True, help="Print it as JSON.")],
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _show(root: Path, option: str | None, environ: Mapping[str, str], *, as_json: bool) -> int:
    asked = _asked(root, option, environ)
    if asked and asked.name:
        backends.check_name(asked.name)
    found = [*map(_find, backends.every_name()), *map(_taken, filter(backends.BACKENDS.get, plugins.names()))]
    choice = asked or _first(found)
    if as_json:
        print(json.dumps(_as_record(found, choice), indent=2))
    else:
        _print(found, choice)
    return 0 if any(one.engine for one in found) else NONE_USABLE


def _asked(root: Path, option: str | None, environ: Mapping[str, str]) -> _Choice | None:
    """The choice that was made by name, if one was; in the order in which a run looks for one."""
    if option:
        return _Choice(option, "--backend names it")
    if name := environ.get("MAGNET_BACKEND"):
        return _Choice(name, "MAGNET_BACKEND names it")
    if name := project.read_settings(root).backend:
        return _Choice(name, "`backend` in [tool.magnet] of pyproject.toml names it")
    return None


def _first(found: Iterable[_Found]) -> _Choice:
    name = next((one.name for one in found if one.engine), None)
    return _Choice(name, "it is the first that is usable" if name else "none is usable")


def _find(name: str) -> _Found:
    package = "" if name in backends.BACKENDS else plugins.packages(name)
    try:
        return _Found(name, backends.backend(name)().engine, package=package)
    except EngineError as error:
        return _Found(name, None, "; ".join((error.message, *error.detail)), error.hint, package)


def _taken(name: str) -> _Found:
    """What is to be said of a package's backend that nobody can ask for."""
    package = plugins.packages(name)
    return _Found(name, None, "a backend of magnet's own has that name", f"rename it in {package}", package)


# For people


def _print(found: Sequence[_Found], choice: _Choice) -> None:
    usable = [(one, one.engine) for one in found if one.engine]
    if usable:
        _print_table(_TITLES, [_row(one.name, engine) for one, engine in usable])
        print()
    others = [one for one in found if not one.engine]
    for one in others:
        print(f"{one.name}: {one.why_not}")
        if one.hint:
            print(f"  hint: {one.hint}")
    if others:
        print()
    if usable:
        rows = [(feature.what, *(_cell(feature, engine) for _, engine in usable)) for feature in FEATURES]
        _print_table(("FEATURE", *(one.name for one, _ in usable)), rows)
        print()
    print(f"{_sentence(choice, found)}.")


_TITLES = ("BACKEND", "ENGINE", "CLIENT", "ROOTLESS", "STORAGE", "CGROUPS", "RUNTIME", "BUILDER", "PROGRAM")


def _row(name: str, engine: Engine) -> tuple[str, ...]:
    ids = f", {engine.ids} ids" if engine.ids else ""
    version = f"v{engine.cgroup_version}" if engine.cgroup_version else ""
    return (
        name,
        f"{engine.name} {engine.version}{', remote' if engine.is_remote else ''}",
        engine.client_version if engine.client_version != engine.version else "",
        f"yes{ids}" if engine.rootless else "no",
        engine.storage_driver,
        ", ".join(filter(None, (version, engine.cgroup_manager))),
        engine.runtime,
        _builder(engine),
        engine.program,
    )


def _builder(engine: Engine) -> str:
    driver = f" ({engine.builder_driver})" if engine.builder_driver not in ("", "docker") else ""
    inside = f", BuildKit {engine.buildkit_version}" if engine.buildkit_version else ""
    return " ".join(filter(None, (engine.builder, engine.builder_version))) + driver + inside


def _cell(feature: Feature, engine: Engine) -> str:
    if feature.name in engine.features:
        return "yes"
    since = _since(feature, engine)
    is_later = since is not None and version_numbers(since) > version_numbers(engine.version)
    return f"no (from {since})" if is_later else "no"


def _since(feature: Feature, engine: Engine) -> str | None:
    """The version from which that kind of engine has a feature."""
    kind = {"legacy": "legacy", "buildkit": "buildkit", "buildx": "buildkit"}.get(engine.builder, engine.name)
    return feature.since.get(kind)


def _sentence(choice: _Choice, found: Iterable[_Found]) -> str:
    if choice.name is None:
        return "No backend would be chosen: none is usable"
    is_usable = any(one.engine for one in found if one.name == choice.name)
    return f"{choice.name} is chosen: {choice.why}{'' if is_usable else ', but it is not usable'}"


def _print_table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    table = [titles, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(f"{cell or '-':<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


# For programs


def _as_record(found: Sequence[_Found], choice: _Choice) -> Mapping[str, Any]:
    return {
        "backends": [_backend_record(one) for one in found],
        "features": [
            {
                "name": feature.name,
                "what": feature.what,
                "backends": {one.name: feature.name in one.engine.features for one in found if one.engine},
                "since": {one.name: _since(feature, one.engine) for one in found if one.engine},
            }
            for feature in FEATURES
        ],
        "chosen": {"name": choice.name, "why": choice.why},
    }


def _backend_record(one: _Found) -> Mapping[str, Any]:
    engine = one.engine
    record = {"name": one.name, "package": one.package or None, "usable": engine is not None}
    if engine is None:
        return {**record, "why": one.why_not, "hint": one.hint}
    names = (
        "program", "version", "client_version", "rootless", "ids", "storage_driver", "cgroup_version",
        "cgroup_manager", "runtime", "selinux", "is_remote", "builder", "builder_version", "builder_driver",
        "buildkit_version",
    )  # fmt: skip
    told = {name: value if (value := getattr(engine, name)) != "" else None for name in names}
    return {**record, "engine": engine.name, **told}
