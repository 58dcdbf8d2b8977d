"""What it costs to see that no file changed, beside git, and to read them all, beside plain Python.

Medians and ratios of interleaved runs. Run it with the Python that magnet is installed for:
`python benchmarks/index.py [FILES [ROUNDS]]`.
"""

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from blake3 import blake3

from magnet.context import selected
from magnet.index import FileIndex
from magnet.snapshot import MARGIN

PER_DIRECTORY = 50
GIT = ["git", "-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost", "-c", "gc.auto=0"]


def main() -> None:
    """Measure every job once a round, in turn, and print the table."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    with TemporaryDirectory() as directory:
        top = Path(directory) / "tree"
        _make(top, files)
        jobs = _jobs(top, Path(directory))
        times: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(rounds + 1):
            for name, (job, _) in jobs.items():
                begun = time.perf_counter()
                job()
                times[name].append(time.perf_counter() - begun)
    # The first round fills caches.
    medians = {name: statistics.median(measured[1:]) for name, measured in times.items()}
    print(f"{files} files\n\n| job | median, ms | ratio | to |\n|---|---|---|---|")
    for name, (_, base) in jobs.items():
        print(f"| {name} | {medians[name] * 1000:.1f} | {medians[name] / medians[base]:.2f} | {base} |")


def _make(top: Path, files: int) -> None:
    chance = random.Random(files)
    for number in range(files):
        path = top / f"{number // PER_DIRECTORY}" / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(4096)))
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*GIT, *command], cwd=top, check=True)
    time.sleep(MARGIN / 1e9 + 1)  # until the files are old enough to be trusted, by git as well
    subprocess.run([*GIT, "status", "--porcelain"], cwd=top, check=True)


def _jobs(top: Path, directory: Path) -> dict[str, tuple[Callable[[], object], str]]:
    """What is measured, each with the job that it is compared with."""

    def look(database: Path) -> None:
        with FileIndex(database) as index:
            index.tree("all", lambda: selected(top, [], [".git"], directory / "never"))

    def cold() -> None:
        (directory / "cold").unlink(missing_ok=True)
        look(directory / "cold")

    def hash_all() -> None:
        for path in top.glob("*/file*"):
            blake3(path.read_bytes()).digest()

    def status() -> None:
        subprocess.run([*GIT, "status", "--porcelain"], cwd=top, check=True, capture_output=True)

    return {
        "`git status --porcelain`": (status, "`git status --porcelain`"),
        "tree, warm": (lambda: look(directory / "warm"), "`git status --porcelain`"),
        "read and hash each file": (hash_all, "read and hash each file"),
        "tree, cold": (cold, "read and hash each file"),
    }


if __name__ == "__main__":
    main()
