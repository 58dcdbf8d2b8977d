"""What one instruction takes from the build context, as patterns of an ignore file.

The rules are BuildKit's: https://github.com/moby/buildkit/tree/master/frontend/dockerfile/dockerfile2llb
"""

import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from magnet.values import frozen

if TYPE_CHECKING:
    from e2b_dockerfile_utils import DockerfileInstruction

EVERYTHING = "."
"""The source that stands for the whole build context."""

_REMOTE = re.compile(r"(https?|git|ssh)://|[\w.-]+@[\w.-]+:")
_WILDCARD = re.compile(r"[*?\[]")


@frozen
class Transfer:
    """A COPY or an ADD as it reads: its line, and the instruction on one line.

    `sources` are its words with their variables replaced, or None for what is not known, or stands in the Dockerfile
    itself; `is_foreign` is whether they are of another stage or an image. `owner` and `mode` are the values of --chown
    and --chmod.
    """

    line: int
    instruction: str
    sources: tuple[str | None, ...]
    is_foreign: bool = False
    owner: str | None = None
    mode: str | None = None


class Scope(Protocol):
    """The variables at the place of an instruction."""

    def expand(self, word: str, line: int) -> str | None:
        """The word with its variables replaced and its quotes removed; None where one of them is not known."""


def is_remote(source: str) -> bool:
    """Whether a source of ADD is a URL or a repository."""
    return _REMOTE.match(source) is not None


def flag(instruction: "DockerfileInstruction", name: str) -> str | None:
    """The value of a flag of an instruction."""
    prefix = f"--{name}="
    return next((flag.removeprefix(prefix) for flag in instruction.flags if flag.startswith(prefix)), None)


def mounts(instruction: "DockerfileInstruction") -> list[dict[str, str]]:
    """The fields of each mount of a RUN."""
    if instruction.name != "RUN":
        return []
    found = [flag.removeprefix("--mount=") for flag in instruction.flags if flag.startswith("--mount=")]
    return [
        {key.lower(): value for key, _, value in (field.partition("=") for field in mount.split(","))}
        for mount in found
    ]


def source_words(instruction: "DockerfileInstruction") -> list[str]:
    """The sources of a COPY or an ADD as they are written, without heredocs.

    Outside of JSON engines split at every blank, whatever quotes and escapes say.
    """
    from e2b_dockerfile_utils import parse_heredoc  # costs 8 ms, and what is known is not read again

    is_split = instruction.json or instruction.heredocs
    words = instruction.args if is_split else " ".join(instruction.args).split()
    return [word for word in words[:-1] if not (instruction.heredocs and parse_heredoc(word))]


def excluded(instruction: "DockerfileInstruction") -> tuple[str, ...]:
    """What a COPY or an ADD excludes; nothing where a pattern of it is not plain."""
    from e2b_dockerfile_utils import PatternMatcher

    found = [flag.removeprefix("--exclude=") for flag in instruction.flags if flag.startswith("--exclude=")]
    if any(re.search(r"[$`\\]|^\s*[!#]", pattern) for pattern in found):
        return ()
    try:
        PatternMatcher(found)
    except ValueError:
        return ()  # the engine's to report
    return tuple(found)


def keeps_parents(instruction: "DockerfileInstruction") -> bool:
    """Whether a COPY copies the directories, too, that its sources are in."""
    return "--parents" in instruction.flags or flag(instruction, "parents") == "true"


def transfer(instruction: "DockerfileInstruction", scope: Scope) -> Transfer:
    """A COPY or an ADD, as it reads with these variables."""
    line = instruction.start_line
    owner = flag(instruction, "chown")
    return Transfer(
        line,
        shown(instruction),
        (*(None for _ in instruction.heredocs), *(scope.expand(word, line) for word in source_words(instruction))),
        is_foreign=flag(instruction, "from") is not None,
        owner=owner and scope.expand(owner, line),
        mode=flag(instruction, "chmod"),
    )


def shown(instruction: "DockerfileInstruction") -> str:
    """An instruction on one line."""
    return " ".join(instruction.original.split())


def copied(instruction: "DockerfileInstruction", scope: Scope) -> Iterator[str | None]:
    """What a COPY or an ADD takes; None for what cannot be known."""
    if flag(instruction, "from"):
        return
    for word in source_words(instruction):
        source = scope.expand(word, instruction.start_line)
        if source is None:
            yield None
        elif instruction.name == "COPY" or not is_remote(source):
            yield from _patterns(in_context(source), is_deep=keeps_parents(instruction))


def mounted(instruction: "DockerfileInstruction", scope: Scope) -> Iterator[str | None]:
    """What the bind mounts of a RUN take; None for what cannot be known."""
    for mount in mounts(instruction):
        kind = scope.expand(mount.get("type", "bind"), instruction.start_line)
        if kind in ("bind", None) and not mount.get("from"):
            source = scope.expand(mount.get("source") or mount.get("src") or "", instruction.start_line)
            yield None if kind is None or source is None else literal_pattern(in_context(source))


def in_context(source: str) -> str:
    """The path in the context that a source means.

    >>> in_context("/a/../../b/")
    'b'
    """
    return posixpath.normpath(posixpath.join("/", source)).lstrip("/") or EVERYTHING


def _patterns(source: str, *, is_deep: bool) -> set[str]:
    """The patterns of an ignore file for a source of COPY or ADD.

    A name with a wildcard, and what is below it, is matched as by Go's filepath.Match, where `**` means no more than
    `*`, but with `--parents` any number of directories. In the names above it BuildKit takes a backslash for itself,
    and podman and buildah for an escape.
    https://github.com/tonistiigi/fsutil/blob/master/copy/copy.go
    """
    parts = source.split("/")
    fixed = next((number for number, part in enumerate(parts) if has_wildcard(part)), len(parts))
    above = "/".join(parts[:fixed])
    below = re.sub(r"\*\*+", "**" if is_deep else "*", "/".join(parts[fixed:]))
    from e2b_dockerfile_utils import PatternMatcher

    try:
        PatternMatcher([below])
    except ValueError:
        below = ""  # it matches nothing on one engine, and is an error on another
    literals = {literal_pattern(name) for name in (above, re.sub(r"\\(.)", r"\1", above))}
    return {posixpath.normpath(posixpath.join(literal, below)) for literal in literals}


def has_wildcard(name: str) -> bool:
    """Whether a part of a pattern matches other names than its own."""
    return _WILDCARD.search(re.sub(r"\\.", "", name)) is not None


def as_line(pattern: str) -> str:
    """The pattern as a matcher of ignore patterns has to get it: one that is read as it stands.

    >>> as_line("!a ")
    './!a /.'
    """
    line = f"./{pattern}" if re.match(r"[!#\s]", pattern) else pattern
    return f"{line}/." if line != line.rstrip() else line


def literal_pattern(path: str) -> str:
    """The pattern that matches just this path.

    >>> literal_pattern("!a[b]/c")
    '\\\\!a\\\\[b\\\\]/c'
    """
    return re.sub(r"[\\*?\[\]!#]", r"\\\g<0>", path)
