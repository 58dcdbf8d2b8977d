"""Looks at each behaviour on each engine, and compares what is found with what is committed.

With MAGNET_CONFORMANCE_RESULTS, a directory, what is found is written there instead: see scripts/conformance.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import results
from tests.conformance.behaviours import Behaviour, Case, Cell, without_versions
from tests.conformance.engines import code_of, tested
from tests.conformance.results import Results
from tests.contract.conftest import base, client, column  # noqa: F401 - fixtures
from tests.contract.engines import PREFIX, Column, Magnet


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each behaviour of the module's section."""
    if "behaviour" in metafunc.fixturenames:
        section = metafunc.module.SECTION
        metafunc.parametrize("behaviour", section.behaviours, ids=[one.id for one in section.behaviours])


class Judge:
    """Judges behaviours on one column, and keeps what it found."""

    def __init__(self, magnet: Magnet, base: str, registry: str) -> None:  # noqa: F811
        self.magnet = magnet
        self.base = base
        self.registry = registry
        self.found: dict[str, Cell] = {}
        self.kept: dict[str, Any] = {}
        known = results.COMMITTED / f"{code_of(magnet)}.json"
        self.known = results.load_one(known).cells if known.exists() else {}

    def __call__(self, name: str, behaviour: Behaviour, root: Path) -> None:
        """Fail where the engine differs, or where the document says otherwise."""
        number = len(self.found)
        magnet = Magnet(self.magnet.column, root, self.magnet.client)
        image = f"{PREFIX}-{self.magnet.column.name}-{number}:1"
        case = Case(magnet, self.base, image, self.registry, self.kept, self._refused(name.partition(".")[0]))
        found = self.found[name] = behaviour.judge(case)
        assert found.verdict != "differs", f"{behaviour.title}: {found.said}"
        if "MAGNET_CONFORMANCE_RESULTS" not in os.environ:
            known = self.known.get(name)
            assert known is not None, "docs/conformance.md does not have it; scripts/conformance writes it anew"
            assert without_versions(found) == without_versions(known), (
                "docs/conformance.md says otherwise; scripts/conformance writes it anew"
            )

    def _refused(self, section: str) -> set[str]:
        before = {name.partition(".") for name, cell in self.known.items() if cell.verdict == "refused"}
        return {name for of, _, name in before if of == section}


@pytest.fixture(scope="session")
def judge(
    column: Column,  # noqa: F811
    client: Path | None,  # noqa: F811
    base: str,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Judge]:
    """The judge of a column, who in the end writes down what was found if that is wanted."""
    magnet = Magnet(column, tmp_path_factory.mktemp("judge"), client)
    judge = Judge(magnet, base, os.environ["MAGNET_TEST_REGISTRY"])
    yield judge
    if directory := os.environ.get("MAGNET_CONFORMANCE_RESULTS"):
        from tests.conformance.document import names  # which imports what imports this

        results.save(Results(tested(magnet), judge.found), Path(directory), names())
