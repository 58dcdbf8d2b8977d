"""READMEs of examples: the commands that they show are run, and what they show of output is compared.

examples/README.md tells the form.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"

HOME = "/home/ada"
"""What READMEs call the directory in which examples/ lies."""

_BLOCK = re.compile(r"^```(?:console)?\n(\$ .*?)^```$", re.MULTILINE | re.DOTALL)
_NOTE = re.compile(r"^<!-- (engines|needs): (.*) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A command, and the lines that it prints."""

    command: str
    output: Sequence[str]


@dataclass(frozen=True)
class Example:
    """A directory of examples/: the steps of its README, the engines on which they are done, if on any, and what they need."""

    name: str
    steps: Sequence[Step]
    engines: Sequence[str] = ()
    needs: Sequence[str] = ()

    def __str__(self) -> str:
        return self.name


def examples() -> list[Example]:
    """All examples."""
    return [read(path.parent.name) for path in sorted(EXAMPLES.glob("*/README.md"))]


def read(name: str) -> Example:
    """The example of that name."""
    text = (EXAMPLES / name / "README.md").read_text()
    steps = [step for block in _BLOCK.findall(text) for step in _steps(block)]
    return Example(name, steps, **{what: words.split() for what, words in _NOTE.findall(text)})


def _steps(block: str) -> list[Step]:
    found: list[tuple[list[str], list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif line.startswith("> ") and not found[-1][1]:
            found[-1][0].append(line[2:])
        else:
            found[-1][1].append(line)
    return [Step("\n".join(command), _without_blank_end(output)) for command, output in found]


def _without_blank_end(lines: Sequence[str]) -> Sequence[str]:
    text = "\n".join(lines).rstrip()
    return text.split("\n") if text else []


def lay_out(example: Example, place: Path) -> Path:
    """Copy the examples to a place, and return the directory of one of them."""
    # Where an example lies is a part of its project's name.
    subprocess.run(["git", "init", "--quiet", place], check=True, timeout=60)
    shutil.copytree(EXAMPLES, place / "examples", ignore=shutil.ignore_patterns("_build", "__pycache__"))
    return place / "examples" / example.name


def check(root: Path, steps: Sequence[Step], env: Mapping[str, str]) -> None:
    """Run the steps in the directory of an example, one after the other in one shell; each prints what is shown.

    One that fails shows an error in the README.
    """
    for step, (code, said) in zip(steps, _run(root, steps, env), strict=True):
        output = [line.replace(str(root.parents[1]), HOME) for line in said]
        assert _is_as_shown(step.output, output), _shown(step, output)
        assert (code == 0) != any(line.startswith("error: ") for line in step.output), (
            f"{step.command}: exit code {code}"
        )


def environment(programs: Path, base: Mapping[str, str]) -> dict[str, str]:
    """An environment without a terminal in which `magnet` is the program, and `busybox` one that nobody had before.

    So what is built upon it is done in no engine's store. What `pip install` installs goes into a directory of its own.
    """
    programs.mkdir()
    installed = programs.with_name("installed")
    scripts = {
        "magnet": f'exec {sys.executable} -m magnet "$@"',
        "pip": f'shift; exec {sys.executable} -m pip install --no-deps --target {installed} "$@"',
    }
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    if busybox := shutil.which("busybox"):
        shutil.copy(busybox, programs / "busybox")
        with (programs / "busybox").open("ab") as file:
            file.write(os.urandom(16))
    left_out = {"MAGNET_BACKEND", "TERM", "GITHUB_ACTIONS", "GITLAB_CI"}
    return {
        **{name: value for name, value in base.items() if name not in left_out},
        "PATH": f"{programs}:{installed}/bin:{base['PATH']}",
        "PYTHONPATH": str(installed),
        "NO_COLOR": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }


_END = "\036"


def _run(root: Path, steps: Sequence[Step], env: Mapping[str, str]) -> list[tuple[int, list[str]]]:
    """The exit code and the lines of each step."""
    script = "".join(f"{step.command}\ncode=$?; printf '\\n{_END}%d{_END}' $code; (exit $code)\n" for step in steps)
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=root,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=240,
    )
    pieces = done.stdout.decode(errors="backslashreplace").split(_END)
    return [
        (int(code), list(_without_blank_end(output.split("\n"))))
        for output, code in zip(pieces[:-1:2], pieces[1::2], strict=True)
    ]


_MASKED = (
    (r"\d{14}(-\d+)?", "STAMP"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d(\.\d+)?)?( \+0000 UTC)?", "TIME"),
    (r"\b[0-9a-f]{12,64}\b", "HASH"),
    (r"\bv\d+\.\d+\.\d+[\w.+-]*", "VERSION"),
    (r"\b(\d+h)?(\d+m)?\d+(\.\d+)?s\b", "DURATION"),
    (r"\b\d+(\.\d+)?[kMG]?B\b", "SIZE"),
    (r"^#\d+( \d+\.\d+)? ", "#N "),
    (r"[ \t]+", " "),
)


def _masked(line: str) -> str:
    for pattern, masked in _MASKED:
        line = re.sub(pattern, masked, line)
    return line.rstrip()


def _is_as_shown(shown: Sequence[str], output: Sequence[str]) -> bool:
    """Whether the output is what is shown, in which `...` stands for anything in a line, and for any lines.

    Without `...` the lines may come in another order: which of two targets begins first is a matter of luck.
    """
    found = [_masked(line) for line in output]
    wanted = [_masked(line) for line in shown]
    if not any("..." in line for line in wanted):
        return sorted(found) == sorted(wanted)
    pattern = "".join(
        r"(?:[^\n]*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + "\n" for line in wanted
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in found)) is not None


def _shown(step: Step, output: Sequence[str]) -> str:
    return "\n".join([f"$ {step.command}", *output, "", "is shown in the README as:", "", *step.output])
