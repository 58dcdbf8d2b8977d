"""Archives that were downloaded: what is in them is unpacked as it is, or refused, and nothing leads out."""

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnet.downloads import archives, unpacked
from magnet.downloads.archives import unpack
from magnet.downloads.fetching import Fetched
from magnet.downloads.store import Store
from magnet.downloads.telling import Telling
from magnet.errors import Canceled, MagnetError
from magnet.events import SolveStatus, Vertex

Member = tuple[str, bytes, dict[str, Any]]
"""A name, what is in it, and further fields of its TarInfo."""

FILE, DIRECTORY, LINK, SAME = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE

NO_FILE = "which is no file before it"


def tar(path: Path, *members: Member, mode: str = "w") -> Path:
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as file:  # type: ignore[call-overload]
        for name, content, fields in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            file.addfile(info, io.BytesIO(content))
    return path


def link(name: str, target: str) -> Member:
    return name, b"", {"type": LINK, "linkname": target}


def same(name: str, target: str) -> Member:
    return name, b"", {"type": SAME, "linkname": target}


def directory(name: str, mode: int = 0o755) -> Member:
    return name, b"", {"type": DIRECTORY, "mode": mode}


def file(name: str, content: bytes = b"x", **fields: Any) -> Member:
    return name, content, fields


def tree(top: Path) -> dict[str, str]:
    """What is in a directory: by path, the permission bits and the content, or where a link leads."""
    return {
        str(path.relative_to(top)): f"-> {os.readlink(path)}"
        if path.is_symlink()
        else f"{path.stat().st_mode & 0o7777:o} {'/' if path.is_dir() else path.read_text()}"
        for path in sorted(top.rglob("*"))
    }


def unpacked_tree(archive: Path, *, strip: int = 0) -> dict[str, str]:
    made = archive.with_name("made")
    made.mkdir()
    unpack(archive, made, strip, lambda size: None, lambda: None)
    return tree(made)


def refusal(archive: Path) -> str:
    with pytest.raises(MagnetError) as raised:
        unpacked_tree(archive)
    return raised.value.message


def refused(name: str, why: str) -> str:
    return f"`{name}` in the archive is refused: {why}"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_unpacked_with_its_modes_and_links(tmp_path: Path, mode: str) -> None:
    archive = tar(
        tmp_path / "a",
        directory("./"),
        directory("./bin", 0o2777),
        file("./bin/run", b"run", mode=0o4775, mtime=1_000_000_000),
        file("deep/er/secret", mode=0o400),
        link("bin/other", "../bin/run"),
        same("bin/same", "bin/run"),
        link("dangling", "deep/nothing"),
        mode=mode,
    )
    assert unpacked_tree(archive) == {
        "bin": "755 /",
        "bin/other": "-> ../bin/run",
        "bin/run": "755 run",
        "bin/same": "755 run",
        "dangling": "-> deep/nothing",
        "deep": "755 /",
        "deep/er": "755 /",
        "deep/er/secret": "600 x",
    }
    assert (tmp_path / "made/bin/run").stat().st_mtime == 1_000_000_000
    assert (tmp_path / "made/bin/run").samefile(tmp_path / "made/bin/same")


def test_a_zip_is_unpacked_with_its_modes_and_links(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w", zipfile.ZIP_DEFLATED) as made:
        for name, mode, content in [
            ("app/", stat.S_IFDIR | 0o700, ""),
            ("app/run", stat.S_IFREG | 0o755, "run"),
            ("app/link", stat.S_IFLNK | 0o777, "run"),
            ("plain", 0, "plain"),
        ]:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            made.writestr(info, content)
            info.external_attr = mode << 16  # it gave what has none a mode
    assert unpacked_tree(tmp_path / "a") == {
        "app": "700 /",
        "app/link": "-> run",
        "app/run": "755 run",
        "plain": "644 plain",
    }


def test_parts_of_names_are_stripped(tmp_path: Path) -> None:
    archive = tar(
        tmp_path / "a", file("README"), file("app-1/run"), same("app-1/same", "app-1/run"), link("app-1/link", "run")
    )
    assert unpacked_tree(archive, strip=1) == {"link": "-> run", "run": "644 x", "same": "644 x"}


def test_a_later_entry_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    archive = tar(
        tmp_path / "a",
        *(file("a", b"1", mode=0o700), same("b", "a"), file("a", b"2"), link("a", "b"), file("c"), link("c", "b")),
        *(link("d", "/etc"), file("d", b"3")),
    )
    assert unpacked_tree(archive) == {"a": "-> b", "b": "700 1", "c": "-> b", "d": "644 3"}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([file("../a")], refused("../a", "it leads out of the directory")),
        ([file("a/../../b")], refused("a/../../b", "it leads out of the directory")),
        ([file("/etc/a")], refused("/etc/a", "it leads out of the directory")),
        ([link("a", "/etc")], refused("a", "it is a link that leads out of the directory")),
        ([link("a", "..")], refused("a", "it is a link that leads out of the directory")),
        ([link("d/a", "../../b")], refused("d/a", "it is a link that leads out of the directory")),
        ([link("a", "d"), link("d", ".."), file("x")], refused("a", "it is a link that leads out of the directory")),
        # As in CVE-2025-4517, what looks to be inside is not, for a name in between is a link.
        ([link("d/up", "."), link("a", "d/up/../..")], refused("a", "it is a link that leads out of the directory")),
        ([link("a", "b"), link("b", "a")], refused("a", "it is a link that leads round and round")),
        ([link("a", "."), file("a/b")], refused("a/b", "it is below `a`, which is no directory")),
        ([file("a/b"), link("a", ".")], refused("a", "it is a directory as well")),
        ([file("a"), directory("a")], refused("a", "it is no directory as well")),
        ([same("a", "b")], refused("a", f"it is a hard link to `b`, {NO_FILE}")),
        ([same("a", "../b")], refused("../b", "it leads out of the directory")),
        ([link("l", "f"), same("a", "l")], refused("a", f"it is a hard link to `l`, {NO_FILE}")),
        ([file("a"), same("a", "a")], refused("a", f"it is a hard link to `a`, {NO_FILE}")),
        ([("a", b"", {"type": tarfile.FIFOTYPE})], refused("a", "it is a device or a named pipe")),
        ([("a", b"", {"type": tarfile.CHRTYPE})], refused("a", "it is a device or a named pipe")),
        ([file("../a\nb\x1b[2J")], refused("../a\\nb\\x1b[2J", "it leads out of the directory")),
    ],
)
def test_what_leads_out_is_refused(tmp_path: Path, members: Sequence[Member], message: str) -> None:
    assert refusal(tar(tmp_path / "a", *members)) == message


def test_an_archive_that_is_too_good_at_packing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LARGEST_FREE", 1000)
    archive = tar(tmp_path / "a", file("a", bytes(1_000_000)), mode="w:xz")
    assert refusal(archive) == "it would unpack to far more than it is"
    assert list((tmp_path / "made").iterdir()) == []


def test_an_archive_of_too_many_entries_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_ENTRIES", 2)
    assert refusal(tar(tmp_path / "a", file("a"), file("b"), file("c"))) == "it would unpack to far more than it is"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_truncated_archive_is_an_error(tmp_path: Path, mode: str) -> None:
    whole = tar(tmp_path / "whole", file("a", os.urandom(5000)), file("b", os.urandom(5000)), mode=mode).read_bytes()
    (tmp_path / "a").write_bytes(whole[:6000])
    assert refusal(tmp_path / "a") == "the archive is damaged, or of a kind that cannot be read"


def test_an_archive_that_is_damaged_in_the_middle_is_an_error(tmp_path: Path) -> None:
    """tarfile by itself takes an entry that it does not understand for the end."""
    whole = tar(tmp_path / "a", file("a"), file("b"), file("c")).read_bytes()
    (tmp_path / "a").write_bytes(whole[:1024] + b"x" * 512 + whole[1536:])
    assert refusal(tmp_path / "a") == "the archive is damaged, or of a kind that cannot be read"


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04text", b"\x1f\x8btext"])
def test_what_is_no_archive_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert refusal(tmp_path / "a") in (
        "it is no archive that can be unpacked",
        "the archive is damaged, or of a kind that cannot be read",
    )


def test_zstd_is_unpacked_where_python_can(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x28\xb5\x2f\xfd")
    assert refusal(tmp_path / "a") in (
        "it is compressed with zstd, which Python has since 3.14",
        "the archive is damaged, or of a kind that cannot be read",
    )


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as made:
        made.writestr("a", "x")
    content = bytearray((tmp_path / "a").read_bytes())
    for head in (b"PK\x03\x04", b"PK\x01\x02"):
        content[content.index(head) + (6 if head == b"PK\x03\x04" else 8)] |= 1
    (tmp_path / "a").write_bytes(content)
    assert refusal(tmp_path / "a") == refused("a", "it is encrypted")


def test_unpacking_can_be_ended(tmp_path: Path) -> None:
    def check() -> None:
        raise Canceled

    (tmp_path / "made").mkdir()
    with pytest.raises(Canceled):
        unpack(tar(tmp_path / "a", file("a")), tmp_path / "made", 0, lambda size: None, check)


# Any tree


NAMES = st.lists(st.sampled_from(["a", "b", "c", ".", "..", "", "é", "\udcff", "x" * 300]), min_size=1, max_size=4).map(
    "/".join
)
TARGETS = st.one_of(NAMES, NAMES.map(lambda name: f"/{name}"), NAMES.map(lambda name: f"../{name}"))
MEMBERS = st.lists(
    st.one_of(
        st.builds(
            lambda name, content, mode: file(name, content, mode=mode),
            NAMES,
            st.binary(max_size=3),
            st.integers(0, 0o7777),
        ),
        st.builds(directory, NAMES, st.integers(0, 0o7777)),
        st.builds(link, NAMES, TARGETS),
        st.builds(same, NAMES, TARGETS),
        st.builds(lambda name: (name, b"", {"type": tarfile.FIFOTYPE}), NAMES),
    ),
    max_size=8,
)


@given(members=MEMBERS)
def test_whatever_is_in_an_archive_nothing_leads_out(
    tmp_path_factory: pytest.TempPathFactory, members: list[Member]
) -> None:
    top = tmp_path_factory.mktemp("archive")
    outside, made = top / "outside", top / "outside/in/made"
    made.mkdir(parents=True)
    archive = tar(top / "a", *members)
    try:
        unpack(archive, made, 0, lambda size: None, lambda: None)
    except MagnetError:
        pass
    else:
        for path in made.rglob("*"):
            assert path.resolve(strict=False).is_relative_to(made.resolve())
            assert path.is_symlink() or not path.stat().st_mode & 0o7022
    assert [str(path.relative_to(outside)) for path in outside.glob("*")] == ["in"]
    assert [str(path.relative_to(outside)) for path in outside.glob("in/*")] == ["in/made"]
    assert sorted(path.name for path in top.iterdir()) == ["a", "outside"]


PLAIN = st.dictionaries(st.sampled_from(["a", "b", "a-b", "a.b", "c"]), st.binary(max_size=5), max_size=4)
TREES = st.recursive(
    PLAIN, lambda inner: st.dictionaries(st.sampled_from(["d", "e", "f"]), inner, max_size=3), max_leaves=6
)


@given(tree=TREES, zipped=st.booleans())
def test_what_was_packed_is_what_is_unpacked(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any], zipped: bool
) -> None:
    top = tmp_path_factory.mktemp("archive")
    files = dict(_files(tree, ""))
    if zipped:
        with zipfile.ZipFile(top / "a", "w") as made:
            for name, content in files.items():
                made.writestr(name, content)
    else:
        tar(top / "a", *(file(name, content) for name, content in files.items()))
    (top / "made").mkdir()
    unpack(top / "a", top / "made", 0, lambda size: None, lambda: None)
    found = {
        str(path.relative_to(top / "made")): path.read_bytes() for path in (top / "made").rglob("*") if path.is_file()
    }
    assert found == files


def _files(tree: dict[str, Any], above: str) -> Iterator[tuple[str, bytes]]:
    for name, inner in tree.items():
        if isinstance(inner, bytes):
            yield above + name, inner
        else:
            yield from _files(inner, f"{above}{name}/")


# Kept


class Kept:
    """A store, in which an archive was downloaded."""

    def __init__(self, top: Path, *members: Member) -> None:
        self.store = Store(top / "downloads")
        self.archive = Fetched(tar(top / "a.tar", *members), "d" * 64)
        self.told: list[SolveStatus] = []

    def get(self, *, strip: int = 0, check: Callable[[], None] = lambda: None) -> tuple[Path, bool]:
        telling = Telling(Vertex("v", "download"), self.told.append, count(1).__next__)
        return unpacked.directory(self.store, self.archive, strip, shown="URL", telling=telling, check=check)

    @property
    def warnings(self) -> list[str]:
        return [warning.short for one in self.told for warning in one.warnings]

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in (self.store.directory / "unpacked").iterdir())


def test_an_archive_is_unpacked_once_for_each_way(tmp_path: Path) -> None:
    kept = Kept(tmp_path, file("app/a"), file("app/b"))
    (path, was_there), again, stripped = kept.get(), kept.get(), kept.get(strip=1)
    assert (was_there, again, stripped[1]) == (False, (path, True), False)
    assert tree(path) == {"app": "755 /", "app/a": "644 x", "app/b": "644 x"}
    assert tree(stripped[0]) == {"a": "644 x", "b": "644 x"}
    assert kept.names == [f"{'d' * 64}-0", f"{'d' * 64}-0.json", f"{'d' * 64}-1", f"{'d' * 64}-1.json"]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: (path / "a").write_text("y"),
        lambda path: (path / "a").chmod(0o755),
        lambda path: (path / "a").unlink(),
        lambda path: (path / "more").write_text(""),
        lambda path: path.rename(path.with_name("elsewhere")),
        lambda path: (path.rename(path.with_name("elsewhere")), path.symlink_to("elsewhere")),
        lambda path: path.with_name(f"{path.name}.json").write_text("{}"),
    ],
)
def test_what_was_changed_is_unpacked_again(tmp_path: Path, change: Callable[[Path], object]) -> None:
    kept = Kept(tmp_path, file("a"), link("b", "a"))
    path, _ = kept.get()
    change(path)
    assert kept.get() == (path, False)
    assert (path.is_symlink(), tree(path)) == (False, {"a": "644 x", "b": "-> a"})
    assert kept.get() == (path, True)


def test_it_is_said_that_what_was_changed_is_unpacked_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path, file("a"))
    (kept.get()[0] / "a").write_text("y")
    kept.get()
    assert kept.warnings == ["what URL was unpacked to was changed, so it is unpacked again"]


def test_of_what_is_refused_nothing_is_left(tmp_path: Path) -> None:
    kept = Kept(tmp_path, file("a"), file("../b"))
    with pytest.raises(MagnetError) as raised:
        kept.get()
    assert (raised.value.message, raised.value.hint) == (
        "URL cannot be unpacked: `../b` in the archive is refused: it leads out of the directory",
        "if it is meant so, download it without `unpack`, and unpack it with `t.exec`",
    )
    assert kept.names == []
