"""How failures are worded: once, on stderr, when all is over."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from magnet.errors import BuildFailed, MagnetError

if TYPE_CHECKING:
    from magnet.progress.ci import Service

Hide = Callable[[str], str]
"""Takes secrets out of a text."""


def report(
    error: MagnetError,
    out: TextIO,
    where: str = "",
    *,
    log: Path | None = None,
    hide: Hide = lambda text: text,
    service: "Service | None" = None,
) -> None:
    """Print an error: where in a Dockerfile it was, what happened, the detail, its log, and a hint at what to do.

    A service that runs builds gets an annotation as well, and finds no command of its own in the rest.
    """
    from magnet.printing import plain  # only where something failed

    # What a program printed may be in it.
    text = plain(hide("".join(f"{line}\n" for line in lines(error, where, log))))
    if service:
        text = service.shielded(text) + _annotation(error, where, hide, service)
    out.write(text)
    out.flush()


def _annotation(error: MagnetError, where: str, hide: Hide, service: "Service") -> str:
    message = hide("\n".join((error.message, *error.detail, *([f"hint: {error.hint}"] if error.hint else []))))
    file, line, end_line = error.place if isinstance(error, BuildFailed) and error.place else (None, None, None)
    title = hide(where.removesuffix(": "))
    return service.error_annotation(message, file=file, line=line, end_line=end_line, title=title)


def lines(error: MagnetError, where: str = "", log: Path | None = None) -> list[str]:
    """The lines that report an error."""
    excerpt = error.excerpt if isinstance(error, BuildFailed) else ()
    said = [*excerpt, f"error: {where}{error.message}", *(f"  {line}" for line in error.detail)]
    said += [f"log: {os.path.relpath(log)}"] if log else []
    return said + ([f"hint: {error.hint}"] if error.hint else [])
