"""docs/conformance.md, from the results of all columns: `python -m tests.conformance.document [RESULTS]` prints it."""

import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conformance import results
from tests.conformance.behaviours import Behaviour, Cell, Section
from tests.conformance.engines import GENERATIONS
from tests.conformance.results import Results

SECTIONS = ("building", "dockerfile", "contexts", "running", "images", "traps")
"""The modules `test_<name>` of this package, in the order of the document."""

INTRODUCTION = """\
# The same on every engine

What magnet promises of builds and containers, and what was found on real engines, each behaviour on each of them. This
page is written by `scripts/conformance`, which runs `tests/conformance` through the real program; nothing in it is
written by hand. The suite fails where an engine shows something else than this page says.

- **same**: the engine shows just what the row says.
- **refused**: magnet refuses, with an error that names the engine and its version, before anything starts. The number
  leads to the sentence below the table.
- **differs** would be a bug. There is none.
"""


def sections() -> Mapping[str, Section]:
    """The sections of the document."""
    return {name: importlib.import_module(f"tests.conformance.test_{name}").SECTION for name in SECTIONS}


def names() -> set[str]:
    """The names of all behaviours, as results have them."""
    return {f"{name}.{one.id}" for name, section in sections().items() for one in section.behaviours}


def document(found: Mapping[str, Results], sections: Mapping[str, Section]) -> str:
    """The whole page."""
    parts = [INTRODUCTION, _legend(found)]
    for name, section in sections.items():
        parts.append(_section(name, section, found))
    return "\n".join(parts)


def _legend(found: Mapping[str, Results]) -> str:
    rows = (
        f"| {code} | {one.tested.engine} | {one.tested.builder} | {one.tested.user} | "
        f"{GENERATIONS[one.tested.generation]} |\n"
        for code, one in found.items()
    )
    head = "| column | engine | what builds | used by | system |\n|---|---|---|---|---|\n"
    return f"## The columns\n\n{head}{''.join(rows)}"


def _section(name: str, section: Section, found: Mapping[str, Results]) -> str:
    notes: list[str] = []
    rows = [_row(name, behaviour, found, notes) for behaviour in section.behaviours]
    head = f"| behaviour | {' | '.join(found)} |\n|---|{'---|' * len(found)}\n"
    about = f"{section.about}\n\n" if section.about else ""
    told = f"\nRefused:\n\n{''.join(notes)}" if notes else ""
    left = f"\nNot promised:\n\n{''.join(f'- {note}{chr(10)}' for note in section.notes)}" if section.notes else ""
    return f"## {section.title}\n\n{about}{head}{''.join(rows)}{told}{left}"


def _row(name: str, behaviour: Behaviour, found: Mapping[str, Results], notes: list[str]) -> str:
    cells = {code: one.cells.get(f"{name}.{behaviour.id}", Cell("differs", "missing")) for code, one in found.items()}
    number = len(notes) + 1
    if refused := {code: cell.said for code, cell in cells.items() if cell.verdict == "refused"}:
        notes.append(_note(number, refused))
    words = (f"refused [{number}]" if cell.verdict == "refused" else cell.verdict for cell in cells.values())
    return f"| {_escaped(behaviour.title)} | {' | '.join(words)} |\n"


def _note(number: int, refused: Mapping[str, str]) -> str:
    """A numbered note with each sentence, and the columns that it was seen on."""
    by_sentence: dict[str, list[str]] = {}
    for code, said in refused.items():
        by_sentence.setdefault(said, []).append(code)
    told = [f"{', '.join(codes)}: {_quoted(said)}" for said, codes in by_sentence.items()]
    if len(told) == 1:
        return f"{number}. {told[0]}\n"
    return f"{number}. {''.join(f'{chr(10)}   - {one}' for one in told).lstrip()}\n"


def _quoted(said: str) -> str:
    """An error as code, its lines one after the other, its hint in words of its own."""
    error, _, hint = said.partition("\nhint: ")
    first, *detail = (re.sub(r"\s+", " ", line.strip()) for line in error.splitlines())
    parts = [_code(first), *map(_code, detail)]
    return " ".join(parts) + (f" (hint: {hint})" if hint else "")


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: Sequence[str]) -> None:
    """Print the page."""
    directory = Path(*arguments) if arguments else results.COMMITTED
    sys.stdout.write(document(results.load(directory), sections()))


if __name__ == "__main__":
    main(sys.argv[1:])
