"""The store of what targets made: what is in it, and what is put back from it."""

import errno
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from blake3 import blake3

from magnet.globs import Selection
from magnet.index import FileIndex, Tree
from magnet.outputs import Lost, Output, Store, keep, outputs_of, restore, told


def digest(content: bytes) -> str:
    return blake3(content).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "objects")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with outputs of every kind."""
    root = tmp_path / "project"
    (root / "out" / "empty").mkdir(parents=True)
    (root / "out" / "file").write_text("file")
    (root / "out" / "deep").mkdir()
    (root / "out" / "deep" / "run").write_text("run")
    (root / "out" / "deep" / "run").chmod(0o750)
    (root / "out" / "link").symlink_to("nowhere")
    return root


def seen(root: Path) -> tuple[Output, ...]:
    return outputs_of(tree(root))


def tree(root: Path) -> Tree:
    selection = Selection(root, ("out",))
    with FileIndex(root.parent / "files.sqlite") as index:
        return index.tree(selection.name, selection.walk)


def test_an_object_is_named_by_its_content_and_cannot_be_written_to(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    name = digest(b"content")
    store.put_file(os.fsencode(tmp_path / "file"), name)
    assert (store.put(b"content"), store.get(name)) == (name, b"content")
    assert [one for one, _ in store.objects()] == [name]
    path = tmp_path / "objects" / name[:2] / name[2:]
    assert (path.stat().st_mode & 0o777, path.stat().st_nlink) == (0o444, 1)
    assert store.size() == path.stat().st_blocks * 512


def test_part_of_a_file_can_be_kept(store: Store, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"head\nbody\ntail\n")
    with (tmp_path / "log").open("r+b") as log:
        log.seek(5)
        assert store.put_rest(log, 5) == digest(b"body\n")
    assert store.get(digest(b"body\n")) == b"body\n"


def test_a_file_that_is_not_what_it_was_is_not_kept(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"new")
    with pytest.raises(Lost, match=r"^`.*/file` changed while it was kept$"):
        store.put_file(os.fsencode(tmp_path / "file"), digest(b"old"))
    assert list(store.objects()) == []


def test_what_is_broken_is_lost_and_made_room_for(store: Store) -> None:
    name = store.put(b"content")
    for spoil in (b"Content", b""):
        store.path(name).chmod(0o644)
        store.path(name).write_bytes(spoil)
        with pytest.raises(Lost, match=r"^what was kept is broken$"):
            store.get(name)
        with pytest.raises(Lost, match=r"^what was kept is gone"):
            store.get(name)
        assert store.put(b"content") == name
        store.path(name).chmod(0o644)
        store.path(name).write_bytes(spoil)
        assert store.put(b"content") == name, "one that is broken is replaced"
        assert store.get(name) == b"content"


def test_many_can_keep_the_same_at_once(store: Store) -> None:
    start = threading.Barrier(8)

    def put() -> None:
        start.wait()
        store.put(b"content" * 100_000)

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(one, store.get(one)) for one, _ in store.objects()] == [
        (digest(b"content" * 100_000), b"content" * 100_000)
    ]


def remove(path: Path) -> None:
    for directory, _, _ in os.walk(path):
        os.chmod(directory, 0o755)
    os.system(f"rm -rf '{path}'")


def swap(path: Path, make: Callable[[], object]) -> None:
    """Make something else in place of a file, a link or an empty directory."""
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    make()


DAMAGES: Mapping[str, Callable[[Path], object]] = {
    "all is gone": lambda out: remove(out),
    "a file is gone": lambda out: (out / "file").unlink(),
    "a file changed": lambda out: (out / "file").write_text("other"),
    "a mode changed": lambda out: (out / "deep/run").chmod(0o644),
    "a directory's mode changed": lambda out: (out / "deep").chmod(0o500),
    "a directory is gone": lambda out: remove(out / "deep"),
    "an empty directory is gone": lambda out: (out / "empty").rmdir(),
    "a link leads elsewhere": lambda out: swap(out / "link", lambda: (out / "link").symlink_to("else")),
    "a link in place of a directory": lambda out: swap(out / "empty", lambda: (out / "empty").symlink_to("deep")),
    "a link in place of a file": lambda out: swap(out / "file", lambda: (out / "file").symlink_to("deep/run")),
    "a directory in place of a file": lambda out: swap(out / "file", lambda: (out / "file").mkdir()),
    "a file in place of a directory": lambda out: swap(out / "empty", lambda: (out / "empty").write_text("file")),
    "a copy of a file": lambda out: (out / "copy").write_text("file"),
    "a directory more": lambda out: (out / "more/deep").mkdir(parents=True),
    "a link more": lambda out: (out / "more").symlink_to("file"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_outputs_are_put_back_as_they_were(store: Store, root: Path, damage: Callable[[Path], object]) -> None:
    wanted = keep(store, tree(root))
    damage(root / "out")
    assert told(wanted, seen(root)) != []
    restore(store, root, wanted, seen(root))
    assert seen(root) == wanted
    assert {path.lstat().st_nlink for path in (root / "out").rglob("*") if not path.is_dir()} == {1}


def test_directories_that_cannot_be_written_to_are_written_to_and_stay_so(store: Store, root: Path) -> None:
    (root / "out/deep").chmod(0o555)
    (root / "out").chmod(0o555)
    wanted = keep(store, tree(root))
    (root / "out").chmod(0o755)
    (root / "out/file").unlink()
    (root / "out/deep/run").chmod(0o644)
    (root / "out").chmod(0o511)
    restore(store, root, wanted, seen(root))
    assert seen(root) == wanted
    (root / "out").chmod(0o755)
    (root / "out/deep").chmod(0o755)


def test_a_file_that_nobody_made_is_neither_removed_nor_replaced_by_anything(store: Store, root: Path) -> None:
    wanted = keep(store, tree(root))
    (root / "out/mine").write_text("mine")
    (root / "out/file").unlink()
    with pytest.raises(Lost, match=r"^`out/mine` is among the outputs and was not made by a target$"):
        restore(store, root, wanted, seen(root))
    assert (root / "out/mine").read_text() == "mine"
    assert not (root / "out/file").exists(), "nothing is begun that cannot be ended"


def test_nothing_is_begun_if_an_object_is_missing(store: Store, root: Path) -> None:
    wanted = keep(store, tree(root))
    store.remove(digest(b"run"))
    remove(root / "out")
    with pytest.raises(Lost, match=r"^what was kept is gone$"):
        restore(store, root, wanted, seen(root))
    assert not (root / "out").exists()


def test_a_broken_object_is_never_put_back(store: Store, root: Path) -> None:
    wanted = keep(store, tree(root))
    path = store.path(digest(b"run"))
    path.chmod(0o644)
    path.write_text("RUN")
    remove(root / "out")
    with pytest.raises(Lost, match=r"^what was kept is broken$"):
        restore(store, root, wanted, seen(root))
    assert not (root / "out/deep/run").exists()
    assert not store.has(digest(b"run")), "nor found again"


def test_a_store_on_another_file_system_is_as_good(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = keep(store, tree(root))
    replace = os.replace

    def refuse(old: bytes, new: bytes) -> None:
        if b"/objects/" in os.fsencode(old):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        replace(old, new)

    remove(root / "out")
    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(os, "copy_file_range", lambda *_: refuse(b"/objects/", b""))
    restore(store, root, wanted, seen(root))
    assert seen(root) == wanted


def test_what_has_to_be_put_back_is_told() -> None:
    one, two = Output("a", "file", 0o644, "1"), Output("b", "file", 0o644, "1")
    other = Output("b", "file", 0o644, "2")
    assert told([one, two], [other, Output("c", "dir", 0o755)]) == ["`a` is gone", "`b` changed", "`c` is too many"]
