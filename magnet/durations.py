"""Lengths of time, as they are written in magnetfiles and on command lines."""

import math
import re

from magnet.errors import MagnetfileError, UsageError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
"""The seconds of each unit."""


def duration(text: str) -> int:
    """The seconds of a duration.

    >>> duration("7d"), duration("1h30m")
    (604800, 5400)
    """
    if not re.fullmatch(r"([0-9]+[smhdw])+", text):
        raise UsageError(f"`{text}` is not a duration", hint="write it as 30m, 12h, 7d, 2w, or together as 1d12h")
    return sum(int(count) * UNITS[unit] for count, unit in re.findall(r"([0-9]+)([smhdw])", text))


def time_limit(limit: float | str, what: str) -> float:
    """The seconds of a limit, which is a number of them or a duration; MagnetfileError where it is not above 0.

    >>> time_limit("5m", "timeout"), time_limit(0.5, "timeout")
    (300, 0.5)
    """
    try:
        seconds = duration(limit) if isinstance(limit, str) else float(limit)
    except (UsageError, TypeError, ValueError, OverflowError):
        seconds = 0
    if isinstance(limit, bool) or not 0 < seconds < math.inf:
        raise MagnetfileError(
            f"`{limit}` is no time for `{what}`",
            hint="give seconds, as 90 or 0.5, or a text, as `90s`, `5m` or `1h30m`",
        )
    return seconds


def spelled(seconds: float) -> str:
    """A duration as people write it, which `duration` reads where it is one of whole seconds.

    >>> spelled(5400), spelled(0.5), spelled(90)
    ('1h30m', '0.5s', '1m30s')
    """
    if seconds != int(seconds) or seconds < 60:
        return f"{seconds:g}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count)
