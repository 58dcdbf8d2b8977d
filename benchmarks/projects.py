"""Trees of files to measure with."""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import command

SETTLED = 3.0
"""Seconds after which the times of a file are trusted, by git as well as by magnet's index."""

PER_DIRECTORY = 100
BASE = "localhost/magnet-benchmark-base"
TAG = "localhost/magnet-benchmark"
_LABEL = "dev.magnet.benchmark"


def make_tree(top: Path, files: int, size: int) -> None:
    """Fill a directory with files of half to one and a half times a size, each with a content of its own."""
    chance = random.Random(files)
    for number in range(files):
        path = top / str(number // PER_DIRECTORY) / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(size // 2, size + size // 2)))


def make_base(program: str, directory: Path, env: dict[str, str]) -> None:
    """Build the image that `make_project` builds from, which has busybox in it and nothing else."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise SystemExit("error: no `busybox` here\nhint: install the package `busybox-static`")
    directory.mkdir()
    shutil.copy(busybox, directory / "busybox")
    (directory / "Dockerfile").write_text(
        f'FROM scratch\nLABEL {_LABEL}=1\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n'
    )
    command(program, "build", "-t", BASE, ".", cwd=directory, env=env)()


def make_project(root: Path, files: int, size: int, steps: str = "RUN true\nRUN echo done\n") -> None:
    """A project whose image is the base, all of `src/`, and what the steps make."""
    make_tree(root / "src", files, size)
    (root / ".dockerignore").write_text("_build\n")
    (root / "Dockerfile").write_text(f"FROM {BASE}\nCOPY src /src\n{steps}")


def settle() -> None:
    """Wait until the files are trusted."""
    time.sleep(SETTLED)


@contextmanager
def images_removed(program: str) -> Iterator[None]:
    """Remove the images of benchmarks from an engine at the end of the block, those that magnet's keys hold too."""
    try:
        yield
    finally:
        listing = [program, "images", "--quiet", "--filter", f"label={_LABEL}"]
        if images := set(subprocess.run(listing, capture_output=True, text=True).stdout.split()):
            subprocess.run([program, "rmi", "--force", *images], capture_output=True)
