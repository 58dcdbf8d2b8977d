"""What it costs to see that no file changed, beside git, and to read and hash them, beside `b3sum`.

`python -m benchmarks.index [FILES...]`, with the Python that magnet is installed for.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Job, command, compare, missing
from benchmarks.projects import make_tree, settle
from magnet.context import Walked, selected
from magnet.digest import file_digest
from magnet.index import FileIndex

GIT = ["git", "-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost", "-c", "gc.auto=0"]
SIZES = {20_000: 25_000}
LARGE = 1 << 30


def main() -> None:
    """Print a table of a large file, and one for each number of files."""
    if not shutil.which("b3sum"):
        missing("b3sum")
    with TemporaryDirectory() as directory:
        compare("Digest of a file of 1 GiB", list(_large(Path(directory) / "large")))
    for files in map(int, sys.argv[1:] or ["20000", "100000"]):
        with TemporaryDirectory() as directory:
            top = Path(directory) / "tree"
            _make(top, files)
            compare(f"Digest of {files:,} files", list(_tree(top, Path(directory))), rounds=15)


def _large(path: Path) -> Iterator[Job]:
    block = bytes(range(256)) * (1 << 12)
    with path.open("wb") as file:
        for _ in range(LARGE // len(block)):
            file.write(block)
    if shutil.which("b3sum"):
        yield Job("`b3sum`", command("b3sum", path))
        # 0.95 times as fast
        yield Job("`file_digest`", lambda: file_digest(path), "`b3sum`", at_most=round(1 / 0.95, 2))
    else:
        yield Job("`file_digest`", lambda: file_digest(path))


def _make(top: Path, files: int) -> None:
    make_tree(top, files, SIZES.get(files, 1_000))
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*GIT, *arguments], cwd=top, check=True)
    settle()
    subprocess.run([*GIT, "status", "--porcelain"], cwd=top, check=True)


def _tree(top: Path, directory: Path) -> Iterator[Job]:
    def walk() -> Walked:
        return selected(top, [], [".git"], directory / "never")

    def look(database: Path) -> None:
        with FileIndex(database) as index:
            index.tree("all", walk)

    status, sums = "`git status --porcelain`", "`xargs -P2 b3sum`"
    yield Job(status, command(*GIT, "status", "--porcelain", cwd=top))
    yield Job("warm index", lambda: look(directory / "warm"), status, at_most=1.3)
    cold = directory / "cold"
    goal: tuple[str, float | None] = ("", None)
    if shutil.which("b3sum"):
        names = "find . -name .git -prune -o -type f -print0"
        yield Job(sums, command("sh", "-c", f"{names} | xargs -0 -n 500 -P2 b3sum", cwd=top))
        goal = (sums, 1.0)
    yield Job("cold index", lambda: look(cold), goal[0], at_most=goal[1], prepare=lambda: cold.unlink(missing_ok=True))


if __name__ == "__main__":
    main()
