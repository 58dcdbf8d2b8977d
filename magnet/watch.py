"""What a run looked at, and whether that is still as it was then: what `--watch` waits for."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from blake3 import blake3

from magnet.context import Walked
from magnet.digest import content_digest
from magnet.errors import MagnetError
from magnet.index import FileIndex, Tree
from magnet.meter import Measure, unmeasured
from magnet.model import Whole
from magnet.preparation import Recipe
from magnet.reading import NAMES

IGNORE_FILES = (".containerignore", ".dockerignore")
"""Their names in a context; beside a Dockerfile they begin with its name."""

Seen = Tree | str
"""What a look at files found: a tree, or the error that there was."""

Walk = Callable[[], Walked]


class Watch:
    """Takes note of what a run looks at, as it is at the first look; from any thread.

    Changes of what a target makes, by the globs of its `outputs`, are none. Paths are shown relative to `root`.
    """

    def __init__(self, root: Path) -> None:
        self.is_interrupted = False
        self._root = os.path.realpath(os.fsencode(root)) + b"/"
        self._outputs: list[Callable[[str], bool]] = []
        self._walks: dict[str, tuple[FileIndex, Walk]] = {}
        self._first: dict[str, Seen] = {}
        self._last: dict[str, tuple[Seen, str]] = {}
        self._files: dict[Path, str] = {}
        self._lock = threading.Lock()

    def leave_out(self, outputs: Iterable[Sequence[str]]) -> None:
        """Let the outputs of targets be no changes: for each target its globs."""
        from e2b_dockerfile_utils import PatternMatcher  # costs 12 ms, and few runs are watched

        self._outputs = [PatternMatcher(list(globs)).matches for globs in outputs if globs]

    def index(self, path: Path) -> FileIndex:
        """An index of files, of whose every tree note is taken."""
        return _Index(path, self)

    def note(self, paths: Iterable[Path]) -> None:
        """Take note of files, which need not exist."""
        with self._lock:
            for path in paths:
                self._files.setdefault(path, _content(path))

    def note_build(self, recipe: Recipe, root: Path) -> None:
        """Take note of what a build reads besides its contexts: its Dockerfile, and the ignore file, wherever it is."""
        directory = root / recipe.directory
        dockerfiles = [root / recipe.file] if recipe.file is not None else [directory / name for name in NAMES]
        if isinstance(recipe.context, Whole) and recipe.context.directory is not None:
            directory = root / recipe.context.directory
        own = [file.with_name(f"{file.name}{name}") for file in dockerfiles for name in IGNORE_FILES]
        self.note([*dockerfiles, *own, *(directory / name for name in IGNORE_FILES)])

    def saw(self, selection: str, index: FileIndex, walk: Walk, found: Seen) -> None:
        """Take note of a tree, or of the error in its place."""
        with self._lock:
            self._walks.setdefault(selection, (index, walk))
            self._first.setdefault(selection, found)

    @property
    def count(self) -> int:
        """How many files are watched."""
        files = {os.path.realpath(os.fsencode(path)) for path in self._files if path.exists()}
        trees = [tree for tree in self._first.values() if isinstance(tree, Tree)]
        entries = (entry for tree in trees for entry in tree.entries if entry.kind != "dir")
        return len(files | {entry.source for entry in entries if not self._is_output(entry.source)})

    def look(self) -> Mapping[str, str]:
        """The state of everything now; equal ones are of the same content. What has not changed costs a stat a file."""
        trees = {selection: self._state(selection) for selection in self._walks}
        return {**trees, **{str(path): _content(path) for path in self._files}}

    def changed(self, now: Mapping[str, str]) -> list[str]:
        """The paths that differ between the first look and one `look`; relative to the project where they are in it."""
        names = {
            os.path.realpath(os.fsencode(path)) for path, content in self._files.items() if now[str(path)] != content
        }
        for selection, first in self._first.items():
            if now[selection] != self._told(first):
                names |= self._differences(first, self._last[selection][0])
        return sorted(os.fsdecode(name.removeprefix(self._root)) for name in names)

    def _state(self, selection: str) -> str:
        index, walk = self._walks[selection]
        seen, told = self._last.get(selection, (None, ""))
        if isinstance(seen, Tree) and seen.is_as_it_was:
            return told
        try:
            seen = FileIndex.tree(index, selection, walk)
        except MagnetError as error:
            seen = error.message
        self._last[selection] = (seen, self._told(seen))
        return self._last[selection][1]

    def _told(self, seen: Seen) -> str:
        """What decides whether a tree has changed."""
        if isinstance(seen, str) or not self._outputs:
            return seen if isinstance(seen, str) else seen.digest
        return blake3(repr(sorted(self._rows(seen))).encode()).hexdigest()

    def _differences(self, first: Seen, last: Seen) -> set[bytes]:
        if isinstance(last, str):
            return {os.fsencode(last)}
        if isinstance(first, str):
            return {os.fsencode(f"no longer: {first}")}
        return {row[0] for row in self._rows(first) ^ self._rows(last)}

    def _rows(self, tree: Tree) -> set[tuple[bytes, str, int, str]]:
        contents = tree.contents
        return {
            (entry.source, entry.kind, entry.mode, contents.get(entry.source, entry.target.hex()))
            for entry in tree.entries
            if entry.source and not self._is_output(entry.source)
        }

    def _is_output(self, source: bytes) -> bool:
        if not self._outputs or not source.startswith(self._root):
            return False
        path = os.fsdecode(source.removeprefix(self._root))
        return any(matches(path) for matches in self._outputs)


class _Index(FileIndex):
    def __init__(self, path: Path, watch: Watch) -> None:
        super().__init__(path)
        self._watch = watch

    def tree(self, selection: str, walk: Walk, measure: Measure = unmeasured) -> Tree:
        """The tree, as ever."""
        try:
            found = super().tree(selection, walk, measure)
        except MagnetError as error:
            self._watch.saw(selection, self, walk, error.message)
            raise
        self._watch.saw(selection, self, walk, found)
        return found


def _content(path: Path) -> str:
    """The digest of a file's content, or nothing where it cannot be read."""
    try:
        return content_digest(os.fsencode(path)).hex()
    except (OSError, MagnetError):
        return ""
