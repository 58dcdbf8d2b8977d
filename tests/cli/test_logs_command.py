"""`magnet logs`, of runs of the real program and of files that runs leave."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from magnet import runs
from magnet.logs import Counts
from tests.cli.program import Program, Result

SECOND = 10**9
START = 1_767_225_600 * SECOND  # 2026-01-01

MAGNETFILE = """from magnet import target


@target
def base(t, tag: str = "x"):
    t.print("a base")


@target
def app(t):
    t.need(base, base(tag="b c"))
    t.exec("sh", "-c", "echo one; while [ -e magnetfile.py -a ! -e go ]; do sleep 0.02; done; echo two")


@target
def fail(t):
    t.exec("false")
"""


def text(name: str, output: str, *, started: int = 0) -> str:
    """A log as a run leaves it."""
    return (
        f"Name: {name}\nDigest: blake3:1\nCached: false\n"
        f"Started: 2026-01-01 00:00:{started:02d}.000000000 +0000 UTC\nCompleted: <nil>\n-----\n{output}"
    )


def made(magnet: Program, logs: dict[str, str], *, number: int = 0, command: str = "build") -> Path:
    """The directory of a run that made these logs, and succeeded in two seconds."""
    build = magnet.root / "_build"
    build.mkdir(exist_ok=True)
    run = runs.begin(build, START + number * 60 * SECOND, [command], version="v1")
    for name, content in logs.items():
        (run.directory / name).write_bytes(content.encode(errors="surrogateescape"))
    run.end("succeeded", 0, START + (number * 60 + 2) * SECOND, Counts(len(logs), 1, 0))
    return run.directory


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# What is printed


def test_without_a_target_all_logs_of_the_last_run_are_printed_as_they_began(magnet: Program) -> None:
    made(magnet, {"old": text("old", "x\n")})
    last = {"a": text("a", "3\n", started=3), "b": text("b", "1\n", started=1), "c%3Ad": text("c:d", "2", started=2)}
    made(magnet, last, number=1)
    expected = f"==> b <==\n{last['b']}\n==> c:d <==\n{last['c%3Ad']}\n==> a <==\n{last['a']}"
    assert magnet("logs") == Result(0, magnet.settled(expected.encode()), "")


def test_the_log_of_one_target_is_printed_as_it_is(magnet: Program) -> None:
    magnet.write({"magnetfile.py": MAGNETFILE, "sub/file": "", "go": ""})
    assert magnet("app").code == 0
    for words, cwd in ((("logs", "app"), "."), (("logs", "app"), "sub"), (("-C", "sub", "logs", "app"), ".")):
        assert magnet(*words, cwd=cwd) == Result(0, magnet.log("app"), "")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["app"], "0"),
        (["docker:build"], "1"),
        (["docker%3Abuild"], "1"),
        (["build(tag='a b')"], "2"),
        (["build"], "23"),
        (["build(tag=%27a b%27)"], "2"),
        (["app-2"], "4"),
        (["same"], "45"),
        (["build", "app", "build"], "230"),
    ],
)
def test_a_target_is_named_as_it_was_typed_or_with_its_arguments_or_by_its_file(
    magnet: Program, words: list[str], shown: str
) -> None:
    names = {
        "app": "app", "docker%3Abuild": "docker:build", "build(tag=%27a b%27)": "build(tag='a b')",
        "build(tag=2)": "build(tag=2)", "app-2": "same", "same": "same",
    }  # fmt: skip
    made(magnet, {file: text(name, f"output {n}\n", started=n) for n, (file, name) in enumerate(names.items())})
    done = magnet("logs", *words)
    assert (done.code, "".join(re.findall(r"^output (\d)$", done.out, re.MULTILINE)), done.err) == (0, shown, "")
    assert done.out.count("==>") == (len(shown) if len(shown) > 1 else 0)


def test_names_and_output_may_be_any_bytes(magnet: Program) -> None:
    content = text("b\udcffd", "\udcfe\x1b[31m\r\0 end")
    directory = made(magnet, {"b%FFd": content, "other": text("other", "")})
    process = magnet.start("logs", os.fsdecode(b"b\xffd"))
    assert process.communicate()[0] == (directory / "b%FFd").read_bytes()
    assert b"==> b\xffd <==\n" in magnet.start("logs").communicate()[0]


def test_a_terminal_gets_no_control_sequences(magnet: Program) -> None:
    made(
        magnet,
        {"a": text("a", "\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m\n50 %\r100 %\n\x9b1mä"), "b": text("b\x1b[2J", "")},
    )
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "magnet", "logs"], cwd=magnet.root, env=magnet.env, stdout=follower, stdin=follower
    )
    os.close(follower)
    shown = b""
    try:
        while piece := os.read(leader, 1 << 16):
            shown += piece
    except OSError:  # how Linux tells the end
        pass
    assert process.wait() == 0
    os.close(leader)
    assert [line for line in shown.decode().split("\r\n") if "=>" in line or line[:3] in ("red", "100", "1mä", "ä")] == [
        "==> a <==", "red", "100 %", "ä", "==> b <==",
    ]  # fmt: skip
    assert b"\x1b" not in shown


# Which run


def test_a_run_is_named_by_its_stamp_or_the_beginning_of_it(magnet: Program) -> None:
    for number in range(3):
        made(magnet, {"a": text("a", f"{number}\n")}, number=number)
    (magnet.root / "_build/logs/latest").unlink()
    (magnet.root / "_build/logs/latest").symlink_to("20260101000100")
    words = {"20260101000000": 0, "202601010000": 0, "20260101000200": 2, "latest": 1}
    assert {word: int(magnet("logs", "--run", word).out[-2]) for word in words} == words
    (magnet.root / "_build/logs/latest").unlink()
    assert magnet("logs").out.endswith("\n2\n")


def test_a_whole_stamp_is_no_beginning(magnet: Program) -> None:
    for number in range(2):
        made(magnet, {"a": text("a", f"{number}\n")})
    assert magnet("logs", "--run", "20260101000000").out.endswith("\n0\n")
    assert magnet("logs", "--run", "20260101000000-").out.endswith("\n1\n")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["logs", "buidl"], "there is no log of `buidl` in the run 20260101000100\nhint: did you mean `build`?\n"),
        (["logs", "-f", "xyz"], "there is no log of `xyz` in the run 20260101000100\nhint: there are: build\n"),
        (["logs", "--run", "2026"], "`2026` is the beginning of 2 runs\nhint: `magnet logs --list` shows the runs\n"),
        (["logs", "--run", "7"], "there is no run `7`\nhint: `magnet logs --list` shows the runs\n"),
        (["logs", "--run", "20260101000101"], "there is no run `20260101000101`\nhint: did you mean `20260101000100` or `20260101000000`?\n"),
        (["logs", "--list", "build"], "--list is about all runs\nhint: leave out what is about one of them\n"),
        (["logs", "--json"], "--json goes with --list\nhint: leave it out, or add --list\n"),
        (["--json", "logs"], "--json goes with --list\nhint: leave it out, or add --list\n"),
        (["logs", "--folow"], "there is no option `--folow`\nhint: did you mean `--follow`?\n"),
        (["--explain", "logs"], "`--explain` is about targets, and `logs` is none\n"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_an_error_that_helps(magnet: Program, words: list[str], error: str) -> None:
    for number in range(2):
        made(magnet, {"build": text("build", "")}, number=number)
    assert magnet(*words) == Result(2, "", f"error: {error}")


def test_where_no_target_has_run_there_are_no_logs(magnet: Program) -> None:
    error = "error: there are no logs in _build/logs\nhint: run a target: `magnet TARGET`\n"
    assert magnet("logs") == Result(2, "", error)
    assert magnet("logs", "--list") == Result(0, "There are no runs.\n", "")
    assert magnet("logs", "--list", "--json") == Result(0, "[]\n", "")
    assert list(magnet.root.iterdir()) == []


# The list of runs


def test_the_runs_are_listed_with_what_became_of_them(magnet: Program) -> None:
    magnet.write({"magnetfile.py": MAGNETFILE, "go": ""})
    died = made(magnet, {"a": text("a", "")})
    (died / ".run").write_text("")
    made(magnet, {"a": text("a", ""), "b": text("b", "")}, number=1, command="x\x1b[2Jy")
    assert magnet("app").code == 0
    assert magnet("--keep-going", "app", "fail").code == 1
    on = runs.begin(magnet.root / "_build", 4_000_000_000 * SECOND, ["on"])
    done = magnet("logs", "--list")
    lines = [re.sub(r"^\d{14}(-2)? +", "", line) for line in done.out.splitlines()]
    assert (done.code, [re.sub("  +", "  ", line) for line in lines], done.err) == (
        0,
        [
            "running  N.Ns  0 targets  magnet on",
            "failed  N.Ns  4 targets, 1 failed  magnet --keep-going app fail",
            "succeeded  N.Ns  3 targets  magnet app",
            "succeeded  N.Ns  2 targets, 1 cached  magnet 'xy'",
            "died  1 target",
        ],
        "",
    )
    on.end("succeeded", 0, 4_000_000_000 * SECOND, Counts())


@pytest.mark.parametrize("words", [("logs", "--list", "--json"), ("--json", "logs", "--list")])
def test_the_runs_as_json(magnet: Program, words: tuple[str, ...]) -> None:
    died = made(magnet, {"a": text("a", "")})
    (died / ".run").write_text("")
    made(magnet, {"a": text("a", ""), "b": text("b", "")}, number=1, command="\udcff")
    nothing = dict.fromkeys(("exit", "started", "completed", "seconds", "failed", "cached"))
    assert json.loads(magnet(*words).out.replace("STAMP", "20260101")) == [
        {
            "id": "20260101000100", "path": "_build/logs/20260101", "result": "succeeded", "exit": 0,
            "started": "2026-01-01T00:01:00.000000000Z", "completed": "2026-01-01T00:01:02.000000000Z",
            "seconds": 2.0, "targets": 2, "failed": 0, "cached": 1, "command": "magnet '\\xff'", "version": "v1",
        },
        nothing | {
            "id": "20260101000000", "path": "_build/logs/20260101", "result": "died", "targets": 1,
            "command": "", "version": "",
        },
    ]  # fmt: skip


def test_a_secret_is_not_in_the_record_of_a_run(magnet: Program) -> None:
    magnet.write(
        {
            "magnetfile.py": "from magnet import env, target\n\nenv('T', secret=True)\n\n\n@target\ndef a(t, *words: str):\n    pass\n"
        }
    )
    assert magnet("a", "x", "hunter22", env={"T": "hunter22"}).code == 0
    assert (magnet.root / "_build/logs/latest/.run").read_text().split("\n")[1] == "Command: magnet a x '***'"


def test_so_many_runs_are_kept_as_the_project_says(magnet: Program) -> None:
    magnet.write({"magnetfile.py": MAGNETFILE, "pyproject.toml": "[tool.magnet]\nlog_runs = 2\n"})
    for _ in range(3):
        assert magnet("base").code == 0
    assert len(list((magnet.root / "_build/logs").iterdir())) == 3
    assert magnet("logs", "--list").out.count("\n") == 2


# What comes


@contextmanager
def running(magnet: Program, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A run whose `app` has printed its first line, and waits."""
    magnet.write({"magnetfile.py": MAGNETFILE})
    process = magnet.start(*words)
    app = magnet.root / "_build/logs/latest/app"
    wait_for(lambda: app.exists() and "\none\n" in app.read_text())
    try:
        yield process
    finally:
        (magnet.root / "go").touch()
        process.communicate(timeout=30)


def follow(magnet: Program, *words: str, until: bytes) -> tuple["subprocess.Popen[bytes]", bytes]:
    """`magnet logs --follow` that has printed so much."""
    process = magnet.start("logs", "--follow", *words)
    return process, read_until(process, until)


def read_until(process: "subprocess.Popen[bytes]", until: bytes) -> bytes:
    assert process.stdout
    shown = b""
    while until not in shown:
        piece = os.read(process.stdout.fileno(), 1 << 16)
        assert piece, shown
        shown += piece
    return shown


def test_what_comes_is_followed_to_the_end_of_the_run(magnet: Program) -> None:
    with running(magnet, "app") as run:
        process, shown = follow(magnet, until=b"\none\n")
        assert process.poll() is None
        (magnet.root / "go").touch()
        rest, err = process.communicate(timeout=30)
        assert run.wait(30) == 0
    assert (process.returncode, err) == (0, b"")
    directory = (magnet.root / "_build/logs/latest").resolve()
    parts = re.split(r"\n?==> (.*) <==\n", magnet.settled(shown + rest))[1:]
    texts: dict[str, str] = {}
    for name, part in zip(parts[::2], parts[1::2], strict=True):
        texts[name] = texts.get(name, "") + part
    assert sorted(texts) == ["app", "base", "base(tag=b c)"]
    for name, part in texts.items():
        file = next(path for path in directory.glob("[!.]*") if path.read_text().startswith(f"Name: {name}\n"))
        begin, end = "Name", "Vertex: Duration N.Ns\n-----\n"
        assert part.startswith(begin)
        assert part.endswith(end)
        # The header was printed when the target ran.
        assert re.sub("Completed: .*", "", part) == re.sub("Completed: .*", "", magnet.settled(file.read_bytes()))


def test_one_target_is_followed_without_a_head_and_another_that_comes_is_waited_for(magnet: Program) -> None:
    with running(magnet, "--keep-going", "-j1", "app", "fail"):
        one, shown = follow(magnet, "app", until=b"\none\n")
        none = magnet.start("logs", "-f", "fial")
        assert none.stderr
        assert none.stderr.readline() == b"There is no log of `fial` yet.\n"
        (magnet.root / "go").touch()
        shown += one.communicate(timeout=30)[0]
        out, err = none.communicate(timeout=30)
    assert re.sub("Completed: .*\n", "", magnet.settled(shown)) == re.sub("Completed: .*\n", "", magnet.log("app"))
    assert (none.returncode, out) == (2, b"")
    assert err.endswith(b"\nhint: did you mean `fail`?\n")
    assert magnet("logs", "--follow", "app") == Result(0, magnet.log("app"), "")


def test_an_interrupt_and_a_closed_pipe_end_it(magnet: Program) -> None:
    with running(magnet, "app") as run:
        process, _ = follow(magnet, "app", until=b"\none\n")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == b""
        assert process.returncode == 130
        process, _ = follow(magnet, "app", until=b"\none\n")
        assert process.stdout
        process.stdout.close()
        (magnet.root / "go").touch()
        assert process.wait(30) == 1
        assert process.stderr
        assert process.stderr.read() == b""
        process.stderr.close()
        assert run.wait(30) == 0, "it is another process"


def test_a_line_is_shown_whole_where_several_logs_are_followed(magnet: Program) -> None:
    build = magnet.root / "_build"
    build.mkdir()
    run = runs.begin(build, START, ["build"])
    (run.directory / "a").write_text(text("a", "begin"))
    process, shown = follow(magnet, until=b"-----\n")
    (run.directory / "b").write_text(text("b", "begin"))
    shown += read_until(process, text("b", "").encode())
    with open(run.directory / "a", "a") as file:
        file.write(" end\n")
    run.end("succeeded", 0, START, Counts())
    shown += process.communicate(timeout=30)[0]
    header = text("", "").split("\n", 1)[1]
    assert shown.decode() == (
        f"==> a <==\nName: a\n{header}\n==> b <==\nName: b\n{header}\n==> a <==\nbegin end\n\n==> b <==\nbegin"
    )
