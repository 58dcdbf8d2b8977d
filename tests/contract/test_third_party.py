"""A backend of another package, installed as a user would, and proved with the suite that magnet ships."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.contract.engines import columns

EXAMPLE = Path(__file__).parents[2] / "examples/backend"
NAME = "podman-scratch"
PROVED = (
    "test_a_build_of_which_nothing_changed_is_not_done_again or test_a_miss_is_explained_by_what_changed or "
    "test_an_interrupt_leaves_nothing_behind and build and terminate"
)
"""A few of the tests: each of the others runs on podman itself."""

pytestmark = pytest.mark.parametrize("backend", ["podman"] if "podman" in {one.backend for one in columns()} else [])


@pytest.fixture
def env(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """An environment in which the example is installed, with a store that goes with the test."""
    installed = tmp_path / "installed"
    source = shutil.copytree(EXAMPLE, tmp_path / "source")
    store = tempfile.mkdtemp()
    words = ("--quiet", "--disable-pip-version-check", "--no-deps", "--target", str(installed), str(source))
    subprocess.run([sys.executable, "-m", "pip", "install", *words], check=True, timeout=240)
    env = {
        **os.environ,
        "PYTHONPATH": str(installed),
        "PATH": f"{installed}/bin:{os.environ['PATH']}",
        "PODMAN_SCRATCH": store,
        "NO_COLOR": "1",
    }
    env.pop("MAGNET_BACKEND", None)
    yield env
    # Not by `system reset`, which removes the networks of all stores. A rootless store's layers may hold what is not
    # the user's, and podman may remove.
    remove = ("rmi", "--all", "--force")
    subprocess.run([f"{installed}/bin/{NAME}", *remove], env=env, capture_output=True, timeout=60)
    shutil.rmtree(store, ignore_errors=True)


def test_the_example_of_a_backend_is_found_and_passes_what_backends_must(
    backend: str, env: Mapping[str, str], tmp_path: Path
) -> None:
    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=400
        )

    shown = run("-m", "magnet", "--backend", NAME, "backends")
    assert shown.returncode == 0, shown.stderr
    program = tmp_path / "installed/bin" / NAME
    assert re.search(rf"^{NAME} +podman \d.* {program}$", shown.stdout, re.MULTILINE), shown.stdout
    assert shown.stdout.endswith(f"\n{NAME} is chosen: --backend names it.\n")
    words = ("-p", "magnet.testing.plugin", "--pyargs", "magnet.testing", "--magnet-backend", NAME, "-q", "-k", PROVED)
    proved = run("-m", "pytest", "-p", "no:cacheprovider", *words)
    assert (proved.returncode, re.findall(r"(\d+) passed", proved.stdout)) == (0, ["3"]), proved.stdout
    listed = subprocess.run([program, "images", "--quiet"], env=env, capture_output=True, text=True, timeout=60)
    assert listed.stdout == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--magnet-backend NAME says which backend is tested"),
        (("--magnet-backend", "podman-scrtach"), "there is no backend `podman-scrtach`"),
    ],
)
def test_the_suite_says_what_it_needs(backend: str, words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    argv = ("-m", "pytest", "-p", "magnet.testing.plugin", "--pyargs", "magnet.testing", *words)
    done = subprocess.run([sys.executable, *argv], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (4, True, False)
