"""A lot of output: none of it is lost, and none of it is held in memory."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import Program

TARGETS = 8
LINES = 1_250_000

MAGNETFILE = f"""
from magnet import target


@target
def one(t, number: int):
    t.exec("seq", str(number), "{TARGETS}", str(number + {TARGETS} * ({LINES} - 1)))


@target
def all(t):
    t.need(*(one(number) for number in range(1, {TARGETS} + 1)))
"""

MOST = 150_000
"""KiB of memory that magnet may take, where the output is some 80 MB."""


@pytest.fixture
def project(magnet: Program) -> Program:
    found = subprocess.run(["sh", "-c", "command -v seq"], capture_output=True, check=True, text=True).stdout.strip()
    (magnet.tools / "seq").symlink_to(found)
    magnet.write({"magnetfile.py": MAGNETFILE})
    return magnet


def printed(number: int) -> str:
    """The digest of what a target prints."""
    numbers = range(number, number + TARGETS * LINES, TARGETS)
    return hashlib.blake2b("".join(f"{one}\n" for one in numbers).encode()).hexdigest()


def body(path: Path) -> Iterator[bytes]:
    """The lines of a log that the target printed, without its command."""
    with path.open("rb") as file:
        for line in file:
            if line.startswith(b"Exec: "):
                break
        for line in file:
            if line == b"-----\n":
                return
            yield line


def logged(project: Program, number: int) -> str:
    path = project.root / f"_build/logs/latest/one(number={number})"
    return hashlib.blake2b(b"".join(body(path))).hexdigest()


@pytest.mark.parametrize("progress", ["quiet", "plain"])
def test_ten_million_lines_of_eight_targets_are_all_logged_in_order_with_little_memory(
    project: Program, progress: str, tmp_path: Path
) -> None:
    expected = {number: printed(number) for number in range(1, TARGETS + 1)}
    process = project.start(f"--progress={progress}", f"-j{TARGETS}", "all", output=tmp_path / "shown")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert {number: logged(project, number) for number in expected} == expected
    assert usage.ru_maxrss < MOST
    if progress == "plain":
        with (tmp_path / "shown").open("rb") as shown:
            assert sum(1 for _ in shown) > TARGETS * LINES
