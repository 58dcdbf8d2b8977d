"""Toolchains of this machine, which here are scripts: what is run, logged, and made sure of."""

import re
from pathlib import Path

import pytest

from tests.cli.program import Program

DOCUMENT = Path(__file__).parents[2] / "docs/toolchains.md"

MAGNETFILE = """
from magnet import target


@target
def app(t):
    t.go(env={"GOFLAGS": "-mod=vendor"}).build(output="dist/app", platform="linux/arm/v7", ldflags=["-s", "-w"])


@target
def tested(t):
    t.go(cwd="cmd").test("./...", run="^Test$A$", timeout="1m")


@target
def wrong(t):
    t.go(network="none").build()
"""

GO = 'echo "$GOOS/$GOARCH/$GOARM $GOFLAGS $# words"\nfor word; do case $word in -o=*) echo made >"${word#-o=}" ;; esac; done\n'


def project(magnet: Program, go: str | None) -> Program:
    magnet.write({"magnetfile.py": MAGNETFILE, "cmd/main.go": ""})
    if go is not None:
        magnet.engine("go", go)
    return magnet


def test_a_program_is_built_where_it_was_wanted_and_the_log_has_the_exact_command(magnet: Program) -> None:
    done = project(magnet, GO)("app")
    assert (done.code, done.out) == (0, "")
    assert (magnet.root / "dist/app").read_text() == "made\n"
    body = magnet.log("app").split("-----\n")[1]
    assert body == (
        "Env:  GOFLAGS=-mod=vendor GOOS=linux GOARCH=arm GOARM=7  Exec:  go build '-ldflags=-s -w' -trimpath -o=dist/app\n"
        "linux/arm/7 -mod=vendor 4 words\n"
    )


def test_a_dry_run_prints_the_commands_and_makes_nothing(magnet: Program) -> None:
    done = project(magnet, None)("--dry-run", "app", "tested")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "# app",
        "GOFLAGS=-mod=vendor GOOS=linux GOARCH=arm GOARM=7 go build '-ldflags=-s -w' -trimpath -o=dist/app",
        "# tested",
        "(cd cmd && go test '-run=^Test$A$' -timeout=1m ./...)",
    ]
    assert not (magnet.root / "dist").exists()


def test_a_compiler_that_is_not_here_is_an_error_that_says_where_to_have_it_from(magnet: Program) -> None:
    done = project(magnet, None)("tested")
    assert done.code == 1
    assert done.err.endswith(
        "error: target `tested`: `go` is not an executable program here\n"
        "hint: install Go (https://go.dev/doc/install), or run it in an image that has it: give `image=`\n"
    )


def test_an_output_that_was_not_made_is_an_error_though_the_compiler_says_nothing(magnet: Program) -> None:
    done = project(magnet, "exit 0")("app")
    assert done.code == 1
    assert done.err.endswith(
        "error: target `app`: `go` succeeded, but has not made `dist/app`\n"
        "log: _build/logs/STAMP/app\n"
        "hint: see in the log what it made, and where\n"
    )


def test_an_option_for_containers_without_an_image_is_an_error_before_anything_runs(magnet: Program) -> None:
    done = project(magnet, GO)("wrong")
    assert done.code == 2
    assert done.err.endswith(
        "error: target `wrong`: `network` is for a container, and `go` has none\n"
        "hint: give `image=`, too, or leave it out\n"
    )
    assert "Exec:" not in magnet.log("wrong")


@pytest.mark.parametrize(("number", "targets"), [(0, ["builder", "app", "test", "quick"]), (1, ["app"])])
def test_the_magnetfiles_of_the_document_can_be_loaded(magnet: Program, number: int, targets: list[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    magnet.write({"magnetfile.py": blocks[number]})
    done = magnet("--list")
    assert (done.code, done.err) == (0, "")
    assert [line.split()[0] for line in done.out.splitlines()[1:]] == targets
