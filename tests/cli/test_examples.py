"""Examples that need no engine do what their READMEs show; and all examples have one that shows something."""

import os
import re
from pathlib import Path

import pytest

from magnet.backends import BACKENDS
from tests import readme
from tests.readme import EXAMPLES, Example, Step


@pytest.mark.parametrize("example", [one for one in readme.examples() if not one.engines and not one.needs], ids=str)
def test_the_example_does_what_its_readme_shows(example: Example, tmp_path: Path) -> None:
    env = readme.environment(tmp_path / "bin", os.environ)
    for engine in BACKENDS:
        (tmp_path / "bin" / engine).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "bin" / engine).chmod(0o755)
    root = readme.lay_out(example, tmp_path / "project")
    readme.check(root, example.steps, {**env, "HOME": str(tmp_path / "project")})


def test_every_example_is_listed_and_shows_commands() -> None:
    directories = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    listed = set(re.findall(r"^- \[(\w+)\]\(\1/\)", (EXAMPLES / "README.md").read_text(), re.MULTILINE))
    assert listed == directories
    assert {example.name for example in readme.examples() if example.steps} == directories


def test_a_readme_that_shows_something_else_is_found_out(tmp_path: Path) -> None:
    env = readme.environment(tmp_path / "bin", os.environ)

    def shows(command: str, *output: str) -> bool:
        try:
            readme.check(tmp_path, [Step(command, output)], env)
        except AssertionError:
            return False
        return True

    steps = [
        ("echo one; echo two 3.1s", "one", "two 0.2s"),
        ("echo one; echo two 3.1s", "...", "two ..."),
        ("echo 'error: x' >&2; false", "error: x"),
        ("echo one",),
        ("echo one", "one", "two"),
        ("echo one; echo two", "...", "one"),
        ("false",),
        ("echo 'error: x'", "error: x"),
    ]
    assert [shows(*step) for step in steps] == [True] * 3 + [False] * 5
