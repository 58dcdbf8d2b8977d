"""What docs/writing-a-backend.md says of backends is so."""

import re
import tomllib
from pathlib import Path

import magnet.backends.api as api

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/writing-a-backend.md").read_text()
EXAMPLE = ROOT / "examples/backend"


def test_the_example_in_the_text_is_the_one_that_is_tested() -> None:
    module = re.search(r"`magnet_podman_scratch.py`:\n\n```python\n(.*?)```", TEXT, re.DOTALL)
    program = re.search(r"`podman-scratch`, the program:\n\n```sh\n(.*?)```", TEXT, re.DOTALL)
    entry = re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert module
    assert program
    assert entry
    assert module[1] == (EXAMPLE / "magnet_podman_scratch.py").read_text()
    assert program[1] == (EXAMPLE / "podman-scratch").read_text()
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    assert tomllib.loads(entry[1])["project"]["entry-points"] == points


def test_the_text_names_all_that_a_backend_must_say() -> None:
    assert api.Backend.__abstractmethods__ - set(re.findall(r"`(\w+)\(", TEXT)) == set()


def test_a_builder_of_ones_own_can_be_told_of() -> None:
    assert {"Builder", "Engine", "Backend", "features_of", "build_arguments", "run_arguments"} <= set(api.__all__)
    assert [name for name in api.__all__ if not hasattr(api, name)] == []
