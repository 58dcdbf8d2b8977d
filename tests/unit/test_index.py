"""What the index may remember, and that it is never wrong."""

import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from magnet import snapshot
from magnet.context import Walked, selected
from magnet.digest import file_digest, tree_digest
from magnet.index import FileIndex, Tree
from magnet.meter import Advance

HOUR = 3600 * 1_000_000_000


def later() -> int:
    """A clock by which nothing is so young that it could not be trusted; nobody can set a ctime."""
    return time.time_ns() + HOUR


def tick() -> None:
    """Wait until a change gets another time than the last one; kernels before 6.13 count in jiffies."""
    time.sleep(0.012)


def walk(top: Path) -> Walked:
    return selected(top, [], ["ignored"], top / "_build")


def no_walk() -> Walked:
    raise AssertionError("the index walked")


def looked_at(index: FileIndex, top: Path, selection: str = "all") -> Tree:
    """The tree that the index gives, which must be what is there."""
    tree = index.tree(selection, lambda: walk(top))
    entries = walk(top).entries
    assert tree.digest == tree_digest(entries)
    assert tree.entries == entries
    assert tree.contents == {entry.source: file_digest(entry.source) for entry in entries if entry.kind == "file"}
    return tree


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "index"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that are read, as they are read."""
    read: list[bytes] = []

    def recording(source: bytes, advance: Advance) -> bytes:
        read.append(os.path.basename(source))
        return bytes.fromhex(file_digest(source))

    monkeypatch.setattr(snapshot, "content_digest", recording)
    return read


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A small tree with names and links of every kind."""
    return make_tree(tmp_path / "tree")


def make_tree(top: Path) -> Path:
    for directory in ("a/b", "c", "ignored"):
        (top / directory).mkdir(parents=True)
    for number, name in enumerate((b"a/1", b"a/b/2", b"a/b/\xff\n", b"c/4", b"5", b"ignored/6")):
        Path(os.fsdecode(os.path.join(os.fsencode(top), name))).write_text(f"content {number}")
    (top / "c" / "link").symlink_to("4")
    (top / "to_directory").symlink_to(b"\xff\n".decode("utf-8", "surrogateescape"))
    tick()
    return top


# Edits

EDITS = (
    "write",
    "replace",
    "swap",
    "chmod",
    "touch",
    "add",
    "remove",
    "retarget",
    "to directory",
    "to file",
    "hard link",
)


def found(top: Path, is_wanted: Callable[[Path], bool]) -> list[Path]:
    return sorted(path for path in top.rglob("*") if is_wanted(path) and not path.is_symlink())


def edit(what: str, top: Path, chance: random.Random) -> None:
    """Do that to something below `top` that chance chooses; a file that is changed keeps its size and mtime."""
    directory = chance.choice([*found(top, Path.is_dir), top])
    new = next(path for number in count() if not (path := directory / f"new{number}").exists())
    files = found(top, Path.is_file)
    if what == "add" or not files:
        new.write_bytes(chance.randbytes(9))
        return
    file, other = chance.choice(files), chance.choice(files)
    content, mtime = chance.randbytes(file.stat().st_size), (0, file.stat().st_mtime_ns)
    match what:
        case "write":
            file.write_bytes(content)
            os.utime(file, ns=mtime)
        case "replace":
            new.write_bytes(content)
            os.utime(new, ns=mtime)
            new.rename(file)
        case "swap" if file != other:
            file.rename(new)
            other.rename(file)
            new.rename(other)
        case "chmod":
            chance.choice([file, directory]).chmod(chance.choice([0o700, 0o755, 0o777]))
        case "touch":
            os.utime(chance.choice([file, directory]), (0, chance.randrange(1 << 30)))
        case "remove":
            file.unlink()
        case "to directory":
            file.unlink()
            file.mkdir()
        case "retarget":
            (directory / "link").unlink(missing_ok=True)
            (directory / "link").symlink_to(f"{chance.randrange(10)}")
        case "to file" if directory != top:
            shutil.rmtree(directory)
            directory.write_bytes(chance.randbytes(4))
        case "hard link":
            new.hardlink_to(file)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(EDITS), st.booleans()), max_size=12), st.randoms(use_true_random=False))
def test_after_any_edit_the_tree_is_that_of_a_fresh_walk(edits: list[tuple[str, bool]], chance: random.Random) -> None:
    with TemporaryDirectory() as directory:
        top = make_tree(Path(directory) / "tree")
        trusting = FileIndex(Path(directory) / "one", clock=later)
        with trusting, FileIndex(Path(directory) / "two") as careful:
            looked_at(trusting, top)
            for what, is_looked_at in [*edits, ("touch", True)]:
                tick()
                edit(what, top, chance)
                if is_looked_at:
                    assert looked_at(trusting, top).digest == looked_at(careful, top).digest
                    # The second look must be a warm one, or this shows nothing.
                    assert trusting.tree("all", no_walk).entries == walk(top).entries


# What is remembered, and what is not


def test_an_unchanged_tree_is_neither_walked_nor_read(top: Path, path: Path, reads: list[bytes]) -> None:
    with FileIndex(path, clock=later) as index:
        first = index.tree("all", lambda: walk(top))
    reads.clear()
    with FileIndex(path) as index:
        again = index.tree("all", no_walk)
    assert (again.digest, again.entries, again.contents) == (first.digest, first.entries, first.contents)
    assert reads == []


@pytest.mark.parametrize("what", ["write", "replace"])
def test_only_what_changed_is_read_again(top: Path, path: Path, reads: list[bytes], what: str) -> None:
    with FileIndex(path, clock=later) as index:
        looked_at(index, top)
        tick()
        reads.clear()
        edit(what, top / "c", random.Random(1))
        index.tree("all", lambda: walk(top))
        index.tree("all", no_walk)
    assert reads == [b"4"]


def test_a_hard_link_to_a_file_changes_no_digest(top: Path, path: Path, reads: list[bytes]) -> None:
    with FileIndex(path, clock=later) as index:
        before = looked_at(index, top)
        tick()
        reads.clear()
        os.link(top / "5", path.parent / "link")
        assert index.tree("all", lambda: walk(top)).digest == before.digest
        assert index.tree("all", no_walk).digest == before.digest
    assert reads == [b"5"]


def test_another_selection_of_the_same_files_reads_none_of_them(top: Path, path: Path, reads: list[bytes]) -> None:
    with FileIndex(path, clock=later) as index:
        index.tree("all", lambda: walk(top))
        reads.clear()
        index.tree("all again", lambda: walk(top))
    assert reads == []


def test_a_file_younger_than_the_margin_is_read_again(top: Path, path: Path, reads: list[bytes]) -> None:
    now = later()
    with FileIndex(path, clock=lambda: now) as index:
        os.utime(top / "5", ns=(0, now - snapshot.MARGIN))
        looked_at(index, top)
        for _ in range(2):
            reads.clear()
            looked_at(index, top)
            assert reads == [b"5"]
        now += 1
        looked_at(index, top)
        index.tree("all", no_walk)


@pytest.mark.parametrize("directory", [".", "a", "a/b", "c"])
def test_a_new_file_is_seen_in_every_directory(top: Path, path: Path, directory: str) -> None:
    with FileIndex(path, clock=later) as index:
        looked_at(index, top)
        tick()
        (top / directory / "new").touch()
        looked_at(index, top)


def test_a_change_during_the_walk_is_seen(top: Path, path: Path) -> None:
    now = time.time_ns()

    def meddled_with() -> Walked:
        nonlocal now
        walked = walk(top)
        (top / "new").write_text("new")
        now = later()
        return walked

    with FileIndex(path, clock=lambda: now) as index:
        index.tree("all", meddled_with)
        looked_at(index, top)


# The database


def break_it(how: str, path: Path) -> None:
    content = path.read_bytes()
    contents = {"garbage": b"garbage" * 5000, "truncated": content[: len(content) // 2], "empty": b""}
    contents |= {"damaged": content[: 1 << 14] + content[: 1 << 13 : -1]}
    match how:
        case "read-only":  # which root does not notice
            path.chmod(0o400)
            path.parent.chmod(0o500)
        case "below a file":
            shutil.rmtree(path.parent)
            path.parent.write_text("a file")
        case "directory":
            path.unlink()
            path.mkdir()
        case _:
            path.write_bytes(contents.get(how, b""))
            with closing(sqlite3.connect(path)) as foreign:
                foreign.executescript("" if how in contents else how)


BROKEN = ["garbage", "damaged", "truncated", "empty", "CREATE TABLE other (x)", "PRAGMA user_version = 2"]
BROKEN += [f"CREATE TABLE {table} (x); PRAGMA user_version = 1" for table in ("other", "snapshots")]


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_database_is_made_anew(top: Path, path: Path, how: str) -> None:
    with FileIndex(path, clock=later) as index:
        looked_at(index, top)
        index.close()
        break_it(how, path)
        looked_at(index, top)
    with FileIndex(path) as index:
        index.tree("all", no_walk)


@pytest.mark.parametrize("how", ["directory", "below a file", "read-only"])
def test_without_a_database_every_tree_is_right(top: Path, path: Path, how: str) -> None:
    with FileIndex(path, clock=later) as index:
        looked_at(index, top)
        index.close()
        break_it(how, path)
        for what in EDITS:
            edit(what, top, random.Random(1))
            tick()
            looked_at(index, top)
    path.parent.chmod(0o700)


def test_a_locked_database_is_done_without(top: Path, path: Path) -> None:
    with FileIndex(path, clock=later) as index:
        looked_at(index, top)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            looked_at(index, top)
        index.tree("all", no_walk)


@pytest.mark.parametrize("column", ["seal", *snapshot.Snapshot._fields])
@pytest.mark.parametrize("value", [b"0" * 64, None])
def test_a_row_that_was_tampered_with_is_ignored(top: Path, path: Path, column: str, value: object) -> None:
    with FileIndex(path, clock=later) as index:
        looked_at(index, top)
        with closing(sqlite3.connect(path)) as other, other:
            other.execute(f"UPDATE snapshots SET {column} = ?", (value,))
        with pytest.raises(AssertionError, match=r"^the index walked$"):
            index.tree("all", no_walk)
        looked_at(index, top)


def test_the_row_of_another_selection_is_ignored(top: Path, path: Path) -> None:
    with FileIndex(path, clock=later) as index:
        index.tree("c", lambda: walk(top / "c"))
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE snapshots SET selection = ?", (blake3(b"all").digest(),))
        looked_at(index, top)


def look(path: Path, top: Path, selection: str) -> str:
    with FileIndex(path, clock=later) as index:
        return looked_at(index, top, selection).digest


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, partial(ProcessPoolExecutor, mp_context=get_context("spawn"))])
def test_many_look_at_once(top: Path, path: Path, pool: Callable[[int], Executor]) -> None:
    with pool(4) as others:
        looks = [others.submit(look, path, top, f"{number % 3}") for number in range(24)]
        assert {each.result() for each in looks} == {tree_digest(walk(top).entries)}
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
