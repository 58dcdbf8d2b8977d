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


@target(needs=[start])
def never(t):
    t.print("not printed")


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


@pytest.mark.parametrize("target", ["run", "build", "start"])
def test_when_the_time_of_a_target_is_over_nothing_of_it_is_left(
    project: Magnet, base: str, leftovers: Leftovers, target: str
) -> None:
    if target == "start" and project.column.backend == "buildah":
        target = "run"  # it leaves no container running
    result = project(target, *(["never"] if target == "start" else []))
    assert (result.code, result.out) == (1, b""), result.err
    assert f"error: target `{target}`: timed out after 2s\n" in result.error
    assert wait_until_gone(STEP) == []
    assert project.containers(target) == []
    assert leftovers(project, base) == []
    assert list((project.root / "_build/magnet").rglob("runs/*")) == []


def test_what_a_failed_try_started_is_not_in_the_way_of_the_next(project: Magnet) -> None:
    if project.column.backend == "buildah":
        assert "cannot leave a container running (`detach`)\n" in project("again").error
        return
    project.ok("again")
    assert "Try 2 of 2 begins in 1s.\n" in project.log("again")
    assert project.containers("again") == []
