"""What toolchains run, where, and what they make sure of; no compiler is here."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnet import Mount, Secret, Toolchain
from magnet.errors import CommandFailed, ContainerFailed, MagnetfileError
from magnet.launching import Launching
from magnet.model import Project
from magnet.programs import Program
from magnet.toolchains.cargo import Cargo
from magnet.toolchains.go import Go, variables
from magnet.toolchains.node import Node
from magnet.toolchains.python import Python


@dataclass
class Target:
    """A target that notes what it is told to run, and then does `work` in its place."""

    root: Path
    is_dry_run: bool = False
    work: Callable[[], object] = lambda: None
    calls: list[tuple[str, ...]] = field(default_factory=list)
    last: Mapping[str, Any] = field(default_factory=dict)

    @property
    def project(self) -> Project:
        return Project(self.root, "tests/project", "1")

    def cache_directory(self, name: str) -> Path:
        directory = self.root / "_build/caches" / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def run_program(self, program: Program) -> None:
        self._note(program.command.argv, {"cwd": program.directory, "env": program.command.env})

    def run(self, image: str, *words: object, **options: Any) -> None:
        self._note(words, {"image": image, **options})

    def _note(self, words: Iterable[object], options: Mapping[str, Any]) -> None:
        self.calls.append(tuple(map(str, words)))
        self.last = options
        self.work()

    @property
    def t(self) -> Launching:
        return cast("Launching", self)


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of these names are on this machine."""
    (tmp_path / "bin").mkdir()
    for name in ("go", "python3", "npm", "cargo"):
        (tmp_path / "bin" / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def target(root: Path) -> Target:
    return Target(root)


def made(target: Target, *names: str) -> None:
    """Let whatever the target runs make these files."""

    def work() -> None:
        for name in names:
            (target.root / name).write_text("made")

    target.work = work


def test_go_build_hands_on_every_option(target: Target) -> None:
    made(target, "out/app")
    Go(target.t).build(
        "./cmd/app", output="out/app", ldflags=["-s -w", "-X main.version=1"], gcflags="-N", tags=["a", "b"], race=True,
        mod="vendor", buildmode="pie", rebuild=True, parallel=2, verbose=True, os="linux", arch="arm64", cgo=False,
        env={"K": 1}, options=["-n"],
    )  # fmt: skip
    assert target.calls == [
        (
            *(
                "go",
                "build",
                "-ldflags=-s -w -X main.version=1",
                "-gcflags=-N",
                "-tags=a,b",
                "-mod=vendor",
                "-buildmode=pie",
            ),
            *("-p=2", "-a", "-race", "-trimpath", "-v", "-n", "-o=out/app", "./cmd/app"),
        )
    ]
    assert target.last == {
        "cwd": target.root,
        "env": {"K": "1", "GOOS": "linux", "GOARCH": "arm64", "CGO_ENABLED": "0"},
    }


def test_go_build_of_nothing_named_is_that_of_the_directory(target: Target) -> None:
    Go(target.t).build(trimpath=False)
    assert target.calls == [("go", "build")]


def test_go_test_hands_on_every_option(target: Target) -> None:
    made(target, "c.out")
    Go(target.t).test(
        "./...", run="^TestA$", short=True, timeout="2m", count=1, failfast=True, cover=True, coverprofile="c.out",
        covermode="atomic", coverpkg=["a", "b"], ldflags="-s", gcflags="-l", tags="a", race=True, trimpath=True,
        mod="readonly", rebuild=True, parallel=3, verbose=True, cgo=True, options="-json",
    )  # fmt: skip
    assert target.calls == [
        (
            *("go", "test", "-run=^TestA$", "-timeout=2m", "-count=1", "-coverprofile=c.out", "-covermode=atomic"),
            *(
                "-coverpkg=a,b",
                "-short",
                "-failfast",
                "-cover",
                "-ldflags=-s",
                "-gcflags=-l",
                "-tags=a",
                "-mod=readonly",
            ),
            *("-p=3", "-a", "-race", "-trimpath", "-v", "-json", "./..."),
        )
    ]
    assert target.last["env"] == {"CGO_ENABLED": "1"}


def test_go_cover_tests_and_shows_functions_or_a_page(target: Target) -> None:
    made(target, "coverage.out", "c.html")
    Go(target.t).cover("./...", mode="count")
    Go(target.t).cover(profile="coverage.out", html="c.html")
    assert target.calls == [
        ("go", "test", "-coverprofile=coverage.out", "-covermode=count", "./..."),
        ("go", "tool", "cover", "-func=coverage.out"),
        ("go", "tool", "cover", "-html=coverage.out", "-o", "c.html"),
    ]


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux/amd64", {"GOOS": "linux", "GOARCH": "amd64"}),
        ("linux/arm64/v8", {"GOOS": "linux", "GOARCH": "arm64"}),
        ("linux/arm/v6", {"GOOS": "linux", "GOARCH": "arm", "GOARM": "6"}),
        ("linux/amd64/v3", {"GOOS": "linux", "GOARCH": "amd64", "GOAMD64": "v3"}),
        ("windows/386", {"GOOS": "windows", "GOARCH": "386"}),
    ],
)
def test_an_oci_platform_is_what_go_compiles_for(platform: str, expected: Mapping[str, str]) -> None:
    assert variables(platform=platform) == expected


def test_a_platform_that_go_cannot_mean_is_an_error() -> None:
    for unfit in ("linux/arm/v9", "linux/riscv64/v1"):
        with pytest.raises(MagnetfileError, match="Go knows no variant"):
            variables(platform=unfit)
    with pytest.raises(MagnetfileError, match="say the same"):
        variables(platform="linux/amd64", arch="arm64")


def test_a_container_has_the_project_and_a_cache_that_stays_both_the_callers(target: Target) -> None:
    (target.root / "cmd").mkdir()
    go = Go(target.t)(
        image="golang:1", network="none", env={"GOPROXY": "off"}, cwd="cmd", mounts=[Mount("/a", "/b")],
        secrets=[Secret("netrc", env="NETRC")],
    )  # fmt: skip
    (target.root / "dist").mkdir()
    go.build(output="dist/", env={"K": "v"})
    assert target.calls == [("go", "build", "-trimpath", "-o=../dist/")]
    cache = target.root / "_build/caches/go"
    assert target.last == {
        "image": "golang:1",
        "user": "host",
        "mounts": (Mount(target.root, "/src"), Mount(cache, "/cache"), Mount("/a", "/b")),
        "env": {
            "HOME": "/cache/home",
            "GOCACHE": "/cache/build",
            "GOMODCACHE": "/cache/mod",
            "GOPROXY": "off",
            "K": "v",
        },
        "secrets": (Secret("netrc", env="NETRC"),),
        "workdir": "/src/cmd",
        "network": "none",
    }
    assert (cache / "home/.config/go/env").read_text() == "GOFLAGS=-modcacherw\n"


def test_a_wider_root_shows_a_container_what_is_beside_the_project(target: Target) -> None:
    go = Go(target.t)(image="golang:1", root="..", path="/project", relabel="shared")
    go.exec("go", "build", go.seen("../other/app"))
    assert target.calls == [("go", "build", "../other/app")]
    assert target.last["mounts"][0] == Mount(target.root.parent, "/project", relabel="shared")
    assert target.last["workdir"] == f"/project/{target.root.name}"


def test_what_is_not_said_anew_stays_as_it_was(target: Target) -> None:
    (target.root / "lib").mkdir()
    go = Go(target.t)(image="golang:1", network="none", env={"K": "v"}, mounts=[Mount("/a", "/b")])(cwd="lib")
    go.exec("go", "version")
    told = ("image", "network", "workdir")
    assert [target.last[name] for name in told] == ["golang:1", "none", "/src/lib"]
    assert (target.last["env"]["K"], target.last["mounts"][2]) == ("v", Mount("/a", "/b"))


def test_a_path_that_a_container_does_not_see_is_an_error(target: Target) -> None:
    go = Go(target.t)(image="golang:1")
    for cwd, output in ((".", "../app"), ("..", "app")):
        with pytest.raises(MagnetfileError, match="is all that the container sees") as caught:
            go(image="golang:1", cwd=cwd).build(output=output)
        assert caught.value.hint == "give a `root=` that has both in it"
    with pytest.raises(MagnetfileError, match="`nowhere` is not a directory"):
        go(image="golang:1", cwd="nowhere").build()
    assert target.calls == []


@pytest.mark.parametrize("option", ["root", "path", "network", "relabel"])
def test_what_only_a_container_can_have_is_an_error_without_an_image(target: Target, option: str) -> None:
    with pytest.raises(MagnetfileError, match=f"`{option}` is for a container") as caught:
        Go(target.t)(**{option: "shared"})  # type: ignore[arg-type]
    assert caught.value.hint == "give `image=`, too, or leave it out"


def test_a_gopath_is_made_in_a_container_and_looked_for_on_this_machine(tmp_path: Path) -> None:
    root = tmp_path / "home/src/example.org/app"
    root.mkdir(parents=True)
    target = Target(root)
    Go(target.t)(image="golang:1").gopath("example.org/app").test()
    assert target.last["mounts"][0] == Mount(root, "/go/src/example.org/app")
    assert target.last["workdir"] == "/go/src/example.org/app"
    assert {"GO111MODULE": "off", "GOPATH": "/go"}.items() <= target.last["env"].items()
    Go(target.t).gopath("example.org/app").test()
    assert target.last["env"] == {"GO111MODULE": "off", "GOPATH": str(tmp_path / "home")}
    with pytest.raises(MagnetfileError, match=r"is not at `src/example\.org/other` of a GOPATH"):
        Go(target.t).gopath("example.org/other")


def test_a_program_that_is_not_here_is_an_error_that_names_both_ways_to_have_it(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(CommandFailed, match="`go` is not an executable program here") as caught:
        Go(target.t).build()
    assert caught.value.hint == (
        "install Go (https://go.dev/doc/install), or run it in an image that has it: give `image=`"
    )
    assert target.calls == []


def test_a_program_that_the_image_has_not_is_an_error_that_says_so(target: Target) -> None:
    def fail() -> None:
        raise ContainerFailed("`go build` failed with exit code 127 in its container", returncode=127)

    target.work = fail
    with pytest.raises(ContainerFailed, match="127") as caught:
        Go(target.t)(image="busybox").build()
    assert (caught.value.returncode, caught.value.hint) == (
        127,
        "choose an image that has `go` on its PATH, or add its directory with env={'PATH': ...}",
    )


def test_what_was_promised_is_looked_for_afterwards_but_not_in_a_dry_run(target: Target) -> None:
    with pytest.raises(CommandFailed, match="`go` succeeded, but has not made `out/app`"):
        Go(target.t).build(output="out/app")
    with pytest.raises(CommandFailed, match=r"has not made `c\.out`"):
        Go(target.t).test(coverprofile="c.out")
    with pytest.raises(CommandFailed, match=r"has not made `c\.html`"):
        Go(target.t).cover(profile="c.out", html="c.html")
    dry = Target(target.root, is_dry_run=True)
    Go(dry.t).build(output="new/app")
    assert dry.calls == [("go", "build", "-trimpath", "-o=new/app")]
    assert not (target.root / "new").exists()


def test_a_wheel_is_built_and_returned_though_older_ones_are_there(target: Target) -> None:
    (target.root / "dist").mkdir()
    (target.root / "dist/old.whl").touch()
    made(target, "dist/new.whl")
    wheel = Python(target.t)(image="python:3").wheel("lib", isolation=False, options=["-v"])
    assert wheel == target.root / "dist/new.whl"
    assert target.calls == [
        (
            *("python3", "-m", "pip", "wheel", "--disable-pip-version-check", "--no-deps", "--wheel-dir=dist"),
            *("--no-build-isolation", "-v", "./lib"),
        )
    ]
    assert target.last["env"] == {"HOME": "/cache/home", "PIP_CACHE_DIR": "/cache/pip"}


def test_a_wheel_that_was_not_made_anew_is_an_error(target: Target) -> None:
    (target.root / "dist").mkdir()
    (target.root / "dist/old.whl").touch()
    with pytest.raises(CommandFailed, match="has made 0 wheels in `dist`, not one"):
        Python(target.t).wheel()


def test_python_tests_run_with_pytest_or_unittest(target: Target) -> None:
    Python(target.t).test("-x", "tests")
    Python(target.t).test("discover", runner="unittest")
    assert target.calls == [("python3", "-m", "pytest", "-x", "tests"), ("python3", "-m", "unittest", "discover")]


def test_npm_installs_runs_and_tests(target: Target) -> None:
    made(target, "bundle.js")
    node = Node(target.t)(image="node:20")
    node.ci(omit=["dev", "optional"], ignore_scripts=True, options="--offline")
    node.run("build", "--minify", outputs="bundle.js")
    node.run("lint")
    node.test("-t", "one")
    assert target.calls == [
        ("npm", "ci", "--omit=dev", "--omit=optional", "--ignore-scripts", "--offline"),
        ("npm", "run", "build", "--", "--minify"),
        ("npm", "run", "lint"),
        ("npm", "test", "--", "-t", "one"),
    ]
    assert target.last["env"] == {"HOME": "/cache/home", "npm_config_cache": "/cache/npm"}


def test_cargo_builds_and_tests_and_puts_a_binary_where_it_is_wanted(target: Target) -> None:
    made_there = target.root / "_build/caches/cargo/target/x86_64-unknown-linux-musl/release/app"
    made_there.parent.mkdir(parents=True)
    made_there.write_text("program")
    cargo = Cargo(target.t)(image="rust:1")
    cargo.build(
        bin="app", output="out/app", release=True, package="p", features=["a", "b"], default_features=False,
        target="x86_64-unknown-linux-musl", locked=True, options="--offline",
    )  # fmt: skip
    assert (target.root / "out/app").read_text() == "program"
    cargo.test("--nocapture", release=True, features="a")
    assert target.calls == [
        (
            *("cargo", "build", "--release", "--package=p", "--bin=app", "--features=a", "--features=b"),
            *("--no-default-features", "--target=x86_64-unknown-linux-musl", "--locked", "--offline"),
        ),
        ("cargo", "test", "--release", "--features=a", "--", "--nocapture"),
    ]
    assert target.last["env"] == {
        "HOME": "/cache/home",
        "CARGO_HOME": "/cache/home/.cargo",
        "CARGO_TARGET_DIR": "/cache/target",
    }


def test_cargo_compiles_what_is_to_be_put_somewhere_in_a_place_of_its_own(target: Target) -> None:
    cargo = Cargo(target.t)
    cargo.build()
    assert target.last["env"] == {}
    place = target.root / "_build/caches/cargo/target-here"
    with pytest.raises(CommandFailed, match="has not made `app`"):
        cargo.build(bin="app", output="app")
    assert target.last["env"] == {"CARGO_TARGET_DIR": str(place)}
    (place / "debug").mkdir(parents=True)
    (place / "debug/app").write_text("program")
    cargo.build(bin="app", output="app")
    assert (target.root / "app").read_text() == "program"
    with pytest.raises(MagnetfileError, match="of which binary"):
        cargo.build(output="app")


def test_a_toolchain_of_ones_own_is_a_name_caches_and_methods(target: Target) -> None:
    class Zig(Toolchain):
        name = "zig"
        caches = {"ZIG_GLOBAL_CACHE_DIR": "global"}
        get = "install Zig"

        def build(self, step: str, *, output: str) -> None:
            self.exec("zig", "build", step, outputs=[output])

    made(target, "app")
    Zig(target.t, image="zig:1").build("release", output="app")
    assert target.calls == [("zig", "build", "release")]
    assert target.last["env"] == {"HOME": "/cache/home", "ZIG_GLOBAL_CACHE_DIR": "/cache/global"}
    assert target.last["mounts"][1] == Mount(target.root / "_build/caches/zig", "/cache")
    with pytest.raises(CommandFailed) as caught:
        Zig(target.t).build("release", output="app")
    assert caught.value.hint == "install Zig, or run it in an image that has it: give `image=`"


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@given(path=PATHS, cwd=st.one_of(st.just("."), PATHS), slash=st.sampled_from(["", "/"]))
def test_a_path_as_a_program_sees_it_leads_to_where_it_is(path: str, cwd: str, slash: str) -> None:
    target = Target(Path("/nonexistent/project"))
    for go in (Go(target.t)(cwd=cwd), Go(target.t)(image="golang:1", cwd=cwd)):
        seen = go.seen(path + slash)
        assert Path(f"/nonexistent/project/{cwd}/{seen}").resolve() == target.root / path
        assert seen.endswith("/") == bool(slash)
