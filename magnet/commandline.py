"""The command line as click reads it: with every form that options may have, help, and errors that explain."""

from collections.abc import Sequence
from typing import Any

import click

import magnet
from magnet import parameters
from magnet.errors import Finished
from magnet.settings import OPTIONS, Option, Settings


def read(words: Sequence[str]) -> Settings:
    """The settings that the words spell; UsageError for a word that does not fit, Finished after help or version."""
    with parameters.parsing(make_command(), "magnet", words) as context:
        values = dict(context.params)
    if values.pop("version"):
        print(f"magnet {magnet.__version__}")
        raise Finished(0)
    return Settings(**values)


def make_command() -> click.Command:
    """The `magnet` command: its own options; the words after them are targets with theirs."""
    return click.Command(
        "magnet",
        params=[
            *map(_option, OPTIONS),
            click.Option(["--version"], is_flag=True, help="Show the version."),
            click.Argument(["words"], nargs=-1, metavar="[TARGET [OPTIONS] [ARGUMENTS]]..."),
        ],
        help=magnet.__doc__,
        epilog="`magnet TARGET --help` shows a target's own options, `magnet logs --help` how to read what was "
        "printed, `magnet cache --help` how to see and free what is kept of builds; `magnet envs` shows the variables "
        "of the magnetfile; `magnet doctor` tells what the engines here can do, and what mends them, `magnet backends` "
        "compares what they can. MAGNET_BACKEND and "
        "`backend` in [tool.magnet] of pyproject.toml choose the engine as --backend does; else it is the first of "
        "these that is usable.",
        context_settings={
            "allow_interspersed_args": False,
            "help_option_names": ["-h", "--help"],
            "max_content_width": 100,
        },
    )


def _option(option: Option) -> click.Option:
    settings: dict[str, Any] = {"help": option.help, "metavar": option.metavar}
    if option.kind is None:
        settings["is_flag"] = True
    elif isinstance(option.kind, tuple):
        settings |= {"type": click.Choice(option.kind), "default": option.kind[0]}
    elif option.kind is int:
        settings["type"] = click.IntRange(min=1)
    elif option.kind is not str:
        settings["type"] = click.Path(path_type=option.kind)
    return click.Option([*option.names, option.setting], **settings)
