"""What an engine can do, all in all."""

from collections.abc import Sequence

from magnet.doctor.checks import CHECKS
from magnet.doctor.engines import Facts
from magnet.doctor.findings import Result
from magnet.doctor.trial import Outcome
from magnet.values import frozen

_ALWAYS = frozenset(check.id for check in CHECKS if check.always)


@frozen
class Verdict:
    """The checks of an engine, and whether it can build and run; None is what is not known."""

    facts: Facts
    results: tuple[Result, ...]
    build: bool | None
    run: bool | None

    @property
    def title(self) -> str:
        """The engine's name and version, or its name alone."""
        return str(self.facts.engine or self.facts.name)

    @property
    def is_usable(self) -> bool:
        """Whether nothing is known to keep it from building and running."""
        return self.facts.engine is not None and False not in (self.build, self.run)


def judge(facts: Facts, results: Sequence[Result]) -> Verdict:
    """The verdict on an engine, from what the checks have found."""
    failed = {result.id for result in results if result.finding.status == "failed"}
    can = facts.engine is not None and not failed & _ALWAYS
    return Verdict(
        facts,
        tuple(results),
        build=can and _worked(facts.trial.build, not failed),
        run=can and _worked(facts.trial.run, not failed) if facts.trial.copy is None or facts.trial.run else False,
    )


def _worked(outcome: Outcome | None, is_well: bool) -> bool | None:
    """Whether a part of a trial worked; without one, no more is known than what has failed."""
    if outcome is None:
        return None if is_well else False
    return outcome.worked
