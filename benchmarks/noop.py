"""A build in which nothing changed: magnet's beside the engine's own, fully cached.

`python -m benchmarks.noop BACKEND [FILES...]`, with the Python that magnet is installed for, where the engines answer;
`DOCKER_BUILDKIT=0` measures docker's legacy builder.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import MAGNET, Job, command, compare
from benchmarks.projects import TAG, images_removed, make_base, make_project, settle

GOALS = {
    # files: how many times as long docker's build takes as magnet's, and that of the other engines
    10: (2, 4),
    1_000: (4, 15),
    20_000: (8, 100),
    100_000: (8, 100),
}
MAGNETFILE = f"""\
from magnet import target


@target
def build(t):
    return t.build(".", tags=["{TAG}-by-magnet"])
"""
SIZES = {10: 10_000, 1_000: 10_000, 20_000: 25_000, 100_000: 1_000}


def main() -> None:
    """Print a table for each number of files."""
    backend = sys.argv[1]
    for files in map(int, sys.argv[2:] or ["10", "1000", "20000"]):
        with TemporaryDirectory() as directory, images_removed(backend):
            _compare(backend, files, Path(directory))


def _compare(backend: str, files: int, directory: Path) -> None:
    env = {"DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "1")} if backend == "docker" else {}
    name = f"{backend}, legacy builder" if env.get("DOCKER_BUILDKIT") == "0" else backend
    root = directory / "project"
    make_base(backend, directory / "base", env)
    make_project(root, files, SIZES.get(files, 1_000))
    (root / "magnetfile.py").write_text(MAGNETFILE)
    settle()
    layers = ["--layers", "--pull=false"] if backend == "buildah" else []
    of_docker, of_others = GOALS.get(files, (None, None))
    goal = of_docker if backend == "docker" and "legacy" not in name else of_others
    own = "`magnet build`"
    compare(
        f"Nothing changed: {name}, {files:,} files",
        [
            Job(own, command(MAGNET, "--backend", backend, "build", cwd=root, env=env)),
            Job(
                f"`{backend} build`",
                command(backend, "build", *layers, "-t", TAG, ".", cwd=root, env=env),
                own,
                at_least=goal,
            ),
        ],
        warm_up=2,  # in the first round both are built
        seconds=30,
    )


if __name__ == "__main__":
    main()
