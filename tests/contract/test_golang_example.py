"""The example of Go: what its README says is what happens."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import readme
from tests.contract.engines import NOT_UP, Magnet

MAGNETFILE = """
from pathlib import Path

from magnet import Copy, target

USR = Path({compilers!r}) / "usr"


@target
def golang(t):
    (go,) = (USR / "lib").glob("go-*")
    (libraries,) = (USR / "lib").glob("*-linux-gnu")
    unused = ["**/testdata", "**/*_test.go", "api", "misc", "test", "src/cmd", "pkg/*/cmd"]
    copies = [
        Copy(go, f"/lib/{{go.name}}", exclude=unused),
        Copy(USR / "share" / go.name, f"/share/{{go.name}}", exclude=unused),
        Copy(libraries, f"/lib/{{libraries.name}}", include=["ld-*", "libc.so.*"]),
        Copy(USR / "lib64", "/lib64"),
    ]
    t.build(context=copies, file="Dockerfile", build_args={{"GO": go.name}}, tags=[{tag!r}])
"""


@pytest.fixture
def golang(magnet: Magnet, base: str, tag: str) -> Iterator[str]:
    """An image with Go, made of what scripts/engines has unpacked."""
    compilers = os.environ.get("MAGNET_TEST_COMPILERS")
    assert compilers, NOT_UP
    project = replace(magnet, root=magnet.root / "golang")
    links = "ln -s /usr/lib /lib && ln -s /usr/lib64 /lib64"
    project.write(
        {
            "magnetfile.py": MAGNETFILE.format(compilers=compilers, tag=tag),
            "Dockerfile": f"FROM {base}\nRUN {links}\nCOPY . /usr\nARG GO\nENV PATH=/usr/lib/$GO/bin:/bin\n",
        }
    )
    project.ok("golang")
    yield tag
    magnet.engine("rmi", "--force", tag, "example-builder")


@pytest.fixture
def shell(magnet: Magnet, tmp_path: Path) -> dict[str, str]:
    """The environment of a shell that has `magnet`, with the column's engine, and Go."""
    (go,) = Path(os.environ["MAGNET_TEST_COMPILERS"], "usr/lib").glob("go-*/bin")
    env = readme.environment(tmp_path / "programs", magnet.env)
    return {**env, "PATH": f"{env['PATH']}:{go}", "HOME": str(tmp_path), "MAGNET_BACKEND": magnet.column.backend}


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Go compiled for one engine, which is as good for the next."""
    return tmp_path_factory.mktemp("compiled")


def test_the_example_of_go_does_what_its_readme_says(
    magnet: Magnet, shell: dict[str, str], compiled: Path, request: pytest.FixtureRequest
) -> None:
    # Two hundred megabytes are not put into every store: what engines differ in is in test_toolchains.py.
    if magnet.column.name != magnet.column.backend or magnet.column.is_rootless:
        return
    environment = {**shell, "GOLANG_IMAGE": request.getfixturevalue("golang"), "GOCACHE": str(compiled / "here")}
    example = readme.read("golang")
    root = readme.lay_out(example, magnet.root / "project")
    cache = root / "_build/magnet/examples/golang/caches/go/build"
    (compiled / "in-containers").mkdir(exist_ok=True)
    shutil.copytree(compiled / "in-containers", cache)
    readme.check(root, example.steps, environment)
    shutil.copytree(cache, compiled / "in-containers", dirs_exist_ok=True)
