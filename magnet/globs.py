"""What the globs of a target select in a project: its inputs, or its outputs.

A glob is a path relative to the magnetfile's directory, with the wildcards of an ignore file: `*` and `?` within a
name, `**` across directories, `[a-z]`. What matches a directory means all that is in it. One that begins with `!`
leaves out what it matches, wherever it stands. Links are themselves, not what they lead to; names are bytes. Magnet's
own directory is never selected.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from magnet.context import PERMISSIONS, Entry, Walked, cannot_read, in_order, selected, shown
from magnet.errors import MagnetfileError, did_you_mean
from magnet.sources import has_wildcard
from magnet.values import frozen

NO_INPUTS = ("**/.git", "**/__pycache__")
"""What changes with every look at a project, or with every run of Python in it, and says nothing about it."""


@frozen
class Selection:
    """The globs of a target, and those whose matches are not theirs though they match.

    What `hidden` matches is selected only by a glob that names it, before its first wildcard.
    """

    root: Path
    globs: tuple[str, ...]
    without: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    never: Path = Path()

    @property
    def name(self) -> str:
        """All that decides what `walk` finds, besides the files themselves."""
        return repr((str(self.root), self.globs, self.without, self.hidden, str(self.never)))

    def walk(self) -> Walked:
        """What is selected; a glob without wildcards may well match nothing.

        A walk begins where the first wildcard is, so that a thousand globs in one directory are not a million matches.
        """
        _check((*self.globs, *self.without))
        root = os.fsencode(self.root)
        excluded = (*(glob[1:] for glob in self.globs if glob.startswith("!")), *self.without)
        entries: dict[bytes, Entry] = {}
        directories: dict[bytes, None] = {}
        for start, globs in _starts(self.globs).items():
            inside = [glob for one in excluded if (glob := _inside(one, start))]
            walked = _walk(root, os.fsencode(start), globs, [*inside, *self.hidden], self.never)
            entries |= {entry.path: entry for entry in walked.entries}
            directories |= dict.fromkeys(walked.directories)
        is_excluded = _matcher(excluded)
        left = (entry for entry in entries.values() if not is_excluded(os.fsdecode(entry.path)))
        return Walked(in_order(left), tuple(directories))

    def walk_all(self) -> Walked:
        """The same; an error where a glob without wildcards matches nothing."""
        for glob in self.globs:
            if not glob.startswith("!") and not has_wildcard(glob):
                _check_exists(self.root, glob)
        return self.walk()

    def unmatched(self, entries: Sequence[Entry]) -> Iterator[str]:
        """The globs that match none of the entries, which `walk` has found."""
        paths = [os.fsdecode(entry.path) for entry in entries]
        for glob in self.globs:
            if not glob.startswith("!") and not any(map(_matching(glob), paths)):
                yield glob


def _matching(glob: str) -> Callable[[str], bool]:
    start, rest = _split(glob)
    return _matcher([glob]) if rest else lambda path: not start or path == start or path.startswith(f"{start}/")


def _matcher(globs: Sequence[str]) -> Callable[[str], bool]:
    from e2b_dockerfile_utils import PatternMatcher  # costs 12 ms, and what has not changed is not walked

    return PatternMatcher(list(globs)).matches


def _check(globs: Sequence[str]) -> None:
    from e2b_dockerfile_utils import PatternMatcher

    for glob in globs:
        try:
            PatternMatcher([glob.removeprefix("!")])
        except ValueError as error:
            hint = "a backslash before one of `*?[` takes its meaning away"
            raise MagnetfileError(f"`{glob}` is not a glob: {str(error).rpartition(': ')[2]}", hint=hint) from error


def _starts(globs: Sequence[str]) -> dict[str, list[str]]:
    """The globs by the directory in which each begins to be one; in that directory, none stands for all that it is."""
    starts: dict[str, list[str]] = {}
    for glob in globs:
        if not glob.startswith("!"):
            start, rest = _split(glob)
            starts.setdefault(start, []).append(rest)
    return {start: [] if "" in rests else rests for start, rests in starts.items()}


def _split(glob: str) -> tuple[str, str]:
    """The part of a glob that has no wildcard, and the rest.

    >>> _split("src/lib/**/*.py"), _split("src"), _split("*.py"), _split(".")
    (('src/lib', '**/*.py'), ('src', ''), ('', '*.py'), ('', ''))
    """
    names = [] if glob == "." else glob.split("/")
    number = next((number for number, name in enumerate(names) if has_wildcard(name)), len(names))
    start, rest = "/".join(map(_unescaped, names[:number])), "/".join(names[number:])
    # Where a pattern begins, these mean something else.
    return start, f"\\{rest}" if rest.startswith(("!", " ")) else rest


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def _walk(root: bytes, start: bytes, globs: list[str], excluded: Sequence[str], never: Path) -> Walked:
    top = os.path.join(root, start) if start else root
    if _is_within(top, os.fsencode(never)):
        return Walked(())
    try:
        info = os.lstat(top)
    except OSError:
        return Walked((), (_existing(top),))
    if not globs and not stat.S_ISDIR(info.st_mode):
        return Walked((_leaf(start, top, info),))
    if not os.path.isdir(top):
        return Walked((), (_existing(os.path.dirname(top)),))
    walked = _selected(top, globs, excluded, never)
    at = start + b"/" if start else b""
    entries = [Entry(at + one.path, one.kind, one.mode, one.source, one.target) for one in walked.entries]
    if not globs and start:
        entries.append(Entry(start, "dir", info.st_mode & PERMISSIONS, top))
    # By its own name, too: a link on the way there may come to lead elsewhere.
    return Walked(tuple(entries), (top, *walked.directories))


def _selected(top: bytes, globs: Sequence[str], excluded: Sequence[str], never: Path) -> Walked:
    try:
        return selected(Path(os.fsdecode(top)), globs, excluded, never)
    except MagnetfileError as error:
        # It speaks of contexts and ignore files, which have other means of leaving something out.
        hint = "leave it out: with a `!` in front, a glob excludes what it matches"
        raise MagnetfileError(error.message.replace("be in a context", "be kept"), hint=hint) from error


def _leaf(path: bytes, source: bytes, info: os.stat_result) -> Entry:
    if stat.S_ISLNK(info.st_mode):
        try:
            return Entry(path, "link", 0o777, source, os.readlink(source))
        except OSError as error:
            raise cannot_read(source, error) from error
    if stat.S_ISREG(info.st_mode):
        return Entry(path, "file", info.st_mode & PERMISSIONS, source)
    raise MagnetfileError(f"`{shown(path)}` is neither a file nor a directory nor a link")


def _existing(path: bytes) -> bytes:
    """The nearest directory above that exists: where something must change before the path can exist."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _inside(glob: str, start: str) -> str:
    """A glob relative to the directory `start`; empty where none says the same there."""
    if not start:
        return glob
    return glob.removeprefix(f"{start}/") if glob.startswith(f"{start}/") else ""


def _check_exists(root: Path, glob: str) -> None:
    path = os.path.join(root, _split(glob)[0])
    if not os.path.lexists(path):
        parent, name = os.path.split(path)
        names: list[str] = []
        with suppress(OSError):
            names = os.listdir(parent)
        near = did_you_mean(name, names)
        raise MagnetfileError(f"there is no `{glob}`, which is one of the inputs", hint=near or f"looked for {path}")


def _is_within(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory + b"/")
