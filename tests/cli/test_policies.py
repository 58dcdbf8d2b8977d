"""Limits of time, further tries, conditions and matrices, as the program has them."""

import os
import time
from pathlib import Path

import pytest

from magnet.policy import this_platform
from tests.cli.program import HEADER, Program
from tests.unit.fileserver import File, serving, stall

MAGNETFILE = '''
import time
from pathlib import Path
from magnet import MagnetError, target

@target
def lib(t):
    time.sleep(0.6)


@target(timeout=0.5, needs=[lib])
def waits(t):
    """Wait for what it needs, which takes longer than it may work."""
    t.need(slow_lib)


@target
def slow_lib(t):
    time.sleep(0.6)


@target(timeout=0.5)
def stuck(t):
    t.exec("sh", "-c", "sleep 100 & echo $! > grandchild; echo $$ > child; echo working; wait")


@target(needs=[stuck])
def needs_it(t):
    raise AssertionError


@target(timeout=0.2)
def python(t):
    t.print("working")
    time.sleep(0.5)
    try:
        t.print("not printed")
    except MagnetError:
        Path("went-on").touch()


@target(timeout=0.2)
def inner(t):
    with t.target("part") as part:
        time.sleep(0.5)
        part.print("not printed")


@target(timeout=0.5)
def downloads(t):
    t.download("URL")


def count(name):
    path = Path(name)
    path.write_text(path.read_text() + "x" if path.exists() else "x")
    return len(path.read_text())


@target
def counted(t):
    count("counted")


@target(retries=1)
def flaky(t):
    t.need(counted)
    if count("flaky") < 2:
        raise ValueError("not yet")
    t.print("now")


@target(retries=1, timeout=0.3)
def slow_once(t):
    t.exec("sleep", "100" if count("slow-once") == 1 else "0")


@target(retries=9)
def wrong(t):
    count("wrong")
    t.exec("true", cwd="nowhere")


@target(retries=9)
def over(t):
    count("over")
    t.need(fails)


@target
def fails(t):
    t.exec("false")


def on_release():
    return False


@target(only_if=on_release)
def deploy(t):
    """Deploy it."""
    raise AssertionError


@target(platforms=["aix", "plan9/386"], needs=[fails], inputs="magnetfile.py")
def exotic(t):
    raise AssertionError


@target(needs=[exotic])
def after(t):
    t.print(t.need(deploy), t.need(exotic))


@target(needs=[exotic], inputs="magnetfile.py")
def stamp(t):
    t.print("stamped")


@target(only_if=lambda: 1 / 0)
def asks(t):
    raise AssertionError


@target(matrix={"py": ["3.11", "3.12"], "n": [1, 2]})
def test(t, py: str, n: int, *, fail: str = ""):
    """Run the tests."""
    t.print(py, n)
    if fail == py:
        raise MagnetError("it fails")
    return f"{py}/{n}"


@target(needs=[test])
def report(t):
    t.print(t.need(test(py="3.12")), t.need(test, counted))
'''


@pytest.fixture
def project(magnet: Program) -> Program:
    magnet.write({"magnetfile.py": MAGNETFILE})
    return magnet


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_target_whose_time_is_over_fails_and_nothing_that_it_ran_is_left(project: Program) -> None:
    done = project("-j1", "needs-it")
    assert (done.code, done.out) == (1, "")
    shown = done.err.replace("N.N", "N")
    assert shown == HEADER + (
        "#1 stuck\n"
        "#1 N Exec:  sh -c 'sleep 100 & echo $! > grandchild; echo $$ > child; echo working; wait'\n"
        "#1 N working\n"
        "#1 N Timed out after N.Ns.\n"
        "#1 ERROR: timed out after N.Ns\n"
        "\n"
        "#2 needs-it\n"
        "#2 CANCELED\n"
        "[+] Building N.Ns (2/2) FINISHED\n"
        " => CANCELED needs-it                                                       N.Ns\n"
        " => ERROR stuck                                                             N.Ns\n"
        "------\n"
        " > stuck:\n"
        "Exec:  sh -c 'sleep 100 & echo $! > grandchild; echo $$ > child; echo working; wait'\n"
        "working\n"
        "Timed out after N.Ns.\n"
        "------\n"
        "error: target `stuck`: timed out after N.Ns\n"
        "  working\n"
        "log: _build/logs/STAMP/stuck\n"
        "hint: `timeout` of its @target is how long it may work\n"
    ).replace("N.N", "N")
    pids = [int((project.root / name).read_text()) for name in ("child", "grandchild")]
    assert not any(map(is_alive, pids))
    assert os.listdir(project.root / "_build/magnet/project/runs") == []


def test_a_target_whose_time_is_over_waits_for_no_download(project: Program) -> None:
    with serving() as server:
        server.files["/a"] = File(b"1234")
        server.files["/a"].faults.append(stall(2))
        project.write({"magnetfile.py": MAGNETFILE.replace("URL", server.url("/a"))})
        done = project("--progress=quiet", "downloads")
        assert len(server.asked) == 1
    assert (done.code, done.out) == (1, "")
    assert "error: target `downloads`: timed out after N.Ns\n" in done.err


def test_an_interrupt_ends_what_a_target_with_a_limit_runs(project: Program) -> None:
    project.write({"magnetfile.py": MAGNETFILE.replace("timeout=0.5", "timeout=100, retries=1")})
    process = project.start("--progress=plain", "stuck")
    wait_for(project.root / "child")
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith(b"error: interrupted\n")
    assert not any(is_alive(int((project.root / name).read_text())) for name in ("child", "grandchild"))


def test_the_time_that_a_target_waits_for_others_is_not_its_own(project: Program) -> None:
    done = project("--progress=quiet", "-j1", "waits")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("target", ["python", "inner"])
def test_python_code_is_not_ended_but_can_do_nothing_more(project: Program, target: str) -> None:
    done = project(target)
    assert done.code == 1
    assert "not printed" not in done.err
    assert f"error: target `{target}`: timed out after N.Ns\n" in done.err
    assert (project.root / "went-on").exists() == (target == "python")


def test_a_target_that_fails_is_tried_again_and_what_it_needs_is_not(project: Program) -> None:
    done = project("-j1", "flaky")
    assert (done.code, done.out) == (0, "")
    line = MAGNETFILE.splitlines().index('        raise ValueError("not yet")') + 1
    assert project.log("flaky").partition("-----\n")[2] == (
        "ValueError: not yet.\n"
        f"  magnetfile.py:{line}: in flaky\n"
        '    raise ValueError("not yet")\n'
        "Try 2 of 2 begins in 1s.\n"
        "now\n"
        "-----\n"
        "Vertex: Completed <nil> -> TIME\n"
        "Vertex: Duration N.Ns\n"
        "-----\n"
    )
    assert (project.root / "counted").read_text() == "x"


def test_each_try_has_the_whole_time(project: Program) -> None:
    done = project("--progress=quiet", "slow-once")
    assert (done.code, done.err) == (0, "")
    assert (project.root / "slow-once").read_text() == "xx"


@pytest.mark.parametrize(
    ("target", "code", "error"),
    [
        ("wrong", 2, "error: target `wrong`: the working directory `nowhere` is not a directory\n"),
        ("over", 1, "error: target `fails`: `false` failed with exit code 1\n"),
    ],
)
def test_what_would_fail_again_is_not_tried_again(project: Program, target: str, code: int, error: str) -> None:
    done = project("--progress=quiet", target)
    assert (done.code, (project.root / target).read_text()) == (code, "x")
    assert error in done.err


def test_an_interrupt_ends_the_wait_for_another_try(project: Program) -> None:
    project.write({"magnetfile.py": MAGNETFILE.replace("retries=1)", "retries=9)").replace("< 2", "< 99")})
    process = project.start("--progress=plain", "flaky")
    wait_for(project.root / "flaky")
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith(b"error: interrupted\n")


def test_a_target_that_is_not_to_run_is_skipped_with_its_needs_and_is_none_to_others(project: Program) -> None:
    done = project("after")
    here = this_platform()
    assert (done.code, done.out) == (0, "")
    assert done.err == HEADER + (
        "#1 exotic\n"
        f"#1 SKIPPED: runs on aix or plan9/386, not {here}\n"
        "\n"
        "#2 deploy\n"
        "#2 SKIPPED: `on_release` is false\n"
        "\n"
        "#3 after\n"
        "#3 N.N None None\n"
        "#3 DONE N.Ns\n"
        "[+] Building N.Ns (3/3) FINISHED\n"
        " => after                                                                   N.Ns\n"
        f"{f' => SKIPPED exotic (runs on aix or plan9/386, not {here})':<75} N.Ns\n"
        " => SKIPPED deploy (`on_release` is false)                                  N.Ns\n"
    )
    assert project.log("deploy").endswith("Vertex: Skipped `on_release` is false\n-----\n")


def test_what_needs_a_skipped_target_can_be_found_done(project: Program) -> None:
    assert project("stamp").code == 0
    assert " => CACHED stamp " in project("stamp").err


def test_a_skipped_target_is_told_of_by_questions_and_dry_runs(project: Program) -> None:
    why = f"runs on aix or plan9/386, not {this_platform()}"
    assert project("--explain", "exotic", "deploy").out == (
        f"exotic: skipped: {why}\ndeploy: skipped: `on_release` is false\n"
    )
    assert project("-n", "deploy").out == "# deploy\n# Skipped: `on_release` is false.\n"
    assert project("-l").out == (
        "Targets:\n"
        "  lib\n"
        "  waits      Wait for what it needs, which takes longer than it may work.\n"
        "  slow-lib\n"
        "  stuck\n"
        "  needs-it\n"
        "  python\n"
        "  inner\n"
        "  downloads\n"
        "  counted\n"
        "  flaky\n"
        "  slow-once\n"
        "  wrong\n"
        "  over\n"
        "  fails\n"
        "  deploy     Deploy it. (if on_release)\n"
        "  exotic     (on aix or plan9/386)\n"
        "  after\n"
        "  stamp\n"
        "  asks       (conditional)\n"
        "  test       Run the tests. (4 combinations of py, n)\n"
        "  report\n"
    )


def test_an_error_in_a_condition_is_one_of_the_target(project: Program) -> None:
    done = project("--progress=quiet", "asks")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: target `asks`: ZeroDivisionError: division by zero\n")
    assert "Traceback" not in done.err


def test_a_matrix_is_a_target_for_each_combination(project: Program) -> None:
    done = project("-j1", "-k", "test", "--n", "2", "--fail", "3.11")
    assert (done.code, done.out) == (1, "")
    assert done.err == HEADER + (
        "#1 test(py=3.11, n=2, fail=3.11)\n"
        "#1 N.N 3.11 2\n"
        "#1 ERROR: it fails\n"
        "\n"
        "#2 test(py=3.12, n=2, fail=3.11)\n"
        "#2 N.N 3.12 2\n"
        "#2 DONE N.Ns\n"
        "[+] Building N.Ns (2/2) FINISHED\n"
        " => ERROR test(py=3.11, n=2, fail=3.11)                                     N.Ns\n"
        " => test(py=3.12, n=2, fail=3.11)                                           N.Ns\n"
        "------\n"
        " > test(py=3.11, n=2, fail=3.11):\n"
        "3.11 2\n"
        "------\n"
        "error: target `test(py=3.11, n=2, fail=3.11)`: it fails\n"
        "log: _build/logs/STAMP/test(py=3.11, n=2, fail=3.11)\n"
    )


def test_who_needs_a_matrix_gets_its_results_in_order(project: Program) -> None:
    assert project("report").code == 0
    logs = sorted(path.name for path in (project.root / "_build/logs/latest/").glob("[!.]*"))
    assert logs == ["counted", "report", *(f"test(py=3.1{py}, n={n})" for py in (1, 2) for n in (1, 2))]
    assert "('3.12/1', '3.12/2') (('3.11/1', '3.11/2', '3.12/1', '3.12/2'), None)\n" in project.log("report")


def test_the_help_of_a_matrix_shows_its_axes(project: Program) -> None:
    assert project("test", "--help").out == (
        "Usage: magnet test [OPTIONS]\n"
        "\n"
        "  Run the tests.\n"
        "\n"
        "Options:\n"
        "  --py [3.11|3.12]  Only these combinations of the matrix.\n"
        "  --n [1|2]         Only these combinations of the matrix.\n"
        "  --fail TEXT\n"
        "  --help            Show this message and exit.\n"
    )
