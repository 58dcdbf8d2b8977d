"""The automatic context: what a Dockerfile's sources select in a directory, with what links among them lead to."""

import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, takewhile
from pathlib import Path
from types import MappingProxyType

from e2b_dockerfile_utils import PatternMatcher

from magnet.context import Entry, Walked, in_order, selected, shown
from magnet.errors import MagnetfileError
from magnet.sources import EVERYTHING, as_line, has_wildcard, literal_pattern

NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})

_PASSED = 0o755
_MOST_LINKS = 40
"""How many links are followed for one source, as in the kernel; a circle of links is the engine's to report."""


def narrow(
    directory: Path,
    sources: Sequence[str],
    ignored: Sequence[str],
    never: Path,
    excludes: Mapping[str, Sequence[str]] = NOTHING,
    *,
    keeps_parents: bool = False,
) -> tuple[tuple[str, ...], Walked]:
    """The patterns that select what the sources need of a directory, and what they select.

    What `excludes` has for a source is not selected, though a pattern matches it, if no other source takes it.

    COPY follows a link that it names, and every link on the way there, each within the context: an absolute one
    starts at the context's root, and `..` does not lead out of it. So the links count, and what they lead to.

    Directories that nothing copies, but only what is in them, have mode 0755, whatever it really is, unless the
    Dockerfile `keeps_parents`.
    """
    top = os.fsencode(os.path.realpath(directory))
    for source in sources:
        _check_is_inside(top, source)
    patterns: dict[str, None] = {}
    waiting = list(sources)
    is_led = False  # by a link, to what only its own source excludes
    walked = Walked(())
    while waiting:
        for source in waiting:
            followed = list(_followed(top, source))
            patterns.update(dict.fromkeys(followed))
            is_led |= len(followed) > 1
        if EVERYTHING in patterns:
            walked = selected(directory, (), ignored, never)
            return (EVERYTHING,), walked if is_led else _without_excluded(walked, sources, excludes)
        walked = selected(directory, tuple(map(as_line, patterns)), ignored, never)
        waiting = [target for target in _named_links(walked.entries, tuple(patterns)) if target not in patterns]
        is_led |= bool(waiting)
    # Without the directory in which a wildcard is, engines fail; with it, the wildcard may match nothing.
    there = {entry.path for entry in walked.entries}
    listed = {entry.path: entry for entry in _listed(top, tuple(patterns), ignored) if entry.path not in there}
    if not keeps_parents:
        walked = Walked(tuple(_copied(walked.entries, tuple(patterns))), walked.directories)
    if not is_led:
        walked = _without_excluded(walked, sources, excludes)
    return tuple(patterns), Walked(in_order((*walked.entries, *listed.values())), walked.directories)


def _without_excluded(walked: Walked, sources: Sequence[str], excludes: Mapping[str, Sequence[str]]) -> Walked:
    if not excludes:
        return walked
    takes = {source: PatternMatcher([as_line(source)]).matches for source in sources}

    def is_kept(path: str) -> bool:
        taking = [source for source, matches in takes.items() if source == EVERYTHING or matches(path)]
        return not taking or not all(_is_excluded(path, source, excludes.get(source, ())) for source in taking)

    kept = {entry.path for entry in walked.entries if is_kept(os.fsdecode(entry.path))}
    above = {parent for path in kept for parent in _parents(path)} - kept
    entries = [
        Entry(entry.path, "dir", _PASSED, entry.source) if entry.path in above else entry
        for entry in walked.entries
        if entry.path in kept | above
    ]
    return Walked(tuple(entries), walked.directories)


def _is_excluded(path: str, source: str, patterns: Sequence[str]) -> bool:
    """Whether patterns exclude a path that a source takes: for BuildKit, which sees it from the directory that is
    copied, as well as for podman and buildah, which see it from the top.
    """
    depth = 0 if source == EVERYTHING else source.count("/") + 1
    below = "/".join(path.split("/")[depth:])
    is_sure = bool(below) and "[" not in source and "**" not in source
    return is_sure and all(map(PatternMatcher(list(patterns)).matches, (path, below)))


def _parents(path: bytes) -> Iterator[bytes]:
    while path := posixpath.dirname(path):
        yield path


def _copied(entries: Sequence[Entry], patterns: Sequence[str]) -> Iterator[Entry]:
    is_copied = PatternMatcher(list(map(as_line, patterns))).matches
    for entry in entries:
        if entry.kind == "dir" and not is_copied(os.fsdecode(entry.path)):
            yield Entry(entry.path, "dir", _PASSED, entry.source)
        else:
            yield entry


def _followed(top: bytes, source: str) -> Iterator[str]:
    """The patterns of the links on the way to a source, and that of where it then is."""
    *links, last = _way(top, source)
    yield from links
    yield last
    names = last.split("/")
    fixed = next((number for number, name in enumerate(names) if has_wildcard(name)), len(names))
    for name in _matching(top, names[:fixed], names[fixed]) if fixed < len(names) - 1 else ():
        # BuildKit leads no wildcard through a link; podman and buildah do.
        below = list(_followed(top, "/".join([*names[:fixed], literal_pattern(name), *names[fixed + 1 :]])))
        yield from below if len(below) > 1 else ()


def _check_is_inside(top: bytes, source: str) -> None:
    """Refuse a source that is nowhere but outside of the context: no engine finds it, each in words of its own."""
    if any(map(has_wildcard, source.split("/"))):
        return
    *_, inside = _way(top, source)
    there = os.path.realpath(_path(top, source))
    is_outside = os.path.commonpath([top, there]) != top and os.path.exists(there)
    if is_outside and not os.path.lexists(_path(top, inside)):
        raise MagnetfileError(
            f"the source `{_unescaped(source)}` leads out of the context through a link",
            detail=[f"to {shown(there)}"],
            hint="copy what is there into the context, or declare it with context=[Copy(...)]",
        )


def _matching(top: bytes, names: Sequence[str], wild: str) -> Iterator[str]:
    """The directories, and the links, that a wildcard matches in a directory."""
    is_match = PatternMatcher([as_line(wild)]).matches
    try:
        with os.scandir(_path(top, "/".join(names))) as items:
            for item in items:
                name = os.fsdecode(item.name)
                if (item.is_symlink() or item.is_dir()) and is_match(name):
                    yield name
    except OSError:
        return  # nothing there that could match


def _way(top: bytes, source: str) -> Iterator[str]:
    """The patterns of the links before the first wildcard of a source, and that of where it then is."""
    done: list[str] = []
    todo = source.split("/")
    links = 0
    while todo and not has_wildcard(todo[0]):
        name = _unescaped(todo.pop(0))
        if name in ("", "."):
            continue
        if name == "..":
            del done[-1:]
            continue
        target = _link(os.path.join(top, os.fsencode("/".join([*done, name]))))
        if target is None or links == _MOST_LINKS:
            done.append(name)
            continue
        links += 1
        yield literal_pattern("/".join([*done, name]))
        todo = [*map(literal_pattern, target.split("/")), *todo]
        if target.startswith("/"):
            done = []
    literal = literal_pattern("/".join(done))
    yield "/".join(filter(None, (literal, *todo))) or EVERYTHING


def _listed(top: bytes, patterns: Sequence[str], ignored: Sequence[str]) -> Iterator[Entry]:
    """The directories in which engines look for what wildcards match, and those above them."""
    is_ignored = PatternMatcher(list(ignored)).matches
    for pattern in patterns:
        names = [_unescaped(name) for name in takewhile(lambda name: not has_wildcard(name), pattern.split("/"))]
        if len(names) == pattern.count("/") + 1:
            continue  # no wildcard in it
        for path in accumulate(names, "{}/{}".format):
            source = os.path.join(top, os.fsencode(path))
            if os.path.isdir(source) and not os.path.islink(source) and not is_ignored(path):
                yield Entry(os.fsencode(path), "dir", _PASSED, source)


def _named_links(entries: Sequence[Entry], patterns: Sequence[str]) -> Iterator[str]:
    """Where those links lead that a wildcard matches by themselves, not for being in a directory that it matches."""
    wild = [pattern for pattern in patterns if has_wildcard(pattern)]
    matcher = PatternMatcher(list(map(as_line, wild)))
    for entry in entries if wild else ():
        if entry.kind == "link":
            path = os.fsdecode(entry.path)
            parent = posixpath.dirname(path)
            if matcher.matches(path) and not (parent and matcher.matches(parent)):
                target = posixpath.join("/", parent, os.fsdecode(entry.target))
                yield literal_pattern(posixpath.normpath(target).strip("/")) or EVERYTHING


def _link(path: bytes) -> str | None:
    try:
        return os.fsdecode(os.readlink(path))
    except OSError:
        return None


def _path(top: bytes, pattern: str) -> bytes:
    """The path of the only name that a pattern without wildcards matches."""
    return os.path.join(top, os.fsencode(_unescaped(pattern)))


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)
