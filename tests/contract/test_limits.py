"""A target whose time is over, and one that is tried again, whatever their engine does for them."""

import pytest

from magnet.testing.plugin import Leftovers
from magnet.testing.test_interrupts import SECONDS, STEP, wait_until_gone
from tests.contract.engines import Magnet


@pytest.fixture
def project(magnet: Magnet, base: str) -> Magnet:
    """A project with targets that take too long, each in its own way, and one that fails once."""
    magnet.write(
        {
            "magnetfile.py": f"""
from pathlib import Path
from magnet import target

IMAGE = {base!r}


@target(timeout=2)
def run(t):
    t.run(IMAGE, "sleep", "{SECONDS}", check=False)


@target(timeout=2)
def build(t):
    t.build(".")


@target(timeout=2)
def start(t):
    t.start(IMAGE, "sleep", "{SECONDS}").wait()


@target(retries=1)
def again(t):
    t.start(IMAGE, "sleep", "{SECONDS}", name="magnet-again-{SECONDS}")
    if not Path("again").exists():
        Path("again").touch()
        raise ValueError("not yet")
""",
            "Dockerfile": f"FROM {base}\nRUN sleep {SECONDS}\n",
        }
    )
    return magnet


def test_when_the_time_of_a_target_is_over_or_a_try_has_failed_nothing_of_it_is_left(
    project: Magnet, base: str, leftovers: Leftovers
) -> None:
    starts = project.column.backend != "buildah"  # which leaves no container running
    targets = ["run", "build", *(["start", "again"] if starts else [])]
    result = project("-k", "-j4", *targets)
    assert (result.code, result.out) == (1, b""), result.err
    failed = {line for line in result.err.splitlines() if line.startswith("error: ")}
    limited = [target for target in targets if target != "again"]
    assert failed == {f"error: target `{target}`: timed out after 2s" for target in limited}
    assert not starts or "Try 2 of 2 begins in 1s.\n" in project.log("again")
    assert wait_until_gone(STEP) == []
    assert {target: project.containers(target) for target in targets if target != "build"} == {
        target: [] for target in targets if target != "build"
    }
    assert leftovers(project, base) == []
    assert list((project.root / "_build/magnet").rglob("runs/*")) == []
