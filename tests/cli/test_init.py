"""`magnet init`: the file is written, says what is in it, and works."""

import shutil
import sys

import pytest

from tests.cli.program import HEADER, Program


def test_what_is_found_is_told_and_the_file_written(magnet: Program) -> None:
    magnet.write({"Dockerfile": "FROM scratch\nARG USER\n", "Makefile": ".PHONY: docs\ndocs:\n\techo made\n"})
    done = magnet("init")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "Found Dockerfile, the image `project`: build, run.\n"
        "Found Makefile, targets of make: docs.\n"
        "Not all of it could be taken: comments at the end of the file tell what is left out.\n"
        "Wrote magnetfile.py. Next:\n\n  magnet --list\n  magnet build\n"
    )
    assert magnet("--list").out == (
        "Targets:\n"
        "  build  Build the image from the Dockerfile.\n"
        "  run    Run a command in the image, or what it runs by itself.\n"
        "  docs   Make `docs`.\n"
    )


def test_with_nothing_to_be_found_there_is_a_target_to_begin_with(magnet: Program) -> None:
    done = magnet("init")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "Found nothing to build here: there is a target to begin with, `hello`.\n"
        "Wrote magnetfile.py. Next:\n\n  magnet --list\n  magnet hello\n"
    )
    done = magnet("--progress", "plain")
    assert done.code == 0
    assert done.err.startswith(f"{HEADER}#1 hello\n#1 N.N Hello from magnet!\n")


def test_a_magnetfile_is_never_written_over(magnet: Program) -> None:
    magnet.write({"magnetfile.py": "mine"})
    done = magnet("init")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: there is a magnetfile.py already in ROOT\n"
        "hint: `magnet --list` shows its targets, and `magnet init -n` what would be written\n"
    )
    (magnet.root / "magnetfile.py").unlink()
    (magnet.root / "magnetfile.py").symlink_to("elsewhere.py")
    assert magnet("init").code == 2
    assert not (magnet.root / "elsewhere.py").exists()


@pytest.mark.parametrize("words", [("init", "-n"), ("--dry-run", "init")])
def test_a_dry_run_prints_the_file_and_writes_nothing(magnet: Program, words: tuple[str, ...]) -> None:
    shown = magnet(*words)
    assert (shown.code, shown.err, list(magnet.root.iterdir())) == (0, "", [])
    assert magnet("init").code == 0
    assert shown.out == (magnet.root / "magnetfile.py").read_text()


def test_another_directory_and_no_other_file_may_be_named(magnet: Program) -> None:
    magnet.write({"sub/go.mod": "module example.org/app\n", "magnetfile.py": ""})
    assert magnet("-C", "sub", "init").out.startswith(
        "Found go.mod, the Go module example.org/app: build, test, vet.\n"
    )
    assert (magnet.root / "sub" / "magnetfile.py").exists()
    done = magnet("-f", "other.py", "init")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: `-f` is about a magnetfile that is there, and `init` writes magnetfile.py\n"
        "hint: leave it out; `-C` names the directory\n"
    )


def test_there_is_nothing_in_json(magnet: Program) -> None:
    done = magnet("--json", "init")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: `init` has nothing to print as JSON\nhint: leave out --json\n"


def test_the_targets_run_the_tools(magnet: Program) -> None:
    """The tools are those of the machine where it must have them, and else tell their words."""
    magnet.engine("python3", f'exec {sys.executable} "$@"\n')
    for name in ("make", "go", "npm"):
        magnet.engine(name, 'echo "$(basename "$0") $*"\n')
    (magnet.tools / "basename").symlink_to(shutil.which("basename") or "")
    magnet.write(
        {
            "Makefile": ".PHONY: docs\n",
            "go.mod": "module example.org/app\n",
            "package.json": '{"scripts": {"start": "x"}}',
            "setup.py": "",
            "test_it.py": "import unittest\n\n\nclass T(unittest.TestCase):\n    def test(self):\n        print('tested')\n",
        }
    )
    assert magnet("init").code == 0
    done = magnet("-j1", "docs", "vet", "start", "python-test")
    assert done.code == 0, done.err
    said = [line.partition("N.N ")[2] for line in done.err.splitlines() if "N.N " in line]
    assert [line for line in said if line in ("make docs", "go vet ./...", "npm run start", "tested")] == [
        "make docs",
        "go vet ./...",
        "npm run start",
        "tested",
    ]
