"""`magnet help`: the help of a target or a command, as `--help` after its name shows it."""

from collections.abc import Sequence

import click

from magnet import parameters
from magnet.owncommands import complete_names

_HELP = """Show the help of a target or of a command of magnet's; without NAME, that of magnet itself.

It is what `--help` after the name shows.

\b
Examples:
  magnet help build        the options of the target `build`
  magnet help cache prune  those of a command
"""


def read(words: Sequence[str]) -> tuple[str, ...]:
    """The words that ask for the help that `help` and the words after it ask for."""
    with parameters.parsing(make_command(), "magnet help", words[1:]) as context:
        return (*context.params["name"], "--help")


def make_command() -> click.Command:
    """The `help` command."""
    return click.Command(
        "help",
        help=_HELP,
        params=[click.Argument(["name"], nargs=-1, metavar="[NAME]...", shell_complete=complete_names)],
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
