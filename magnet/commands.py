"""The commands that are not about a target: `magnet cache`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from magnet.errors import UsageError


@dataclass(frozen=True)
class Given:
    """The options that stand before a command's name, as far as they mean something to it.

    `backend` is the name of an engine that was asked for, by the command line or the environment.
    """

    file: Path | None = None
    backend: str | None = None
    dry_run: bool = False
    as_json: bool = False


def run(words: Sequence[str], given: Given) -> int:
    """Do what the words say, the first of which is the command's name, and return the exit code."""
    raise UsageError(f"`magnet {words[0]}` is not here yet")
