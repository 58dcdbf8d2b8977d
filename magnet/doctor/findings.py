"""What a check finds: data, which is worded once and shown in two ways."""

from collections.abc import Callable
from typing import Literal

from magnet.doctor.engines import Facts
from magnet.values import frozen

Status = Literal["ok", "warning", "failed", "unknown"]


@frozen
class Finding:
    """How something is; where it is not `ok`, why that matters, and the command that mends it, if there is one.

    `unknown` is what could not be found out, which is no failure.
    """

    status: Status
    what: str
    why: str = ""
    fix: str = ""


@frozen
class Check:
    """A question about an engine; None is its answer where it does not arise.

    It is asked of the `engines` that it names, or of all. One that is about this machine does not arise where the
    engine runs on another. `unprobed` is whether it can be answered where the engine itself does not answer. A failure
    of one that counts `always` is one whatever a trial has shown: it built upon nothing, as no real image does.
    """

    id: str
    engines: tuple[str, ...]
    examine: Callable[[Facts], Finding | None]
    about_machine: bool = True
    unprobed: bool = True
    always: bool = False


@frozen
class Result:
    """The finding of a check on an engine."""

    id: str
    engine: str
    finding: Finding


def ok(what: str) -> Finding:
    """All is well."""
    return Finding("ok", what)


def unknown(what: str) -> Finding:
    """It could not be found out."""
    return Finding("unknown", what)


def obstacle(worked: bool | None, what: str, why: str = "", fix: str = "") -> Finding:
    """Something that keeps an engine from working, unless a trial has shown that it works all the same."""
    return Finding("warning" if worked else "failed", what, why, fix)


def worked(facts: Facts, *, run: bool = False) -> bool | None:
    """Whether the trial of building, and of running where that is asked, went well; None where there was none."""
    wanted = (facts.trial.build, facts.trial.run) if run else (facts.trial.build,)
    return None if None in wanted else all(one.worked for one in wanted if one)
