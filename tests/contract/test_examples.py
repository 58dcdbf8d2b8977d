"""Examples do what their READMEs show, on every engine that these name, and leave no container behind."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from magnet.backends import backend
from tests import readme
from tests.contract.engines import Magnet, columns
from tests.readme import Example

# Each backend as it is by itself: other builders of docker and other isolations of buildah are not what READMEs are about.
COLUMNS = [column for column in columns() if column.name == column.backend]


@pytest.mark.parametrize(
    ("column", "example"),
    [
        pytest.param(column, example, id=f"{example}-{column.name}")
        for example in readme.examples()
        for column in COLUMNS
        if column.backend in example.engines and not example.needs
    ],
    indirect=["column"],
)
def test_the_example_does_what_its_readme_shows(magnet: Magnet, example: Example, tmp_path: Path) -> None:
    env = {**readme.environment(tmp_path / "bin", magnet.env), "MAGNET_BACKEND": magnet.column.backend}
    root = readme.lay_out(example, tmp_path / "project")
    try:
        readme.check(root, example.steps, env)
        assert containers(magnet, root) == []
    finally:
        remove_images(magnet, root, env)


@pytest.mark.parametrize("column", [one for one in COLUMNS if one.backend == "buildah"], indirect=True)
def test_a_container_that_is_to_run_on_is_refused_on_buildah(magnet: Magnet) -> None:
    ignored = shutil.ignore_patterns("_build", "__pycache__")
    shutil.copytree(readme.EXAMPLES / "database", magnet.root, dirs_exist_ok=True, ignore=ignored)
    assert "cannot leave a container running (`detach`)\n" in magnet("test").error


def containers(magnet: Magnet, root: Path) -> list[str]:
    """The containers of all runs in a project."""
    logs = "".join(path.read_text(errors="replace") for path in root.glob("_build/logs/*/*"))
    runs = sorted(set(re.findall(r"magnet-\d{14}-[0-9a-f]{8}", logs)))
    commands = [backend(magnet.column.backend)().containers_command(run) for run in runs]
    return [name for command in commands for name in _said(command.argv, magnet.env).split()]


def remove_images(magnet: Magnet, root: Path, env: dict[str, str]) -> None:
    """Remove what the builds of a project made, with all of its names."""
    listed = json.loads(_said([*magnet.argv("-C", str(root), "cache", "list", "--json")], env))
    images = [key["image"] for key in listed["keys"] if key["builds"]]
    if images:
        subprocess.run([magnet.program, "rmi", "--force", *dict.fromkeys(images)], env=env, capture_output=True)


def _said(argv: "list[str] | tuple[str, ...]", env: dict[str, str]) -> str:
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60).stdout
