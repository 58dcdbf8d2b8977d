"""How the verdicts are shown: a table for people, and JSON."""

import json
from collections.abc import Iterator, Sequence

from magnet.doctor.verdict import Verdict
from magnet.values import frozen

_LABELS = {True: "yes", False: "no", None: "not known"}


@frozen
class Choice:
    """The engine that targets use, and why that one; none where none answers."""

    name: str | None
    why: str


def table(verdicts: Sequence[Verdict], choice: Choice) -> str:
    """What people read: engine by engine, then which one targets use."""
    lines: list[str] = []
    for verdict in verdicts:
        lines += [*_section(verdict), ""]
    return "\n".join((*lines, _conclusion(verdicts, choice), ""))


def _section(verdict: Verdict) -> Iterator[str]:
    yield f"{verdict.title}    build: {_LABELS[verdict.build]}    run: {_LABELS[verdict.run]}"
    width = max(len(result.id) for result in verdict.results)
    for result in verdict.results:
        finding = result.finding
        yield f"  {finding.status:<7}  {result.id:<{width}}  {finding.what}"
        indent = " " * (width + 13)
        if finding.why:
            yield f"{indent}{finding.why}"
        if finding.fix:
            yield f"{indent}fix: {finding.fix}"


def _conclusion(verdicts: Sequence[Verdict], choice: Choice) -> str:
    chosen = _chosen(verdicts, choice)
    if chosen is None:
        return "No engine answers here, and targets that need one fail."
    if chosen.is_usable:
        is_known = chosen.build and chosen.run
        able = "it can build and run" if is_known else "nothing is known to keep it from building and running"
        return f"Targets use {choice.name}, {choice.why}: {able}."
    can = [word for word, able in (("build", chosen.build), ("run", chosen.run)) if able]
    others = [verdict.facts.name for verdict in verdicts if verdict.is_usable]
    instead = f" Here, {' and '.join(others)} can: --backend {others[0]}." if others else ""
    to_mend = [one.id for one in chosen.results if one.finding.status == "failed" and one.id not in ("build", "run")]
    mend = f" What is to be mended: {', '.join(to_mend)}." if to_mend else ""
    able = f"it can {can[0]}, but not all that targets need" if can else "it can neither build nor run"
    return f"Targets use {choice.name}, {choice.why}: {able}.{mend}{instead}"


def _chosen(verdicts: Sequence[Verdict], choice: Choice) -> Verdict | None:
    return next((verdict for verdict in verdicts if verdict.facts.name == choice.name), None)


def as_json(verdicts: Sequence[Verdict], choice: Choice) -> str:
    """What programs read."""
    chosen = _chosen(verdicts, choice)
    record = {
        "chosen": choice.name,
        "why": choice.why,
        "usable": bool(chosen and chosen.is_usable),
        "engines": [
            {
                "name": verdict.facts.name,
                "version": verdict.facts.engine.version if verdict.facts.engine else None,
                "rootless": verdict.facts.engine.rootless if verdict.facts.engine else None,
                "program": verdict.facts.program,
                "build": verdict.build,
                "run": verdict.run,
            }
            for verdict in verdicts
        ],
        "checks": [
            {
                "id": result.id,
                "engine": result.engine,
                "status": result.finding.status,
                "what": result.finding.what,
                "why": result.finding.why or None,
                "fix": result.finding.fix or None,
            }
            for verdict in verdicts
            for result in verdict.results
        ],
    }
    return f"{json.dumps(record, indent=2)}\n"
