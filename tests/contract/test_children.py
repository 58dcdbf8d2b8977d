"""Targets in targets, with engines: their builds and containers are theirs, and stand below them."""

import json
from pathlib import Path

from tests.contract.engines import Magnet
from tests.contract.test_cache_command import keys

MAGNETFILE = """
from magnet import target


@target
def app(t, fail: bool = False):
    with t.target("linux") as child:
        image = child.build(".", tags=["{tag}"])
        with child.target("test") as test:
            test.run(image, "sh", "-c", "echo in it; exit 3" if fail else "echo in it")


@target
def container(t):
    with t.target("database") as child:
        database = child.start("{base}", "sh", "-c", "while :; do sleep 0.1; done")
    with t.target("test") as child:
        child.print("says", database.exec("echo", "hello").output)
"""


def test_what_is_built_and_run_in_a_target_in_a_target_is_its_own(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write(
        {"magnetfile.py": MAGNETFILE.format(tag=tag, base=base), "Dockerfile": f"FROM {base}\nRUN echo step of {tag}\n"}
    )
    result = magnet("--progress=rawjson", "app")
    assert result.code == 0, result.err
    vertexes = {one["digest"]: one for line in result.out.splitlines() for one in json.loads(line).get("vertexes", ())}
    outer = {one["name"]: vertexes.get(one.get("parent"), {}).get("name") for one in vertexes.values()}
    assert (outer["app"], outer["linux"], outer["test"]) == (None, "app", "linux")
    assert [outer[name] for name in outer if f"RUN echo step of {tag}" in name] == ["linux"]
    assert f"step of {tag}" in magnet.log("linux")
    assert "in it\n" in magnet.log("test")
    assert [line for line in magnet.log("app").splitlines() if line.startswith(("Child", "Exec"))] == ["Child: linux"]

    assert magnet.ok("--explain", "app").decode() == "app > linux: Dockerfile: done\n"
    assert [key["builds"][0]["target"] for key in keys(magnet)] == ["app > linux"]

    failed = magnet("app", "--fail")
    assert failed.code == 1
    assert " => => CACHED linux" not in failed.err
    assert "error: target `app > linux > test`: `sh -c echo in it; exit 3` failed with exit code 3 in" in failed.err
    assert failed.err.rstrip().endswith(str(Path("test")))


def test_a_container_that_a_target_in_a_target_starts_runs_on_after_that(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"magnetfile.py": MAGNETFILE.format(tag=tag, base=base)})
    if magnet.column.backend == "buildah":
        assert "cannot leave a container running (`detach`)\n" in magnet("container").error
        return
    magnet.ok("container")
    assert "says hello\n" in magnet.log("test")
    assert "\nhello\n" in magnet.log("database")
    assert [line for line in magnet.log("container").splitlines() if line.startswith(("Child", "Exec"))] == [
        "Child: database",
        "Child: test",
    ]
