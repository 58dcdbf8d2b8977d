from pathlib import Path

import pytest

from tests.cli.program import Program


@pytest.fixture
def magnet(tmp_path: Path) -> Program:
    """The program in an empty project, on a machine without an engine."""
    return Program(tmp_path / "project", tmp_path / "bin")
