"""An interrupt, or a kill, leaves nothing behind."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from magnet.testing.plugin import Leftovers
from magnet.testing.program import Magnet

SECONDS = f"9{os.getpid()}"
"""How long no other process of this machine sleeps."""

STEP = rf"((/bin/)?sleep|/bin/sh -c sleep) {SECONDS}\b"
"""The command line of what runs in a container, and of no engine's program."""


def processes(pattern: str) -> list[str]:
    """The command lines of this machine's processes that match a pattern."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended
        if re.match(pattern, line):
            found.append(line)
    return found


def wait_for(pattern: str, process: "subprocess.Popen[bytes]") -> None:
    """Until such a process runs."""
    end = time.monotonic() + 60
    while not processes(pattern):
        assert process.poll() is None, "magnet has ended"
        assert time.monotonic() < end, "the container never began"
        time.sleep(0.05)


def wait_until_gone(pattern: str) -> list[str]:
    """What is left of such processes, some time after they were to end."""
    end = time.monotonic() + 20
    while (left := processes(pattern)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


@pytest.fixture
def words(magnet: Magnet, base: str, request: pytest.FixtureRequest) -> tuple[str, ...]:
    """A command line of magnet's that runs long, in a build or in a container, and can be told by a number."""
    if request.param == "run":
        return ("run", "--rm", base, "sleep", SECONDS)
    magnet.write({"Dockerfile": f"FROM {base}\nRUN sleep {SECONDS}\n"})
    return ("build", ".")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
@pytest.mark.parametrize("words", ["build", "run"], indirect=True)
def test_an_interrupt_leaves_nothing_behind(
    magnet: Magnet, base: str, leftovers: Leftovers, words: tuple[str, ...], sent: signal.Signals
) -> None:
    with magnet.running(*words) as process:
        wait_for(STEP, process)
        process.send_signal(sent)
        assert process.wait(60) == 130
    assert magnet.log(words[0]).splitlines()[-3:] == ["Vertex: Canceled", "Vertex: Error interrupted", "-----"]
    assert wait_until_gone(STEP) == []
    assert magnet.containers(words[0]) == []
    assert leftovers(magnet, base) == []
    assert list((magnet.root / "_build/magnet").rglob("runs/*")) == []


@pytest.mark.parametrize("words", ["build", "run"], indirect=True)
def test_what_a_killed_run_left_is_removed_by_the_next(magnet: Magnet, words: tuple[str, ...]) -> None:
    with magnet.running(*words) as process:
        wait_for(STEP, process)
        process.kill()
        process.wait(60)
    killed = (magnet.root / "_build/logs/latest").resolve()
    magnet.write({"magnetfile.py": "from magnet import target\n\n\n@target\ndef other(t):\n    pass\n"})
    magnet.ok("other")
    assert wait_until_gone(STEP) == []
    (magnet.root / "_build/logs/latest").unlink()
    (magnet.root / "_build/logs/latest").symlink_to(killed)
    assert magnet.containers(words[0]) == []
    assert list((magnet.root / "_build/magnet").rglob("runs/*")) == []
