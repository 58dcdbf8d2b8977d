"""What one instruction takes from the build context, as patterns of an ignore file.

The rules are BuildKit's: https://github.com/moby/buildkit/tree/master/frontend/dockerfile/dockerfile2llb
"""

import posixpath
import re
from collections.abc import Iterator
from typing import Protocol

from e2b_dockerfile_utils import DockerfileInstruction, PatternMatcher, parse_heredoc

EVERYTHING = "."
"""The source that stands for the whole build context."""

_REMOTE = re.compile(r"(https?|git|ssh)://|[\w.-]+@[\w.-]+:")
_WILDCARD = re.compile(r"[*?\[]")


class Scope(Protocol):
    """The variables at the place of an instruction."""

    def expand(self, word: str, line: int) -> str | None:
        """The word with its variables replaced and its quotes removed; None where one of them is not known."""


def is_remote(source: str) -> bool:
    """Whether a source of ADD is a URL or a repository."""
    return _REMOTE.match(source) is not None


def flag(instruction: DockerfileInstruction, name: str) -> str | None:
    """The value of a flag of an instruction."""
    prefix = f"--{name}="
    return next((flag.removeprefix(prefix) for flag in instruction.flags if flag.startswith(prefix)), None)


def mounts(instruction: DockerfileInstruction) -> list[dict[str, str]]:
    """The fields of each mount of a RUN."""
    if instruction.name != "RUN":
        return []
    found = [flag.removeprefix("--mount=") for flag in instruction.flags if flag.startswith("--mount=")]
    return [
        {key.lower(): value for key, _, value in (field.partition("=") for field in mount.split(","))}
        for mount in found
    ]


def copied(instruction: DockerfileInstruction, scope: Scope) -> Iterator[str | None]:
    """What a COPY or an ADD takes; None for what cannot be known."""
    if flag(instruction, "from"):
        return
    for word in instruction.args[:-1]:
        if instruction.heredocs and parse_heredoc(word):
            continue
        source = scope.expand(word, instruction.start_line)
        if source is None:
            yield None
        elif instruction.name == "COPY" or not is_remote(source):
            yield _pattern(_in_context(source))


def mounted(instruction: DockerfileInstruction, scope: Scope) -> Iterator[str | None]:
    """What the bind mounts of a RUN take; None for what cannot be known."""
    for mount in mounts(instruction):
        kind = scope.expand(mount.get("type", "bind"), instruction.start_line)
        if kind in ("bind", None) and not mount.get("from"):
            source = scope.expand(mount.get("source") or mount.get("src") or "", instruction.start_line)
            yield None if kind is None or source is None else literal_pattern(_in_context(source))


def _in_context(source: str) -> str:
    return posixpath.normpath(posixpath.join("/", source)).lstrip("/") or EVERYTHING


def _pattern(source: str) -> str:
    """The pattern of an ignore file for a source of COPY or ADD.

    A name with a wildcard, and what is below it, is matched as by Go's filepath.Match, where `**` means no more than
    `*`; names above it are literal, backslashes and all.
    https://github.com/tonistiigi/fsutil/blob/master/copy/copy.go
    """
    parts = source.split("/")
    fixed = next((number for number, part in enumerate(parts) if has_wildcard(part)), len(parts))
    literal = literal_pattern("/".join(parts[:fixed])) or EVERYTHING
    if fixed == len(parts):
        return literal
    wild = re.sub(r"\*+", "*", "/".join(parts[fixed:]))
    try:
        PatternMatcher([wild])
    except ValueError:
        return literal  # it matches nothing on one engine, and is an error on another
    return posixpath.normpath(f"{literal}/{wild}")


def has_wildcard(name: str) -> bool:
    """Whether a part of a pattern matches other names than its own."""
    return _WILDCARD.search(re.sub(r"\\.", "", name)) is not None


def literal_pattern(path: str) -> str:
    """The pattern that matches just this path.

    >>> literal_pattern("!a[b]/c")
    '\\\\!a\\\\[b\\\\]/c'
    """
    return re.sub(r"[\\*?\[\]!#]", r"\\\g<0>", path)
