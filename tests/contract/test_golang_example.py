"""The example of Go: what its README says is what happens."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.engines import NOT_UP, Magnet

EXAMPLE = Path(__file__).parents[2] / "examples/golang"

DIFFERS = (
    (r"_build/logs/\d{14}(-\d+)?", "_build/logs/STAMP"),
    (r"^Version: .*", "Version: VERSION"),
    (r"^Cache:   .*", "Cache:   CACHE"),
    (r"\b(blake3|sha256):[0-9a-f]{64}", "DIGEST"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9} \+0000 UTC", "TIME"),
    (r"\s\s*\d+\.\d+s\b", " N.Ns"),
    (r"^(#\d+) \d+\.\d+ ", r"\1 N.N "),
)
"""What is another one in each run: times, digests, and what the directory is called."""

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
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "magnet").write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m magnet --backend {magnet.column.backend} "$@"\n'
    )
    (programs / "magnet").chmod(0o755)
    return {**magnet.env, "PATH": f"{programs}:{go}:{magnet.env['PATH']}", "HOME": str(tmp_path)}


def commands(readme: str) -> list[tuple[str, str]]:
    """The commands that a README has in its blocks, and what it says that they print."""
    blocks = re.findall(r"^```\n(.*?)^```\n", readme, re.DOTALL | re.MULTILINE)
    return [found for block in blocks for found in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)]


def settled(text: str) -> str:
    for pattern, same in DIFFERS:
        text = re.sub(pattern, same, text, flags=re.MULTILINE)
    return text.rstrip("\n")


def pattern_of(expected: str) -> str:
    """What matches the output, where `...` stands for anything, and alone on its line for any lines."""
    lines = [re.escape(line).replace(r"\.\.\.", ".*") + "\n" for line in settled(expected).split("\n")]
    return "".join("(?:.*\n)*" if line == ".*\n" else line for line in lines)


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
    root = magnet.root / "example"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("_build", "__pycache__"))
    cache = root / "_build/magnet/example/caches/go/build"
    (compiled / "in-containers").mkdir(exist_ok=True)
    shutil.copytree(compiled / "in-containers", cache)
    told = commands((EXAMPLE / "README.md").read_text().replace("podman run", f"{magnet.column.backend} run"))
    assert len(told) > 5
    for command, expected in told:
        argv = ["sh", "-c", f"{command} 2>&1"]
        done = subprocess.run(argv, cwd=root, env=environment, capture_output=True, text=True, timeout=240)
        said = settled(done.stdout)
        assert re.fullmatch(pattern_of(expected), f"{said}\n"), f"$ {command}\n{done.stdout}"
    shutil.copytree(cache, compiled / "in-containers", dirs_exist_ok=True)
