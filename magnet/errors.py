"""What can go wrong, as data. The command line words and prints it, once.

MagnetError                 1
 ├─ UsageError              2   the command line asks for something that is not there
 │   └─ MagnetfileError     2   the magnetfile, or a value in it, is wrong
 ├─ EngineError             3   no usable engine, or it lacks a feature
 ├─ CommandFailed           1   a program ended with a failure; carries its exit code
 │   ├─ TimedOut            1   a program, or all of a target, was ended because its time was over
 │   ├─ ContainerFailed     1   a container's own program did; its code is magnet's for a lone target
 │   └─ BuildFailed         1   a step of a build did; carries its name
 ├─ NeedFailed              1   a target that was needed failed; that target reports why
 └─ Canceled              130   the run was interrupted
"""

from collections.abc import Iterable


class MagnetError(Exception):
    """An error with one line of what happened, lines of detail, and a hint at what to do."""

    exit_code = 1

    def __init__(self, message: str, *, detail: Iterable[str] = (), hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = tuple(detail)
        self.hint = hint


class UsageError(MagnetError):
    """The command line asks for something that does not exist or does not fit."""

    exit_code = 2


class MagnetfileError(UsageError):
    """The magnetfile cannot be loaded, or a value that it gives is not usable."""


class EngineError(MagnetError):
    """There is no usable engine, or the engine cannot do what was asked."""

    exit_code = 3


class CommandFailed(MagnetError):
    """A program ended with `returncode`, or without the result that it promised."""

    def __init__(self, message: str, *, returncode: int, detail: Iterable[str] = (), hint: str | None = None) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.returncode = returncode


class TimedOut(CommandFailed):
    """A program, or all that a target ran, was ended with `returncode`, for its time was over."""


class ContainerFailed(CommandFailed):
    """The program in a container ended with `returncode`."""


class BuildFailed(CommandFailed):
    """A build failed at a `step`, in BuildKit's name for it, where that is known; `said` are the last lines printed.

    `place` is where the step stands: the path of the Dockerfile, its first line and its last, from 1; `excerpt` are
    the lines around it, as they are to be printed.
    """

    def __init__(
        self,
        message: str,
        *,
        returncode: int,
        step: str = "",
        said: Iterable[str] = (),
        detail: Iterable[str] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, returncode=returncode, detail=detail, hint=hint)
        self.step = step
        self.said = tuple(said)
        self.place: tuple[str, int, int] | None = None
        self.excerpt: tuple[str, ...] = ()


class NeedFailed(MagnetError):
    """A target that this one needs has failed; that target carries the reason."""


class Canceled(MagnetError):
    """The run was interrupted before this work was done."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("interrupted")


class Finished(Exception):
    """The command line has been answered, as by its help: there is nothing to run."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def message_of(error: BaseException) -> str:
    """What happened, in one line: the message of an error of ours, and what Python says of any other."""
    if isinstance(error, MagnetError):
        return error.message
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    return ": ".join(filter(None, (type(error).__name__, str(error))))


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the known words nearest to `name`, or None where none is near."""
    from difflib import get_close_matches  # costs 5 ms, and only a mistake needs it

    near = [f"`{word}`" for word in get_close_matches(name, sorted(known), n=3)]
    return f"did you mean {' or '.join(near)}?" if near else None
