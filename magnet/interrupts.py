"""What signals do to a run: the first asks it to end, the second ends it, and Ctrl-Z lets it rest.

SIGINT, SIGTERM and SIGHUP mean the same.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Literal

from magnet.errors import MagnetError

if TYPE_CHECKING:
    from magnet.buildfile import Call
    from magnet.running import Run

ABANDON_AFTER = 3.0
"""Seconds that the bodies of interrupted targets have to end, after their children have ended."""

Ending = Literal["done", "interrupted", "abandoned"]
"""How a run ended: by itself; asked to; or at once, without cleaning up, which the next run does."""

ERRORS = {
    "interrupted": MagnetError("interrupted"),
    "abandoned": MagnetError("interrupted at once", hint="the next run removes what this one may have left"),
}
"""What is reported of a run that did not end by itself."""


def until_done(run: "Run", calls: "list[Call[Any]]") -> Ending:
    """Run to the end, or to an interrupt: then stop everything."""
    with heard():
        try:
            run.scheduler.run(calls)
            run.session.remove_started()
        except KeyboardInterrupt:
            return _stopped(run)
        return "done"


def _stopped(run: "Run") -> Ending:
    try:
        run.scheduler.stop()
        run.session.children.stop()
        run.abandon(ABANDON_AFTER)
        run.session.remove_leftovers()
    except KeyboardInterrupt:
        run.session.children.stop(at_once=True)
        run.abandon(0)
        return "abandoned"
    return "interrupted"


@contextmanager
def heard() -> Iterator[None]:
    """Let all signals that ask for an end raise KeyboardInterrupt within the block."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    # What was started with nohup ignores SIGHUP.
    numbers = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def resting(off_terminal: Callable[[], AbstractContextManager[object]]) -> Iterator[None]:
    """Keep the display off the terminal while Ctrl-Z stops magnet, for the length of the block."""

    def rest(number: int, frame: object) -> None:
        with off_terminal():
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, rest)

    if signal.getsignal(signal.SIGTSTP) == signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGTSTP, rest)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)
