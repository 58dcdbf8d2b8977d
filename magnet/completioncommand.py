"""`magnet completion`: what a shell has to run so that it completes magnet's words."""

import sys
from collections.abc import Callable, Sequence

import click

from magnet import completing, parameters

_HELP = """Print what lets a shell complete magnet's words: commands, options, targets and their options and choices.

The magnetfile is loaded for it, as for `magnet --list`; no target runs. One that cannot be loaded is passed over in
silence: `magnet --list` says what is wrong with it.

\b
To install it, add a line to a file of the shell:
  bash  ~/.bashrc                    eval "$(magnet completion bash)"
  zsh   ~/.zshrc, after `compinit`   eval "$(magnet completion zsh)"
  fish  ~/.config/fish/config.fish   magnet completion fish | source

Bash must be of version 4.4 or later.
"""


def run(words: Sequence[str]) -> int:
    """Do what the words say, the first of which is `completion`, and return the exit code."""

    def call(shell: str) -> None:
        sys.stdout.write(completing.script(shell))

    command = make_command(call)
    parameters.invoke(command, words)
    return 0


def make_command(callback: Callable[..., None] | None = None) -> click.Command:
    """The `completion` command."""
    return click.Command(
        "completion",
        help=_HELP,
        callback=callback,
        params=[click.Argument(["shell"], type=click.Choice(tuple(completing.SHELLS)))],
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
