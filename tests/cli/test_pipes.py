"""What is shown where there is no terminal."""

import base64
import json
import os
import subprocess
from typing import Any

import pytest

from tests.cli.program import HEADER, Program

MAGNETFILE = """
import os, time
from magnet import target


def wait(t, name):
    while not (t.project.root / name).exists():
        time.sleep(0.01)


@target
def a(t):
    t.print("a1")
    (t.project.root / "a1").touch()
    wait(t, "b1")
    t.print("a2")


@target
def b(t):
    wait(t, "a1")
    t.print("b1")
    (t.project.root / "b1").touch()


@target(needs=[a, b])
def both(t):
    pass


@target
def loud(t):
    print("python")
    t.output("output")
    os.system("echo child")
    t.exec("sh", "-c", "echo one; echo two >&2")


@target
def fails(t):
    t.exec("sh", "-c", "echo ::error::x; exit 3")
"""


@pytest.fixture
def project(magnet: Program) -> Program:
    magnet.write({"magnetfile.py": MAGNETFILE})
    return magnet


def events(out: str) -> list[dict[str, Any]]:
    """What stdout holds, all of which must be JSON."""
    return [json.loads(line) for line in out.splitlines()]


def test_targets_that_print_at_the_same_time_have_a_block_each(project: Program) -> None:
    result = project("-j2", "both")
    assert (result.code, result.out) == (0, "")
    assert result.err == (
        f"{HEADER}"
        "#1 a\n#1 N.N a1\n#1 N.N a2\n#1 DONE N.Ns\n\n"
        "#2 b\n#2 N.N b1\n#2 DONE N.Ns\n\n"
        "#3 both\n#3 DONE N.Ns\n"
        "[+] Building N.Ns (3/3) FINISHED\n" + "".join(f"{f' => {name}':<75} N.Ns\n" for name in ("both", "a", "b"))
    )


def test_interleaved_lines_are_printed_as_they_come(project: Program) -> None:
    lines = [line.split()[-1] for line in project("-j2", "--interleave", "both").err.splitlines() if " N.N " in line]
    assert lines == ["a1", "b1", "a2"]


def test_rawjson_has_stdout_for_itself(project: Program) -> None:
    result = project("--progress=rawjson", "loud")
    assert result.code == 0
    found = events(result.out)
    (digest,) = {vertex["digest"] for event in found for vertex in event.get("vertexes", [])}
    logs = [log for event in found for log in event.get("logs", [])]
    assert {log["vertex"] for log in logs} == {digest}
    printed = b"".join(base64.b64decode(log["data"]) for log in logs).decode()
    assert printed.splitlines()[:2] == ["output", "Exec:  sh -c 'echo one; echo two >&2'"]
    assert sorted(printed.splitlines()[2:]) == ["one", "two"]
    last = found[-1]["vertexes"][0]
    assert (last["name"], "completed" in last, last.get("error")) == ("loud", True, None)
    assert sorted(result.err.removeprefix(HEADER).split()) == ["child", "output", "python"]


def test_rawjson_leaves_errors_to_stderr(project: Program) -> None:
    result = project("--progress=rawjson", "fails")
    assert result.code == 1
    assert events(result.out)[-1]["vertexes"][0]["error"] == "`sh` failed with exit code 3"
    assert result.err == (
        f"{HEADER}error: target `fails`: `sh` failed with exit code 3\n  ::error::x\nlog: _build/logs/STAMP/fails\n"
    )


def test_whoever_reads_rawjson_may_go(project: Program) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [*project.argv, "--progress=rawjson", "loud"],
        cwd=project.root, env=project.env, stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in err) == (1, False)
    assert "two\n" in project.log("loud"), "the log is complete all the same"


def test_quiet_says_what_failed_and_nothing_else(project: Program) -> None:
    assert (project("--progress=quiet", "both").err, project("--progress=quiet", "both").out) == ("", "")
    result = project("--progress=quiet", "fails")
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "------\n > fails:\nExec:  sh -c 'echo ::error::x; exit 3'\n::error::x\n------\n"
        "error: target `fails`: `sh` failed with exit code 3\n  ::error::x\nlog: _build/logs/STAMP/fails\n"
    )


def test_github_gets_groups_and_annotations_unless_they_are_turned_off(project: Program) -> None:
    github = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(project.root)}
    told = project("fails", env=github).err
    assert told.startswith(f"{HEADER}::group::fails\n#1 fails\n#1 N.N Exec:")
    assert "#1 ERROR: `sh` failed with exit code 3\n::endgroup::\n::stop-commands::" in told
    assert told.endswith("::error title=target `fails`::`sh` failed with exit code 3%0A::error::x\n")
    unfolded = project("--no-ci", "fails", env=github).err
    assert unfolded == project("fails").err


def test_gitlab_gets_sections(project: Program) -> None:
    told = project("fails", env={"GITLAB_CI": "true"}).err
    assert told.count("section_start:") == told.count("section_end:") == 1
    assert project("--no-ci", "fails", env={"GITLAB_CI": "true"}).err == project("fails").err
