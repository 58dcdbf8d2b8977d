"""What a digest tells apart, and what it does not."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from magnet import digest
from magnet.context import Entry
from magnet.digest import file_digest, tree_digest
from magnet.errors import MagnetError

NAMES = st.binary(min_size=1, max_size=6).filter(lambda name: b"/" not in name and b"\0" not in name)
MODES = st.integers(0, 0o777)


Kind = Literal["file", "dir", "link"]
KINDS: st.SearchStrategy[Kind] = st.sampled_from(["file", "dir", "link"])
Context = list[tuple[bytes, Kind, int, bytes]]


@st.composite
def contexts(draw: st.DrawFn) -> Context:
    """Paths, each with a kind, a mode, and what it holds."""
    paths = draw(st.lists(NAMES, unique=True, min_size=1, max_size=5))
    return [(path, draw(KINDS), draw(MODES), draw(st.binary(max_size=20))) for path in paths]


@contextmanager
def entries_on_disk(context: Context) -> Iterator[list[Entry]]:
    """The entries of a context, with the content of its files in a directory of their own."""
    with TemporaryDirectory() as directory:
        entries = []
        for number, (path, kind, mode, held) in enumerate(context):
            source = os.fsencode(directory) + b"/%d" % number
            if kind == "file":
                Path(os.fsdecode(source)).write_bytes(held)
            entries.append(Entry(path, kind, mode, source, held if kind == "link" else b""))
        yield entries


def digest_of(context: Context) -> str:
    with entries_on_disk(context) as entries:
        return tree_digest(entries)


def meaning(context: Context) -> Context:
    return sorted((path, kind, mode, b"" if kind == "dir" else held) for path, kind, mode, held in context)


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 1 << 21, (5 << 20) + 7])
def test_a_file_has_the_blake3_digest_of_its_content_whatever_its_size(tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)
    (tmp_path / "file").write_bytes(content)
    assert file_digest(tmp_path / "file") == blake3(content).hexdigest()


def test_the_format_of_a_context_digest_is_the_documented_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    entries = [
        Entry(b"d", "dir", 0o755),
        Entry(b"d/f", "file", 0o644, os.fsencode(tmp_path / "file")),
        Entry(b"l", "link", 0o777, target=b"d/f"),
    ]
    expected = (
        b"magnet context 1\0"
        b"d\x01\xed\0\0\0\0\0\0\0\x01d\0\0\0\0\0\0\0\0"
        b"f\x01\xa4\0\0\0\0\0\0\0\x03d/f\0\0\0\0\0\0\0\x20" + blake3(b"content").digest() + b""
        b"l\x01\xff\0\0\0\0\0\0\0\x01l\0\0\0\0\0\0\0\x03d/f"
    )
    assert tree_digest(entries) == blake3(expected).hexdigest()


@given(contexts(), contexts())
def test_two_contexts_have_one_digest_exactly_if_they_mean_the_same(one: Context, other: Context) -> None:
    assert (digest_of(one) == digest_of(other)) == (meaning(one) == meaning(other))


@given(contexts(), st.randoms(use_true_random=False))
def test_order_place_and_times_do_not_change_a_digest(context: Context, chance: random.Random) -> None:
    with entries_on_disk(context) as entries:
        for entry in entries:
            if entry.kind == "file":
                os.utime(entry.source, (chance.randrange(1 << 30), chance.randrange(1 << 30)))
        shuffled = chance.sample(entries, len(entries))
        assert tree_digest(shuffled) == digest_of(context)


@given(contexts(), st.data())
def test_every_change_of_one_entry_changes_the_digest(context: Context, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(context) - 1))
    path, kind, mode, held = context[at]
    changed = data.draw(
        st.one_of(
            NAMES.filter(lambda name: name not in {other[0] for other in context}).map(
                lambda name: (name, kind, mode, held)
            ),
            KINDS.filter(lambda other: other != kind).map(lambda other: (path, other, mode, held)),
            MODES.filter(lambda other: other != mode).map(lambda other: (path, kind, other, held)),
            st.binary().filter(lambda other: other != held).map(lambda other: (path, "file", mode, other)),
            st.binary().filter(lambda other: other != held).map(lambda other: (path, "link", mode, other)),
        )
    )
    assert digest_of([*context[:at], changed, *context[at + 1 :]]) != digest_of(context)


@given(contexts(), st.data())
def test_leaving_an_entry_out_changes_the_digest(context: Context, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(context) - 1))
    assert digest_of(context[:at] + context[at + 1 :]) != digest_of(context)


def test_path_and_target_cannot_be_mistaken_for_one_another() -> None:
    assert tree_digest([Entry(b"ab", "link", 0o777, target=b"c")]) != tree_digest(
        [Entry(b"a", "link", 0o777, target=b"bc")]
    )


def test_the_owner_of_a_file_does_not_change_a_digest(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    entries = [Entry(b"file", "file", 0o644, os.fsencode(file))]
    before = tree_digest(entries)
    if os.geteuid() == 0:  # nobody else can give a file away
        os.chown(file, 12345, 12345)
    assert tree_digest(entries) == before


@pytest.mark.parametrize("size", [10, 3 << 20])
@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
def test_a_file_that_changes_while_it_is_read_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, change: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(size))
    os.utime(file, (0, 0))

    def meddling_blake3(*args: Any, **options: Any) -> blake3:
        with file.open("r+b") as other:
            if change == "grow":
                other.seek(0, os.SEEK_END)
            if change == "shrink":
                other.truncate(size // 2)
            else:
                other.write(b"x")
        return blake3(*args, **options)

    monkeypatch.setattr(meddling_blake3, "AUTO", blake3.AUTO, raising=False)
    monkeypatch.setattr(digest, "blake3", meddling_blake3)
    with pytest.raises(MagnetError) as caught:
        file_digest(file)
    assert caught.value.message == f"`{file}` changed while it was read"
    assert caught.value.hint == "run again when nothing writes to it"


def test_a_file_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MagnetError) as caught:
        file_digest(tmp_path / "gone")
    assert caught.value.message == f"cannot read `{tmp_path}/gone`: No such file or directory"


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(MagnetError) as caught:
        file_digest(tmp_path)
    assert caught.value.message == f"cannot read `{tmp_path}`: Is a directory"
