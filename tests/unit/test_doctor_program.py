"""The program of a few bytes that a trial runs."""

import os
import subprocess
from pathlib import Path

import pytest

from magnet.doctor.program import smallest_program


def test_it_runs_here_and_ends_well_whatever_follows_it(tmp_path: Path) -> None:
    program = smallest_program(os.uname().machine)
    assert program is not None
    (tmp_path / "exit").write_bytes(program + b"nonce")
    (tmp_path / "exit").chmod(0o755)
    assert subprocess.run([tmp_path / "exit"], timeout=60).returncode == 0


# Each was run with qemu's emulator of its architecture.
@pytest.mark.parametrize(
    ("machine", "size"),
    [("x86_64", 129), ("aarch64", 132), ("armv7l", 96), ("ppc64le", 132), ("riscv64", 132), ("s390x", 126)],
)
def test_there_is_one_for_every_architecture_that_images_are_made_for(machine: str, size: int) -> None:
    program = smallest_program(machine)
    assert program is not None
    assert (program[:4], len(program)) == (b"\x7fELF", size)


def test_engines_call_architectures_as_they_like() -> None:
    assert smallest_program("amd64") == smallest_program("x86_64")
    assert smallest_program("arm64") == smallest_program("aarch64")
    assert smallest_program("vax") is None
