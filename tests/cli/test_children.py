"""Targets in targets, as whoever types commands sees them."""

import json
import re
import signal
import time

import pytest

from tests.cli.program import HEADER, Program, Result

MAGNETFILE = """
import threading
from pathlib import Path

from magnet import MagnetError, env, target

TOKEN = env("TOKEN", "", secret=True)


@target
def empty(t, name: str = ""):
    with t.target(name):
        pass


@target
def later(t, what: str):
    with t.target("child") as child:
        pass
    {
        "print": lambda: child.print("x"),
        "exec": lambda: child.exec("true"),
        "need": lambda: child.need(fine),
        "build": lambda: child.build(),
        "target": lambda: child.target("inner").__enter__(),
        "set_cached": child.set_cached,
        "project": lambda: child.project,
    }[what]()


@target
def blockless(t):
    t.target("child").print("x")


@target
def twice(t):
    opening = t.target("child")
    with opening, opening:
        pass


@target
def fine(t):
    t.print("fine")


@target
def cached(t):
    t.set_cached()


@target
def undone(t, kind: str = "own"):
    with t.target("outer") as outer, outer.target("inner") as inner:
        inner.print("about to fail")
        if kind == "need":
            inner.need(empty)
        if kind == "exit":
            raise SystemExit(7)
        raise ValueError("no such thing")


@target
def waits(t):
    with t.target("outer") as outer, outer.target("inner") as inner:
        inner.exec("sh", "-c", "echo begun; echo $$ > pid; exec sleep 100")


@target
def hangs(t):
    with t.target("inner") as inner:
        inner.print("begun")
        Path("pid").write_text("1")
        threading.Event().wait(100)


@target
def asked(t):
    t.exec("echo", "before")
    with t.target("linux") as child:
        child.exec("echo", "in it")
        with child.target("amd64") as inner:
            inner.exec("echo", "further in")
    t.exec("echo", "after")


@target
def fetches(t):
    with t.target("get") as child:
        child.start_download(Path("nowhere").resolve().as_uri())
    t.print("never")


@target
def secrets(t):
    with t.target(f"for {TOKEN}") as child:
        child.print("it is", TOKEN)


@target
def names(t):
    for name in ("../../etc/passwd", "a/b", "a/b", ".run", "latest", "x" * 300, "tab\\there"):
        with t.target(name) as child:
            child.print("in", name)


@target(inputs="magnetfile.py")
def versioned(t):
    with t.target("child") as child:
        child.print(child.project.version)
    return 0


@target(inputs="magnetfile.py", outputs="made")
def kept(t):
    t.print("first")
    with t.target("a/b") as child:
        child.exec("sh", "-c", "echo making; echo x > made")
        with child.target("inner") as inner:
            inner.print("further in")
    t.print("last")
"""


@pytest.fixture
def project(magnet: Program) -> Program:
    magnet.write({"magnetfile.py": MAGNETFILE})
    return magnet


def body(project: Program, log: str) -> str:
    """What a target printed, and how it ended."""
    return project.log(log).partition("-----\n")[2]


def test_a_failure_is_told_once_where_it_came_up_and_fails_the_targets_around_it(project: Program) -> None:
    done = project("undone")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"{HEADER}"
        "#1 undone > outer > inner\n"
        "#1 N.N about to fail\n"
        "#1 ERROR: ValueError: no such thing\n"
        "\n"
        "#2 undone > outer\n"
        "#2 ERROR: `inner`: ValueError: no such thing\n"
        "\n"
        "#3 undone\n"
        "#3 ERROR: `outer`: `inner`: ValueError: no such thing\n"
        "[+] Building N.Ns (3/3) FINISHED\n"
        " => ERROR undone                                                            N.Ns\n"
        " => => ERROR outer                                                          N.Ns\n"
        " => => => ERROR inner                                                       N.Ns\n"
        "------\n"
        " > undone > outer > inner:\n"
        "about to fail\n"
        "------\n"
        "error: target `undone > outer > inner`: ValueError: no such thing\n"
        f"  magnetfile.py:{MAGNETFILE[: MAGNETFILE.index('raise ValueError')].count(chr(10)) + 1}: in undone\n"
        '    raise ValueError("no such thing")\n'
        "log: _build/logs/STAMP/inner\n"
    )
    listed = project("logs", "--list")
    assert re.fullmatch(r"\d+  failed  N.Ns  3 targets, 1 failed  magnet undone\n", listed.out)


def test_a_target_in_a_target_does_not_end_before_its_downloads_and_fails_with_them(project: Program) -> None:
    done = project("fetches")
    assert done.code == 1
    assert "never" not in done.err
    assert " => => ERROR get  " in done.err
    assert re.search(r"\nerror: target `fetches > get`: \S+/nowhere", done.err)


def test_sys_exit_in_a_target_in_a_target_is_its_error(project: Program) -> None:
    done = project("--progress=quiet", "undone", "--kind=exit")
    assert done.code == 1
    assert done.err == (
        "------\n > undone > outer > inner:\nabout to fail\n------\n"
        "error: target `undone > outer > inner`: it called sys.exit(7)\n"
        "log: _build/logs/STAMP/inner\n"
        "hint: raise an exception instead\n"
    )


def test_who_needs_what_failed_is_canceled_with_the_targets_around_it(project: Program) -> None:
    done = project("undone", "--kind=need")
    assert done.code == 2
    assert done.err.endswith(
        " => CANCELED undone                                                         N.Ns\n"
        " => => CANCELED outer                                                       N.Ns\n"
        " => => => CANCELED inner                                                    N.Ns\n"
        " => ERROR empty                                                             N.Ns\n"
        "error: target `empty`: '' is no name for a target in a target\n"
        'hint: give it one: t.target("linux")\n'
    )


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", "'' is no name for a target in a target\nhint: give it one: t.target(\"linux\")"),
        (" ", "' ' is no name for a target in a target\nhint: give it one: t.target(\"linux\")"),
        ("\x1b[2J", "'\\x1b[2J' is no name for a target in a target\nhint: give it one: t.target(\"linux\")"),
        (
            "a\nb",
            "the name 'a\\nb' of a target in a target has a line break\n"
            "hint: let it print what is more than a line: child.print(...)",
        ),
    ],
)
def test_a_name_is_a_line_of_text(project: Program, name: str, error: str) -> None:
    expected = Result(2, "", f"error: target `empty`: {error}\n")
    assert project("--progress=quiet", "empty", f"--name={name}") == expected


@pytest.mark.parametrize("what", ["print", "exec", "need", "build", "target", "set_cached", "project"])
def test_a_target_in_a_target_cannot_be_used_after_its_block(project: Program, what: str) -> None:
    done = project("--progress=quiet", "later", what)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: target `later`: the target `child` has ended: it cannot be used after its `with` block\n"
        "log: _build/logs/STAMP/later\n"
        "hint: move what it is to do into the block\n"
    )


def test_a_target_in_a_target_has_a_block_and_just_one(project: Program) -> None:
    done = project("--progress=quiet", "blockless")
    assert done.err == (
        "error: target `blockless`: the target `child` in `blockless` has not begun\n"
        'hint: it begins with a block: with t.target("child") as child:\n'
    )
    assert (done.code, project("--progress=quiet", "twice").code) == (2, 2)


def test_a_target_says_by_itself_that_it_is_cached(project: Program) -> None:
    done = project("cached")
    assert done.code == 0
    assert done.err == (
        f"{HEADER}#1 cached\n#1 CACHED\n[+] Building N.Ns (1/1) FINISHED\n"
        " => CACHED cached                                                           N.Ns\n"
    )
    assert "Cached: true \n" in project.log("cached")


def interrupted(project: Program, *words: str) -> str:
    process = project.start(*words)
    try:
        end = time.monotonic() + 30
        while not (project.root / "pid").exists():
            assert time.monotonic() < end, "the target never began"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    return project.settled(err)


def test_an_interrupt_cancels_the_targets_in_a_target(project: Program) -> None:
    said = interrupted(project, "waits")
    assert said.endswith(
        "[+] Building N.Ns (3/3) FINISHED\n"
        " => CANCELED waits                                                          N.Ns\n"
        " => => CANCELED outer                                                       N.Ns\n"
        " => => => CANCELED inner                                                    N.Ns\n"
        "error: interrupted\n"
    )
    assert body(project, "inner").endswith("\nVertex: Canceled\nVertex: Error interrupted\n-----\n")


def test_an_interrupt_cancels_a_target_in_a_target_that_does_not_heed_it(project: Program) -> None:
    said = interrupted(project, "hangs")
    assert said.endswith(
        "[+] Building N.Ns (2/2) FINISHED\n"
        " => CANCELED hangs                                                          N.Ns\n"
        " => => CANCELED inner                                                       N.Ns\n"
        "error: interrupted\n"
    )


def test_a_dry_run_shows_what_is_asked_for_where_it_is_asked_for(project: Program) -> None:
    assert project("-n", "asked") == Result(
        0,
        "# asked\necho before\n# asked > linux\necho 'in it'\n# asked > linux > amd64\necho 'further in'\n"
        "# asked\necho after\n",
        "",
    )


def test_a_secret_in_a_name_is_nowhere(project: Program) -> None:
    for words in ((), ("--progress=rawjson",)):
        done = project(*words, "secrets", env={"TOKEN": "hunter22"})
        assert done.code == 0
        assert "hunter22" not in done.out + done.err
    files = sorted((project.root / "_build/logs/latest").resolve().iterdir())
    assert [path.name for path in files] == [".run", "for %2A%2A%2A", "secrets"]
    assert not any(b"hunter22" in path.read_bytes() for path in files)
    assert "Child: for %2A%2A%2A\n" in project.log("secrets")


def test_each_has_a_log_with_a_safe_name_that_the_outer_one_tells(project: Program) -> None:
    assert project("names").code == 0
    files = ["%2E.%2F..%2Fetc%2Fpasswd", "a%2Fb", "a%2Fb-2", "%2Erun", "%6Catest", "x" * 200, "tab%09here"]
    found = {path.name for path in (project.root / "_build/logs/latest").resolve().iterdir()}
    assert found == {".run", "names", *files}
    assert body(project, "names").startswith("".join(f"Child: {name}\n" for name in files))
    assert project.log("a%2Fb-2").startswith("Name: a/b\nDigest: blake3:DIGEST\nParent: names\nCached: false\n")
    assert body(project, "a%2Fb-2").startswith("in a/b\n-----\n")


@pytest.mark.parametrize(
    ("words", "heads"),
    [
        ((), ["asked", "asked > linux", "asked > linux > amd64"]),
        (("asked",), ["asked", "asked > linux", "asked > linux > amd64"]),
        (("linux",), ["asked > linux", "asked > linux > amd64"]),
        (("asked > linux",), ["asked > linux", "asked > linux > amd64"]),
        (("amd64", "asked"), ["asked > linux > amd64", "asked", "asked > linux"]),
    ],
)
def test_logs_are_printed_with_those_of_the_targets_in_them(
    project: Program, words: tuple[str, ...], heads: list[str]
) -> None:
    assert project("asked").code == 0
    done = project("logs", *words)
    assert re.findall("^==> (.*) <==$", done.out, re.MULTILINE) == heads
    alone = project("logs", "amd64").out
    assert alone.startswith("Name: amd64\n")
    assert alone in done.out


@pytest.mark.parametrize("parent", ["linux", "amd64", "gone", "../../../magnetfile.py"])
def test_a_log_that_names_no_other_as_that_of_the_outer_target_is_printed_all_the_same(
    project: Program, parent: str
) -> None:
    assert project("asked").code == 0
    path = project.root / "_build/logs/latest/linux"
    path.write_text(path.read_text().replace("Parent: asked", f"Parent: {parent}"))
    done = project("logs")
    assert (done.code, done.err, done.out.count("==> ")) == (0, "", 3)


def test_a_target_that_is_skipped_tells_what_the_targets_in_it_printed(project: Program) -> None:
    assert project("kept").code == 0
    ran = body(project, "kept")
    assert ran.startswith("first\nChild: a%2Fb\nlast\n-----\n")
    again = project("kept")
    assert (again.code, "=> CACHED kept" in again.err, "(1/1) FINISHED" in again.err) == (0, True, True)
    assert body(project, "kept").startswith(
        "first\nChild: a%2Fb\nlast\n"
        "\n==> a%2Fb <==\nExec:  sh -c 'echo making; echo x > made'\nmaking\nChild: inner\n"
        "\n==> inner <==\nfurther in\n"
        "-----\n"
    )


def test_a_target_in_which_another_asks_for_the_version_runs_again_for_another_one(project: Program) -> None:
    project.git("init", "-q")
    project.git("-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "x")
    project.git("tag", "v1")
    assert "CACHED" not in project("versioned").err
    assert "CACHED" in project("versioned").err
    project.git("tag", "-d", "v1")
    project.git("tag", "v2")
    assert "CACHED" not in project("versioned").err
    assert body(project, "child").startswith("v2")


def test_a_service_that_runs_builds_folds_a_target_with_those_in_it(project: Program) -> None:
    lines = project("undone", env={"GITHUB_ACTIONS": "true"}).err.splitlines()
    assert lines[3:13] == [
        "::group::undone",
        "#1 undone > outer > inner",
        "#1 N.N about to fail",
        "#1 ERROR: ValueError: no such thing",
        "",
        "#2 undone > outer",
        "#2 ERROR: `inner`: ValueError: no such thing",
        "",
        "#3 undone",
        "#3 ERROR: `outer`: `inner`: ValueError: no such thing",
    ]
    assert lines[13] == "::endgroup::"
    assert lines[-1].startswith("::error title=target `undone > outer > inner`::ValueError: no such thing%0A")


def test_reports_of_a_run_know_the_targets_in_targets(magnet: Program) -> None:
    magnet.write(
        {
            "magnetfile.py": "from magnet import target\n\n\n@target\ndef app(t):\n"
            '    with t.target("linux") as child:\n        child.exec("sleep", "0.2")\n'
            '    with t.target("other") as other:\n        other.set_cached()\n'
        }
    )
    done = magnet("--summary", "--trace=trace.json", "--timeline=line.svg", "app")
    assert done.code == 0
    lines = done.err.splitlines()
    assert lines[lines.index("Slowest targets:") + 1].startswith("  app > linux ")
    assert lines[-1] == "Cached: 1 of 3 targets"
    events = json.loads((magnet.root / "trace.json").read_text())["traceEvents"]
    assert [(one["name"], one["cat"]) for one in events if one["ph"] == "X"] == [
        ("app", "target"),
        ("linux", "target"),
        ("other", "target"),
    ]
    svg = (magnet.root / "line.svg").read_text()
    assert re.findall('<text class="target"[^>]*>([^<]*)<', svg) == ["app", "linux", "other"]
    assert ": 3 targets, 1 cached<" in svg
