"""`magnet doctor`: what the engines of this machine can and cannot do, why, and what mends it."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from magnet import parameters, project
from magnet.backends import check_name, every_name
from magnet.doctor import engines, gathering, report
from magnet.doctor.checks import examine
from magnet.doctor.report import Choice
from magnet.doctor.trial import attempt
from magnet.doctor.verdict import Verdict, judge
from magnet.errors import EngineError, UsageError
from magnet.process import ask

_HELP = """Tell what the container engines of this machine can and cannot do, why, and what mends it.

Every engine is looked at: its program, what it says of itself, and what it needs of the machine. What that does not
tell is tried, with a build and a container of a few hundred bytes that need no registry and leave no image, container
or file behind. A check ends in `ok`, `warning` (it works, but not as well as it could), `failed` (it keeps the engine
from building or running) or `unknown` (it could not be found out). Where there is one, a `fix:` is a command to paste
into a shell, or what to write into a file. Nothing is changed.

The exit code is 0 if the engine that targets use can build and run, and 3 if not. It is chosen as for targets:
`magnet --backend podman doctor`.
"""


def run(words: Sequence[str], root: Path, *, given: str | None, as_json: bool = False, dry_run: bool = False) -> int:
    """Do what the words say, the first of which is `doctor`, for the project at `root`; return the exit code.

    `given` is the name of the backend that was asked for by option or environment.
    """
    if dry_run:
        raise UsageError(
            "`--dry-run` is about targets, and `doctor` is none", hint="leave it out: doctor changes nothing"
        )
    codes: list[int] = []

    def call(json: bool) -> None:
        codes.append(_examine(root, given, json=as_json or json))

    command = make_command(call)
    parameters.invoke(command, words)
    return codes[0]


def make_command(callback: Callable[..., None] | None = None) -> click.Command:
    """The `doctor` command."""
    return click.Command(
        "doctor",
        help=_HELP,
        callback=callback,
        params=[click.Option(["--json"], is_flag=True, help="Print all of it as JSON.")],
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _examine(root: Path, given: str | None, *, json: bool) -> int:
    stored = project.read_settings(root).backend
    if wanted := given or stored:
        check_name(wanted)
    verdicts = list(_verdicts(root))
    choice = _choose(verdicts, given, stored)
    sys.stdout.write(report.as_json(verdicts, choice) if json else report.table(verdicts, choice))
    is_usable = any(verdict.is_usable for verdict in verdicts if verdict.facts.name == choice.name)
    return 0 if is_usable else EngineError.exit_code


def _verdicts(root: Path) -> Iterator[Verdict]:
    here = gathering.gather(Path("/"), os.environ, ask)
    for name in every_name():
        facts = engines.gather(name, here, root, ask, attempt)
        yield judge(facts, list(examine(facts)))


def _choose(verdicts: Sequence[Verdict], given: str | None, stored: str | None) -> Choice:
    """The engine that targets use, as `magnet.backends.choose` chooses it."""
    if given:
        return Choice(given, "as it was asked for")
    if stored:
        return Choice(stored, "as pyproject.toml says")
    first = next((verdict.facts.name for verdict in verdicts if verdict.facts.engine), None)
    return Choice(first, "the first that answers" if first else "none answers")
