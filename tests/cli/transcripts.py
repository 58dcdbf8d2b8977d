"""What a README shows of a terminal: commands, each after a `$`, and what they print."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.cli.program import Program

EXAMPLES = Path(__file__).parents[2] / "examples"


def shown(readme: Path) -> Iterator[tuple[str, str]]:
    """The commands in the blocks of a README, with what they print according to it."""
    for block in re.findall(r"^```\n(.*?)^```$", readme.read_text(), re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output.rstrip("\n")


def settled(program: Program, text: str) -> str:
    """A text with what differs from run to run, and from place to place, replaced."""
    text = program.settled(text.encode())
    text = re.sub(r"^(Version|Cache): .*$", r"\1: ...", text, flags=re.MULTILINE)
    return re.sub(r" +N\.Ns$", " N.Ns", text, flags=re.MULTILINE).rstrip("\n")


def run(program: Program, command: str) -> str:
    """What a line for a shell prints, on both streams, in the project."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=program.root,
        env=program.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    return settled(program, done.stdout.decode())


def lay_out(program: Program, name: str, *tools: str) -> Path:
    """Copy an example into the project, with `magnet` and further tools in its PATH; the example's README."""
    ignored = shutil.ignore_patterns("_build", "__pycache__")
    shutil.copytree(EXAMPLES / name, program.root, dirs_exist_ok=True, ignore=ignored)
    program.engine("magnet", f'exec {sys.executable} -m magnet "$@"\n')
    for tool in tools:
        found = shutil.which(tool)
        assert found, f"this machine has no {tool}"
        (program.tools / tool).symlink_to(found)
    return program.root / "README.md"
