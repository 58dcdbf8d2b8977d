"""Which display follows a run."""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO

from magnet.errors import UsageError
from magnet.events import Clock
from magnet.progress.display import Display
from magnet.settings import Settings

if TYPE_CHECKING:
    from magnet.progress.ci import Service


def check_display(settings: Settings) -> None:
    """Raise UsageError where the display that the settings ask for cannot be had."""
    if settings.progress == "rawjson" and sys.__stdout__ is None:
        raise UsageError("--progress=rawjson writes to stdout, which is closed", hint="send it to a file or a program")


def make_display(settings: Settings, service: "Service | None", environ: Mapping[str, str], clock: Clock) -> Display:
    """The display that the settings ask for; by itself, a board on a terminal and plain lines elsewhere."""
    mode = settings.progress
    if mode == "auto":
        mode = "tty" if sys.stderr.isatty() and environ.get("TERM") != "dumb" else "plain"
    if mode == "tty":
        from magnet.progress.tty import Tty

        return Tty(sys.stderr, clock)
    if mode == "rawjson":
        from magnet.progress.rawjson import RawJson

        return RawJson(_own_stdout())
    if mode == "quiet":
        from magnet.progress.quiet import Quiet

        return Quiet(sys.stderr, ci=service)
    from magnet.progress.plain import Plain

    return Plain(sys.stderr, clock, interleave=settings.interleave, ci=service)


def detect_service(settings: Settings, environ: Mapping[str, str], clock: Clock) -> "Service | None":
    """The service that runs this program, unless the settings want none of what it understands."""
    if settings.no_ci or not ("GITHUB_ACTIONS" in environ or "GITLAB_CI" in environ):
        return None
    from magnet.progress.ci import detect

    return detect(environ, clock)


def _own_stdout() -> BinaryIO:
    """What stdout is; whatever else is printed there from now on, by anyone, goes to stderr."""
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return own
