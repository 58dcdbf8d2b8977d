"""The engine itself as the oracle: a build from a narrow context copies what a build from all of the directory does."""

import random
import subprocess

import pytest

from tests.contract.engines import Magnet

NAMES = ("a", "b.c", "c.h", "d", "e f", "-g")
SOURCES = (
    ".",
    "a",
    "b.c",
    "*.c",
    "d",
    "d/*",
    "?",
    "[ab]*",
    "d/b.c",
    "*/a",
    "l",
    "l/*",
    "e*",
    "-g",
    "d/e f",
    "?/[ab]*",
    "d*/c.h",
)
IGNORED = ("a", "*.c", "d", "d/a", "**/b.c", "!a", "!d/b.c", "*", "/c.h", "e?f", "d/*", "!*.h")


def write_tree(magnet: Magnet, choose: random.Random) -> None:
    """Files at random, some in a directory, and a link at random."""
    names = [name for name in NAMES if choose.random() < 0.7] + [f"d/{name}" for name in NAMES if choose.random() < 0.5]
    files = [name for name in names if name != "d" and not (name.startswith("d/") and "d" in names and name == "d")]
    magnet.write({name: name for name in files if name != "d"})
    (magnet.root / "l").symlink_to(choose.choice(["a", "d", "/d", "b.c", "d/b.c"]))


def words(source: str) -> str:
    return f'"{source}"'


@pytest.mark.parametrize("seed", range(6))
def test_a_narrow_context_gives_the_same_files(magnet: Magnet, base: str, tag: str, seed: int) -> None:
    choose = random.Random(seed)
    write_tree(magnet, choose)
    ignored = [choose.choice(IGNORED) for _ in range(choose.randrange(4))]
    lines = [
        f'COPY [{", ".join(map(words, choose.sample(SOURCES, choose.randint(1, 2))))}, "/c{number}/"]'
        for number in range(2)
    ]
    dockerfile = f"FROM {base}\n" + "".join(f"{line}\n" for line in lines)
    magnet.write({"Dockerfile": dockerfile, ".dockerignore": "".join(f"{pattern}\n" for pattern in ignored)})
    narrow = magnet("build", "--no-cache", "-t", tag, ".")
    (magnet.root / "_build").rename(magnet.root.with_name(f"{magnet.root.name}-build"))
    own = subprocess.run(
        [magnet.column.backend, "build", *(["--layers"] if magnet.column.backend == "buildah" else []), "--no-cache", "-t", f"{tag}-own", "."],
        cwd=magnet.root, env=magnet.env, capture_output=True, timeout=120,
    )  # fmt: skip
    # What only one engine refuses, as a wildcard all of whose matches are ignored, magnet need not refuse.
    if own.returncode == 0:
        assert narrow.code == 0, (dockerfile, ignored, narrow.err, own.stderr)
        show = 'cd / && find c0 c1 2>/dev/null | sort | while read -r f; do stat -c \'%A %n\' "$f"; test -f "$f" && cat "$f"; done; true'
        assert magnet.ok("run", "--rm", tag, "sh", "-c", show) == magnet.ok(
            "run", "--rm", f"{tag}-own", "sh", "-c", show
        )
