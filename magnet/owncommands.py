"""Magnet's own commands, which are not about a target: where each is, and what it is for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from magnet.values import frozen

if TYPE_CHECKING:
    import click


@frozen
class OwnCommand:
    """A command: the module whose `make_command` makes it, and its summary in one line."""

    module: str
    summary: str


OWN_COMMANDS: Mapping[str, OwnCommand] = {
    "init": OwnCommand("initcommand", "Write a magnetfile for what is found here."),
    "logs": OwnCommand("logcommand", "Print what targets printed, now or in an earlier run."),
    "cache": OwnCommand("commands", "See and free what is kept of builds."),
    "doctor": OwnCommand("doctorcommand", "Tell what the engines here can do, and what mends them."),
    "backends": OwnCommand("backendscommand", "Compare what the engines here can do."),
    "envs": OwnCommand("envscommand", "Show the variables of the magnetfile, and their values."),
    "completion": OwnCommand("completioncommand", "Print what lets a shell complete magnet's words."),
    "help": OwnCommand("helpcommand", "Show the help of a target or a command."),
}
"""All of them, by name, in the order in which the help shows them."""


def make(name: str) -> "click.Command":
    """The click command of one of them, for its help and its options; it does nothing."""
    from importlib import import_module

    made: click.Command = import_module(f"magnet.{OWN_COMMANDS[name].module}").make_command()
    return made


def complete_targets(context: "click.Context", _parameter: "click.Parameter", incomplete: str) -> list[Any]:
    """What a shell offers for a parameter that is the name of a target."""
    return _offered(context, "targets", incomplete)


def complete_names(context: "click.Context", _parameter: "click.Parameter", incomplete: str) -> list[Any]:
    """What a shell offers for a parameter that is the name of a target, or that of a command."""
    return _offered(context, "names", incomplete)


def _offered(context: "click.Context", kind: str, incomplete: str) -> list[Any]:
    items: list[Any] = getattr(context.find_root().command, kind, list)()
    return [item for item in items if item.value.startswith(incomplete)]
