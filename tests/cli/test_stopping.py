import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.program import Program

MAGNETFILE = """
import signal
from magnet import target


@target
def waits(t):
    t.exec("sh", "-c", "echo $$ > pid; exec sleep 100")


@target
def stubborn(t):
    t.exec("sh", "-c", "trap '' TERM INT; echo $$ > pid; while :; do sleep 1; done")


@target
def says(t, *words: str):
    for word in words:
        t.print(word)


@target
def outputs(t):
    for number in range(100000):
        t.output(str(number))
"""


@pytest.fixture
def project(magnet: Program) -> Program:
    magnet.write({"magnetfile.py": MAGNETFILE})
    return magnet


def pid_of_child(project: Program) -> int:
    """The process that the target started, once it runs."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            return int((project.root / "pid").read_text())
        except (OSError, ValueError):
            time.sleep(0.02)
    raise AssertionError("the target's program never began")


def wait_for_note_of(project: Program, child: int) -> None:
    """Until magnet, too, knows which process its child is."""
    end = time.monotonic() + 30
    # Unlike glob, walk does not mind that the directory of a run gets its name only when it is locked.
    while not any(
        name.startswith(f"child-{child}-") for _, _, names in os.walk(project.root / "_build") for name in names
    ):
        assert time.monotonic() < end, "the child is not noted"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        # A process that has ended is still listed until whoever inherited it takes note.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["ctrl-c", "terminate", "terminal closed"]
)
@pytest.mark.parametrize("target", ["waits", "stubborn"])
def test_an_interrupt_ends_every_child_and_closes_the_log(project: Program, target: str, sent: signal.Signals) -> None:
    process = project.start("--progress=plain", target)
    child = pid_of_child(project)
    process.send_signal(sent)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert err.endswith(b"error: interrupted\n")
    assert b"Traceback" not in err
    assert not is_alive(child)
    assert project.log(target).endswith("Vertex: Canceled\nVertex: Error interrupted\n-----\n")


def test_a_second_interrupt_does_not_wait(project: Program) -> None:
    process = project.start("--progress=plain", "stubborn")
    child = pid_of_child(project)
    wait_for_note_of(project, child)  # before that, it would be killed without being asked
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in err) == (130, False)
    assert err.endswith(b"error: interrupted at once\nhint: the next run removes what this one may have left\n")
    assert not is_alive(child)
    assert project.log("stubborn").endswith("Vertex: Canceled\nVertex: Error interrupted\n-----\n")
    assert os.listdir(project.root / "_build/magnet/project/runs"), "the next run would not know of this one"
    assert project("says").code == 0
    assert os.listdir(project.root / "_build/magnet/project/runs") == []


def test_a_run_that_was_told_to_outlive_its_terminal_does(project: Program) -> None:
    process = project.start("waits", ignoring=signal.SIGHUP)
    child = pid_of_child(project)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not is_alive(child)


def test_what_a_killed_run_left_is_ended_by_the_next(project: Program) -> None:
    process = project.start("waits")
    child = pid_of_child(project)
    wait_for_note_of(project, child)
    process.kill()
    process.communicate(timeout=60)
    assert is_alive(child)
    assert project("says").code == 0
    assert not is_alive(child)


def test_a_living_run_is_not_disturbed_by_another(project: Program) -> None:
    process = project.start("waits")
    child = pid_of_child(project)
    assert project("says").code == 0
    assert is_alive(child)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def test_a_reader_that_goes_away_is_no_traceback(project: Program) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m magnet outputs 2>err | head -n 1"],
        cwd=project.root,
        env={**project.env, "PATH": os.environ["PATH"]},
        capture_output=True,
        timeout=60,
    )
    assert done.stdout == b"0\n"
    assert "Traceback" not in (project.root / "err").read_text()


def on_a_terminal(project: Program, *words: str, **env: str) -> tuple[int, str]:
    """How magnet ends, and all that it writes, on a terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "magnet", *words],
        cwd=project.root,
        env={**project.env, "TERM": "xterm", **env},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    said = b""
    try:
        while select.select([leader], [], [], 60)[0] and (chunk := os.read(leader, 4096)):
            said += chunk
    except OSError:
        pass  # how a terminal ends
    os.close(leader)
    return process.wait(60), said.decode()


def test_on_a_terminal_the_board_ends_as_the_summary(project: Program) -> None:
    code, said = on_a_terminal(project, "says", "one", "two")
    assert code == 0
    settled = re.sub(r"\d+\.\d+s", "N.Ns", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", said))
    assert settled.endswith(
        "[+] Building N.Ns (1/1) FINISHED\n => says                                                                    N.Ns\n"
    )
    assert "one" not in settled.split("[+]")[-1]
    assert said.count("\x1b[?25l") == said.count("\x1b[?25h")


def test_on_a_dumb_terminal_lines_are_plain(project: Program) -> None:
    code, said = on_a_terminal(project, "says", "one", TERM="dumb")
    assert (code, "\x1b" in said, "\r\n#1 says\r\n#1 " in said) == (0, False, True)


LEAVING = """
import atexit
import sys
import threading
import time
from magnet import target

atexit.register(lambda: print("atexit"))


def linger():
    time.sleep(0.3)
    print("lingered")


@target
def works(t):
    sys.stdout.write("buffered ")


@target
def lingers(t):
    threading.Thread(target=linger, daemon=False).start()
"""


@pytest.mark.parametrize(("target", "said"), [("works", "buffered atexit\n"), ("lingers", "lingered\natexit\n")])
def test_what_a_magnetfile_leaves_to_the_end_is_done(magnet: Program, target: str, said: str) -> None:
    magnet.write({"magnetfile.py": LEAVING})
    result = magnet(target)
    assert (result.code, result.out) == (0, said)


def test_a_full_disk_is_noticed_at_the_end(magnet: Program) -> None:
    magnet.write({"magnetfile.py": LEAVING})
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "magnet", "works"],
            cwd=magnet.root,
            env=magnet.env,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    assert (process.returncode, b"Traceback" in process.stderr) == (1, False)
