"""What is shown where there is no terminal."""

import base64
import json
import os
import re
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


@target
def says(t, word: str):
    t.exec("sleep", "0.1")


@target
def endless(t):
    for _ in range(5000):
        t.print("x" * 1000)
"""

BLOCK = """\
#1 fails
#1 N.N Exec:  sh -c 'echo ::error::x; exit 3'
#1 N.N ::error::x
#1 ERROR: `sh` failed with exit code 3
"""
SUMMARY = f"[+] Building N.Ns (1/1) FINISHED\n => ERROR fails{'N.Ns':>65}\n"
FAILURE = "------\n > fails:\nExec:  sh -c 'echo ::error::x; exit 3'\n::error::x\n------\n"
ERROR = "error: target `fails`: `sh` failed with exit code 3\n  ::error::x\nlog: _build/logs/STAMP/fails\n"


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
    assert result.err == f"{HEADER}{ERROR}"


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
    record = (project.root / "_build/logs/latest/.run").read_text()
    assert record.endswith("Exit: 1\nResult: failed\n")


def test_rawjson_is_refused_where_stdout_is_closed(project: Program) -> None:
    process = subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *project.argv, "--progress=rawjson", "fails"],
        cwd=project.root, env=project.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    _, err = process.communicate(timeout=60)
    assert (process.returncode, project.settled(err)) == (
        2,
        "error: --progress=rawjson writes to stdout, which is closed\nhint: send it to a file or a program\n",
    )
    assert not (project.root / "_build").exists()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_takes_nothing_from_a_run(project: Program, closed: str) -> None:
    process = subprocess.Popen(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *project.argv, "loud"],
        cwd=project.root, env=project.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert (b"output\n" in out, b"FINISHED" in err) == (
        ">&-" not in f" {closed}".replace("2>&-", ""),
        "2>&-" not in closed,
    )
    printed = project.log("loud").split("-----\n")[1].splitlines()
    assert printed[0] == "output"
    assert sorted(printed[2:]) == ["one", "two"]


@pytest.mark.parametrize("words", [["--progress=rawjson"], []], ids=["rawjson", "plain"])
def test_a_reader_that_goes_away_makes_a_run_fail_without_words(project: Program, words: list[str]) -> None:
    process = project.start(*words, "endless")
    read, other = (process.stdout, process.stderr) if words else (process.stderr, process.stdout)
    assert read
    assert other
    try:
        assert read.readline()
        read.close()
        rest = other.read()
        assert process.wait(timeout=60) == 1
    finally:
        process.kill()
        process.wait()
        other.close()
    assert project.settled(rest) == (HEADER if words else "")


def test_quiet_says_what_failed_and_nothing_else(project: Program) -> None:
    assert (project("--progress=quiet", "both").err, project("--progress=quiet", "both").out) == ("", "")
    result = project("--progress=quiet", "fails")
    assert (result.code, result.out, result.err) == (1, "", FAILURE + ERROR)


def settled(text: str) -> str:
    """The text, with what a service's commands have of times and chance replaced."""
    return re.sub(r"\b[0-9a-f]{32}\b", "TOKEN", re.sub(r"(section_\w+):\d+:", r"\1:TIME:", text))


def test_github_gets_a_group_and_an_annotation_and_no_command_of_a_target(project: Program) -> None:
    github = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(project.root)}
    assert settled(project("fails", env=github).err) == (
        f"{HEADER}::group::fails\n{BLOCK}::endgroup::\n"
        f"::stop-commands::TOKEN\n{SUMMARY}{FAILURE}::TOKEN::\n"
        f"::stop-commands::TOKEN\n{ERROR}::TOKEN::\n"
        "::error title=target `fails`::`sh` failed with exit code 3%0A::error::x\n"
    )


def test_a_report_that_is_asked_for_holds_no_command_either(project: Program) -> None:
    told = settled(project("--summary", "says", "##[error]x", "says", "y", env={"GITHUB_ACTIONS": "true"}).err)
    before, _, report = told.partition("Slowest targets:\n")
    assert before.endswith("::stop-commands::TOKEN\n")
    assert "says(word=##[error]x)" in report
    assert report.endswith("Cached: 0 of 2 targets\n::TOKEN::\n")


def test_gitlab_gets_a_section(project: Program) -> None:
    told = settled(project("fails", env={"GITLAB_CI": "true"}).err)
    # Whether it is known by then that it fails is chance.
    assert told.replace("[collapsed=true]", "") == (
        f"{HEADER}\x1b[0Ksection_start:TIME:magnet-1\r\x1b[0Kfails\n{BLOCK}"
        f"\x1b[0Ksection_end:TIME:magnet-1\r\x1b[0K\n{SUMMARY}{FAILURE}{ERROR}"
    )


@pytest.mark.parametrize("service", ["GITHUB_ACTIONS", "GITLAB_CI"])
def test_a_service_can_be_told_nothing(project: Program, service: str) -> None:
    told = project("--no-ci", "fails", env={service: "true"}).err
    assert told == f"{HEADER}{BLOCK}{SUMMARY}{FAILURE}{ERROR}"
