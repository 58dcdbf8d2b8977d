"""Compilers in containers: whose what they write is, what stays, and what they find.

Mounts, users and networks are what engines differ in, and Go is built on all of them; what a compiler does in its
container is the same everywhere, and one engine, rootful and rootless, is enough for the others.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.contract.engines import NOT_UP, Magnet

MAGNETFILE = """
from magnet import Mount, target

TOOLS = [Mount({compilers!r} + "/usr", "/usr", readonly=True)]
BASE = {base!r}
IMAGE = {image!r}
NETWORK = {network!r}

"""


@pytest.fixture
def image(magnet: Magnet, base: str, tag: str) -> Iterator[str]:
    """An image that is complete when /usr of the compilers' directory is mounted in it."""
    (magnet.root / "image").mkdir()
    # Buildah's chroot isolation looks for a program in the image, before anything is mounted.
    links = "ln -s /usr/lib /lib && ln -s /usr/lib64 /lib64 && mkdir -p /usr/bin && ln -s /bin/busybox /usr/bin/go"
    (magnet.root / "image/Dockerfile").write_text(f"FROM {base}\nRUN {links}\nENV PATH=/usr/bin:/bin\nUSER 1234\n")
    magnet.ok("build", "-t", tag, "image")
    shutil.rmtree(magnet.root / "image")
    yield tag
    magnet.engine("rmi", "--force", tag)


def project(magnet: Magnet, base: str, image: str, targets: str, files: Mapping[str, str]) -> Magnet:
    compilers = os.environ.get("MAGNET_TEST_COMPILERS")
    assert compilers, NOT_UP
    network = None if magnet.column.is_chroot else "none"  # which there is refused, as in any container
    text = MAGNETFILE.format(compilers=compilers, base=base, image=image, network=network)
    magnet.write({"magnetfile.py": text + targets, **files})
    return magnet


def said_by(program: Path) -> str:
    """What a program prints on stderr, as Go's `print` does."""
    return subprocess.run([program], capture_output=True, text=True, check=True, timeout=60).stderr


def owners(root: Path) -> set[int]:
    """Whose the files of a project are."""
    return {os.lstat(path).st_uid for path in [root, *root.rglob("*")]}


GO_TARGETS = """
@target
def fetched(t):
    # What it needs is in a proxy of modules that is a directory.
    env = {"GOPROXY": "file:///src/proxy", "GOSUMDB": "off"}
    go = t.go(image=IMAGE, mounts=TOOLS, network=NETWORK, env=env)
    go.build("./cmd/app", output="dist/app", trimpath=False, mod="mod")


@target
def kept(t):
    go = t.go(image=IMAGE, mounts=TOOLS, network=NETWORK, env={"GOPROXY": "off"})
    go.cover("./cmd/...", html="dist/cover.html")


@target
def in_gopath(t):
    go = t.go(image=IMAGE, mounts=TOOLS, network=NETWORK).gopath("example.org/app")
    go.exec("rm", "go.mod")
    go.build("example.org/app/plain", output="dist/plain", trimpath=False)


@target
def fails(t):
    t.go(image=IMAGE, mounts=TOOLS, network=NETWORK).test("./broken")


@target
def absent(t):
    t.go(image=BASE).build()
"""

GO_FILES = {
    "go.mod": "module example.org/app\n\ngo 1.19\n\nrequire example.org/words v1.0.0\n",
    "cmd/app/main.go": 'package main\n\nimport "example.org/words"\n\nfunc main() { print(words.Hello, "\\n") }\n',
    "cmd/app/main_test.go": 'package main\n\nimport "testing"\n\nfunc TestNothing(*testing.T) {}\n',
    "plain/main.go": 'package main\n\nfunc main() { print("plain\\n") }\n',
    "broken/main_test.go": 'package main\n\nimport "testing"\n\nfunc TestOne(t *testing.T) { t.Fatal("one is two") }\n',
    "proxy/example.org/words/@v/list": "v1.0.0\n",
    "proxy/example.org/words/@v/v1.0.0.info": '{"Version": "v1.0.0", "Time": "2024-01-01T00:00:00Z"}\n',
    "proxy/example.org/words/@v/v1.0.0.mod": "module example.org/words\n",
}


def proxied(root: Path) -> None:
    """Put the module's archive into the proxy."""
    from zipfile import ZipFile

    with ZipFile(root / "proxy/example.org/words/@v/v1.0.0.zip", "w") as archive:
        archive.writestr("example.org/words@v1.0.0/go.mod", "module example.org/words\n")
        archive.writestr("example.org/words@v1.0.0/words.go", 'package words\n\nconst Hello = "hello"\n')


def test_go_builds_and_tests_and_what_it_writes_and_keeps_is_the_callers(magnet: Magnet, base: str, image: str) -> None:
    project(magnet, base, image, GO_TARGETS, GO_FILES)
    proxied(magnet.root)
    magnet.ok("fetched")
    assert said_by(magnet.root / "dist/app") == "hello\n"
    magnet.ok("kept")
    assert "coverage: 0.0% of statements" in magnet.log("kept")
    assert "<html>" in (magnet.root / "dist/cover.html").read_text()
    failed = magnet("fails")
    assert (failed.code, "one is two" in magnet.log("fails")) == (1, True)
    assert failed.error.startswith(
        "error: target `fails`: `go test ./broken` failed with exit code 1 in its container\n"
    )
    lacking = magnet("absent")
    assert (lacking.code, "hint: choose an image that has `go` on its PATH" in lacking.err) == (127, True)
    magnet.ok("in-gopath")
    assert said_by(magnet.root / "dist/plain") == "plain\n"
    assert owners(magnet.root) == {os.geteuid()}
    assert any((magnet.root / "_build").glob("magnet/*/caches/go/build/*/*-a"))
    shutil.rmtree(magnet.root / "_build")  # though Go would make modules read-only


OTHER_TARGETS = """
@target
def arm(t):
    t.go(image=IMAGE, mounts=TOOLS, network=NETWORK, cwd="go").build(output="dist/arm/", platform="linux/arm64", cgo=False)


@target
def wheel(t):
    python = t.python(image=IMAGE, mounts=TOOLS, network=NETWORK)
    t.print("made", python.wheel("py", isolation=False).name)
    python(cwd="py").test("-q", "test_one.py")


@target
def script(t):
    node = t.node(image=IMAGE, mounts=TOOLS, network=NETWORK, cwd="js")
    node.ci(options=["--offline"])
    node.run("build", "hello", outputs="js/out.txt")
    node.test()


@target
def crate(t):
    cargo = t.cargo(image=IMAGE, mounts=TOOLS, network=NETWORK, cwd="rs")
    cargo.build(bin="app", output="dist/app")
    cargo.test()
"""

OTHER_FILES = {
    "go/go.mod": "module example.org/app\n\ngo 1.19\n",
    "go/main.go": "package main\n\nfunc main() {}\n",
    "py/pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n\n'
    '[project]\nname = "one"\nversion = "1.0"\n\n[tool.setuptools]\npy-modules = ["one"]\n',
    "py/one.py": "ONE = 1\n",
    "py/test_one.py": "import one\n\n\ndef test_one():\n    assert one.ONE == 1\n",
    "js/package.json": '{"name": "js", "version": "1.0.0", "scripts": {"build": "node build.js", "test": "node --test"}}\n',
    "js/package-lock.json": '{"name": "js", "version": "1.0.0", "lockfileVersion": 3, "requires": true, '
    '"packages": {"": {"name": "js", "version": "1.0.0"}}}\n',
    "js/build.js": "require('fs').writeFileSync('out.txt', process.argv[2])\n",
    "js/one.test.js": "require('node:test')('one', () => {})\n",
    "rs/Cargo.toml": '[package]\nname = "app"\nversion = "1.0.0"\nedition = "2021"\n',
    "rs/src/main.rs": 'fn main() {\n    eprintln!("app")\n}\n\n#[test]\nfn one() {}\n',
}


def test_go_for_another_platform_python_node_and_cargo_need_no_network(magnet: Magnet, base: str, image: str) -> None:
    if magnet.column.name != "podman":
        return
    project(magnet, base, image, OTHER_TARGETS, OTHER_FILES)
    magnet.ok("arm", "wheel", "script", "crate")
    assert (magnet.root / "dist/arm/app").read_bytes()[18:20] == b"\xb7\x00"  # of an ELF file, for AArch64
    assert "made one-1.0-py3-none-any.whl\n" in magnet.log("wheel")
    assert "1 passed" in magnet.log("wheel")
    assert (magnet.root / "dist/one-1.0-py3-none-any.whl").is_file()
    assert (magnet.root / "js/out.txt").read_text() == "hello"
    assert "pass 1" in magnet.log("script")
    assert said_by(magnet.root / "dist/app") == "app\n"
    assert "test result: ok. 1 passed" in magnet.log("crate")
    assert owners(magnet.root) == {os.geteuid()}
