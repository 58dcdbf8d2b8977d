"""What is in a context."""

import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from e2b_dockerfile_utils import PatternMatcher
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from magnet.context import Entry, declared, find_ignore_file, read_ignore_file, shown
from magnet.errors import MagnetError, MagnetfileError
from magnet.model import Copy
from tests.unit.trees import (
    NEVER,
    PLAIN,
    Tree,
    directory_for_all,
    everything_in,
    files,
    make,
    ordinary_user,
    paths,
    trees,
    whole,
)

pytestmark = pytest.mark.usefixtures("usual_umask")


def declare(root: Path, *copies: Copy) -> tuple[Entry, ...]:
    return declared(copies, root, root / "_build").entries


def refused(root: Path, *copies: Copy) -> MagnetError:
    with pytest.raises(MagnetError) as caught:
        declare(root, *copies)
    return caught.value


# Declared contexts


def test_the_contents_of_a_directory_go_below_its_target(root: Path) -> None:
    files(root, "assets/a.sh", "assets/deep/b.sh", "assets/empty/", "other")
    os.chmod(root / "assets/a.sh", 0o755)
    os.chmod(root / "assets/deep", 0o700)
    source = os.fsencode(root)
    assert declare(root, Copy("assets/", "/scripts")) == (
        Entry(b"scripts", "dir", 0o755, source + b"/assets"),
        Entry(b"scripts/a.sh", "file", 0o755, source + b"/assets/a.sh"),
        Entry(b"scripts/deep", "dir", 0o700, source + b"/assets/deep"),
        Entry(b"scripts/deep/b.sh", "file", 0o644, source + b"/assets/deep/b.sh"),
        Entry(b"scripts/empty", "dir", 0o755, source + b"/assets/empty"),
    )


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "file"),
        ("", "file"),
        (".", "file"),
        ("/x", "x"),
        ("x", "x"),
        ("//x", "x"),
        ("x/../y", "y"),
        ("x/", "x/file"),
        ("/x/y/", "x/y/file"),
        ("x/.", "x/file"),
        ("x/..", "file"),
    ],
)
def test_a_file_goes_to_its_target_and_into_one_that_ends_in_a_slash(root: Path, target: str, path: str) -> None:
    files(root, "sub/file")
    assert paths(declare(root, Copy("sub/file", target)))[-1] == path


def test_directories_that_no_source_gives_have_mode_0755(root: Path) -> None:
    files(root, "file")
    assert declare(root, Copy("file", "/a/b/c")) == (
        Entry(b"a", "dir", 0o755),
        Entry(b"a/b", "dir", 0o755),
        Entry(b"a/b/c", "file", 0o644, os.fsencode(root / "file")),
    )


def test_a_directory_that_a_source_gives_has_that_ones_mode_in_any_order(root: Path) -> None:
    files(root, "dir/", "file")
    os.chmod(root / "dir", 0o711)
    one, two = Copy("dir", "/d"), Copy("file", "/d/file")
    assert declare(root, one, two) == declare(root, two, one)
    assert declare(root, one, two)[0] == Entry(b"d", "dir", 0o711, os.fsencode(root / "dir"))


def test_of_two_files_for_one_path_the_later_wins(root: Path) -> None:
    files(root, "one", "two")
    assert declare(root, Copy("one", "/f"), Copy("two", "/f")) == (
        Entry(b"f", "file", 0o644, os.fsencode(root / "two")),
    )


def test_a_source_may_be_absolute_and_then_anywhere(root: Path, tmp_path: Path) -> None:
    files(tmp_path, "elsewhere/file")
    assert paths(declare(root, Copy(tmp_path / "elsewhere"))) == ["file"]


def test_links_inside_a_source_stay_links_dangling_or_not(root: Path) -> None:
    files(root, "dir/file")
    for name, target in {"good": "file", "dangling": "nowhere", "out": "/etc", "up": ".."}.items():
        os.symlink(target, root / "dir" / name)
    source = os.fsencode(root / "dir") + b"/"
    assert declare(root, Copy("dir")) == (
        Entry(b"dangling", "link", 0o777, source + b"dangling", b"nowhere"),
        Entry(b"file", "file", 0o644, source + b"file"),
        Entry(b"good", "link", 0o777, source + b"good", b"file"),
        Entry(b"out", "link", 0o777, source + b"out", b"/etc"),
        Entry(b"up", "link", 0o777, source + b"up", b".."),
    )


def test_a_source_that_is_a_link_is_followed_and_keeps_its_name(root: Path) -> None:
    files(root, "dir/file")
    os.symlink("dir", root / "to-dir")
    os.symlink("dir/file", root / "to-file")
    file = os.fsencode(root / "dir/file")
    assert declare(root, Copy("to-dir"), Copy("to-file")) == (
        Entry(b"file", "file", 0o644, file),
        Entry(b"to-file", "file", 0o644, file),
    )


@pytest.mark.parametrize("source", ["out", "out/file", "../elsewhere", "../elsewhere/file"])
def test_a_relative_source_that_leads_out_of_the_project_is_an_error(root: Path, tmp_path: Path, source: str) -> None:
    files(tmp_path, "elsewhere/file")
    os.symlink(tmp_path / "elsewhere", root / "out")
    error = refused(root, Copy(source))
    assert error.message == f"`{source}` leads out of `{root}`"
    assert error.detail == (f"to {tmp_path}/elsewhere{'/file' if source.endswith('file') else ''}",)
    assert paths(declare(root, Copy(root / source))) == ["file"]


def test_a_link_that_leads_to_itself_is_an_error(root: Path) -> None:
    os.symlink("loop", root / "loop")
    assert refused(root, Copy("loop")).message == f"cannot read `{root}/loop`: Too many levels of symbolic links"


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("asets", "did you mean `assets`?"),
        ("assets/setup.s", "did you mean `setup.sh`?"),
        ("asets/deep/file", "did you mean `assets`?"),
        ("assets/*.sh", "a source is one file or directory; choose among a directory's files with `include`"),
        ("unlike", None),
        ("dangling", None),
    ],
)
def test_a_source_that_does_not_exist_is_an_error_with_a_hint(root: Path, source: str, hint: str | None) -> None:
    files(root, "assets/setup.sh")
    os.symlink("nowhere", root / "dangling")
    error = refused(root, Copy(source))
    assert (error.message, error.detail, error.hint) == (
        f"`{source}` does not exist",
        (f"looked for {root}/{source}",),
        hint,
    )


@pytest.mark.parametrize("target", ["..", "/..", "../x", "a/../../x"])
def test_a_target_that_leads_out_of_the_context_is_an_error(root: Path, target: str) -> None:
    files(root, "file")
    assert refused(root, Copy("file", target)).message == f"the target `{target}` leads out of the context"


@pytest.mark.parametrize("target", ["/a", "/a/b", "/a/b/c"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_file_where_a_directory_is_needed_is_an_error_that_names_both(root: Path, target: str, turned: bool) -> None:
    files(root, "one", "dir/two")
    copies = [Copy("one", "/a"), Copy("dir" if target == "/a" else "dir/two", target)]
    error = refused(root, *(reversed(copies) if turned else copies))
    assert error.message == "`a` would have to be a directory and something else in the context"
    assert sorted(error.detail) == sorted(
        [f"{root}/one goes to /a", f"{root}/{copies[1].source} goes to {copies[1].target}"]
    )


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ((), ("**/*.??", "empty"), ["docs", "docs/a.png", "src", "src/deep"]),
        (("**/*.py",), (), ["src", "src/a.py", "src/deep", "src/deep/b.py"]),
        (("*.md",), (), ["README.md"]),
        (("src",), ("src/deep",), ["src", "src/a.py"]),
        (("src", "!src/a.py"), (), ["src", "src/deep", "src/deep/b.py"]),
        (("empty",), (), ["empty"]),
        (("docs", "src"), ("**", "!**/*.md"), ["docs", "docs/a.md"]),
        ((), ("docs", "src", "!src/deep/b.py"), ["README.md", "empty", "src", "src/deep", "src/deep/b.py"]),
        (("no such thing",), (), []),
    ],
)
def test_include_and_exclude_choose_as_an_ignore_file_does(
    root: Path, include: tuple[str, ...], exclude: tuple[str, ...], expected: list[str]
) -> None:
    files(root, "top/README.md", "top/docs/a.md", "top/docs/a.png", "top/src/a.py", "top/src/deep/b.py", "top/empty/")
    assert paths(declare(root, Copy("top", "/", include, exclude))) == expected


@pytest.mark.parametrize("choice", [{"include": ("*",)}, {"exclude": ("*",)}])
def test_a_file_leaves_include_and_exclude_nothing_to_choose_from(root: Path, choice: dict[str, Any]) -> None:
    files(root, "file")
    message = "`file` is a file, so `include` and `exclude` have nothing to choose from"
    assert refused(root, Copy("file", **choice)).message == message


def test_a_bad_pattern_is_an_error_that_shows_it(root: Path) -> None:
    assert refused(root, Copy(".", exclude=("ok", "[a"))).message == (
        "invalid ignore pattern '[a': syntax error in pattern"
    )


def test_magnets_own_directory_is_never_in_a_context(root: Path) -> None:
    files(root, "_build/log", "sub/_build/log", "file")
    assert paths(declare(root, Copy("."))) == ["file", "sub", "sub/_build", "sub/_build/log"]
    assert paths(whole(root, (), root / "_build")) == [
        "file",
        "sub",
        "sub/_build",
        "sub/_build/log",
    ]


@pytest.mark.parametrize("source", ["_build", "_build/log", "link"])
def test_a_source_in_magnets_own_directory_is_an_error(root: Path, source: str) -> None:
    files(root, "_build/log")
    os.symlink("_build", root / "link")
    assert refused(root, Copy(source)).message == (
        f"`{source}` is in magnet's own directory, which is never in a context"
    )


# Files that cannot be in a context


def test_a_pipe_or_a_socket_is_an_error_that_names_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(root, "pipes/", "sockets/")
    os.mkfifo(root / "pipes/p\n")
    monkeypatch.chdir(root / "sockets")  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
    for source in ("pipes", "pipes/p\n"):
        error = refused(root, Copy(source))
        assert error.message == f"`{root}/pipes/p\\n` is a named pipe, which cannot be in a context"
    with pytest.raises(MagnetfileError) as caught:
        whole(root, ["pipes"], NEVER)
    assert caught.value.message == f"`{root}/sockets/s` is a socket, which cannot be in a context"
    assert caught.value.hint == "leave it out with `exclude` or an ignore file"


def test_a_device_is_an_error_that_names_it(root: Path) -> None:
    assert refused(root, Copy("/dev/null", "/x")).message == ("`/dev/null` is a device, which cannot be in a context")


def test_what_is_excluded_may_be_anything(root: Path) -> None:
    files(root, "file")
    os.mkfifo(root / "pipe")
    assert paths(declare(root, Copy(".", exclude=("pipe",)))) == paths(whole(root, ["pipe"], NEVER)) == ["file"]


def test_a_directory_that_cannot_be_read_is_one_clear_error_unless_it_is_excluded() -> None:
    with directory_for_all() as root, ordinary_user():
        files(root, "secret/file", "file")
        os.chmod(root / "secret", 0)
        try:
            error = refused(root, Copy("."))
            assert (
                paths(declare(root, Copy(".", exclude=("secret",))))
                == paths(whole(root, ["secret"], NEVER))
                == ["file"]
            )
        finally:
            os.chmod(root / "secret", 0o700)
        assert error.message == f"cannot read `{root}/secret`: Permission denied"
        assert error.hint == "make it readable, or leave it out with `exclude` or an ignore file"


def test_a_name_is_shown_on_one_line_and_as_text() -> None:
    assert shown("é/a b".encode()) == "é/a b"
    assert shown(b"a\nb\xff") == r"a\nb\\xff"


# Ignore files


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ([], None),
        ([".dockerignore"], ".dockerignore"),
        ([".dockerignore", ".containerignore"], ".containerignore"),
        ([".containerignore", "docker/Dockerfile.containerignore"], "docker/Dockerfile.containerignore"),
        (
            [".dockerignore", "docker/Dockerfile.containerignore", "docker/Dockerfile.dockerignore"],
            "docker/Dockerfile.dockerignore",
        ),
        (["docker/.dockerignore", "Dockerfile.dockerignore", "docker/Dockerfile.dockerignore/"], None),
    ],
)
def test_one_ignore_file_counts_and_the_dockerfiles_own_comes_first(
    root: Path, present: list[str], expected: str | None
) -> None:
    files(root, *present)
    found = find_ignore_file(root, root / "docker/Dockerfile")
    assert found == (None if expected is None else root / expected)


def test_an_ignore_file_is_read_as_moby_reads_it(root: Path) -> None:
    content = b"\xef\xbb\xbf# comment\r\n\r\n *.log \r\n!keep.log\n #not a comment\n#comment\n/a/../b/\n\xff\n\t\nlast"
    (root / ".dockerignore").write_bytes(content)
    patterns = read_ignore_file(root / ".dockerignore")
    assert patterns == ("*.log", "!keep.log", "\\#not a comment", "b", "\udcff", "last")
    files(root, "x.log", "keep.log", "#not a comment", "b/file", "last", "c")
    (root / "\udcff").touch()
    assert paths(whole(root, patterns, NEVER)) == [".dockerignore", "c", "keep.log"]


@pytest.mark.parametrize("pattern", ["[", "!", "a[b-]", "\\"])
def test_a_bad_pattern_in_an_ignore_file_is_an_error_with_file_and_line(root: Path, pattern: str) -> None:
    file = root / ".dockerignore"
    file.write_text(f"# comment\n\nfine\n{pattern}\n")
    with pytest.raises(MagnetfileError) as caught:
        read_ignore_file(file)
    assert caught.value.message.startswith(f"`{file}`, line 4: invalid ignore pattern '{pattern}': ")


def test_an_ignore_file_that_cannot_be_read_is_one_clear_error(root: Path) -> None:
    with pytest.raises(MagnetError) as caught:
        read_ignore_file(root)
    assert caught.value.message == f"cannot read `{root}`: Is a directory"


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["dir"], ["a.txt", "sub", "sub/dir", "sub/dir/x"]),
        (["**/dir"], ["a.txt", "sub"]),
        (["*"], []),
        (["*", "!dir"], ["dir", "dir/deep", "dir/deep/x.txt", "dir/x"]),
        (["*", "!dir/deep/x.txt"], ["dir", "dir/deep", "dir/deep/x.txt"]),
        (["**", "!**/*.txt"], ["a.txt", "dir", "dir/deep", "dir/deep/x.txt"]),
        (["dir", "!dir/x"], ["a.txt", "dir", "dir/x", "sub", "sub/dir", "sub/dir/x"]),
        (["*", "!dir", "dir/deep"], ["dir", "dir/x"]),
        (["*", "!dir[^a]x"], ["dir", "dir/x"]),
    ],
)
def test_ignored_directories_are_left_out_unless_something_below_comes_back(
    root: Path, patterns: list[str], expected: list[str]
) -> None:
    files(root, "a.txt", "dir/x", "dir/deep/x.txt", "sub/dir/x")
    assert paths(whole(root, patterns, NEVER)) == expected


def test_an_ignored_directory_is_not_even_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(root, "node_modules/deep/file", "src/file")
    opened = []
    scandir = os.scandir

    def watching_scandir(path: bytes) -> Any:
        opened.append(os.fsdecode(os.path.relpath(path, os.fsencode(root))))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", watching_scandir)
    assert paths(whole(root, ["node_modules", "!src/x"], NEVER)) == ["src", "src/file"]
    assert opened == [".", "src"]


PATTERNS = st.lists(
    st.builds(
        lambda negation, parts: negation + "/".join(parts),
        st.sampled_from(["", "", "!"]),
        st.lists(st.sampled_from(["a", "b", "c", "*", "**", "a*", "?", "a.c", "[ab]", "[^a]"]), min_size=1, max_size=3),
    ),
    max_size=4,
)


def model_of_whole(top: bytes, wanted: PatternMatcher | None, ignored: PatternMatcher) -> list[bytes]:
    """Every path, asked for by itself; and the directories in which something is."""
    found = {
        path
        for path in everything_in(top)
        if (wanted is None or wanted.matches(os.fsdecode(path))) and not ignored.matches(os.fsdecode(path))
    }
    for path in tuple(found):
        while path := os.path.dirname(path):
            found.add(path)
    return sorted(found)


@settings(max_examples=300, deadline=None)
@given(trees(PLAIN), PATTERNS, PATTERNS)
def test_pruning_the_walk_changes_nothing(tree: Tree, include: list[str], exclude: list[str]) -> None:
    assume(any(not pattern.startswith("!") for pattern in include))
    with TemporaryDirectory() as name:
        top = os.fsencode(name)
        make(top, tree)
        ignored = PatternMatcher(exclude)
        assert [e.path for e in whole(Path(name), exclude, NEVER)] == model_of_whole(top, None, ignored)
        copy = Copy(name, "/", tuple(include), tuple(exclude))
        assert [e.path for e in declared([copy], Path(name), NEVER).entries] == model_of_whole(
            top, PatternMatcher(include), ignored
        )
