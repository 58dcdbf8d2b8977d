"""The command line as click reads it: with every form that options may have, help, and errors that explain."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

import magnet
from magnet import parameters
from magnet.errors import Finished
from magnet.owncommands import OWN_COMMANDS
from magnet.settings import OPTIONS, Option, Settings

_DESCRIPTION = """A TARGET is a function of magnetfile.py, in the working directory or one above it. Several on one
command line are one run; without any, the default target runs, or else the list of targets is shown. A target's own
options and arguments stand after it, magnet's options before the first.

In a directory with a Dockerfile or Containerfile and no magnetfile there are the targets `build`, `run` and `context`,
with the options of `docker build` and `docker run`.
"""

_SECTIONS: Mapping[str, Sequence[tuple[str, str]]] = {
    "Commands": [
        *((name, command.summary) for name, command in OWN_COMMANDS.items()),
        ("TARGET --help", "Show a target's own options, or a command's."),
    ],
    "Environment": [
        ("MAGNET_BACKEND", "The engine to use, unless --backend names one. Without both, `backend` of [tool.magnet] in "
        "pyproject.toml does, or else it is the first of docker, podman and buildah that is usable."),
        ("MAGNET_OFFLINE", "Download nothing, as --offline says it."),
        ("NO_COLOR", "If set, progress has no colours."),
        ("DOCKER_HOST, ...", "What the engines' own programs go by, as ever."),
    ],
    "Files": [
        ("magnetfile.py", "The targets."),
        ("pyproject.toml", "[tool.magnet]: `backend`, `name` of the project, `log_runs` to keep."),
        ("_build/logs/latest", "The logs of the last run, a file for each target."),
        ("_build/magnet", "What is remembered of files, builds and outputs; it may be deleted at any time."),
        ("~/.cache/magnet", "What was downloaded, for all projects; in XDG_CACHE_HOME where that is set."),
    ],
    "Exit status": [
        ("0", "All went well."),
        ("1", "A target failed."),
        ("2", "The command line or the magnetfile is wrong."),
        ("3", "There is no usable engine, or it lacks a feature."),
        ("130", "The run was interrupted."),
        ("other", "That of the container, for a lone target that ran one."),
    ],
    "Examples": [
        ("magnet init", "Write a magnetfile to begin with."),
        ("magnet --list", "What there is to run."),
        ("magnet lint test", "Two targets in one run."),
        ("magnet --backend podman build", "With this engine."),
        ("magnet -n build", "The commands, not run."),
        ("magnet --explain build", "Is it done already, and if not, what changed?"),
        ("magnet logs -f build", "What it prints, as it comes."),
    ],
}  # fmt: skip
"""What the help shows besides the options, which come after the commands."""


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
    return _Magnet(
        "magnet",
        params=[
            *map(_option, OPTIONS),
            click.Option(["--version"], is_flag=True, help="Show the version."),
            click.Argument(["words"], nargs=-1, metavar="[TARGET [OPTIONS] [ARGUMENTS]]..."),
        ],
        help=f"{magnet.__doc__}\n\n{_DESCRIPTION}",
        context_settings={
            "allow_interspersed_args": False,
            "help_option_names": ["-h", "--help"],
            "max_content_width": 100,
        },
    )


class _Magnet(click.Command):
    """The command whose help has the sections of a manual page."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write all sections, of which the options are the second."""
        for title, rows in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(rows)
            if title == "Commands":
                super().format_options(ctx, formatter)


def _option(option: Option) -> click.Option:
    settings: dict[str, Any] = {"help": option.help, "metavar": option.metavar}
    settings["shell_complete"] = _COMPLETIONS.get(option.setting)
    if option.kind is None:
        settings["is_flag"] = True
    elif isinstance(option.kind, tuple):
        settings |= {"type": click.Choice(option.kind), "default": option.kind[0]}
    elif option.kind is int:
        settings["type"] = click.IntRange(min=1)
    elif option.kind is not str:
        settings["type"] = click.Path(path_type=option.kind)
    return click.Option([*option.names, option.setting], **settings)


def _complete_backends(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    from magnet.backends import every_name  # only a shell asks

    return [name for name in every_name() if name.startswith(incomplete)]


_COMPLETIONS: Mapping[str, Any] = {
    "backend": _complete_backends,
    "directory": click.Path(file_okay=False).shell_complete,
}
"""What a shell offers for values of which the type does not tell."""
