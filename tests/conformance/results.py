"""What was found, on disk: one file for each column."""

import json
import os
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.conformance.behaviours import Cell
from tests.conformance.engines import ORDER, Tested

COMMITTED = Path(__file__).with_name("results")
"""The results that docs/conformance.md is written from."""


@dataclass(frozen=True)
class Results:
    """All that was found on one engine, by the ids of section and behaviour."""

    tested: Tested
    cells: dict[str, Cell] = field(default_factory=dict)


def save(results: Results, directory: Path, names: Set[str]) -> None:
    """Write a column's file; what is not among the results stays as it was, if it is still among all behaviours' names."""
    path = directory / f"{results.tested.code}.json"
    before = load_one(path).cells if path.exists() else {}
    cells = {name: cell for name, cell in {**before, **results.cells}.items() if name in names}
    text = json.dumps(
        {"tested": asdict(results.tested), "cells": {name: _row(cells[name]) for name in sorted(cells)}},
        indent=1,
        ensure_ascii=False,
    )
    new = path.with_suffix(".new")
    new.write_text(text + "\n")
    os.replace(new, path)


def load(directory: Path) -> Mapping[str, Results]:
    """The results in a directory by column, in the order of the table."""
    return {code: load_one(path) for code in ORDER if (path := directory / f"{code}.json").exists()}


def load_one(path: Path) -> Results:
    """One column's results."""
    found = json.loads(path.read_text())
    cells = {name: Cell(verdict, *said) for name, (verdict, *said) in found["cells"].items()}
    return Results(Tested(**found["tested"]), cells)


def _row(cell: Cell) -> list[str]:
    return [cell.verdict, cell.said] if cell.said else [cell.verdict]
