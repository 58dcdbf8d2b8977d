"""A download that goes on while its target does something else."""

import threading
from collections.abc import Callable
from pathlib import Path

from magnet.errors import Canceled, MagnetError

Outcome = tuple[Path, bool, int | None]
"""Where it is, whether it was here already, and then the nanoseconds that it took when it came, if they are known."""


class Download:
    """A download that has begun. Its target does not end before it has."""

    def __init__(
        self,
        shown: str,
        work: Callable[["Download"], Outcome],
        is_stopping: Callable[[], bool],
        given_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._shown = shown
        self._is_stopping = is_stopping
        self._tell_given_up = given_up
        self._is_told = False
        self._given_up = threading.Event()
        self._done = threading.Event()
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        # A daemon, because what a server is waited for must not outlive an interrupt.
        threading.Thread(target=self._run, args=(work,), name=f"download {shown}", daemon=True).start()

    def __repr__(self) -> str:
        return f"<Download {self._shown}>"

    def result(self) -> Path:
        """Where it is, once it is there; MagnetError where it could not be had."""
        self._is_told = True
        return self.outcome()[0]

    def is_done(self) -> bool:
        """Whether it is there, or could not be had."""
        return self._done.is_set()

    @property
    def is_forgiven(self) -> bool:
        """Whether it failed, and its target was told so and went on."""
        return self._is_told and self._error is not None

    def outcome(self) -> Outcome:
        """What came of it, once it is known; Canceled as soon as the run is to end."""
        while not self._done.wait(0.05):
            self.check()
        if self._error is not None:
            raise self._error
        assert self._outcome is not None
        return self._outcome

    def check(self) -> None:
        """Raise Canceled when it is not wanted any more."""
        if self._given_up.is_set() or self._is_stopping():
            raise Canceled

    def give_up(self) -> None:
        """Let it end, if it has not, and do not wait for that."""
        self._given_up.set()
        self._tell_given_up()

    def _run(self, work: Callable[["Download"], Outcome]) -> None:
        try:
            self._outcome = work(self)
        except BaseException as error:
            # Whoever waits for it hears of it.
            self._error = error
        finally:
            self._done.set()


def unexpected(error: BaseException) -> str:
    """What a vertex says of an error."""
    return error.message if isinstance(error, MagnetError) else f"{type(error).__name__}: {error}"
