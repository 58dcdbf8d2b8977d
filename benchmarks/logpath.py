"""How many lines a second come from a child into its log, beside the child writing into a file itself.

What is shown meanwhile goes nowhere.

`python -m benchmarks.logpath [ENGINE...]`, with the Python that magnet is installed for; engines run the same in a
container, beside their own output going into a file.
"""

import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import MAGNET
from benchmarks.projects import BASE, images_removed, make_base

LINES = 10_000_000
LINE = "compiling src/module/file.c to build/module/file.o"
GOAL = 3_000_000
ROUNDS = 5

SHOUT = f"yes {shlex.quote(LINE)} | head -n {{lines}}"
MAGNETFILE = f"""
from magnet import target


@target
def shout(t):
    t.exec("sh", "-c", {SHOUT.format(lines=LINES)!r})


@target
def nothing(t):
    t.exec("true")


@target
def contained(t, image: str, lines: int):
    t.run(image, "sh", "-c", {SHOUT!r}.format(lines=lines), pull="never")
"""


def main() -> None:
    """Print a table for a program of this machine, and one for each engine."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "magnetfile.py").write_text(MAGNETFILE)
        magnet = partial(_magnet, directory)
        _print_table(
            "From a program to its log",
            LINES,
            {
                "the program, into a file": partial(_shell, SHOUT.format(lines=LINES), directory),
                **{f"magnet, `{mode}`": partial(magnet, mode, "shout") for mode in ("quiet", "plain", "rawjson")},
                "magnet, nothing to print": partial(magnet, "quiet", "nothing"),
            },
            GOAL,
        )
        for engine in sys.argv[1:]:
            _contained(engine, directory)


def _contained(engine: str, directory: Path) -> None:
    lines = LINES // 10
    with images_removed(engine):
        make_base(engine, directory / engine, dict(os.environ))
        run = f"{engine} run --rm {BASE} sh -c {shlex.quote(SHOUT.format(lines=lines))}"
        words = ("--backend", engine, "contained", BASE, str(lines))
        _print_table(
            f"From a container of {engine} to its log",
            lines,
            {
                f"`{engine} run`, into a file": partial(_shell, run, directory),
                "magnet, `quiet`": partial(_magnet, directory, "quiet", *words),
                "magnet, `plain`": partial(_magnet, directory, "plain", *words),
            },
        )


def _shell(script: str, directory: Path) -> None:
    with (directory / "output").open("wb") as file:
        subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=file, check=True)


def _magnet(directory: Path, progress: str, *words: str) -> None:
    argv = [MAGNET, f"--progress={progress}", *words]
    null = subprocess.DEVNULL  # what is shown is made, and goes nowhere: the log is what is compared
    subprocess.run(argv, cwd=directory, stdin=null, stdout=null, stderr=null, check=True)


def _print_table(title: str, lines: int, jobs: dict[str, Callable[[], object]], goal: float | None = None) -> None:
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(ROUNDS + 1):
        print(f"{title}: round {number + 1}", file=sys.stderr)
        for name, run in jobs.items():
            begun = time.perf_counter()
            run()
            if number:
                times[name].append(time.perf_counter() - begun)
    medians = {name: statistics.median(found) for name, found in times.items()}
    first = next(iter(medians.values()))
    print(
        f"### {title}: {lines:,} lines\n\n| job | median, s | M lines/s | ratio | goal | |\n|---|---|---|---|---|---|"
    )
    for name, median in medians.items():
        rate = lines / median
        verdict = "|"
        if goal is not None and "`" in name:
            verdict = f"at least {goal / 1e6:g} | {'met' if rate >= goal else 'not met'}"
        print(f"| {name} | {median:.2f} | {rate / 1e6:.2f} | {median / first:.2f} | {verdict} |")
    print(flush=True)


if __name__ == "__main__":
    main()
