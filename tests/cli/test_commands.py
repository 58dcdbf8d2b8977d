"""Programs that targets run, from the command line to the last word."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.program import HEADER, Program

EXAMPLE = Path(__file__).parents[2] / "examples" / "commands"

MAGNETFILE = """
from pathlib import Path
from magnet import env, target

TOKEN = env("TOKEN", secret=True)


@target
def unset(t):
    t.exec("sh", "-c", "for f in *; do echo $f; done")


@target
def too_long(t):
    t.exec("sh", "-c", "sleep 100 & echo $! > pid; echo begun; sleep 100", timeout="3s")


@target
def ctrl_c(t):
    # An orphan of the group that ignores what it is told, and a child that does not.
    t.exec("sh", "-c", "(trap '' TERM; sh -c 'echo $$ > pid; exec sleep 100' &); sleep 100", retry=3, timeout="5m")


@target
def fails(t):
    t.exec("false", retry=1, cwd="/", env={"A": "1"})


@target
def quotes(t):
    t.exec("echo", f"--token={TOKEN}", "-- $TOKEN --", env={"TOKEN": TOKEN})
"""


@pytest.fixture
def project(magnet: Program) -> Program:
    magnet.write({"magnetfile.py": MAGNETFILE})
    return magnet


def test_a_variable_that_is_not_set_is_named_before_anything_runs(project: Program) -> None:
    done = project("--progress=quiet", "unset")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(
        "error: target `unset`: the variable `$f` is not set\n"
        'hint: give a value, as in env={"f": ...}, or write `$$f` to leave it to the program\n'
    )


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_takes_too_long_is_ended_with_what_it_started_and_says_so(project: Program) -> None:
    done = project("too-long")
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith(
        "error: target `too-long`: `sh` timed out after 3s and was ended by SIGTERM\n"
        "  begun\n"
        "log: _build/logs/STAMP/too-long\n"
    )
    assert not is_alive(int((project.root / "pid").read_text()))
    assert project.log("too-long").endswith(
        "-----\n"
        "Vertex: Completed <nil> -> TIME\n"
        "Vertex: Duration N.Ns\n"
        "Vertex: Error `sh` timed out after 3s and was ended by SIGTERM\n"
        "-----\n"
    )


def test_an_interrupt_ends_orphans_and_tries(project: Program) -> None:
    process = project.start("--progress=plain", "ctrl-c")
    try:
        end = time.monotonic() + 30
        while not (project.root / "pid").exists() or not (project.root / "pid").read_text().strip():
            assert time.monotonic() < end, "it never began"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err.endswith(b"error: interrupted\n")) == (130, True)
    assert not is_alive(int((project.root / "pid").read_text()))
    said = project.log("ctrl-c")
    assert (said.count("Exec:"), "Try 2" in said) == (1, False)
    assert said.endswith("Vertex: Canceled\nVertex: Error interrupted\n-----\n")


def test_each_try_is_shown_with_where_it_runs(project: Program) -> None:
    done = project("fails")
    assert done.code == 1
    assert done.err.startswith(
        f"{HEADER}"
        "#1 fails\n"
        "#1 N.N Dir:  /  Env:  A=1  Exec:  false\n"
        "#1 N.N `false` failed with exit code 1. Try 2 of 2 begins in 1s.\n"
        "#1 N.N Dir:  /  Env:  A=1  Exec:  false\n"
        "#1 ERROR: `false` failed with exit code 1\n"
    )


@pytest.mark.parametrize("display", ["plain", "rawjson"])
def test_a_secret_is_hidden_in_whatever_quotes_a_command_has_around_it(project: Program, display: str) -> None:
    token = "it's-`$PATH`-$$HOME"
    done = project(f"--progress={display}", "quotes", env={"TOKEN": token})
    assert done.code == 0
    assert project.log("quotes").split("-----\n")[1] == (
        "Env:  TOKEN=***  Exec:  echo '--token=***' '-- *** --'\n--token=*** -- *** --\n"
    )
    assert "s-`" not in done.out + done.err
    dry = project("-n", "quotes", env={"TOKEN": token})
    assert dry.out == "# quotes\nTOKEN=*** echo '--token=***' '-- *** --'\n"


def test_the_script_of_a_dry_run_can_be_run(project: Program) -> None:
    project.write({"data/in": "b\n", "magnetfile.py": (
        "from pathlib import Path\nfrom magnet import target\n\n\n@target\ndef app(t):\n"
        "    t.exec('sh', '-c', 'cat; echo $$A', cwd='data', stdin=Path('data/in'), env={'A': 'a b'})\n"
        "    t.exec('cat', cwd='data', stdin='it\\'s\\n')\n"
    )})  # fmt: skip
    script = project("-n", "app").out
    assert script == (
        "# app\n(cd data && A='a b' sh -c 'cat; echo $A' < in)\n(cd data && printf %s 'it'\"'\"'s\n' | cat)\n"
    )
    done = subprocess.run(["sh", "-e"], input=script.encode(), cwd=project.root, capture_output=True, timeout=60)
    assert (done.stdout, done.stderr) == (b"b\na b\nit's\n", b"")
