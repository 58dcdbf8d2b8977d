"""A graph of targets with an input and an output each, of which none has changed: magnet beside ninja, make and doit.

`python -m benchmarks.graph [TARGETS [ROUNDS]]`, with the Python that magnet is installed for. Its peers are those in
the directory PEERS of the environment, else those on the path.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import MAGNET, Job, command, compare, missing

MAGNETFILE = """
from magnet import target


def copy(number):
    source, copied = f"in/{{number}}", f"out/{{number}}"

    @target(name=f"copy-{{number}}", inputs=source, outputs=copied)
    def one(t):
        with open(source, "rb") as old, open(copied, "wb") as new:
            new.write(old.read())

    return one


@target(needs=[copy(number) for number in range({number})])
def everything(t):
    pass
"""

DODO = """
def task_copy():
    for number in range({number}):
        source, copied = f"in/{{number}}", f"out/{{number}}"
        yield {{
            "name": str(number),
            "actions": [f"cp {{source}} {{copied}}"],
            "file_dep": [source],
            "targets": [copied],
        }}
"""


def main() -> None:
    """Print the table."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    own = "`magnet everything`"
    with TemporaryDirectory() as directory:
        jobs = [Job(own, command(MAGNET, "everything", cwd=_project(Path(directory, "magnet"), number)))]
        for name, (write, words, goal) in PEERS.items():
            if program := shutil.which(name, path=os.environ.get("PEERS", os.environ["PATH"])) or shutil.which(name):
                project = _project(Path(directory, name), number)
                write(project, number)
                jobs.append(
                    Job(f"`{' '.join((name, *words))}`", command(program, *words, cwd=project), own, at_least=goal)
                )
            else:
                missing(name)
        for job in jobs:
            job.run()  # the first time, everything is made
        time.sleep(3)  # files that are as old as the look at them are not trusted
        compare(f"A no-op of {number:,} file targets", jobs, rounds=rounds, warm_up=2)


def _project(directory: Path, number: int) -> Path:
    (directory / "in").mkdir(parents=True)
    (directory / "out").mkdir()
    for one in range(number):
        (directory / "in" / str(one)).write_text(f"{one}\n")
    (directory / "magnetfile.py").write_text(MAGNETFILE.format(number=number))
    return directory


def _write_ninja(project: Path, number: int) -> None:
    builds = "".join(f"build out/{one}: copy in/{one}\n" for one in range(number))
    (project / "build.ninja").write_text(f"rule copy\n  command = cp $in $out\n{builds}")


def _write_make(project: Path, number: int) -> None:
    names = " ".join(f"out/{one}" for one in range(number))
    (project / "Makefile").write_text(f"all: {names}\nout/%: in/%\n\tcp $< $@\n")


def _write_dodo(project: Path, number: int) -> None:
    (project / "dodo.py").write_text(DODO.format(number=number))


PEERS: dict[str, tuple[Callable[[Path, int], None], tuple[str, ...], float | None]] = {
    # program: (what writes its file, its arguments, how much longer than magnet it should take)
    "ninja": (_write_ninja, (), 1 / 3),
    "make": (_write_make, (), None),
    "doit": (_write_dodo, (), 3.0),
}

if __name__ == "__main__":
    main()
