import re
import shutil
from pathlib import Path

import pytest

from tests.contract.engines import Magnet

EXAMPLES = Path(__file__).parents[2] / "examples"

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9} \+0000 UTC"


@pytest.fixture
def example(magnet: Magnet) -> Magnet:
    """Magnet in a copy of the docker example."""
    shutil.copytree(
        EXAMPLES / "docker", magnet.root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("_build", "__pycache__")
    )
    return magnet


def body(example: Magnet, target: str) -> str:
    """What lies between the fields of a target's log, which are as the original's."""
    match = re.fullmatch(
        rf"Name: {target}\n"
        r"Digest: blake3:[0-9a-f]{64}\n"
        r"Cached: false\n"
        rf"Started: {TIME}\nCompleted: {TIME}\n-----\n"
        r"(?P<body>.*)"
        rf"-----\nVertex: Completed <nil> -> {TIME}\nVertex: Duration \d+\.\d{{9}}s\n-----\n",
        example.log(target),
        re.DOTALL,
    )
    assert match, example.log(target)
    return match["body"]


def test_the_example_builds_an_image_and_lists_it(example: Magnet) -> None:
    result = example("--force", "build")
    assert result.code == 0, result.err
    assert re.match(
        r"Logs:    _build/logs/latest \(_build/logs/\d{14}\)\n"
        r"Version: v\S+\n"
        r"Cache:   _build/magnet/\S+\n",
        result.err,
    )
    lines = body(example, "build").splitlines()
    builds = [line for line in lines if "Exec:" in line and " build " in line]
    assert len(builds) == 1
    assert re.search(r" --tag=magnet-example:v\S+ ", builds[0])
    header = next(index for index, line in enumerate(lines) if re.match("REPOSITORY +TAG +IMAGE ID +CREATED", line))
    assert "magnet-example" in "".join(lines[header + 1 :])


def test_the_example_runs_the_image_with_a_mount_and_a_variable(example: Magnet) -> None:
    example.ok("--force", "run")
    lines = body(example, "run").splitlines()
    assert "hello=world" in lines
    listed = {line.split()[-1] for line in lines if re.match("[-d][rwx-]{9}", line)}
    assert listed >= {"Dockerfile", "Dockerfile.context", "README.md", "assets", "base", "magnetfile.py"}


def test_the_example_builds_from_a_narrow_context(example: Magnet) -> None:
    result = example("--force", "context")
    assert result.code == 0, result.err
    assert "--tag=context:example" in body(example, "context")
    (example.root / "magnetfile.py").unlink()
    out = example.ok("run", "--rm", "context:example", "find", "/scripts", "/magnetfile.py", "-type", "f")
    assert sorted(out.decode().split()) == ["/magnetfile.py", "/scripts/greet.sh"]


def test_the_example_tests_against_a_database_and_leaves_nothing_behind(magnet: Magnet) -> None:
    shutil.copytree(EXAMPLES / "database", magnet.root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("_build"))
    if magnet.column.backend == "buildah":
        assert "cannot leave a container running (`detach`)\n" in magnet("test").error
        return
    magnet.ok("test", "drop")
    assert "1815" in body(magnet, "test").splitlines()
    said = body(magnet, "database").splitlines()
    assert [line for line in said if "Exec:" not in line][1:] == [
        "ready for connections",
        "loaded ada=1815",
        "loaded grace=1906",
    ]
    assert [line for line in body(magnet, "drop").splitlines() if "Exec:" not in line][2:] == [
        "shutting down",
        "exit code 0",
    ]
    assert magnet.containers("database") == []
