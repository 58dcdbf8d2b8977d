"""What `magnet doctor` finds of the engines of this machine, which scripts/engines has set up."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from magnet.doctor import engines, gathering
from magnet.doctor.checks import examine
from magnet.doctor.trial import attempt
from magnet.doctor.verdict import judge
from magnet.process import ask
from tests.contract.engines import NOT_UP, columns

LISTS: dict[str, Sequence[Sequence[str]]] = {
    "docker": (("images", "--all", "--format={{.ID}} {{.Size}}"), ("ps", "--all", "--format={{.Names}}")),
    "podman": (("images", "--all", "--format={{.ID}} {{.Size}}"), ("ps", "--all", "--external", "--format={{.Names}}")),
    "buildah": (("images", "--all", "--format={{.ID}} {{.Size}}"), ("containers", "--format={{.ContainerName}}")),
}


def traces(engine: str) -> set[str]:
    """The images in an engine's store that are as small as those of a trial, and the containers with its name."""
    images, containers = (
        subprocess.run([engine, *words], capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
        for words in LISTS[engine]
    )
    small = {line for line in images if re.search(r" [\d.]+ ?(B|kB|KB)$", line)}
    return small | {line for line in containers if "magnet-doctor" in line}


@pytest.mark.parametrize("name", list(dict.fromkeys(column.backend for column in columns())))
def test_an_engine_that_works_is_found_to_build_and_run_and_nothing_is_left_of_the_trial(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "MAGNET_TEST_REGISTRY" not in os.environ:
        pytest.fail(NOT_UP, pytrace=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = traces(name)
    facts = engines.gather(name, gathering.gather(Path("/"), os.environ, ask), tmp_path, ask, attempt)
    results = list(examine(facts))
    verdict = judge(facts, results)
    assert [result for result in results if result.finding.status in ("failed", "unknown")] == []
    assert (verdict.build, verdict.run, verdict.is_usable) == (True, True, True)
    assert traces(name) == before
    assert list(tmp_path.iterdir()) == []
