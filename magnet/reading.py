"""What a Dockerfile and an ignore file say to one build, from the memory if they said it before."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from magnet.errors import MagnetfileError
from magnet.memory import Memory
from magnet.model import Platform
from magnet.values import frozen

NAMES = ("Dockerfile", "Containerfile")
"""The names of a Dockerfile that nobody had to name, in the order in which they are looked for."""


@frozen
class Reading:
    """A Dockerfile as it reads for one stage, with one set of build args, on one platform; all values are JSON's.

    `stage` is what the engine's `--target` has to say; `bases` are the images from outside that are needed, `sources`
    what is taken from the context, as patterns, or None where that cannot be known, with the `excludes` that they have.
    The others are those of `dockerfile.Described`.
    """

    syntax: str
    escape: str
    is_foreign: bool
    stage: str | None
    bases: list[str]
    sources: list[str] | None
    instructions: list[list[object]]
    arguments: dict[str, str | None]
    platforms: dict[str, str]
    unchecked: list[str]
    mounts_context: bool
    excludes: Mapping[str, list[str]] = MappingProxyType({})
    keeps_parents: bool = False


def find(directory: Path) -> Path:
    """The Dockerfile of a directory: `Dockerfile`, else `Containerfile`."""
    for name in NAMES:
        if (directory / name).is_file():
            return directory / name
    raise MagnetfileError(
        f"there is no {' or '.join(NAMES)} in `{directory}`",
        hint="name another file with `file=` in the magnetfile, or with `-f` on the command line",
    )


def read(
    path: Path, stage: str | None, build_args: Mapping[str, str], platform: Platform | None, memory: Memory
) -> Reading:
    """What the Dockerfile says; MagnetfileError where it cannot be read, or has no such stage."""

    content = _content(path)

    def answer() -> dict[str, Any]:
        return vars(_read(path, content, stage, build_args, platform))

    given = repr((stage, sorted(build_args.items()), str(platform or ""), os.uname().machine))
    return Reading(**memory.recall(["Dockerfile", content, given], answer))


def read_ignore_file(path: Path, memory: Memory) -> tuple[str, ...]:
    """The patterns of an ignore file, as `context.ignore_patterns` gives them."""
    content = _content(path)

    def answer() -> tuple[str, ...]:
        from magnet.context import ignore_patterns

        return ignore_patterns(path, content)

    return tuple(memory.recall(["ignore file", content], answer))


def _content(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except OSError as error:
        raise MagnetfileError(f"cannot read `{path}`: {error.strerror}") from error


def _read(
    path: Path, content: str, stage: str | None, build_args: Mapping[str, str], platform: Platform | None
) -> Reading:
    from magnet import dockerfile

    parsed = dockerfile.parse_text(path, content)
    described = parsed.described(stage, build_args, platform)
    sources = parsed.sources(stage, build_args, platform)
    return Reading(
        syntax=parsed.syntax or "",
        escape=parsed.escape,
        is_foreign=parsed.is_foreign,
        stage=None if stage is None else parsed.target(stage),
        bases=list(parsed.bases(stage, build_args, platform)),
        sources=None if sources is None else list(sources),
        instructions=described.instructions,
        arguments=described.arguments,
        platforms=described.platforms,
        unchecked=list(described.unchecked),
        mounts_context=described.mounts_context,
        excludes=parsed.excludes(stage, build_args, platform),
        keeps_parents=parsed.keeps_parents(stage, build_args, platform),
    )
