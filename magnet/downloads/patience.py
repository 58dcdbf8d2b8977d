"""How long is waited, and how often it is tried again."""

import time
from collections.abc import Callable

from magnet.errors import MagnetError
from magnet.values import frozen


@frozen
class Patience:
    """Seconds, but for `tries`, which is how often in a row it is tried without a byte more than before.

    `connect` is for a connection, `stall` for the next bytes. The first wait between two tries is `first`, each further
    one twice as long, up to `longest`; a server that wants more than `at_most` is not waited for.
    """

    connect: float = 15
    stall: float = 30
    tries: int = 5
    first: float = 0.5
    longest: float = 20
    at_most: float = 120

    def wait(self, failures: int) -> float:
        """How long to wait after so many failures in a row: less by chance, lest all who wait come back together."""
        import random  # costs 10 ms, and most servers answer

        return min(self.longest, self.first * 2.0 ** (failures - 1)) * random.uniform(0.5, 1)


class Transient(Exception):
    """What may be otherwise the next time; `after` so many seconds, where the server says when to ask it again."""

    def __init__(self, message: str, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


def retry_after(value: str | None) -> float | None:
    """The seconds of a `Retry-After`: a number, or a time (RFC 9110, 10.2.3); None where it is neither.

    >>> retry_after("120"), retry_after("soon")
    (120.0, None)
    """
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def rest(seconds: float, check: Callable[[], None]) -> None:
    """Wait; `check`, which may raise, is called meanwhile."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        check()
        time.sleep(min(left, 0.05))


def tired(error: Transient, failures: int, patience: Patience) -> MagnetError | None:
    """The error that ends it, or None where it is to be tried again."""
    hint = "run it again later: it goes on where it ended, if the server lets it"
    if error.after is not None and error.after > patience.at_most:
        return MagnetError(f"{error}; it wants to be asked again in {error.after:.0f} seconds", hint=hint)
    if failures < patience.tries:
        return None
    return MagnetError(f"{error}, {failures} times in a row", hint=hint)
