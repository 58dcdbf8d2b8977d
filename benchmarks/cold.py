"""A build that has to be done: with a narrow context of few of many files, and what magnet adds to a build.

`python -m benchmarks.cold [BACKEND...]`, with the Python that magnet is installed for, where the engines answer;
`docker-legacy` is docker's legacy builder.
"""

import os
import shutil
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import MAGNET, Job, command, compare
from benchmarks.projects import BASE, TAG, images_removed, make_base, make_project, make_tree, settle

NEEDED, OTHERS = 1_000, 19_000
SECONDS = 5


def main() -> None:
    """Print both tables of each engine."""
    for name in sys.argv[1:] or ["docker", "docker-legacy"]:
        for measured in (_narrow, _added):
            with TemporaryDirectory() as directory, images_removed(name.removesuffix("-legacy")):
                measured(name, Path(directory))


def _narrow(name: str, directory: Path) -> None:
    root = directory / "project"
    make_tree(root / "needed", NEEDED, 10_000)
    make_tree(root / "others", OTHERS, 10_000)
    (root / "Dockerfile").write_text(f"FROM {BASE}\nCOPY needed /needed\n")
    goal = {"docker": 1.0, "docker-legacy": 3.0}.get(name)
    _compare(f"A build that needs 5 % of 20,000 files: {name}", name, directory, "needed", goal, None)


def _added(name: str, directory: Path) -> None:
    make_project(directory / "project", 1_000, 10_000, f"RUN sleep {SECONDS}\n")
    title = f"What magnet adds to a build of {SECONDS} seconds and 1,000 files: {name}"
    _compare(title, name, directory, "src", None, 1.03)


def _compare(
    title: str, name: str, directory: Path, changing: str, at_least: float | None, at_most: float | None
) -> None:
    """Time both, each with a new file, in a project under a new name: no engine has a copy of its files by that."""
    backend = name.removesuffix("-legacy")
    env = {"DOCKER_BUILDKIT": "0" if name.endswith("-legacy") else "1"}
    layers = ["--layers", "--pull=false"] if backend == "buildah" else []
    make_base(backend, directory / "base", env)
    settle()
    numbers = count()
    root = directory / "project"

    def change() -> None:
        nonlocal root
        number = next(numbers)
        root = root.rename(directory / f"project{number}")
        shutil.rmtree(root / "_build", ignore_errors=True)
        (root / changing / "new").write_bytes(os.urandom(16))  # new to a store that other runs have filled, too

    def run(*argv: str) -> Callable[[], object]:
        return lambda: command(*argv, cwd=root, env=env)()

    own, engines = "`magnet build`", f"`{backend} build`"
    magnet = run(MAGNET, "--backend", backend, "build", "-t", TAG, ".")
    engine = run(backend, "build", *layers, "-t", TAG, ".")
    compare(
        title,
        [
            Job(own, magnet, engines if at_most else "", at_most=at_most, prepare=change),
            Job(engines, engine, "" if at_most else own, at_least=at_least, prepare=change),
        ],
        rounds=5,
        seconds=40,
    )


if __name__ == "__main__":
    main()
