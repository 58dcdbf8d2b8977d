"""`magnet init`: a small magnetfile for what there is in a directory."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from magnet import parameters
from magnet.buildfile import MAGNETFILE
from magnet.errors import UsageError
from magnet.starting import compose, dockerfiles, languages, magnetfile, makefiles
from magnet.starting.found import Found
from magnet.starting.magnetfile import Named

_HELP = f"""Write a {MAGNETFILE} for what is found in the working directory.

\b
  Dockerfile, Containerfile   targets that build the image and run it
  compose.yaml                a target for each service: an image to build, or a container to start
  go.mod                      go build, go test, go vet
  pyproject.toml, setup.py    pip wheel, and pytest or unittest
  package.json                npm, pnpm, yarn or bun: install, and the scripts
  Makefile                    the targets in .PHONY

It is written to be changed, and never over one that is there. What of a file is not in it is said in comments at its
end. To read a compose file takes ruamel.yaml, which `pip install 'magnet-build[compose]'` installs.

\b
Examples:
  magnet init           write it
  magnet init -n        print it, and write nothing
  magnet -C app init    in another directory
"""


def run(words: Sequence[str], root: Path, *, given: Path | None = None, dry_run: bool = False) -> int:
    """Do what the words say, the first of which is `init`, in the directory `root`; return the exit code.

    `given` is the magnetfile that was asked for.
    """
    if given:
        raise UsageError(
            f"`-f` is about a magnetfile that is there, and `init` writes {MAGNETFILE}",
            hint="leave it out; `-C` names the directory",
        )
    is_dry = dry_run

    def call(dry_run: bool) -> None:
        _init(root, dry_run=is_dry or dry_run)

    command = make_command(call)
    parameters.invoke(command, words)
    return 0


def make_command(callback: Callable[..., None] | None = None) -> click.Command:
    """The `init` command."""
    return click.Command(
        "init",
        help=_HELP,
        callback=callback,
        params=[
            click.Option(["-n", "--dry-run"], is_flag=True, help="Print what would be written, and write nothing.")
        ],
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def survey(root: Path) -> list[Found]:
    """What is found in a directory."""
    name = "-".join(re.findall("[a-z0-9]+", os.path.basename(os.path.abspath(root)).lower())) or "app"
    return [
        *dockerfiles.survey(root, name),
        *compose.survey(root, name),
        *languages.survey(root),
        *makefiles.survey(root),
    ]


def _init(root: Path, *, dry_run: bool) -> None:
    path = root / MAGNETFILE
    if os.path.lexists(path) and not dry_run:
        raise UsageError(
            f"there is a {MAGNETFILE} already in {root}",
            hint="`magnet --list` shows its targets, and `magnet init -n` what would be written",
        )
    found = survey(root)
    parts = magnetfile.named(found or [magnetfile.HELLO])
    text = magnetfile.text(parts)
    if dry_run:
        sys.stdout.write(text)
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    _report(found, parts)


def _report(found: Sequence[Found], parts: Sequence[Named]) -> None:
    """Print what was found, and what to run next."""
    for part in parts if found else ():
        print(f"Found {part.found.file}, {part.found.what}: {', '.join(part.names) or 'no targets'}.")
    if not found:
        print("Found nothing to build here: there is a target to begin with, `hello`.")
    if any(one.left_out for one in found):
        print("Not all of it could be taken: comments at the end of the file tell what is left out.")
    first = next((name for part in parts for name in part.names), "")
    print(f"Wrote {MAGNETFILE}. Next:\n\n  magnet --list\n  magnet {first}".rstrip())
