import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from magnet.errors import MagnetfileError
from magnet.narrow import narrow
from magnet.sources import literal_pattern


def selected(root: Path, sources: Sequence[str], ignored: Sequence[str] = ()) -> list[str]:
    """The files and links of the narrow context of these sources."""
    _, walked = narrow(root, sources, ignored, root / "_build")
    return [os.fsdecode(entry.path) for entry in walked.entries if entry.kind != "dir"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.c", "b.h", "src/x.c", "src/deep/y.c", "real/f", "real/sub/g", "_build/log"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "ignored", "expected"),
    [
        (["a.c"], [], ["a.c"]),
        (["src"], [], ["src/deep/y.c", "src/x.c"]),
        (["*.c"], [], ["a.c"]),
        (["src/*"], [], ["src/deep/y.c", "src/x.c"]),
        (["src/*.c"], [], ["src/x.c"]),
        (["*/*.c"], [], ["src/x.c"]),
        (["s*"], ["src/deep"], ["src/x.c"]),
        (["src", "a.c"], ["*.c"], ["src/deep/y.c", "src/x.c"]),
        (["."], ["src", "real"], ["a.c", "b.h"]),
        (["nosuch"], [], []),
        ([], [], []),
    ],
)
def test_a_context_has_what_sources_name_and_nothing_ignores(
    root: Path, sources: list[str], ignored: list[str], expected: list[str]
) -> None:
    assert selected(root, sources, ignored) == expected


@pytest.mark.parametrize(
    ("links", "source", "expected"),
    [
        ({"l": "real"}, "l", ["l", "real/f", "real/sub/g"]),
        ({"l": "real"}, "l/f", ["l", "real/f"]),
        ({"l": "/real"}, "l/sub", ["l", "real/sub/g"]),
        ({"l": "../../real/f"}, "l", ["l", "real/f"]),
        ({"real/up": "../src"}, "real/up/x.c", ["real/up", "src/x.c"]),
        ({"l": "m", "m": "real/sub"}, "l/g", ["l", "m", "real/sub/g"]),
        ({"l": "m", "m": "a.c"}, "l", ["a.c", "l", "m"]),
        ({"l": "real"}, "l/*", ["l", "real/f", "real/sub/g"]),
        ({"src/l": "../real/f"}, "src/l*", ["real/f", "src/l"]),
        ({"src/l": "../real/f"}, "src", ["src/deep/y.c", "src/l", "src/x.c"]),
        ({"l": "nosuch"}, "l", ["l"]),
        ({"l": "l"}, "l", ["l"]),
        ({"l": "m", "m": "l"}, "l/f", ["l", "m"]),
        ({"l": "real"}, "l*/f", ["l", "real/f"]),
        ({"src/l": "../real"}, "s*/l/s*/g", ["real/sub/g", "src/l"]),
        ({"src/l": "../real"}, "*/*/g", ["real/sub/g", "src/l"]),
        ({"l": "."}, "l", ["a.c", "b.h", "l", "real/f", "real/sub/g", "src/deep/y.c", "src/x.c"]),
    ],
)
def test_links_that_copy_follows_are_followed_within_the_context(
    root: Path, links: dict[str, str], source: str, expected: list[str]
) -> None:
    for name, target in links.items():
        (root / name).symlink_to(target)
    assert selected(root, [source]) == expected


def test_the_directory_of_a_wildcard_is_there_even_if_nothing_in_it_matches(root: Path) -> None:
    _, walked = narrow(root, ["src/deep/*.h"], ["*.c"], root / "_build")
    assert [entry.path for entry in walked.entries] == [b"src", b"src/deep"]
    _, walked = narrow(root, ["src/deep/*.h"], ["src"], root / "_build")
    assert walked.entries == ()


def test_names_that_look_like_marks_of_an_ignore_file_are_names(root: Path) -> None:
    for name in (" a ", "!b", "#c", "\n", "!", "src/ x "):
        (root / name).touch()
    sources = [literal_pattern(" a "), "!*", "#*", literal_pattern("\n"), literal_pattern("src/ x ")]
    assert selected(root, sources) == ["\n", " a ", "!", "!b", "#c", "src/ x "]


def test_the_mode_of_a_directory_counts_only_where_it_is_copied(root: Path) -> None:
    for name in ("src", "src/deep"):
        (root / name).chmod(0o700)
    for sources, expected in (
        (["src/deep/y.c"], [0o755, 0o755]),
        (["src/deep"], [0o755, 0o700]),
        (["src/*/y.c"], [0o755, 0o755]),
        (["src", "src/x.c"], [0o700, 0o700]),
    ):
        _, walked = narrow(root, sources, [], root / "_build")
        assert [entry.mode for entry in walked.entries if entry.kind == "dir"] == expected


def test_the_modes_of_parents_count_where_these_are_copied(root: Path) -> None:
    (root / "src").chmod(0o700)
    _, walked = narrow(root, ["src/x.c"], [], root / "_build", keeps_parents=True)
    assert [entry.mode for entry in walked.entries if entry.kind == "dir"] == [0o700]


@pytest.mark.parametrize(
    ("sources", "excludes", "expected"),
    [
        (["."], {".": ["src", "*.c", "*.h"]}, ["real/f", "real/sub/g"]),
        (["."], {".": ["**/*.c", "real"]}, ["b.h"]),
        (["src", "a.c"], {"src": ["**/*.c"]}, ["a.c"]),
        # BuildKit looks from `src`, podman and buildah from the top: what only one of them leaves out stays in.
        (["src"], {"src": ["deep"]}, ["src/deep/y.c", "src/x.c"]),
        (["src"], {"src": ["src/deep"]}, ["src/deep/y.c", "src/x.c"]),
        (["src", "src/x.c"], {"src": ["**/*.c"]}, ["src/x.c"]),
        ([".", "src/deep"], {".": ["**/*.c", "real", "*.h"]}, ["src/deep/y.c"]),
        (["a.c"], {"a.c": ["*.c"]}, ["a.c"]),
        (["s*"], {"s*": ["**/deep"]}, ["src/x.c"]),
    ],
)
def test_what_copy_excludes_is_not_selected_where_all_engines_agree(
    root: Path, sources: list[str], excludes: dict[str, list[str]], expected: list[str]
) -> None:
    _, walked = narrow(root, sources, [], root / "_build", excludes)
    assert [os.fsdecode(entry.path) for entry in walked.entries if entry.kind != "dir"] == expected
    paths = {entry.path for entry in walked.entries}
    assert {os.path.dirname(path) for path in paths} - {b""} <= paths


def test_what_a_link_leads_to_is_excluded_by_nobody(root: Path) -> None:
    (root / "l").symlink_to("src")
    _, walked = narrow(root, ["src", "l"], [], root / "_build", {"src": ["**/*.c"]})
    assert [entry.path for entry in walked.entries if entry.kind == "file"] == [b"src/deep/y.c", b"src/x.c"]


@pytest.mark.parametrize("source", ["out", "out/file", "up/file", "in/../up/file"])
def test_a_source_that_is_only_outside_of_the_context_is_an_error(root: Path, source: str) -> None:
    outside = root.with_name(f"{root.name}-outside")
    outside.mkdir()
    (outside / "file").touch()
    (root / "out").symlink_to(outside)
    (root / "up").symlink_to(f"../{outside.name}")
    with pytest.raises(MagnetfileError) as caught:
        selected(root, [source])
    assert caught.value.message == f"the source `{source}` leads out of the context through a link"
    assert caught.value.detail == (f"to {outside}{'/file' if 'file' in source else ''}",)
    assert selected(root, ["out*", "nosuch"]) == ["out"]
