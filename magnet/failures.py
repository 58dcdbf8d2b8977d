"""How failures are worded: once, on stderr, when all is over."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from magnet.errors import BuildFailed, MagnetError

Hide = Callable[[str], str]
"""Takes secrets out of a text."""


def report(
    error: MagnetError, out: TextIO, where: str = "", *, log: Path | None = None, hide: Hide = lambda text: text
) -> None:
    """Print an error: where in a Dockerfile it was, what happened, the detail, its log, and a hint at what to do."""
    for line in lines(error, where, log):
        print(hide(line), file=out)


def lines(error: MagnetError, where: str = "", log: Path | None = None) -> list[str]:
    """The lines that report an error."""
    excerpt = error.excerpt if isinstance(error, BuildFailed) else ()
    said = [*excerpt, f"error: {where}{error.message}", *(f"  {line}" for line in error.detail)]
    said += [f"log: {os.path.relpath(log)}"] if log else []
    return said + ([f"hint: {error.hint}"] if error.hint else [])
