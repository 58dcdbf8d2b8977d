import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.program import HEADER, Program

EXAMPLE = Path(__file__).parents[2] / "examples" / "files"

MAGNETFILE = """
from pathlib import Path
from magnet import env, target

HERE = Path(__file__).parent
WHO = env("WHO", "world")


@target(inputs=["src/**/*.txt", "!src/old"], outputs="out.txt")
def app(t, name: str = "x"):
    t.exec("sh", "-c", "echo building; cat src/*.txt > out.txt")
    return HERE / "out.txt"


@target(needs=[app])
def show(t):
    t.print(t.need(app).read_text().strip())
"""


@pytest.fixture
def project(magnet: Program) -> Program:
    magnet.write({"magnetfile.py": MAGNETFILE, "src/a.txt": "a\n", "src/b.txt": "b\n"})
    return magnet


def test_a_target_of_which_nothing_changed_is_cached_and_returns_what_it_returned(project: Program) -> None:
    assert project("show").code == 0
    (project.root / "out.txt").unlink()
    done = project("show")
    assert (done.code, done.out) == (0, "")
    assert done.err == (
        f"{HEADER}"
        "#1 app\n"
        "#1 CACHED\n"
        "\n"
        "#2 show\n"
        "#2 N.N a\n"
        "#2 N.N b\n"
        "#2 DONE N.Ns\n"
        "[+] Building N.Ns (2/2) FINISHED\n"
        " => show                                                                    N.Ns\n"
        " => CACHED app                                                              N.Ns\n"
    )
    assert project.log("app") == (
        "Name: app\n"
        "Digest: blake3:DIGEST\n"
        "Cached: true \n"
        "Started: TIME\n"
        "Completed: TIME\n"
        "-----\n"
        "Exec:  sh -c 'echo building; cat src/*.txt > out.txt'\n"
        "building\n"
        "-----\n"
        "Vertex: Completed <nil> -> TIME\n"
        "Vertex: Duration N.NNs\n"
        "-----\n"
    ).replace("N.NNs", "N.Ns")


def test_explain_tells_which_input_changed(project: Program) -> None:
    def explained(*words: str, **env: str) -> str:
        return project("--explain", *(words or ("app",)), env=env).out

    assert explained() == "app: to do\n  it has not succeeded before\n"
    assert project("app").code == 0
    assert explained() == "app: done\n"
    assert explained("app", "--name", "y") == "app: to do\n  arguments: `name` changed\n"
    assert explained(WHO="you") == "app: to do\n  variables: `WHO` changed\n"
    project.write(
        {"src/a.txt": "A\n", "src/old/c.txt": "c\n", "src/new/c.txt": "c\n", "magnetfile.py": MAGNETFILE + "\n"}
    )
    (project.root / "src/b.txt").unlink()
    assert explained() == (
        "app: to do\n"
        "  code: `magnetfile.py` changed\n"
        "  inputs: `src/new` is new\n"
        "  inputs: `src/new/c.txt` is new\n"
        "  inputs: `src/b.txt` is gone\n"
        "  inputs: `src/a.txt` changed\n"
    )
    found = json.loads(project("--explain", "--json", "app").out)
    assert [(one["target"], one["done"], one["reasons"][0]) for one in found] == [
        ("app", False, "code: `magnetfile.py` changed")
    ]
    assert project("--explain", "show").out.startswith("app: to do\n")
    assert not (project.root / "_build/logs").joinpath("latest", "show").exists(), "nothing is run"


def test_what_needs_something_that_is_not_there_yet_is_explained_by_that(magnet: Program) -> None:
    shutil.copytree(EXAMPLE, magnet.root, dirs_exist_ok=True)
    waits = "book: to do\n  `letters`, which it needs, comes first\n"
    first = magnet("--explain")
    assert (first.code, first.out) == (0, f"letters: to do\n  it has not succeeded before\n{waits}")
    assert not (magnet.root / "letters").exists()
    assert magnet().code == 0
    assert magnet("--explain").out == "letters: done\nbook: done\n"
    shutil.rmtree(magnet.root / "letters")
    gone = "".join(f"  `letters{name}` is gone\n" for name in ("", "/Ada.txt", "/Grace.txt"))
    assert magnet("--explain").out == f"letters: done, outputs to be put back\n{gone}{waits}"
    assert not (magnet.root / "letters").exists()


def test_a_dry_run_prints_what_would_be_run_and_what_would_not(project: Program) -> None:
    script = "# app\nsh -c 'echo building; cat src/*.txt > out.txt'\n"
    assert project("-n", "app").out == script
    assert not (project.root / "out.txt").exists()
    project("app")
    assert project("-n", "app").out == "# app\n# Nothing changed.\n"
    (project.root / "out.txt").unlink()
    assert project("-n", "app").out == "# app\n# Nothing changed; its outputs are put back.\n"
    assert not (project.root / "out.txt").exists()
    assert project("-n", "--force", "app").out == script


def test_force_runs_it_anyway(project: Program) -> None:
    assert " => CACHED app" not in project("app").err
    assert " => CACHED app" in project("app").err
    assert " => CACHED app" not in project("--force", "app").err


def test_files_lists_the_inputs(project: Program) -> None:
    project.write({"src/a.txt": "a longer text\n", "src/old/c.txt": "c\n"})
    done = project("--files", "app")
    assert (done.code, re.sub(r" [0-9a-f]{16} ", " DIGEST ", done.out)) == (
        0,
        "app: inputs: 2 files, 16 bytes\n  14  DIGEST  src/a.txt  input\n   2  DIGEST  src/b.txt  input\n",
    )


ERRORS = {
    "an input that is not there": (
        'inputs="scr"',
        2,
        "target `app`: there is no `scr`, which is one of the inputs",
        "did you mean `src`?",
    ),
    "an output that is not made": (
        'outputs=["src/a.txt", "no.txt"]',
        1,
        "target `app`: it made no `no.txt`, which is one of its outputs",
        "outputs are paths or globs relative to the magnetfile's directory, outside of `_build`",
    ),
    "an absolute path": (
        'inputs="/etc/passwd"',
        2,
        "magnetfile.py:2: target `app`: `/etc/passwd` cannot be in `inputs`",
        "give paths or globs relative to the magnetfile's directory, such as `src` or `src/**/*.py`",
    ),
    "an output outside of the project": (
        'outputs="a/../../b"',
        2,
        "magnetfile.py:2: target `app`: `a/../../b` cannot be in `outputs`",
        "give paths or globs relative to the magnetfile's directory, such as `src` or `src/**/*.py`",
    ),
    "nothing but exclusions": (
        'inputs=["!src"]',
        2,
        "magnetfile.py:2: target `app`: all of `inputs` begins with `!`, which leaves nothing",
        'name what there is before what is left out of it, as in ["src", "!src/generated"]',
    ),
    "what is no glob": (
        'inputs="src/[a"',
        2,
        "target `app`: `src/[a` is not a glob: syntax error in pattern",
        "a backslash before one of `*?[` takes its meaning away",
    ),
}


@pytest.mark.parametrize(("declared", "code", "message", "hint"), ERRORS.values(), ids=ERRORS)
def test_what_is_wrong_is_an_error_that_names_it(
    project: Program, declared: str, code: int, message: str, hint: str
) -> None:
    project.write({"magnetfile.py": f"from magnet import target\n@target({declared})\ndef app(t): pass\n"})
    done = project("app")
    assert (done.code, done.out) == (code, "")
    assert done.err.endswith(f"error: {message}\nhint: {hint}\n"), done.err


def test_two_runs_at_once_make_it_once(project: Program) -> None:
    body = "echo run >> runs; touch begun; while [ ! -e go ]; do sleep 0.02; done; cat src/*.txt > out.txt"
    project.write({"magnetfile.py": MAGNETFILE.replace("echo building; cat src/*.txt > out.txt", body)})
    first = project.start("app")
    wait_for(project.root / "begun")
    second = project.start("app")
    time.sleep(0.5)
    (project.root / "go").touch()
    said = [process.communicate(timeout=60)[1].decode() for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0]
    assert (project.root / "runs").read_text() == "run\n"
    assert ["CACHED app" in text for text in said] == [False, True]


def test_it_is_the_same_however_magnet_is_started(project: Program) -> None:
    project("app")
    script = Path(__file__).parents[2] / "scripts" / "magnet"
    done = subprocess.run([sys.executable, script, "app"], cwd=project.root, env=project.env, capture_output=True)
    assert "=> CACHED app" in done.stderr.decode()


def test_what_is_interrupted_is_not_kept(project: Program) -> None:
    body = "touch out.txt begun; sleep 60"
    project.write({"magnetfile.py": MAGNETFILE.replace("echo building; cat src/*.txt > out.txt", body)})
    process = project.start("app")
    wait_for(project.root / "begun")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert project("--explain", "app").out == "app: to do\n  it has not succeeded before\n"


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path} was not made"
        time.sleep(0.02)
