"""The narrow context: which files a build can see.

Names are bytes everywhere, as the kernel keeps them. Of a mode, only the permission bits count.
"""

import errno
import os
import posixpath
import re
import stat
from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from magnet.errors import MagnetError, MagnetfileError, did_you_mean
from magnet.model import Copy
from magnet.values import frozen

if TYPE_CHECKING:
    from e2b_dockerfile_utils import PatternMatcher

PERMISSIONS = 0o777
"""The bits of a mode that count. Engines differ in what they keep of setuid, setgid and sticky; magnet keeps none."""

_SPECIAL = {stat.S_IFSOCK: "a socket", stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


class Entry(NamedTuple):
    """One name in a context: its path there, separated by `/`, and the absolute path of what it is made from.

    `source` is empty for a directory that exists only because something is in it; `target` is what a link holds.
    """

    path: bytes
    kind: Literal["file", "dir", "link"]
    mode: int
    source: bytes = b""
    target: bytes = b""


@frozen
class Walked:
    """What was selected for a context, sorted by path, and the absolute paths of the directories that were listed."""

    entries: tuple[Entry, ...]
    directories: tuple[bytes, ...] = ()


def declared(copies: Sequence[Copy], root: Path, never: Path) -> Walked:
    """The context that the copies declare. Where two give one path, the later wins.

    Nothing in `never`, magnet's own directory, is part of it. Directories that no source gives have mode 0755.
    """
    entries: dict[bytes, Entry] = {}
    directories: list[bytes] = []
    for copy in copies:
        for entry in _copied(copy, _real(root), _real(never), directories):
            old = entries.get(entry.path, entry)
            if (old.kind == "dir") != (entry.kind == "dir"):
                raise _conflict(old, entry)
            entries[entry.path] = entry
    _make_parents(entries)
    return Walked(in_order(entries.values()), tuple(directories))


def selected(directory: Path, include: Sequence[str], exclude: Sequence[str], never: Path) -> Walked:
    """What of a directory `include` matches, or all where it is empty, but not what `exclude` matches.

    The patterns are those of an ignore file. Nothing in `never` is part of it.
    """
    directories: list[bytes] = []
    entries = _Walk(_Selection(include, exclude), _real(never), directories).entries(_real(directory))
    return Walked(in_order(entries), tuple(directories))


def with_git_modes(walked: Walked) -> Walked:
    """The same with the modes that git keeps: see `magnet.model.Modes`."""
    return Walked(tuple(map(_with_git_mode, walked.entries)), walked.directories)


def find_ignore_file(directory: Path, dockerfile: Path) -> Path | None:
    """The one ignore file that counts, on every engine, or None.

    First the Dockerfile's own, beside it: `<Dockerfile>.dockerignore`, then `<Dockerfile>.containerignore`; then the
    directory's `.containerignore`, then its `.dockerignore`. That is buildah's order, which podman shares; docker
    knows only the names in `.dockerignore`, in the same order.
    """
    candidates = (
        dockerfile.with_name(f"{dockerfile.name}.dockerignore"),
        dockerfile.with_name(f"{dockerfile.name}.containerignore"),
        directory / ".containerignore",
        directory / ".dockerignore",
    )
    return next((path for path in candidates if path.is_file()), None)


def read_ignore_file(path: Path) -> tuple[str, ...]:
    """The patterns in an ignore file, as `ignore_patterns` gives them; bytes that are no UTF-8 as os.fsdecode does."""
    try:
        return ignore_patterns(path, path.read_bytes().decode(errors="surrogateescape"))
    except OSError as error:
        raise cannot_read(os.fsencode(path), error) from error


def ignore_patterns(path: Path, text: str) -> tuple[str, ...]:
    """The patterns in the text of the ignore file at `path`, cleaned as Moby does it.

    Podman 4.3 cleans none by itself: there, a pattern that begins with `/` matches nothing. The format is Moby's:
    https://docs.docker.com/build/concepts/context/#dockerignore-files
    """
    patterns: list[str] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        matcher = _matcher([line], f"`{path}`, line {number}: ")
        # A `#` after a blank starts no comment, and must not when the blank is gone.
        patterns += (re.sub(r"^#", r"\\#", pattern) for pattern in (matcher.patterns if matcher else ()))
    return tuple(patterns)


def shown(name: bytes) -> str:
    """A file's name as it can be printed: on one line, with escapes for what is not text."""
    text = name.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else repr(text)[1:-1]


def cannot_read(path: bytes, error: OSError) -> MagnetError:
    """The error that says which file of a context could not be read, and why."""
    hint = "make it readable, or leave it out with `exclude` or an ignore file"
    return MagnetError(
        f"cannot read `{shown(path)}`: {error.strerror}", hint=hint if error.errno == errno.EACCES else None
    )


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries by path, so that a directory comes before what is in it."""
    return tuple(sorted(entries, key=attrgetter("path")))


def _with_git_mode(entry: Entry) -> Entry:
    if entry.kind == "link":
        return entry
    is_executable = entry.kind == "dir" or entry.mode & 0o111
    return entry._replace(mode=0o755 if is_executable else 0o644)


def _real(path: Path) -> bytes:
    return os.path.realpath(os.fsencode(path))


def _is_within(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")


# Declared contexts


def _copied(copy: Copy, root: bytes, never: bytes, directories: list[bytes]) -> list[Entry]:
    source = _source(copy, root, never)
    target = _target(copy.target)
    info = os.stat(source)
    if not stat.S_ISDIR(info.st_mode):
        return [_copied_file(copy, source, target, info)]
    top = [Entry(target, "dir", info.st_mode & PERMISSIONS, source)] if target else []
    walk = _Walk(_Selection(copy.include, copy.exclude), never, directories)
    return top + walk.entries(source, at=target + b"/" if target else b"")


def _copied_file(copy: Copy, source: bytes, target: bytes, info: os.stat_result) -> Entry:
    if copy.include or copy.exclude:
        raise MagnetfileError(f"`{copy.source}` is a file, so `include` and `exclude` have nothing to choose from")
    if copy.target.rpartition("/")[2] in ("", ".", ".."):
        target = posixpath.join(target, os.path.basename(os.path.normpath(os.fsencode(copy.source))))
    return _leaf(target, source, info)


def _source(copy: Copy, root: bytes, never: bytes) -> bytes:
    given = os.fsencode(copy.source)
    path = os.path.join(root, given)
    try:
        real = os.path.realpath(path, strict=True)
    except OSError as error:
        raise _no_source(copy, path, error) from error
    if not os.path.isabs(given) and not _is_within(real, root):
        raise MagnetfileError(
            f"`{copy.source}` leads out of `{shown(root)}`",
            detail=[f"to {shown(real)}"],
            hint="give the absolute path of what is elsewhere",
        )
    if _is_within(real, never):
        raise MagnetfileError(f"`{copy.source}` is in magnet's own directory, which is never in a context")
    return real


def _no_source(copy: Copy, path: bytes, error: OSError) -> MagnetError:
    if error.errno != errno.ENOENT:
        return cannot_read(path, error)
    missing = path
    while not os.path.lexists(os.path.dirname(missing)):
        missing = os.path.dirname(missing)
    return MagnetfileError(
        f"`{copy.source}` does not exist",
        detail=[f"looked for {shown(path)}"],
        hint=_hint_at_source(os.path.dirname(missing), os.path.basename(missing)),
    )


def _hint_at_source(directory: bytes, name: bytes) -> str | None:
    if set(name) & set(b"*?["):
        return "a source is one file or directory; choose among a directory's files with `include`"
    names = os.listdir(directory) if os.path.isdir(directory) else []
    return did_you_mean(shown(name), [shown(other) for other in names if other != name])


def _target(target: str) -> bytes:
    parts: list[bytes] = []
    for part in os.fsencode(target).split(b"/"):
        if part == b".." and not parts:
            raise MagnetfileError(f"the target `{target}` leads out of the context")
        if part == b"..":
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def _make_parents(entries: dict[bytes, Entry]) -> None:
    for entry in tuple(entries.values()):
        parent = posixpath.dirname(entry.path)
        while parent and parent not in entries:
            entries[parent] = Entry(parent, "dir", 0o755)
            parent = posixpath.dirname(parent)
        if parent and entries[parent].kind != "dir":
            raise _conflict(entries[parent], entry)


def _conflict(one: Entry, other: Entry) -> MagnetfileError:
    path = min(one.path, other.path, key=len)
    return MagnetfileError(
        f"`{shown(path)}` would have to be a directory and something else in the context",
        detail=[f"{shown(entry.source)} goes to /{shown(entry.path)}" for entry in (one, other)],
    )


# Selecting


class _Selection:
    """Which paths of a directory are wanted, and below which directories there may be some."""

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include = _matcher(include)
        self._exclude = _matcher(exclude)
        # The library can tell below which directories a `!` pattern may match, and only that.
        self._reach = _reach(include)
        self._exclude_reach = _reach(exclude)
        self._can_take_back = any(pattern.strip().startswith("!") for pattern in include)

    def has(self, path: bytes) -> bool:
        name = _text(path)
        is_included = self._include is None or self._include.matches(name)
        return is_included and not (self._exclude and self._exclude.matches(name))

    def may_have_below(self, path: bytes) -> bool:
        name = _text(path)
        may_include = not self._include or self._include.matches(name) or _may_match_below(self._reach, name)
        is_excluded = self._exclude and self._exclude.matches(name) and not _may_match_below(self._exclude, name)
        return may_include and not is_excluded

    def has_all_below(self, path: bytes) -> bool:
        """Whether all that may be below a directory is wanted, so that no name there needs a look; False in doubt."""
        if self._can_take_back or _may_match_below(self._exclude_reach, _text(path)):
            return False
        return self.has(path)


def _reach(patterns: Sequence[str]) -> "PatternMatcher | None":
    return _matcher([f"!{pattern}" for pattern in patterns if not pattern.strip().startswith("!")])


class _Walk:
    """A walk through a directory for what is selected in it; `directories` gets all that it looks into."""

    def __init__(self, selection: _Selection, never: bytes, directories: list[bytes]) -> None:
        self._selection = selection
        self._never = never
        self._directories = directories
        self._found: list[Entry] = []
        self._passed: dict[bytes, Entry] = {}

    def entries(self, top: bytes, at: bytes = b"") -> list[Entry]:
        """What is selected below `top`, with `at` in front of each path, and the directories that it is in."""
        waiting = [(top, b"", False)]
        while waiting:
            directory, below, has_all = waiting.pop()
            self._directories.append(directory)
            try:
                with os.scandir(directory) as items:
                    for item in items:
                        waiting += self._look_at(item, below + item.name, at, has_all)
            except OSError as error:
                raise cannot_read(os.fsencode(error.filename or directory), error) from error
        for entry in tuple(self._found) if self._passed else ():
            self._find_parents(entry.path)
        return self._found

    def _find_parents(self, path: bytes) -> None:
        while parent := self._passed.pop(path := posixpath.dirname(path), None):
            self._found.append(parent)

    def _look_at(
        self, item: os.DirEntry[bytes], path: bytes, at: bytes, has_all: bool
    ) -> Sequence[tuple[bytes, bytes, bool]]:
        if item.path == self._never:
            return ()
        is_wanted = has_all or self._selection.has(path)
        if not item.is_dir(follow_symlinks=False):
            if is_wanted:
                self._found.append(_leaf(at + path, item.path, item.stat(follow_symlinks=False)))
            return ()
        entry = Entry(at + path, "dir", item.stat(follow_symlinks=False).st_mode & PERMISSIONS, item.path)
        if is_wanted:
            self._found.append(entry)
        else:
            self._passed[entry.path] = entry
        if has_all or self._selection.may_have_below(path):
            return [(item.path, path + b"/", has_all or self._selection.has_all_below(path))]
        return ()


def _leaf(path: bytes, source: bytes, info: os.stat_result) -> Entry:
    if stat.S_ISREG(info.st_mode):
        return Entry(path, "file", info.st_mode & PERMISSIONS, source)
    if stat.S_ISLNK(info.st_mode):
        # The mode of a link means nothing, and is not the same on every system.
        return Entry(path, "link", 0o777, source, os.readlink(source))
    raise MagnetfileError(
        f"`{shown(source)}` is {_SPECIAL[stat.S_IFMT(info.st_mode)]}, which cannot be in a context",
        hint="leave it out with `exclude` or an ignore file",
    )


def _matcher(patterns: Sequence[str], where: str = "") -> "PatternMatcher | None":
    from e2b_dockerfile_utils import PatternMatcher  # costs 8 ms, and a tree that is known is not walked

    try:
        return PatternMatcher(list(patterns)) if patterns else None
    except ValueError as error:
        raise MagnetfileError(f"{where}{str(error).replace('Invalid', 'invalid', 1)}") from error


def _may_match_below(matcher: "PatternMatcher | None", name: str) -> bool:
    if matcher is None:
        return False
    # The library compares component by component, but `[^a]` matches a `/` too, as in Moby.
    has_brackets = any(pattern.startswith("!") and "[" in pattern for pattern in matcher.patterns)
    return has_brackets or matcher.may_match_under(name)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
