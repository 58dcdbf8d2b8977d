"""Mistakes in a Dockerfile that some engine would turn into nothing: each is an error on all of them."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from e2b_dockerfile_utils import PatternMatcher

from magnet.context import Entry
from magnet.errors import MagnetfileError
from magnet.sources import EVERYTHING, Transfer, as_line, has_wildcard, in_context, is_remote
from magnet.uses import is_mode

_MOST_LINKS = 40


class Names:
    """The names in a context, in which sources are looked for as engines do, who follow links there."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = {os.fsdecode(entry.path): entry for entry in entries}

    def has(self, source: str) -> bool:
        """Whether a source of COPY is there, or something that it matches; True in doubt."""
        if source == EVERYTHING or "**" in source:
            return True
        try:
            return self._is_there("", source.split("/"), 0)
        except ValueError:
            return True  # of a pattern that is none, the engine tells

    def _is_there(self, directory: str, names: Sequence[str], links: int) -> bool:
        if not names:
            return True
        return any(self._leads_on(path, names[1:], links) for path in self._matching(directory, names[0]))

    def _leads_on(self, path: str, names: Sequence[str], links: int) -> bool:
        if not names:
            return True
        entry = self._entries[path]
        if entry.kind == "link" and links < _MOST_LINKS:
            target = os.path.join("/", os.path.dirname(path), os.fsdecode(entry.target))
            there = in_context(target)
            return self._is_there("", [*([] if there == EVERYTHING else there.split("/")), *names], links + 1)
        return entry.kind == "dir" and self._is_there(path, names, links)

    def _matching(self, directory: str, name: str) -> Iterator[str]:
        if has_wildcard(name):
            matches = PatternMatcher([as_line(name)]).matches
            found = [child for child in self._children.get(directory, ()) if matches(child)]
        else:
            # Of a backslash, BuildKit makes itself, and podman and buildah an escape.
            found = list(dict.fromkeys((name, re.sub(r"\\(.)", r"\1", name))))
        yield from (path for child in found if (path := os.path.join(directory, child)) in self._entries)

    @cached_property
    def _children(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for path in self._entries:
            parent, name = os.path.split(path)
            found.setdefault(parent, []).append(name)
        return found


def check(transfers: Sequence[Transfer], names: Names, dockerfile: Path, hint: Callable[[str], str]) -> None:
    """Raise MagnetfileError for the first COPY or ADD of nothing, or with a mode that is none.

    `hint` says of a source that is not there where it may be.
    """
    for transfer in transfers:
        if transfer.mode is not None and not is_mode(transfer.mode):
            raise _error(
                dockerfile,
                transfer,
                f"`--chmod={transfer.mode}` is not the mode of a file",
                "write it in octal digits, as `--chmod=755`",
            )
        if source := None if transfer.is_foreign else _missing(transfer, names):
            what = f"nothing in the context matches `{source}`"
            if not has_wildcard(source):
                what = f"there is no `{source}` in the context"
            raise _error(dockerfile, transfer, what, hint(source))


def _missing(transfer: Transfer, names: Names) -> str | None:
    """A source that is not there and without which a COPY or an ADD fails, or None.

    Of several, those with wildcards may match nothing as long as anything is copied.
    """
    local = [source for source in transfer.sources if source is not None and not is_remote(source)]
    missing = [source for source in local if not names.has(in_context(source))]
    literal = next((source for source in missing if not has_wildcard(source)), None)
    return literal or (missing[0] if missing and len(missing) == len(transfer.sources) else None)


def _error(dockerfile: Path, transfer: Transfer, what: str, hint: str) -> MagnetfileError:
    return MagnetfileError(f"`{dockerfile}`, line {transfer.line}: {what}", detail=[transfer.instruction], hint=hint)
