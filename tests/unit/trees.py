"""Trees of files, made and looked at."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st

from magnet.context import Entry, selected

NEVER = Path("/nonexistent/_build")
NOBODY = 65534
MODES = st.sampled_from([0o644, 0o600, 0o755, 0o444, 0o4755])
PLAIN = st.sampled_from([b"a", b"b", b"c", b"ab", b"a.c"])
ODD = st.binary(min_size=1, max_size=5).filter(
    lambda name: not {0, ord("/")} & set(name) and name not in (b".", b"..")
) | st.sampled_from([b"-rf", b" ", b"\n", b"\xff", "é".encode(), b"#", b"*"])


def whole(root: Path, ignored: Sequence[str], never: Path) -> tuple[Entry, ...]:
    return selected(root, (), ignored, never).entries


Tree = dict[bytes, Any]
"""Names, each with a directory's tree, a file's (content, mode), or a link's target."""


def trees(names: st.SearchStrategy[bytes]) -> st.SearchStrategy[Tree]:
    files = st.tuples(st.binary(max_size=5), MODES)
    links = st.sampled_from([b"a", b"../a", b"/nowhere", b"."])
    return st.recursive(
        st.dictionaries(names, files | links, max_size=4),
        lambda below: st.dictionaries(names, files | links | below, max_size=4),
        max_leaves=12,
    )


def make(top: bytes, tree: Tree) -> None:
    os.makedirs(top, exist_ok=True)
    for name, what in tree.items():
        path = top + b"/" + name
        if isinstance(what, dict):
            make(path, what)
        elif isinstance(what, bytes):
            os.symlink(what, path)
        else:
            with open(path, "wb") as file:
                file.write(what[0])
            os.chmod(path, what[1])


def files(directory: Path, *names: str) -> None:
    """Files that hold their own names; a name that ends in `/` is an empty directory."""
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_text(name)


def paths(entries: tuple[Entry, ...]) -> list[str]:
    return [os.fsdecode(entry.path) for entry in entries]


def everything_in(top: bytes) -> dict[bytes, tuple[object, ...]]:
    """All names below a directory, each with its kind, its permission bits and what it holds."""
    found: dict[bytes, tuple[object, ...]] = {}
    for directory, directories, names in os.walk(top):
        for name in directories + names:
            path = os.path.join(directory, name)
            info = os.lstat(path)
            if stat.S_ISLNK(info.st_mode):
                held: object = os.readlink(path)
            else:
                held = Path(os.fsdecode(path)).read_bytes() if stat.S_ISREG(info.st_mode) else None
            found[os.path.relpath(path, top)] = (stat.S_IFMT(info.st_mode), stat.S_IMODE(info.st_mode), held)
    return found


@contextmanager
def directory_for_all() -> Iterator[Path]:
    """A directory in which any user may write, which pytest's are not."""
    with TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """The body runs without root's rights, whoever runs the tests."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
