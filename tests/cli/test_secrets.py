"""The value of a secret variable is nowhere to be seen."""

import pytest

from tests.cli.program import Program

MAGNETFILE = """
from magnet import env, target

TOKEN = env("TOKEN", secret=True, help="Opens the door")


@target
def show(t):
    t.print("token", TOKEN)
    t.exec("sh", "-c", 'printf hunter; sleep 0.2; printf "2-and-more\\n"; echo "$T" >&2', env={"T": TOKEN})


@target
def fail(t):
    t.exec("sh", "-c", "echo $0 >&2; exit 3", TOKEN)


@target
def build(t):
    t.build(build_args={"TOKEN": f"token={TOKEN}"})


@target
def named(t, token: str):
    raise ValueError(token)


@target
def label(t):
    t.build(labels={"token": TOKEN})


@target(inputs="magnetfile.py")
def keep(t):
    t.print("kept", TOKEN)
    return TOKEN
"""

SECRET = {"TOKEN": "hunter2-and-more"}


@pytest.fixture
def project(magnet: Program) -> Program:
    magnet.write({"magnetfile.py": MAGNETFILE, "Dockerfile": "FROM scratch\n"})
    magnet.engine("buildah", "exit 1\n")
    return magnet


def everything(project: Program) -> bytes:
    """All that magnet has written into the project."""
    return b"".join(path.read_bytes() for path in (project.root / "_build").rglob("*") if path.is_file())


def test_a_secret_is_hidden_in_output_and_log_even_in_pieces(project: Program) -> None:
    result = project("--progress=plain", "show", env=SECRET)
    assert (result.code, result.out, SECRET["TOKEN"] in result.err) == (0, "", False)
    printed = project.log("show").split("-----\n")[1]
    assert printed.startswith("token ***\nEnv:  T=***  Exec:  sh -c")
    assert printed.endswith("***\n***\n")


def test_a_secret_is_hidden_in_errors(project: Program) -> None:
    result = project("--progress=quiet", "fail", env=SECRET)
    assert result.code == 1
    assert result.err.endswith(
        "error: target `fail`: `sh` failed with exit code 3\n  ***\nlog: _build/logs/STAMP/fail\n"
    )
    assert SECRET["TOKEN"].encode() not in everything(project)


@pytest.mark.parametrize(("target", "what"), [("build", "build arg `TOKEN`"), ("label", "label `token`")])
def test_a_secret_does_not_get_into_an_image(project: Program, target: str, what: str) -> None:
    result = project(target, env=SECRET)
    assert result.code == 2
    assert f"error: target `{target}`: the {what} holds a secret, and whoever has the image can read it\n" in result.err


def test_a_secret_is_hidden_in_the_list_and_in_a_dry_run(project: Program) -> None:
    assert "  TOKEN=***  Opens the door\n" in project("--list", env=SECRET).out
    assert "  TOKEN=  Opens the door\n" in project("--list").out
    result = project("-n", "fail", env=SECRET)
    assert (result.code, result.out) == (0, "# fail\nsh -c 'echo $0 >&2; exit 3' ***\n")


def test_a_secret_is_hidden_in_the_name_of_a_call_and_in_what_python_says(project: Program) -> None:
    result = project("named", SECRET["TOKEN"], "show", env=SECRET)
    assert result.code == 1
    assert "error: target `named`: ValueError: ***\n" in result.err
    assert SECRET["TOKEN"] not in result.err
    assert SECRET["TOKEN"].encode() not in everything(project)


def test_a_secret_that_is_returned_is_not_kept(project: Program) -> None:
    assert project("keep", env=SECRET).code == 0
    printed = project.log("keep").split("-----\n")[1]
    assert printed == "kept ***\nIt cannot be skipped the next time: it returns a secret, which cannot be kept.\n"
    assert SECRET["TOKEN"].encode() not in everything(project)
