"""Staging a context as a directory of hard links, beside `cp -al`.

`python -m benchmarks.staging [FILES]`, with the Python that magnet is installed for.
"""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Job, command, compare
from benchmarks.projects import make_tree
from magnet.context import selected
from magnet.staging import stage


def main() -> None:
    """Print the table."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with TemporaryDirectory() as directory:
        top, copy = Path(directory, "tree"), Path(directory, "copy")
        make_tree(top, files, 1_000)
        entries = selected(top, [], [], Path(directory, "never")).entries

        def gone() -> None:
            shutil.rmtree(copy, ignore_errors=True)

        compare(
            f"Staging {files:,} files",
            [
                Job("`cp -al`", command("cp", "-al", top, copy), prepare=gone),
                Job("`stage`", lambda: stage(entries, copy), "`cp -al`", at_most=1.5, prepare=gone),
            ],
            rounds=10,
        )


if __name__ == "__main__":
    main()
