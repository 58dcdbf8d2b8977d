"""What a display is: something that follows a run and draws it. A display is used from one thread."""

from typing import Protocol

from magnet.events import Sink


class Display(Sink, Protocol):
    """A sink that can leave the terminal to a vertex for a while."""

    def suspend(self, vertex: str) -> None:
        """Draw nothing from now on; the vertex of this digest shows its output itself."""

    def resume(self, vertex: str) -> None:
        """Draw again, and say what was not said meanwhile."""

    def abandon(self) -> None:
        """Leave the terminal as it was, at once, and draw no more; from any thread, and any number of times."""
