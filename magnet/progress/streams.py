"""What this process itself prints while a board is on its terminal: the code of a magnetfile may do so at any time."""

import os
import sys
from collections.abc import Callable
from typing import Any, TextIO, cast

Put = Callable[[str], bool]
"""Takes a text that is to be printed, from any thread; False if it does not, now."""


def divert(out: TextIO, put: Put) -> Callable[[], None]:
    """Offer `put` what is printed on stdout and stderr, as far as these are the terminal of `out`, until the way back.

    That is the function that is returned.
    """
    diverted = {}
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if _is_terminal_of(out, stream):
            diverted[name] = _Diverted(stream, put)
            setattr(sys, name, cast(TextIO, diverted[name]))

    def undo() -> None:
        for name, one in diverted.items():
            if getattr(sys, name) is one:  # a magnetfile may have put another in its place
                setattr(sys, name, one.stream)

    return undo


class _Diverted:
    """A stream in all but writing text. Who still has it after the way back finds the stream itself."""

    def __init__(self, stream: TextIO, put: Put) -> None:
        self.stream = stream
        self._put = put

    def write(self, text: str) -> int:
        return len(text) if self._put(text) else self.stream.write(text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _is_terminal_of(out: TextIO, stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty() and _device(stream) == _device(out)
    except (OSError, ValueError):  # it has no file, or is closed
        return False


def _device(stream: TextIO) -> int:
    return os.fstat(stream.fileno()).st_rdev
