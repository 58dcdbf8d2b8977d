"""Projects at random: a tree of files, ignore files, and a Dockerfile that copies them in many ways.

Where an engine is known to be wrong, no project asks for it: what each engine does there is told in
docs/decisions/0003-contexts.md.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Literal

from e2b_dockerfile_utils import PatternMatcher
from hypothesis import strategies as st

PLAIN = (b"a", b"b", b"ab", b"c.txt", b"d.txt", b".e")
ODD = (
    b"f g", b"-rf", b"\n", b"h\xff", b"*", b"[a]", b"!i", b"#j", b"\\k", b"a?", "é".encode(), b"$V", b'"q"', b"'", b" l ",
    b"..m", b"n,o", b"p:q", b"{r}",
)  # fmt: skip
NAMES = st.sampled_from(PLAIN) | st.sampled_from(PLAIN) | st.sampled_from(ODD)
FILE_MODES = st.sampled_from([0o644, 0o600, 0o755, 0o444, 0o640])
DIRECTORY_MODES = st.sampled_from([0o755, 0o700, 0o711, 0o775])
GENERAL_SOURCES = (
    b".", b"/", b"./", b"*", b"*/*", b"**", b"nosuch", b"nosuch*", b"*.txt", b"?", b"[ab]", b"**/*.txt", b".*", b"",
)  # fmt: skip
GENERAL_PATTERNS = (
    b"*", b"**", b"*.txt", b"**/*.txt", b"a", b"/a", b"a/", b"./b", b"a/b", b"*/a", b"**/a", b"?", b"[ab]", b"a*", b"a/**",
    b"*/*/b", b"[^a]", b"a/../b", b".*", b"**/b/*", b"# comment", b"", b" a ", b"\\*", b".", b"/",
)  # fmt: skip


@dataclass(frozen=True)
class Node:
    """What is at one path; a hard link's target is another path."""

    kind: Literal["file", "dir", "link", "hard"]
    mode: int = 0
    target: bytes = b""


Tree = dict[bytes, Node]


@dataclass(frozen=True)
class Line:
    """A line of a Dockerfile; those with a number belong to the COPY to `/c<number>`."""

    text: bytes
    number: int | None = None


@dataclass(frozen=True)
class Project:
    """All of a build's input. The content of each file is its path."""

    tree: Mapping[bytes, Node]
    ignore_files: Mapping[str, bytes]
    lines: Sequence[Line]
    build_args: Mapping[str, str]
    mode: int

    def write(self, root: Path) -> None:
        """Make the directory."""
        top = os.fsencode(root) + b"/"
        root.mkdir()
        for path, node in self.tree.items():
            _make(top, path, node)
        for name, text in self.ignore_files.items():
            (root / name).write_bytes(text)
        (root / "Dockerfile").write_bytes(b"".join(line.text + b"\n" for line in self.lines))
        for path, node in self.tree.items():
            if node.kind == "dir":
                os.chmod(top + path, node.mode)
        root.chmod(self.mode)

    def without(self, number: int) -> "Project":
        """The same without one of its copies."""
        return replace(self, lines=[line for line in self.lines if line.number != number])

    def __str__(self) -> str:
        return "\n".join(f"{name}: {value}" for name, value in vars(self).items())


def _make(top: bytes, path: bytes, node: Node) -> None:
    match node.kind:
        case "dir":
            os.mkdir(top + path)
        case "link":
            os.symlink(node.target, top + path)
        case "hard":
            os.link(top + node.target, top + path)
        case "file":
            with open(top + path, "wb") as file:
                file.write(b"<" + path + b">")
            os.chmod(top + path, node.mode)


@st.composite
def projects(draw: st.DrawFn, builder: str, base: str) -> Project:
    """Projects that a builder builds as it should; `base` is an image with a shell."""
    tree = draw(trees())
    ignore_files = {}
    if builder != "buildah" or draw(st.booleans()):
        ignore_files = {name: draw(ignore_texts(tree, builder)) for name in draw(ignore_names(builder))}
        ignore_files = {name: text for name, text in ignore_files.items() if means_one_thing(text, tree)}
    if builder == "buildah":
        # Podman and buildah do not ignore what a link leads to.
        links = {path for path, node in tree.items() if node.kind == "link"} if ignore_files else set()
        unfit = set(filter(partial(is_unfit_for_wildcards, tree), tree)) if draw(st.booleans()) else set()
        tree = without(tree, links | unfit)
    lines, build_args = draw(dockerfiles(tree, builder))
    # Podman and buildah mount what is ignored, too.
    if builder != "legacy" and not (builder == "buildah" and ignore_files) and draw(st.integers(0, 4)) == 0:
        # With an instruction of its own, or the image could be the base, and be removed as the build's.
        lines += [Line(b"FROM " + base.encode()), Line(b"ENV OWN=1"), *draw(mounts(tree))]
    return Project(tree, ignore_files, lines, build_args, draw(DIRECTORY_MODES))


def is_unfit_for_wildcards(tree: Tree, path: bytes) -> bool:
    """Whether podman and buildah may not do with a path that a wildcard matches what the wildcard says.

    They take the name for a pattern once more, and look for a link's target from where other links put it.
    """
    return has_wildcard(path) or tree[path].target.startswith(b"..")


def without(tree: Tree, removed: set[bytes]) -> Tree:
    """The tree without these paths, what is below them, and hard links to them."""
    kept: Tree = {}
    for path, node in tree.items():
        parent = os.path.dirname(path)
        is_linked = node.kind != "hard" or node.target in kept
        if path not in removed and is_linked and (not parent or parent in kept):
            kept[path] = node
    return kept or {b"a": Node("file", 0o644)}


# Trees


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    tree: Tree = {}
    for _ in range(draw(st.integers(2, 12))):
        directories = [b"", *(path + b"/" for path, node in tree.items() if node.kind == "dir")]
        path = draw(st.sampled_from(directories)) + draw(NAMES)
        if path not in tree:
            tree[path] = draw(nodes(tree, path))
    return tree


@st.composite
def nodes(draw: st.DrawFn, tree: Tree, path: bytes) -> Node:
    files = [other for other, node in tree.items() if node.kind == "file"]
    match draw(st.sampled_from(["file", "file", "dir", "dir", "link", "hard"])):
        case "dir":
            return Node("dir", draw(DIRECTORY_MODES))
        case "link":
            other = b"/" + draw(st.sampled_from([*tree, b"a"]))
            near = os.path.relpath(other, os.path.dirname(b"/" + path))
            special = [b"nowhere", b"/nowhere", b".", b"..", b"a", b"/", os.path.basename(path)]
            return Node("link", target=draw(st.sampled_from([near, other, b"../../.." + other, *special])))
        case "hard" if files:
            return Node("hard", target=draw(st.sampled_from(files)))
        case _:
            return Node("file", draw(FILE_MODES))


# Ignore files


def ignore_names(builder: str) -> st.SearchStrategy[list[str]]:
    names = [".dockerignore"]
    if builder != "legacy":
        names.append("Dockerfile.dockerignore")
    if builder == "buildah":
        names += [".containerignore", "Dockerfile.containerignore"]
    return st.lists(st.sampled_from(names), max_size=2, unique=True)


@st.composite
def ignore_texts(draw: st.DrawFn, tree: Tree, builder: str) -> bytes:
    paths = [escaped(path) for path in tree if b"\n" not in path]
    patterns = st.sampled_from(GENERAL_PATTERNS) | st.sampled_from(paths or [b"a"])
    # Buildah 1.28 knows no blank after the `!`.
    marks = st.sampled_from([b"", b"", b"!"] if builder == "buildah" else [b"", b"", b"!", b"! "])
    lines = [draw(marks) + draw(patterns) for _ in range(draw(st.integers(1, 4)))]
    end = draw(st.sampled_from([b"\n", b"\n", b"\r\n"]))
    kept = [line for line in lines if line.strip() not in (b"!", b"!.", b"! .", b"!/")]
    return draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + b"".join(line + end for line in kept)


def means_one_thing(text: bytes, tree: Tree) -> bool:
    """Whether old and new engines ignore the same: they read a `!` for a directory in two ways.

    And BuildKit 20.10 leaves an empty directory where all that a `!` brings back is ignored again.
    """
    matcher = PatternMatcher([os.fsdecode(line) for line in text.removeprefix(b"\xef\xbb\xbf").splitlines()])
    paths = [os.fsdecode(path) for path in tree]
    kept = [path for path in paths if not matcher.matches(path)]
    named = [pattern[1:] + "/" for pattern in matcher.patterns if pattern.startswith("!")]
    left = [path for path in paths if any(name.startswith(f"{path}/") for name in named) and path not in kept]
    return all(any(path.startswith(f"{one}/") for path in kept) for one in left) and all(
        _was_ignored(path, matcher.patterns) != (path in kept) for path in paths
    )


def _was_ignored(path: str, patterns: Sequence[str]) -> bool:
    """As before https://github.com/moby/moby/pull/42676, and still with podman and buildah."""
    is_ignored = False
    for pattern in patterns:
        plain = pattern.removeprefix("!")
        parts, depth = path.split("/"), plain.count("/") + 1
        seen = ["/".join(parts[:depth]), path]
        if any(_is_match(plain, one) for one in seen):
            is_ignored = plain == pattern
    return is_ignored


def _is_match(pattern: str, path: str) -> bool:
    """Whether the pattern matches the path itself, and not only a directory above it."""
    matcher = PatternMatcher([f"./{pattern}"])
    parent = os.path.dirname(path)
    above = PatternMatcher([f"./{pattern}", f"!./{pattern}"])
    return matcher.matches(path) and not (parent and matcher.matches(parent) and not above.matches(path))


# Dockerfiles


@st.composite
def dockerfiles(draw: st.DrawFn, tree: Tree, builder: str) -> tuple[list[Line], dict[str, str]]:
    lines: list[Line] = []
    build_args: dict[str, str] = {}
    numbers = count()

    def copy(least: int, most: int) -> None:
        for _ in range(draw(st.integers(least, most))):
            more, given = draw(copies(tree, builder, next(numbers)))
            lines.extend(more)
            build_args.update(given)

    layout = draw(st.sampled_from(["one stage", "copy from a stage", "start from a stage"]))
    if layout != "one stage":
        lines.append(Line(b"FROM scratch AS unused"))
        copy(1, 1)
        lines.append(Line(b"FROM scratch AS first"))
        copy(1, 3)
    lines.append(Line(b"FROM first" if layout == "start from a stage" else b"FROM scratch"))
    if layout == "copy from a stage":
        lines.append(Line(draw(st.sampled_from([b"COPY --from=first / /first/", b"COPY --from=1 / /first/"]))))
    copy(2, 6)
    return lines, build_args


@st.composite
def mounts(draw: st.DrawFn, tree: Tree) -> list[Line]:
    """Steps that copy what is mounted into them."""
    sources = [path for path, node in tree.items() if re.fullmatch(rb"[\w./-]+", path) and node.kind != "link"]
    lines = []
    for number in draw(st.lists(st.integers(100, 101), min_size=1, unique=True)) if sources else ():
        kind = draw(st.sampled_from([b"", b"type=bind,"]))
        word = draw(st.sampled_from([b"source", b"src", b"Source"]))
        source = draw(st.sampled_from([b"", b"/", b"./"])) + draw(st.sampled_from(sources))
        mount = kind + word + b"=" + source + b",target=/m"
        lines.append(Line(b"RUN --mount=%s cp -a /m /c%d" % (mount, number), number))
    return lines


@st.composite
def copies(draw: st.DrawFn, tree: Tree, builder: str, number: int) -> tuple[list[Line], dict[str, str]]:
    """A COPY or ADD, with the variables in it."""
    lines: list[Line] = []
    build_args: dict[str, str] = {}
    words = []
    given = [draw(sources(tree, builder)) for _ in range(draw(st.sampled_from([1, 1, 1, 2])))]
    for place, source in enumerate(given):
        word, before, value = draw(spelled(source, f"V{number}_{place}"))
        words.append(word)
        lines += [Line(text, number) for text in before]
        build_args.update(value)
    needs_slash = len(given) > 1 or any(map(has_wildcard, given))
    target = b"/c%d%s" % (number, b"/" if needs_slash or draw(st.booleans()) else b"")
    chmod = [] if builder == "legacy" else [b"--chmod=640 ", b"--chmod=711 --chown=5 "]
    head = draw(st.sampled_from([b"COPY ", b"COPY ", b"copy ", b"ADD "]))
    head += draw(st.sampled_from([b"", b"", b"", b"--chown=3:4 ", *chmod]))
    is_shell = all(re.fullmatch(rb"[^\s\"'<]+", word) for word in words) and draw(st.booleans())
    rest = b" ".join([*words, target]) if is_shell else b"[%s]" % b", ".join(map(as_json, [*words, target]))
    lines.append(Line(head + rest, number))
    return lines, build_args


@st.composite
def sources(draw: st.DrawFn, tree: Tree, builder: str) -> bytes:
    """What a COPY names: something of the tree, perhaps through a link, written out or with wildcards."""
    may_be_wild = builder != "buildah" or not any(map(partial(is_unfit_for_wildcards, tree), tree))
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([one for one in GENERAL_SOURCES if may_be_wild or not has_wildcard(one)]))
    # A name that has a wildcard podman and buildah take for a pattern once more, even if it was escaped.
    named = [path for path in tree if builder != "buildah" or not has_wildcard(path)] or [b"."]
    parts = draw(st.sampled_from(named)).split(b"/")
    links = [path for path in named if path in tree and tree[path].kind == "link"]
    if links and draw(st.integers(0, 4)) == 0:
        parts = [*draw(st.sampled_from(links)).split(b"/"), parts[-1]]
    ways = ["as it is", "escaped", "wild", "wild"] if may_be_wild else ["escaped"]
    match draw(st.sampled_from(ways)):
        case "escaped":
            parts = list(map(escaped, parts))
        case "wild":
            parts = [draw(wildcards(part)) if draw(st.booleans()) else part for part in parts]
    # Engines read names that are not UTF-8 as others, and BuildKit can be told none of two lines.
    unfit = rb"\xff" if builder == "buildah" else rb"[\xff\n]"
    if not may_be_wild and re.search(unfit, b"/".join(parts)):
        return b"."
    parts = [re.sub(unfit, b"?", part) for part in parts]
    before = draw(st.sampled_from([b"", b"", b"", b"/", b"./", b"../", b"x/../", b"//"]))
    return before + b"/".join(parts) + draw(st.sampled_from([b"", b"", b"", b"/", b"/."]))


def wildcards(name: bytes) -> st.SearchStrategy[bytes]:
    """Patterns that match a name."""
    first, rest, last = name[:1], name[1:], name[-1:]
    whole = [b"*", b"**", b"?" * len(name), first + b"*", b"*" + last, name + b"*"]
    return st.sampled_from([*whole, b"[%sx]%s" % (first, rest), b"[^z]" + rest, b"[a-z]" + rest])


@st.composite
def spelled(draw: st.DrawFn, source: bytes, name: str) -> tuple[bytes, list[bytes], dict[str, str]]:
    """A word that stands for a source, with the lines that it needs before it and the build args."""
    variable = name.encode()
    value = b'"%s"' % re.sub(rb"[\\$\"]", rb"\\\g<0>", source)
    ways = ["literal", "literal", "ENV", "ARG", "build arg", "ARG and ENV"]
    match draw(st.sampled_from(ways)) if not set(b"\n\xff") & set(source) else "literal":
        case "ENV":
            words = [b"$%s" % variable, b"${%s}" % variable, b"${%s:-zz}" % variable]
            return draw(st.sampled_from(words)), [b"ENV %s=%s" % (variable, value)], {}
        case "ARG":
            return b"$" + variable, [b"ARG %s=%s" % (variable, value)], {}
        case "build arg":
            default = draw(st.sampled_from([b"", b"=zz"]))
            return b"${%s}" % variable, [b"ARG " + variable + default], {name: os.fsdecode(source)}
        case "ARG and ENV":
            lines = [b"ARG %s=%s" % (variable, value), b"ENV E%s=${%s}" % (variable, variable)]
            return b"$E" + variable, lines, {}
    return re.sub(rb"[\\$\"']", rb"\\\g<0>", source), [], {}


def as_json(word: bytes) -> bytes:
    return os.fsencode(json.dumps(os.fsdecode(word), ensure_ascii=False))


def escaped(name: bytes) -> bytes:
    return re.sub(rb"[\\*?\[]", rb"\\\g<0>", name)


def has_wildcard(source: bytes) -> bool:
    return re.search(rb"[*?\[]", re.sub(rb"\\.", b"", source)) is not None
