"""How often the body of a target is tried, and how long each try may work."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from magnet.durations import spelled
from magnet.errors import Canceled, CommandFailed, MagnetError, NeedFailed, TimedOut, UsageError
from magnet.policy import Policy
from magnet.process import Children
from magnet.programs import pauses
from magnet.session import Session

R = TypeVar("R")

_CODE = 124  # as timeout(1) says of what it has ended

Say = Callable[[str], None]
"""Prints a line into the target's log."""


class Limit:
    """The time that a try has, which stands still while it waits for what it needs.

    When it is over, the programs that run among its `children` are ended, and what the body asks of magnet after that
    raises TimedOut. Python code that asks nothing of magnet is not ended by anybody; it is waited for.
    """

    def __init__(self, seconds: float, within: Children, say: Say) -> None:
        self.children = within.some()
        self._within = within
        self._seconds = seconds
        self._left = seconds
        self._say = say
        self._lock = threading.Lock()
        self._pauses = 1  # until it begins
        self._since = 0.0
        self._timer: threading.Timer | None = None

    @property
    def is_over(self) -> bool:
        """Whether there is no time left."""
        return bool(self.children.expired)

    def check(self) -> None:
        """Raise TimedOut where there is no time left."""
        if self.is_over:
            raise self._timed_out()

    @contextmanager
    def running(self) -> Iterator[None]:
        """The length of the try. When there is no time left it is TimedOut, however it ends, save by an interrupt.

        When the block ends, none of the programs that were ended is alive.
        """
        self._go_on()
        try:
            yield
        except MagnetError as error:
            self._stand_still()
            if self.is_over and not self._within.is_stopping:
                raise self._timed_out(error.detail) from error
            raise
        self._stand_still()
        self.check()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A block of which the time does not count."""
        self._stand_still()
        try:
            yield
        finally:
            self._go_on()

    def _go_on(self) -> None:
        with self._lock:
            self._pauses -= 1
            if self._pauses == 0 and not self.is_over:
                self._since = time.monotonic()
                self._timer = threading.Timer(min(max(self._left, 0), threading.TIMEOUT_MAX), self._end)
                self._timer.daemon = True
                self._timer.start()

    def _stand_still(self) -> None:
        with self._lock:
            self._pauses += 1
            timer, self._timer = self._timer, None
            if timer:
                timer.cancel()
                self._left -= time.monotonic() - self._since
        if timer:
            timer.join()  # it may be ending programs

    def _end(self) -> None:
        self._say(f"Timed out after {spelled(self._seconds)}.")
        self.children.expire(spelled(self._seconds))

    def _timed_out(self, detail: Iterable[str] = ()) -> TimedOut:
        return TimedOut(
            f"timed out after {spelled(self._seconds)}",
            returncode=_CODE,
            detail=detail,
            hint="`timeout` of its @target is how long it may work",
        )


class _Timed:
    """What a body sees as `t` while there is a limit: each use of it raises TimedOut when there is no time left."""

    def __init__(self, t: Any, limit: Limit) -> None:
        self._t = t
        self._limit = limit

    def __getattr__(self, name: str) -> Any:
        self._limit.check()
        return getattr(self._t, name)

    @contextmanager
    def target(self, name: str) -> Iterator[Any]:
        """A target in this one, which has the same limit."""
        self._limit.check()
        with self._t.target(name) as child:
            yield _Timed(child, self._limit)


class Attempt:
    """One try of a body: its programs are among `children`, and its limit is that of the policy, if that has one."""

    def __init__(self, policy: Policy, within: Children, say: Say) -> None:
        self._limit = Limit(policy.timeout, within, say) if policy.timeout is not None else None
        self.children = self._limit.children if self._limit else within.some()

    @property
    def is_over(self) -> bool:
        """Whether it had a limit, and there is no time left."""
        return self._limit is not None and self._limit.is_over

    def need(self, need: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        """The same, in time that does not count."""
        limit = self._limit
        if limit is None:
            return need

        def paused(*args: Any) -> list[Any]:
            with limit.paused():
                return need(*args)

        return paused

    def run(self, t: Any, body: Callable[[Any], R]) -> R:
        """What the body makes of `t` in the time that it has."""
        if self._limit is None:
            return body(t)
        with self._limit.running():
            return body(_Timed(t, self._limit))


def attempt(policy: Policy, session: Session, once: Callable[[Attempt], R], say: Say) -> R:
    """What a body returns: the first of its tries that does not fail, or else the last.

    What a try has started is removed when it fails. There is no further try after an interrupt, nor where one would
    fail as well: a target that is needed has failed, or what is asked for cannot be meant.
    """
    for number, pause in enumerate(pauses(policy.retries), 2):
        try:
            return _once(policy, session, once, say, is_last=False)
        except (Canceled, NeedFailed, UsageError):
            raise
        except MagnetError as error:
            # What a program printed last is there already.
            detail = () if isinstance(error, CommandFailed) else error.detail
            for line in (f"{error.message}.", *(f"  {line}" for line in detail)):
                say(line)
            say(f"Try {number} of {policy.retries + 1} begins in {spelled(pause)}.")
            session.children.wait(pause)
    return _once(policy, session, once, say, is_last=True)


def _once(policy: Policy, session: Session, once: Callable[[Attempt], R], say: Say, *, is_last: bool) -> R:
    this = Attempt(policy, session.children, say)
    try:
        return once(this)
    except MagnetError:
        session.remove_started(this.children, kept=not is_last)
        raise
