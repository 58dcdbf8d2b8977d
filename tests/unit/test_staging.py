"""What a staged directory looks like."""

import os
import random
import shutil
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from magnet.context import Entry, declared
from magnet.errors import MagnetError
from magnet.model import Copy
from magnet.staging import stage, unstage
from tests.unit.trees import (
    NEVER,
    ODD,
    Tree,
    directory_for_all,
    everything_in,
    files,
    make,
    ordinary_user,
    trees,
    whole,
)

pytestmark = pytest.mark.usefixtures("usual_umask")


def without_special_bits(found: dict[bytes, tuple[object, ...]]) -> dict[bytes, tuple[object, ...]]:
    return {
        path: (kind, mode & 0o777, held)  # type: ignore[operator]
        for path, (kind, mode, held) in found.items()
    }


@settings(max_examples=150, deadline=None)
@given(trees(ODD))
def test_a_staged_directory_equals_a_naive_copy(tree: Tree) -> None:
    with TemporaryDirectory() as name:
        source, staged, copied = (os.fsencode(name) + end for end in (b"/source", b"/staged", b"/copied"))
        make(source, tree)
        stage(whole(Path(os.fsdecode(source)), (), NEVER), Path(os.fsdecode(staged)))
        shutil.copytree(os.fsdecode(source), os.fsdecode(copied), symlinks=True)
        assert everything_in(staged) == without_special_bits(everything_in(copied))
        unstage(Path(os.fsdecode(staged)))
        assert sorted(os.listdir(name)) == ["copied", "source"]


def test_order_of_entries_does_not_matter_to_staging(root: Path) -> None:
    files(root, "in/a/b/c", "in/a-b", "in/a/d/")
    entries = whole(root / "in", (), NEVER)
    stage(random.Random(1).sample(entries, len(entries)), root / "staged")
    assert everything_in(os.fsencode(root / "staged")) == everything_in(os.fsencode(root / "in"))


def staged_file(root: Path) -> Path:
    """The file `file`, staged by itself."""
    stage(declared([Copy("file")], root, NEVER).entries, root / "staged")
    return root / "staged/file"


def test_a_staged_file_is_a_hard_link(root: Path) -> None:
    files(root, "file")
    assert staged_file(root).samefile(root / "file")


@pytest.mark.parametrize("bit", [stat.S_ISUID, stat.S_ISGID, stat.S_ISVTX])
def test_setuid_setgid_and_sticky_bits_are_not_staged_and_stay_on_the_source(root: Path, bit: int) -> None:
    files(root, "file")
    os.chmod(root / "file", 0o755 | bit)
    before = (root / "file").stat().st_mode
    staged = staged_file(root)
    assert (stat.S_IMODE(staged.stat().st_mode), staged.read_text()) == (0o755, "file")
    assert (root / "file").stat().st_mode == before


def test_extended_attributes_are_not_staged(root: Path) -> None:
    files(root, "file")
    try:
        os.setxattr(root / "file", "user.note", b"x")
    except OSError:
        pytest.skip("the file system here has no extended attributes")
    staged = staged_file(root)
    assert ("user.note" in os.listxattr(staged), staged.read_text()) == (False, "file")


def test_a_foreign_file_that_cannot_be_linked_is_copied() -> None:
    with directory_for_all() as root, ordinary_user():
        stage(declared([Copy("/etc/passwd")], root, NEVER).entries, root / "staged")
        assert (root / "staged/passwd").read_bytes() == Path("/etc/passwd").read_bytes()
        unstage(root / "staged")


def test_a_copy_keeps_the_whole_seconds_of_the_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(root, "dir/file", "dir/sub/x")
    os.symlink("file", root / "dir/link")
    for name in ("dir/file", "dir/link", "dir/sub"):
        os.utime(root / name, ns=(1, 1_234_567_890_987_654_321), follow_symlinks=False)

    def no_link(source: bytes, path: bytes) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_link)
    stage(declared([Copy("dir", "/made/up")], root, NEVER).entries, root / "staged")
    times = {
        name: (root / "staged" / name).lstat().st_mtime_ns
        for name in ("made", "made/up/file", "made/up/link", "made/up/sub")
    }
    second = 1_234_567_890 * 10**9
    assert times == {"made": 0, "made/up/file": second, "made/up/link": second, "made/up/sub": second}


def test_directories_get_their_modes_and_can_still_be_removed() -> None:
    with directory_for_all() as root, ordinary_user():
        entries = [
            Entry(b"a", "dir", 0o555),
            Entry(b"a/b", "dir", 0o000),
            Entry(b"a/b/c", "dir", 0o755),
            Entry(b"a/b/c/link", "link", 0o777, os.fsencode(root), b"/etc"),
        ]
        stage(entries, root / "staged")
        assert stat.S_IMODE((root / "staged").stat().st_mode) == 0o755
        assert stat.S_IMODE((root / "staged/a").stat().st_mode) == 0o555
        assert stat.S_IMODE((root / "staged/a/b").stat().st_mode) == 0o000
        unstage(root / "staged")
        assert not (root / "staged").exists()


def test_a_staged_directory_does_not_inherit_setgid(root: Path) -> None:
    files(root, "file")
    os.chmod(root, 0o2755)
    stage(declared([Copy("file", "/d/file")], root, NEVER).entries, root / "staged")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (root / "staged", root / "staged/d")]
    assert modes == [0o755, 0o755]


def test_staging_that_fails_leaves_nothing(root: Path) -> None:
    files(root, "in/a/file", "in/b")
    entries = whole(root / "in", (), NEVER)
    (root / "in/b").unlink()
    with pytest.raises(MagnetError) as caught:
        stage(entries, root / "staged")
    assert caught.value.message == f"cannot stage `{root}/in/b`: No such file or directory"
    assert not (root / "staged").exists()


def test_staging_that_is_interrupted_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(root, "in/a/file")

    def interrupted(source: bytes, path: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage(whole(root / "in", (), NEVER), root / "staged")
    assert not (root / "staged").exists()


def test_a_file_that_became_something_else_is_not_staged(root: Path) -> None:
    files(root, "in/file")
    entries = whole(root / "in", (), NEVER)
    (root / "in/file").unlink()
    os.symlink("/etc/passwd", root / "in/file")
    with pytest.raises(MagnetError) as caught:
        stage(entries, root / "staged")
    assert caught.value.message == f"`{root}/in/file` changed while the context was staged"


def test_a_directory_that_another_staged_is_not_touched(root: Path) -> None:
    files(root, "staged/theirs")
    with pytest.raises(MagnetError) as caught:
        stage([], root / "staged")
    assert caught.value.message == f"cannot make `{root}/staged`: File exists"
    assert everything_in(os.fsencode(root / "staged")).keys() == {b"theirs"}


def test_unstaging_follows_no_links_and_does_not_mind_what_is_gone(root: Path) -> None:
    files(root, "mine/file", "staged/")
    os.symlink(root / "mine", root / "staged/link")
    unstage(root / "staged")
    unstage(root / "staged")
    assert everything_in(os.fsencode(root)).keys() == {b"mine", b"mine/file"}


def test_a_very_deep_tree_is_no_problem(root: Path) -> None:
    directory = os.fsencode(root / "in")
    os.mkdir(directory)
    for _ in range(1200):
        directory += b"/d"
        os.mkdir(directory)
    entries = whole(root / "in", (), NEVER)
    stage(entries, root / "staged")
    unstage(root / "staged")
    assert len(entries) == 1200
    assert not (root / "staged").exists()
    unstage(root / "in")
