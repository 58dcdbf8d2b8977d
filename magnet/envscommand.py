"""`magnet envs`: the variables that a magnetfile declares, their values, and where these come from."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from magnet import parameters
from magnet.buildfile import Buildfile
from magnet.envs import Variable, secret_values
from magnet.errors import UsageError
from magnet.redact import Redactor

SETTINGS = (
    ("MAGNET_BACKEND", "Engine to use, as with --backend"),
    ("MAGNET_OFFLINE", "Download nothing, as with --offline"),
)
"""The variables that magnet itself reads, each with a line of help."""

_HELP = """Show the variables that the magnetfile declares with `env`, and the value that each has in a run.

A value is that of the environment, else the one that `import_env` found, else the default; SOURCE says which of these.
A variable that is required and has no value is `missing`: no target runs before it is set. The values of secrets are
shown as `***`. Below stand the variables that magnet itself reads.

--json prints {"variables": [...], "settings": [...]}. A variable has `name`, `value`, `default`, `source`, `help`,
`type`, `choices`, `required`, `missing` and `secret`; a setting has `name`, `value` and `help`. `value`, `default`,
`source` and `choices` are null where there is none. Values and defaults are text; `source` is "environment", "default",
or what the value is imported from, as ".env" or "make magnet-vars".

The exit code is 0, also where a variable is missing, and 2 where the magnetfile cannot be loaded.
"""


def run(
    words: Sequence[str],
    load: Callable[[], Buildfile],
    environ: Mapping[str, str],
    *,
    as_json: bool = False,
    dry_run: bool = False,
) -> int:
    """Do what the words say, the first of which is `envs`; return the exit code."""
    if dry_run:
        raise UsageError("`--dry-run` is about targets, and `envs` is none", hint="leave it out: envs changes nothing")

    def call(json: bool) -> None:
        show = _print_json if json or as_json else _print
        show(load().variables, environ)

    command = make_command(call)
    parameters.invoke(command, words)
    return 0


def make_command(callback: Callable[..., None] | None = None) -> click.Command:
    """The `envs` command."""
    return click.Command(
        "envs",
        help=_HELP,
        callback=callback,
        params=[click.Option(["--json"], is_flag=True, help="Print it as JSON.")],
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _print(variables: Sequence[Variable], environ: Mapping[str, str]) -> None:
    if variables:
        hide = _hider(variables)
        rows = [(one.name, hide(one.value), hide(one.default), _source(one), _description(one)) for one in variables]
        _print_table([("NAME", "VALUE", "DEFAULT", "SOURCE", "DESCRIPTION"), *rows])
    else:
        print("The magnetfile declares no variables.")
    print("\nOf magnet itself:")
    settings = [(name, environ.get(name, ""), text) for name, text in SETTINGS]
    _print_table([("NAME", "VALUE", "DESCRIPTION"), *settings])


def _source(variable: Variable) -> str:
    return "missing" if variable.is_missing else variable.source or "not set"


def _description(variable: Variable) -> str:
    return " ".join(filter(None, (variable.help, f"[{'|'.join(variable.choices)}]" if variable.choices else "")))


def _hider(variables: Sequence[Variable]) -> Callable[[str], str]:
    """What takes the secrets out of a value, in which they may be but a part; and the defaults that were not wanted."""
    unwanted = [one.default for one in variables if one.is_secret and one.default]
    return Redactor((*secret_values(variables), *unwanted)).text


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    table = [[cell if cell.isprintable() else json.dumps(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_json(variables: Sequence[Variable], environ: Mapping[str, str]) -> None:
    hide = _hider(variables)
    record = {
        "variables": [_as_record(one, hide) for one in variables],
        "settings": [{"name": name, "value": environ.get(name), "help": text} for name, text in SETTINGS],
    }
    print(json.dumps(record, indent=2))


def _as_record(variable: Variable, hide: Callable[[str], str]) -> Mapping[str, Any]:
    return {
        "name": variable.name,
        "value": hide(variable.value) if variable.source and not variable.is_missing else None,
        "default": hide(variable.default) or None,
        "source": variable.source or None,
        "help": variable.help,
        "type": variable.type,
        "choices": list(variable.choices) or None,
        "required": variable.is_required,
        "missing": variable.is_missing,
        "secret": variable.is_secret,
    }
