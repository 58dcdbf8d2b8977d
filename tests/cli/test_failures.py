import pytest

from tests.cli.program import HEADER, Program

FAILING = """
from magnet import MagnetError, Mount, target


@target
def broken(t):
    look_up({})


def look_up(names):
    return names["missing"]


@target
def failing(t):
    t.exec("sh", "-c", "echo one; echo two >&2; exit 3")


@target
def wants(t):
    t.need(failing)
    t.print("never")


@target
def refuses(t):
    raise MagnetError("no coffee", detail=["the pot is empty"], hint="make some")


@target
def missing(t):
    t.exec("no-such-program")


@target
def one(t):
    t.need(two)


@target
def two(t):
    t.need(one)


@target
def fine(t):
    t.print("fine")
"""


@pytest.fixture
def project(magnet: Program) -> Program:
    magnet.write({"magnetfile.py": FAILING})
    return magnet


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (
            ["broken"],
            1,
            "error: target `broken`: KeyError: 'missing'\n"
            "  magnetfile.py:7: in broken\n    look_up({})\n"
            '  magnetfile.py:11: in look_up\n    return names["missing"]\n',
        ),
        (["failing"], 1, "error: target `failing`: `sh` failed with exit code 3\n  one\n  two\nlog: _build/logs/STAMP/failing\n"),
        (["wants"], 1, "error: target `failing`: `sh` failed with exit code 3\n  one\n  two\nlog: _build/logs/STAMP/failing\n"),
        (["refuses"], 1, "error: target `refuses`: no coffee\n  the pot is empty\nhint: make some\n"),
        (
            ["one"],
            2,
            "error: target `two`: targets need each other in a cycle: two -> one -> two\n"
            "hint: take one of these needs away\n",
        ),
        (["--jobs=1", "refuses", "failing"], 1, "error: target `refuses`: no coffee\n  the pot is empty\nhint: make some\n"),
        (
            ["--jobs=1", "-k", "refuses", "failing"],
            1,
            "error: target `refuses`: no coffee\n  the pot is empty\nhint: make some\n"
            "error: target `failing`: `sh` failed with exit code 3\n  one\n  two\nlog: _build/logs/STAMP/failing\n",
        ),
    ],
    ids=["exception", "program", "needed", "own error", "cycle", "first of two", "both of two"],
)  # fmt: skip
def test_the_reason_of_a_failure_is_the_last_thing_said(
    project: Program, words: list[str], code: int, error: str
) -> None:
    done = project(*words)
    assert (done.code, done.out) == (code, "")
    assert done.err[done.err.index("error: ") :] == error


def test_a_failed_targets_output_stands_before_the_reason(project: Program) -> None:
    assert project("wants").err == (
        f"{HEADER}"
        "#1 failing\n"
        "#1 N.N Exec:  sh -c 'echo one; echo two >&2; exit 3'\n"
        "#1 N.N one\n"
        "#1 N.N two\n"
        "#1 ERROR: `sh` failed with exit code 3\n"
        "\n"
        "#2 wants\n"
        "#2 CANCELED\n"
        "[+] Building N.Ns (2/2) FINISHED\n"
        " => CANCELED wants                                                          N.Ns\n"
        " => ERROR failing                                                           N.Ns\n"
        "------\n"
        " > failing:\n"
        "Exec:  sh -c 'echo one; echo two >&2; exit 3'\n"
        "one\n"
        "two\n"
        "------\n"
        "error: target `failing`: `sh` failed with exit code 3\n"
        "  one\n"
        "  two\n"
        "log: _build/logs/STAMP/failing\n"
    )


def test_after_a_failure_keep_going_runs_what_does_not_need_it(project: Program) -> None:
    assert "N.N fine" not in project("--jobs=1", "refuses", "fine").err
    done = project("--jobs=1", "--keep-going", "refuses", "fine")
    assert done.code == 1
    assert "#2 N.N fine\n#2 DONE N.Ns\n" in done.err


def test_a_failure_is_in_the_log(project: Program) -> None:
    project("failing")
    assert project.log("failing").endswith(
        "one\ntwo\n"
        "-----\n"
        "Vertex: Completed <nil> -> TIME\n"
        "Vertex: Duration N.Ns\n"
        "Vertex: Error `sh` failed with exit code 3\n"
        "-----\n"
    )


@pytest.mark.parametrize(
    ("files", "words", "error"),
    [
        (
            {"magnetfile.py": "from magnet import target\n\n@target\ndef a(t)\n    pass\n"},
            ["a"],
            "error: magnetfile.py:4: expected ':'\n  def a(t)\n          ^\n",
        ),
        (
            {"magnetfile.py": "from magnet import target\nimport helper\n", "helper.py": "def f():\n    1 / 0\n\nf()\n"},
            ["a"],
            "error: magnetfile.py cannot be loaded: ZeroDivisionError: division by zero\n"
            "  magnetfile.py:2: in <module>\n    import helper\n"
            "  helper.py:4: in <module>\n    f()\n"
            "  helper.py:2: in f\n    1 / 0\n",
        ),
        (
            {"magnetfile.py": FAILING},
            ["fnie"],
            "error: there is no target `fnie` in magnetfile.py\nhint: did you mean `fine`?\n",
        ),
        (
            {"magnetfile.py": FAILING},
            ["fine", "--speed", "3"],
            "error: target `fine`: there is no option `--speed`\nhint: `magnet fine --help` shows what there is\n",
        ),
        (
            {"magnetfile.py": FAILING},
            ["fine", "--jobs", "3"],
            "error: target `fine`: there is no option `--jobs`\nhint: `--jobs` is magnet's own: put it before the target\n",
        ),
        (
            {"magnetfile.py": FAILING},
            ["--progess"],
            "error: there is no option `--progess`\nhint: did you mean `--progress`?\n",
        ),
        (
            {"magnetfile.py": FAILING},
            ["--jobs=0", "fine"],
            "error: invalid value for '-j' / '--jobs': 0 is not in the range x>=1\nhint: `magnet --help` shows what there is\n",
        ),
        (
            {"magnetfile.py": FAILING},
            ["--backend=dokcer", "fine"],
            "error: there is no backend `dokcer`\nhint: did you mean `docker`?\n",
        ),
        (
            {"magnetfile.py": FAILING, "pyproject.toml": "[tool.magnet]\nbackend = 'dokcer'\n"},
            ["fine"],
            "error: there is no backend `dokcer`\nhint: did you mean `docker`?\n",
        ),
        ({}, ["-C", "nosuch", "build"], "error: cannot change to nosuch: No such file or directory\n"),
        (
            {},
            ["-f", "nosuch", "build"],
            "error: there is no magnetfile `nosuch`\nhint: -f takes the path of a magnetfile.py\n",
        ),
        (
            {},
            ["biuld"],
            "error: there is no target `biuld`, and no magnetfile.py in ROOT or above\nhint: did you mean `build`?\n",
        ),
        (
            {},
            ["build", "--tga", "x"],
            "error: target `build`: there is no option `--tga`\nhint: did you mean `--tag` or `--target`?\n",
        ),
    ],
    ids=[
        "syntax error", "exception at load", "target", "option", "option out of place", "own option", "value",
        "backend", "configured backend", "directory", "file", "builtin target", "option of a builtin target",
    ],
)  # fmt: skip
def test_a_mistake_is_named_before_anything_starts(
    magnet: Program, files: dict[str, str], words: list[str], error: str
) -> None:
    magnet.write(files)
    done = magnet(*words)
    assert (done.code, done.out, done.err) == (2, "", error)
    assert not (magnet.root / "_build").exists()
