"""What magnet costs before it does anything, beside `python -c pass`, and beside other task runners.

`python -m benchmarks.startup [ROUNDS]`, with the Python that magnet is installed for. Task runners are those in the
directory PEERS of the environment, else those on the path; a target of theirs prints a line, as magnet's does.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import MAGNET, Job, command, compare, missing

EXAMPLE = Path(__file__).parent.parent / "examples" / "hello_world"

PEERS = {
    # program: (its file, what is in it, arguments that list, arguments that run)
    "just": ("justfile", "hello:\n    @echo 'Hello, world!'\n", ["--list"], ["hello"]),
    "task": (
        "Taskfile.yml",
        "version: '3'\ntasks:\n  hello:\n    desc: Say hello.\n    cmds: [\"echo 'Hello, world!'\"]\n",
        ["--list"],
        ["hello"],
    ),
    "doit": (
        "dodo.py",
        "def task_hello():\n    return {'actions': ['echo Hello'], 'verbosity': 2}\n",
        ["list"],
        ["hello"],
    ),
    "invoke": (
        "tasks.py",
        "from invoke import task\n\n\n@task\ndef hello(c):\n    print('Hello, world!')\n",
        ["--list"],
        ["hello"],
    ),
    "nox": (
        "noxfile.py",
        "import nox\n\n\n@nox.session(python=False)\ndef hello(session):\n    print('Hello, world!')\n",
        ["--list"],
        ["--session", "hello"],
    ),
    "poe": ("pyproject.toml", "[tool.poe.tasks]\nhello = \"echo 'Hello, world!'\"\n", ["--help"], ["hello"]),
    "taskipy": ("pyproject.toml", "[tool.taskipy.tasks]\nhello = \"echo 'Hello, world!'\"\n", ["--list"], ["hello"]),
}
SLOWER = {"task", "doit", "invoke", "nox", "poe", "taskipy"}
"""The peers that magnet is to be faster than."""


def main() -> None:
    """Print both tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    python = "`python -c pass`"
    compare(
        "Start-up",
        [
            Job(python, command(sys.executable, "-c", "pass", cwd=EXAMPLE)),
            Job("`magnet --version`", command(MAGNET, "--version", cwd=EXAMPLE), python, at_most=1.5),
            Job("`magnet --help`", command(MAGNET, "--help", cwd=EXAMPLE), python, at_most=1.5),
            Job("`magnet --list`", command(MAGNET, "--list", cwd=EXAMPLE), python),
            Job("`magnet hello`", command(MAGNET, "hello", cwd=EXAMPLE), python),
        ],
        rounds=rounds,
    )
    programs = {name: found for name in PEERS if (found := shutil.which(name, path=os.environ.get("PEERS")))}
    for name in PEERS.keys() - programs.keys():
        missing(name)
    if programs:
        with TemporaryDirectory() as directory:
            compare("Task runners", list(_peers(Path(directory), programs)), rounds=rounds)


def _peers(directory: Path, programs: dict[str, str]) -> Iterator[Job]:
    yield Job("`magnet --list`", command(MAGNET, "--list", cwd=EXAMPLE))
    yield Job("`magnet hello`", command(MAGNET, "hello", cwd=EXAMPLE))
    for name, program in programs.items():
        file, text, listing, running = PEERS[name]
        place = directory / name
        place.mkdir()
        (place / file).write_text(text)
        goal = 1.0 if name in SLOWER else None
        for arguments, own in ((listing, "`magnet --list`"), (running, "`magnet hello`")):
            run = command(program, *arguments, cwd=place)
            yield Job(f"`{name} {' '.join(arguments)}`", run, own, at_least=goal)


if __name__ == "__main__":
    main()
